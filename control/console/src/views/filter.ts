// A field that keeps rows with all of its words. Its text is in the address, so that a filtered list can be sent.

import { h } from '../ui/dom';
import type { Shell } from './view';

export class Filter {
  readonly element: HTMLElement;
  private readonly input = h('input', { id: 'filter', type: 'search', autocomplete: 'off', spellcheck: 'false', input: () => this.typed() });

  constructor(private readonly shell: Shell, hint: string) {
    this.input.placeholder = hint;
    this.input.value = shell.address().more.q ?? '';
    this.element = h('div', { class: 'form', role: 'search' }, h('label', { for: 'filter' }, 'Filter'), this.input);
  }

  update(): void {
    const wanted = this.shell.address().more.q ?? '';
    if (document.activeElement !== this.input && this.input.value !== wanted) this.input.value = wanted;
  }

  keeps(row: readonly string[]): boolean {
    const all = row.join(' ').toLowerCase();
    return this.input.value.toLowerCase().split(/\s+/).every((it) => all.includes(it));
  }

  private typed(): void {
    this.shell.go({ more: { ...this.shell.address().more, q: this.input.value } });
    this.shell.redraw();
  }
}
