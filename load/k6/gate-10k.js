// 10,000 requests a second for a minute. k6 needs several CPUs for it: where it leaves requests out, it was the limit, and the run fails.

import exec from 'k6/execution';
import { fixtures } from './lib/fixtures.js';
import { arrivals, run } from './lib/shape.js';
import { submitNew } from './lib/submit.js';
export { setup } from './lib/target.js';

const fresh = fixtures('new');

export const { options, handleSummary } = run(
  'gate-10k',
  arrivals({ rate: 10000, time: 60, vus: 500, vusMax: 2000 }),
);

export default function () {
  submitNew(fresh(exec.scenario.iterationInTest));
}
