// 5,000 requests a second from the first second on, for five minutes.

import exec from 'k6/execution';
import { fixtures } from './lib/fixtures.js';
import { arrivals, run } from './lib/shape.js';
import { submitNew } from './lib/submit.js';
export { setup } from './lib/target.js';

const fresh = fixtures('new');

export const { options, handleSummary } = run(
  'spike',
  arrivals({ rate: 5000, time: 300, vus: 500, vusMax: 1000 }),
);

export default function () {
  submitNew(fresh(exec.scenario.iterationInTest));
}
