// Makes the pictures of docs/console.md: pages of a real gateway under load. `make console-pictures` runs it.
//
//   --fake   before the control process of the tests instead, for a look at states that take days
//   --out    another directory; --all every page at every width

import { spawnSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Browser } from 'playwright-core';
import { DIST, HOME, launch, LOOKS, Tab, type Look } from './support/browser';
import { Fake, KNOWN_ID } from './support/fake';
import { Gateway } from './support/gateway';

const BYTES_MAX = 150 * 1024;
const { values } = parseArgs({ options: { fake: { type: 'boolean' }, all: { type: 'boolean' }, out: { type: 'string' }, page: { type: 'string' }, warm: { type: 'string' } } });
const out = values.out ?? join(HOME, '../../docs/pictures/console');

const SHOWN: [string, Look][] = [
  ['overview', { width: 1280, theme: 'light' }], ['overview', { width: 1280, theme: 'dark' }], ['overview', { width: 360, theme: 'light' }],
  ['path', { width: 1280, theme: 'light' }], ['shards', { width: 1280, theme: 'dark' }], ['disk', { width: 1280, theme: 'light' }],
  ['tenants', { width: 1280, theme: 'light' }], ['refusals', { width: 1280, theme: 'light' }],
];
const PAGES = ['overview', 'path', 'shards', 'disk', 'dedup', 'tenants', 'lookup', 'refusals', 'events', 'runbook/wal-disk-pressure'];

// A picture of a page needs no more than 256 colours.
function shrink(file: string): void {
  const run = spawnSync('pngquant', ['--force', '--ext', '.png', '--speed', '1', '--strip', '--', file], { stdio: 'inherit' });
  if (run.status !== 0) throw new Error(`pngquant cannot shrink ${file}`);
}

async function shoot(origin: string, shots: readonly [string, Look][], isStrict: boolean, name = ''): Promise<void> {
  const browser = await launch();
  try {
    await shootAll(browser, origin, shots, isStrict, name);
  } finally {
    await browser.close();
  }
}

async function shootAll(browser: Browser, origin: string, shots: readonly [string, Look][], isStrict: boolean, name: string): Promise<void> {
  for (const [page, look] of shots) {
    const tab = await Tab.open(browser, origin, look);
    const more = page === 'lookup' ? `&id=${KNOWN_ID}` : '';
    await tab.go(`#/${page}?range=5m${more}`);
    await tab.isLive();
    await tab.page.evaluate(() => document.fonts.ready);
    // Plots below the window are not drawn.
    if (values.all) await tab.page.setViewportSize({ width: look.width, height: await tab.page.evaluate(() => Math.max(document.documentElement.scrollHeight, innerHeight)) });
    // Two readings, so that everything on the page has been drawn twice.
    await tab.page.waitForTimeout(2500);
    const file = join(out, `${name || page.split('/')[0]}-${look.width}-${look.theme}.png`);
    await tab.page.screenshot({ path: file, fullPage: values.all === true });
    if (isStrict) shrink(file);
    const { size } = statSync(file);
    console.log(`${file}: ${(size / 1024).toFixed(0)} KiB`);
    if (isStrict && size > BYTES_MAX) throw new Error(`${file} is larger than ${BYTES_MAX} bytes`);
    await tab.close();
  }
}

mkdirSync(out, { recursive: true });
const pages = values.page === undefined ? PAGES : values.page.split(',');
const shots = values.all ? LOOKS.flatMap((look) => pages.map((page): [string, Look] => [page, look])) : SHOWN;
if (values.fake) {
  const fake = new Fake(DIST);
  const origin = await fake.listen();
  const since_ms = Date.now() - 340_000;
  fake.needAttention([
    { name: 'FLKWALHorizonShort', severity: 'warning', words: 'Bodies are deleted before their age', runbook: 'wal-disk-pressure', since_ms },
    { name: 'FLKSignatureFailuresSpike', severity: 'page', words: 'More than ten records a second have no valid signature', runbook: 'signature-spike', since_ms },
  ]);
  fake.refusals = Array.from({ length: 40 }, (_, at) => ({ t_ms: Date.now() - at * 730, status: [401, 429, 400][at % 3], code: ['signature_invalid', 'rate_limited', 'json_invalid'][at % 3], tenant: ['acme', 'default', null][at % 3], key_id: at % 3 === 0 ? 'acme-2026-11' : null, shard: at % 2 }));
  fake.events = Array.from({ length: 12 }, (_, at) => ({ t_ms: Date.now() - at * 61_000, kind: ['seal', 'delete', 'reload', 'audit'][at % 4], words: ['slice 6 has the decisions of log 1.0 up to 1:48210', 'segment-99.wal was deleted: older than WAL_MAX_AGE', 'snapshot 8 is in force, 7 was (by file)', 'tenant acme: rate 1000 → 2000'][at % 4], actor: at % 4 > 1 ? 'anna' : null }));
  await shoot(origin, shots, false);
  await fake.close();
} else {
  const gateway = await Gateway.start();
  try {
    if (!values.all) await shoot(gateway.origin, [['overview', { width: 1280, theme: 'light' }]], true, 'first');
    gateway.load(400);
    // Long enough for plots to have a shape.
    await new Promise((resolve) => setTimeout(resolve, Number(values.warm ?? 150) * 1000));
    await shoot(gateway.origin, shots, !values.all);
  } finally {
    await gateway.stop();
  }
}
