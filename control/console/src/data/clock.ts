// Times as text, in UTC or in the zone of the browser. Every function takes the zone; none reads a clock.

export type Zone = 'utc' | 'local';

function two(value: number): string {
  return String(value).padStart(2, '0');
}

function parts(t_ms: number, zone: Zone) {
  const it = new Date(t_ms);
  return zone === 'utc'
    ? { y: it.getUTCFullYear(), mo: it.getUTCMonth() + 1, d: it.getUTCDate(), h: it.getUTCHours(), mi: it.getUTCMinutes(), s: it.getUTCSeconds() }
    : { y: it.getFullYear(), mo: it.getMonth() + 1, d: it.getDate(), h: it.getHours(), mi: it.getMinutes(), s: it.getSeconds() };
}

export function day(t_ms: number, zone: Zone): string {
  const { y, mo, d } = parts(t_ms, zone);
  return `${y}-${two(mo)}-${two(d)}`;
}

export function clock(t_ms: number, zone: Zone, hasSeconds = true): string {
  const { h, mi, s } = parts(t_ms, zone);
  return hasSeconds ? `${two(h)}:${two(mi)}:${two(s)}` : `${two(h)}:${two(mi)}`;
}

// The zone as a suffix: Z, or the difference from UTC.
export function suffix(t_ms: number, zone: Zone): string {
  if (zone === 'utc') return 'Z';
  const minutes = -new Date(t_ms).getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '−' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

export function full(t_ms: number, zone: Zone): string {
  if (!Number.isFinite(t_ms)) return '–';
  return `${day(t_ms, zone)} ${clock(t_ms, zone)}${zone === 'utc' ? 'Z' : ''}`;
}
