// Keeps a timeline filled: history first, then the stream, resumed without a gap after each break. It owns the connection to
// control and what is known of it; what was read stays when control or the gateway goes away. It shows nothing.

import { api, Refused } from './api';
import { Stream, type Event } from './sse';
import { Timeline, type Column } from './timeline';
import type { Attention, Catalog, Hello, History, Sample, Series } from './wire';

export type Link =
  | { state: 'connecting' }
  | { state: 'live' }
  // Control answers, the gateway does not.
  | { state: 'away'; why: string; since_ms: number }
  // Control does not answer.
  | { state: 'lost'; why: string; since_ms: number }
  // Control wants a token.
  | { state: 'sign_in' };

export interface Want {
  // Beginnings of names of samples; whole names where they end with `$`.
  names: readonly string[];
  step_s: 1 | 10;
  length_s: number;
  // A range that has ended; nothing is added to it.
  fixed: { from_ms: number; to_ms: number } | null;
}

// Control answers with so many numbers at a time, rows times columns.
const NUMBERS_MAX = 512 * 3600;
const ROWS_MAX = 3600;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
// A stream that says nothing for so long is dead: control sends a comment each 15 s, a sample each 1 s or 10 s.
const SILENCE_MS = 40_000;
const HIDDEN_MS = 60_000;
// What the head of the page shows, whatever the page.
const ALWAYS = ['process_start_time_seconds$', 'flk_ingest_total'];

export class Feed {
  link: Link = { state: 'connecting' };
  timeline: Timeline;
  attention: Attention[] | null = null;
  catalog: Catalog | null = null;
  // Grows with each sample and each change of the link.
  version = 0;
  left_out = 0;
  private want: Want = { names: [], step_s: 1, length_s: 300, fixed: null };
  private order: Column[] = [];
  private stream: Stream | null = null;
  private last = '';
  private attempt = 0;
  private turn = 0;
  private timer = 0;
  private hidden = 0;
  // Nobody has looked for so long that nothing is asked.
  private isAsleep = false;
  private heard_ms = 0;

  constructor(private readonly changed: () => void) {
    this.timeline = new Timeline(1, 1);
    document.addEventListener('visibilitychange', () => this.visibility());
    if (document.hidden) this.visibility();
    window.setInterval(() => this.watch(), 5000);
  }

  show(want: Want): void {
    this.want = { ...want, names: [...new Set([...ALWAYS, ...want.names])] };
    const rows = Math.ceil((want.length_s / want.step_s) * 1.25) + 120;
    this.timeline = new Timeline(want.step_s, rows);
    this.catalog = null;
    this.last = '';
    if (this.link.state === 'sign_in') this.link = { state: 'connecting' };
    this.restart();
  }

  // Begins anew, and keeps the rows that are there.
  restart(): void {
    this.turn += 1;
    window.clearTimeout(this.timer);
    this.close();
    if (!this.isAsleep) void this.load(this.turn);
  }

  private async load(turn: number): Promise<void> {
    try {
      const catalog = await api.catalog();
      if (turn !== this.turn) return;
      const parts = await this.histories(catalog, turn);
      if (turn !== this.turn) return;
      this.catalog = catalog;
      this.left_out = catalog.left_out;
      this.open(catalog.epoch);
      this.attempt = 0;
      if (parts > 0 && this.link.state !== 'away') this.become({ state: 'live' });
    } catch (error) {
      if (turn === this.turn) this.failed(error);
    }
  }

  // Reads what is kept of the range, in questions that control answers. Gives the number of rows.
  private async histories(catalog: Catalog, turn: number): Promise<number> {
    const step = catalog.steps.find((it) => it.step_s === this.want.step_s);
    if (!step) return 0;
    const { from: begin_seq, to } = this.bounds(step);
    // After a break only what was missed.
    const [epoch, last] = this.last.split(':');
    if (epoch === catalog.epoch) this.timeline.keep(catalog.series);
    const from = epoch === catalog.epoch ? Math.max(begin_seq, Number(last) + 1) : begin_seq;
    const byId = new Map(catalog.series.map((it) => [it.id, it]));
    const rows_max = rowsMaxOf(this.want.names, catalog.series);
    for (let begin = from; begin < to; begin += rows_max) {
      const history = await api.history(this.want.step_s, begin, Math.min(to, begin + rows_max), this.want.names);
      if (turn !== this.turn) return 0;
      if (history.epoch === catalog.epoch) this.lay(history, byId);
    }
    this.last = `${catalog.epoch}:${to - 1}`;
    return to - from;
  }

  private bounds(step: { first_seq: number; next_seq: number; t0_ms: number; step_s: number }) {
    const { fixed, length_s } = this.want;
    const rows = Math.ceil(length_s / step.step_s) + 60;
    if (!fixed) return { from: Math.max(step.first_seq, step.next_seq - rows), to: step.next_seq };
    const seq = (t_ms: number) => step.first_seq + Math.round((t_ms - step.t0_ms) / (step.step_s * 1000));
    const clip = (it: number) => Math.min(step.next_seq, Math.max(step.first_seq, it));
    return { from: clip(seq(fixed.from_ms) - 60), to: clip(seq(fixed.to_ms) + 1) };
  }

  private lay(history: History, byId: ReadonlyMap<number, Series>): void {
    this.timeline.appendAll(history, this.timeline.bind(namedOf(history.series, byId)));
    this.bump();
  }

