// What a timeline means: rates, quantiles, means and shares, each as one value a row. Counters that fall have begun anew. A
// value that cannot be known is NaN; nothing is guessed.

import { grouped } from './group';
import type { Column, Timeline } from './timeline';
import type { Labels } from './wire';

export type Match = Readonly<Record<string, string>> | ((labels: Labels) => boolean);

function fits(labels: Labels, match: Match): boolean {
  if (typeof match === 'function') return match(labels);
  return Object.entries(match).every(([name, value]) => labels[name] === value);
}

// Counts what a counter has grown by since the first row, resets taken out.
export function unwrapped(values: Float64Array, length: number): Float64Array {
  const grown = new Float64Array(length).fill(NaN);
  let [sum, before] = [0, NaN];
  for (let row = 0; row < length; row += 1) {
    const value = values[row];
    if (Number.isNaN(value)) continue;
    if (!Number.isNaN(before)) sum += value >= before ? value - before : value;
    grown[row] = sum;
    before = value;
  }
  return grown;
}

// The quantile of a histogram whose buckets hold `counts` below and at `edges`, linear within a bucket as
// histogram_quantile of Prometheus is; above the last finite edge it is that edge.
export function quantileOf(q: number, edges: readonly number[], counts: readonly number[]): number {
  const all = counts[counts.length - 1];
  if (!(all > 0)) return NaN;
  const rank = q * all;
  const at = counts.findIndex((it) => it >= rank);
  if (at < 0 || edges[at] === Infinity) return edges[edges.length - 2] ?? NaN;
  const below = at === 0 ? 0 : counts[at - 1];
  const from = at === 0 ? 0 : edges[at - 1];
  const inside = counts[at] - below;
  return inside > 0 ? from + ((edges[at] - from) * (rank - below)) / inside : edges[at];
}

export interface Buckets {
  edges: number[];
  // What each bucket has grown by since the first row, not cumulative over edges.
  grown: Float64Array[];
}

export class Reading {
  private readonly known = new Map<string, Float64Array>();
  private readonly byTenant = new Map<string, Map<string, Column[]>>();
  private readonly knownBuckets = new Map<string, Buckets>();

  constructor(
    readonly timeline: Timeline,
    // The time that rates are taken over where a single step would be too rough.
    readonly window_s: number,
  ) {}

  get length(): number {
    return this.timeline.length;
  }

  // Columns of a name. Those without `shard` are sums of the others and win, unless a shard is asked for.
  columns(name: string, match: Match = {}): Column[] {
    const fitting = this.near(name, match).filter((it) => fits(it.labels, match));
    if (typeof match !== 'function' && 'shard' in match) return fitting;
    const sums = fitting.filter((it) => !('shard' in it.labels));
    return sums.length > 0 ? sums : fitting;
  }

  // Columns of a name among which those that fit are: a page asks for each of some hundred tenants.
  private near(name: string, match: Match): readonly Column[] {
    const named = this.timeline.named(name);
    if (typeof match === 'function' || !('tenant' in match)) return named;
    let tenants = this.byTenant.get(name);
    if (!tenants) {
      tenants = grouped(named, (it) => it.labels.tenant ?? '');
      this.byTenant.set(name, tenants);
    }
    return tenants.get(match.tenant) ?? [];
  }

  has(name: string): boolean {
    return this.timeline.named(name).length > 0;
  }

  // The different values of a label, as they first came.
  values(name: string, label: string): string[] {
    const found = this.timeline.named(name).flatMap((it) => (label in it.labels ? [it.labels[label]] : []));
    return [...new Set(found)];
  }

  // A gauge, or the sum of gauges, row by row.
  gauge(name: string, match: Match = {}): Float64Array {
    return added(this.columns(name, match).map((it) => it.values), this.length);
  }

  // The last value that is known.
  last(name: string, match: Match = {}): number {
    return lastOf(this.gauge(name, match));
  }

