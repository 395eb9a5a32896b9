// 1,000 requests a second for a minute by three tenants, each with a key of its own. One of fifty records is sent as another tenant than
// the one whose key has signed it, and has to be refused.

import exec from 'k6/execution';
import { fixtures } from './lib/fixtures.js';
import { arrivals, run } from './lib/shape.js';
import { submitNew, submitRefused } from './lib/submit.js';
export { setup } from './lib/target.js';

const TENANTS = ['tenant-1', 'tenant-2', 'tenant-3'];
const records = TENANTS.map((name) => fixtures(name));

export const { options, handleSummary } = run(
  'mixed-tenants',
  arrivals({ rate: 1000, time: 60, vus: 100, vusMax: 200 }),
);

export default function () {
  const number = exec.scenario.iterationInTest;
  const at = number % TENANTS.length;
  const record = records[at](Math.floor(number / TENANTS.length));
  if (number % 50 === 49) {
    submitRefused(record, TENANTS[(at + 1) % TENANTS.length]);
  } else {
    submitNew(record, TENANTS[at]);
  }
}
