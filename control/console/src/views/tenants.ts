// Tenants beside their quotas, and their keys: which are used, which age, and which can go.

import { day, type Zone } from '../data/clock';
import { combined, lastOf, type Reading } from '../data/derive';
import { grouped } from '../data/group';
import { verdictOf, type KeyRow } from '../data/keys';
import { text } from '../data/units';
import type { Overview } from '../data/wire';
import { h } from '../ui/dom';
import { Plot } from '../ui/plot';
import { Table, type TableColumn } from '../ui/table';
import type { Tone } from '../data/tone';
import type { Context, Shell, View } from './view';

interface TenantRow {
  id: string;
  isEnabled: boolean;
  rate: number;
  quota: number;
  accepted: number;
  duplicates: number;
  escalated: number;
  unauthentic: number;
  limited: number;
}

export class TenantsView implements View {
  readonly element: HTMLElement;
  readonly names = [
    'flk_ingest_by_tenant', 'flk_accepted_by_tenant', 'flk_escalated_by_tenant', 'flk_dedup_hits_by_tenant', 'flk_signature_errors_by_tenant', 'flk_rate_limited_by_tenant', 'flk_quota_exceeded_by_tenant',
    'flk_key_verified_total', 'flk_key_last_seen_seconds', 'flk_key_begins_seconds', 'flk_key_ends_seconds',
  ];
  private readonly tenants: Table<TenantRow>;
  private readonly keys: Table<KeyRow>;
  private readonly rates: Plot;
  private readonly limited: Plot;
  private byTenant = new Map<string, KeyRow[]>();

  constructor(shell: Shell) {
    const refusals = (it: TenantRow) => shell.href({ page: 'refusals', more: { q: it.id } });
    this.tenants = new Table({ title: 'Tenants', good: 'Within their quota; no 401.' }, tenantColumns(refusals), (it) => it.id, 'No tenant is known yet.');
    this.keys = new Table({ title: 'Keys', good: 'Each is used, younger than 90 days, and has a successor before it ends.' }, this.keyColumns(() => shell.address().zone), (it) => JSON.stringify([it.tenant, it.id]), 'No key is known yet.');
    this.rates = new Plot({ title: 'Records by tenant', unit: 'rate', class: 'wide', good: 'What each was planned for.' }, shell.chooseRange);
    this.limited = new Plot({ title: '429 by tenant', unit: 'rate', class: 'wide', good: '0, or meant.' }, shell.chooseRange);
    this.element = h('div', { class: 'page' }, this.tenants.element, this.keys.element, h('div', { class: 'grid' }, this.rates.element, this.limited.element));
  }

  private keyColumns(zone: () => Zone): TableColumn<KeyRow>[] {
    return [
      { title: 'Key', text: (it) => it.id },
      { title: 'Tenant', text: (it) => it.tenant },
      { title: 'Verdict', text: (it) => this.verdict(it)[1], tone: (it) => this.verdict(it)[0], isWide: true },
      { title: 'Verifies', text: (it) => text(it.rate, 'rate'), value: (it) => it.rate },
      { title: 'Last used', text: (it) => (Number.isNaN(it.used_s) ? 'not since the start' : `${text(it.used_s, 'span')} ago`), value: (it) => it.used_s },
      { title: 'Age', text: (it) => text(it.age_s, 'span'), value: (it) => it.age_s },
      { title: 'Ends', text: (it) => (Number.isNaN(it.ends_s) ? 'no end is set' : `${day(Date.now() + it.ends_s * 1000, zone())}`), value: (it) => it.ends_s },
      { title: 'Scheme', text: (it) => it.scheme },
    ];
  }

  // What an operator may do with a key. One can go only beside another key of its tenant that is used.
  private verdict(key: KeyRow): [Tone, string] {
    return verdictOf(key, this.byTenant.get(key.tenant) ?? []);
  }

  update({ reading, overview, frame }: Context): void {
    const rows = tenantRows(reading, overview);
    this.tenants.set(rows);
    const keys = keyRows(reading, overview, frame.to_ms);
    this.byTenant = grouped(keys, (it) => it.tenant);
    this.keys.set(keys);
    const busiest = rows.toSorted((a, b) => (b.rate || 0) - (a.rate || 0)).slice(0, 6).map((it) => it.id).sort();
    const own = (tenant: string) => ({ tenant });
    this.rates.set(frame, busiest.map((id) => ({ label: id, values: reading.rate('flk_ingest_by_tenant', own(id)) })));
    const limited = (id: string) => combined(reading.rate('flk_rate_limited_by_tenant', own(id)), reading.rate('flk_quota_exceeded_by_tenant', own(id)), (a, b) => a + (b || 0));
    this.limited.set(frame, busiest.map((id) => ({ label: id, values: limited(id) })));
  }

