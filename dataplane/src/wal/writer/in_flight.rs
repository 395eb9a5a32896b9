//! The one batch that is on its way to the disk, and how far it is. At most one is, so that durable is a prefix.

use crate::wal::batch::Assembled;
use crate::wal::buffer::Blocks;
use crate::wal::epoch::Epoch;
use crate::wal::name::{NamedSegment, Sequence};

/// Where a batch lies in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Behind the segment header, which the same write carries.
    First,
    /// Behind another batch, whose header has this checksum.
    Behind(u32),
}

/// How often a batch was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    /// It was written once already, into a segment that failed.
    Failover,
}

/// A batch that was assembled and is not durable yet.
#[derive(Debug)]
pub(super) struct BatchInFlight {
    pub(super) segment: NamedSegment,
    pub(super) offset: u64,
    pub(super) position: Position,
    pub(super) attempt: Attempt,
    pub(super) assembled: Assembled,
    pub(super) sequence: Sequence,
    /// Every body up to here has its disposition in this batch or before it.
    pub(super) resolved: Sequence,
    pub(super) records: u32,
    /// Seal epoch of the segment that it is written into.
    pub(super) epoch: Epoch,
}

/// How far the batch in flight is, and where its bytes are.
#[derive(Debug)]
pub(super) enum InFlight {
    /// There is none. The memory waits for the next batch.
    Nothing(Box<Blocks>),
    /// The driver writes it and has its bytes.
    Writing(BatchInFlight),
    /// It is written, and its sync is not complete.
    Syncing(BatchInFlight, Box<Blocks>),
    /// Its segment failed. It goes into the next one as soon as that is named.
    AwaitingSegment(BatchInFlight, Box<Blocks>),
    /// The log failed for good: the process ends, and nothing is written any more.
    Stopped,
}

impl InFlight {
    pub(super) fn batch(&self) -> Option<&BatchInFlight> {
        match self {
            InFlight::Nothing(_) | InFlight::Stopped => None,
            InFlight::Writing(batch)
            | InFlight::Syncing(batch, _)
            | InFlight::AwaitingSegment(batch, _) => Some(batch),
        }
    }

    /// The state, to be followed by another one. Where none follows the log has stopped.
    pub(super) fn take(&mut self) -> InFlight {
        std::mem::replace(self, InFlight::Stopped)
    }
}
