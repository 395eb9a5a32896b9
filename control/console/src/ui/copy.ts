// A panel as CSV or PNG, to the clipboard, or to a file where the browser has no clipboard (a page without TLS on another
// host). It also owns the line that says what became of it.

import { csv, type Cell } from '../data/csv';
import { h, say } from './dom';

const line = h('div', { class: 'toast', role: 'status', 'aria-live': 'polite' });
let timer = 0;

export function toast(): HTMLElement {
  return line;
}

export function tell(text: string): void {
  say(line, text);
  line.setAttribute('data-shown', '');
  window.clearTimeout(timer);
  timer = window.setTimeout(() => line.removeAttribute('data-shown'), 2500);
}

function download(name: string, blob: Blob): void {
  const link = h('a', { href: URL.createObjectURL(blob), download: name });
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  tell(`Saved as ${name}`);
}

export async function copyText(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    tell(`${what} copied`);
  } catch {
    download('copied.txt', new Blob([text], { type: 'text/plain' }));
  }
}

export async function copyCsv(name: string, rows: readonly (readonly Cell[])[]): Promise<void> {
  const text = csv(rows);
  try {
    await navigator.clipboard.writeText(text);
    tell('CSV copied');
  } catch {
    download(`${name}.csv`, new Blob([text], { type: 'text/csv' }));
  }
}

export async function copyPng(name: string, canvas: HTMLCanvasElement): Promise<void> {
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'));
  if (!blob) return tell('This browser makes no PNG of a panel of this size');
  try {
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
    tell('PNG copied');
  } catch {
    download(`${name}.png`, blob);
  }
}
