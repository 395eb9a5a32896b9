// What needs attention now, in words, each with its runbook. It judges nothing: control does.

import { full, type Zone } from '../data/clock';
import type { Link } from '../data/feed';
import { text } from '../data/units';
import type { Attention, Severity } from '../data/wire';
import { fill, h, mark, say } from '../ui/dom';
import { panel } from '../ui/panel';
import type { Tone } from '../data/tone';
import type { Context, Shell } from './view';

const TONES: Readonly<Record<Severity, Tone>> = { page: 'bad', critical: 'bad', ticket: 'warn', warning: 'warn', info: 'idle' };
const WORDS: Readonly<Record<Severity, string>> = { page: 'Page', critical: 'Critical', ticket: 'Ticket', warning: 'Warning', info: 'Info' };

const ORDER: readonly Severity[] = ['page', 'critical', 'ticket', 'warning', 'info'];

export function worst(attention: readonly Attention[]): Tone {
  const tones = attention.map((it) => TONES[it.severity] ?? 'warn');
  return (['bad', 'warn', 'idle'] as const).find((it) => tones.includes(it)) ?? 'ok';
}

export class AttentionList {
  readonly element: HTMLElement;
  private readonly list = h('ul', { class: 'attention' });
  private readonly calm = h('p', { class: 'calm' });
  private drawn = '';

  constructor(private readonly shell: Shell) {
    this.element = panel({ title: 'What needs attention', class: 'attention-panel' }, this.calm, this.list);
  }

  update({ feed, address, frame }: Context): void {
    const items = feed.attention?.toSorted((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity)) ?? null;
    const isJudged = feed.link.state === 'live' || (items ?? []).length > 0;
    mark(this.element, 'data-tone', items && isJudged ? worst(items) : null);
    mark(this.calm, 'hidden', items && items.length > 0 ? '' : null);
    say(this.calm, calmOf(feed.link.state, items !== null));
    const drawn = JSON.stringify([items, address.zone]);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      fill(this.list, ...(items ?? []).map((it) => this.item(it, address.zone)));
    }
    for (const time of this.list.querySelectorAll<HTMLElement>('time')) {
      const since_s = (frame.to_ms - Number(time.dataset.since)) / 1000;
      say(time, `for ${text(Math.max(0, since_s), 'span')}`);
    }
  }

  private item(it: Attention, zone: Zone): HTMLElement {
    const tone = TONES[it.severity] ?? 'warn';
    return h('li', { 'data-tone': tone },
      h('span', { class: 'badge' }, WORDS[it.severity] ?? it.severity),
      h('div', {}, h('p', { class: 'words' }, it.summary ?? it.words), it.summary !== undefined && it.summary !== it.words && h('p', {}, it.words),
        h('p', { class: 'under' }, h('code', {}, it.name), ' ', h('time', { 'data-since': it.since_ms, datetime: new Date(it.since_ms).toISOString(), title: full(it.since_ms, zone) }))),
      h('a', { class: 'button', href: this.shell.href({ page: 'runbook', detail: it.runbook, more: {} }) }, 'Runbook', h('span', { class: 'unseen' }, ` for ${it.name}`)));
  }
}

// What stands there where nothing is listed. Nothing is well only while there is something to judge.
function calmOf(state: Link['state'], isRead: boolean): string {
  if (state === 'away') return 'Not known: the gateway does not answer.';
  if (state === 'lost') return 'Not known: control does not answer.';
  return isRead ? '✓ Nothing needs attention: no condition of the alerts holds.' : 'Not read yet.';
}
