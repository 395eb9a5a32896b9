// 1,000 requests a second for a minute; one of ten has a signature by no key and has to be refused. The others must not suffer from it.

import exec from 'k6/execution';
import { fixtures } from './lib/fixtures.js';
import { arrivals, run } from './lib/shape.js';
import { submitNew, submitRefused } from './lib/submit.js';
export { setup } from './lib/target.js';

const fresh = fixtures('new');
const bad = fixtures('bad');

export const { options, handleSummary } = run(
  'bad-signatures',
  arrivals({ rate: 1000, time: 60, vus: 100, vusMax: 200 }),
);

export default function () {
  const number = exec.scenario.iterationInTest;
  if (number % 10 === 9) {
    submitRefused(bad(Math.floor(number / 10)));
  } else {
    submitNew(fresh(number));
  }
}
