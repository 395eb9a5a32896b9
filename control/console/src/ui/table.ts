// A table whose rows keep their place: a cell changes only when its text does. It sorts by any column and scrolls sideways
// in a narrow window.

import type { Cell } from '../data/csv';
import type { Tone } from '../data/tone';
import { fill, h, mark, say } from './dom';
import { panel, type PanelSpec } from './panel';

export interface TableColumn<Row> {
  title: string;
  // What it means, where the title does not say it.
  hint?: string;
  // What the cell shows.
  text: (row: Row) => string;
  // What it is sorted and copied by; a column with numbers is aligned to the right.
  value?: (row: Row) => number;
  // A part of one, drawn as a bar behind the number.
  bar?: (row: Row) => number;
  tone?: (row: Row) => Tone | null;
  isWide?: boolean;
  link?: (row: Row) => string | null;
}

interface Shown<Row> {
  row: Row;
  element: HTMLTableRowElement;
  cells: { text: HTMLElement; bar: HTMLElement | null; cell: HTMLTableCellElement }[];
}

export class Table<Row> {
  readonly element: HTMLElement;
  private readonly body = h('tbody');
  private readonly heads: HTMLTableCellElement[];
  private readonly empty: HTMLElement;
  private readonly shown = new Map<string, Shown<Row>>();
  private rows: Row[] = [];
  private sorted: { at: number; isDown: boolean } | null = null;
  private limit = 200;
  private readonly more = h('button', { type: 'button', class: 'more', hidden: true, click: () => this.extend() }, 'Show more');

  constructor(spec: PanelSpec, private readonly columns: readonly TableColumn<Row>[], private readonly key: (row: Row) => string, empty: string) {
    this.empty = h('p', { class: 'empty' }, empty);
    this.heads = columns.map((it, at) =>
      h('th', { scope: 'col', class: it.value ? 'number' : null, title: it.hint },
        h('button', { type: 'button', click: () => this.sortBy(at) }, it.title, h('span', { class: 'arrow', 'aria-hidden': 'true' }))));
    const table = h('table', {}, h('thead', {}, h('tr', {}, ...this.heads)), this.body);
    const scroll = h('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': `${spec.title}, table` }, table);
    this.element = panel({ ...spec, class: `table-panel ${spec.class ?? ''}`, rows: () => this.cells() }, scroll, this.empty, this.more);
  }

  set(rows: readonly Row[]): void {
    this.rows = [...rows];
    this.draw();
  }

  private cells(): Cell[][] {
    const own = (row: Row) => this.columns.map((it): Cell => (it.value ? it.value(row) : it.text(row)));
    return [this.columns.map((it) => it.title), ...this.ordered().map(own)];
  }

  private extend(): void {
    this.limit += 200;
    this.draw();
  }

  private sortBy(at: number): void {
    const isDown = this.sorted?.at === at ? !this.sorted.isDown : this.columns[at].value !== undefined;
    this.sorted = { at, isDown };
    this.heads.forEach((it, head) => mark(it, 'aria-sort', head !== at ? null : isDown ? 'descending' : 'ascending'));
    this.draw();
  }

  private ordered(): Row[] {
    if (!this.sorted) return this.rows;
    const { at, isDown } = this.sorted;
    const { value, text } = this.columns[at];
    const number = (row: Row) => value?.(row) ?? NaN;
    const compare = (a: Row, b: Row) => (value ? (Number.isNaN(number(a)) ? -Infinity : number(a)) - (Number.isNaN(number(b)) ? -Infinity : number(b)) : text(a).localeCompare(text(b)));
    return this.rows.toSorted((a, b) => (isDown ? compare(b, a) : compare(a, b)) || 0);
  }

  private draw(): void {
    const rows = this.ordered().slice(0, this.limit);
    const keys = new Set(rows.map(this.key));
    for (const [key, it] of this.shown) {
      if (keys.has(key)) continue;
      it.element.remove();
      this.shown.delete(key);
    }
    rows.forEach((row, at) => {
      const it = this.shown.get(this.key(row)) ?? this.make(row);
      if (this.body.children[at] !== it.element) this.body.insertBefore(it.element, this.body.children[at] ?? null);
      this.update(it, row);
    });
    mark(this.empty, 'hidden', rows.length > 0 ? '' : null);
    mark(this.more, 'hidden', this.rows.length > this.limit ? null : '');
  }

  private make(row: Row): Shown<Row> {
    const cells = this.columns.map((column, at) => {
      const text = h('span', { class: 'text' });
      const bar = column.bar ? h('span', {}) : null;
      const cell = h(at === 0 ? 'th' : 'td', { scope: at === 0 ? 'row' : null, class: `${column.value ? 'number' : ''} ${column.isWide ? 'long' : ''}` }, bar && h('span', { class: 'meter', 'aria-hidden': 'true' }, bar), text);
      return { text, bar, cell };
    });
    const made = { row, cells, element: h('tr', {}, ...cells.map((it) => it.cell)) };
    this.shown.set(this.key(row), made);
    return made;
  }

  private update(it: Shown<Row>, row: Row): void {
    this.columns.forEach((column, at) => {
      const { text, bar, cell } = it.cells[at];
      const href = column.link?.(row) ?? null;
      const shownText = column.text(row);
      if (href !== null && text.textContent !== shownText) fill(text, h('a', { href }, shownText));
      else say(text, shownText);
      mark(cell, 'data-tone', column.tone?.(row) ?? null);
      if (bar && column.bar) {
        const share = column.bar(row);
        if (bar.parentElement) mark(bar.parentElement, 'hidden', Number.isFinite(share) ? null : '');
        bar.style.width = `${(Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0) * 100}%`;
      }
    });
  }
}
