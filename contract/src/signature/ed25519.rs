//! The one Ed25519 verdict: `8·(S·B − k·A − R) = 0` with S, A and R each in its only canonical encoding and A of prime order
//! (docs/decisions/0002-ed25519-verdict.md). A key may have a table, which makes `S·B − k·A` faster and changes nothing else
//! (docs/decisions/0032-tables-for-ed25519-keys.md). This file has no laxer or stricter variant.

use std::sync::{Arc, LazyLock};

use curve25519_dalek::{
    constants::ED25519_BASEPOINT_POINT,
    edwards::{CompressedEdwardsY, EdwardsPoint},
    scalar::Scalar,
    traits::IsIdentity as _,
};
use sha2::{Digest as _, Sha512};

use super::{key_error::KeyError, multiples::Multiples};

/// Memory of the table of a key, in bytes; all keys together need [`BASE_TABLE_BYTES`] besides.
pub const KEY_TABLE_BYTES: usize = OfKey::BYTES;
/// Memory of the table of the base point, in bytes. It is made with the first table of a key.
pub const BASE_TABLE_BYTES: usize = OfBase::BYTES;

type OfKey = Multiples<6, 43, 4>;
type OfBase = Multiples<8, 32, 1>;

static OF_BASE: LazyLock<OfBase> = LazyLock::new(|| OfBase::of(ED25519_BASEPOINT_POINT));

/// A valid public key: canonical and of prime order.
#[derive(Clone)]
pub struct PublicKey {
    bytes: [u8; 32],
    minus_a: EdwardsPoint,
    /// Multiples of `−A`, shared by all clones: `S·B − k·A` is a sum of precomputed points then.
    table: Option<Arc<OfKey>>,
}

impl PublicKey {
    /// Loads a key; refuses weak keys and non-canonical encodings.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let point = decode_point(&bytes).ok_or(KeyError::Ed25519NotAPoint)?;
        if point.is_small_order() || !point.is_torsion_free() {
            return Err(KeyError::Ed25519Weak);
        }
        Ok(Self {
            bytes,
            minus_a: -point,
            table: None,
        })
    }

    /// Gives it a table of [`KEY_TABLE_BYTES`], which its clones share: signatures are judged faster, and no differently. That takes
    /// about as long as loading the key.
    pub fn add_table(&mut self) {
        // Now, and not with the first verdict.
        LazyLock::force(&OF_BASE);
        self.table
            .get_or_insert_with(|| Arc::new(Multiples::of(self.minus_a)));
    }

    /// Whether it has a table.
    pub const fn has_table(&self) -> bool {
        self.table.is_some()
    }

    /// The verdict on one signature.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.check(message, signature).unwrap_or(false)
    }

    fn check(&self, message: &[u8], signature: &[u8; 64]) -> Option<bool> {
        let (r_bytes, s_bytes) = signature.split_first_chunk::<32>()?;
        let s_bytes: [u8; 32] = s_bytes.try_into().ok()?;
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s_bytes))?;
        let r = decode_point(r_bytes)?;
        let hash = Sha512::new()
            .chain_update(r_bytes)
            .chain_update(self.bytes)
            .chain_update(message)
            .finalize();
        let k = Scalar::from_bytes_mod_order_wide(&hash.into());
        let expected = self.expected(&s, &k);
        // an honest signature has R itself, and then the difference need not be multiplied
        Some(expected == r || (expected - r).mul_by_cofactor().is_identity())
    }

    /// `S·B − k·A`.
    fn expected(&self, s: &Scalar, k: &Scalar) -> EdwardsPoint {
        match &self.table {
            Some(of_minus_a) => OF_BASE.times(s) + of_minus_a.times(k),
            None => EdwardsPoint::vartime_double_scalar_mul_basepoint(k, &self.minus_a, s),
        }
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublicKey(ed25519)")
    }
}

/// Decodes a point from its canonical encoding only: y below the field's prime, and no sign where x is zero.
fn decode_point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    if !is_canonical(bytes) {
        return None;
    }
    CompressedEdwardsY(*bytes).decompress()
}

fn is_canonical(bytes: &[u8; 32]) -> bool {
    const P: [u8; 32] = little_endian_p(0xed);
    const MINUS_ONE: [u8; 32] = little_endian_p(0xec);
    const ONE: [u8; 32] = {
        let mut one = [0; 32];
        one[0] = 1;
        one
    };
    let signed = bytes[31] & 0x80 != 0;
    let mut y = *bytes;
    y[31] &= 0x7f;
    let below_p = y.iter().rev().lt(P.iter().rev());
    let x_is_zero = y == ONE || y == MINUS_ONE;
    below_p && !(signed && x_is_zero)
}

/// 2^255 − 19, or that with another last byte.
const fn little_endian_p(first: u8) -> [u8; 32] {
    let mut p = [0xff; 32];
    p[0] = first;
    p[31] = 0x7f;
    p
}
