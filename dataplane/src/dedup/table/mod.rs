//! The decided table of a shard's partitions: durable decisions by key, in declared memory. It owns when partitions grow,
//! shrink and are swept; it never loses a decision for want of memory, that is what refusing admission early is for.

mod array;
mod partition;
#[cfg(test)]
mod tests;

pub use self::partition::Inserted;

use self::partition::{Dead, Growth, PIECE_SLOTS, Partition};
use super::{Decided, Key, PARTITIONS, entry};
use crate::wal::Epoch;
use std::collections::VecDeque;
use std::ops::Range;

/// Memory that a key is counted with: 72 bytes stored once, at 0.71 to 0.90 full (90 on average over partitions, as
/// their thresholds differ), and what growing arrays and tails take. Less than a quarter of the declared memory is spent more freely.
pub const BYTES_PER_KEY: u64 = 96;

/// Below this part of the declared memory, partitions grow by a half.
const ROOMY_PART: u64 = 4;

/// Expired entries may stay this long, so that a partition is not swept for every one of them.
const SWEEP_SLACK_S: u32 = 60;

/// Partitions whose need for a sweep is asked for in one step.
const SWEEP_ASKED: usize = 16;

/// Slots to move per insert so that growing partitions do not pile up: at an eighth per growth each insert causes about
/// 9 / 0.85 of them sooner or later. Growing by a half causes less.
const MOVED_PER_INSERT: usize = 12;

/// The tables of one shard's contiguous range of partitions.
#[derive(Debug)]
pub struct Partitions {
    first: u16,
    partitions: Box<[Partition]>,
    bytes_max: u64,
    len: u64,
    bytes: u64,
    moving: VecDeque<u16>,
    /// Slots that are to be moved by the next step.
    owed: usize,
    sweep_at: usize,
    sealed: Option<Epoch>,
    growth_forced: u64,
}

impl Partitions {
    /// Empty tables for a range of partitions whose entries together may take `bytes_max`. Takes a hundred bytes per
    /// partition; arrays come with the entries.
    pub fn new(range: Range<u16>, bytes_max: u64) -> Partitions {
        let range = range.start.min(PARTITIONS)..range.end.min(PARTITIONS);
        let partitions: Box<[Partition]> = range
            .clone()
            .map(|at| Partition::new(threshold(at)))
            .collect();
        Partitions {
            first: range.start,
            moving: VecDeque::with_capacity(partitions.len()),
            partitions,
            bytes_max: bytes_max.max(1),
            len: 0,
            bytes: 0,
            owed: 0,
            sweep_at: 0,
            sealed: None,
            growth_forced: 0,
        }
    }

    /// Whether the key's partition is in the range.
    pub fn holds(&self, key: Key) -> bool {
        self.index(key).is_some()
    }

    fn index(&self, key: Key) -> Option<usize> {
        let at = usize::from(key.partition().checked_sub(self.first)?);
        (at < self.partitions.len()).then_some(at)
    }

    /// The live entry of a key.
    pub fn get(&self, key: Key, now_s: u32) -> Option<Decided> {
        let words = self.partitions[self.index(key)?].get(key)?;
        (now_s < entry::expiry(words)).then(|| entry::unpack(words))
    }

    /// Brings what the next look-up of a key, or its insert, will read into the cache. It waits for nothing: calls for many keys in a
    /// row take little longer than one. What it returns keeps the reads from being left out.
    pub fn touch(&self, key: Key) -> u64 {
        self.index(key)
            .map_or(0, |at| self.partitions[at].touch(key))
    }

    /// Adds a decision. Never refuses: where the declared memory does not allow a partition to grow it is filled up to
    /// 97 %, and then grows all the same. A decision that never answers (expiry 0) or belongs elsewhere is not kept.
    pub fn insert(&mut self, decision: &Decided) -> Inserted {
        let Some(at) = self.index(decision.key).filter(|_| decision.expiry > 0) else {
            return Inserted::Kept;
        };
        let growth = self.growth();
        let partition = &mut self.partitions[at];
        let bytes_before = partition.bytes();
        if let Some(wanted) = partition.growth_wanted(growth) {
            let allowed = self.bytes + wanted <= self.bytes_max;
            let needed = partition.growth_needed();
            self.growth_forced += u64::from(needed && !allowed);
            if allowed || needed {
                partition.grow(growth);
            }
        }
        let inserted = partition.insert(&entry::pack(decision));
        self.len += u64::from(inserted == Inserted::New);
        self.owed += MOVED_PER_INSERT;
        self.settle(at, bytes_before);
        inserted
    }

    /// While there is memory enough, time is spared.
    fn growth(&self) -> Growth {
        match self.bytes < self.bytes_max / ROOMY_PART {
            true => Growth::Roomy,
            false => Growth::Lean,
        }
    }

    /// Adds decisions found at start. Those of one partition in one call and in key order are laid out at once, which costs
    /// a pass over them; any others are inserted one by one. Returns how many belong elsewhere.
    pub fn load(&mut self, decisions: &[Decided]) -> u64 {
        let mut misrouted = 0;
        for run in decisions.chunk_by(|a, b| a.key.partition() == b.key.partition()) {
            let Some(at) = run.first().and_then(|first| self.index(first.key)) else {
                misrouted += run.len() as u64;
                continue;
            };
            let partition = &mut self.partitions[at];
            let bytes_before = partition.bytes();
            if partition.lay_out(run) {
                self.len += run.len() as u64;
                self.settle(at, bytes_before);
            } else {
                for decision in run {
                    self.insert(decision);
                }
            }
        }
        misrouted
    }