  // What a counter has grown by since the first row.
  grown(name: string, match: Match = {}): Float64Array {
    const key = typeof match === 'function' ? null : `${name}|${JSON.stringify(match)}`;
    const known = key === null ? undefined : this.known.get(key);
    if (known) return known;
    const parts = this.columns(name, match).map((it) => unwrapped(it.values, this.length));
    const made = added(parts, this.length);
    if (key !== null) this.known.set(key, made);
    return made;
  }

  // Growth a second, over the time since the row `window_s` before, or since the last known one where that is longer ago.
  rate(name: string, match: Match = {}, window_s: number = this.timeline.step_s): Float64Array {
    return this.slope(this.grown(name, match), window_s);
  }

  rateNow(name: string, match: Match = {}, window_s: number = this.window_s): number {
    return lastOf(this.rate(name, match, window_s));
  }

  slope(grown: Float64Array, window_s: number): Float64Array {
    const { times } = this.timeline;
    return this.over(window_s, (row, from) => ((grown[row] - grown[from]) / (times[row] - times[from])) * 1000, grown);
  }

  // Growth of one counter for each growth of another one, over a window.
  ratio(upper: Float64Array, lower: Float64Array, window_s: number = this.window_s): Float64Array {
    return this.over(window_s, (row, from) => {
      const by = lower[row] - lower[from];
      return by > 0 ? (upper[row] - upper[from]) / by : NaN;
    }, lower);
  }

  mean(name: string, match: Match = {}, window_s: number = this.window_s): Float64Array {
    return this.ratio(this.grown(`${name}_sum`, match), this.grown(`${name}_count`, match), window_s);
  }

  buckets(name: string, match: Match = {}): Buckets {
    const key = typeof match === 'function' ? null : `${name}|${JSON.stringify(match)}`;
    const known = key === null ? undefined : this.knownBuckets.get(key);
    if (known) return known;
    const made = this.counted(name, match);
    if (key !== null) this.knownBuckets.set(key, made);
    return made;
  }

  private counted(name: string, match: Match): Buckets {
    const columns = this.columns(`${name}_bucket`, typeof match === 'function' ? match : { ...match });
    const edge = (it: Column) => (it.labels.le === '+Inf' ? Infinity : Number(it.labels.le));
    const edges = [...new Set(columns.map(edge))].sort((a, b) => a - b);
    const grown = edges.map((it) => {
      const parts = columns.filter((column) => edge(column) === it);
      return added(parts.map((column) => unwrapped(column.values, this.length)), this.length);
    });
    return { edges, grown };
  }

  // Quantiles row by row, over a window.
  quantiles(qs: readonly number[], name: string, match: Match = {}, window_s: number = this.window_s): Float64Array[] {
    const { edges, grown } = this.buckets(name, match);
    const made = qs.map(() => new Float64Array(this.length).fill(NaN));
    const counts = edges.map(() => 0);
    const all = grown[grown.length - 1];
    if (!all) return made;
    this.over(window_s, (row, from) => {
      grown.forEach((it, at) => (counts[at] = it[row] - it[from]));
      qs.forEach((q, at) => (made[at][row] = quantileOf(q, edges, counts)));
      return 0;
    }, all);
    return made;
  }

  // The newest of the quantiles, for which only a window is looked at.
  quantileNow(q: number, name: string, match: Match = {}, window_s: number = this.window_s): number {
    const columns = this.columns(`${name}_bucket`, match);
    const all = columns.find((it) => it.labels.le === '+Inf');
    const [from, row] = all ? this.newest(all.values, window_s) : [0, 0];
    if (from === row) return NaN;
    const grown = new Map<number, number>();
    for (const it of columns) {
      const edge = it.labels.le === '+Inf' ? Infinity : Number(it.labels.le);
      grown.set(edge, (grown.get(edge) ?? 0) + lastOf(unwrapped(it.values.subarray(from, row + 1), row + 1 - from)));
    }
    const edges = [...grown.keys()].sort((a, b) => a - b);
    return quantileOf(q, edges, edges.map((it) => grown.get(it) ?? NaN));
  }