  private open(epoch: string): void {
    this.close();
    // A range that has ended takes no samples, but what needs attention, and whether the gateway answers, is told by the stream.
    const names = (this.want.fixed ? ALWAYS : this.want.names).join(',');
    const last = !this.want.fixed && this.last.startsWith(`${epoch}:`) ? `&last=${this.last}` : '';
    this.heard_ms = Date.now();
    const path = `/v1/console/stream?step_s=${this.want.step_s}&names=${names}${last}`;
    this.stream = new Stream(path, (it) => this.take(it), () => (this.heard_ms = Date.now()), (why) => this.failed(why));
  }

  private take({ name, data, id }: Event): void {
    switch (name) {
      case 'hello':
        return this.hello(JSON.parse(data) as Hello);
      case 'replay':
        return this.replay(JSON.parse(data) as History, id);
      case 'sample':
        return this.sample(JSON.parse(data) as Sample, id);
      case 'series':
        return this.restart();
      case 'attention':
        this.attention = JSON.parse(data) as Attention[];
        return this.bump();
      case 'away':
        return this.become({ state: 'away', why: whyOf(data), since_ms: Date.now() });
      case 'back':
        return this.become({ state: 'live' });
    }
  }

  private hello(hello: Hello): void {
    if (!this.catalog || hello.epoch !== this.catalog.epoch) return this.restart();
    const byId = new Map(this.catalog.series.map((it) => [it.id, it]));
    if (this.want.fixed) return this.greeted();
    // A series came between the catalog and the stream.
    if (!hello.series.every((id) => byId.has(id))) return this.restart();
    this.order = this.timeline.bind(namedOf(hello.series, byId));
    this.greeted();
  }

  private greeted(): void {
    this.attempt = 0;
    if (this.link.state !== 'live' && this.link.state !== 'away') this.become({ state: 'live' });
  }

  private sample(sample: Sample, id: string): void {
    if (this.want.fixed) return;
    this.timeline.append(sample.t_ms, this.order, sample.values);
    this.last = id;
    if (this.link.state === 'lost' || this.link.state === 'connecting') this.become({ state: 'live' });
    this.bump();
  }

  private replay(history: History, id: string): void {
    if (this.want.fixed) return;
    if (!this.catalog || history.epoch !== this.catalog.epoch) return this.restart();
    this.lay(history, new Map(this.catalog.series.map((it) => [it.id, it])));
    const rows = history.columns[0]?.length ?? 0;
    this.last = id !== '' ? id : `${history.epoch}:${history.first + rows - 1}`;
  }

  private failed(error: unknown): void {
    this.close();
    const refused = error instanceof Refused ? error : new Refused(0, 'fault', String(error));
    this.become(linkAfter(refused, this.link, Date.now()));
    if (this.link.state === 'sign_in') return;
    const wait_ms = RETRY_MS[Math.min(this.attempt, RETRY_MS.length - 1)] * (0.75 + Math.random() / 2);
    this.attempt += 1;
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.restart(), wait_ms);
  }

  // A page that is not looked at takes no stream from others; what it misses is replayed.
  private visibility(): void {
    window.clearTimeout(this.hidden);
    this.isAsleep = false;
    if (document.hidden) this.hidden = window.setTimeout(() => this.sleep(), HIDDEN_MS);
    else if (!this.stream && this.link.state !== 'sign_in') this.restart();
    else this.bump();
  }

  private sleep(): void {
    this.isAsleep = true;
    this.restart();
  }

  private watch(): void {
    const isSilent = this.stream !== null && Date.now() - this.heard_ms > SILENCE_MS;
    if (isSilent) this.failed(new Refused(0, 'no_answer', 'Control says nothing any more.'));
  }

  private close(): void {
    this.stream?.close();
    this.stream = null;
  }

  private become(link: Link): void {
    this.link = link;
    this.bump();
  }

  private bump(): void {
    this.version += 1;
    this.changed();
  }
}

function whyOf(data: string): string {
  return (JSON.parse(data) as { why?: string }).why ?? 'The gateway does not answer.';
}

// A token helps against 401 alone. Whatever else is refused is said, and asked again later: a page that signs in without being asked
// for a token would ask without a pause.
export function linkAfter(refused: Refused, before: Link, now_ms: number): Link {
  if (refused.status === 401) return { state: 'sign_in' };
  return { state: 'lost', why: refused.message, since_ms: before.state === 'lost' ? before.since_ms : now_ms };
}

// A series newer than the catalog has no name yet; its column goes nowhere.
export function namedOf(ids: readonly number[], byId: ReadonlyMap<number, Series>): Series[] {
  return ids.map((id) => byId.get(id) ?? { id, name: '', labels: { id: String(id) }, kind: 'gauge' });
}

function isNamed(name: string, asked: string): boolean {
  return asked.endsWith('$') ? name === asked.slice(0, -1) : name.startsWith(asked);
}

// Rows of all series with these names that control answers one question with.
export function rowsMaxOf(names: readonly string[], series: readonly Series[]): number {
  const count = series.filter((it) => names.some((name) => isNamed(it.name, name))).length;
  return Math.min(ROWS_MAX, Math.max(1, Math.floor(NUMBERS_MAX / Math.max(1, count))));
}
