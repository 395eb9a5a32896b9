// What can be judged without a browser: what is computed of readings, how it is written, and what an address means.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lengthOf, parse, START, stepOf, write } from '../src/data/address';
import { clock, full } from '../src/data/clock';
import { growthSinceFall, lastOf, quantileOf, Reading, unwrapped } from '../src/data/derive';
import { Refused } from '../src/data/api';
import { Feed, linkAfter, rowsMaxOf } from '../src/data/feed';
import { Cutter } from '../src/data/sse';
import { Timeline } from '../src/data/timeline';
import { brief, text } from '../src/data/units';
import type { History, Refusal, Series } from '../src/data/wire';
import { csv } from '../src/data/csv';
import { gridOf } from '../src/data/grid';
import { isDue } from '../src/data/motion';
import { verdictOf, type KeyRow } from '../src/data/keys';
import { limitedOf, wholeSince } from '../src/data/refused';

const COUNTER: Series = { id: 4, name: 'n', labels: {}, kind: 'counter' };

function history(first: number, t0_ms: number, columns: (number | null)[][], series = [4]): History {
  return { epoch: 'e', step_s: 1, first, t0_ms, series, columns };
}

function timelineOf(values: (number | null)[], series: Series = COUNTER): Timeline {
  const timeline = new Timeline(1, 100);
  timeline.appendAll(history(0, 1000, [values]), timeline.bind([series]));
  return timeline;
}

const list = (values: Float64Array) => Array.from(values);

test('a counter that falls has begun anew, and what it counts then is growth', () => {
  assert.deepEqual(list(unwrapped(Float64Array.of(5, 8, 2, 2), 4)), [0, 3, 5, 5]);
});

test('a rate after a gap is the mean over the gap, and the gap stays a gap', () => {
  const reading = new Reading(timelineOf([10, 20, null, null, 80]), 1);
  assert.deepEqual(list(reading.rate('n')), [NaN, 10, NaN, NaN, 20]);
});

test('a window that is longer than what is known is the time that is known', () => {
  const reading = new Reading(timelineOf([0, 4, 8, 20]), 5);
  assert.equal(reading.rateNow('n'), 20 / 3);
  assert.equal(reading.rateNow('n', {}, 1), 12);
});

test('quantiles are linear within a bucket and end at the last edge', () => {
  const edges = [1, 2, 4, Infinity];
  assert.equal(quantileOf(0.5, edges, [0, 10, 20, 20]), 2);
  assert.equal(quantileOf(0.75, edges, [0, 10, 20, 20]), 3);
  assert.equal(quantileOf(0.99, edges, [0, 0, 0, 7]), 4);
  assert.ok(Number.isNaN(quantileOf(0.5, edges, [0, 0, 0, 0])));
});

test('the newest quantile is the last of all quantiles, of a shard alone and over a start of the gateway', () => {
  const timeline = new Timeline(1, 100);
  const of = (id: number, shard: string, le: string): Series => ({ id, name: 'h_bucket', labels: { shard, le }, kind: 'bucket' });
  const columns = timeline.bind([of(1, '0', '1'), of(2, '0', '2'), of(3, '0', '+Inf'), of(4, '1', '1'), of(5, '1', '2'), of(6, '1', '+Inf')]);
  for (let at = 0; at <= 40; at += 1) {
    const since = at < 30 ? at : at - 30;
    timeline.append(at * 1000, columns, at === 20 ? [] : [since, 10 * since + (at % 3), 12 * since + (at % 3), 9 * since, 9 * since, 9 * since]);
    const reading = new Reading(timeline, 5);
    for (const match of [{ shard: '0' }, { shard: '1' }, {}]) {
      const expected = lastOf(reading.quantiles([0.9], 'h', match)[0]);
      assert.equal(reading.quantileNow(0.9, 'h', match), expected, `${at} of ${JSON.stringify(match)}`);
    }
  }
  assert.equal(new Reading(timeline, 5).quantileNow(0.9, 'h', { shard: '1' }), 0.9);
  assert.ok(Number.isNaN(new Reading(timeline, 5).quantileNow(0.9, 'h', { shard: '2' })));
});

