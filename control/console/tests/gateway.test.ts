// The page before a real gateway under load: every page at every width, control that begins anew, a gateway that stops, and
// the first record by the commands that the page shows.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { launch, LOOKS, Tab, until } from './support/browser';
import { Gateway } from './support/gateway';

const PAGES = ['overview', 'path', 'shards', 'disk', 'dedup', 'tenants', 'lookup', 'refusals', 'events'];

let browser: Browser;
let gateway: Gateway;
before(async () => {
  browser = await launch();
  gateway = await Gateway.start();
});
after(async () => {
  await browser.close();
  await gateway.stop();
});

test('the three commands of an empty gateway bring the first record, and it appears live', async () => {
  const tab = await Tab.open(browser, gateway.origin);
  await tab.go('');
  await tab.see('This gateway has no record yet');
  const commands = await tab.page.locator('.first li code').allTextContents();
  assert.equal(commands.length, 3);
  for (const command of commands) gateway.shell(command);
  await tab.see(/The first (\d+ )?records? (is|are) here/);
  await tab.close();
});

test('an accepted record is found by its id', async () => {
  gateway.shell('flk pcs build golden/events/sample.csv | flk pcs sign > signed.json && flk pcs submit signed.json');
  const tab = await Tab.open(browser, gateway.origin);
  await tab.go('#/lookup?id=630bbdb51888a8b53dbbcbc0aa9266d56d56394f059247b069dd0a4e276da353');
  await tab.see('✓ 200, accepted');
  await tab.close();
});

test('every page is live and sound under load, at three widths, light and dark', async () => {
  gateway.load(150);
  for (const look of LOOKS) {
    const tab = await Tab.open(browser, gateway.origin, look);
    for (const page of PAGES) {
      await tab.go(`#/${page}`);
      await tab.isLive();
      await tab.isSound(`${page} at ${look.width} px, ${look.theme}`);
    }
    await tab.close();
  }
});

test('pages show what the load does', async () => {
  const tab = await Tab.open(browser, gateway.origin);
  await tab.go('#/overview');
  await tab.isLive();
  const tile = tab.page.locator('.tile').first().locator('.big');
  await until('a rate above 50 records a second', async () => Number(await tile.textContent()) > 50);
  await tab.go('#/tenants');
  await tab.page.getByRole('rowheader', { name: 'acme' }).first().waitFor();
  await tab.go('#/refusals');
  await tab.see('signature_invalid');
  await tab.go('#/disk');
  await tab.page.locator('tbody tr').first().waitFor();
  await tab.close();
});

test('control that is killed and started again keeps the page', async () => {
  const tab = await Tab.open(browser, gateway.origin);
  await tab.go('#/overview');
  await tab.isLive();
  await gateway.kill('flk-control');
  await tab.page.locator('.banner', { hasText: 'Control does not answer' }).waitFor();
  await gateway.startControl();
  await tab.isLive();
  assert.match(tab.page.url(), /#\/overview/);
  await tab.close();
});

test('a gateway that is killed is said to be away, with what was read last, and comes back', async () => {
  const tab = await Tab.open(browser, gateway.origin);
  await tab.go('#/shards');
  await tab.isLive();
  await tab.page.locator('tbody tr').first().waitFor();
  await gateway.kill('flk-dataplane');
  await tab.page.locator('.banner', { hasText: 'The gateway does not answer' }).waitFor();
  assert.ok((await tab.page.locator('tbody tr').count()) > 0, 'the last rows stay');
  await gateway.startGateway();
  await tab.isLive();
  await tab.close();
});
