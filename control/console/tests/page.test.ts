// The page in a browser, before a control process that does on demand what a real one does rarely.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { DIST, launch, LOOKS, Tab, until } from './support/browser';
import { Fake, KNOWN_ID } from './support/fake';
import { HOSTILE, USUAL } from './support/model';

const PAGES = ['overview', 'path', 'shards', 'disk', 'dedup', 'tenants', 'lookup', 'refusals', 'events', 'runbook/wal-disk-pressure'];
const PRESSURE = { name: 'FLKWALDiskPressure', severity: 'page' as const, words: 'The disk of a log is 91 % full', runbook: 'wal-disk-pressure', since_ms: Date.now() - 300_000 };

let browser: Browser;
before(async () => (browser = await launch()));
after(async () => browser.close());

async function withFake(act: (fake: Fake, origin: string) => Promise<void>, fake = new Fake(DIST)): Promise<void> {
  const origin = await fake.listen();
  try {
    await act(fake, origin);
  } finally {
    await fake.close();
  }
}

for (const look of LOOKS) {
  test(`every page is sound at ${look.width} px in ${look.theme} colours`, async () => {
    await withFake(async (fake, origin) => {
      fake.needAttention([PRESSURE, { ...PRESSURE, name: 'FLKKeyOld', severity: 'ticket', words: 'A key is older than 90 days', runbook: 'key-rotation' }]);
      fake.refusals = [{ t_ms: Date.now(), status: 401, code: 'signature_invalid', tenant: 'acme', key_id: null, shard: 1 }];
      fake.events = [{ t_ms: Date.now(), kind: 'reload', words: 'snapshot 8 is in force', actor: 'anna' }];
      const tab = await Tab.open(browser, origin, look);
      for (const page of PAGES) {
        await tab.go(`#/${page}`);
        await tab.isLive();
        await tab.isSound(page);
      }
      await tab.close();
    });
  });
}

test('the first page says what needs attention, and leads to the runbook', async () => {
  await withFake(async (fake, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go('#/overview');
    await tab.see(/Nothing needs attention/);
    fake.needAttention([PRESSURE]);
    await tab.see(PRESSURE.words);
    await tab.page.getByRole('link', { name: 'Runbook for FLKWALDiskPressure' }).click();
    await tab.page.getByRole('heading', { name: 'WAL disk pressure' }).waitFor();
    assert.doesNotMatch((await tab.page.getByRole('article').textContent()) ?? '', /\*\w+\*/);
    await tab.page.getByRole('article').getByRole('link', { name: 'Damaged WAL' }).first().click();
    await until('another runbook', async () => tab.page.url().includes('runbook/damaged-wal'));
    await tab.close();
  });
});

test('names that clients chose are text on every page, and in what is copied', async () => {
  const fake = new Fake(DIST, { ...USUAL, tenants: HOSTILE });
  fake.refusals = HOSTILE.map((tenant) => ({ t_ms: Date.now(), status: 401, code: 'signature_invalid', tenant, key_id: tenant, shard: 0 }));
  fake.events = HOSTILE.map((words) => ({ t_ms: Date.now(), kind: 'audit', words, actor: words }));
  fake.attention = [{ ...PRESSURE, words: HOSTILE[0], name: HOSTILE[1], runbook: '../../v1/reload' }];
  await withFake(async (_, origin) => {
    const tab = await Tab.open(browser, origin);
    tab.page.on('dialog', () => assert.fail('a name ran as a script'));
    for (const page of ['overview', 'tenants', 'refusals', 'events']) {
      await tab.go(`#/${page}`);
      await tab.isLive();
      await tab.see(HOSTILE[0]);
      assert.equal(await tab.page.locator('main img, main script').count(), 0, page);
    }
    await tab.go('#/tenants');
    await tab.see(HOSTILE[2]);
    await tab.page.getByRole('button', { name: 'Copy Tenants as CSV' }).click();
    await tab.see('CSV copied');
    const copied = await tab.page.evaluate(() => navigator.clipboard.readText());
    assert.ok(copied.includes(`"'=HYPERLINK(""x"")"`), copied);
    await tab.close();
  }, fake);
});

