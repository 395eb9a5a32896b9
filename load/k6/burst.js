// 500 virtual users within ten seconds, for a minute, and gone within ten seconds.

import exec from 'k6/execution';
import { fixtures } from './lib/fixtures.js';
import { pause, ramp, run } from './lib/shape.js';
import { submitNew } from './lib/submit.js';
export { setup } from './lib/target.js';

const fresh = fixtures('new');

export const { options, handleSummary } = run(
  'burst',
  ramp([
    [10, 500],
    [60, 500],
    [10, 0],
  ]),
);

export default function () {
  submitNew(fresh(exec.scenario.iterationInTest));
  pause();
}