test('a sum that is there without a shard wins over the shards, which are added up otherwise', () => {
  const timeline = new Timeline(1, 10);
  const of = (id: number, labels: Record<string, string>): Series => ({ id, name: 'g', labels, kind: 'gauge' });
  const shards = timeline.bind([of(1, { shard: '0' }), of(2, { shard: '1' })]);
  timeline.append(1000, shards, [3, 4]);
  assert.equal(new Reading(timeline, 1).last('g'), 7);
  timeline.append(2000, [...shards, ...timeline.bind([of(3, {})])], [3, 4, 70]);
  const reading = new Reading(timeline, 1);
  assert.equal(reading.last('g'), 70);
  assert.equal(reading.last('g', { shard: '1' }), 4);
});

test('rows that are known already are not taken twice, and an epoch follows the other', () => {
  const timeline = timelineOf([1, 2, 3]);
  const columns = timeline.bind([COUNTER]);
  timeline.appendAll(history(1, 2000, [[2, 3, 4]]), columns);
  timeline.append(4000, columns, [9]);
  assert.deepEqual(list(timeline.times.subarray(0, timeline.length)), [1000, 2000, 3000, 4000]);
  assert.deepEqual(list(columns[0].values.subarray(0, 4)), [1, 2, 3, 4]);
});

test('a full timeline drops its oldest rows and keeps the columns beside each other', () => {
  const timeline = new Timeline(1, 8);
  const columns = timeline.bind([COUNTER, { ...COUNTER, id: 5, name: 'm' }]);
  for (let at = 1; at <= 20; at += 1) timeline.append(at * 1000, columns, [at, -at]);
  assert.ok(timeline.length <= 8);
  for (let row = 0; row < timeline.length; row += 1) {
    assert.equal(columns[0].values[row], timeline.times[row] / 1000);
    assert.equal(columns[1].values[row], -columns[0].values[row]);
  }
});

test('a series that is left out is forgotten, and its name with it', () => {
  const timeline = new Timeline(1, 10);
  const other: Series = { ...COUNTER, id: 5, labels: { tenant: 'x' } };
  timeline.append(1000, timeline.bind([COUNTER, other]), [1, 2]);
  timeline.keep([COUNTER]);
  const reading = new Reading(timeline, 1);
  assert.deepEqual([reading.last('n'), reading.last('n', { tenant: 'x' })], [1, NaN]);
  timeline.append(2000, timeline.bind([COUNTER, other]), [3, 4]);
  assert.deepEqual(list(timeline.named('n')[1].values.subarray(0, 2)), [NaN, 4]);
});

test('what the gateway looks at every five seconds is no saw of zeros and peaks', () => {
  const values = Array.from({ length: 21 }, (_, at) => Math.floor(at / 5) * 2.5);
  const busy = new Reading(timelineOf(values), 1).slowRate('n');
  assert.equal(lastOf(busy), 0.5);
  assert.ok(list(busy).slice(10).every((it) => it === 0.5));
});

test('questions stay within what control answers, however many series there are', () => {
  const many = (name: string, count: number): Series[] => Array.from({ length: count }, (_, id) => ({ id, name, labels: { id: String(id) }, kind: 'gauge' }));
  const series = [...many('a', 400), ...many('a_by_tenant', 112), ...many('b', 900), ...many('c', 20_000)];
  assert.equal(rowsMaxOf(['a$'], series), 3600);
  assert.equal(rowsMaxOf(['a', 'a_by'], series), 3600);
  assert.equal(rowsMaxOf(['b'], series), 2048);
  assert.equal(rowsMaxOf(['c'], series), 92);
  assert.equal(rowsMaxOf(['unknown'], series), 3600);
});

