// The last day in steps of ten seconds, for what is promised over a day. It reads all of it once, and then what is new.

import { api } from './api';
import { groupsOf } from './feed';
import { Timeline } from './timeline';
import { Reading } from './derive';

const STEP_S = 10;
const ROWS_MAX = 3600;
const DAY_ROWS = 8640;

export class Day {
  private timeline = new Timeline(STEP_S, DAY_ROWS + ROWS_MAX);
  private epoch = '';
  private next = 0;

  constructor(private readonly names: readonly string[]) {}

  async read(): Promise<Reading> {
    const catalog = await api.catalog();
    const step = catalog.steps.find((it) => it.step_s === STEP_S);
    if (step) {
      if (catalog.epoch !== this.epoch) [this.epoch, this.next] = [catalog.epoch, 0];
      const byId = new Map(catalog.series.map((it) => [it.id, it]));
      const groups = groupsOf(this.names, catalog.series);
      for (let from = Math.max(step.first_seq, this.next); from < step.next_seq; from += ROWS_MAX) {
        const to = Math.min(step.next_seq, from + ROWS_MAX);
        const histories = await Promise.all(groups.map((names) => api.history(STEP_S, from, to, names)));
        const parts = histories.map((history) => {
          const series = history.series.flatMap((id) => byId.get(id) ?? { id, name: '', labels: {}, kind: 'gauge' as const });
          return { history, columns: this.timeline.bind(series) };
        });
        this.timeline.appendAll(parts);
        this.next = to;
      }
    }
    return new Reading(this.timeline, STEP_S);
  }
}
