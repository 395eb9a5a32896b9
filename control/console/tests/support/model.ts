// Readings of a gateway that does not exist, for states that a real one takes days to reach: a full day, tenants with
// hostile names, old keys. The same second gives the same numbers.

import type { Labels, Series } from '../../src/data/wire';

const LATENCY = [0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5, 1, 2, 5];
const STAGE = [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5];
const STAGES: Readonly<Record<string, number>> = { framing: 8e-6, parse: 3e-5, signature: 6e-5, verify: 9e-5, owner_hop: 2e-5, wal_wait: 9e-4, decision_wait: 6e-4, reply: 1.5e-5 };

export const HOSTILE = ['<img src=x onerror=alert(1)>', '"><script>alert(2)</script>', '=HYPERLINK("x")', '\u202eevil', 'a'.repeat(64)];

export interface Shape {
  tenants: readonly string[];
  shards: number;
  // No record has come.
  isEmpty: boolean;
}

export const USUAL: Shape = { tenants: ['default', 'acme', 'north.sea'], shards: 2, isEmpty: false };

// A number from 0 to 1 that looks random and follows from its arguments.
function noise(a: number, b: number): number {
  const it = Math.sin(a * 12.9898 + b * 78.233) * 43_758.5453;
  return it - Math.floor(it);
}

export class Model {
  readonly series: Series[] = [];
  private readonly values: number[] = [];
  private readonly at = new Map<string, number>();
  private second = 0;

  constructor(private readonly shape: Shape, private readonly started_s: number) {
    this.step(started_s);
    // All series are there from the first reading on.
    this.second = 0;
    this.values.fill(0);
  }

  // The readings one second later.
  step(now_s: number): number[] {
    this.second += 1;
    const { shape } = this;
    this.set('process_start_time_seconds', {}, this.started_s);
    this.set('flk_control_dataplane_up', {}, 1);
    const rate = shape.isEmpty ? 0 : Math.round(900 + 400 * Math.sin(this.second / 90) + 120 * noise(this.second, 1));
    this.requests(rate, now_s);
    this.log(rate);
    this.memory(rate);
    for (let shard = 0; shard < shape.shards; shard += 1) this.shard(shard, rate, now_s);
    shape.tenants.forEach((tenant, at) => this.tenant(tenant, at, rate, now_s));
    return [...this.values];
  }

  record(): void {
    this.add('flk_ingest_total', {}, 1);
    this.add('flk_accepted', {}, 1);
    this.add('http_requests_total', { code: '200' }, 1);
    this.histogram('http_request_duration_seconds', {}, LATENCY, 1, 0.0004);
    this.set('flk_dedup_keys', {}, 1);
  }

  private requests(rate: number, now_s: number): void {
    const part = (share: number, salt: number) => Math.round(rate * share * (0.8 + 0.4 * noise(this.second, salt)));
    const [hits, escalated, bad, malformed, limited] = [part(0.4, 2), part(0.006, 3), part(0.004, 4), part(0.003, 5), part(0.01, 6)];
    const slow = Math.floor(now_s / 240) % 7 === 3;
    const failed = slow && noise(this.second, 7) > 0.9 ? 1 : 0;
    const accepted = Math.max(0, rate - hits - escalated - bad - malformed - limited - failed);
    this.add('flk_ingest_total', {}, rate);
    this.add('flk_accepted', {}, accepted);
    this.add('flk_escalated', {}, escalated);
    this.add('flk_dedup_hits', {}, hits);
    this.add('flk_dedup_conflicts', {}, 0);
    this.add('flk_claim_faults_total', {}, 0);
    const codes: Record<string, number> = { 200: accepted + hits, 202: escalated, 400: malformed, 401: bad, 404: 0, 429: limited, 503: failed };
    for (const [code, count] of Object.entries(codes)) this.add('http_requests_total', { code }, count);
    this.histogram('http_request_duration_seconds', {}, LATENCY, rate, slow ? 0.004 : 0.0011);
    for (const [stage, mean] of Object.entries(STAGES)) this.histogram('flk_stage_seconds', { stage }, STAGE, Math.ceil(rate / 12), slow && stage.endsWith('wait') ? mean * 4 : mean);
    for (const result of ['found', 'not_found', 'limited', 'unavailable']) this.add('flk_look_ups_total', { result }, result === 'found' ? part(0.01, 8) : 0);
    this.set('flk_log_waiting', {}, Math.round(rate * 0.004 * noise(this.second, 9) * (slow ? 6 : 1)));
    this.set('flk_room_waiting', {}, slow ? Math.round(12 * noise(this.second, 10)) : 0);
    for (const name of ['flk_memory_waiting', 'flk_share_waiting', 'flk_look_ups_waiting']) this.set(name, {}, 0);
    this.set('flk_requests_in_flight', {}, Math.round(rate * 0.006));
    this.set('flk_unsent_bytes', {}, rate * 3);
    this.set('flk_mailbox_messages', {}, Math.round(3 * noise(this.second, 11)));
    this.set('flk_mailbox_messages_max', {}, rate === 0 ? 0 : 41);
  }

  private log(rate: number): void {
    const flushes = rate === 0 ? 0 : 180 + Math.round(40 * noise(this.second, 20));
    this.histogram('flk_wal_flush_seconds', {}, STAGE, flushes, 0.00045);
    this.add('flk_wal_bytes_written', {}, rate * 900);
    this.add('flk_wal_syncs', {}, flushes);
    this.add('flk_wal_errors', {}, 0);
    this.set('flk_wal_segments', {}, rate === 0 ? 2 : 14);
    this.set('flk_wal_horizon_seconds', {}, rate === 0 ? 0 : 3 * 86_400 + this.second);
    this.set('flk_wal_horizon_seconds_max', {}, 14 * 86_400);
  }

