//! Sealed slices: immutable files of decisions, sorted by key.

use super::{Decided, Key};
use crate::event::FileId;

/// A slice as a shard uses it: the open file and what is kept of it in memory.
#[derive(Clone, Debug)]
pub struct SliceView {
    /// The open file.
    pub file: FileId,
}

/// What a slice's filter and index say about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// The slice does not hold the key.
    Absent,
    /// If the slice holds the key, then in the block with this number.
    Block(u32),
    /// The view does not cover the key's partition: nothing can be said.
    NotCovered,
}

/// What a block of a slice says about a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found {
    /// The entry, its `params` translated to the process's dictionary.
    Entry(Decided),
    /// The slice does not hold the key.
    Absent,
    /// The key sorts before this block: look into the block before it.
    Before,
}

/// A block is not what its slice says: damage, never a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Number of the block.
    pub block: u32,
    /// What is wrong with it.
    pub what: &'static str,
}

impl SliceView {
    /// Where the key would be.
    pub fn candidate(&self, _key: Key) -> Candidate {
        Candidate::Absent
    }

    /// Looks for a key in the bytes of a block.
    pub fn search_block(&self, _block: u32, _bytes: &[u8], _key: Key) -> Result<Found, Damaged> {
        Ok(Found::Absent)
    }
}
