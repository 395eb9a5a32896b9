// The path of a record as one lane: each stage with its share of the time, short enough for the first page.

import { lastOf, type Reading } from '../data/derive';
import { text } from '../data/units';
import { h, mark, say } from '../ui/dom';
import { panel } from '../ui/panel';
import { STAGES, type Stage } from './stages';
import type { Context, Shell } from './view';

export function meanNow(reading: Reading, stage: string): number {
  return lastOf(reading.mean('flk_stage_seconds', { stage }));
}

export class Lane {
  readonly element: HTMLElement;
  private readonly parts: { stage: Stage; bar: HTMLElement; value: HTMLElement; item: HTMLElement }[];
  private readonly words = h('p', { class: 'under' });
  private means: number[] = [];

  constructor(shell: Shell) {
    this.parts = STAGES.map((stage) => {
      const [bar, value] = [h('span', { class: 'bar', 'aria-hidden': 'true' }), h('span', { class: 'value' })];
      return { stage, bar, value, item: h('li', {}, h('span', { class: 'name' }, stage.title), h('span', { class: 'track', 'aria-hidden': 'true' }, bar), value) };
    });
    const rows = () => [['stage', 'mean (s)'], ...this.parts.map(({ stage }, at) => [stage.title, this.means[at] ?? null])];
    this.element = panel({ title: 'Path of a record', class: 'lane-panel', good: 'Both waits for the log are the disk’s; the rest is far below.', rows },
      h('ol', { class: 'lane' }, ...this.parts.map((it) => it.item)), this.words,
      h('p', {}, h('a', { href: shell.href({ page: 'path' }) }, 'Where it waits')));
  }

  update({ reading }: Context): void {
    this.means = this.parts.map(({ stage }) => meanNow(reading, stage.name));
    const top = Math.max(...this.means.filter((it) => !Number.isNaN(it)), 1e-9);
    this.parts.forEach(({ bar, value, item }, at) => {
      const mean = this.means[at];
      say(value, text(mean, 'seconds'));
      bar.style.width = `${Number.isNaN(mean) ? 0 : Math.max(0.5, (mean / top) * 100)}%`;
      mark(item, 'data-most', mean === top ? '' : null);
    });
    const most = this.parts[this.means.indexOf(top)]?.stage;
    say(this.words, most ? `Most of the time goes to: ${most.title}.` : 'No record in the last seconds.');
  }
}
