//! A record from bytes to outcome, as the data plane walks it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{hmac_key, json, members, parsed, signed, with};
use flk_contract::{
    KeySet, Params, Parser, Reason, Scheme, Scratch, SigningKey, SlopeCache, Unauthentic,
    authenticate, authenticate_unsigned, check_identity, judge,
    number::Sink,
    outcome::{ENCODING, write_outcome},
    sign,
};

fn keys_of(key: &SigningKey) -> KeySet {
    KeySet::builder().add_signing(key).unwrap().build().unwrap()
}

fn all_signing_keys() -> Vec<SigningKey> {
    Scheme::ALL
        .iter()
        .map(|scheme| match scheme.to_string().starts_with("ed25519") {
            true => SigningKey::from_seed(scheme.form, &[7; 32]),
            false => SigningKey::from_text(*scheme, common::SECRET).unwrap(),
        })
        .collect()
}

#[test]
fn a_signed_record_is_verified_and_accepted() {
    for key in all_signing_keys() {
        let body = signed(&key);
        let mut parser = Parser::new();
        let record = parser.parse(&body).unwrap();
        let verified = authenticate(&record, &keys_of(&key), &mut Scratch::new()).unwrap();
        assert_eq!(verified.key, key.id(), "{}", key.scheme());
        check_identity(&record).unwrap();
        let outcome = judge(&record, &Params::default(), &mut SlopeCache::new());
        assert_eq!((outcome.status(), outcome.escalated), (200, None));
    }
}

#[test]
fn the_signing_digest_is_the_same_under_every_scheme() {
    let digests: Vec<[u8; 32]> = all_signing_keys()
        .iter()
        .map(|key| {
            let owned = parsed(&signed(key));
            let keys = keys_of(key);
            keys.verify(&owned.view(), &mut Scratch::new())
                .unwrap()
                .signing_digest
        })
        .collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));
    let owned = parsed(&json(&members()));
    let unsigned = authenticate_unsigned(&owned.view(), &mut Scratch::new()).unwrap();
    assert_eq!(unsigned.signing_digest, digests[0]);
}

#[test]
fn a_key_verifies_only_under_its_own_scheme() {
    let keys = all_signing_keys();
    for signer in &keys {
        let owned = parsed(&signed(signer));
        for other in &keys {
            let verdict = keys_of(other).verify(&owned.view(), &mut Scratch::new());
            assert_eq!(
                verdict.is_ok(),
                signer.scheme() == other.scheme(),
                "{} {}",
                signer.scheme(),
                other.scheme()
            );
        }
    }
}

#[test]
fn any_active_key_of_several_verifies() {
    let keys = all_signing_keys();
    let mut builder = KeySet::builder();
    for key in &keys[..4] {
        builder = builder.add_signing(key).unwrap();
    }
    let set = builder.build().unwrap();
    for (i, key) in keys.iter().enumerate() {
        let owned = parsed(&signed(key));
        let verdict = set.verify(&owned.view(), &mut Scratch::new());
        assert_eq!(verdict.map(|v| v.key).ok(), (i < 4).then(|| key.id()));
    }
}

#[test]
fn a_fifth_key_is_refused() {
    let key = hmac_key("hmac");
    let mut builder = KeySet::builder();
    for _ in 0..4 {
        builder = builder.add_signing(&key).unwrap();
    }
    assert!(builder.add_signing(&key).is_err());
}

/// Every field of the payload is protected; no other is.
#[test]
fn a_change_breaks_the_signature_exactly_where_the_payload_has_the_field() {
    let key = hmac_key("hmac");
    let keys = keys_of(&key);
    let honest = parsed(&signed(&key));
    let verdict = |edit: &dyn Fn(&mut flk_contract::OwnedRecord)| {
        let mut changed = honest.clone();
        edit(&mut changed);
        assert_ne!(changed, honest);
        keys.verify(&changed.view(), &mut Scratch::new()).is_ok()
    };
    assert!(!verdict(&|r| r.d_hat += 0.001));
    assert!(!verdict(&|r| r.budget += 0.001));
    assert!(!verdict(&|r| r.coh_star += 0.001));
    assert!(!verdict(&|r| r.r += 0.001));
    assert!(!verdict(&|r| r.epoch += 1));
    assert!(!verdict(&|r| r.merkle_root.push('0')));
    assert!(!verdict(&|r| r.pcs_id.make_ascii_uppercase()));
    assert!(!verdict(&|r| r.shard_id.push('0')));
    assert!(verdict(&|r| r.sent_at = "2030-01-01T00:00:00Z".into()));
    assert!(verdict(&|r| r.attempt += 1));
    assert!(verdict(&|r| r.clock_skew_ms += 1));
    assert!(verdict(&|r| r.degraded = true));
    assert!(verdict(&|r| r.seed += 1));
    assert!(verdict(&|r| r.d_hat += 1e-12));
}

