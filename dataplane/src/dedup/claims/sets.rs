//! The sets of slices that an owner looks into: the current one, and older ones that suspended look-ups began with. It finds
//! the block that may hold a key and never reads it.

use super::{BlockFault, UnusableBlock};
use crate::dedup::filter::Probe;
use crate::dedup::slice::{Candidate, Found, SliceError, SliceSet};
use crate::dedup::{Decided, Key};
use crate::io::FileId;
use crate::planted::{Bug, planted};
use crate::wal::buffer::BLOCK_BYTES;
use std::sync::Arc;

/// All sets in use: the last one is current, those before only have reads outstanding.
#[derive(Debug)]
pub(super) struct SetsInUse {
    sets: Vec<SetInUse>,
    /// A switch that was not acknowledged yet.
    unacknowledged: Option<u64>,
}

#[derive(Debug)]
struct SetInUse {
    set: Arc<SliceSet>,
    reads: u32,
}

/// A set in use. It stands for the same set until [`SetsInUse::retire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SetIndex(usize);

/// How far a look-up is: it goes on with this slice and the newer ones, oldest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pub set: SetIndex,
    pub slice: u32,
}

/// The block that a look-up reads, named so that it is found again when the read ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockPosition {
    /// Version of the slice set.
    pub version: u64,
    /// Index of the slice in the set.
    pub slice: u32,
    /// Number of the block in the slice.
    pub block: u32,
}

/// Where a look-up in the slices goes on.
pub(super) enum Seek {
    /// This block may hold the key.
    Block { slice: u32, block: u32 },
    /// No slice that is left holds the key.
    Absent,
    /// A slice does not cover this partition.
    NotCovered,
}

/// What became of a switch to another set.
pub(super) enum Switch {
    /// The set is current.
    Done,
    /// Its version is not above the current one's: nothing changed.
    Stale,
}

impl SetsInUse {
    /// One set.
    pub(super) fn of(set: Arc<SliceSet>) -> SetsInUse {
        SetsInUse {
            sets: vec![SetInUse { set, reads: 0 }],
            unacknowledged: None,
        }
    }

    /// Where a look-up begins: with the oldest slice of the current set.
    pub(super) fn oldest(&self) -> Cursor {
        Cursor {
            set: SetIndex(self.sets.len() - 1),
            slice: 0,
        }
    }

    /// The next slice that may hold the key, and the block in it. Where a live decision was found, only a slice that may hold
    /// an earlier one is of interest: all others would not change the answer.
    pub(super) fn seek(&self, key: Key, from: Cursor, live: Option<&Decided>) -> Seek {
        let slices = &self.sets[from.set.0].set.slices;
        let probe = Probe::of(key);
        for slice in from.slice..slices.len() as u32 {
            let view = &slices[slice as usize];
            if live.is_some_and(|live| live.decided_at < view.decided_first()) {
                continue;
            }
            match view.candidate_of(&probe) {
                Candidate::Absent => {}
                Candidate::Block(block) => return Seek::Block { slice, block },
                Candidate::NotCovered => return Seek::NotCovered,
            }
        }
        Seek::Absent
    }

    /// Brings what a look-up of the key in the current set begins with into the cache.
    pub(super) fn touch(&self, key: Key) -> u64 {
        let current = self.sets.last().map(|used| &used.set.slices);
        let slices = current.into_iter().flatten();
        slices.fold(0, |sum, slice| sum ^ slice.touch(key))
    }

    /// A read begins: the set stays in use until it ends. Gives its name, file and offset.
    pub(super) fn begin_read(
        &mut self,
        set: SetIndex,
        slice: u32,
        block: u32,
    ) -> (BlockPosition, FileId, u64) {
        let used = &mut self.sets[set.0];
        used.reads += 1;
        let position = BlockPosition {
            version: used.set.version,
            slice,
            block,
        };
        let file = used.set.slices[slice as usize].file;
        (position, file, u64::from(block) * BLOCK_BYTES as u64)
    }

    /// A read ended: the set that it was made in. `None` if that is not in use, which a read that is outstanding excludes.
    pub(super) fn end_read(&mut self, position: BlockPosition) -> Option<SetIndex> {
        let mut sets = self.sets.iter();
        let at = sets.position(|used| used.set.version == position.version)?;
        self.sets[at].reads -= 1;
        Some(SetIndex(at))
    }

    /// Looks for a key in the bytes of a block. An error: the block cannot answer.
    pub(super) fn search(
        &self,
        set: SetIndex,
        position: BlockPosition,
        bytes: &[u8],
        key: Key,
    ) -> Result<Found, UnusableBlock> {
        let slice = &self.sets[set.0].set.slices[position.slice as usize];
        let found = slice.search_block(position.block, bytes, key);
        found.map_err(|fault| UnusableBlock {
            file: slice.file,
            block: position.block,
            fault: match fault {
                SliceError::UnknownPart { part, number } => BlockFault::Newer { part, number },
                _ => BlockFault::Damaged,
            },
        })
    }

    /// Makes a set current.
    pub(super) fn switch(&mut self, set: Arc<SliceSet>) -> Switch {
        let current = self.sets.last().map(|used| used.set.version);
        if current.is_some_and(|version| version >= set.version) {
            return Switch::Stale;
        }
        self.unacknowledged = Some(set.version);
        if !planted(Bug::SealedDroppedBeforeFilter) {
            self.sets.push(SetInUse { set, reads: 0 });
        }
        self.retire();
        Switch::Done
    }

    /// The version to acknowledge, once: the last switch, when no read is outstanding on an older set.
    pub(super) fn take_switched(&mut self) -> Option<u64> {
        if self.sets.len() > 1 {
            return None;
        }
        self.unacknowledged.take()
    }

    /// Lets go of older sets that have no read outstanding.
    pub(super) fn retire(&mut self) {
        let current = self.sets.len() - 1;
        let mut at = 0;
        self.sets.retain(|used| {
            at += 1;
            at > current || used.reads > 0
        });
    }
}
