// 1,000 requests a second for five minutes, whatever became of earlier ones; DURATION=10m is the long form.

import exec from 'k6/execution';
import { fixtures } from './lib/fixtures.js';
import { arrivals, run } from './lib/shape.js';
import { submitNew } from './lib/submit.js';
export { setup } from './lib/target.js';

const fresh = fixtures('new');

export const { options, handleSummary } = run(
  'steady-1k-5m',
  arrivals({ rate: 1000, time: 300, vus: 100, vusMax: 200 }),
  { 'p(95)': 2 },
);

export default function () {
  submitNew(fresh(exec.scenario.iterationInTest));
}
