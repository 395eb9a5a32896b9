// What is remembered of ids: in memory and on disk, for how long memory lasts at this rate, and what a look-up costs.

import { api } from '../data/api';
import { added, combined, growthSinceFall, lastOf, type Reading } from '../data/derive';
import { Polled } from '../data/polled';
import { text } from '../data/units';
import type { Disk } from '../data/wire';
import { h } from '../ui/dom';
import { Plot } from '../ui/plot';
import { Tile } from '../ui/tile';
import type { Context, Shell, View } from './view';

// Records of an entry of a slice, for slices of which the number of keys is not told.
const ENTRY_BYTES = 73;

export class DedupView implements View {
  readonly element: HTMLElement;
  readonly names = ['flk_dedup_keys$', 'flk_dedup_bytes', 'flk_dedup_hits$', 'flk_dedup_conflicts$', 'flk_accepted$', 'flk_escalated$', 'flk_slice', 'flk_look_ups_total', 'flk_claim_faults_total$'];
  private readonly memory = new Tile('Keys in memory');
  private readonly stored = new Tile('Keys on disk');
  private readonly left = new Tile('Memory lasts for');
  private readonly hits = new Tile('Duplicates');
  private readonly reads = new Tile('Reads per new id');
  private readonly conflicts = new Tile('Conflicts');
  private readonly plots: { tables: Plot; share: Plot; reads: Plot; looks: Plot };
  private readonly disk: Polled<Disk>;

  constructor(shell: Shell) {
    this.disk = new Polled(() => api.disk(), 10_000, () => shell.redraw());
    const choose = shell.chooseRange;
    this.plots = {
      tables: new Plot({ title: 'Tables, of their limit', unit: 'share', top: 1, class: 'wide', good: 'A saw below 50 %: a seal begins at a quarter. From 98 % on records are refused.', limit: { value: 0.9, label: '90 %' } }, choose),
      share: new Plot({ title: 'Duplicates, share of records', unit: 'share', top: 1, class: 'wide', good: '40 % or more is expected: agents retry.' }, choose),
      reads: new Plot({ title: 'Blocks of slices read', unit: 'rate', class: 'wide', good: 'One for a duplicate that is sealed, 0.04 for what is new.' }, choose),
      looks: new Plot({ title: 'Look-ups of clients', unit: 'rate', class: 'wide', good: 'By what was answered; none where FLK_LOOK_UPS is off.' }, choose),
    };
    const tiles = [this.memory, this.stored, this.left, this.hits, this.reads, this.conflicts].map((it) => it.element);
    this.element = h('div', { class: 'page' }, h('div', { class: 'tiles six' }, ...tiles), h('div', { class: 'grid' }, ...Object.values(this.plots).map((it) => it.element)));
  }

  update({ reading, frame }: Context): void {
    const bytes = reading.gauge('flk_dedup_bytes');
    const max = reading.gauge('flk_dedup_bytes_max');
    const share = combined(bytes, max, (a, b) => a / b);
    this.showMemory(reading, bytes, lastOf(max), lastOf(share));
    this.showReads(reading);
    this.plots.tables.set(frame, [{ label: 'tables', values: share }]);
    const hits = reading.ratio(reading.grown('flk_dedup_hits'), all(reading), Math.max(10, reading.window_s));
    this.plots.share.set(frame, [{ label: 'duplicates', values: hits }]);
    this.plots.reads.set(frame, [{ label: 'blocks', values: reading.rate('flk_slice_reads_total') }]);
    const results = reading.values('flk_look_ups_total', 'result');
    this.plots.looks.set(frame, results.map((result) => ({ label: result, values: reading.rate('flk_look_ups_total', { result }) })));
  }

  private showMemory(reading: Reading, bytes: Float64Array, max: number, share: number): void {
    const tone = share > 0.9 ? 'bad' : share > 0.6 ? 'warn' : 'ok';
    this.memory.set({ value: reading.last('flk_dedup_keys'), unit: 'count', bar: share, tone, verdict: { bad: 'nearly full', warn: 'filling', ok: 'enough room' }[tone], under: `${text(lastOf(bytes), 'bytes')} of ${text(max, 'bytes')}` });
    const slices = (this.disk.value?.files ?? []).filter((it) => it.kind === 'slice');
    const keys = slices.reduce((sum, it) => sum + (it.keys ?? it.bytes / ENTRY_BYTES), 0);
    const isExact = slices.every((it) => typeof it.keys === 'number');
    this.stored.set({ value: this.disk.value ? keys : NaN, unit: 'count', under: `in ${text(slices.length, 'count')} slices${isExact ? '' : ', reckoned from their size'}; filters take ${text(reading.last('flk_slice_memory_bytes'), 'bytes')}` });
    const grows = growthSinceFall(bytes, reading.timeline.times);
    const lasts = grows > 0 ? (max - lastOf(bytes)) / grows : NaN;
    this.left.set({ value: lasts, unit: 'span', under: grows > 0 ? `at ${text(grows, 'byterate')}, without a seal; a seal frees it before` : 'it does not grow now' });
  }

  private showReads(reading: Reading): void {
    const hits = reading.ratio(reading.grown('flk_dedup_hits'), all(reading));
    this.hits.set({ value: lastOf(hits), unit: 'share', spark: hits, under: `${text(reading.rateNow('flk_dedup_hits'), 'rate')}; the first answer again` });
    const fresh = combined(reading.grown('flk_accepted'), reading.grown('flk_escalated'), (a, b) => a + (b || 0));
    const each = lastOf(reading.ratio(reading.grown('flk_slice_reads_total'), fresh, 60));
    const errors = reading.last('flk_slice_read_errors_total') + reading.last('flk_slice_blocks_damaged_total');
    this.reads.set({ value: each, unit: 'count', under: `blocks of 4 KiB, over a minute; ${text(errors, 'count')} could not be read`, ...(errors > 0 ? { tone: 'bad' as const, verdict: 'reads failed' } : {}) });
    const conflicts = reading.last('flk_dedup_conflicts');
    this.conflicts.set({ value: conflicts, unit: 'count', under: 'since the start: one id, signed with different contents', ...(conflicts > 0 ? { tone: 'warn' as const, verdict: 'an agent errs' } : {}) });
  }

  end(): void {
    this.disk.end();
    for (const plot of Object.values(this.plots)) plot.end();
  }
}

// Records with an outcome, first ones and duplicates.
function all(reading: Reading): Float64Array {
  return added(['flk_accepted', 'flk_escalated', 'flk_dedup_hits'].map((it) => reading.grown(it)), reading.length);
}
