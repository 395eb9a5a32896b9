// What became of records, as lines of a plot: first outcomes, duplicates and refusals, each with the colour of its meaning.

import { added, combined, type Reading } from '../data/derive';
import type { Line } from '../ui/plot';

export const OUTCOME_NAMES = ['flk_accepted$', 'flk_escalated$', 'flk_dedup_hits$', 'http_requests_total'];

function code(begin: string) {
  return (labels: Readonly<Record<string, string>>) => (labels.code ?? '').startsWith(begin);
}

// Answers that are no 2xx, by what the sender has to do about it.
const REFUSED: readonly [string, string, (labels: Readonly<Record<string, string>>) => boolean][] = [
  ['400 malformed', 's4', code('400')],
  ['401 not authentic', 's5', code('401')],
  ['429 over a rate', 's6', code('429')],
  ['other 4xx', 's3', (labels) => code('4')(labels) && !['400', '401', '429'].includes(labels.code)],
  ['5xx', 'bad', code('5')],
];

export function outcomeLines(reading: Reading, window_s: number): Line[] {
  const rate = (name: string, match = {}) => reading.rate(name, match, window_s);
  const lines: Line[] = [
    { label: 'accepted', values: rate('flk_accepted'), color: 'ok' },
    { label: 'duplicate', values: rate('flk_dedup_hits'), color: 's1' },
    { label: '202 escalated', values: rate('flk_escalated'), color: 'warn' },
  ];
  for (const [label, color, match] of REFUSED) {
    const values = reading.rate('http_requests_total', match, window_s);
    if (values.some((it) => it > 0)) lines.push({ label, values, color });
  }
  return lines;
}

// How a promise of a share of answers stands: what was bad, of how many, and what is left of the budget, from 1 down to below 0.
export interface Budget {
  bad: number;
  all: number;
  left: number;
}

function budget(bad: Float64Array, all: Float64Array, allowed: number): Budget {
  const total = (values: Float64Array) => values.reduce((max, it) => (it > max ? it : max), 0);
  const [wrong, many] = [total(bad), total(all)];
  return { bad: wrong, all: many, left: many > 0 ? 1 - wrong / many / allowed : NaN };
}

export function availability(reading: Reading): Budget {
  return budget(reading.grown('http_requests_total', code('5')), reading.grown('http_requests_total'), 0.001);
}

export function escalation(reading: Reading): Budget {
  const bad = combined(reading.grown('flk_escalated'), reading.grown('http_requests_total', code('5')), (a, b) => (a || 0) + (b || 0));
  return budget(bad, reading.grown('flk_ingest_total'), 0.02);
}

export function waiting(reading: Reading): Float64Array {
  return added(['flk_log_waiting', 'flk_room_waiting', 'flk_memory_waiting'].map((it) => reading.gauge(it)), reading.length);
}
