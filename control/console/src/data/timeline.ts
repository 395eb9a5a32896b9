// Readings by time: one row for each reading, one column for each series. It keeps the newest rows, and rows of an earlier
// epoch stay in front of those of the next one: where a clock was set back, those before its times. It computes nothing.

import type { History, Labels, Series } from './wire';

export interface Column {
  readonly key: string;
  readonly name: string;
  readonly labels: Labels;
  values: Float64Array;
}

export function keyOf(name: string, labels: Labels): string {
  const names = Object.keys(labels).sort();
  return `${name}{${names.map((it) => `${it}=${JSON.stringify(labels[it])}`).join()}}`;
}

export class Timeline {
  readonly times: Float64Array;
  length = 0;
  // Grows with each change, so that a reader knows whether what it computed still holds.
  version = 0;
  private epoch = '';
  private readonly columns = new Map<string, Column>();
  private readonly byName = new Map<string, Column[]>();

  constructor(
    readonly step_s: number,
    private readonly rows_max: number,
  ) {
    this.times = new Float64Array(rows_max);
  }

  // The columns of these series, made where there are none yet.
  bind(series: readonly Series[]): Column[] {
    return series.map((it) => {
      const key = keyOf(it.name, it.labels);
      let column = this.columns.get(key);
      if (!column) {
        column = { key, name: it.name, labels: it.labels, values: new Float64Array(this.rows_max).fill(NaN) };
        this.columns.set(key, column);
        this.byName.set(it.name, [...(this.byName.get(it.name) ?? []), column]);
      }
      return column;
    });
  }

  named(name: string): readonly Column[] {
    return this.byName.get(name) ?? [];
  }

  // Columns of other series end here: what was read of them last is not what they are now.
  keep(series: readonly Series[]): void {
    const kept = new Set(series.map((it) => keyOf(it.name, it.labels)));
    for (const [key, column] of this.columns) {
      if (kept.has(key)) continue;
      this.columns.delete(key);
      this.byName.set(column.name, this.named(column.name).filter((it) => it !== column));
    }
  }

  get last_ms(): number {
    return this.length === 0 ? -Infinity : this.times[this.length - 1];
  }

  // Adds a row; one that is not newer than the last is known already.
  append(t_ms: number, columns: readonly Column[], values: readonly (number | null)[]): void {
    if (t_ms <= this.last_ms) return;
    const row = this.nextRow(t_ms);
    columns.forEach((column, at) => (column.values[row] = values[at] ?? NaN));
    this.version += 1;
  }

  // Adds the rows of a history that are newer than the last.
  appendAll(history: History, columns: readonly Column[]): void {
    if (history.epoch !== this.epoch) this.begin(history);
    const { t0_ms, step_s, columns: numbers } = history;
    const rows_count = numbers[0]?.length ?? 0;
    const begin_ms = this.last_ms;
    for (let row = 0; row < rows_count; row += 1) {
      const t_ms = t0_ms + row * step_s * 1000;
      if (t_ms <= begin_ms) continue;
      const at = this.nextRow(t_ms);
      columns.forEach((column, series) => (column.values[at] = numbers[series]?.[row] ?? NaN));
    }
    this.version += 1;
  }

  // Another epoch: its rows are newer than those that stand at its times, whatever a clock said then.
  private begin({ epoch, t0_ms }: History): void {
    this.epoch = epoch;
    while (this.last_ms >= t0_ms) this.length -= 1;
  }

  private nextRow(t_ms: number): number {
    if (this.length === this.rows_max) this.dropOldest(Math.ceil(this.rows_max / 8));
    const row = this.length;
    this.times[row] = t_ms;
    for (const column of this.columns.values()) column.values[row] = NaN;
    this.length += 1;
    return row;
  }

  private dropOldest(count: number): void {
    this.times.copyWithin(0, count);
    for (const column of this.columns.values()) column.values.copyWithin(0, count);
    this.length -= count;
  }
}
