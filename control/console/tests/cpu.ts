// Measures what a tab of the console costs: CPU time of the whole browser while one page is looked at, beside that of an
// empty page. `make console-cpu` runs it; no test asserts the figure, for machines differ.

import { readdirSync, readFileSync } from 'node:fs';
import { DIST, launch, Tab } from './support/browser';
import { Fake } from './support/fake';

const SECONDS = 20;
const TICKS_PER_S = 100;

// CPU seconds of all processes of the browser that this process started.
function used(): number {
  const stats = readdirSync('/proc').filter((it) => /^\d+$/.test(it)).flatMap((id) => {
    try {
      const text = readFileSync(`/proc/${id}/stat`, 'utf8');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      return [{ id: Number(id), parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }];
    } catch {
      return [];
    }
  });
  const ours = new Set([process.pid]);
  for (let before = 0; before !== ours.size; ) {
    before = ours.size;
    for (const it of stats) if (ours.has(it.parent)) ours.add(it.id);
  }
  return stats.filter((it) => ours.has(it.id) && it.id !== process.pid).reduce((sum, it) => sum + it.ticks, 0) / TICKS_PER_S;
}

const fake = new Fake(DIST);
const origin = await fake.listen();
const browser = await launch();
const asked = process.argv.slice(2);
for (const page of ['', ...(asked.length > 0 ? asked : ['overview', 'path', 'shards', 'disk', 'tenants'])]) {
  const tab = await Tab.open(browser, origin);
  if (page === '') await tab.page.goto('about:blank');
  else {
    await tab.go(`#/${page}?range=5m`);
    await tab.isLive();
  }
  await tab.page.waitForTimeout(3000);
  const before = used();
  await tab.page.waitForTimeout(SECONDS * 1000);
  const share = ((used() - before) / SECONDS) * 100;
  console.log(`${page === '' ? 'an empty page' : page}: ${share.toFixed(1)} % of a core`);
  await tab.close();
}
await browser.close();
await fake.close();
