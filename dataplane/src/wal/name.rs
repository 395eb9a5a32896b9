//! How the log names things: logs, sequences and records. Names never depend on file offsets, so that a record keeps
//! its name when its batch is rewritten elsewhere.

use std::fmt;

/// A log: it belongs to a start of the gateway and has a number within it; it does not belong to a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// Start number, 24 bits; grows by one at each start.
    pub start: u32,
    /// Number of the log within its start.
    pub number: u16,
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