test('a token is asked for where one helps, and every other refusal is said with its words', () => {
  const lost = { state: 'lost', why: 'x', since_ms: 3 } as const;
  assert.deepEqual(linkAfter(new Refused(401, 'token_required', 'No token.'), lost, 7), { state: 'sign_in' });
  for (const status of [0, 400, 403, 404, 503]) {
    const refused = new Refused(status, 'a_code', 'The words.');
    assert.deepEqual(linkAfter(refused, { state: 'live' }, 7), { state: 'lost', why: 'The words.', since_ms: 7 });
    assert.deepEqual(linkAfter(refused, lost, 7), { state: 'lost', why: 'The words.', since_ms: 3 });
  }
});

test('events are cut out of a stream however it comes in pieces', () => {
  const stream = ': comment\n\nevent: sample\nid: e:7\ndata: {"a":\ndata: 1}\n\nevent: back\ndata: {}\n\nevent: half';
  const expect = [{ name: 'sample', data: '{"a":\n1}', id: 'e:7' }, { name: 'back', data: '{}', id: 'e:7' }];
  for (let size = 1; size <= stream.length; size += 1) {
    const cutter = new Cutter();
    const events = [];
    for (let at = 0; at < stream.length; at += size) events.push(...cutter.cut(stream.slice(at, at + size)));
    assert.deepEqual(events, expect, `pieces of ${size}`);
  }
});

test('numbers have three digits, a unit, and a dash where nothing is known', () => {
  const shown = (value: number, unit: Parameters<typeof text>[1]) => text(value, unit).replaceAll('\u202f', ' ');
  assert.equal(shown(0.000_001_5, 'seconds'), '1.50 µs');
  assert.equal(shown(0.999_6, 'seconds'), '1.00 s');
  assert.equal(shown(1234, 'rate'), '1 234/s');
  assert.equal(shown(12_345, 'rate'), '12.3 k/s');
  assert.equal(shown(0.2, 'count'), '0.20');
  assert.equal(shown(0.000_04, 'share'), '0.004 %');
  assert.equal(shown(1023.9 * 1024, 'bytes'), '1.00 MiB');
  assert.equal(shown(93_784, 'span'), '1 d 2 h');
  assert.equal(shown(NaN, 'bytes'), '–');
  const tick = (value: number, unit: Parameters<typeof text>[1]) => brief(value, unit).replaceAll('\u202f', ' ');
  assert.deepEqual([tick(0.8, 'share'), tick(1, 'seconds'), tick(0.0025, 'seconds'), tick(100, 'count'), tick(12_500, 'rate')], ['80 %', '1 s', '2.5 ms', '100', '12.5 k/s']);
});

test('an address says all of a view, and reads back as it was written', () => {
  const fixed = { ...START, page: 'lookup' as const, zone: 'local' as const, range: { kind: 'fixed' as const, from_ms: 1_764_000_000_000, to_ms: 1_764_000_060_000 }, more: { id: 'a&b=c', tenant: '<x>' } };
  assert.deepEqual(parse(write(fixed)), fixed);
  assert.deepEqual(parse(write({ ...START, page: 'runbook', detail: 'wal-errors' })).detail, 'wal-errors');
});

test('an address that makes no sense shows the first page', () => {
  for (const hash of ['', '#', '#/nowhere?range=7m', '#/overview?from=x&to=y', '#/overview?range=constructor', '#/%E0%A4%A']) assert.deepEqual({ ...parse(hash), detail: '' }, START, hash);
});

test('a long range, and one that is long over, are read in steps of ten seconds', () => {
  const now_ms = 1_764_000_000_000;
  const ended = (ago_s: number) => ({ kind: 'fixed' as const, from_ms: now_ms - ago_s * 1000, to_ms: now_ms - ago_s * 1000 + 60_000 });
  assert.equal(stepOf({ kind: 'live', name: '15m' }, now_ms), 1);
  assert.equal(stepOf({ kind: 'live', name: '1h' }, now_ms), 10);
  assert.equal(stepOf(ended(600), now_ms), 1);
  assert.equal(stepOf(ended(7200), now_ms), 10);
});

