//! Parse, signature, identity, verdict and outcome of a record allocate nothing once their room is warm.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use flk_contract::{
    KeySet, Params, Parser, Scheme, Scratch, SigningKey, SlopeCache, authenticate, check_identity,
    judge,
    outcome::{ENCODING, write_outcome},
    signature::VerifyingKey,
};

#[test]
fn a_record_allocates_nothing_in_the_steady_state() {
    let tables = [false, true].into_iter();
    for (scheme, has_table) in tables.flat_map(|it| Scheme::ALL.map(|scheme| (scheme, it))) {
        let key = match scheme.to_string().starts_with("ed25519") {
            true => SigningKey::from_seed(scheme.form, &[7; 32]),
            false => SigningKey::from_text(scheme, common::SECRET).unwrap(),
        };
        let text = key
            .public_key_base64()
            .unwrap_or_else(|| common::SECRET.to_owned());
        let mut verifying = VerifyingKey::from_text(scheme, &text).unwrap();
        if has_table {
            verifying.add_table();
        }
        let keys = KeySet::builder().add_key(verifying).unwrap();
        let keys = keys.build().unwrap();
        let body = common::signed(&key);
        let (mut parser, mut scratch) = (Parser::new(), Scratch::new());
        let (mut cache, params) = (SlopeCache::new(), Params::default());
        let mut out = Vec::with_capacity(1024);
        let mut walk = || {
            let record = parser.parse(&body).unwrap();
            authenticate(&record, &keys, &mut scratch).unwrap();
            check_identity(&record).unwrap();
            let outcome = judge(&record, &params, &mut cache);
            out.clear();
            write_outcome(ENCODING, &outcome, record.pcs_id, &mut out).unwrap();
        };
        walk();
        walk();
        let steady = allocation_counter::measure(|| (0..100).for_each(|_| walk()));
        assert_eq!(steady.count_total, 0, "{scheme}, table: {has_table}");
    }
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(Parser::new()));
    assert!(counted.count_total > 0);
}

/// One large body may cost memory while it is parsed, not for the rest of the process.
#[test]
fn room_of_a_large_body_is_given_back() {
    let mut large = common::with("version", "\"0.1\"");
    large.truncate(large.len() - 1);
    large.extend_from_slice(b",\"other\":[0");
    large.extend(b",0".repeat(500_000));
    large.extend_from_slice(b"]}");
    let small = common::json(&common::members());
    let mut parser = Parser::new();
    parser.parse(&small).unwrap();
    let kept = allocation_counter::measure(|| {
        parser.parse(&large).unwrap();
        parser.parse(&small).unwrap();
    });
    assert!(kept.bytes_max > 10_000_000, "{kept:?}");
    assert!(kept.bytes_current < 1_000_000, "{kept:?}");
}
