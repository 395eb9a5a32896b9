//! The decided table of a shard's partitions.

use super::{Decided, Key};
use std::collections::HashMap;
use std::ops::Range;

/// The tables of one shard's contiguous range of partitions.
#[derive(Debug)]
pub struct Partitions {
    range: Range<u16>,
    bytes_max: u64,
    entries: HashMap<Key, Decided>,
}

impl Partitions {
    /// Empty tables for a range of partitions that together may take `bytes_max`.
    pub fn new(range: Range<u16>, bytes_max: u64) -> Partitions {
        Partitions {
            range,
            bytes_max,
            entries: HashMap::new(),
        }
    }
    /// Whether the key's partition is in the range.
    pub fn holds(&self, key: Key) -> bool {
        self.range.contains(&key.partition())
    }
    /// The live entry of a key.
    pub fn get(&self, key: Key, now_s: u32) -> Option<Decided> {
        self.entries
            .get(&key)
            .copied()
            .filter(|entry| entry.live_at(now_s))
    }
    /// Adds a decision. Never refuses.
    pub fn insert(&mut self, entry: Decided) {
        self.entries.insert(entry.key, entry);
    }
    /// From now on entries of this seal epoch and before are void; `step` takes them out.
    pub fn drop_sealed(&mut self, epoch: u16) {
        self.entries
            .retain(|_, entry| entry.epoch.wrapping_sub(epoch) as i16 > 0);
    }
    /// Bounded background work.
    pub fn step(&mut self, _now_s: u32) {}
    /// Number of entries, expired ones included.
    pub fn len(&self) -> u64 {
        self.entries.len() as u64
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// How much of the declared memory is used, 1.0 = all.
    pub fn pressure(&self) -> f64 {
        (self.len() * 96) as f64 / self.bytes_max as f64
    }
}
