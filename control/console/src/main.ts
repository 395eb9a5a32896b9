// Begins the console: who may read, which page, and from then on a drawing for each sample. It owns the order of things and
// no page.

import { parse, START, stepOf, lengthOf, write, type Address } from './data/address';
import { api } from './data/api';
import { Reading } from './data/derive';
import { Feed } from './data/feed';
import type { Overview, WhoAmI } from './data/wire';
import { fill } from './ui/dom';
import type { Frame } from './ui/plot';
import { begin as beginTheme } from './ui/theme';
import { Chrome } from './chrome';
import { DedupView } from './views/dedup';
import { DiskView } from './views/disk';
import { EventsView } from './views/events';
import { LookupView } from './views/lookup';
import { OverviewView } from './views/overview';
import { PathView } from './views/path';
import { RefusalsView } from './views/refusals';
import { RunbookView } from './views/runbook';
import { ShardsView } from './views/shards';
import { signIn } from './views/sign_in';
import { TenantsView } from './views/tenants';
import type { Context, Shell, View } from './views/view';

const VIEWS: Readonly<Record<Address['page'], new (shell: Shell) => View>> = {
  overview: OverviewView, path: PathView, shards: ShardsView, disk: DiskView, dedup: DedupView, tenants: TenantsView,
  lookup: LookupView, refusals: RefusalsView, events: EventsView, runbook: RunbookView,
};
const OVERVIEW_MS = 10_000;

class Console implements Shell {
  private where: Address = parse(location.hash);
  private view: View | null = null;
  private overview: Overview | null = null;
  private who: WhoAmI | null = null;
  private shown: Context | null = null;
  private isDue = false;
  private isAsking = false;
  private isEntering = false;
  private readonly feed = new Feed(() => this.redraw());
  private readonly chrome = new Chrome(this, () => this.signOut());

  begin(): void {
    beginTheme();
    document.body.append(this.chrome.element);
    window.addEventListener('hashchange', () => this.moved(parse(location.hash)));
    document.addEventListener('visibilitychange', () => this.redraw());
    window.setInterval(() => void this.readOverview(), OVERVIEW_MS);
    window.setInterval(() => this.tell(), 1000);
    void this.enter();
  }

  address(): Address {
    return this.where;
  }

  href(change: Partial<Address>): string {
    return write({ ...this.where, detail: '', more: {}, ...change });
  }

  // Typing in a filter makes no history; going to another page or range does.
  go(change: Partial<Address>): void {
    const next = { ...this.where, ...change };
    const isSame = next.page === this.where.page && next.range === this.where.range;
    if (isSame) history.replaceState(null, '', write(next));
    else history.pushState(null, '', write(next));
    this.moved(next);
  }

  chooseRange = (from_ms: number, to_ms: number): void => {
    this.go({ range: { kind: 'fixed', from_ms, to_ms } });
  };

  redraw(): void {
    if (this.isDue || document.hidden) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.draw();
    });
  }

  private async enter(): Promise<void> {
    if (this.isEntering) return;
    this.isEntering = true;
    try {
      this.who = await api.whoAmI();
    } catch {
      // The feed says that control does not answer, and goes on asking.
    }
    this.isEntering = false;
    if (this.who?.access === 'tokens' && this.who.role === null) this.askToken();
    else this.open();
  }

  private askToken(): void {
    this.view?.end();
    this.view = null;
    fill(this.chrome.place, signIn(() => void this.enter()));
    this.chrome.arrived('sign-in');
    this.redraw();
  }

  private async signOut(): Promise<void> {
    await api.signOut().catch(() => undefined);
    void this.enter();
  }

  private moved(next: Address): void {
    const before = this.where;
    this.where = next;
    if (!this.view) return;
    const isSameData = next.page === before.page && JSON.stringify(next.range) === JSON.stringify(before.range);
    if (next.page !== before.page) this.open();
    else if (!isSameData) this.ask();
    this.redraw();
  }

  private open(): void {
    this.view?.end();
    this.view = new VIEWS[this.where.page](this);
    fill(this.chrome.place, this.view.element);
    this.chrome.arrived(this.where.page);
    this.ask();
    void this.readOverview();
    this.redraw();
  }

  private ask(): void {
    const { range } = this.where;
    const now_ms = Date.now();
    const fixed = range.kind === 'fixed' ? { from_ms: range.from_ms, to_ms: range.to_ms } : null;
    this.feed.show({ names: this.view?.names ?? [], step_s: stepOf(range, now_ms), length_s: lengthOf(range), fixed });
  }

  private async readOverview(): Promise<void> {
    if (this.isAsking || document.hidden || !this.view) return;
    this.isAsking = true;
    try {
      this.overview = await api.overview();
      this.redraw();
    } catch {
      // What was read last stays; the feed says what is wrong.
    }
    this.isAsking = false;
  }

  private frame(): Frame {
    const { timeline, catalog } = this.feed;
    const { range, zone } = this.where;
    const newest = timeline.length > 0 ? timeline.last_ms : (catalog?.now_ms ?? Date.now());
    const [from_ms, to_ms] = range.kind === 'fixed' ? [range.from_ms, range.to_ms] : [newest - lengthOf(range) * 1000, newest];
    return { times: timeline.times, length: timeline.length, from_ms, to_ms, zone };
  }

  private draw(): void {
    const { step_s } = this.feed.timeline;
    this.shown = {
      feed: this.feed, frame: this.frame(), address: this.where, overview: this.overview,
      reading: new Reading(this.feed.timeline, step_s === 1 ? 5 : 60),
    };
    if (this.feed.link.state === 'sign_in' && this.view) return void this.enter();
    this.chrome.update(this.shown, this.who);
    this.view?.update(this.shown);
  }

  // The frame has a clock, also where no sample comes.
  private tell(): void {
    if (this.shown && !document.hidden) this.chrome.update(this.shown, this.who);
  }
}

if (location.hash === '') history.replaceState(null, '', write(START));
new Console().begin();
