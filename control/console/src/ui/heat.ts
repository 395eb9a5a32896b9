// A heat map over time: one row for each bucket of a histogram, darker where more values fell. It is drawn on a canvas, and
// says its numbers as text below.

import type { Buckets } from '../data/derive';
import { gridOf, type Grid } from '../data/grid';
import { clock, full } from '../data/clock';
import { text } from '../data/units';
import type { Cell } from '../data/csv';
import { h, mark, say } from './dom';
import { panel, type PanelSpec } from './panel';
import type { Frame } from './plot';
import { color, onTheme } from './theme';

const LEFT_REM = 4.2;

export function rootPx(): number {
  return parseFloat(getComputedStyle(document.documentElement).fontSize);
}

export class HeatMap {
  readonly element: HTMLElement;
  private readonly canvas = h('canvas', { 'aria-hidden': 'true' });
  private readonly box = h('div', { class: 'plot', role: 'img' }, this.canvas);
  private readonly words = h('p', { class: 'under' }, '');
  private grid: Grid = { span_ms: 1, times: [], counts: [], edges: [], max: 0 };
  private frame: Frame | null = null;
  private drawn = '';
  private size = { root: 14, width: 0, height: 0 };
  private readonly ends: (() => void)[];

  constructor(private readonly spec: PanelSpec) {
    mark(this.box, 'aria-label', `${spec.title}, not drawn yet`);
    const drawing = () => ({ kind: 'canvas' as const, canvas: this.canvas, legend: [] });
    this.element = panel({ ...spec, class: `plot-panel ${spec.class ?? ''}`, rows: () => this.rows(), drawing }, this.box, this.words);
    const resized = new ResizeObserver(([entry]) => {
      this.size = { root: rootPx(), width: entry.contentRect.width, height: entry.contentRect.height };
      this.draw();
    });
    resized.observe(this.box);
    this.box.addEventListener('pointermove', (it) => this.point(it));
    this.box.addEventListener('pointerleave', () => this.speak());
    this.ends = [() => resized.disconnect(), onTheme(() => this.draw())];
  }

  set(frame: Frame, buckets: Buckets): void {
    this.frame = frame;
    const newest = this.grid.times.at(-1);
    this.grid = gridOf(frame, buckets);
    // Columns are wider than a second: most readings bring none.
    const drawn = `${newest} ${this.grid.times.at(-1)} ${this.grid.edges.length} ${frame.zone} ${this.range_ms()}`;
    if (newest === this.grid.times.at(-1) && drawn === this.drawn) return;
    this.drawn = drawn;
    this.draw();
    this.speak();
  }

  end(): void {
    for (const end of this.ends) end();
  }

  private speak(): void {
    const { times, counts } = this.grid;
    const newest = times.length - 1;
    const all = counts[newest]?.reduce((sum, it) => sum + it, 0) ?? 0;
    const usual = counts[newest]?.indexOf(Math.max(...counts[newest])) ?? -1;
    const isEmpty = counts.every((it) => it.every((count) => count === 0));
    const words = all > 0 ? `Most of the newest ${text(all, 'count')} took ${this.range(usual)}.` : isEmpty ? 'Nothing was counted in this time.' : 'Nothing was counted at the end of this time.';
    say(this.words, words);
    mark(this.box, 'aria-label', `${this.spec.title}. ${words}`);
  }

  private range(at: number): string {
    const { edges } = this.grid;
    if (at === edges.length - 1) return `more than ${text(edges[at - 1], 'seconds')}`;
    return at === 0 ? `up to ${text(edges[0], 'seconds')}` : `${text(edges[at - 1], 'seconds')} to ${text(edges[at], 'seconds')}`;
  }

  private rows(): Cell[][] {
    const { times, counts, edges } = this.grid;
    const zone = this.frame?.zone ?? 'utc';
    return [['time', ...edges.map((it) => `up to ${it} s`)], ...times.map((it, at) => [full(it, zone), ...counts[at]])];
  }

  private layout() {
    const { root, width, height } = this.size;
    return { root, left: root * LEFT_REM, width, height: height - root * 1.5 };
  }