  end(): void {
    this.rates.end();
    this.limited.end();
  }
}

function tenantColumns(refusals: (row: TenantRow) => string): TableColumn<TenantRow>[] {
  return [
    { title: 'Tenant', text: (it) => it.id },
    { title: 'State', text: (it) => (it.isEnabled ? '✓ admitted' : '– off'), tone: (it) => (it.isEnabled ? 'ok' : 'idle') },
    { title: 'Records', text: (it) => text(it.rate, 'rate'), value: (it) => it.rate },
    { title: 'Quota', hint: 'Requests a second that it may send', text: (it) => (it.quota > 0 ? text(it.quota, 'rate') : 'no limit'), value: (it) => it.quota },
    { title: 'Of quota', text: (it) => (it.quota > 0 ? text(it.rate / it.quota, 'share') : '–'), value: (it) => it.rate / (it.quota || NaN), bar: (it) => it.rate / (it.quota || NaN), tone: (it) => (it.rate > it.quota * 0.9 && it.quota > 0 ? 'warn' : null) },
    { title: 'Accepted', text: (it) => text(it.accepted, 'rate'), value: (it) => it.accepted },
    { title: 'Duplicates', text: (it) => text(it.duplicates, 'rate'), value: (it) => it.duplicates },
    { title: '202', hint: 'Escalated', text: (it) => text(it.escalated, 'rate'), value: (it) => it.escalated, tone: (it) => (it.escalated > 0.02 * it.rate ? 'warn' : null) },
    { title: '401', hint: 'Without a valid signature', text: (it) => text(it.unauthentic, 'rate'), value: (it) => it.unauthentic, tone: (it) => (it.unauthentic > 0 ? 'warn' : null), link: refusals },
    { title: '429', hint: 'Over a rate or a quota of bytes', text: (it) => text(it.limited, 'rate'), value: (it) => it.limited, tone: (it) => (it.limited > 0 ? 'warn' : null), link: refusals },
  ];
}

function tenantRows(reading: Reading, overview: Overview | null): TenantRow[] {
  const declared = overview?.tenants ?? [];
  const ids = [...new Set([...declared.map((it) => it.id), ...reading.values('flk_ingest_by_tenant', 'tenant')])];
  return ids.map((id) => {
    const known = declared.find((it) => it.id === id);
    const rate = (name: string) => reading.rateNow(name, { tenant: id });
    return {
      id, isEnabled: known?.enabled ?? true, quota: known?.rate ?? NaN,
      rate: rate('flk_ingest_by_tenant'), accepted: rate('flk_accepted_by_tenant'), duplicates: rate('flk_dedup_hits_by_tenant'),
      escalated: rate('flk_escalated_by_tenant'), unauthentic: rate('flk_signature_errors_by_tenant'),
      limited: rate('flk_rate_limited_by_tenant') + (rate('flk_quota_exceeded_by_tenant') || 0),
    };
  });
}

function keyRows(reading: Reading, overview: Overview | null, now_ms: number): KeyRow[] {
  const columns = reading.timeline.named('flk_key_verified_total').filter((it) => !('shard' in it.labels));
  const now_s = now_ms / 1000;
  return columns.map(({ labels }) => {
    const own = { tenant: labels.tenant ?? '', key: labels.key ?? '' };
    const set = (name: string) => reading.last(name, own) || NaN;
    const declared = overview?.tenants.find((it) => it.id === own.tenant)?.keys.find((it) => it.id === own.key);
    const begins = set('flk_key_begins_seconds') || (declared?.not_before_ms ?? NaN) / 1000;
    return {
      tenant: own.tenant, id: own.key, scheme: declared?.scheme ?? '–',
      rate: lastOf(reading.rate('flk_key_verified_total', own, reading.window_s)),
      used_s: Math.max(0, now_s - set('flk_key_last_seen_seconds')), age_s: now_s - begins, ends_s: set('flk_key_ends_seconds') - now_s,
    };
  });
}
