// What a run has to hold. The published gates decide every run; GATES=strict adds the published strict profile, and GATES=own the bounds
// that this product sets itself on a quiet machine. Those that do not decide are evaluated all the same, and reported.

const bound = (metric, stat, op, value) => ({ metric, stat, op, value });

const PUBLISHED = [
  bound('http_req_failed', 'rate', '<', 0.01),
  bound('http_req_duration', 'p(95)', '<', 200),
  bound('http_req_duration', 'p(99)', '<', 500),
  bound('errors', 'rate', '<', 0.01),
  bound('signature_failures', 'rate', '<', 0.001),
  // A generator that leaves requests out measures another load than it says.
  bound('dropped_iterations', 'count', '==', 0),
];

const STRICT = [
  bound('http_req_duration', 'p(95)', '<', 100),
  bound('http_req_duration', 'p(99)', '<', 150),
];

// On a quiet machine nothing is answered otherwise than expected.
const OWN = [bound('errors', 'rate', '==', 0)];

const LEVELS = ['published', 'strict', 'own'];

const chosen = __ENV.GATES || 'published';
if (!LEVELS.includes(chosen)) {
  throw new Error(`GATES is ${chosen}, but it must be one of ${LEVELS.join(', ')}`);
}

/** Bounds by level. Those of a scenario's own are milliseconds of a percentile, such as { 'p(95)': 2 }. */
export function gates(own = {}) {
  const further = Object.entries(own).map(([stat, ms]) => bound('http_req_duration', stat, '<', ms));
  return { published: PUBLISHED, strict: STRICT, own: OWN.concat(further) };
}

/** The thresholds of k6 that decide this run. */
export function thresholds(levels) {
  const decisive = LEVELS.slice(0, LEVELS.indexOf(chosen) + 1).flatMap((level) => levels[level]);
  const found = {};
  for (const { metric, stat, op, value } of decisive) {
    (found[metric] = found[metric] || []).push(`${stat}${op}${value}`);
  }
  return found;
}

/** Each bound with what was measured, and whether it held. A metric without a sample has nothing against it. */
export function evaluated(levels, metrics) {
  return LEVELS.flatMap((level) =>
    levels[level].map(({ metric, stat, op, value }) => {
      const found = metrics[metric] ? metrics[metric].values[stat] : undefined;
      const measured = found === undefined ? 0 : found;
      const holds = op === '<' ? measured < value : measured === value;
      const decides = LEVELS.indexOf(level) <= LEVELS.indexOf(chosen);
      return { level, gate: `${metric} ${stat}${op}${value}`, measured, holds, decides };
    }),
  );
}
