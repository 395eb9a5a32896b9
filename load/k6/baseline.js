// Virtual users grow to 100 within a minute, stay for five, and go within a minute: about 1,000 requests a second.

import exec from 'k6/execution';
import { fixtures } from './lib/fixtures.js';
import { pause, ramp, run } from './lib/shape.js';
import { submitNew } from './lib/submit.js';
export { setup } from './lib/target.js';

const fresh = fixtures('new');

export const { options, handleSummary } = run(
  'baseline',
  ramp([
    [60, 100],
    [300, 100],
    [60, 0],
  ]),
);

export default function () {
  submitNew(fresh(exec.scenario.iterationInTest));
  pause();
}
