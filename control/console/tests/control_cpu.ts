// Measures what the console costs control: CPU time of flk-control beside a gateway under some load, without a console, with a reading
// each second that no page takes, and with streams of all series. `make console-cpu` runs it; no test asserts the figure.

import { readFileSync } from 'node:fs';
import { Gateway } from './support/gateway';

const SECONDS = 40;
const TICKS_PER_S = 100;

// CPU seconds of a process.
function used(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}

const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function measure(gateway: Gateway, what: string): Promise<void> {
  await pause(5);
  const pid = gateway.pid('flk-control');
  const before = used(pid);
  await pause(SECONDS);
  console.log(`control, ${what}: ${(((used(pid) - before) / SECONDS) * 100).toFixed(1)} % of a core`);
}

// Takes what comes until it is told to stop.
async function take(origin: string, signal: AbortSignal): Promise<void> {
  const stream = await fetch(`${origin}/v1/console/stream?step_s=1&names=flk_,http_,process_`, { signal });
  if (!stream.ok || !stream.body) throw new Error(`no stream: ${stream.status}`);
  const reader = stream.body.getReader();
  const readAll = async () => { while (!(await reader.read()).done); };
  // It ends when it is told to.
  readAll().catch(() => undefined);
}

const gateway = await Gateway.start();
try {
  gateway.load(150);
  const ended = new AbortController();
  for (const [streams, more] of [[0, 0], [1, 1], [4, 3]]) {
    for (let at = 0; at < more; at += 1) await take(gateway.origin, ended.signal);
    await measure(gateway, `a reading a second and ${streams} streams`);
  }
  const { series } = await (await fetch(`${gateway.origin}/v1/console/catalog`)).json() as { series: unknown[] };
  console.log(`a row has ${series.length} numbers`);
  ended.abort();
  await gateway.kill('flk-control');
  await gateway.startControl({ ADMIN_CONSOLE: 'off' });
  await measure(gateway, 'no console');
} finally {
  await gateway.stop();
}
