//! One Ed25519 verdict by three ways: with the table of a key, without it, and by the equation spelled out plainly; and beside them the
//! strict check of a library, whose verdict is the same unless R has a part of small order. Signatures are honest, bent, crafted
//! or chance.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use curve25519_dalek::{
    constants::{ED25519_BASEPOINT_POINT as B, EIGHT_TORSION},
    edwards::{CompressedEdwardsY, EdwardsPoint},
    scalar::Scalar,
    traits::IsIdentity as _,
};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use flk_contract::signature::PublicKey;
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

/// The order of the group, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// A key, judged in all ways at once.
struct Twins {
    bytes: [u8; 32],
    plain: PublicKey,
    with_table: PublicKey,
    strict: VerifyingKey,
}

impl Twins {
    fn of(bytes: [u8; 32]) -> Self {
        let plain = PublicKey::from_bytes(bytes).unwrap();
        let mut with_table = plain.clone();
        with_table.add_table();
        assert!(with_table.has_table() && !plain.has_table());
        let strict = VerifyingKey::from_bytes(&bytes).unwrap();
        Self {
            bytes,
            plain,
            with_table,
            strict,
        }
    }

    /// The verdict of all of them.
    fn verdict(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let verdict = self.with_table.verify(message, signature);
        assert_eq!(self.plain.verify(message, signature), verdict);
        assert_eq!(spelled_out(&self.bytes, message, signature), verdict);
        let strict = Signature::from_bytes(signature);
        let strict = self.strict.verify_strict(message, &strict).is_ok();
        if strict != verdict {
            let r = CompressedEdwardsY(signature[..32].try_into().unwrap());
            let r = r.decompress().unwrap();
            assert!(
                verdict && (r.is_small_order() || !r.is_torsion_free()),
                "only torsion in R makes the strict check say no to what is valid"
            );
        }
        verdict
    }
}

fn point_of(bytes: &[u8]) -> Option<EdwardsPoint> {
    let encoded = CompressedEdwardsY(bytes.try_into().unwrap());
    let point = encoded.decompress()?;
    (point.compress() == encoded).then_some(point)
}

fn challenge(r: &[u8], a: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(a);
    Scalar::from_bytes_mod_order_wide(&hash.chain_update(message).finalize().into())
}

/// The rule of docs/decisions/0002-ed25519-verdict.md, word by word.
fn spelled_out(a: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let (r, s) = signature.split_at(32);
    let s = Scalar::from_canonical_bytes(s.try_into().unwrap());
    let (Some(s), Some(point)) = (Option::<Scalar>::from(s), point_of(r)) else {
        return false;
    };
    let k = challenge(r, a, message);
    let difference = s * B - k * point_of(a).unwrap() - point;
    (Scalar::from(8_u8) * difference).is_identity()
}

/// A signature by `seed` whose R is `r·B` and a point of small order, encoded as `encode` says, with an S that fits.
fn crafted(
    seed: &[u8; 32],
    message: &[u8],
    r: Scalar,
    torsion: EdwardsPoint,
    encode: impl Fn(EdwardsPoint) -> [u8; 32],
) -> [u8; 64] {
    let pair = SigningKey::from_bytes(seed);
    let secret = pair.to_scalar();
    let encoded = encode(r * B + torsion);
    let k = challenge(&encoded, pair.verifying_key().as_bytes(), message);
    let s = (r + k * secret).to_bytes();
    std::array::from_fn(|at| if at < 32 { encoded[at] } else { s[at - 32] })
}

fn canonically(point: EdwardsPoint) -> [u8; 32] {
    point.compress().to_bytes()
}

/// The same S in its second spelling.
fn respelled(mut signature: [u8; 64]) -> [u8; 64] {
    let mut carry = 0_u16;
    for (byte, l) in signature[32..].iter_mut().zip(L) {
        carry += u16::from(*byte) + u16::from(l);
        *byte = carry as u8;
        carry >>= 8;
    }
    signature
}