  private memory(rate: number): void {
    const keys = rate === 0 ? 0 : 200_000 + (this.second * 700) % 2_500_000;
    this.set('flk_dedup_keys', {}, keys);
    this.set('flk_dedup_bytes', {}, keys * 96);
    this.set('flk_dedup_bytes_max', {}, 2 ** 30);
    this.set('flk_slices', {}, rate === 0 ? 0 : 6);
    this.set('flk_slice_memory_bytes', {}, rate === 0 ? 0 : 48e6);
    this.set('flk_slice_memory_bytes_max', {}, 2 ** 29);
    this.add('flk_slice_reads_total', {}, Math.round(rate * 0.03));
    this.add('flk_slice_read_errors_total', {}, 0);
    this.add('flk_slice_blocks_damaged_total', {}, 0);
    this.set('flk_connections', {}, rate === 0 ? 0 : 64);
  }

  private shard(shard: number, rate: number, now_s: number): void {
    const own = { shard: String(shard) };
    const share = (shard === 0 ? 1.16 : 0.84) / this.shape.shards;
    this.set('flk_shard_stuck', own, 0);
    if (now_s % 5 === 0) {
      this.add('flk_shard_cpu_seconds_total', own, 5 * (0.03 + (rate / 2600) * share));
      this.add('flk_shard_involuntary_switches_total', own, Math.round(8 * noise(this.second, shard)));
      this.add('flk_shard_steal_seconds_total', own, 0.02);
    } else for (const name of ['cpu_seconds', 'involuntary_switches', 'steal_seconds']) this.add(`flk_shard_${name}_total`, own, 0);
    this.add('flk_ingest_total', own, Math.round(rate * share));
    this.add('flk_wal_batch_records_sum', own, rate * share * 2);
    this.add('flk_wal_batch_records_count', own, rate === 0 ? 0 : 95);
    this.histogram('flk_wal_flush_seconds', own, STAGE, rate === 0 ? 0 : 95, shard === 0 ? 0.0004 : 0.0005);
    this.add('flk_stage_seconds_count', { ...own, stage: 'owner_hop' }, Math.round(rate * share));
    this.set('flk_dedup_keys', own, rate === 0 ? 0 : Math.round((200_000 + this.second * 700) * share));
    this.set('flk_connections', own, rate === 0 ? 0 : shard === 0 ? 37 : 27);
  }

  private tenant(tenant: string, at: number, rate: number, now_s: number): void {
    const share = [0.6, 0.3, 0.1][at] ?? 0.01;
    const own = { tenant };
    const part = Math.round(rate * share);
    this.add('flk_ingest_by_tenant', own, part);
    this.add('flk_accepted_by_tenant', own, Math.round(part * 0.57));
    this.add('flk_escalated_by_tenant', own, Math.round(part * 0.006));
    this.add('flk_dedup_hits_by_tenant', own, Math.round(part * 0.4));
    this.add('flk_signature_errors_by_tenant', own, at === 1 ? Math.round(part * 0.01) : 0);
    this.add('flk_rate_limited_by_tenant', own, at === 1 ? Math.round(part * 0.03) : 0);
    this.add('flk_quota_exceeded_by_tenant', own, 0);
    for (const [key, isOld] of [[`${tenant.slice(0, 12)}-2026-11`, false], [`${tenant.slice(0, 12)}-2026-06`, true]] as const) {
      const of = { tenant, key };
      this.add('flk_key_verified_total', of, isOld ? 0 : part);
      this.set('flk_key_last_seen_seconds', of, isOld ? now_s - 12 * 86_400 : rate === 0 ? 0 : now_s);
      this.set('flk_key_begins_seconds', of, now_s - (isOld ? 150 : 20) * 86_400);
      this.set('flk_key_ends_seconds', of, isOld ? now_s + 9 * 86_400 : 0);
    }
  }

  private histogram(name: string, labels: Labels, edges: readonly number[], count: number, typical: number): void {
    let sum = 0;
    const below = edges.map((edge) => {
      // A logistic curve over the logarithm of time: half of all stay below what is typical.
      const share = 1 / (1 + (typical / edge) ** 2.6);
      return Math.round(count * share);
    });
    below.forEach((it, at) => (sum += (it - (below[at - 1] ?? 0)) * edges[at] * 0.7));
    edges.forEach((edge, at) => this.add(`${name}_bucket`, { ...labels, le: String(edge) }, below[at], 'bucket'));
    this.add(`${name}_bucket`, { ...labels, le: '+Inf' }, count, 'bucket');
    this.add(`${name}_sum`, labels, sum);
    this.add(`${name}_count`, labels, count);
  }

  private slot(name: string, labels: Labels, kind: Series['kind']): number {
    const key = JSON.stringify([name, labels]);
    let slot = this.at.get(key);
    if (slot === undefined) {
      slot = this.series.length;
      this.at.set(key, slot);
      this.series.push({ id: slot, name, labels, kind });
      this.values.push(0);
    }
    return slot;
  }

  private add(name: string, labels: Labels, by: number, kind: Series['kind'] = 'counter'): void {
    this.values[this.slot(name, labels, kind)] += by;
  }

  private set(name: string, labels: Labels, value: number): void {
    this.values[this.slot(name, labels, 'gauge')] = value;
  }
}
