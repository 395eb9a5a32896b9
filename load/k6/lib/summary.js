// What a run says at its end: a table on the terminal, and summary.json in the directory OUT. It loads nothing from elsewhere.

import { evaluated } from './gates.js';

const STATS = ['med', 'p(90)', 'p(95)', 'p(99)', 'p(99.9)', 'max'];

const ms = (value) => `${value.toFixed(value < 10 ? 2 : 1)} ms`;
const valueOf = (metrics, name, stat) => (metrics[name] ? metrics[name].values[stat] : 0);

function table(name, metrics, gates, seconds) {
  const requests = valueOf(metrics, 'iterations', 'count');
  const lines = [
    `${name}: ${requests} requests in ${seconds.toFixed(1)} s, ${(requests / seconds).toFixed(0)} per second`,
    `  answers not as expected  ${(100 * valueOf(metrics, 'errors', 'rate')).toFixed(3)} %`,
    `  answers other than 2xx   ${valueOf(metrics, 'non_2xx', 'count')}`,
    `  answered as duplicates   ${(100 * valueOf(metrics, 'dedup_hits', 'rate')).toFixed(1)} % of answers to valid records`,
    `  left out (dropped)       ${valueOf(metrics, 'dropped_iterations', 'count')}`,
    `  latency                  ${STATS.map((stat) => `${stat} ${ms(valueOf(metrics, 'http_req_duration', stat))}`).join('  ')}`,
  ];
  for (const { level, gate, measured, holds, decides } of gates) {
    const verdict = holds ? 'holds' : decides ? 'BROKEN' : 'would not hold';
    lines.push(`  ${level.padEnd(9)}  ${gate.padEnd(36)} ${String(Number(measured.toFixed(4))).padStart(10)}  ${verdict}`);
  }
  return `${lines.join('\n')}\n`;
}

/** The handler of k6's summary for a scenario. */
export function summaryWith(name, levels) {
  return function handleSummary(data) {
    const gates = evaluated(levels, data.metrics);
    const seconds = data.state.testRunDurationMs / 1000;
    const written = { stdout: table(name, data.metrics, gates, seconds) };
    if (__ENV.OUT) {
      const values = {};
      for (const [metric, { values: found }] of Object.entries(data.metrics)) {
        values[metric] = found;
      }
      written[`${__ENV.OUT}/summary.json`] = `${JSON.stringify({ scenario: name, seconds, gates, metrics: values }, null, 2)}\n`;
    }
    return written;
  };
}
