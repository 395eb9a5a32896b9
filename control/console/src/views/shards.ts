// One row for each core: what it does, what it waits for, what takes it away, and how evenly work lies.

import { lastOf, type Reading } from '../data/derive';
import { text } from '../data/units';
import { h } from '../ui/dom';
import { Plot } from '../ui/plot';
import { Table, type TableColumn } from '../ui/table';
import { Tile } from '../ui/tile';
import type { Context, Shell, View } from './view';

interface Row {
  shard: string;
  cpu: number;
  node: number;
  busy: number;
  rate: number;
  batch: number;
  flush: number;
  late: number;
  hops: number;
  keys: number;
  connections: number;
  steal: number;
  switches: number;
  isStuck: boolean;
}

const COLUMNS: readonly TableColumn<Row>[] = [
  { title: 'Shard', text: (it) => it.shard },
  { title: 'State', text: (it) => (it.isStuck ? '✕ stands still' : '✓ turns'), tone: (it) => (it.isStuck ? 'bad' : 'ok') },
  { title: 'CPU', hint: 'The CPU that it is pinned to', text: (it) => text(it.cpu, 'count'), value: (it) => it.cpu },
  { title: 'Node', hint: 'The NUMA node of that CPU', text: (it) => text(it.node, 'count'), value: (it) => it.node },
  { title: 'Busy', hint: 'CPU time of its thread; looked at every 5 s', text: (it) => text(it.busy, 'share'), value: (it) => it.busy, bar: (it) => it.busy, tone: (it) => (it.busy > 0.8 ? 'warn' : null) },
  { title: 'Records', text: (it) => text(it.rate, 'rate'), value: (it) => it.rate },
  { title: 'Batch', hint: 'Records of a batch of the log, on average', text: (it) => text(it.batch, 'count'), value: (it) => it.batch },
  { title: 'Flush', hint: 'Mean time of a flush', text: (it) => text(it.flush, 'seconds'), value: (it) => it.flush },
  { title: 'Flush p99', hint: 'What 99 of 100 flushes of the last seconds stay below', text: (it) => text(it.late, 'seconds'), value: (it) => it.late },
  { title: 'Claims', hint: 'Claims a second, to itself or to other shards', text: (it) => text(it.hops, 'rate'), value: (it) => it.hops },
  { title: 'Keys', hint: 'Keys in its part of the dedup table', text: (it) => text(it.keys, 'count'), value: (it) => it.keys },
  { title: 'Connections', text: (it) => text(it.connections, 'count'), value: (it) => it.connections },
  { title: 'Stolen', hint: 'Time that the hypervisor gave to others', text: (it) => text(it.steal, 'share'), value: (it) => it.steal, tone: (it) => (it.steal > 0.02 ? 'warn' : null) },
  { title: 'Switches', hint: 'Times a second that the kernel took the CPU away', text: (it) => text(it.switches, 'rate'), value: (it) => it.switches },
];

export class ShardsView implements View {
  readonly element: HTMLElement;
  readonly names = [
    'flk_shard_', 'flk_wal_batch_records_sum', 'flk_wal_batch_records_count', 'flk_wal_flush_seconds', 'flk_stage_seconds_count', 'flk_dedup_keys$', 'flk_connections$', 'flk_mailbox_messages_max$',
  ];
  private readonly table: Table<Row>;
  private readonly busiest = new Tile('Busiest core');
  private readonly balance = new Tile('Imbalance');
  private readonly stolen = new Tile('Time stolen');
  private readonly hops = new Tile('Messages a turn, at most');
  private readonly cores: Plot;
  private readonly rates: Plot;

  constructor(shell: Shell) {
    this.table = new Table({ title: 'Shards', good: 'All alike, none above 80 %.' }, COLUMNS, (it) => it.shard, 'No shard is known yet.');
    this.cores = new Plot({ title: 'Busy, by core', unit: 'share', top: 1, class: 'wide', good: 'Below 80 %, and alike.', limit: { value: 0.8, label: '80 %' } }, shell.chooseRange);
    this.rates = new Plot({ title: 'Records, by core', unit: 'rate', class: 'wide', good: 'Connections spread over cores; a long-lived one stays where it is.' }, shell.chooseRange);
    const tiles = [this.busiest, this.balance, this.stolen, this.hops].map((it) => it.element);
    this.element = h('div', { class: 'page' }, h('div', { class: 'tiles' }, ...tiles), this.table.element, h('div', { class: 'grid' }, this.cores.element, this.rates.element));
  }

