// The disk: which files there are, how far back bodies are kept, what goes next, and how fast the disk is.

import { api } from '../data/api';
import { full, type Zone } from '../data/clock';
import { lastOf, type Reading } from '../data/derive';
import { Polled } from '../data/polled';
import { text } from '../data/units';
import type { Tone } from '../data/tone';
import type { Disk, DiskFile } from '../data/wire';
import { h } from '../ui/dom';
import { FileMap, isMadeReady } from '../ui/filemap';
import { HeatMap } from '../ui/heat';
import { panel } from '../ui/panel';
import { Plot } from '../ui/plot';
import { Table } from '../ui/table';
import { Tile } from '../ui/tile';
import type { Context, Shell, View } from './view';

export class DiskView implements View {
  readonly element: HTMLElement;
  readonly names = ['flk_wal_flush_seconds', 'flk_wal_bytes_written$', 'flk_wal_syncs$', 'flk_wal_horizon_seconds', 'flk_wal_segments$', 'flk_wal_errors$', 'flk_slices$', 'flk_wal_hold_'];
  private readonly room = new Tile('Room taken');
  private readonly horizon = new Tile('Bodies are kept for');
  private readonly flush = new Tile('Flush, p99');
  private readonly written = new Tile('Written');
  private readonly next = new Tile('Deleted next');
  private readonly map = new FileMap();
  private readonly heat: HeatMap;
  private readonly bytes: Plot;
  private readonly table: Table<DiskFile>;
  private readonly disk: Polled<Disk>;
  private drawn: Disk | null = null;
  private drawnZone: Zone | null = null;

  constructor(shell: Shell) {
    this.disk = new Polled(() => api.disk(), 5000, () => shell.redraw());
    const zone = () => shell.address().zone;
    const time = (it: number | null) => (it === null ? '–' : full(it, zone()));
    this.table = new Table<DiskFile>({ title: 'Files', class: 'full' }, [
      { title: 'File', text: (it) => it.name },
      { title: 'Kind', text: (it) => (isMadeReady(it) ? 'segment' : it.kind) },
      { title: 'State', text: (it) => (it.name === this.disk.value?.deleted_next ? `${it.state}, deleted next` : isMadeReady(it) ? 'made ready' : it.state) },
      { title: 'Shard', text: (it) => text(it.shard ?? NaN, 'count'), value: (it) => it.shard ?? NaN },
      { title: 'Size', text: (it) => text(it.bytes, 'bytes'), value: (it) => it.bytes },
      { title: 'Keys', text: (it) => text(it.keys ?? NaN, 'count'), value: (it) => it.keys ?? NaN },
      { title: 'First record', text: (it) => time(it.first_ms), value: (it) => it.first_ms ?? NaN },
      { title: 'Last record', text: (it) => time(lastOfFile(it)), value: (it) => lastOfFile(it) ?? NaN },
    ], (it) => it.name, 'No file is known yet.');
    const rows = () => [['file', 'kind', 'state', 'bytes'], ...(this.disk.value?.files ?? []).map((it) => [it.name, it.kind, it.state, it.bytes])];
    const drawing = () => ({ kind: 'canvas' as const, canvas: this.map.canvas, legend: this.map.legend() });
    const map = panel({ title: 'Segments and slices', good: 'The oldest on the left. What is deleted next has a red frame, what is written a green one.', rows, drawing }, this.map.element);
    this.heat = new HeatMap({ title: 'Flush latency', class: 'wide', good: 'One narrow band: what flk doctor measured on this disk.' });
    this.bytes = new Plot({ title: 'Bytes written', unit: 'byterate', class: 'wide', good: 'Records times their size, and padding while there are few.' }, shell.chooseRange);
    const tiles = [this.room, this.horizon, this.next, this.flush, this.written].map((it) => it.element);
    this.element = h('div', { class: 'page' }, h('div', { class: 'tiles five' }, ...tiles), map, h('div', { class: 'grid' }, this.heat.element, this.bytes.element, this.table.element));
  }

  update({ reading, frame, address }: Context): void {
    const disk = this.disk.value;
    if (disk && (disk !== this.drawn || address.zone !== this.drawnZone)) {
      [this.drawn, this.drawnZone] = [disk, address.zone];
      this.map.set(disk.files, disk.deleted_next, frame.to_ms);
      this.table.set(disk.files);
    }
    this.showRoom(disk, reading, frame.to_ms);
    const p99 = reading.quantiles([0.99], 'flk_wal_flush_seconds')[0];
    const mean = lastOf(reading.mean('flk_wal_flush_seconds'));
    this.flush.set({ value: lastOf(p99), unit: 'seconds', spark: p99, under: `mean ${text(mean, 'seconds')}; ${text(reading.rateNow('flk_wal_syncs'), 'rate')} flushes` });
    const bytes = reading.rate('flk_wal_bytes_written');
    const errors = reading.last('flk_wal_errors');
    this.written.set({ value: reading.rateNow('flk_wal_bytes_written'), unit: 'byterate', spark: bytes, under: `${text(errors, 'count')} failed writes since the start`, ...(errors > 0 ? { tone: 'bad' as const, verdict: 'writes failed' } : {}) });
    this.heat.set(frame, reading.buckets('flk_wal_flush_seconds'));
    this.bytes.set(frame, [{ label: 'log', values: bytes }]);
  }

  private showRoom(disk: Disk | null, reading: Reading, now_ms: number): void {
    if (!disk) {
      for (const tile of [this.room, this.horizon, this.next]) tile.set({ value: NaN, unit: 'bytes', under: this.disk.fault ?? 'Not read yet.' });
      return;
    }
    const used = disk.used_bytes / (disk.cap_bytes ?? NaN);
    this.room.set({ value: used, unit: 'share', bar: used, ...roomOf(used), under: `${text(disk.used_bytes, 'bytes')} of ${text(disk.cap_bytes ?? NaN, 'bytes')}; the file system has ${text(disk.free_bytes ?? NaN, 'bytes')} free` });
    const max = disk.horizon_max_s ?? reading.last('flk_wal_horizon_seconds_max');
    const share = (disk.horizon_s ?? 0) / max;
    this.horizon.set({ value: disk.horizon_s ?? NaN, unit: 'span', bar: share, under: `WAL_MAX_AGE is ${text(max, 'span')}; until then it only grows` });
    const file = disk.files.find((it) => it.name === disk.deleted_next);
    const age = file?.first_ms != null ? (now_ms - file.first_ms) / 1000 : NaN;
    this.next.set({ value: file?.bytes ?? NaN, unit: 'bytes', under: file ? `${file.name}, from ${text(age, 'span')} ago` : disk.cap_bytes === null ? 'not known while the gateway does not say it' : 'nothing: all of it is younger than it may become' });
  }

  end(): void {
    this.disk.end();
    this.map.end();
    this.heat.end();
    this.bytes.end();
  }
}

// How full it is, and nothing where that is not known.
export function roomOf(used: number): { tone?: Tone; verdict?: string } {
  if (!Number.isFinite(used)) return {};
  const tone = used > 0.95 ? 'bad' : used > 0.85 ? 'warn' : 'ok';
  return { tone, verdict: { bad: 'full', warn: 'nearly full', ok: 'enough room' }[tone] };
}

// Nobody tells it of a file that is being written, and the manifest has no records.
function lastOfFile(it: DiskFile): number | null {
  return it.state === 'open' ? null : it.last_ms;
}