#[test]
fn whatever_is_wrong_with_sig_is_the_signature_stages_affair() {
    let keys = keys_of(&hmac_key("hmac"));
    let zeros_44 = format!("\"{}=\"", "A".repeat(43));
    let loose_bits = format!("\"{}B=\"", "A".repeat(42));
    let url_safe = format!("\"{}_=\"", "A".repeat(42).replacen('A', "-", 1));
    let zeros_88 = format!("\"{}==\"", "A".repeat(86));
    for (sig, expected) in [
        ("\"\"", Unauthentic::Absent),
        ("null", Unauthentic::Absent),
        ("17", Unauthentic::Absent),
        ("[\"AAAA\"]", Unauthentic::Absent),
        ("\"AAAA\"", Unauthentic::NotASignature),
        ("\"****\"", Unauthentic::NotASignature),
        (loose_bits.as_str(), Unauthentic::NotASignature),
        (url_safe.as_str(), Unauthentic::NotASignature),
        (zeros_44.as_str(), Unauthentic::NoKeyVerifies),
        (zeros_88.as_str(), Unauthentic::NoKeyVerifies),
    ] {
        let owned = parsed(&with("sig", sig));
        let verdict = authenticate(&owned.view(), &keys, &mut Scratch::new());
        assert_eq!(verdict, Err(expected), "{sig}");
    }
    let owned = parsed(&common::without("sig"));
    let verdict = authenticate(&owned.view(), &keys, &mut Scratch::new());
    assert_eq!(verdict, Err(Unauthentic::Absent));
}

#[test]
fn identity_texts_longer_than_128_bytes_are_unauthentic_whoever_signed_them() {
    let key = hmac_key("hmac");
    for (pcs_id, root, expected) in [
        (128, 128, Ok(())),
        (129, 1, Err(Unauthentic::TextTooLong)),
        (1, 129, Err(Unauthentic::TextTooLong)),
    ] {
        let mut owned = parsed(&json(&members()));
        owned.pcs_id = "a".repeat(pcs_id);
        owned.merkle_root = "a".repeat(root);
        owned.sig = sign(&key, &owned.view());
        let verdict = authenticate(&owned.view(), &keys_of(&key), &mut Scratch::new());
        assert_eq!(verdict.map(|_| ()), expected);
        let unsigned = authenticate_unsigned(&owned.view(), &mut Scratch::new());
        assert_eq!(unsigned.map(|_| ()), expected);
    }
}

#[test]
fn identity_is_judged_by_form_and_rule() {
    use flk_contract::IdentityMismatch::{MerkleRoot, PcsId};
    let honest = parsed(&json(&members()));
    let id = check_identity(&honest.view());
    assert!(id.is_ok());
    let verdict = |edit: &dyn Fn(&mut flk_contract::OwnedRecord)| {
        let mut changed = honest.clone();
        edit(&mut changed);
        check_identity(&changed.view())
    };
    assert_eq!(verdict(&|r| r.attempt += 1), id);
    assert_eq!(verdict(&|r| r.epoch += 1), Err(PcsId));
    assert_eq!(verdict(&|r| r.shard_id.push('x')), Err(PcsId));
    assert_eq!(verdict(&|r| r.merkle_root.push('0')), Err(PcsId));
    assert_eq!(verdict(&|r| r.pcs_id.make_ascii_uppercase()), Err(PcsId));
    assert_eq!(verdict(&|r| r.pcs_id.clear()), Err(PcsId));
    assert_eq!(verdict(&|r| r.merkle_root.clear()), Err(MerkleRoot));
    assert_eq!(verdict(&|r| r.merkle_root.push('g')), Err(MerkleRoot));
}

#[test]
fn reasons_are_found_in_their_order() {
    let reason = |name: &str, value: &str| {
        let owned = parsed(&with(name, value));
        judge(&owned.view(), &Params::default(), &mut SlopeCache::new()).escalated
    };
    assert_eq!(reason("D_hat", "0.847996907"), None);
    assert_eq!(reason("D_hat", "1.1"), Some(Reason::DHatOutOfTolerance));
    assert_eq!(reason("coh_star", "1.06"), Some(Reason::CohStarOutOfBounds));
    assert_eq!(reason("coh_star", "-0.1"), Some(Reason::CohStarOutOfBounds));
    assert_eq!(reason("coh_star", "0.69"), Some(Reason::RegimeMismatch));
    assert_eq!(reason("budget", "0.3"), Some(Reason::BudgetDeviation));
    let degraded = r#"{"outbox_seq":1,"degraded":true,"fallbacks":["a","b"],"clock_skew_ms":0}"#;
    assert_eq!(reason("ft", degraded), Some(Reason::Degraded));
}

#[test]
fn outcomes_have_exactly_these_bytes() {
    let mut out = Vec::new();
    let owned = parsed(&with("coh_star", "0.69"));
    let outcome = judge(&owned.view(), &Params::default(), &mut SlopeCache::new());
    write_outcome(ENCODING, &outcome, "ab", &mut out).unwrap();
    out.put(b"\n");
    let owned = parsed(&json(&members()));
    let outcome = judge(&owned.view(), &Params::default(), &mut SlopeCache::new());
    write_outcome(ENCODING, &outcome, "ab", &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        concat!(
            r#"{"pcs_id":"ab","accepted":false,"escalated":true,"reason":"regime_mismatch","D_hat":0.847996907,"#,
            r#""recomputed_D_hat":0.866733469,"budget":0.285,"recomputed_budget":0.277,"regime":"mixed","params_version":"1"}"#,
            "\n",
            r#"{"pcs_id":"ab","accepted":true,"escalated":false,"D_hat":0.847996907,"#,
            r#""recomputed_D_hat":0.866733469,"budget":0.285,"recomputed_budget":0.285,"regime":"sticky","params_version":"1"}"#,
        )
    );
    assert!(write_outcome(2, &outcome, "ab", &mut Vec::new()).is_err());
}
