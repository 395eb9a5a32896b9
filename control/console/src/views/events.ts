// What happened to the gateway: starts, changes of the configuration, seals, deletions, and who did what.

import { api } from '../data/api';
import { full } from '../data/clock';
import { Polled } from '../data/polled';
import type { LoggedEvent } from '../data/wire';
import { h } from '../ui/dom';
import type { Tone } from '../data/tone';
import { Table } from '../ui/table';
import { Filter } from './filter';
import type { Context, Shell, View } from './view';

const TONES: Readonly<Record<string, Tone>> = { away: 'bad', quarantine: 'bad', back: 'ok', start: 'ok' };

export class EventsView implements View {
  readonly element: HTMLElement;
  readonly names = [];
  private readonly list: Table<LoggedEvent & { key: string }>;
  private readonly filter: Filter;
  private readonly events: Polled<LoggedEvent[]>;

  constructor(shell: Shell) {
    this.events = new Polled(() => api.events(), 2000, () => shell.redraw());
    this.filter = new Filter(shell, 'kind, words, actor');
    this.list = new Table<LoggedEvent & { key: string }>({ title: 'Events', good: 'The newest first, as long as control runs.' }, [
      { title: 'Time', text: (it) => full(it.t_ms, shell.address().zone) },
      { title: 'Kind', text: (it) => it.kind, tone: (it) => TONES[it.kind] ?? 'idle' },
      { title: 'What', text: (it) => it.words, isWide: true },
      { title: 'By', text: (it) => it.actor ?? '–' },
    ], (it) => it.key, 'Nothing happened, or nothing fits the filter.');
    this.element = h('div', { class: 'page' }, this.filter.element, this.list.element);
  }

  update(_: Context): void {
    this.filter.update();
    const kept = (this.events.value ?? []).filter((it) => this.filter.keeps([it.kind, it.words, it.actor ?? '']));
    this.list.set(kept.map((it, at) => ({ ...it, key: JSON.stringify([it.t_ms, it.kind, it.words, kept.length - at]) })));
  }

  end(): void {
    this.events.end();
  }
}