test('tenants with more series than one answer has rows for are all shown', async () => {
  const tenants = Array.from({ length: 300 }, (_, at) => `tenant-${at}`);
  await withFake(async (_, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go('#/tenants');
    await tab.isLive();
    await tab.page.getByRole('rowheader', { name: 'tenant-7', exact: true }).waitFor();
    const numbers = async (panel: string, column: number) => (await copied(tab, panel)).map((it) => Number(it[column] || NaN));
    await until('records of each tenant', async () => (await numbers('Tenants', 2)).filter((it) => it > 0).length === 300);
    await until('verified records of each new key', async () => (await numbers('Keys', 3)).filter((it) => it > 0).length === 300);
    await tab.close();
  }, new Fake(DIST, { ...USUAL, tenants }, 30));
});

test('a series that is left out has a dash, and the page says that some are', async () => {
  await withFake(async (fake, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go('#/dedup');
    await tab.isLive();
    const keys = tab.page.getByRole('region', { name: 'Keys in memory' }).locator('.big');
    await until('a number of keys', async () => Number.parseFloat((await keys.textContent()) ?? '') > 0);
    fake.leaveOut('flk_dedup_keys');
    await until('a dash', async () => (await keys.textContent()) === '–');
    await tab.see(/series are left out/);
    await tab.close();
  });
});

test('an empty gateway shows three commands, and the first record appears without a reload', async () => {
  await withFake(async (fake, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go('');
    await tab.see('This gateway has no record yet');
    assert.equal(await tab.page.locator('.first li').count(), 3);
    await tab.isSound('first run');
    fake.firstRecord();
    await tab.see(/The first record is here/);
    await tab.close();
  }, new Fake(DIST, { ...USUAL, isEmpty: true }, 30));
});

test('a stream that breaks goes on without a jump and without a reading twice', async () => {
  await withFake(async (fake, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go('#/overview');
    await tab.isLive();
    fake.cutStreams();
    const streams = () => fake.asked.filter((it) => it.includes('/stream'));
    await until('another stream', async () => streams().length >= 2);
    assert.match(streams()[1], /last=e\d+:\d+/);
    await until('readings of after the break', async () => (await rows(tab)).length > 200);
    await tab.isLive();
    const times = await rows(tab);
    const steps = times.slice(1).map((it, at) => it - times[at]);
    assert.ok(steps.every((it) => it === 1000), `steps of ${[...new Set(steps)].join(', ')} ms`);
    await tab.close();
  });
});

test('a control process that begins anew keeps the page and what it has read', async () => {
  await withFake(async (fake, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go('#/overview');
    await tab.isLive();
    const before = (await rows(tab))[0];
    fake.restart();
    await until('a question with the new epoch', async () => fake.asked.filter((it) => it.includes('/catalog')).length >= 3);
    await tab.isLive();
    await until('the rows of before', async () => (await rows(tab)).some((it) => it - before < 5000));
    await tab.close();
  });
});

test('a gateway that goes away is said to be, with what was read last, and comes back', async () => {
  await withFake(async (fake, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go('#/overview');
    await tab.isLive();
    fake.away('The gateway was stopped.');
    await tab.page.locator('.banner', { hasText: 'The gateway was stopped.' }).waitFor();
    assert.ok((await rows(tab)).length > 200);
    await tab.isSound('gateway away');
    fake.away(null);
    await tab.isLive();
    await tab.close();
  });
});

