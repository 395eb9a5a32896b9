// The files of the log as a map: from the oldest to the newest in rows, each as wide as it is large. Kind and state are told
// by colour and by pattern.

import type { DiskFile } from '../data/wire';
import { text } from '../data/units';
import { h, mark, say } from './dom';
import type { LegendEntry } from './picture';
import { color, onTheme } from './theme';

const ROWS_MAX = 8;
const GAP = 1;

interface Block {
  file: DiskFile;
  x: number;
  y: number;
  width: number;
}

type Kind = { label: string; color: string; pattern: 'plain' | 'hatched' | 'dotted' | 'framed' };

function kindOf(file: DiskFile): Kind {
  if (file.kind === 'slice') return { label: 'slice (outcomes)', color: 's2', pattern: 'hatched' };
  if (file.kind === 'packed') return { label: 'segment, packed', color: 's3', pattern: 'dotted' };
  if (file.kind === 'segment') return file.state === 'open' ? { label: 'segment, open', color: 'ok', pattern: 'framed' } : { label: 'segment, closed', color: 's1', pattern: 'plain' };
  if (isMadeReady(file)) return { label: 'segment, made ready', color: 'muted', pattern: 'framed' };
  return { label: 'manifest and others', color: 'muted', pattern: 'plain' };
}

export class FileMap {
  readonly canvas = h('canvas', { 'aria-hidden': 'true' });
  private readonly box = h('div', { class: 'filemap', role: 'img', 'aria-label': 'Map of files; they are not read yet.' }, this.canvas);
  private readonly words = h('p', { class: 'under' });
  private readonly key = h('ul', { class: 'legend' });
  readonly element = h('div', {}, this.box, this.words, this.key);
  private files: DiskFile[] = [];
  private next: string | null = null;
  private now_ms = 0;
  private blocks: Block[] = [];
  private tall = 22;
  private readonly ends: (() => void)[];

  constructor() {
    const resized = new ResizeObserver(() => this.draw());
    resized.observe(this.box);
    this.box.addEventListener('pointermove', (it) => this.point(it));
    this.box.addEventListener('pointerleave', () => this.speak());
    this.ends = [() => resized.disconnect(), onTheme(() => this.draw())];
  }

  set(files: readonly DiskFile[], next: string | null, now_ms: number): void {
    const since = (it: DiskFile) => it.first_ms ?? (it.kind === 'manifest' ? null : it.last_ms) ?? Number.MAX_SAFE_INTEGER;
    this.files = files.toSorted((a, b) => since(a) - since(b) || a.name.localeCompare(b.name));
    this.next = next;
    this.now_ms = now_ms;
    this.draw();
    this.speak();
  }

  end(): void {
    for (const end of this.ends) end();
  }

  legend(): LegendEntry[] {
    const kinds = new Map<string, { kind: Kind; count: number; bytes: number }>();
    for (const file of this.files) {
      const kind = kindOf(file);
      const it = kinds.get(kind.label) ?? { kind, count: 0, bytes: 0 };
      kinds.set(kind.label, { kind, count: it.count + 1, bytes: it.bytes + file.bytes });
    }
    return [...kinds.values()].map(({ kind, count, bytes }) => ({ label: kind.label, value: `${text(count, 'count')} files, ${text(bytes, 'bytes')}`, color: color(kind.color) }));
  }

  private speak(): void {
    const [oldest] = this.files;
    const words = oldest ? `Oldest on the left: ${this.describe(oldest)}.` : 'No files yet.';
    say(this.words, words);
    mark(this.box, 'aria-label', `Map of ${this.files.length} files. ${words} The table below lists them.`);
    const entries = this.legend();
    this.key.replaceChildren(...entries.map((it) => {
      const sign = h('span', { class: 'square', 'aria-hidden': 'true' });
      sign.style.background = it.color;
      return h('li', {}, sign, h('span', { class: 'name' }, it.label), h('span', { class: 'value' }, it.value));
    }));
  }

