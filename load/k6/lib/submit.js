// Sends a record and holds the answer against what was sent: a new record is answered 200 with Flk-Dedup: miss and with its own id, a
// duplicate 200 with hit and the bytes of the first answer, a bad signature 401. Anything else is an error.

import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Rate } from 'k6/metrics';
import { url } from './target.js';

const errors = new Rate('errors');
const signatureFailures = new Rate('signature_failures');
const dedupHits = new Rate('dedup_hits');
const notSuccess = new Counter('non_2xx');

const address = `${url}/v1/pcs/submit`;
const refused = http.expectedStatuses(401);

/** One line for each virtual user: the first wrong answers say enough. */
let told = false;

function judge(isRight, expected, answer) {
  errors.add(!isRight);
  notSuccess.add(answer.status >= 200 && answer.status < 300 ? 0 : 1);
  if (!isRight && !told) {
    told = true;
    const said = `${answer.status} ${answer.headers['Flk-Dedup'] || ''} ${String(answer.body).slice(0, 200)}`;
    console.error(`VU ${exec.vu.idInTest}: ${expected} expected, answered: ${answer.error || said}`);
  }
}

function send(record, tenant, responseCallback) {
  const headers = { 'Content-Type': 'application/json' };
  if (tenant) {
    headers['X-Tenant-Id'] = tenant;
  }
  const params = { headers };
  if (responseCallback) {
    params.responseCallback = responseCallback;
  }
  return http.post(address, record.body, params);
}

/** What a record with a valid signature was answered, in the metrics that every run has. */
function count(answer) {
  signatureFailures.add(answer.status === 401);
  dedupHits.add(answer.headers['Flk-Dedup'] === 'hit');
}

/** Sends a record that no gateway has seen. Its answer, or null where it is wrong. */
export function submitNew(record, tenant) {
  const answer = send(record, tenant);
  count(answer);
  const isRight =
    answer.status === 200 &&
    answer.headers['Flk-Dedup'] === 'miss' &&
    answer.body.startsWith(`{"pcs_id":"${record.id}",`);
  judge(isRight, '200 miss', answer);
  return isRight ? answer.body : null;
}

/** Sends a record again that was answered with this body. */
export function submitAgain(record, body, tenant) {
  const answer = send(record, tenant);
  count(answer);
  const isRight = answer.status === 200 && answer.headers['Flk-Dedup'] === 'hit' && answer.body === body;
  judge(isRight, '200 hit with the first answer', answer);
}

/** Sends a record whose signature is not valid for this tenant. */
export function submitRefused(record, tenant) {
  const answer = send(record, tenant, refused);
  judge(answer.status === 401, '401', answer);
}
