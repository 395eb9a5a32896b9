//! From (tenant, pcs_id) to the 128-bit key under the installation's secret. It owns the byte form that is hashed and
//! the reading of the result; it keeps no key and allocates nothing.

use super::Key;
use super::context::TenantId;
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
    /// The state behind the name of each tenant, by [`TenantId`]: the same for all of its records.
    prepared_tenants: Vec<SipHasher24>,
}

impl KeyHash {
    /// Prepares the hash under the installation's secret.
    pub fn new(secret: [u8; 16]) -> KeyHash {
        KeyHash {
            prepared: SipHasher24::new_with_key(&secret),
            prepared_tenants: Vec::new(),
        }
    }

    /// Prepares for all tenants that are known, in the order of their numbers: the names of before, and perhaps more.
    pub fn know<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let new = names.skip(self.prepared_tenants.len());
        let prepared = self.prepared;
        self.prepared_tenants
            .extend(new.map(|name| hash_part(prepared, name)));
    }

    /// The key of a record of a tenant of this name. `pcs_id` is the text as it stood in the record.
    pub fn key(&self, tenant: &str, pcs_id: &str) -> Key {
        key_behind(hash_part(self.prepared, tenant), pcs_id)
    }

    /// A number of a client's address that no client can aim at.
    pub fn address(&self, address: u64) -> u16 {
        let mut hasher = self.prepared;
        // No tenant's name is as long: this is the hash of no record.
        hasher.write(&u32::MAX.to_le_bytes());
        hasher.write(&address.to_le_bytes());
        hasher.finish128().h1 as u16
    }

    /// A number that stands for a place in a log, and that a client cannot guess.
    pub fn trace(&self, place: &[u8]) -> u128 {
        let mut hasher = self.prepared;
        // No tenant's name is as long: this is the hash of no record, nor of an address.
        hasher.write(&(u32::MAX - 1).to_le_bytes());
        hasher.write(place);
        u128::from_be_bytes(hasher.finish128().as_bytes())
    }

    /// The same for a tenant that [`KeyHash::know`] has prepared for.
    pub fn key_of(&self, tenant: TenantId, pcs_id: &str) -> Key {
        key_behind(self.prepared_tenants[tenant.index()], pcs_id)
    }
}

fn hash_part(mut hasher: SipHasher24, part: &str) -> SipHasher24 {
    // Tenants and ids are bounded far below 4 GiB by the record contract; longer ones would only share a length prefix.
    hasher.write(&(part.len() as u32).to_le_bytes());
    hasher.write(part.as_bytes());
    hasher
}

fn key_behind(tenant: SipHasher24, pcs_id: &str) -> Key {
    Key::from_bytes(hash_part(tenant, pcs_id).finish128().as_bytes())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Under the secret 00 01 … 0f, by an independent program that reproduces the reference vector of the empty input.
    #[test]
    fn keys_are_those_of_an_independent_siphash() {
        let zeros = "0".repeat(64);
        let abs = "ab".repeat(32);
        let cases = [
            (
                "default",
                &zeros[..],
                0x1aa5_80ee_ac92_1b12_8262_da46_e87e_54b7,
            ),
            ("acme.eu-1", &abs, 0x3c54_680a_f7d4_1ed9_4546_d283_13e7_db7c),
            ("a", "", 0x0317_5969_ed42_0d07_b37c_ab20_3946_285b),
            ("ab", "c", 0x3d08_540b_aca0_fd6b_a285_5ff6_8beb_486f),
            ("a", "bc", 0x2df6_136f_6d06_c966_dfbe_13d7_414a_3205),
            (
                "default",
                "é\"\0",
                0x3c82_4479_5ecd_062a_86d9_5a95_43b7_0553u128,
            ),
        ];
        let hash = KeyHash::new(std::array::from_fn(|at| at as u8));
        for (tenant, pcs_id, expected) in cases {
            let key = hash.key(tenant, pcs_id);
            assert_eq!(
                key,
                Key::from_bytes(expected.to_be_bytes()),
                "{tenant} {pcs_id}"
            );
            assert_eq!(key.to_bytes(), expected.to_be_bytes());
            assert_eq!(u128::from(key.partition()), expected >> 118);
        }
    }

    #[test]
    fn a_tenant_gives_the_key_of_its_name_and_keeps_it_when_more_are_known() {
        let mut hash = KeyHash::new([0x5A; 16]);
        let names = ["default", "acme", "beta"];
        for known in 1..=names.len() {
            hash.know(names[..known].iter().copied());
            for (at, name) in names[..known].iter().enumerate() {
                for pcs_id in ["", "a", &"c".repeat(64)] {
                    let key = hash.key_of(TenantId::at(at), pcs_id);
                    assert_eq!(key, hash.key(name, pcs_id));
                }
            }
        }
    }

    #[test]
    fn keys_sort_as_their_bytes_do_and_the_secret_stays_out_of_debug_text() {
        let hash = KeyHash::new([0xA5; 16]);
        let mut keys: Vec<Key> = (0..200).map(|n| hash.key("t", &n.to_string())).collect();
        keys.sort();
        assert!(keys.is_sorted_by_key(|key| key.to_bytes()));
        assert!(keys.is_sorted_by_key(|key| key.partition()));
        assert_eq!(format!("{hash:?}"), "KeyHash(secret)");
    }
}