  update({ reading, overview, frame }: Context): void {
    const names = reading.values('flk_shard_stuck', 'shard').sort((a, b) => Number(a) - Number(b));
    const rows = names.map((shard) => {
      const place = overview?.shards.find((it) => String(it.shard) === shard);
      return rowOf(reading, shard, place?.cpu ?? NaN, place?.node ?? NaN);
    });
    this.table.set(rows);
    this.showTiles(reading, rows);
    const lines = (of: (shard: string) => Float64Array) => names.slice(0, 8).map((shard) => ({ label: `shard ${shard}`, values: of(shard) }));
    this.cores.set(frame, lines((shard) => reading.slowRate('flk_shard_cpu_seconds_total', { shard })));
    this.rates.set(frame, lines((shard) => reading.rate('flk_ingest_total', { shard })));
  }

  private showTiles(reading: Reading, rows: readonly Row[]): void {
    const known = rows.filter((it) => !Number.isNaN(it.busy));
    const top = known.reduce<Row | null>((max, it) => (max && max.busy >= it.busy ? max : it), null);
    const busy = top?.busy ?? NaN;
    this.busiest.set({ value: busy, unit: 'share', bar: busy, under: top ? `shard ${top.shard} on CPU ${text(top.cpu, 'count')}` : 'known after 10 s', ...(busy > 0.8 ? { tone: 'warn' as const, verdict: 'busy' } : {}) });
    const [by, what] = known.some((it) => it.busy > 0.02) ? [known.map((it) => it.busy), 'busy time'] : [rows.map((it) => it.rate), 'records'];
    const mean = by.reduce((sum, it) => sum + it, 0) / by.length;
    const ratio = mean > 0 ? Math.max(...by) / mean : NaN;
    const isUneven = ratio > 1.5 && busy > 0.3;
    this.balance.set({ value: ratio, unit: 'ratio', under: `the busiest core beside the mean, by ${what}`, ...(Number.isNaN(ratio) ? {} : { tone: isUneven ? 'warn' as const : 'ok' as const, verdict: isUneven ? 'uneven' : 'even enough' }) });
    const steal = rows.reduce((sum, it) => sum + (it.steal || 0), 0) / Math.max(1, rows.length);
    this.stolen.set({ value: steal, unit: 'share', under: 'by the hypervisor, of all cores of shards', ...(steal > 0.02 ? { tone: 'warn' as const, verdict: 'too much' } : {}) });
    this.hops.set({ value: reading.last('flk_mailbox_messages_max'), unit: 'count', under: 'the most that a turn found, of all shards' });
  }

  end(): void {
    this.cores.end();
    this.rates.end();
  }
}

function rowOf(reading: Reading, shard: string, cpu: number, node: number): Row {
  const own = { shard };
  return {
    shard, cpu, node,
    busy: lastOf(reading.slowRate('flk_shard_cpu_seconds_total', own)),
    rate: reading.rateNow('flk_ingest_total', own),
    batch: lastOf(reading.mean('flk_wal_batch_records', own)),
    flush: lastOf(reading.mean('flk_wal_flush_seconds', own)),
    late: reading.quantileNow(0.99, 'flk_wal_flush_seconds', own),
    hops: reading.rateNow('flk_stage_seconds_count', { shard, stage: 'owner_hop' }),
    keys: reading.last('flk_dedup_keys', own),
    connections: reading.last('flk_connections', own),
    steal: lastOf(reading.slowRate('flk_shard_steal_seconds_total', own)),
    switches: lastOf(reading.slowRate('flk_shard_involuntary_switches_total', own)),
    isStuck: reading.last('flk_shard_stuck', own) === 1,
  };
}
