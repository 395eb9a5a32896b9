// The path of a record as a picture: five places one after the other, the stages in each with their time now, and between
// them what waits there.

import { lastOf, type Reading } from '../data/derive';
import { many, text } from '../data/units';
import { h, mark, say } from '../ui/dom';
import { panel } from '../ui/panel';
import { HeatMap } from '../ui/heat';
import { Plot } from '../ui/plot';
import { meanNow } from './lane';
import { OF, STAGES, type Stage } from './stages';
import type { Context, Shell, View } from './view';

interface Place {
  group: Stage['group'];
  title: string;
  what: string;
  // Queues in front of it: title and gauge.
  queues: readonly (readonly [string, string])[];
}

const PLACES: readonly Place[] = [
  { group: 'in', title: 'Connection', what: 'bytes become requests', queues: [['wait for memory', 'flk_memory_waiting'], ['open connections', 'flk_connections']] },
  { group: 'turn', title: 'Shard', what: 'the body is in the open batch; it is judged', queues: [['wait for room', 'flk_room_waiting'], ['of those, for a share', 'flk_share_waiting']] },
  { group: 'owner', title: 'Owner of the key', what: 'first, duplicate or conflict', queues: [['messages a turn', 'flk_mailbox_messages'], ['look-ups wait', 'flk_look_ups_waiting']] },
  { group: 'disk', title: 'Log', what: 'one write for the whole batch', queues: [['answers wait', 'flk_log_waiting'], ['in flight', 'flk_requests_in_flight']] },
  { group: 'out', title: 'Answer', what: 'only of what is durable', queues: [['not taken by clients', 'flk_unsent_bytes']] },
];

interface Shown {
  mean: HTMLElement;
  late: HTMLElement;
  bar: HTMLElement;
  item: HTMLElement;
}

export class PathView implements View {
  readonly element: HTMLElement;
  readonly names = ['flk_stage_seconds', 'http_request_duration_seconds', 'flk_wal_flush_seconds', 'flk_look_ups_waiting$', ...PLACES.flatMap((it) => it.queues.map(([, name]) => `${name}$`))];
  private readonly stages = new Map<string, Shown>();
  private readonly queues = new Map<string, HTMLElement>();
  private readonly words = h('p', { class: 'verdict-line' });
  private readonly lines: Plot;
  private readonly queued: Plot;
  private readonly heat: HeatMap;
  private means = new Map<string, number>();

  constructor(shell: Shell) {
    const rows = () => [['stage', 'mean (s)', 'time is'], ...STAGES.map((it) => [it.title, this.means.get(it.name) ?? null, OF[it.of]])];
    const flow = panel({ title: 'Path of a record, now', class: 'flow-panel', rows }, this.words,
      h('ol', { class: 'flow' }, ...PLACES.map((it) => this.place(it))),
      h('p', { class: 'under' }, 'Means of the last seconds, with the time that 99 of 100 stay below. Frame, parse, signature, verify and reply are times of a turn, measured in one turn of 17; waits for the log are times of a batch; claim is the time of a claim.'));
    this.lines = new Plot({ title: 'Stages, p99', unit: 'seconds', isLog: true, class: 'wide', good: 'The two waits for the log lie above all others.' }, shell.chooseRange);
    this.queued = new Plot({ title: 'What waits, and for what', unit: 'count', class: 'wide', good: 'Near 0; a line that stays up names the place that is too slow.' }, shell.chooseRange);
    this.heat = new HeatMap({ title: 'Time to answer, all of them', class: 'full', good: 'One dark band that stays low.' });
    this.element = h('div', { class: 'page' }, flow, h('div', { class: 'grid' }, this.lines.element, this.queued.element, this.heat.element));
  }

