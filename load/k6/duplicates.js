// 1,000 requests a second for a minute; one of five repeats the last record that its virtual user got an answer for, and has to get the
// same answer, byte for byte.

import exec from 'k6/execution';
import { fixtures } from './lib/fixtures.js';
import { arrivals, run } from './lib/shape.js';
import { submitAgain, submitNew } from './lib/submit.js';
export { setup } from './lib/target.js';

const fresh = fixtures('new');

/** Of this virtual user: a record that was answered, and its answer. */
let answered = null;

export const { options, handleSummary } = run(
  'duplicates',
  arrivals({ rate: 1000, time: 60, vus: 100, vusMax: 200 }),
);

export default function () {
  const number = exec.scenario.iterationInTest;
  if (answered && number % 5 === 4) {
    submitAgain(answered.record, answered.body);
    return;
  }
  const record = fresh(number);
  const body = submitNew(record);
  if (body) {
    answered = { record, body };
  }
}
