// What the page shows, as the part of its address behind `#`, so that a view can be sent: page, range of time, zone and the
// page's own choices. Reading never fails: what makes no sense falls back to the default.

import type { Zone } from './clock';

export const PAGES = ['overview', 'path', 'shards', 'disk', 'dedup', 'tenants', 'lookup', 'refusals', 'events', 'runbook'] as const;
export type Page = (typeof PAGES)[number];

export const RANGES: Readonly<Record<string, number>> = { '5m': 300, '15m': 900, '1h': 3600, '6h': 21_600, '24h': 86_400 };

// Up to this long a range is drawn from readings of each second.
const FINE_S_MAX = 900;

export type Range = { kind: 'live'; name: string } | { kind: 'fixed'; from_ms: number; to_ms: number };

export interface Address {
  page: Page;
  // What stands behind the page: the name of a runbook.
  detail: string;
  range: Range;
  zone: Zone;
  // Choices of a page, such as the id to look up.
  more: Readonly<Record<string, string>>;
}

export const START: Address = { page: 'overview', detail: '', range: { kind: 'live', name: '5m' }, zone: 'utc', more: {} };

export function lengthOf(range: Range): number {
  return range.kind === 'live' ? RANGES[range.name] : (range.to_ms - range.from_ms) / 1000;
}

// A fixed range that began more than an hour ago has readings of ten seconds only.
export function stepOf(range: Range, now_ms: number): 1 | 10 {
  if (lengthOf(range) > FINE_S_MAX) return 10;
  return range.kind === 'fixed' && now_ms - range.from_ms > 3_500_000 ? 10 : 1;
}

// Control keeps no more, and a page has memory for no more.
const RANGE_MS_MAX = 86_400_000;

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function rangeOf(query: URLSearchParams): Range {
  const [from, to] = [Date.parse(query.get('from') ?? ''), Date.parse(query.get('to') ?? '')];
  if (to - from >= 1000) return { kind: 'fixed', from_ms: Math.max(from, to - RANGE_MS_MAX), to_ms: to };
  const name = query.get('range') ?? '';
  return Object.hasOwn(RANGES, name) ? { kind: 'live', name } : START.range;
}

export function parse(hash: string): Address {
  const [path, search = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [first, ...rest] = path.split('/');
  const query = new URLSearchParams(search);
  const own = [...query].filter(([name]) => !['range', 'from', 'to', 'tz'].includes(name));
  return {
    page: PAGES.find((it) => it === first) ?? START.page,
    detail: decoded(rest.join('/')),
    range: rangeOf(query),
    zone: query.get('tz') === 'local' ? 'local' : 'utc',
    more: Object.fromEntries(own),
  };
}

export function write(address: Address): string {
  const query = new URLSearchParams();
  const { range } = address;
  if (range.kind === 'fixed') {
    query.set('from', new Date(range.from_ms).toISOString());
    query.set('to', new Date(range.to_ms).toISOString());
  } else query.set('range', range.name);
  query.set('tz', address.zone);
  for (const [name, value] of Object.entries(address.more)) if (value !== '') query.set(name, value);
  const detail = address.detail === '' ? '' : `/${encodeURIComponent(address.detail)}`;
  return `#/${address.page}${detail}?${query.toString().replaceAll('%3A', ':')}`;
}