  // The newest known row, and the nearest known one at least a window before, or the first.
  private newest(known: Float64Array, window_s: number): [number, number] {
    let [from, row] = [-1, -1];
    const oldest_ms = () => this.timeline.times[row] - window_s * 1000 + this.timeline.step_s * 500;
    for (let at = this.length - 1; at >= 0; at -= 1) {
      if (Number.isNaN(known[at])) continue;
      if (row < 0) row = at;
      from = at;
      if (this.timeline.times[at] <= oldest_ms()) break;
    }
    return [Math.max(0, from), Math.max(0, row)];
  }

  // Evaluates `value(row, from)` for each row at which `known` is known, with the nearest known row at least `window_s` before.
  private over(window_s: number, value: (row: number, from: number) => number, known: Float64Array): Float64Array {
    const { times } = this.timeline;
    const made = new Float64Array(this.length).fill(NaN);
    // Steps are as regular as control's clock, so half a step is allowed for.
    const window_ms = window_s * 1000 - this.timeline.step_s * 500;
    let [from, next, first] = [-1, 0, -1];
    for (let row = 0; row < this.length; row += 1) {
      if (Number.isNaN(known[row])) continue;
      if (first < 0) first = row;
      for (; next < row && times[row] - times[next] >= window_ms; next += 1) if (!Number.isNaN(known[next])) from = next;
      const begin = from < 0 ? first : from;
      if (begin < row) made[row] = value(row, begin);
    }
    return made;
  }

  // CPU and the like, which the gateway looks at every 5 s: the rate between the changes that are at least 4 s apart.
  slowRate(name: string, match: Match = {}): Float64Array {
    const grown = this.grown(name, match);
    const { times } = this.timeline;
    const made = new Float64Array(this.length).fill(NaN);
    const changes: number[] = [];
    for (let row = 0; row < this.length; row += 1) {
      if (Number.isNaN(grown[row])) continue;
      const before = changes[changes.length - 1];
      if (before === undefined || grown[row] !== grown[before]) changes.push(row);
      const newest = changes[changes.length - 1];
      const older = changes.findLast((it) => times[newest] - times[it] >= 4000);
      if (older !== undefined) made[row] = ((grown[newest] - grown[older]) / (times[newest] - times[older])) * 1000;
      else if (row > 0 && times[row] - times[newest] > 12_000) made[row] = 0;
    }
    return made;
  }
}

export function lastOf(values: Float64Array): number {
  return values[lastRowOf(values)] ?? NaN;
}

// The last row with a known value, or -1.
export function lastRowOf(values: Float64Array): number {
  return values.findLastIndex((it) => !Number.isNaN(it));
}

// Sums row by row; unknown where all are.
export function added(parts: readonly Float64Array[], length: number): Float64Array {
  if (parts.length === 1) return parts[0].slice(0, length);
  const sum = new Float64Array(length).fill(NaN);
  for (const part of parts) {
    for (let row = 0; row < length; row += 1) {
      if (!Number.isNaN(part[row])) sum[row] = (Number.isNaN(sum[row]) ? 0 : sum[row]) + part[row];
    }
  }
  return sum;
}

export function combined(a: Float64Array, b: Float64Array, value: (a: number, b: number) => number): Float64Array {
  return a.map((it, row) => value(it, b[row]));
}

// What a gauge grows by a second since it fell last.
export function growthSinceFall(values: Float64Array, times: Float64Array): number {
  let [first, last] = [-1, -1];
  values.forEach((it, row) => {
    if (Number.isNaN(it)) return;
    if (first < 0 || it < values[last] * 0.98) first = row;
    last = row;
  });
  return last > first && first >= 0 ? ((values[last] - values[first]) / (times[last] - times[first])) * 1000 : NaN;
}
