//! What an owner gives back: answers to receivers, blocks of slices that it must read, and its counters. Plain data.

use crate::dedup::protocol::{Looked, ToReceiver};
use crate::io::{FileId, ReadId, ShardId};

/// A message to a receiving shard, the owner's own included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClaimAnswer {
    /// The receiver.
    pub to: ShardId,
    /// `Won`, `Existing`, `Unavailable` or `Withdrawn`.
    pub message: ToReceiver,
}

/// A message to a shard that looks a key up, the owner's own included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LookAnswer {
    /// The shard that was asked.
    pub to: ShardId,
    /// What the owner has.
    pub message: Looked,
}

/// A 4 KiB block of a slice that must be read before the owner can answer; it comes back by
/// [`Owner::read_done`](super::Owner::read_done).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadWanted {
    /// To be returned with the bytes.
    pub id: ReadId,
    /// The slice.
    pub file: FileId,
    /// Byte offset in the file, a multiple of 4,096.
    pub offset: u64,
}

/// A block of a slice that cannot answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnusableBlock {
    /// The slice.
    pub file: FileId,
    /// Number of the block: its offset in the file is this times 4 KiB.
    pub block: u32,
    /// Why it cannot.
    pub fault: BlockFault,
}

/// Why a block of a slice cannot answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockFault {
    /// It is not what its slice says.
    Damaged,
    /// Nothing is wrong with it, but only a newer flk can answer with its entry.
    Newer {
        /// The part of the entry that is unknown.
        part: &'static str,
        /// Its number.
        number: u8,
    },
}

/// What the caller of an owner must carry out, in order.
#[derive(Debug, Default)]
pub struct Effects {
    /// Answers to send.
    pub answers: Vec<ClaimAnswer>,
    /// Answers to look-ups.
    pub looked: Vec<LookAnswer>,
    /// Blocks to read.
    pub reads: Vec<ReadWanted>,
    /// The block that was met last of those that cannot answer, for the operator.
    pub unusable: Option<UnusableBlock>,
}

/// What the owner did, counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerCounters {
    /// Claims received.
    pub claims: u64,
    /// Claims granted.
    pub won: u64,
    /// Claims answered with a stored outcome.
    pub existing: u64,
    /// Those of `existing` whose signing digest differs from the stored one's.
    pub conflicts: u64,
    /// Claims that queued behind another one of their key.
    pub queued: u64,
    /// Claims withdrawn from a queue.
    pub withdrawn: u64,
    /// Claims answered `Unavailable`, for whatever reason.
    pub unavailable: u64,
    /// Blocks asked for.
    pub reads: u64,
    /// Blocks that held a key, live or expired.
    pub reads_found: u64,
    /// Reads that failed.
    pub read_errors: u64,
    /// Blocks whose bytes are not what their slice says.
    pub blocks_damaged: u64,
    /// Claims beyond `claims_max`: our mistake if it is ever above 0.
    pub overflows: u64,
    /// Claims and loaded entries of partitions that this owner does not own: our mistake if it is ever above 0.
    pub misrouted: u64,
    /// Messages and reads that match nothing: late by design (`Withdraw`) or our mistake (`Durable`).
    pub strays: u64,
}
