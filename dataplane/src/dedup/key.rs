//! From (tenant, pcs_id) to the 128-bit key under the installation's secret. It owns the byte form that is hashed and
//! the reading of the result; it keeps no key and allocates nothing.

use super::Key;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// The installation's keyed hash: SipHash-2-4 with a 128-bit result.
///
/// Hashed is `u32le len(tenant) ‖ tenant ‖ u32le len(pcs_id) ‖ pcs_id`: the lengths keep ("ab", "c") and ("a", "bc")
/// apart. The 16 result bytes, in the order of the reference implementation, are read as one big-endian number, so that
/// keys sort as their bytes do and the partition is the first ten bits of the first bytes.
#[derive(Clone)]
pub struct KeyHash {
    prepared: SipHasher24,
}

impl KeyHash {
    /// Prepares the hash under the installation's secret.
    pub fn new(secret: [u8; 16]) -> KeyHash {
        KeyHash {
            prepared: SipHasher24::new_with_key(&secret),
        }
    }

    /// The key of a record. `pcs_id` is the text as it stood in the record.
    pub fn key(&self, tenant: &str, pcs_id: &str) -> Key {
        let mut hasher = self.prepared;
        for part in [tenant, pcs_id] {
            // Both are bounded far below 4 GiB by the record contract; longer ones would only share a length prefix.
            hasher.write(&(part.len() as u32).to_le_bytes());
            hasher.write(part.as_bytes());
        }
        Key::from_bytes(hasher.finish128().as_bytes())
    }
}

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("KeyHash(secret)")
    }
}

impl Key {
    /// Reads 16 bytes as one big-endian number.
    pub fn from_bytes(bytes: [u8; 16]) -> Key {
        let number = u128::from_be_bytes(bytes);
        Key {
            high: (number >> 64) as u64,
            low: number as u64,
        }
    }

    /// The 16 bytes, most significant first: they sort as keys do.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.high) << 64 | u128::from(self.low)).to_be_bytes()
    }
}
