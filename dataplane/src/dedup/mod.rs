//! De-duplication: which outcome a key has. The owner of a key arbitrates claims in memory; what is durable is in the
//! log and in sealed slices.

// A claim: what it is about, and how its receiver and its owner talk.
pub mod key;

pub mod context;

mod decided;

pub mod protocol;

// Its owner arbitrates it: in flight, then durable in the table.
pub mod claims;

pub mod order;

pub mod table;

pub mod entry;

// What is sealed.
pub mod slice;

pub mod filter;

pub use self::decided::{Decided, DecidedRecord};

/// Keyed 128-bit hash of (tenant, pcs_id) under the installation's secret. The top 10 bits are the partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Key {
    /// Upper half: sorts first.
    pub high: u64,
    /// Lower half.
    pub low: u64,
}

/// Number of partitions, fixed for ever: the partition of a key is its top 10 bits.
pub const PARTITIONS: u16 = 1024;

impl Key {
    /// The partition of this key, `0..PARTITIONS`.
    pub fn partition(self) -> u16 {
        (self.high >> 54) as u16
    }
}
