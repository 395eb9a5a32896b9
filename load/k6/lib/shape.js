// How requests follow each other: an open loop at a rate, or virtual users that wait between two requests. DURATION, RATE and VUS change the
// size of a scenario and not its form, so that a slice of it can be run.

import { sleep } from 'k6';
import { gates, thresholds } from './gates.js';
import { summaryWith } from './summary.js';

/** Seconds between two requests of a virtual user: 100 of them send a little less than 1,000 requests a second. */
const PACE_S = 0.1;

const UNITS = { s: 1, m: 60, h: 3600 };

function number(name, otherwise) {
  const value = Number(__ENV[name] || otherwise);
  if (!(value > 0)) {
    throw new Error(`${name} is ${__ENV[name]}, but it must be a number above 0`);
  }
  return value;
}

/** The whole time of a scenario. */
function seconds(otherwise) {
  if (!__ENV.DURATION) {
    return otherwise;
  }
  const found = /^(\d+)([smh]?)$/.exec(__ENV.DURATION);
  if (!found || Number(found[1]) === 0) {
    throw new Error(`DURATION is ${__ENV.DURATION}, but it must be a time such as 90s, 10m or 1h`);
  }
  return Number(found[1]) * UNITS[found[2] || 's'];
}

/** An open loop: so many requests a second, whatever became of earlier ones. */
export function arrivals({ rate, time, vus, vusMax }) {
  return {
    executor: 'constant-arrival-rate',
    rate: number('RATE', rate),
    timeUnit: '1s',
    duration: `${seconds(time)}s`,
    preAllocatedVUs: vus,
    maxVUs: vusMax,
    gracefulStop: '10s',
  };
}

/** Virtual users that come and go: stages of seconds and of how many there are at their end. */
export function ramp(stages) {
  const whole = stages.reduce((sum, [time]) => sum + time, 0);
  const most = Math.max(...stages.map(([, vus]) => vus));
  const [scale, vusMax] = [seconds(whole) / whole, number('VUS', most)];
  return {
    executor: 'ramping-vus',
    startVUs: 0,
    stages: stages.map(([time, vus]) => ({
      duration: `${Math.round(time * scale * 1000)}ms`,
      target: Math.round((vus / most) * vusMax),
    })),
    gracefulRampDown: '10s',
    gracefulStop: '10s',
  };
}

/** So many virtual users all the time. */
export function users({ vus, time }) {
  return {
    executor: 'constant-vus',
    vus: number('VUS', vus),
    duration: `${seconds(time)}s`,
    gracefulStop: '10s',
  };
}

/** What a virtual user does between two requests. */
export function pause() {
  sleep(PACE_S);
}

/** The options of a scenario of this name, and what is written at its end. `own` are the bounds that this product sets itself. */
export function run(name, scenario, own) {
  const levels = gates(own);
  return {
    options: {
      scenarios: { [name]: scenario },
      thresholds: thresholds(levels),
      summaryTrendStats: ['min', 'avg', 'med', 'p(90)', 'p(95)', 'p(99)', 'p(99.9)', 'max'],
      systemTags: ['status', 'scenario', 'expected_response'],
      setupTimeout: '10s',
    },
    handleSummary: summaryWith(name, levels),
  };
}
