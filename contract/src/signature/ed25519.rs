//! The one Ed25519 verdict: `8·(S·B − k·A − R) = 0` with S, A and R each in its only canonical encoding and A of prime order.
//! A batch can check the same equation with the same result (docs/decisions/0002-ed25519-verdict.md). This file has no
//! laxer or stricter variant.

use curve25519_dalek::{
    edwards::{CompressedEdwardsY, EdwardsPoint},
    scalar::Scalar,
    traits::IsIdentity as _,
};
use sha2::{Digest as _, Sha512};

use super::key_error::KeyError;

/// A valid public key: canonical and of prime order.
#[derive(Clone)]
pub struct PublicKey {
    bytes: [u8; 32],
    minus_a: EdwardsPoint,
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
        })
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
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &self.minus_a, &s);
        Some((expected - r).mul_by_cofactor().is_identity())
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