test('a copied cell is one cell, and never a formula', () => {
  assert.equal(csv([['a,b', '"', '=1+1', null, NaN, 1.5], ['x', '-3', '@y', 'line\nbreak', 0, -2]]), '"a,b","""",\'=1+1,,,1.5\r\nx,\'-3,\'@y,"line\nbreak",0,-2\r\n');
});

test('a time is written in its zone', () => {
  assert.equal(full(1_764_000_000_000, 'utc'), '2025-11-24 16:00:00Z');
  assert.equal(clock(1_764_000_000_000, 'utc', false), '16:00');
});

test('a heat map counts each bucket alone and loses nothing of the range', () => {
  const timeline = new Timeline(1, 100);
  const edge = (id: number, le: string): Series => ({ id, name: 'h_bucket', labels: { le }, kind: 'bucket' });
  const columns = timeline.bind([edge(1, '1'), edge(2, '2'), edge(3, '+Inf')]);
  for (let at = 0; at <= 60; at += 1) timeline.append(at * 1000, columns, [at, 3 * at, 3 * at + Math.floor(at / 30)]);
  const frame = { times: timeline.times, length: timeline.length, from_ms: 0, to_ms: 60_000, zone: 'utc' as const };
  const { counts, edges } = gridOf(frame, new Reading(timeline, 1).buckets('h'));
  const sums = edges.map((_, at) => counts.reduce((sum, it) => sum + it[at], 0));
  assert.deepEqual([edges, sums], [[1, 2, Infinity], [60, 120, 2]]);
});

test('growth is measured since the last seal', () => {
  const times = Float64Array.of(0, 1000, 2000, 3000, 4000);
  assert.equal(growthSinceFall(Float64Array.of(90, 100, 10, 14, 18), times), 4);
  assert.ok(Number.isNaN(growthSinceFall(Float64Array.of(100, 90), Float64Array.of(0, 1000))));
});

test('a key can go only beside another one that is used', () => {
  const key = (change: Partial<KeyRow>): KeyRow => ({ tenant: 't', id: 'old', scheme: 's', rate: 0, age_s: 86_400, used_s: 9 * 86_400, ends_s: NaN, ...change });
  const successor = key({ id: 'new', used_s: 3 });
  assert.match(verdictOf(key({}), [key({}), successor])[1], /can go/);
  assert.match(verdictOf(key({}), [key({})])[1], /not used/);
  assert.match(verdictOf(successor, [key({}), successor])[1], /in use/);
  assert.match(verdictOf(key({ used_s: 2, ends_s: 3600 }), [key({})])[1], /no other key is used/);
  assert.match(verdictOf(key({ used_s: 2, age_s: 100 * 86_400 }), [])[1], /rotate/);
});

test('what follows after a clock was set back is shown, and what stood at its times before goes', () => {
  const timeline = new Timeline(1, 100);
  const columns = timeline.bind([COUNTER]);
  timeline.appendAll(history(0, 100_000, [[1, 2, 3]]), columns);
  const next = { ...history(0, 50_000, [[7, 8]]), epoch: 'f' };
  timeline.appendAll(next, columns);
  timeline.append(52_000, columns, [9]);
  assert.equal(columns[0].values[timeline.length - 1], 9);
  const times = list(timeline.times.subarray(0, timeline.length));
  assert.deepEqual(times, [...times].sort((a, b) => a - b));
});

test('an address asks for no longer a time than control keeps', () => {
  for (const hash of ['#/overview?from=2000-01-01T00:00:00Z&to=2026-01-01T00:00:00Z', '#/overview?from=-271821-04-20T00:00:00Z&to=%2B275760-09-13T00:00:00Z']) {
    assert.ok(lengthOf(parse(hash).range) <= 86_400, `${hash}: ${lengthOf(parse(hash).range)} s`);
  }
});