  private describe(file: DiskFile): string {
    const age = file.first_ms === null ? '' : `, from ${text((this.now_ms - file.first_ms) / 1000, 'span')} ago`;
    return `${file.name}, ${kindOf(file).label}, ${text(file.bytes, 'bytes')}${age}${file.name === this.next ? ', deleted next' : ''}`;
  }

  private point(event: PointerEvent): void {
    const inside = this.box.getBoundingClientRect();
    const [x, y] = [event.clientX - inside.left, event.clientY - inside.top];
    const block = this.blocks.find((it) => x >= it.x && x <= it.x + it.width && y >= it.y && y <= it.y + this.tall);
    if (block) say(this.words, `${this.describe(block.file)}.`);
    else this.speak();
  }

  private place(width: number): void {
    const all = this.files.reduce((sum, it) => sum + it.bytes, 0) || 1;
    const least = 5;
    const wanted = this.files.length * (least + GAP) + width / 2;
    const rows = Math.min(ROWS_MAX, Math.max(1, Math.ceil(wanted / width)));
    const room = rows * width - this.files.length * (least + GAP) - rows * 24;
    let [x, row] = [0, 0];
    this.blocks = this.files.map((file) => {
      const wide = Math.min(width, least + Math.max(0, room) * (file.bytes / all));
      if (x + wide > width && x > 0) [x, row] = [0, row + 1];
      const block = { file, x, y: row * (this.tall + 4), width: wide };
      x += wide + GAP;
      return block;
    });
    this.box.style.height = `${(row + 1) * (this.tall + 4)}px`;
  }

  private draw(): void {
    const width = this.box.clientWidth;
    if (width === 0) return;
    this.tall = Math.round(parseFloat(getComputedStyle(document.documentElement).fontSize) * 1.6);
    this.place(width);
    const scale = devicePixelRatio || 1;
    const height = parseFloat(this.box.style.height);
    [this.canvas.width, this.canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    const pen = this.canvas.getContext('2d');
    if (!pen) return;
    pen.scale(scale, scale);
    for (const block of this.blocks) this.drawBlock(pen, block);
  }

  private drawBlock(pen: CanvasRenderingContext2D, { file, x, y, width }: Block): void {
    const kind = kindOf(file);
    pen.fillStyle = color(kind.color);
    pen.globalAlpha = kind.pattern === 'framed' ? 0.35 : 0.85;
    pen.fillRect(x, y, width, this.tall);
    pen.globalAlpha = 1;
    pen.strokeStyle = color('panel');
    pen.lineWidth = 1;
    pen.save();
    pen.beginPath();
    pen.rect(x, y, width, this.tall);
    pen.clip();
    pen.beginPath();
    if (kind.pattern === 'hatched') for (let at = -this.tall; at < width; at += 6) pen.rect(x + at, y + this.tall, 0, 0), pen.moveTo(x + at, y + this.tall), pen.lineTo(x + at + this.tall, y);
    if (kind.pattern === 'dotted') for (let at = 3; at < width; at += 5) pen.moveTo(x + at, y + 3), pen.lineTo(x + at, y + this.tall - 3);
    pen.stroke();
    pen.restore();
    if (kind.pattern === 'framed') this.frame(pen, kind.color, x, y, width);
    if (file.name === this.next) this.frame(pen, 'bad', x, y, width);
  }

  private frame(pen: CanvasRenderingContext2D, name: string, x: number, y: number, width: number): void {
    pen.strokeStyle = color(name);
    pen.lineWidth = 2;
    pen.strokeRect(x + 1, y + 1, Math.max(1, width - 2), this.tall - 2);
  }
}

// A segment without records, which is there before it is needed.
export function isMadeReady(file: DiskFile): boolean {
  return file.kind === 'other' && file.name.startsWith('segment');
}