test('while the gateway is away, nothing that is not known is said to be well', async () => {
  await withFake(async (fake, origin) => {
    fake.refusals = [{ t_ms: Date.now(), status: 400, code: 'missing_field', field: 'schema', tenant: 'acme', key_id: null, shard: 1 }];
    const before = await Tab.open(browser, origin);
    await before.go('#/refusals');
    await before.page.getByRole('cell', { name: 'schema' }).waitFor();
    fake.away('no such file or directory');
    const questions = () => fake.asked.filter((it) => it.includes('/refusals')).length;
    const count = questions();
    await until('a question that was not answered', async () => questions() >= count + 2);
    assert.equal(await before.page.getByRole('cell', { name: 'schema' }).count(), 1, 'what was read last stays');
    await before.close();
    // A page that is opened later.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const later = await Tab.open(browser, origin);
    await later.go('#/overview');
    await later.see('Not known: the gateway does not answer.');
    const banner = later.page.locator('.banner');
    const [since, read] = /since ([\d:]+): The gateway was stopped\. What is shown was read until \S+ ([\d:]+)Z/.exec((await banner.textContent()) ?? '')?.slice(1) ?? [];
    assert.ok(since !== undefined && since === read, `${await banner.textContent()}`);
    assert.equal(await later.page.getByText('enough room').count(), 0);
    await later.go('#/refusals');
    await later.see('no such file or directory');
    assert.equal(await later.page.getByText(/^Nothing was refused/).locator('visible=true').count(), 0);
    await later.go('#/disk');
    await later.see('not known while the gateway does not say it');
    assert.equal(await later.page.getByText('enough room').count(), 0);
    await later.close();
  });
});

test('a control process that ends is said to be away, and is found again', async () => {
  const fake = new Fake(DIST);
  const origin = await fake.listen();
  const tab = await Tab.open(browser, origin);
  await tab.go('#/shards');
  await tab.isLive();
  await fake.close();
  await tab.page.locator('.banner', { hasText: 'Control does not answer' }).waitFor();
  assert.ok((await tab.page.locator('tbody tr').count()) === 2, 'the last rows stay');
  const again = new Fake(DIST);
  await again.listen(Number(new URL(origin).port));
  await tab.isLive();
  await tab.close();
  await again.close();
});

test('with tokens the page asks for one, refuses a wrong one, and keeps none', async () => {
  await withFake(async (fake, origin) => {
    fake.token = 'right';
    const tab = await Tab.open(browser, origin);
    await tab.go('#/overview');
    await tab.page.getByLabel('Token', { exact: true }).fill('wrong');
    await tab.isSound('sign in');
    await tab.page.keyboard.press('Enter');
    await tab.see(/This token is in no line of ADMIN_TOKENS_FILE/);
    await tab.page.getByLabel('Token', { exact: true }).fill('right');
    await tab.page.keyboard.press('Enter');
    await tab.isLive();
    assert.equal(await tab.page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])), '[{},{},""]');
    await tab.page.getByRole('button', { name: 'Sign out' }).click();
    await tab.page.getByLabel('Token', { exact: true }).waitFor();
    await tab.close();
  });
});

test('a range, a zone and a filter are in the address, and an address shows them', async () => {
  await withFake(async (fake, origin) => {
    fake.events = [{ t_ms: Date.parse('2026-12-01T10:00:00Z'), kind: 'seal', words: 'slice 4 was sealed', actor: null }, { t_ms: 0, kind: 'start', words: 'started', actor: null }];
    const tab = await Tab.open(browser, origin);
    await tab.go('#/events?q=slice&tz=local');
    await tab.see('2026-12-01 15:30:00');
    assert.equal(await tab.page.locator('tbody tr').count(), 1);
    await tab.page.getByRole('button', { name: 'Local' }).click();
    await tab.see('2026-12-01 10:00:00Z');
    assert.match(tab.page.url(), /tz=utc/);
    await tab.go('#/overview?range=15m');
    await tab.isLive();
    assert.equal(await tab.page.getByLabel('Range of time').inputValue(), '15m');
    await tab.page.getByRole('button', { name: 'Pause' }).click();
    await until('a fixed range', async () => /from=.*to=/.test(tab.page.url()));
    const sent = tab.page.url();
    const other = await Tab.open(browser, origin);
    await other.page.goto(sent);
    await other.page.getByRole('button', { name: /Live/ }).waitFor();
    await other.close();
    await tab.close();
  });
});

