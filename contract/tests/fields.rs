//! The rule of every field, one refusal each, and the numbers as a correctly rounding reader has them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{json, members, with, without};
use flk_contract::{
    MalformedCode::{
        self, MissingField, NotAnObject, OutOfRange, ScalesMismatch, UnsupportedVersion, WrongType,
    },
    OwnedRecord, Parser,
    parse::Field,
    record::write_json,
};
use proptest::prelude::*;

/// `ok`, or the refusal's code and field.
fn verdict(body: &[u8]) -> (Option<MalformedCode>, Option<Field>) {
    match Parser::new().parse(body) {
        Ok(_) => (None, None),
        Err(malformed) => {
            assert!(malformed.to_string().len() > 10);
            (Some(malformed.code), malformed.field)
        }
    }
}

fn accepts(name: &str, values: &[&str]) {
    for value in values {
        assert_eq!(verdict(&with(name, value)), (None, None), "{name} {value}");
    }
}

fn refuses(name: &str, field: Field, code: MalformedCode, values: &[&str]) {
    for value in values {
        let found = verdict(&with(name, value));
        assert_eq!(found, (Some(code), Some(field)), "{name} {value}");
    }
}

#[test]
fn every_field_but_sig_is_required() {
    for (name, _) in members() {
        let expected = match name.as_str() {
            "sig" => None,
            _ => Some(MissingField),
        };
        assert_eq!(verdict(&without(&name)).0, expected, "{name}");
    }
    for name in ["outbox_seq", "degraded", "fallbacks", "clock_skew_ms"] {
        let whole = r#"{"outbox_seq":12,"degraded":false,"fallbacks":[],"clock_skew_ms":-3}"#;
        let renamed = whole.replace(name, "other");
        assert_eq!(
            verdict(&with("ft", &renamed)).0,
            Some(MissingField),
            "{name}"
        );
    }
}

#[test]
fn bodies_that_are_no_object_are_refused() {
    for body in ["[]", "1", "null", "\"{}\"", "[{}]"] {
        assert_eq!(
            verdict(body.as_bytes()),
            (Some(NotAnObject), None),
            "{body}"
        );
    }
    assert_eq!(verdict(b"{}").0, Some(MissingField));
}

