// Where a run sends: a gateway on this machine, unless ALLOW_REMOTE=1 says that another one may be loaded. No run begins against a gateway
// that is not ready.

import http from 'k6/http';
import { hasFixtures } from './fixtures.js';

/** The address of the gateway, without a slash at its end. */
export const url = (__ENV.BACKEND_URL || 'http://127.0.0.1:8080').replace(/\/+$/, '');

const LOOPBACK = /^http:\/\/(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\])(:\d+)?$/;

/** Refuses a run that could only measure nonsense. k6 calls it once, before the first iteration. */
export function setup() {
  if (!LOOPBACK.test(url) && __ENV.ALLOW_REMOTE !== '1') {
    throw new Error(`${url} is not on this machine: ALLOW_REMOTE=1 allows it`);
  }
  if (!hasFixtures) {
    throw new Error('there are no records: FIXTURES names a directory of flk bench fixtures; make load makes one');
  }
  const answer = http.get(`${url}/readyz`);
  if (answer.status !== 200) {
    throw new Error(`the gateway of ${url} is not ready: /readyz answers ${answer.status} ${answer.error || answer.body}`);
  }
}