test('a drag over a plot chooses its time, and the legend follows the cursor', async () => {
  await withFake(async (_, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go('#/overview');
    await tab.isLive();
    const box = await tab.page.locator('.u-over').first().boundingBox();
    assert.ok(box);
    await tab.page.mouse.move(box.x + box.width * 0.3, box.y + 40);
    await tab.page.locator('.legend[data-at]').first().waitFor();
    await tab.page.mouse.down();
    await tab.page.mouse.move(box.x + box.width * 0.6, box.y + 40, { steps: 5 });
    await tab.page.mouse.up();
    await until('a fixed range', async () => /from=/.test(tab.page.url()));
    await tab.close();
  });
});

test('a panel is copied as a picture and as rows', async () => {
  await withFake(async (_, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go('#/shards');
    await tab.isLive();
    for (const name of ['Shards', 'Busy, by core']) {
      await tab.page.getByRole('button', { name: `Copy ${name} as PNG` }).click();
      await tab.see('PNG copied');
      const bytes = await tab.page.evaluate(async () => {
        const [item] = await navigator.clipboard.read();
        return (await item.getType('image/png')).size;
      });
      assert.ok(bytes > 2000, `${name}: ${bytes} bytes`);
      await tab.page.getByRole('button', { name: `Copy ${name} as CSV` }).click();
      await tab.see('CSV copied');
    }
    await tab.close();
  });
});

test('while an id is looked up, the outcome of another one is not beside it', async () => {
  await withFake(async (fake, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go(`#/lookup?id=${KNOWN_ID}`);
    await tab.see('✓ 200, accepted');
    fake.isMute = true;
    await tab.page.getByLabel('pcs_id').fill('f'.repeat(64));
    await tab.page.keyboard.press('Enter');
    await tab.see('It is looked up.');
    assert.equal(await tab.page.getByText('✓ 200, accepted').count(), 0);
    await tab.close();
  });
});

test('an id is looked up from its address and by the form, and a wrong one is refused', async () => {
  await withFake(async (_, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go(`#/lookup?id=${KNOWN_ID}&tenant=acme`);
    await tab.see('✓ 200, accepted');
    await tab.see('log 1.0, record 1:3.0');
    await tab.isSound('found');
    await tab.page.getByLabel('pcs_id').fill('f'.repeat(64));
    await tab.page.keyboard.press('Enter');
    await tab.see(/No outcome of this id is stored/);
    await tab.page.getByLabel('pcs_id').fill('nonsense');
    await tab.page.keyboard.press('Enter');
    await tab.see(/A pcs_id is 64 of 0-9 a-f/);
    await tab.close();
  });
});

test('every page is reached by the keyboard alone', async () => {
  await withFake(async (_, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go('#/overview');
    await tab.isLive();
    await tab.page.keyboard.press('Tab');
    await tab.page.keyboard.press('Enter');
    assert.equal(await tab.page.evaluate(() => document.activeElement?.id), 'main');
    const links = await tab.page.locator('.pages a').all();
    for (const link of links) {
      await link.focus();
      await tab.page.keyboard.press('Enter');
      await until('the page is shown', async () => (await link.getAttribute('aria-current')) === 'page');
    }
    await tab.close();
  });
});

test('tables keep their sorted order while values change', async () => {
  await withFake(async (_, origin) => {
    const tab = await Tab.open(browser, origin);
    await tab.go('#/disk');
    await tab.isLive();
    await tab.page.getByRole('columnheader', { name: 'Size' }).getByRole('button').click();
    await tab.page.locator('th[aria-sort="descending"]').waitFor();
    const first = await tab.page.locator('tbody tr th').first().textContent();
    assert.equal(first, 'slice-6');
    await tab.close();
  });
});

// The rows of a panel, as its CSV has them.
async function copied(tab: Tab, panel: string): Promise<string[][]> {
  await tab.page.getByRole('button', { name: `Copy ${panel} as CSV` }).click();
  const text = await tab.page.evaluate(() => navigator.clipboard.readText());
  return text.trim().split('\r\n').slice(1).map((it) => it.split(','));
}

// Times of the rows of the first plot.
async function rows(tab: Tab): Promise<number[]> {
  return (await copied(tab, 'Records by answer')).map(([time]) => Date.parse(time.replace(' ', 'T')));
}