#[test]
fn unknown_members_are_ignored() {
    let mut members = members();
    members.push(("other".into(), r#"{"D_hat":[1,{"sig":2}]}"#.into()));
    members.insert(0, ("Schema".into(), "7".into()));
    assert_eq!(verdict(&json(&members)), (None, None));
}

#[test]
fn schema_and_version() {
    refuses(
        "schema",
        Field::Schema,
        UnsupportedVersion,
        &["\"fractal\"", "\"\""],
    );
    refuses("schema", Field::Schema, WrongType, &["null", "1"]);
    accepts(
        "version",
        &[
            "\"0.1\"",
            "\"0.2\"",
            "\"0.10\"",
            "\"0.1.7\"",
            "\"0.99999999999999999999\"",
        ],
    );
    refuses(
        "version",
        Field::Version,
        UnsupportedVersion,
        &["\"1.0\"", "\"10.1\"", "\"2.0.0\""],
    );
    refuses(
        "version",
        Field::Version,
        OutOfRange,
        &[
            "\"\"",
            "\"0\"",
            "\"0.\"",
            "\"0.01\"",
            "\"00.1\"",
            "\"v0.1\"",
            "\"0.1.2.3\"",
            "\"0.1-a\"",
            "\" 0.1\"",
        ],
    );
    refuses("version", Field::Version, WrongType, &["0.1"]);
}

#[test]
fn texts() {
    accepts("pcs_id", &["\"\"", "\"anything\"", "\"\\u0000\""]);
    refuses("pcs_id", Field::PcsId, WrongType, &["null", "7"]);
    accepts("merkle_root", &["\"\"", "\"not hex\""]);
    refuses("merkle_root", Field::MerkleRoot, WrongType, &["null", "[]"]);
    let longest = format!("\"{}\"", "é".repeat(64));
    let too_long = format!("\"{}\"", "a".repeat(129));
    accepts("shard_id", &["\"a\"", "\"\\u00e9\\n\"", &longest]);
    refuses("shard_id", Field::ShardId, OutOfRange, &["\"\"", &too_long]);
    refuses(
        "sent_at",
        Field::SentAt,
        OutOfRange,
        &["\"yesterday\"", "\"2025-02-30T00:00:00Z\""],
    );
    refuses("sent_at", Field::SentAt, WrongType, &["1736937000"]);
    accepts("sig", &["null", "7", "\"\"", "\"?\"", "{}"]);
}

#[test]
fn integers() {
    accepts("epoch", &["0", "-0", "9007199254740991"]);
    refuses(
        "epoch",
        Field::Epoch,
        OutOfRange,
        &["-1", "9007199254740992", "18446744073709551615"],
    );
    refuses(
        "epoch",
        Field::Epoch,
        WrongType,
        &["1.0", "1e3", "\"1\"", "true", "18446744073709551616"],
    );
    accepts("attempt", &["1", "9007199254740991"]);
    refuses(
        "attempt",
        Field::Attempt,
        OutOfRange,
        &["0", "-1", "9007199254740992"],
    );
    accepts(
        "seed",
        &["0", "-9223372036854775808", "9223372036854775807"],
    );
    refuses("seed", Field::Seed, OutOfRange, &["9223372036854775808"]);
    refuses(
        "seed",
        Field::Seed,
        WrongType,
        &["-9223372036854775809", "0.0"],
    );
}

fn with_scales(scales: &str, n_j: &str) -> Vec<u8> {
    let mut members = members();
    for (name, value) in &mut members {
        match name.as_str() {
            "scales" => *value = scales.to_owned(),
            "N_j" => *value = n_j.to_owned(),
            _ => {}
        }
    }
    json(&members)
}

#[test]
fn scales_and_counts() {
    const BAD: MalformedCode = OutOfRange;
    refuses(
        "scales",
        Field::Scales,
        BAD,
        &["[]", "[2]", "[2,2]", "[0,2]", "[2,2147483648]", "[2,-4]"],
    );
    refuses(
        "scales",
        Field::Scales,
        WrongType,
        &["{}", "[2,4.0]", "[2,\"4\"]", "\"2,4\""],
    );
    refuses(
        "N_j",
        Field::NJ,
        WrongType,
        &["[]", r#"{"2":1,"4":1,"8":1,"16":1,"32":1.0}"#],
    );
    refuses(
        "N_j",
        Field::NJ,
        OutOfRange,
        &[
            r#"{"2":0,"4":1,"8":1,"16":1,"32":1}"#,
            r#"{"2":1,"4":1,"8":1,"16":1,"32":9007199254740992}"#,
        ],
    );
    refuses(
        "N_j",
        Field::NJ,
        ScalesMismatch,
        &[
            "{}",
            r#"{"2":1,"4":1,"8":1,"16":1}"#,
            r#"{"2":1,"4":1,"8":1,"16":1,"32":1,"64":1}"#,
            r#"{"2":1,"4":1,"8":1,"16":1,"032":1}"#,
            r#"{"2":1,"4":1,"8":1,"16":1,"+32":1}"#,
            r#"{"2":1,"4":1,"8":1,"16":1," 32":1}"#,
            r#"{"2":1,"4":1,"8":1,"16":1,"3e1":1}"#,
            r#"{"2":1,"4":1,"8":1,"16":1,"4294967328":1}"#,
        ],
    );
    let listed = |count: usize| {
        let scales: Vec<String> = (1..=count).map(|s| s.to_string()).collect();
        let n_j: Vec<String> = (1..=count)
            .rev()
            .map(|s| format!("\"{s}\":{}", s * 10))
            .collect();
        with_scales(
            &format!("[{}]", scales.join(",")),
            &format!("{{{}}}", n_j.join(",")),
        )
    };
    let mut parser = Parser::new();
    let body = listed(64);
    let record = parser.parse(&body).unwrap();
    assert_eq!((record.scales[63], record.n_j[63]), (64, 640));
    assert_eq!(
        verdict(&listed(65)),
        (Some(OutOfRange), Some(Field::Scales))
    );
}

#[test]
fn numbers() {
    accepts(
        "coh_star",
        &["-1", "7.5", "1e308", "123456789012345678901234567890"],
    );
    for (name, field) in [
        ("coh_star", Field::CohStar),
        ("D_hat", Field::DHat),
        ("r", Field::R),
        ("budget", Field::Budget),
    ] {
        refuses(name, field, WrongType, &["null", "\"1\"", "true", "[1]"]);
    }
    let list = |count: usize| format!("[{}]", vec!["0.5"; count].join(","));
    accepts("v_star", &["[1]", &list(4096)]);
    refuses("v_star", Field::VStar, OutOfRange, &["[]", &list(4097)]);
    refuses(
        "v_star",
        Field::VStar,
        WrongType,
        &["0.5", "[null]", "[[0.5]]"],
    );
}

#[test]
fn regime_and_ft() {
    accepts("regime", &["\"sticky\"", "\"mixed\"", "\"non_sticky\""]);
    refuses("regime", Field::Regime, OutOfRange, &["\"Sticky\"", "\"\""]);
    refuses("ft", Field::Ft, WrongType, &["null", "[]", "\"\""]);
    let ft = |seq: &str, degraded: &str, fallbacks: &str, skew: &str| {
        format!(
            r#"{{"outbox_seq":{seq},"degraded":{degraded},"fallbacks":{fallbacks},"clock_skew_ms":{skew}}}"#
        )
    };
    accepts(
        "ft",
        &[&ft("-1", "true", r#"["a","","é"]"#, "-9223372036854775808")],
    );
    refuses(
        "ft",
        Field::OutboxSeq,
        WrongType,
        &[&ft("1.5", "true", "[]", "0")],
    );
    refuses(
        "ft",
        Field::Degraded,
        WrongType,
        &[&ft("1", "0", "[]", "0")],
    );
    refuses(
        "ft",
        Field::Fallbacks,
        WrongType,
        &[&ft("1", "true", "{}", "0"), &ft("1", "true", "[1]", "0")],
    );
    refuses(
        "ft",
        Field::ClockSkewMs,
        WrongType,
        &[&ft("1", "true", "[]", "null")],
    );
}

#[test]
fn fallbacks_come_out_one_by_one() {
    let ft = r#"{"outbox_seq":1,"degraded":true,"fallbacks":["a","","\u00e9x"],"clock_skew_ms":0}"#;
    let body = with("ft", ft);
    let mut parser = Parser::new();
    let record = parser.parse(&body).unwrap();
    let texts: Vec<&str> = record.ft.fallbacks.iter().collect();
    assert_eq!(texts, ["a", "", "éx"]);
}

#[test]
fn a_negative_zero_keeps_its_sign_however_it_is_written() {
    for text in ["-0", "-0.0", "-0e5", "-0.000e-9"] {
        let owned = common::parsed(&with("r", text));
        assert_eq!(owned.r.to_bits(), (-0.0f64).to_bits(), "{text}");
    }
    for text in ["0", "0.0", "0e5", "0.0E-0"] {
        let owned = common::parsed(&with("r", text));
        assert_eq!(owned.r.to_bits(), 0.0f64.to_bits(), "{text}");
    }
}

/// Number texts of every shape, long ones and borderline ones among them.
fn number_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,24})",
        "-?(0|[1-9][0-9]{0,22})\\.[0-9]{1,40}",
        "-?(0|[1-9][0-9]{0,10})(\\.[0-9]{1,24})?[eE][-+]?[0-2]?[0-9]{1,2}",
        any::<u64>().prop_filter_map("finite", |bits| {
            let v = f64::from_bits(bits);
            v.is_finite().then(|| format!("{v:?}"))
        }),
        // exactly between two doubles: an odd multiple of half their distance, written out in full
        (1u64 << 52..1 << 53, 1u32..32, any::<bool>()).prop_map(|(mantissa, halvings, above)| {
            let digits = (2 * u128::from(mantissa) + 1) * 5u128.pow(halvings);
            let digits = format!("{digits:0>40}");
            let (whole, fraction) = digits.split_at(40 - halvings as usize);
            let whole = whole.trim_start_matches('0');
            let whole = if whole.is_empty() { "0" } else { whole };
            let tail = if above { "00000000000000000001" } else { "" };
            format!("{whole}.{fraction}{tail}")
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn numbers_are_rounded_to_the_nearest_double(text in number_text()) {
        let expected: f64 = text.parse().unwrap();
        let body = with("r", &text);
        let mut parser = Parser::new();
        match parser.parse(&body) {
            Ok(record) => prop_assert_eq!(record.r.to_bits(), expected.to_bits(), "{}", text),
            Err(_) => prop_assert!(expected.is_infinite(), "{}", text),
        }
    }

    #[test]
    fn a_record_reads_back_from_its_own_json(
        (epoch, attempt, seed) in (0u64..1 << 53, 1u64..1 << 53, any::<i64>()),
        shard_id in "\\PC{1,40}",
        numbers in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 4..8),
        counts in prop::collection::btree_map(1u32..1 << 31, 1u64..1 << 53, 2..64),
        fallbacks in prop::collection::vec(any::<String>(), 0..4),
        (degraded, skew) in (any::<bool>(), any::<i64>()),
    ) {
        prop_assume!(shard_id.len() <= 128);
        let mut owned = common::parsed(&json(&members()));
        (owned.epoch, owned.attempt, owned.seed, owned.shard_id) = (epoch, attempt, seed, shard_id);
        (owned.d_hat, owned.r, owned.budget, owned.coh_star) = (numbers[0], numbers[1], numbers[2], numbers[3]);
        owned.v_star = numbers;
        owned.scales = counts.keys().copied().collect();
        owned.n_j = counts.values().copied().collect();
        owned.set_fallbacks(fallbacks.iter().map(String::as_str));
        (owned.degraded, owned.clock_skew_ms) = (degraded, skew);

        let mut body = Vec::new();
        write_json(&owned.view(), &mut body);
        let mut parser = Parser::new();
        let back = OwnedRecord::from(&parser.parse(&body).unwrap());
        prop_assert_eq!(&back, &owned);

        // and a second reader finds the same members
        let other: serde_json::Value = serde_json::from_slice(&body).unwrap();
        prop_assert_eq!(other["shard_id"].as_str(), Some(owned.shard_id.as_str()));
        prop_assert_eq!(other["epoch"].as_u64(), Some(epoch));
        prop_assert_eq!(other["seed"].as_i64(), Some(seed));
        prop_assert_eq!(other["N_j"].as_object().unwrap().len(), owned.n_j.len());
        for (scale, n) in owned.scales.iter().zip(&owned.n_j) {
            prop_assert_eq!(other["N_j"][scale.to_string()].as_u64(), Some(*n));
        }
    }

    #[test]
    fn damaged_records_never_panic_and_what_is_read_obeys_the_rules(at in 0usize..700, bytes in prop::collection::vec(any::<u8>(), 1..4)) {
        let mut body = json(&members());
        let at = at % body.len();
        for (slot, byte) in body[at..].iter_mut().zip(bytes) {
            *slot = byte;
        }
        let mut parser = Parser::new();
        if let Ok(record) = parser.parse(&body) {
            prop_assert!((1..=128).contains(&record.shard_id.len()));
            prop_assert!(record.epoch < 1 << 53 && record.attempt >= 1);
            prop_assert_eq!(record.scales.len(), record.n_j.len());
            prop_assert!(record.n_j.iter().all(|n| *n >= 1));
            prop_assert!(record.d_hat.is_finite() && record.budget.is_finite());
        }
    }
}