  private place(place: Place): HTMLElement {
    const queue = ([title, name]: readonly [string, string]) => {
      const value = h('span', { class: 'value' });
      this.queues.set(name, value);
      return h('li', {}, h('span', { class: 'name' }, title), value);
    };
    const stage = (it: Stage) => {
      const shown = { mean: h('span', { class: 'value' }), late: h('span', { class: 'late' }), bar: h('span', { class: 'bar' }), item: h('li', { title: `${it.what}; time ${OF[it.of]}` }) };
      shown.item.append(h('span', { class: 'name' }, it.title), shown.mean, h('span', { class: 'track', 'aria-hidden': 'true' }, shown.bar), shown.late);
      this.stages.set(it.name, shown);
      return shown.item;
    };
    return h('li', { class: 'place', 'data-place': place.group },
      h('h3', {}, place.title), h('p', { class: 'what' }, place.what),
      h('ul', { class: 'queues' }, ...place.queues.map(queue)),
      h('ul', { class: 'stages' }, ...STAGES.filter((it) => it.group === place.group).map(stage)));
  }

  update({ reading, frame }: Context): void {
    this.means = new Map(STAGES.map((it) => [it.name, meanNow(reading, it.name)]));
    const late = STAGES.map((it) => reading.quantiles([0.99], 'flk_stage_seconds', { stage: it.name })[0]);
    this.showStages(late.map(lastOf));
    for (const [name, value] of this.queues) say(value, text(reading.last(name), name.endsWith('_bytes') ? 'bytes' : 'count'));
    this.lines.set(frame, STAGES.map((it, at) => ({ label: it.title, values: late[at] })));
    this.queued.set(frame, [['log', 'flk_log_waiting'], ['room', 'flk_room_waiting'], ['memory', 'flk_memory_waiting'], ['look-ups', 'flk_look_ups_waiting'], ['in flight', 'flk_requests_in_flight']].map(([label, name]) => ({ label, values: reading.gauge(name) })));
    this.heat.set(frame, reading.buckets('http_request_duration_seconds'));
    say(this.words, this.verdict(reading));
  }

  private showStages(late: readonly number[]): void {
    const known = [...this.means.values()].filter((it) => it > 0);
    // Times differ by thousands: a bar is as long as the logarithm of its time above a microsecond.
    const length = (it: number) => Math.max(0, Math.log10(it / 1e-6));
    const top = Math.max(1, ...known.map(length));
    const most = Math.max(...known, 0);
    STAGES.forEach((stage, at) => {
      const shown = this.stages.get(stage.name);
      if (!shown) return;
      const mean = this.means.get(stage.name) ?? NaN;
      say(shown.mean, text(mean, 'seconds'));
      say(shown.late, Number.isNaN(late[at]) ? '' : `p99 ${text(late[at], 'seconds')}`);
      shown.bar.style.width = `${mean > 0 ? Math.min(100, (length(mean) / top) * 100) : 0}%`;
      mark(shown.item, 'data-most', mean > 0 && mean === most ? '' : null);
    });
  }

  private verdict(reading: Reading): string {
    const all = lastOf(reading.mean('http_request_duration_seconds'));
    if (Number.isNaN(all)) return 'No record was answered in the last seconds.';
    const flush = lastOf(reading.mean('flk_wal_flush_seconds'));
    const [memory, room, log] = ['flk_memory_waiting', 'flk_room_waiting', 'flk_log_waiting'].map((it) => reading.last(it));
    const most = [...this.means].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0]);
    const stage = STAGES.find((it) => it.name === most[0]);
    const where = memory > 0 ? `${many(memory, 'request waits', 'requests wait')} for memory` : room > 0 ? `${many(room, 'request waits', 'requests wait')} for room in a batch` : log > 0 ? `${many(log, 'answer waits', 'answers wait')} for the log` : 'nothing queues';
    return `An answer takes ${text(all, 'seconds')} on average, a flush of the log ${text(flush, 'seconds')}. Most of it: ${stage?.title.toLowerCase() ?? 'unknown'}; ${where}.`;
  }

  end(): void {
    this.lines.end();
    this.queued.end();
    this.heat.end();
  }
}
