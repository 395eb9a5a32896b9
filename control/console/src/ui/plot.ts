// A plot over time: lines, or areas on top of each other, with a legend of real text beside the values under the cursor. The
// cursors of all plots of a page move together, and a drag chooses a range of time.

import uPlot from 'uplot';
import { clock, day, full, type Zone } from '../data/clock';
import type { Span } from '../data/grid';
import { isDue, type Drawn } from '../data/motion';
import { brief, text, type Unit } from '../data/units';
import type { Cell } from '../data/csv';
import { fill, h, mark, say } from './dom';
import { panel, type PanelSpec } from './panel';
import { look } from './series';
import { color, onTheme } from './theme';

export interface Line {
  label: string;
  values: Float64Array;
  // A colour of the style sheet, where it has a meaning.
  color?: string;
}

export interface PlotSpec extends Omit<PanelSpec, 'rows' | 'drawing'> {
  unit: Unit;
  isLog?: boolean;
  isStacked?: boolean;
  // The top of the axis if values stay below it.
  top?: number;
  limit?: { value: number; label: string };
}

export interface Frame extends Span {
  zone: Zone;
}

export type Choose = (from_ms: number, to_ms: number) => void;

const LINES_MAX = 8;
const STEPS_S = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];
const LOG_MIN = 1e-6;
const BYTE_STEPS = [0, 10, 20, 30, 40].flatMap((power) => [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map((it) => it * 2 ** power));

export class Plot {
  readonly element: HTMLElement;
  private readonly box = h('div', { class: 'plot', role: 'img' });
  private readonly legend = h('ul', { class: 'legend' });
  private readonly empty = h('p', { class: 'empty', hidden: true }, 'No readings in this range yet.');
  private values: HTMLElement[] = [];
  private drawn: uPlot | null = null;
  private picture: Drawn = { length: 0, from_ms: 0, to_ms: 0 };
  private labels = '';
  private lines: Line[] = [];
  private frame: Frame = { times: new Float64Array(0), length: 0, from_ms: 0, to_ms: 1, zone: 'utc' };
  private hovered: number | null = null;
  private readonly ends: (() => void)[];
  private isSeen = true;
  // Of the box, as the browser told it last: asking would make it lay out the page in between.
  private width = 0;
  private height = 0;

  constructor(private readonly spec: PlotSpec, private readonly choose: Choose) {
    mark(this.box, 'aria-label', `${spec.title}, not drawn yet`);
    const rows = () => this.rows();
    const drawing = () => ({ kind: 'canvas' as const, canvas: this.canvas(), legend: this.entries() });
    this.element = panel({ ...spec, class: `plot-panel ${spec.class ?? ''}`, rows, drawing }, this.box, this.empty, this.legend);
    const resized = new ResizeObserver(([entry]) => this.resize(entry.contentRect.width, entry.contentRect.height));
    resized.observe(this.box);
    const seen = new IntersectionObserver((entries) => {
      this.isSeen = entries[entries.length - 1].isIntersecting;
      if (this.isSeen) this.draw();
    }, { rootMargin: '400px' });
    seen.observe(this.element);
    this.ends = [() => resized.disconnect(), () => seen.disconnect(), onTheme(() => this.rebuild())];
  }

  // Shows other values. A plot out of sight is drawn when it comes into sight.
  set(frame: Frame, lines: readonly Line[]): void {
    this.frame = frame;
    this.lines = lines.slice(0, LINES_MAX);
    const labels = this.lines.map((it) => it.label).join('\n') + frame.zone;
    if (labels !== this.labels) {
      this.labels = labels;
      this.rebuild();
    } else this.draw();
  }

  end(): void {
    for (const end of this.ends) end();
    this.drawn?.destroy();
  }

  private canvas(): HTMLCanvasElement {
    return this.drawn?.ctx.canvas ?? document.createElement('canvas');
  }

  private entries() {
    return this.lines.map((it, at) => ({ label: it.label, value: this.valueAt(it, null), color: color(this.colorOf(at)) }));
  }

  private rows(): Cell[][] {
    const { times, length, zone } = this.frame;
    const head: Cell[] = ['time', ...this.lines.map((it) => `${it.label} (${this.spec.unit})`)];
    const rows: Cell[][] = [];
    for (let row = 0; row < length; row += 1) {
      if (times[row] < this.frame.from_ms || times[row] > this.frame.to_ms) continue;
      rows.push([full(times[row], zone), ...this.lines.map((it) => it.values[row])]);
    }
    return [head, ...rows];
  }

  private colorOf(at: number): string {
    return this.lines[at].color ?? look(at).color;
  }

  private valueAt(line: Line, row: number | null): string {
    const values = line.values;
    let at = row ?? this.frame.length - 1;
    // The newest reading may lack a value that the one before it has.
    if (row === null) while (at > 0 && this.frame.length - at < 4 && Number.isNaN(values[at])) at -= 1;
    return text(values[at] ?? NaN, this.spec.unit);
  }

  private rebuild(): void {
    this.drawn?.destroy();
    this.drawn = null;
    this.values = this.lines.map(() => h('span', { class: 'value' }));
    fill(this.legend, ...this.lines.map((it, at) => h('li', {}, this.swatch(at), h('span', { class: 'name', title: it.label }, it.label), this.values[at])));
    this.draw();
  }

  private swatch(at: number): SVGElement {
    const dash = this.spec.isStacked ? '' : look(at).dash.join(' ');
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    for (const [name, value] of [['viewBox', '0 0 24 8'], ['class', 'swatch'], ['aria-hidden', 'true']]) line.setAttribute(name, value);
    const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    for (const [name, value] of [['d', 'M0 4H24'], ['class', this.spec.isStacked ? 'area' : ''], ['stroke', color(this.colorOf(at))], ['stroke-dasharray', dash]]) path.setAttribute(name, value);
    line.append(path);
    return line;
  }

  private draw(): void {
    this.hint();
    this.speak();
    if (!this.isSeen || !this.frame.length || !this.lines.length) return;
    if (this.width === 0) return;
    if (this.drawn && !isDue(this.picture, this.frame, this.width)) return;
    const { length, from_ms, to_ms } = this.frame;
    this.picture = { length, from_ms, to_ms };
    const data = this.data();
    if (!this.drawn) {
      this.drawn = new uPlot(this.options(), data, this.box);
      this.drawn.ctx.canvas.setAttribute('aria-hidden', 'true');
      return;
    }
    this.drawn.batch(() => {
      this.drawn?.setData(data, false);
      this.drawn?.setScale('x', { min: this.frame.from_ms / 1000, max: this.frame.to_ms / 1000 });
    });
  }

  private hint(): void {
    const { times, length, from_ms } = this.frame;
    const isEmpty = length === 0 || times[length - 1] < from_ms || !this.lines.some((it) => it.values.some((value) => !Number.isNaN(value)));
    mark(this.empty, 'hidden', isEmpty ? null : '');
  }

  // The legend, and what a screen reader says of the picture.
  private speak(): void {
    this.lines.forEach((it, at) => say(this.values[at], this.valueAt(it, this.hovered)));
    const now = this.lines.map((it) => `${it.label} ${this.valueAt(it, null)}`).join(', ');
    mark(this.box, 'aria-label', `${this.spec.title}, newest values: ${now || 'none'}`);
  }

  private data(): uPlot.AlignedData {
    const { times, length, from_ms } = this.frame;
    let first = 0;
    while (first < length - 1 && times[first + 1] < from_ms) first += 1;
    const xs = Array.from(times.subarray(first, length), (it) => it / 1000);
    const known = (it: number) => (Number.isNaN(it) || (this.spec.isLog && it <= LOG_MIN) ? null : it);
    const ys = this.lines.map((it) => Array.from(it.values.subarray(first, length), known));
    const drawn = this.spec.isStacked ? stacked(ys) : ys;
    return [xs, ...this.order().map((at) => drawn[at])] as uPlot.AlignedData;
  }

  // In which order lines are drawn: of a stack the highest first, and each covers what is below it.
  private order(): number[] {
    const all = this.lines.map((_, at) => at);
    return this.spec.isStacked ? all.reverse() : all;
  }

  private resize(width: number, height: number): void {
    [this.width, this.height] = [Math.floor(width), Math.floor(height)];
    if (this.width === 0) return;
    if (this.drawn) this.drawn.setSize({ width: this.width, height: this.height });
    else this.draw();
  }

  private options(): uPlot.Options {
    const root = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const font = `${Math.round(root * 0.72)}px system-ui, sans-serif`;
    const axis = { stroke: color('muted'), font, grid: { stroke: color('grid'), width: 1 }, ticks: { show: false } };
    const unit = this.spec.unit;
    return {
      width: this.width, height: this.height, pxAlign: 1, legend: { show: false },
      // Half of the last time below the plot.
      padding: [8, Math.round(root * 1.7), 0, 0],
      cursor: { sync: { key: 'flk' }, points: { size: 6 }, drag: { x: true, y: false, setScale: false } },
      scales: {
        x: { time: true, min: this.frame.from_ms / 1000, max: this.frame.to_ms / 1000, auto: false },
        y: this.spec.isLog ? { distr: 3, range: (_, min, max) => logRange(min, Math.max(max, this.spec.limit?.value ?? 0)) } : { range: (_, __, max) => [0, topOf(max, this.spec)] },
      },
      axes: [
        { ...axis, size: root * 1.6, gap: 4, space: root * 4.6, incrs: STEPS_S, values: (_, splits, __, ___, step) => splits.map((it, at) => this.tick(it, at, splits, step)) },
        { ...axis, size: root * (unit === 'byterate' ? 4.9 : 3.6), gap: 4, space: root * 2, values: (_, splits) => splits.map((it) => (it === null ? '' : brief(it, unit))), ...this.splits() },
      ],
      series: [{}, ...this.order().map((at) => this.series(this.lines[at], at))],
      hooks: {
        setCursor: [(it) => this.hover(it.cursor.idx ?? null)],
        setSelect: [(it) => this.selected(it)],
        draw: [(it) => this.drawLimit(it)],
      },
    };
  }

  // Where lines of the grid are: at powers of ten, at round numbers of bytes, or where uPlot puts them.
  private splits(): Partial<uPlot.Axis> {
    if (this.spec.isLog) return { splits: (_, __, min, max) => decades(min, max), filter: (_, splits) => splits };
    return this.spec.unit.startsWith('byte') ? { incrs: BYTE_STEPS } : {};
  }

  private series(line: Line, at: number): uPlot.Series {
    const stroke = color(this.colorOf(at));
    const isArea = this.spec.isStacked === true;
    return {
      label: line.label, stroke, width: isArea ? 1 : 1.5, dash: isArea ? [] : look(at).dash, spanGaps: false, points: { show: false },
      ...(isArea ? { fill: mixed(stroke, color('panel'), 0.45) } : {}),
      ...(isArea || this.lines.length > 1 ? {} : { fill: `${stroke}24` }),
    };
  }

  private tick(t_s: number, at: number, splits: number[], step_s: number): string {
    const { zone } = this.frame;
    const today = day(t_s * 1000, zone);
    const isOther = at > 0 && day(splits[at - 1] * 1000, zone) !== today;
    if (isOther) return today.slice(5);
    return clock(t_s * 1000, zone, step_s < 60);
  }

  private hover(index: number | null): void {
    // What is drawn may be older than what is known.
    const t_s = index === null ? undefined : this.drawn?.data[0][index];
    const found = t_s === undefined ? -1 : this.frame.times.subarray(0, this.frame.length).indexOf(Math.round(t_s * 1000));
    const row = found < 0 ? null : found;
    if (row === this.hovered) return;
    this.hovered = row;
    this.lines.forEach((it, at) => say(this.values[at], this.valueAt(it, row)));
    mark(this.legend, 'data-at', row === null ? null : clock(this.frame.times[row], this.frame.zone));
  }

  private selected(it: uPlot): void {
    const { left, width } = it.select;
    if (width < 8) return;
    const [from, to] = [it.posToVal(left, 'x') * 1000, it.posToVal(left + width, 'x') * 1000];
    it.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    if (to - from >= 2000) this.choose(Math.round(from), Math.round(to));
  }

  private drawLimit(it: uPlot): void {
    const limit = this.spec.limit;
    if (!limit) return;
    const y = Math.round(it.valToPos(limit.value, 'y', true));
    const { left, width, top, height } = it.bbox;
    if (y < top || y > top + height) return;
    const pen = it.ctx;
    pen.save();
    pen.strokeStyle = pen.fillStyle = color('limit');
    pen.lineWidth = devicePixelRatio;
    pen.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    pen.beginPath();
    pen.moveTo(left, y);
    pen.lineTo(left + width, y);
    pen.stroke();
    pen.font = `${Math.round(parseFloat(getComputedStyle(document.documentElement).fontSize) * 0.78 * devicePixelRatio)}px system-ui, sans-serif`;
    const isHigh = y < top + 20 * devicePixelRatio;
    [pen.textAlign, pen.textBaseline] = ['left', isHigh ? 'top' : 'bottom'];
    pen.fillText(limit.label, left + 4 * devicePixelRatio, y + (isHigh ? 4 : -4) * devicePixelRatio);
    pen.restore();
  }
}

// A colour between two of the form #rrggbb.
function mixed(a: string, b: string, share: number): string {
  const part = (text: string, at: number) => parseInt(text.slice(1 + 2 * at, 3 + 2 * at), 16);
  return `rgb(${[0, 1, 2].map((at) => Math.round(part(a, at) * share + part(b, at) * (1 - share))).join()})`;
}

// Each line on top of those before it.
function stacked(ys: (number | null)[][]): (number | null)[][] {
  const made: (number | null)[][] = [];
  ys.forEach((line, at) => made.push(line.map((it, row) => (it === null ? (made[at - 1]?.[row] ?? null) : it + (made[at - 1]?.[row] ?? 0)))));
  return made;
}

function topOf(max: number | null, spec: PlotSpec): number {
  const least = spec.top ?? 0;
  const value = max !== null && Number.isFinite(max) && max > 0 ? max * 1.08 : 0;
  return Math.max(value, least) || 1;
}

function logRange(min: number | null, max: number | null): [number, number] {
  const [low, high] = [min !== null && min > 0 ? min : 1e-4, max !== null && max > 0 ? max : 1];
  // In halves of a decade, so that the axis does not move with each reading.
  return [10 ** (Math.floor(2 * Math.log10(low) - 0.2) / 2), 10 ** (Math.ceil(2 * Math.log10(high) + 0.2) / 2)];
}

function decades(min: number, max: number): number[] {
  const made: number[] = [];
  for (let at = Math.ceil(Math.log10(min) - 0.01); at <= Math.log10(max) + 0.01; at += 1) made.push(10 ** at);
  return made;
}
