// The first page: what the gateway does, whether it keeps its promises, and what needs attention.

import { Day } from '../data/day';
import { lastOf, type Reading } from '../data/derive';
import { api } from '../data/api';
import { Polled } from '../data/polled';
import { text } from '../data/units';
import type { Disk } from '../data/wire';
import { h, mark } from '../ui/dom';
import { Plot } from '../ui/plot';
import { Tile } from '../ui/tile';
import { AttentionList } from './attention';
import { roomOf } from './disk';
import { FirstRecord } from './first_record';
import { Lane } from './lane';
import { availability, escalation, OUTCOME_NAMES, outcomeLines, waiting } from './outcomes';
import type { Context, Shell, View } from './view';

export const SLO_S = 0.2;
const QUANTILES = [0.5, 0.99, 0.999, 0.95];

export class OverviewView implements View {
  readonly element: HTMLElement;
  readonly names = [
    ...OUTCOME_NAMES, 'http_request_duration_seconds', 'flk_shard_cpu_seconds_total', 'flk_shard_stuck$', 'flk_log_waiting$', 'flk_room_waiting$', 'flk_memory_waiting$',
    'flk_dedup_keys$', 'flk_slices$', 'flk_wal_horizon_seconds', 'flk_stage_seconds_sum', 'flk_stage_seconds_count', 'flk_requests_in_flight$',
  ];
  private readonly tiles = h('div', { class: 'tiles six' });
  private readonly rest = h('div', { class: 'grid' });
  private readonly records: Tile;
  private readonly latency: Tile;
  private readonly budgetLeft: Tile;
  private readonly escalated: Tile;
  private readonly duplicates: Tile;
  private readonly room: Tile;
  private readonly attention: AttentionList;
  private readonly first: FirstRecord;
  private readonly lane: Lane;
  private readonly plots: { answers: Plot; latency: Plot; cores: Plot; waits: Plot };
  private readonly day: Polled<Reading>;
  private readonly disk: Polled<Disk>;

  constructor(shell: Shell) {
    this.records = new Tile('Records', shell.href({ page: 'tenants' }));
    this.latency = new Tile('Latency, p99', shell.href({ page: 'path' }));
    this.budgetLeft = new Tile('Error budget left');
    this.escalated = new Tile('202 budget left');
    this.duplicates = new Tile('Duplicates', shell.href({ page: 'dedup' }));
    this.room = new Tile('Disk', shell.href({ page: 'disk' }));
    this.attention = new AttentionList(shell);
    this.first = new FirstRecord();
    this.lane = new Lane(shell);
    const choose = shell.chooseRange;
    this.plots = {
      answers: new Plot({ title: 'Records by answer', unit: 'rate', isStacked: true, good: 'Follows the senders; no 5xx. From the bottom in the order of the legend.', class: 'wide' }, choose),
      latency: new Plot({ title: 'Time to answer', unit: 'seconds', isLog: true, good: '95 of 100 answers within 200 ms.', limit: { value: SLO_S, label: 'SLO 200 ms' }, class: 'wide' }, choose),
      cores: new Plot({ title: 'Busy cores', unit: 'share', top: 1, good: 'Below 80 %, and alike.' }, choose),
      waits: new Plot({ title: 'What waits', unit: 'count', good: 'Near 0: the log waits for the disk, room for a batch, memory for slow senders.' }, choose),
    };
    const day = new Day(['http_requests_total', 'flk_escalated$', 'flk_ingest_total']);
    this.day = new Polled(() => day.read(), 30_000, () => shell.redraw());
    this.disk = new Polled(() => api.disk(), 10_000, () => shell.redraw());
    this.tiles.append(...[this.records, this.latency, this.budgetLeft, this.escalated, this.duplicates, this.room].map((it) => it.element));
    this.rest.append(this.plots.answers.element, this.plots.latency.element, this.lane.element, this.plots.cores.element, this.plots.waits.element);
    this.element = h('div', { class: 'page' }, this.first.element, this.tiles, this.attention.element, this.rest);
  }

