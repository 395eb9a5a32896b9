// What a page of the console is: an element, the samples that it wants, and what it does with new ones.

import type { Address } from '../data/address';
import type { Reading } from '../data/derive';
import type { Feed } from '../data/feed';
import type { Overview } from '../data/wire';
import type { Frame } from '../ui/plot';

export interface Context {
  feed: Feed;
  reading: Reading;
  frame: Frame;
  address: Address;
  overview: Overview | null;
}

export interface View {
  readonly element: HTMLElement;
  // See `Want.names`.
  readonly names: readonly string[];
  update(context: Context): void;
  // Ends what the page started: plots, timers.
  end(): void;
}

// What a page may ask of the frame around it.
export interface Shell {
  address(): Address;
  go(change: Partial<Address>): void;
  href(change: Partial<Address>): string;
  chooseRange(from_ms: number, to_ms: number): void;
  // Draws again, for something else than a sample is new.
  redraw(): void;
}

export type MakeView = (shell: Shell) => View;
