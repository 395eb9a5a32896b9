// The last refusals: when, why, whose. Never what was sent.

import { api } from '../data/api';
import { clock, full, type Zone } from '../data/clock';
import { Polled } from '../data/polled';
import { limitedOf, wholeSince } from '../data/refused';
import { text } from '../data/units';
import type { Refusal } from '../data/wire';
import { h, mark, say } from '../ui/dom';
import { Plot } from '../ui/plot';
import { Table } from '../ui/table';
import { Filter } from './filter';
import { outcomeLines } from './outcomes';
import type { Context, Shell, View } from './view';

interface Group {
  code: string;
  status: number;
  tenant: string;
  count: number;
  last_ms: number;
}

export class RefusalsView implements View {
  readonly element: HTMLElement;
  readonly names = ['http_requests_total', 'flk_accepted$', 'flk_escalated$', 'flk_dedup_hits$'];
  private readonly plot: Plot;
  private readonly groups: Table<Group>;
  private readonly list: Table<Refusal & { key: string }>;
  private readonly filter: Filter;
  private readonly reach = h('p', { class: 'under' });
  private readonly refusals: Polled<Refusal[]>;

  constructor(shell: Shell) {
    this.refusals = new Polled(() => api.refusals(), 2000, () => shell.redraw());
    this.filter = new Filter(shell, 'code, tenant, key');
    const time = (t_ms: number) => full(t_ms, shell.address().zone);
    this.plot = new Plot({ title: 'Refusals by answer', unit: 'rate', class: 'wide', good: '401 below one a second; 429 where a rate is meant to hold.' }, shell.chooseRange);
    this.groups = new Table<Group>({ title: 'By reason and tenant', class: 'wide', good: 'Of the refusals that are kept, the most frequent first.' }, [
      { title: 'Reason', text: (it) => it.code },
      { title: 'Status', text: (it) => String(it.status), value: (it) => it.status },
      { title: 'Tenant', text: (it) => it.tenant },
      { title: 'Count', text: (it) => text(it.count, 'count'), value: (it) => it.count },
      { title: 'Last', text: (it) => clock(it.last_ms, shell.address().zone), value: (it) => it.last_ms },
    ], (it) => JSON.stringify([it.code, it.tenant]), 'Nothing was refused.');
    this.list = new Table<Refusal & { key: string }>({ title: 'The last refusals' }, [
      { title: 'Time', text: (it) => time(it.t_ms) },
      { title: 'Status', text: (it) => String(it.status), value: (it) => it.status },
      { title: 'Reason', text: (it) => it.code },
      { title: 'Field', text: (it) => it.field ?? '–' },
      { title: 'Tenant', text: (it) => it.tenant ?? 'not named' },
      { title: 'Key', text: (it) => it.key_id ?? '–' },
      { title: 'Shard', text: (it) => String(it.shard), value: (it) => it.shard },
    ], (it) => it.key, 'Nothing was refused, or nothing fits the filter.');
    this.element = h('div', { class: 'page' }, this.filter.element, h('div', { class: 'grid' }, this.plot.element, this.groups.element), this.reach, this.list.element);
  }

  update({ reading, frame, address }: Context): void {
    this.filter.update();
    // No row says that nothing was refused only where that was read.
    const { value, fault } = this.refusals;
    for (const table of [this.groups, this.list]) mark(table.element, 'hidden', value ? null : '');
    say(this.reach, value ? reachOf(value, address.zone) : (fault ?? 'Not read yet.'));
    const refused = outcomeLines(reading, reading.timeline.step_s).slice(3);
    this.plot.set(frame, refused.length > 0 ? refused : [{ label: '4xx', values: reading.rate('http_requests_total', (labels) => (labels.code ?? '').startsWith('4')) }]);
    const kept = (value ?? []).filter((it) => this.filter.keeps([it.code, String(it.status), it.tenant ?? '', it.key_id ?? '']));
    this.groups.set(grouped(kept));
    this.list.set(keyed(kept));
  }

  end(): void {
    this.refusals.end();
    this.plot.end();
  }
}

// How far back the list reaches. What was pushed out is still counted in the plot.
function reachOf(refusals: readonly Refusal[], zone: Zone): string {
  const since_ms = wholeSince(refusals);
  if (since_ms === -Infinity) return 'Each shard keeps its last 128 refusals; none of them has gone since the gateway started.';
  const limited = limitedOf(refusals);
  const crowd = limited * 2 > refusals.length ? ` ${text(limited, 'count')} of ${text(refusals.length, 'count')} are 429, so others soon have no room: the plot counts those that have gone.` : '';
  return `Each shard keeps its last 128 refusals: all since ${full(since_ms, zone)} are here, and what was before has gone.${crowd}`;
}

// Refusals of the same moment are told apart by how many of them came before.
function keyed(refusals: readonly Refusal[]): (Refusal & { key: string })[] {
  const seen = new Map<string, number>();
  return refusals.toReversed().map((it) => {
    const same = JSON.stringify([it.t_ms, it.status, it.code, it.tenant, it.key_id, it.shard]);
    const before = seen.get(same) ?? 0;
    seen.set(same, before + 1);
    return { ...it, key: `${same}#${before}` };
  }).reverse();
}

function grouped(refusals: readonly Refusal[]): Group[] {
  const groups = new Map<string, Group>();
  for (const it of refusals) {
    const tenant = it.tenant ?? 'not named';
    const key = JSON.stringify([it.code, tenant]);
    const group = groups.get(key) ?? { code: it.code, status: it.status, tenant, count: 0, last_ms: 0 };
    groups.set(key, { ...group, count: group.count + 1, last_ms: Math.max(group.last_ms, it.t_ms) });
  }
  return [...groups.values()].sort((a, b) => b.count - a.count);
}