  update(context: Context): void {
    const { reading, frame } = context;
    this.attention.update(context);
    this.first.update(context);
    mark(this.element, 'data-empty', this.first.isShown ? '' : null);
    this.lane.update(context);
    const quantiles = reading.quantiles(QUANTILES, 'http_request_duration_seconds');
    this.showTiles(reading, quantiles);
    this.plots.answers.set(frame, outcomeLines(reading, Math.max(reading.timeline.step_s, reading.window_s / 5)));
    this.plots.latency.set(frame, ['p50', 'p99', 'p99.9'].map((label, at) => ({ label, values: quantiles[at] })));
    const shards = reading.values('flk_shard_cpu_seconds_total', 'shard');
    this.plots.cores.set(frame, shards.slice(0, 8).map((shard) => ({ label: `shard ${shard}`, values: reading.slowRate('flk_shard_cpu_seconds_total', { shard }) })));
    this.plots.waits.set(frame, [['the log', 'flk_log_waiting'], ['room', 'flk_room_waiting'], ['memory', 'flk_memory_waiting']].map(([label, name]) => ({ label, values: reading.gauge(name) })));
  }

  private showTiles(reading: Reading, [p50, p99, p999, p95]: Float64Array[]): void {
    const rate = reading.rate('flk_ingest_total');
    const fresh = reading.rateNow('flk_accepted') + reading.rateNow('flk_escalated');
    this.records.set({ value: reading.rateNow('flk_ingest_total'), unit: 'rate', spark: rate, under: `${text(fresh, 'rate')} are new; ${text(lastOf(waiting(reading)), 'count')} wait` });
    const isLate = lastOf(p95) > SLO_S;
    this.latency.set({
      value: lastOf(p99), unit: 'seconds', spark: p99, under: `p50 ${text(lastOf(p50), 'seconds')}, p99.9 ${text(lastOf(p999), 'seconds')}; p95 ${text(lastOf(p95), 'seconds')} of 200 ms`,
      ...(Number.isNaN(lastOf(p95)) ? {} : { tone: isLate ? 'bad' as const : 'ok' as const, verdict: isLate ? 'later than promised' : 'as promised' }),
    });
    this.showBudgets();
    const hits = lastOf(reading.ratio(reading.grown('flk_dedup_hits'), reading.grown('flk_ingest_total')));
    this.duplicates.set({ value: hits, unit: 'share', spark: reading.rate('flk_dedup_hits'), under: `${text(reading.last('flk_dedup_keys'), 'count')} keys in memory, ${text(reading.last('flk_slices'), 'count')} slices` });
    this.showDisk();
  }

  private showBudgets(): void {
    const day = this.day.value;
    const since = day ? text((day.timeline.last_ms - day.timeline.times[0]) / 1000, 'span') : '';
    const tiles = [[this.budgetLeft, day && availability(day), '5xx', '0.1 %'], [this.escalated, day && escalation(day), '202 or 5xx', '2 %']] as const;
    for (const [tile, it, what, allowed] of tiles) {
      if (!it || Number.isNaN(it.left)) {
        tile.set({ value: NaN, unit: 'share', under: `${allowed} of answers may be ${what}; none was counted yet` });
        continue;
      }
      const tone = it.left < 0 ? 'bad' : it.left < 0.25 ? 'warn' : 'ok';
      const verdict = { bad: 'spent', warn: 'nearly spent', ok: 'within the budget' }[tone];
      tile.set({ value: it.left, unit: 'share', bar: it.left, tone, verdict, under: `${what}: ${text(it.bad, 'count')} of ${text(it.all, 'count')} in ${since}; ${allowed} may be` });
    }
  }

  private showDisk(): void {
    const disk = this.disk.value;
    if (!disk) return this.room.set({ value: NaN, unit: 'share', under: this.disk.fault ?? 'Not read yet.' });
    const used = disk.used_bytes / (disk.cap_bytes ?? NaN);
    const horizon = disk.horizon_s === null ? 'nothing is kept yet' : `bodies of ${text(disk.horizon_s, 'span')} are kept`;
    this.room.set({ value: used, unit: 'share', bar: used, ...roomOf(used), under: `${text(disk.used_bytes, 'bytes')} of ${text(disk.cap_bytes ?? NaN, 'bytes')}; ${horizon}` });
  }

  end(): void {
    this.day.end();
    this.disk.end();
    for (const plot of Object.values(this.plots)) plot.end();
  }
}
