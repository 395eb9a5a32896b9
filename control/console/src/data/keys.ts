// What an operator may do with a signing key: keep it, rotate it, or let it go. It asks no clock: ages come in.

import type { Tone } from './tone';
import { text } from './units';

const DAY_S = 86_400;
const UNUSED_S = 7 * DAY_S;
const OLD_S = 90 * DAY_S;
const ENDING_S = 3 * DAY_S;

export interface KeyRow {
  tenant: string;
  id: string;
  scheme: string;
  rate: number;
  age_s: number;
  used_s: number;
  ends_s: number;
}

// One can go only beside another key of its tenant that is used.
export function verdictOf(key: KeyRow, ofTenant: readonly KeyRow[]): [Tone, string] {
  const isUsed = (it: KeyRow) => it.used_s < UNUSED_S;
  const hasSuccessor = ofTenant.some((it) => it.id !== key.id && isUsed(it));
  if (key.ends_s < 0) return ['idle', '– has ended'];
  if (key.ends_s < ENDING_S && !hasSuccessor) return ['bad', `✕ ends in ${text(key.ends_s, 'span')}, no other key is used`];
  if (!isUsed(key) && hasSuccessor) return ['warn', Number.isNaN(key.used_s) ? '! can go once it stays unused for 7 days' : '! can go: another key is used'];
  if (!isUsed(key)) return ['idle', '– not used'];
  if (key.age_s > OLD_S) return ['warn', '! older than 90 days: rotate'];
  return ['ok', '✓ in use'];
}