test('a tab that is not looked at lets go of its stream, also where it broke meanwhile', async () => {
  const timers = new Map<number, [() => void, number]>();
  let [number, look] = [0, () => {}];
  const open = new Set<ReadableStreamDefaultController>();
  const page = { hidden: false, addEventListener: (_: string, it: () => void) => (look = it) };
  const setTimeout = (it: () => void, ms: number) => (timers.set((number += 1), [it, ms]), number);
  const catalog = { epoch: 'e', now_ms: 0, steps: [], series: [], left_out: 0 };
  const fetch = async (path: string, init: RequestInit) => {
    if (!path.startsWith('/v1/console/stream')) return Response.json(catalog);
    const start = (it: ReadableStreamDefaultController) => {
      open.add(it);
      init.signal?.addEventListener('abort', () => open.delete(it));
    };
    return new Response(new ReadableStream({ start }));
  };
  const before = { fetch: globalThis.fetch, document: globalThis.document, window: globalThis.window };
  Object.assign(globalThis, { document: page, fetch, window: { setTimeout, clearTimeout: (it: number) => timers.delete(it), setInterval: () => 0 } });
  const settle = async () => { for (let turn = 0; turn < 20; turn += 1) await new Promise((it) => setImmediate(it)); };
  const pass = async (ms: number) => {
    for (const [it, [run, after]] of [...timers]) if (after <= ms && timers.delete(it)) run();
    await settle();
  };
  const feed = new Feed(() => {});
  feed.show({ names: [], step_s: 1, length_s: 300, fixed: null });
  await settle();
  assert.equal(open.size, 1);
  page.hidden = true;
  look();
  for (const it of open) (open.delete(it), it.close());
  await settle();
  await pass(1000);
  assert.equal(open.size, 1, 'it comes again');
  await pass(60_000);
  assert.equal(open.size, 0, 'nobody looks');
  await pass(60_000);
  assert.equal(open.size, 0);
  page.hidden = false;
  look();
  await settle();
  assert.equal(open.size, 1);
  Object.assign(globalThis, before);
});

test('refusals say since when all of them are here, by the shard that reaches back least', () => {
  const of = (shard: number, count: number, every_ms: number): Refusal[] => Array.from({ length: count }, (_, at) => ({ t_ms: 1_000_000 - at * every_ms, status: at === 0 ? 401 : 429, code: 'x', tenant: null, key_id: null, shard }));
  const newest = (...parts: Refusal[][]) => parts.flat().sort((a, b) => b.t_ms - a.t_ms);
  assert.equal(wholeSince([]), -Infinity);
  assert.equal(wholeSince(of(0, 99, 10)), -Infinity);
  const busy = newest(of(0, 128, 10), of(1, 128, 2), of(2, 90, 100));
  assert.equal(wholeSince(busy), 1_000_000 - 127 * 2);
  assert.equal(limitedOf(busy), 127 + 127 + 89);
  const many = newest(...Array.from({ length: 10 }, (_, shard) => of(shard, 50, 1)));
  assert.equal(wholeSince(many), 1_000_000 - 49);
});

test('a plot is drawn again when it would move by two pixels, and whenever something else is looked at', () => {
  const drawn = { length: 300, from_ms: 0, to_ms: 300_000 };
  const due = (change: Partial<typeof drawn>, width = 430) => isDue(drawn, { times: new Float64Array(0), ...drawn, ...change }, width);
  assert.equal(due({}), false);
  assert.equal(due({ length: 301, from_ms: 1000, to_ms: 301_000 }), false);
  assert.equal(due({ length: 302, from_ms: 2000, to_ms: 302_000 }), true);
  assert.equal(due({ length: 301, from_ms: 1000, to_ms: 301_000 }, 1200), true);
  assert.equal(due({ length: 200, from_ms: 1000, to_ms: 301_000 }), true, 'the oldest rows have gone');
  assert.equal(due({ length: 301 }), true, 'rows of a range that has ended');
  assert.equal(due({ from_ms: -600_000 }), true, 'a longer range');
  assert.equal(due({ from_ms: -5000, to_ms: 295_000 }), true, 'an earlier range');
});
