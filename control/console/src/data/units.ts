// Numbers as people read them: three digits, a unit, and a dash for what is not known. It never rounds a small value to 0.

export interface Shown {
  number: string;
  unit: string;
}

export type Unit = 'count' | 'rate' | 'seconds' | 'span' | 'bytes' | 'byterate' | 'share' | 'ratio';

const DASH = '–';
const SPACE = '\u202f';

function digits(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 99.95) return value.toFixed(0);
  if (size >= 9.995) return value.toFixed(1);
  if (size >= 0.0995) return value.toFixed(2);
  return value.toPrecision(1);
}

function scaled(value: number, base: number, names: readonly string[]): Shown {
  let at = 0;
  let size = value;
  while (Math.abs(size) >= base * 0.9995 && at < names.length - 1) {
    size /= base;
    at += 1;
  }
  return { number: digits(size), unit: names[at] };
}

function whole(value: number): Shown {
  if (Math.abs(value) < 10_000) {
    const text = Number.isInteger(value) || Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en') : digits(value);
    return { number: text.replaceAll(',', SPACE), unit: '' };
  }
  return scaled(value / 1000, 1000, ['k', 'M', 'G', 'T']);
}

function seconds(value: number): Shown {
  const size = Math.abs(value);
  if (size === 0) return { number: '0', unit: 's' };
  if (size < 0.000_999_5) return { number: digits(value * 1e6), unit: 'µs' };
  if (size < 0.999_5) return { number: digits(value * 1e3), unit: 'ms' };
  return { number: digits(value), unit: 's' };
}

// Two parts of a duration: 3 d 4 h.
export function span(value: number): Shown {
  if (!Number.isFinite(value)) return { number: DASH, unit: '' };
  if (value < 60) return { number: String(Math.max(0, Math.round(value))), unit: 's' };
  const parts: [number, string][] = [[86_400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const at = parts.findIndex(([size]) => value >= size);
  const [size, unit] = parts[at];
  const many = Math.floor(value / size);
  const next = parts[at + 1];
  const rest = next ? Math.floor((value - many * size) / next[0]) : 0;
  if (many >= 10 || !next || rest === 0) return { number: String(many), unit };
  return { number: `${many}${SPACE}${unit} ${rest}`, unit: next[1] };
}

export function shown(value: number, unit: Unit): Shown {
  if (!Number.isFinite(value)) return { number: DASH, unit: '' };
  switch (unit) {
    case 'count':
      return whole(value);
    case 'rate': {
      const it = whole(value);
      return { number: it.number, unit: `${it.unit}/s` };
    }
    case 'seconds':
      return value >= 100 ? span(value) : seconds(value);
    case 'span':
      return span(value);
    case 'bytes':
      return scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']);
    case 'byterate':
      return scaled(value, 1024, ['B/s', 'KiB/s', 'MiB/s', 'GiB/s']);
    case 'share':
      return { number: digits(value * 100), unit: '%' };
    case 'ratio':
      return { number: digits(value), unit: '×' };
  }
}

export function text(value: number, unit: Unit): string {
  const it = shown(value, unit);
  if (it.unit === '') return it.number;
  return it.unit === '/s' ? `${it.number}/s` : `${it.number}${SPACE}${it.unit}`;
}

// The same without zeros at its end, for an axis.
export function brief(value: number, unit: Unit): string {
  return text(value, unit).replace(/(\.\d*?)0+(?!\d)/, '$1').replace(/\.(?!\d)/, '');
}

// A number with its noun.
export function many(value: number, one: string, more: string): string {
  return `${text(value, 'count')} ${value === 1 ? one : more}`;
}