    /// From now on entries of this seal epoch and before are of no use here; `step` takes them out.
    pub fn drop_sealed(&mut self, epoch: Epoch) {
        self.sealed = Some(epoch);
        for partition in &mut self.partitions {
            partition.sealed();
        }
    }

    /// Background work of one turn: moves at most 64 KiB of each of the partitions that must move to keep up with the
    /// inserts since the last step (one at least, if any is moving), and looks through at most 64 KiB for dead entries.
    pub fn step(&mut self, now_s: u32) {
        let dead = Dead {
            now_s,
            sealed: self.sealed,
        };
        self.move_some(dead);
        self.sweep_some(now_s, dead);
    }

    fn move_some(&mut self, dead: Dead) {
        let mut owed = self.owed.max(1);
        for _ in 0..self.moving.len() {
            let Some(at) = self.moving.pop_front() else {
                break;
            };
            let at = usize::from(at);
            let partition = &mut self.partitions[at];
            partition.listed = false;
            let (bytes_before, len_before) = (partition.bytes(), partition.len());
            owed = owed.saturating_sub(partition.advance(PIECE_SLOTS, dead));
            self.len -= u64::from(len_before - self.partitions[at].len());
            self.settle(at, bytes_before);
            if owed == 0 {
                break;
            }
        }
        self.owed = 0;
    }

    fn sweep_some(&mut self, now_s: u32, dead: Dead) {
        for _ in 0..SWEEP_ASKED.min(self.partitions.len()) {
            let at = self.sweep_at;
            let partition = &mut self.partitions[at];
            if partition.sweep_due(now_s, SWEEP_SLACK_S) {
                let (bytes_before, len_before) = (partition.bytes(), partition.len());
                let whole = partition.sweep(PIECE_SLOTS, dead);
                self.len -= u64::from(len_before - partition.len());
                if whole {
                    partition.shrink();
                    self.sweep_at = (at + 1) % self.partitions.len();
                }
                return self.settle(at, bytes_before);
            }
            self.sweep_at = (at + 1) % self.partitions.len();
        }
    }

    /// Keeps the sums right after a partition changed.
    fn settle(&mut self, at: usize, bytes_before: u64) {
        let partition = &mut self.partitions[at];
        self.bytes = self.bytes - bytes_before + partition.bytes();
        if partition.is_moving() && !partition.listed {
            partition.listed = true;
            self.moving.push_back(at as u16);
        }
    }

    /// Number of entries, expired ones that were not swept yet included.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes allocated by the tables, exactly, without what the allocator adds.
    pub fn memory_bytes(&self) -> u64 {
        let fixed = size_of_val(&*self.partitions) + self.moving.capacity() * size_of::<u16>();
        self.bytes + fixed as u64
    }

    /// How many keys fit into the declared memory.
    pub fn keys_max(&self) -> u64 {
        self.bytes_max / BYTES_PER_KEY
    }

    /// How much of the declared memory is used, 1.0 = all: the larger of what the keys are counted with and what the
    /// arrays take.
    pub fn pressure(&self) -> f64 {
        (self.len * BYTES_PER_KEY).max(self.bytes) as f64 / self.bytes_max as f64
    }

    /// What part of the declared memory the keys are counted with, 1.0 = all. Arrays of partitions are up to a quarter empty.
    pub fn keys_share(&self) -> f64 {
        (self.len * BYTES_PER_KEY) as f64 / self.bytes_max as f64
    }

    /// How often a partition had to grow beyond the declared memory.
    pub fn growth_forced_count(&self) -> u64 {
        self.growth_forced
    }

    /// Partitions that are moving to another array.
    pub fn moving_count(&self) -> usize {
        self.moving.len()
    }

    /// The entries, expired ones included, partition by partition and each in key order.
    pub fn entries(&self) -> impl Iterator<Item = Decided> {
        self.partitions.iter().flat_map(Partition::entries)
    }

    #[cfg(test)]
    fn check(&self) {
        for partition in &self.partitions {
            partition.check();
        }
        let bytes: u64 = self.partitions.iter().map(Partition::bytes).sum();
        assert_eq!(bytes, self.bytes);
        assert_eq!(self.entries().count() as u64, self.len);
        assert!(self.moving.len() <= self.partitions.len());
    }
}

/// Entries per 65,536 homes at which a partition grows: from 0.8 to 0.9, that is over one growth by an eighth, spread
/// evenly over any run of partitions. So at any moment growth by an eighth is due for as many partitions as at any other. Those that grow
/// by a half come in waves, each of which [`MOVED_PER_INSERT`] keeps up with.
fn threshold(partition: u16) -> u32 {
    let fraction = u32::from(partition).wrapping_mul(0x9E37_79B9) >> 16; // of 65,536; the golden ratio spreads it
    52_429 + ((fraction * 6_553) >> 16)
}
