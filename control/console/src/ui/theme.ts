// Light or dark: what the system says, or the user's own choice, which this browser remembers. It owns the colours that
// canvases use.

import { mark } from './dom';

export type Theme = 'system' | 'light' | 'dark';

const STORED = 'flk-console-theme';
const listeners = new Set<() => void>();
const known = new Map<string, string>();

function isTheme(text: string | null): text is Theme {
  return text === 'system' || text === 'light' || text === 'dark';
}

export function theme(): Theme {
  try {
    const stored = localStorage.getItem(STORED);
    return isTheme(stored) ? stored : 'system';
  } catch {
    return 'system';
  }
}

export function setTheme(to: Theme): void {
  try {
    localStorage.setItem(STORED, to);
  } catch {
    // A browser without storage forgets the choice, which harms nothing.
  }
  apply(to);
}

function apply(to: Theme): void {
  mark(document.documentElement, 'data-theme', to === 'system' ? null : to);
  known.clear();
  for (const listener of listeners) listener();
}

export function begin(): void {
  apply(theme());
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => apply(theme()));
}

// Calls back when colours have changed; the result ends that.
export function onTheme(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

// The value of a custom property of the style sheet.
export function color(name: string): string {
  let value = known.get(name);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    known.set(name, value);
  }
  return value;
}
