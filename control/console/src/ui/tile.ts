// A tile: one number that is read across the room, what it is measured against, and how it came there.

import { shown, type Unit } from '../data/units';
import { freshId, h, mark, say, svg } from './dom';
import type { Tone } from '../data/tone';

const SPARKS = 60;
// A spark shows a minute: it need not move each second.
const SPARK_EVERY_MS = 5000;
const WORDS: Readonly<Record<Tone, string>> = { ok: '✓', warn: '!', bad: '✕', idle: '' };

export interface TileState {
  value: number;
  unit: Unit;
  under: string;
  tone?: Tone;
  // What the sign says to a screen reader.
  verdict?: string;
  // A part of one, as a bar below.
  bar?: number;
  spark?: Float64Array;
}

export class Tile {
  readonly element: HTMLElement;
  private readonly number = h('span', { class: 'big' }, '–');
  private readonly unit = h('span', { class: 'unit' });
  private readonly under = h('p', { class: 'under' });
  private readonly sign = h('span', { class: 'sign', 'aria-hidden': 'true' });
  private readonly verdict = h('span', { class: 'unseen' });
  private readonly path = svg('path', { class: 'spark-line' });
  private readonly area = svg('path', { class: 'spark-area' });
  private readonly spark = svg('svg', { class: 'spark', viewBox: '0 0 100 24', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.area, this.path);
  private readonly inside = h('span', {});
  private readonly bar = h('div', { class: 'gauge', 'aria-hidden': 'true', hidden: true }, this.inside);

  private sparked_ms = -Infinity;

  constructor(title: string, href: string | null = null) {
    const id = freshId('tile');
    const heading = h('h2', { id }, href === null ? title : h('a', { href }, title));
    this.element = h('section', { class: 'tile', 'aria-labelledby': id },
      h('header', {}, heading, this.sign, this.verdict),
      h('p', { class: 'reading' }, this.number, this.unit), this.bar, this.spark, this.under);
  }

  set(state: TileState): void {
    const it = shown(state.value, state.unit);
    say(this.number, it.number);
    say(this.unit, it.unit);
    say(this.under, state.under);
    mark(this.element, 'data-tone', state.tone ?? null);
    say(this.sign, WORDS[state.tone ?? 'idle']);
    say(this.verdict, state.verdict ?? '');
    mark(this.bar, 'hidden', state.bar === undefined ? '' : null);
    if (state.bar !== undefined) this.inside.style.width = `${Math.min(1, Math.max(0, state.bar || 0)) * 100}%`;
    mark(this.spark, 'hidden', state.spark === undefined ? '' : null);
    if (state.spark === undefined || performance.now() - this.sparked_ms < SPARK_EVERY_MS) return;
    if (this.drawSpark(state.spark)) this.sparked_ms = performance.now();
  }

  // Whether there was something to draw.
  private drawSpark(all: Float64Array): boolean {
    const values = all.subarray(Math.max(0, all.length - SPARKS));
    const top = values.reduce((max, it) => (it > max ? it : max), 0) || 1;
    const points: string[] = [];
    values.forEach((it, at) => {
      if (!Number.isNaN(it)) points.push(`${((at + SPARKS - values.length) / (SPARKS - 1)) * 100} ${(23 - (it / top) * 21).toFixed(1)}`);
    });
    const line = points.length > 1 ? `M${points.join('L')}` : '';
    mark(this.path, 'd', line);
    const first = points[0]?.split(' ')[0];
    const last = points[points.length - 1]?.split(' ')[0];
    mark(this.area, 'd', line === '' ? '' : `${line}L${last} 24L${first} 24Z`);
    return line !== '';
  }
}
