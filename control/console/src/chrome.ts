// The frame around every page: name and state of the gateway, pages, range of time, zone and colours.

import { RANGES, type Address, type Page } from './data/address';
import { clock, day, full, suffix } from './data/clock';
import { lastRowOf } from './data/derive';
import { text } from './data/units';
import type { Overview, WhoAmI } from './data/wire';
import { toast } from './ui/copy';
import { fill, h, mark, say, svg } from './ui/dom';
import { setTheme, theme, type Theme } from './ui/theme';
import { worst } from './views/attention';
import type { Context, Shell } from './views/view';

const TITLES: readonly [Page, string][] = [
  ['overview', 'Overview'], ['path', 'Path of a record'], ['shards', 'Shards'], ['disk', 'Disk'], ['dedup', 'Dedup'], ['tenants', 'Tenants and keys'],
  ['lookup', 'Look up'], ['refusals', 'Refusals'], ['events', 'Events'], ['runbook', 'Runbooks'],
];

function logo(): SVGElement {
  return svg('svg', { class: 'logo', viewBox: '0 0 24 24', 'aria-hidden': 'true' },
    svg('path', { d: 'M4 5h11M4 12h7M4 19h11', class: 'logo-lines' }), svg('path', { d: 'M13 12l3 3 5-6', class: 'logo-check' }));
}

export class Chrome {
  readonly element: HTMLElement;
  // Where the page goes.
  readonly place = h('div', {});
  private readonly main: HTMLElement;
  private readonly state = h('p', { class: 'state' });
  // What a screen reader is told: changes of state, and not each second of it.
  private readonly told = h('p', { class: 'unseen', role: 'status' });
  private readonly banner = h('p', { class: 'banner', role: 'alert', hidden: true });
  private readonly about = h('p', { class: 'about' });
  private readonly now = h('time', { class: 'now' });
  private readonly range = h('select', { id: 'range', change: () => this.chooseRange() });
  private readonly zone = h('button', { type: 'button', click: () => this.otherZone() });
  private readonly live = h('button', { type: 'button', click: () => this.pauseOrGo() });
  private readonly colors = h('select', { id: 'theme', change: () => setTheme(this.colors.value as Theme) });
  private readonly out = h('button', { type: 'button', hidden: true, click: () => this.signOut() }, 'Sign out');
  private readonly links = new Map<Page, HTMLAnchorElement>();
  private readonly badge = h('span', { class: 'count', hidden: true });
  private readonly title = h('h1', {});
  private frame: Context['frame'] | null = null;
  private started_ms = NaN;

  constructor(private readonly shell: Shell, private readonly signOut: () => void) {
    this.colors.append(...(['system', 'light', 'dark'] as const).map((it) => h('option', { value: it, selected: it === theme() }, it[0].toUpperCase() + it.slice(1))));
    const links = TITLES.map(([page, title]) => {
      const link = h('a', { href: shell.href({ page }) }, title, page === 'overview' && this.badge);
      this.links.set(page, link);
      return h('li', {}, link);
    });
    const controls = h('div', { class: 'controls' },
      this.now, h('label', { class: 'unseen', for: 'range' }, 'Range of time'), this.range, this.live, this.zone,
      h('label', { class: 'unseen', for: 'theme' }, 'Colours'), this.colors, this.out);
    this.main = h('main', { id: 'main', tabindex: -1 }, this.banner, this.title, this.place);
    this.element = h('div', { class: 'shell' },
      h('a', { class: 'skip', href: '#main', click: (event) => { event.preventDefault(); this.main.focus(); } }, 'Skip to content'),
      h('header', { class: 'top' }, h('a', { class: 'brand', href: shell.href({ page: 'overview' }), 'aria-label': 'flk console' }, logo(), h('span', {}, 'flk')), this.state, this.told, controls),
      h('nav', { class: 'pages', 'aria-label': 'Pages' }, h('ul', {}, ...links)),
      h('div', { class: 'content' }, this.main, h('footer', {}, this.about)), toast());
  }

