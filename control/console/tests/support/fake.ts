// A control process that does not exist: it serves the built page and the routes of /v1/console from a model, and does on
// demand what a real one does rarely. It keeps the rules of the interface that the page relies on.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { readFile } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import type { AddressInfo } from 'node:net';
import type { Attention, Disk, DiskFile, Found, LoggedEvent, Overview, Refusal } from '../../src/data/wire';
import { CSP, TYPES } from './files';
import { Model, USUAL, type Shape } from './model';

export const KNOWN_ID = '630bbdb51888a8b53dbbcbc0aa9266d56d56394f059247b069dd0a4e276da353';

interface Ring {
  step_s: number;
  keeps: number;
  first: number;
  t0_ms: number;
  rows: (number[] | null)[];
}

interface Stream {
  response: ServerResponse;
  step_s: number;
  ids: number[];
}

export class Fake {
  attention: Attention[] = [];
  refusals: Refusal[] = [];
  events: LoggedEvent[] = [];
  token: string | null = null;
  // A look-up is not answered.
  isMute = false;
  epoch = 'e000000000000001';
  // Requests that came, for tests that count them.
  readonly asked: string[] = [];
  private model: Model;
  private rings: Ring[] = [];
  private streams = new Set<Stream>();
  private readonly server: Server;
  private readonly timer: NodeJS.Timeout;
  private now_s = Math.floor(Date.now() / 1000);
  private sessions = new Set<string>();
  private isAway = false;
  private readonly leftOut = new Set<string>();

