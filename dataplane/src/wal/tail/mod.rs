//! The tail reader: what a reader outside of the process takes from a log, while it is written or afterwards. It gives whole
//! batches of one log in order from a cursor on, each once, and only those that no later start takes back. It never writes,
//! and it asks nothing of the process that does.
//!
//! A batch counts once something durable says so: the manifest by the extent of its segment, or a later header of the log by
//! `durable_upto` or by where it says that the segment before ends. Everything else is *not yet*: a torn read, and the last
//! whole batch of a log in use, which a failed write may have left. What may change meanwhile is known here: the last batch
//! stands again elsewhere under other headers, the mark at the end is dropped, a segment is replaced, packed or deleted.

mod digest;
mod directory;
mod enter;
mod error;
mod reader;
mod rest;
mod standing;
mod step;
#[cfg(test)]
mod tests;

pub use digest::RangeName;
pub use directory::{Source, erasures, read_manifest};
pub use error::{TailDamage, TailError};
pub use standing::{Depth, LogTail};

use crate::wal::batch::Batch;
use crate::wal::manifest::LogEntry;
use crate::wal::name::{LogId, Sequence};

/// How far a log was read. It stays valid whatever becomes of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Incarnation of the directory that wrote the log.
    pub incarnation: [u8; 16],
    /// The log.
    pub log: LogId,
    /// Everything up to here was given, or is known to be missing.
    pub sequence: Sequence,
}

impl Cursor {
    /// Before the first batch of a log.
    pub fn beginning(log: &LogEntry) -> Cursor {
        Cursor {
            incarnation: log.incarnation,
            log: log.id,
            sequence: Sequence::before_first(log.id.start),
        }
    }
}

/// What comes next in a log.
#[derive(Clone, Copy, Debug)]
pub enum TailStep<'a> {
    /// A batch with records. It counts for good.
    Batch(Batch<'a>),
    /// Sequences that nothing can be read of. Marks may be among them.
    Missing(Missing),
    /// Nothing that counts yet: ask again later.
    NotYet,
    /// The log has ended, and all of it was given.
    End,
}

/// Sequences that nothing can be read of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The first.
    pub from: Sequence,
    /// The last.
    pub to: Sequence,
    /// Why.
    pub why: WhyMissing,
}

/// Why sequences are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyMissing {
    /// An operator gave them up.
    GivenUp,
    /// Their segments were deleted, by age or for space.
    Deleted,
}