  // Another page is shown.
  arrived(page: Page | 'sign-in'): void {
    const title = TITLES.find(([it]) => it === page)?.[1] ?? 'Sign in';
    say(this.title, title);
    document.title = `${title} · flk`;
    window.scrollTo(0, 0);
    if (page !== 'sign-in') this.links.get(page)?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  update(context: Context, who: WhoAmI | null): void {
    const { address, frame, feed } = context;
    this.frame = frame;
    for (const [page, link] of this.links) {
      mark(link, 'aria-current', page === address.page ? 'page' : null);
      mark(link, 'href', this.shell.href({ page }));
    }
    const count = feed.attention?.length ?? 0;
    mark(this.badge, 'hidden', count > 0 ? null : '');
    mark(this.badge, 'data-tone', worst(feed.attention ?? []));
    if (this.badge.textContent !== String(count)) fill(this.badge, String(count), h('span', { class: 'unseen' }, ' need attention'));
    this.showState(context);
    this.showControls(address, frame);
    this.showAbout(context);
    mark(this.out, 'hidden', who?.access === 'tokens' && who.role !== null ? null : '');
  }

  private showState({ feed, reading, frame, address }: Context): void {
    const { link } = feed;
    const started_ms = reading.last('process_start_time_seconds') * 1000;
    if (!Number.isNaN(started_ms)) this.started_ms = started_ms;
    const up = address.range.kind === 'live' ? (frame.to_ms - this.started_ms) / 1000 : NaN;
    const words = { connecting: 'Connecting', live: Number.isNaN(up) ? 'Serving' : `Serving for ${text(up, 'span')}`, away: 'Gateway away', lost: 'Control away', sign_in: 'Signed out' }[link.state];
    mark(this.state, 'data-tone', { connecting: 'idle', live: 'ok', away: 'bad', lost: 'bad', sign_in: 'idle' }[link.state]);
    say(this.told, `${{ connecting: 'Connecting', live: 'The gateway serves', away: 'The gateway is away', lost: 'Control is away', sign_in: 'Signed out' }[link.state]}, ${feed.attention?.length ?? 0} need attention`);
    say(this.state, `${{ connecting: '…', live: '✓', away: '✕', lost: '✕', sign_in: '–' }[link.state]} ${words}`);
    const isAway = link.state === 'away' || link.state === 'lost';
    mark(this.banner, 'hidden', isAway ? null : '');
    if (!isAway) return;
    // The page may have been opened long after it went: the readings say when it answered last.
    const read_ms = feed.timeline.times[lastRowOf(reading.gauge('process_start_time_seconds'))];
    const isFixed = address.range.kind === 'fixed';
    const since = clock(isFixed ? link.since_ms : (read_ms ?? link.since_ms), frame.zone);
    const last = read_ms === undefined ? '' : ` What is shown was read until ${full(read_ms, frame.zone)}.`;
    const away = isFixed || read_ms !== undefined ? ` since ${since}` : '';
    const who = link.state === 'away' ? `The gateway does not answer${away}: ${link.why.replace(/\.$/, '')}.` : `${link.why} So it is since ${clock(link.since_ms, frame.zone)}; the gateway goes on without control.`;
    say(this.banner, `${who}${last} It is asked again and again.`);
  }

  private showControls(address: Address, frame: Context['frame']): void {
    const { range, zone } = address;
    const fixed = range.kind === 'fixed' ? `${clock(range.from_ms, zone)} to ${clock(range.to_ms, zone)}` : '';
    const options = [...Object.keys(RANGES), ...(fixed === '' ? [] : [fixed])];
    const drawn = options.join();
    if (this.range.dataset.drawn !== drawn) {
      this.range.dataset.drawn = drawn;
      fill(this.range, ...options.map((it) => h('option', { value: it }, it in RANGES ? it.replace(/(\d+)(\w)/, (_, count: string, unit: string) => `${count} ${unit === 'm' ? 'min' : unit}`) : it)));
    }
    const chosen = range.kind === 'fixed' ? fixed : range.name;
    if (this.range.value !== chosen) this.range.value = chosen;
    say(this.zone, zone === 'utc' ? 'UTC' : 'Local');
    mark(this.zone, 'title', zone === 'utc' ? 'Times are UTC; change to this browser’s zone' : 'Times are of this browser’s zone; change to UTC');
    say(this.live, range.kind === 'fixed' ? 'Live' : 'Pause');
    mark(this.live, 'data-is', range.kind);
    say(this.now, `${day(frame.to_ms, zone)} ${clock(frame.to_ms, zone)}${suffix(frame.to_ms, zone)}`);
  }

  private showAbout({ overview, feed }: Context): void {
    const left = feed.left_out > 0 ? ` ${text(feed.left_out, 'count')} series are left out: there are more than control keeps.` : '';
    const step = feed.timeline.step_s === 1 ? 'a second' : 'every ten seconds';
    say(this.about, `${overview ? `${ownOf(overview)}. ` : ''}One reading ${step}.${left}`);
  }

  private chooseRange(): void {
    const name = this.range.value;
    if (Object.hasOwn(RANGES, name)) this.shell.go({ range: { kind: 'live', name } });
  }

  private otherZone(): void {
    this.shell.go({ zone: this.shell.address().zone === 'utc' ? 'local' : 'utc' });
  }

  private pauseOrGo(): void {
    const { range } = this.shell.address();
    if (range.kind === 'fixed') this.shell.go({ range: { kind: 'live', name: '5m' } });
    else if (this.frame) this.shell.go({ range: { kind: 'fixed', from_ms: Math.round(this.frame.from_ms), to_ms: Math.round(this.frame.to_ms) } });
  }
}

// What the gateway is, as far as it says so.
function ownOf({ version, commit, driver, wal_dir, snapshot }: Overview): string {
  const build = commit === null ? '' : ` (${commit.slice(0, 10)})`;
  const parts = [version === '' ? '' : `flk ${version}${build}`, driver === null ? '' : `driver ${driver}`, `log ${wal_dir}`, `snapshot ${snapshot.number}`];
  return parts.filter((it) => it !== '').join(', ');
}
