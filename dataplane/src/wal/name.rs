//! How the log names things: logs, sequences and records. Names never depend on file offsets, so that a record keeps
//! its name when its batch is rewritten elsewhere.

use crate::io::FileId;
use std::fmt;

/// A log: it belongs to a start of the gateway and has a number within it; it does not belong to a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// Start number, 24 bits; grows by one at each start.
    pub start: u32,
    /// Number of the log within its start.
    pub number: u16,
}

impl LogId {
    /// Reads `START.NUMBER`, such as `3.0`.
    pub fn parse(text: &str) -> Option<LogId> {
        let (start, number) = text.split_once('.')?;
        Some(LogId {
            start: start.parse().ok().filter(|start| *start < 1 << 24)?,
            number: number.parse().ok()?,
        })
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.start, self.number)
    }
}

/// Position of a batch in its log: start number (24 bits) over a counter (40 bits) that begins at 1. Never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Width of the counter in bits.
    pub const COUNTER_BITS: u32 = 40;
    /// The position before the first batch of a log: nothing.
    pub fn before_first(start: u32) -> Sequence {
        Sequence(u64::from(start) << Sequence::COUNTER_BITS)
    }
    /// The next position, or nothing when the counter is full (the log must end).
    pub fn next(self) -> Option<Sequence> {
        let counter_max = (1 << Sequence::COUNTER_BITS) - 1;
        (self.counter() < counter_max).then(|| Sequence(self.0 + 1))
    }
    /// The start number.
    pub fn start(self) -> u32 {
        (self.0 >> Sequence::COUNTER_BITS) as u32
    }
    /// The counter within the log: 0 is before the first batch.
    pub fn counter(self) -> u64 {
        self.0 & ((1 << Sequence::COUNTER_BITS) - 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.start(), self.counter())
    }
}

/// A record within its log: the batch and the index of its record header in that batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The batch.
    pub sequence: Sequence,
    /// Index of the record in the batch's index part, from 0.
    pub index: u32,
}

/// A segment that the durable manifest names as the next one of a log: zero-filled, synced, ready for its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedSegment {
    /// The open file.
    pub file: FileId,
    /// Position of the segment in its log, from 0.
    pub ordinal: u32,
    /// Random; every block header in the segment repeats it, so that a recycled file's old bytes are never taken for new.
    pub salt: u64,
    /// Generation of the manifest that named it.
    pub generation: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
}

/// The end of a segment, as the shard that wrote it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedSegment {
    /// Position in the log.
    pub ordinal: u32,
    /// First sequence written into it, or the position after `last` if there is none.
    pub first: Sequence,
    /// Last durable sequence in it.
    pub last: Sequence,
    /// Bytes in use, header included: a multiple of 4 KiB. What lies behind is unused.
    pub bytes: u64,
    /// Checksum of the header of the last batch of the log up to here, wherever it lies; 0 if there is none.
    pub last_checksum: u32,
}
