// The last day in steps of ten seconds, for what is promised over a day. It reads all of it once, and then what is new.

import { api } from './api';
import { namedOf, rowsMaxOf } from './feed';
import { Timeline } from './timeline';
import { Reading } from './derive';

const STEP_S = 10;
const DAY_ROWS = 8640;

export class Day {
  private timeline = new Timeline(STEP_S, DAY_ROWS + 3600);
  private epoch = '';
  private next = 0;

  constructor(private readonly names: readonly string[]) {}

  async read(): Promise<Reading> {
    const catalog = await api.catalog();
    const step = catalog.steps.find((it) => it.step_s === STEP_S);
    if (step) {
      if (catalog.epoch !== this.epoch) [this.epoch, this.next] = [catalog.epoch, 0];
      const byId = new Map(catalog.series.map((it) => [it.id, it]));
      const rows_max = rowsMaxOf(this.names, catalog.series);
      for (let from = Math.max(step.first_seq, this.next); from < step.next_seq; from = this.next) {
        const to = Math.min(step.next_seq, from + rows_max);
        const history = await api.history(STEP_S, from, to, this.names);
        this.timeline.appendAll(history, this.timeline.bind(namedOf(history.series, byId)));
        this.next = to;
      }
    }
    return new Reading(this.timeline, STEP_S);
  }
}