  private point(event: PointerEvent): void {
    const { left, width, height } = this.layout();
    const { times, counts, edges } = this.grid;
    const inside = this.box.getBoundingClientRect();
    const share = (event.clientX - inside.left - left) / (width - left);
    const at_ms = (this.frame?.from_ms ?? 0) + share * this.range_ms();
    const column = times.findIndex((it) => it >= at_ms && it - this.grid.span_ms <= at_ms);
    const [low, high] = this.used();
    const row = high - Math.floor(((event.clientY - inside.top) / height) * (high - low + 1));
    if (!(column in times) || row < low || row > high || edges.length === 0) return this.speak();
    say(this.words, `${clock(times[column], this.frame?.zone ?? 'utc')}: ${text(counts[column][row], 'count')} took ${this.range(row)}.`);
  }

  private range_ms(): number {
    return this.frame ? this.frame.to_ms - this.frame.from_ms : 1;
  }

  // Buckets with values, and one more on either side.
  private used(): [number, number] {
    const { counts, edges } = this.grid;
    const has = edges.map((_, at) => counts.some((it) => it[at] > 0));
    const [first, last] = [has.indexOf(true), has.lastIndexOf(true)];
    return first < 0 ? [0, Math.max(0, edges.length - 1)] : [Math.max(0, first - 1), Math.min(edges.length - 1, last + 1)];
  }

  private draw(): void {
    const { root, left, width, height } = this.layout();
    if (width <= left || height <= 0) return;
    const scale = devicePixelRatio || 1;
    const total = height + root * 1.5;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(total * scale)) {
      [this.canvas.width, this.canvas.height] = [Math.round(width * scale), Math.round(total * scale)];
    }
    const pen = this.canvas.getContext('2d');
    if (!pen) return;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, total);
    this.cells(pen, left, width, height);
    this.labels(pen, root, left, width, height);
  }

  private cells(pen: CanvasRenderingContext2D, left: number, width: number, height: number): void {
    const { times, counts, max, span_ms } = this.grid;
    const [low, high] = this.used();
    const [a_ms, tall] = [(width - left) / this.range_ms(), height / (high - low + 1)];
    const wide = span_ms * a_ms;
    pen.fillStyle = color('heat');
    counts.forEach((column, at) => {
      for (let row = low; row <= high; row += 1) {
        if (!(column[row] > 0)) continue;
        pen.globalAlpha = 0.12 + 0.88 * Math.sqrt(column[row] / max);
        const x = left + (times[at] - (this.frame?.from_ms ?? 0)) * a_ms - wide;
        pen.fillRect(Math.max(left, x), (high - row) * tall + 0.5, Math.max(1, wide - 0.5), tall - 1);
      }
    });
    pen.globalAlpha = 1;
  }

  private labels(pen: CanvasRenderingContext2D, root: number, left: number, width: number, height: number): void {
    const { edges } = this.grid;
    const [low, high] = this.used();
    const tall = height / (high - low + 1);
    const every = Math.max(1, Math.ceil((root * 1.1) / tall));
    pen.fillStyle = color('muted');
    pen.font = `${Math.round(root * 0.72)}px system-ui, sans-serif`;
    pen.textAlign = 'right';
    pen.textBaseline = 'middle';
    for (let row = low; row <= high; row += every) {
      if (edges.length > 0) pen.fillText(edges[row] === Infinity ? `> ${text(edges[row - 1], 'seconds')}` : text(edges[row], 'seconds'), left - 6, (high - row + 0.5) * tall);
    }
    pen.textBaseline = 'top';
    const many = Math.max(2, Math.floor((width - left) / (root * 6)));
    for (let at = 0; at < many; at += 1) {
      const t_ms = (this.frame?.from_ms ?? 0) + (this.range_ms() * at) / (many - 1);
      pen.textAlign = at === 0 ? 'left' : at === many - 1 ? 'right' : 'center';
      pen.fillText(clock(t_ms, this.frame?.zone ?? 'utc'), left + ((width - left) * at) / (many - 1), height + 4);
    }
  }
}
