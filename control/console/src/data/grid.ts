// A histogram over time as a grid: columns of time, rows of buckets, and how many values fell into each.

import type { Buckets } from './derive';

const COLUMNS_MAX = 120;

// Rows of a timeline, and the range of time that is looked at.
export interface Span {
  times: Float64Array;
  length: number;
  from_ms: number;
  to_ms: number;
}

export interface Grid {
  // How long a column is.
  span_ms: number;
  // For each column of time its end, and the counts of each bucket.
  times: number[];
  counts: number[][];
  edges: number[];
  max: number;
}

// Counts of each bucket, in at most 120 columns of the shown range.
export function gridOf(frame: Span, { edges, grown }: Buckets): Grid {
  // Whole readings, so that columns of the same load are equally dark.
  const step_ms = frame.length > 1 ? frame.times[frame.length - 1] - frame.times[frame.length - 2] : 1000;
  const span_ms = Math.max(1, Math.ceil((frame.to_ms - frame.from_ms) / COLUMNS_MAX / step_ms)) * step_ms;
  const rows: number[] = [];
  // Columns begin at the same times whatever range is looked at, so that they do not flicker as time goes on.
  let column = -Infinity;
  for (let row = 0; row < frame.length; row += 1) {
    const at = Math.floor((frame.times[row] + 250) / span_ms);
    if (frame.times[row] < frame.from_ms - span_ms || at === column || Number.isNaN(grown[0]?.[row] ?? NaN)) continue;
    rows.push(row);
    column = at;
  }
  const counts = rows.slice(1).map((row, at) => {
    const cumulative = grown.map((it) => it[row] - it[rows[at]]);
    return cumulative.map((it, edge) => Math.max(0, it - (edge === 0 ? 0 : cumulative[edge - 1])));
  });
  const max = Math.max(1, ...counts.flat());
  return { span_ms, times: rows.slice(1).map((row) => frame.times[row]), counts, edges, max };
}
