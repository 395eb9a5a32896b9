// Debian's Chromium, driven by playwright-core, and what every test of a page asks of it: no request to another host, no
// breach of the content security policy, no error of a script, nothing that axe finds.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page, type Route } from 'playwright-core';
import { CSP, TYPES } from './files';

export const HOME = join(import.meta.dirname, '../..');
export const DIST = join(HOME, 'dist');
const CHROMIUM = [process.env.FLK_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find((it) => it !== undefined && existsSync(it));
const AXE = readFileSync(createRequire(join(HOME, 'package.json')).resolve('axe-core/axe.min.js'), 'utf8');

// With FLK_CONSOLE_DIST=1 the page is that of dist/, whatever flk-control has in it: for looking at a change without building control.
export const FROM_DIST = process.env.FLK_CONSOLE_DIST === '1';

async function fromDist(route: Route): Promise<void> {
  const name = new URL(route.request().url()).pathname.replace('/console/', '') || 'index.html';
  const headers = { 'Content-Security-Policy': CSP, 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer' };
  await route.fulfill({ path: join(DIST, name), headers, contentType: TYPES[name.split('.').pop() ?? ''] ?? 'text/plain' });
}

export async function launch(): Promise<Browser> {
  assert.ok(CHROMIUM, 'no Chromium: make test-console installs Debian’s, FLK_CHROMIUM names another one');
  // A file of tests that takes too long is told to end: whatever it started ends with it.
  process.once('SIGTERM', () => process.exit(1));
  return chromium.launch({ executablePath: CHROMIUM, handleSIGTERM: false, args: ['--no-sandbox', '--disable-gpu', '--force-color-profile=srgb'] });
}

export interface Look {
  width: number;
  theme: 'light' | 'dark';
}

export const LOOKS: Look[] = [360, 1280, 3840].flatMap((width) => (['light', 'dark'] as const).map((theme) => ({ width, theme })));
// Only waits end by it: nothing is as slow as a machine that does other things at the same time.
const WAIT_MS = 120_000;
const HEIGHTS: Readonly<Record<number, number>> = { 360: 780, 1280: 860, 3840: 2160 };

export class Tab {
  private readonly faults: string[] = [];

  private constructor(readonly page: Page, private readonly context: BrowserContext, private readonly origin: string) {}

  static async open(browser: Browser, origin: string, look: Look = { width: 1280, theme: 'light' }): Promise<Tab> {
    const context = await browser.newContext({
      viewport: { width: look.width, height: HEIGHTS[look.width] ?? 860 }, colorScheme: look.theme, timezoneId: 'Asia/Kolkata', locale: 'en-GB', permissions: ['clipboard-read', 'clipboard-write'], reducedMotion: 'reduce',
    });
    context.setDefaultTimeout(WAIT_MS);
    const page = await context.newPage();
    const tab = new Tab(page, context, origin);
    if (FROM_DIST) await page.route(/\/console\/(assets\/[^/]+)?$/, fromDist);
    page.on('pageerror', (it) => tab.faults.push(`a script failed: ${it.message}`));
    page.on('console', (it) => {
      // A refused or broken connection is what some tests are about; the page has to say it, not the console.
      if (it.type() === 'error' && !/Failed to load resource|net::ERR|EventSource/.test(it.text())) tab.faults.push(it.text());
    });
    page.on('request', (it) => {
      if (!it.url().startsWith(`${origin}/`) && !it.url().startsWith('blob:') && !it.url().startsWith('data:')) tab.faults.push(`asked another host: ${it.url()}`);
    });
    return tab;
  }

  async go(hash: string): Promise<void> {
    await this.page.goto(`${this.origin}/console/${hash}`);
  }

  // Waits until the page shows readings, or fails.
  async isLive(): Promise<void> {
    await this.page.locator('.state[data-tone="ok"]').waitFor();
  }

  async see(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor();
  }

  // Nothing that axe-core finds, and nothing wider than the window.
  async isSound(where: string): Promise<void> {
    if (!(await this.page.evaluate(() => 'axe' in window))) await this.page.evaluate(AXE);
    const found = await this.page.evaluate(async () => {
      const { axe } = window as unknown as { axe: { run: (options: object) => Promise<{ violations: { id: string; nodes: { target: string[]; failureSummary: string }[] }[] }> } };
      const { violations } = await axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] });
      return violations.flatMap((it) => it.nodes.map((node) => `${it.id}: ${node.target.join(' ')}: ${node.failureSummary}`));
    });
    assert.deepEqual(found, [], where);
    const [wide, window_] = await this.page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    assert.ok(wide <= window_, `${where} is ${wide} px wide in a window of ${window_} px`);
  }

  async close(): Promise<void> {
    assert.deepEqual(this.faults, [], 'faults of the page');
    await this.context.close();
  }
}

// Asks again until the answer is yes, for what has no event to wait for.
export async function until(what: string, is: () => Promise<boolean>, within_ms = WAIT_MS): Promise<void> {
  const end = Date.now() + within_ms;
  while (!(await is())) {
    assert.ok(Date.now() < end, `not within ${within_ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
