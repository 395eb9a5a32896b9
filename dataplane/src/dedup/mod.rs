//! De-duplication: which outcome a key has. The owner of a key arbitrates claims in memory; what is durable is in the
//! log and in sealed slices.

pub mod claims;
pub mod context;
pub mod entry;
pub mod filter;
pub mod key;
pub mod protocol;
pub mod slice;
pub mod table;

use crate::wal::Epoch;

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

/// One decision as memory and slices hold it: all that is needed to answer a duplicate. 72 bytes, no padding.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Decided {
    /// The key.
    pub key: Key,
    /// First 8 bytes of the signing digest, little-endian: tells a duplicate from a conflict.
    pub digest_tag: u64,
    /// Claimed D̂, recomputed D̂, claimed budget, recomputed budget.
    pub numbers: [f64; 4],
    /// Second of the expiry clock at which the owner granted the claim.
    pub decided_at: u32,
    /// Second of the expiry clock from which on this entry answers nothing.
    pub expiry: u32,
    /// Index into the process's dictionary of parameter-set versions.
    pub params: u16,
    /// 0 accepted, else the escalation reason's number.
    pub reason: u8,
    /// The regime's number.
    pub regime: u8,
    /// Encoding of the outcome text.
    pub encoding: u8,
    /// Zero.
    pub reserved: u8,
    /// Seal epoch of the segment that logged the decision; the owner fills it in when the decision is durable. Not part
    /// of the decision: two entries that differ only here are the same decision.
    pub epoch: Epoch,
}

/// What tells a duplicate from a conflict, of a record's signing digest. The only place that derives it: with two, a drift
/// would turn duplicates into conflicts after a restart.
pub fn digest_tag(signing_digest: &[u8; 32]) -> u64 {
    let (tag, _) = signing_digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
    u64::from_le_bytes(*tag)
}

impl Decided {
    /// Whether this entry still answers at that reading of the expiry clock.
    pub fn live_at(&self, now_s: u32) -> bool {
        now_s < self.expiry
    }

    /// The part of it that this build cannot answer with, and that part's number: a newer flk wrote it.
    pub fn unknown_part(&self) -> Option<(&'static str, u8)> {
        flk_contract::outcome::unknown_part(self.encoding, self.reason, self.regime)
    }
}

const _: () = assert!(size_of::<Decided>() == 72, "a decision takes 72 bytes");