  constructor(private readonly dist: string, private readonly shape: Shape = USUAL, past_s = 1200) {
    this.model = new Model(shape, this.now_s - past_s);
    this.begin(past_s);
    this.server = createServer((request, response) => void this.answer(request, response));
    this.timer = setInterval(() => this.tick(), 1000);
  }

  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(port, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  // Control ends and begins anew: it has forgotten its history.
  restart(): void {
    this.epoch = `e${String(Number(this.epoch.slice(1)) + 1).padStart(15, '0')}`;
    this.begin(0);
    this.cutStreams();
  }

  cutStreams(): void {
    for (const { response } of this.streams) response.destroy();
    this.streams.clear();
  }

  away(why: string | null): void {
    this.isAway = why !== null;
    this.send(why === null ? 'back' : 'away', why === null ? {} : { why });
  }

  needAttention(attention: Attention[]): void {
    this.attention = attention;
    this.send('attention', attention);
  }

  firstRecord(): void {
    this.model.record();
  }

  // There is no memory any more for the series of this name.
  leaveOut(name: string): void {
    this.leftOut.add(name);
    this.send('series', {});
  }

  private kept() {
    return this.model.series.filter((it) => !this.leftOut.has(it.name));
  }

  private begin(past_s: number): void {
    const t0_ms = (this.now_s - past_s) * 1000;
    this.rings = [{ step_s: 1, keeps: 3600, first: 7, t0_ms, rows: [] }, { step_s: 10, keeps: 8640, first: 3, t0_ms, rows: [] }];
    for (let second = this.now_s - past_s; second < this.now_s; second += 1) this.take(second, this.model.step(second));
  }

  private take(second: number, values: number[]): void {
    for (const ring of this.rings) {
      if ((second * 1000 - ring.t0_ms) % (ring.step_s * 1000) !== 0) continue;
      ring.rows.push(values);
      if (ring.rows.length > ring.keeps) {
        ring.rows.shift();
        ring.first += 1;
        ring.t0_ms += ring.step_s * 1000;
      }
    }
  }

  private tick(): void {
    const now_s = Math.floor(Date.now() / 1000);
    for (; this.now_s < now_s; this.now_s += 1) {
      if (this.isAway) {
        for (const ring of this.rings) if ((this.now_s * 1000 - ring.t0_ms) % (ring.step_s * 1000) === 0) ring.rows.push(null);
        continue;
      }
      const values = this.model.step(this.now_s);
      const before = this.rings.map((it) => it.first + it.rows.length);
      this.take(this.now_s, values);
      this.rings.forEach((ring, at) => {
        const seq = ring.first + ring.rows.length - 1;
        if (ring.first + ring.rows.length === before[at]) return;
        for (const stream of this.streams) {
          if (stream.step_s === ring.step_s) write(stream.response, 'sample', { seq, t_ms: this.now_s * 1000, values: stream.ids.map((id) => values[id] ?? null) }, `${this.epoch}:${seq}`);
        }
      });
    }
  }

  private send(event: string, data: unknown): void {
    for (const { response } of this.streams) write(response, event, data);
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    this.asked.push(`${request.method} ${url.pathname}${url.search}`);
    if (url.pathname === '/') return void response.writeHead(307, { Location: '/console/' }).end();
    if (url.pathname === '/console/session') return this.session(request, response);
    if (url.pathname.startsWith('/console/')) return this.file(url.pathname.slice('/console/'.length) || 'index.html', request, response);
    const isKnown = this.token === null || this.sessions.has(/flk_session=(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? '');
    if (url.pathname === '/v1/console/whoami') {
      const actor = this.token === null ? 'local' : isKnown ? 'anna' : null;
      return json(response, { access: this.token === null ? 'local' : 'tokens', actor, role: actor === null ? null : 'observer', console: 'test', epoch: this.epoch });
    }
    if (!isKnown) return problem(response, 401, 'token_missing', 'Sign in with a token.');
    this.data(url, request, response);
  }

  private data(url: URL, request: IncomingMessage, response: ServerResponse): void {
    const route = url.pathname.replace('/v1/console/', '');
    const found = /^lookup\/([0-9a-f]{64})$/.exec(route);
    if (found && this.isMute) return;
    if (found) return found[1] === KNOWN_ID ? json(response, this.found(url.searchParams.get('tenant') ?? 'default')) : problem(response, 404, 'not_found', 'No outcome of this id is stored for this tenant.');
    switch (route) {
      case 'catalog':
        return json(response, { epoch: this.epoch, now_ms: this.now_s * 1000, left_out: this.model.series.length - this.kept().length, series: this.kept(), steps: this.rings.map((it) => ({ step_s: it.step_s, keeps_s: it.keeps * it.step_s, first_seq: it.first, next_seq: it.first + it.rows.length, t0_ms: it.t0_ms })) });
      case 'history':
        return this.history(url, response);
      case 'stream':
        return this.stream(url, request, response);
      case 'attention':
        return json(response, this.attention);
      case 'overview':
        return json(response, this.overview());
      case 'disk':
        return json(response, this.disk());
      case 'refusals':
        return this.isAway ? problem(response, 503, 'dataplane_away', 'no such file or directory') : json(response, this.refusals);
      case 'events':
        return json(response, this.events);
      default:
        return problem(response, 404, 'not_found', 'There is no such route.');
    }
  }

  private ids(names: string): number[] {
    const asked = names.split(',').filter((it) => it !== '');
    const fits = (name: string) => asked.some((it) => (it.endsWith('$') ? name === it.slice(0, -1) : name.startsWith(it)));
    return this.kept().filter((it) => fits(it.name)).map((it) => it.id);
  }

  private history(url: URL, response: ServerResponse): void {
    const ring = this.rings.find((it) => String(it.step_s) === url.searchParams.get('step_s'));
    const ids = this.ids(url.searchParams.get('names') ?? '');
    if (!ring) return problem(response, 400, 'query_invalid', 'step_s is 1 or 10');
    const from = Math.max(ring.first, Number(url.searchParams.get('from') ?? ring.first));
    const to = Math.min(ring.first + ring.rows.length, Number(url.searchParams.get('to') ?? Infinity));
    if ((to - from) * ids.length > 512 * 3600) return problem(response, 400, 'too_much', 'Too many columns or rows.');
    json(response, this.part(ring, ids, from, to));
  }

  private part(ring: Ring, ids: number[], from: number, to: number) {
    const rows = ring.rows.slice(from - ring.first, Math.max(from, to) - ring.first);
    return { epoch: this.epoch, step_s: ring.step_s, first: from, t0_ms: ring.t0_ms + (from - ring.first) * ring.step_s * 1000, series: ids, columns: ids.map((id) => rows.map((row) => row?.[id] ?? null)) };
  }

  private stream(url: URL, request: IncomingMessage, response: ServerResponse): void {
    const ring = this.rings.find((it) => String(it.step_s) === url.searchParams.get('step_s')) ?? this.rings[0];
    const ids = this.ids(url.searchParams.get('names') ?? '');
    const stream = { response, step_s: ring.step_s, ids };
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    const next_seq = ring.first + ring.rows.length;
    write(response, 'hello', { epoch: this.epoch, series: ids, next_seq });
    write(response, 'attention', this.attention);
    const [epoch, last] = String(request.headers['last-event-id'] ?? url.searchParams.get('last') ?? '').split(':');
    if (epoch === this.epoch && Number(last) + 1 < next_seq) write(response, 'replay', this.part(ring, ids, Math.max(ring.first, Number(last) + 1), next_seq), `${this.epoch}:${next_seq - 1}`);
    if (this.isAway) write(response, 'away', { why: 'The gateway was stopped.' });
    this.streams.add(stream);
    response.on('close', () => this.streams.delete(stream));
  }

  private session(request: IncomingMessage, response: ServerResponse): void {
    if (request.method === 'DELETE') {
      this.sessions.clear();
      return void response.writeHead(204).end();
    }
    let body = '';
    request.on('data', (it) => (body += it));
    request.on('end', () => {
      if ((JSON.parse(body) as { token: string }).token !== this.token) return problem(response, 401, 'token_required', 'Send Authorization: Bearer TOKEN; flk control token makes one.');
      const id = `s${this.sessions.size}`;
      this.sessions.add(id);
      response.writeHead(204, { 'Set-Cookie': `flk_session=${id}; HttpOnly; SameSite=Strict; Path=/; Max-Age=3600` }).end();
    });
  }

  private async file(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = join(this.dist, normalize(name));
    const bytes = path.startsWith(this.dist) ? await readFile(path).catch(() => null) : null;
    if (bytes === null) return problem(response, 404, 'not_found', 'There is no such file.');
    response.writeHead(200, { 'Content-Type': TYPES[name.split('.').pop() ?? ''] ?? 'application/octet-stream', 'Content-Security-Policy': CSP, 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer', 'Cache-Control': 'no-cache' });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  }

  private overview(): Overview {
    const now_ms = this.now_s * 1000;
    return {
      version: '0.2.0', commit: '0123456789abcdef', driver: 'uring', started_ms: now_ms - 3.6e6, address: 'http://127.0.0.1:8080', wal_dir: 'data/wal',
      shards: Array.from({ length: this.shape.shards }, (_, shard) => ({ shard, cpu: shard, node: 0 })),
      snapshot: { number: 8, since_ms: now_ms - 1.2e6, digest: '4be0' },
      tenants: this.shape.tenants.map((id, at) => ({ id, enabled: at !== 2, rate: at === 1 ? 400 : 0, bytes_per_second: 0, keys: [{ id: `${id.slice(0, 12)}-2026-11`, scheme: 'hmac-sha256', not_before_ms: null, not_after_ms: null }] })),
      first_record: ['flk pcs build golden/events/sample.csv > record.json', 'flk pcs sign record.json > signed.json', 'flk pcs submit signed.json'],
    };
  }

  private disk(): Disk {
    const now_ms = this.now_s * 1000;
    const file = (name: string, kind: DiskFile['kind'], state: DiskFile['state'], shard: number | null, mib: number, from_h: number, to_h: number, keys: number | null = null): DiskFile => ({ name, kind, state, shard, bytes: mib * 2 ** 20, first_ms: now_ms - from_h * 3.6e6, last_ms: now_ms - to_h * 3.6e6, keys });
    const closed = Array.from({ length: 18 }, (_, at) => file(`segment-${100 + at}.wal`, at < 9 ? 'packed' : 'segment', 'closed', at % 2, at < 9 ? 21 + at : 64, 72 - at * 4, 68 - at * 4));
    const slices = Array.from({ length: 6 }, (_, at) => file(`slice-${at + 1}`, 'slice', 'sealed', null, 30 + at * 25, 330 - at * 54, 276 - at * 54, 400_000 + at * 330_000));
    const open = [0, 1].map((shard) => file(`segment-${120 + shard}.wal`, 'segment', 'open', shard, 64, 0.2, 0));
    const files = this.shape.isEmpty ? open : [...closed, ...slices, ...open, { ...file('manifest', 'manifest', 'open', null, 1, 0, 0), first_ms: null, last_ms: null }];
    const used_bytes = files.reduce((sum, it) => sum + it.bytes, 0);
    return { cap_bytes: this.isAway ? null : 4 * 2 ** 30, free_bytes: this.isAway ? null : 12 * 2 ** 30, used_bytes, horizon_s: this.shape.isEmpty ? null : 3 * 86_400, horizon_max_s: 14 * 86_400, files, deleted_next: this.shape.isEmpty || this.isAway ? null : 'segment-100.wal' };
  }

  private found(tenant: string): Found {
    return { tenant, pcs_id: KNOWN_ID, status: 200, outcome: `{"pcs_id":"${KNOWN_ID}","accepted":true,"escalated":false}`, decided_ms: this.now_s * 1000 - 60_000, expires_ms: this.now_s * 1000 + 1.2e9, key_id: 'default-2026-11', params: '1', origin: 'log 1.0, record 1:3.0', slice: null };
  }
}

function write(response: ServerResponse, event: string, data: unknown, id?: string): void {
  response.write(`event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`);
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(JSON.stringify(value));
}

function problem(response: ServerResponse, status: number, code: string, detail: string): void {
  response.writeHead(status, { 'Content-Type': 'application/problem+json' }).end(JSON.stringify({ status, code, title: code, detail }));
}
