// A runbook, from those that were built in: they can be read when nothing else can be reached.

import { api } from '../data/api';
import { fill, h } from '../ui/dom';
import { rendered } from '../ui/markdown';
import type { Context, Shell, View } from './view';

export class RunbookView implements View {
  readonly element: HTMLElement;
  readonly names = [];
  private readonly list = h('nav', { class: 'runbooks', 'aria-label': 'Runbooks' });
  private readonly text = h('article', { class: 'prose panel' });
  private runbooks: Record<string, string> | null = null;
  private shown: string | null = null;

  constructor(private readonly shell: Shell) {
    this.element = h('div', { class: 'page split' }, this.list, this.text);
    api.runbooks().then((it) => {
      this.runbooks = it;
      shell.redraw();
    }, () => fill(this.text, h('p', { class: 'empty' }, 'The runbooks of this build cannot be read: docs/runbooks has them.')));
  }

  update({ address }: Context): void {
    if (!this.runbooks || address.detail === this.shown) return;
    this.shown = address.detail;
    const known = this.runbooks;
    const href = (name: string) => (Object.hasOwn(known, name) ? this.shell.href({ page: 'runbook', detail: name, more: {} }) : null);
    const title = (name: string) => /^# (.*)$/m.exec(known[name])?.[1] ?? name;
    fill(this.list, h('ul', {}, ...Object.keys(known).map((name) => h('li', {}, h('a', { href: href(name), 'aria-current': name === address.detail ? 'page' : null }, title(name))))));
    const text = Object.hasOwn(known, address.detail) ? known[address.detail] : null;
    fill(this.text, ...(text === null ? [h('p', { class: 'empty' }, address.detail === '' ? 'Choose a runbook.' : 'There is no such runbook in this build.')] : rendered(text, href)));
  }

  end(): void {
    this.shown = null;
  }
}
