//! De-duplication: which outcome a key has. The owner of a key arbitrates claims in memory; what is durable is in the
//! log and in sealed slices.

pub mod claims;
pub mod context;
mod decided;
pub mod entry;
pub mod filter;
pub mod key;
pub mod order;
pub mod protocol;
pub mod slice;
pub mod table;

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
