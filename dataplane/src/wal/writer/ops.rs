//! What the writing end of a log begins with, and what it asks for.

use super::super::buffer::Blocks;
use super::super::epoch::Epoch;
use super::super::name::{ClosedSegment, LogId, NamedSegment};
use super::super::segment::SegmentLabels;
use crate::io::{FileId, SyncMode};

/// One operation that the log asks for. The shard turns it into one of its own.
#[derive(Debug)]
pub enum LogOp {
    /// Write the whole buffer to a segment; it comes back by [`super::LogWriter::written`].
    Write {
        /// The segment.
        file: FileId,
        /// Byte offset in the file, a multiple of 4,096.
        offset: u64,
        /// What to write.
        blocks: Box<Blocks>,
    },
    /// Make completed writes of a segment durable; the end comes by [`super::LogWriter::synced`].
    Sync(FileId),
    /// A message to the keeper: a segment is in use, and the one after it is needed.
    Entered(Entered),
    /// A message to the keeper: a seal epoch began without a roll.
    Epoch(EpochBegun),
    /// Durability can no longer be promised: the process ends.
    Fail(LogFailure),
}

/// The first batch in a segment is durable, or could not be written there; the segment before is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The log.
    pub log: LogId,
    /// The segment that is in use now.
    pub ordinal: u32,
    /// Whether its first batch is durable; otherwise that goes on in the segment that is asked for.
    pub durable: bool,
    /// Seal epoch of the batches from here on.
    pub epoch: Epoch,
    /// The segment before it (none for the log's first).
    pub closed: Option<ClosedSegment>,
}

/// A log begins a seal epoch without a roll: its current segment holds no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochBegun {
    /// The log.
    pub log: LogId,
    /// The segment in use.
    pub ordinal: u32,
    /// Seal epoch of the batches from here on.
    pub epoch: Epoch,
}

/// Why a log can go on no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFailure {
    /// Exit code of the process: one of [`Exit`](crate::exit::Exit).
    pub code: i32,
    /// One sentence for the operator: what happened and what to do.
    pub reason: String,
}

/// Where a log begins.
#[derive(Clone, Copy, Debug)]
pub struct LogStart {
    /// Random id of this installation; in every segment header.
    pub installation: [u8; 16],
    /// Random id of this incarnation of the directory.
    pub incarnation: [u8; 16],
    /// Labels of its segments.
    pub labels: SegmentLabels,
    /// The log.
    pub log: LogId,
    /// Its first segment.
    pub first: NamedSegment,
    /// How writes become durable.
    pub sync: SyncMode,
}
