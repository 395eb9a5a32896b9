// Runs the tests of the console: `node tests/run.mjs [beginnings of names]`, or with `--program NAME [arguments]` a program that lies beside
// them. What failed is for Node's own runner to say.

import { readdir } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { bundle } from './bundle.mjs';

function node(...args) {
  const run = spawnSync(process.execPath, ['--enable-source-maps', ...args], { stdio: 'inherit' });
  process.exit(run.status ?? 1);
}

const [first, ...rest] = process.argv.slice(2);
if (first === '--program') {
  const [file] = await bundle([rest[0]]);
  node(file, ...rest.slice(1));
}
const asked = process.argv.slice(2);
const names = (await readdir(import.meta.dirname)).filter((it) => it.endsWith('.test.ts')).map((it) => it.replace(/\.ts$/, ''));
const chosen = names.filter((it) => asked.length === 0 || asked.some((part) => it.startsWith(part)));
if (chosen.length === 0) {
  console.error(`no file of tests begins with ${asked.join(' or ')}: there are ${names.join(', ')}`);
  process.exit(2);
}
// One file after the other: two browsers and two gateways at a time would take each other's time.
// A browser that hangs fails its file.
node('--test', '--test-concurrency=1', '--test-timeout=900000', '--test-reporter=spec', ...(await bundle(chosen)));
