// A gateway that has seen no record: the commands that make the first one appear, and the moment at which it does.

import { clock } from '../data/clock';
import { lastOf } from '../data/derive';
import { text } from '../data/units';
import { copyText } from '../ui/copy';
import { fill, h, mark } from '../ui/dom';
import type { Context } from './view';

export class FirstRecord {
  readonly element = h('section', { class: 'first', hidden: true, 'aria-live': 'polite', 'aria-label': 'First record' });
  isShown = false;
  private wasEmpty = false;
  private state: 'unknown' | 'empty' | 'here' | 'over' = 'unknown';

  update({ reading, overview, frame }: Context): void {
    if (this.state === 'over' || !overview) return;
    const count = reading.last('flk_ingest_total');
    if (Number.isNaN(count)) return;
    const isEmpty = count === 0 && !(reading.last('flk_slices') > 0) && !(reading.last('flk_dedup_keys') > 0);
    if (isEmpty && this.state !== 'empty') this.showCommands(overview.first_record);
    else if (!isEmpty && this.wasEmpty) this.showFirst(count, lastOf(reading.quantiles([0.5], 'http_request_duration_seconds')[0]), clock(frame.to_ms, frame.zone));
    else if (!isEmpty && this.state === 'unknown') this.state = 'over';
    this.wasEmpty = isEmpty;
    this.isShown = isEmpty;
    mark(this.element, 'hidden', this.state === 'over' ? '' : null);
  }

  private showCommands(commands: readonly string[]): void {
    this.state = 'empty';
    const command = (it: string) => h('li', {}, h('code', {}, it), h('button', { type: 'button', class: 'tool', click: () => void copyText(it, 'Command') }, 'Copy'));
    fill(this.element,
      h('h2', {}, 'This gateway has no record yet'),
      h('p', {}, 'Run these in a terminal, in the directory of the gateway. The first record appears here when it is durable.'),
      h('ol', {}, ...commands.map(command)),
      h('p', { class: 'waits' }, h('span', { class: 'pulse', 'aria-hidden': 'true' }), 'Waiting for the first record'));
  }

  private showFirst(count: number, p50_s: number, at: string): void {
    this.state = 'here';
    const many = count === 1 ? 'The first record is here' : `The first ${text(count, 'count')} records are here`;
    const time = Number.isNaN(p50_s) ? '' : ` in about ${text(p50_s, 'seconds')}`;
    fill(this.element,
      h('h2', {}, `✓ ${many}`),
      h('p', {}, `Durable, verified and answered${time}, at ${at}. Send it again, and it gets the same answer as a duplicate.`),
      h('button', { type: 'button', class: 'tool', click: () => this.close() }, 'Close'));
  }

  private close(): void {
    this.state = 'over';
    mark(this.element, 'hidden', '');
  }
}
