// How much of what was refused is still there: each shard keeps its last refusals, so many of one kind leave no room for another.

import { grouped } from './group';
import type { Refusal } from './wire';

// What a shard keeps, and what control sends of all shards.
const KEPT = 128;
const SENT = 500;
// While the gateway writes, the oldest of a full ring are not whole.
const FULL = KEPT - 28;

// Since when all refusals are here; -Infinity: none has gone. The newest come first.
export function wholeSince(refusals: readonly Refusal[]): number {
  const shards = grouped(refusals, (it) => String(it.shard));
  const full = [...shards.values()].filter((it) => it.length >= FULL);
  if (refusals.length >= SENT) full.push([...refusals]);
  return Math.max(-Infinity, ...full.map((it) => it[it.length - 1].t_ms));
}

// How many of them are over a rate or a quota: they come in crowds.
export function limitedOf(refusals: readonly Refusal[]): number {
  return refusals.filter((it) => it.status === 429).length;
}
