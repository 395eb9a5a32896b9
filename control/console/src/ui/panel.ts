// The frame of everything that is shown: a title, what good looks like, a body, and the ways to take it along as CSV or PNG.

import type { Cell } from '../data/csv';
import { copyCsv, copyPng } from './copy';
import { freshId, h, type Child } from './dom';
import { picture, type Drawing } from './picture';

export interface PanelSpec {
  title: string;
  // What good looks like, in one sentence.
  good?: string;
  class?: string;
  // The head of the table, then its rows.
  rows?: () => Cell[][];
  // What a PNG shows; without it the PNG is a picture of the rows.
  drawing?: () => Drawing;
}

export function panel(spec: PanelSpec, ...body: Child[]): HTMLElement {
  const id = freshId('panel');
  const name = `flk-${spec.title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`;
  const rows = spec.rows;
  const tools = rows && h('div', { class: 'tools' },
    h('button', { type: 'button', class: 'tool', title: 'Copy as CSV', 'aria-label': `Copy ${spec.title} as CSV`, click: () => void copyCsv(name, rows()) }, 'CSV'),
    h('button', {
      type: 'button', class: 'tool', title: 'Copy as PNG', 'aria-label': `Copy ${spec.title} as PNG`,
      click: () => void copyPng(name, picture(spec.title, spec.drawing?.() ?? { kind: 'rows', rows: rows() })),
    }, 'PNG'));
  return h('section', { class: `panel ${spec.class ?? ''}`, 'aria-labelledby': id },
    h('header', {}, h('h2', { id }, spec.title), tools),
    spec.good !== undefined && h('p', { class: 'good' }, spec.good),
    ...body);
}
