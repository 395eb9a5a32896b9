// 50 virtual users for an hour. The harness beside it also judges how the memory of the gateway grows.

import exec from 'k6/execution';
import { fixtures } from './lib/fixtures.js';
import { pause, run, users } from './lib/shape.js';
import { submitNew } from './lib/submit.js';
export { setup } from './lib/target.js';

const fresh = fixtures('new');

export const { options, handleSummary } = run('soak', users({ vus: 50, time: 3600 }));

export default function () {
  submitNew(fresh(exec.scenario.iterationInTest));
  pause();
}
