// The picture of a panel that a user takes along: title, the drawn canvas or the rows as text, and the legend below. It
// draws onto a canvas of its own and touches nothing on the page.

import type { Cell } from '../data/csv';
import { color } from './theme';

export interface LegendEntry {
  label: string;
  value: string;
  color: string;
}

export type Drawing =
  | { kind: 'canvas'; canvas: HTMLCanvasElement; legend: LegendEntry[] }
  | { kind: 'rows'; rows: Cell[][] };

const FONT = 'system-ui, sans-serif';
const PAD = 16;
const LINE = 20;
const ROWS_MAX = 60;

function sheet(width: number, height: number, scale: number): { canvas: HTMLCanvasElement; pen: CanvasRenderingContext2D } {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [Math.ceil(width * scale), Math.ceil(height * scale)];
  const pen = canvas.getContext('2d');
  if (!pen) throw new Error('this browser has no canvas');
  pen.scale(scale, scale);
  pen.fillStyle = color('panel');
  pen.fillRect(0, 0, width, height);
  pen.textBaseline = 'middle';
  return { canvas, pen };
}

function title(pen: CanvasRenderingContext2D, text: string): void {
  pen.font = `600 15px ${FONT}`;
  pen.fillStyle = color('text');
  pen.fillText(text, PAD, PAD + LINE / 2);
}

export function picture(name: string, drawing: Drawing): HTMLCanvasElement {
  return drawing.kind === 'canvas' ? ofCanvas(name, drawing.canvas, drawing.legend) : ofRows(name, drawing.rows);
}

function ofCanvas(name: string, source: HTMLCanvasElement, legend: readonly LegendEntry[]): HTMLCanvasElement {
  const scale = devicePixelRatio || 1;
  const [width, height] = [source.width / scale, source.height / scale];
  const top = PAD + LINE + 8;
  const { canvas, pen } = sheet(width + 2 * PAD, top + height + legend.length * LINE + 2 * PAD, scale);
  title(pen, name);
  pen.drawImage(source, PAD, top, width, height);
  pen.font = `13px ${FONT}`;
  legend.forEach((it, at) => {
    const y = top + height + PAD + at * LINE;
    pen.fillStyle = it.color;
    pen.fillRect(PAD, y - 2, 16, 4);
    pen.fillStyle = color('text');
    pen.fillText(`${it.label}  ${it.value}`, PAD + 24, y);
  });
  return canvas;
}

function ofRows(name: string, all: readonly (readonly Cell[])[]): HTMLCanvasElement {
  const rows = all.slice(0, ROWS_MAX).map((row) => row.map((it) => (it === null ? '–' : String(it).slice(0, 48))));
  const ruler = sheet(1, 1, 1).pen;
  ruler.font = `13px ${FONT}`;
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => ruler.measureText(row[at] ?? '').width)) + 24);
  const width = Math.max(240, widths.reduce((sum, it) => sum + it, 0)) + 2 * PAD;
  const { canvas, pen } = sheet(width, 2 * PAD + (rows.length + 1.5) * LINE, 2);
  title(pen, name);
  rows.forEach((row, line) => {
    pen.font = `${line === 0 ? '600 ' : ''}13px ${FONT}`;
    pen.fillStyle = color(line === 0 ? 'muted' : 'text');
    let x = PAD;
    row.forEach((it, at) => {
      pen.fillText(it, x, PAD + (line + 2) * LINE);
      x += widths[at];
    });
  });
  return canvas;
}