fn honest(seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
    use ed25519_dalek::Signer as _;
    SigningKey::from_bytes(seed).sign(message).to_bytes()
}

fn twins(seed: &[u8; 32]) -> Twins {
    Twins::of(SigningKey::from_bytes(seed).verifying_key().to_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn all_ways_agree(
        seed: [u8; 32],
        other_seed: [u8; 32],
        message in prop::collection::vec(any::<u8>(), 0..100),
        nonce: [u8; 32],
        chance: [[u8; 32]; 2],
        byte in 0..64_usize,
        value in 1..=255_u8,
    ) {
        let twins = twins(&seed);
        let right = honest(&seed, &message);
        prop_assert!(twins.verdict(&message, &right));
        let mut bent = right;
        bent[byte] ^= value;
        prop_assert!(!twins.verdict(&message, &bent));
        prop_assert!(!twins.verdict(&message, &respelled(right)));
        prop_assert!(!twins.verdict(&message, &honest(&other_seed, &message)));
        let longer = [&message[..], b"!"].concat();
        prop_assert!(!twins.verdict(&longer, &right));
        let chance: [u8; 64] = chance.concat().try_into().unwrap();
        prop_assert!(!twins.verdict(&message, &chance));
        // S of chance that is reduced, beside an R that is a point
        let mut chance = chance;
        chance[..32].copy_from_slice(&right[..32]);
        chance[63] &= 0x0f;
        prop_assert!(!twins.verdict(&message, &chance));
        let r = Scalar::from_bytes_mod_order(nonce);
        for torsion in EIGHT_TORSION {
            let mixed = crafted(&seed, &message, r, torsion, canonically);
            prop_assert!(twins.verdict(&message, &mixed));
            bent = mixed;
            bent[byte] ^= value;
            prop_assert!(!twins.verdict(&message, &bent));
            prop_assert!(!twins.verdict(&message, &respelled(mixed)));
        }
    }
}

#[test]
fn every_byte_of_a_signature_takes_part_in_all_ways() {
    let (seed, message) = ([0x35; 32], b"thirty-two bytes of some digest.");
    let twins = twins(&seed);
    let right = honest(&seed, message);
    assert!(twins.verdict(message, &right));
    for at in 0..64 {
        for value in [0x01, 0x10, 0x80, 0xff] {
            let mut bent = right;
            bent[at] ^= value;
            assert!(!twins.verdict(message, &bent), "byte {at}");
        }
    }
}

#[test]
fn points_of_small_order_and_their_second_spellings_in_r_are_judged_alike() {
    let (seed, message) = ([0x53; 32], b"thirty-two bytes of some digest.");
    let twins = twins(&seed);
    for torsion in EIGHT_TORSION {
        let small = crafted(&seed, message, Scalar::ZERO, torsion, canonically);
        assert!(twins.verdict(message, &small));
        // another sign belongs to another point, and where x is zero to no point
        let other_sign = |point| {
            let mut bytes = canonically(point);
            bytes[31] ^= 0x80;
            bytes
        };
        let spelled = crafted(&seed, message, Scalar::ZERO, torsion, other_sign);
        let has_x = torsion != -torsion;
        assert_eq!(twins.verdict(message, &spelled), has_x);
    }
    // y from p to 2^255 − 1, with both signs: none is canonical
    for low in 0xed..=0xff_u8 {
        for top in [0x7f, 0xff] {
            let misspelled = |_| {
                let mut bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (low, top);
                bytes
            };
            let signature = crafted(&seed, message, Scalar::ZERO, B, misspelled);
            assert!(!twins.verdict(message, &signature));
        }
    }
}

#[test]
fn a_table_is_made_once_and_shared_by_clones() {
    let key = twins(&[7; 32]).with_table;
    let counted = allocation_counter::measure(|| {
        let mut clone = key.clone();
        clone.add_table();
        assert!(clone.has_table());
    });
    assert_eq!(counted.count_total, 0);
}
