//! The crate against the golden vectors, byte for byte. They come from an independent program, so that an error here
//! would have to be made twice to go unseen. This file never computes an expectation.
#![allow(missing_docs, clippy::unwrap_used)] // helpers of tests may unwrap as tests do

use flk_testkit::hex::hex;
use std::{
    fs,
    path::{Path, PathBuf},
};

use flk_contract::{
    IdentityMismatch, KeySet, Malformed, MalformedCode, NumberForm, Params, Parser, PayloadBuf,
    Record, Scheme, Scratch, SigningKey, SlopeCache, authenticate,
    build::{BuildOptions, build, raw_rows, read_csv},
    canonical, check_identity,
    hash::sha256,
    judge, number,
    outcome::{ENCODING, write_outcome},
    parse::Field,
    sign,
    signals::{
        boxes::boxes, budget::budget, coherence::coherence, compressibility::compressibility,
        merkle::merkle_root, regime::regime, theil_sen::d_hat_naive,
    },
    signature::key_text_of_file,
};
use serde_json::Value;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden")
}

fn bytes_of(path: &str) -> Vec<u8> {
    fs::read(golden().join(path)).unwrap_or_else(|e| panic!("golden/{path}: {e}"))
}

fn vectors(name: &str) -> Value {
    serde_json::from_slice(&bytes_of(&format!("vectors/{name}.json"))).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn float(value: &Value) -> f64 {
    text(value).parse().unwrap()
}

/// What the vectors call the two number forms.
const FORMS: [(&str, NumberForm); 2] = [
    ("shortest", NumberForm::Repr),
    ("fixed9", NumberForm::Fixed9),
];

struct Keys(Value);

impl Keys {
    fn load() -> Self {
        Self(vectors("keys"))
    }

    fn named(&self, group: &str, name: &str) -> &Value {
        let found = list(&self.0[group]).iter().find(|key| key["name"] == name);
        found.unwrap_or_else(|| panic!("no {group} key {name}"))
    }

    fn verifying(&self, scheme: Scheme, name: &str) -> &str {
        match scheme.to_string().starts_with("ed25519") {
            true => text(&self.named("ed25519", name)["public_b64"]),
            false => text(&self.named("hmac", name)["text"]),
        }
    }

    fn set(&self, scheme: Scheme, names: &Value) -> KeySet {
        let none = KeySet::builder();
        let add = |set: flk_contract::signature::KeySetBuilder, name: &Value| {
            set.add(scheme, self.verifying(scheme, text(name))).unwrap()
        };
        list(names).iter().fold(none, add).build().unwrap()
    }

    fn signing(&self, scheme: Scheme) -> SigningKey {
        let key = match scheme.to_string().starts_with("ed25519") {
            true => text(&self.named("ed25519", "agent-a")["seed_b64"]),
            false => text(&self.named("hmac", "testsecret")["text"]),
        };
        SigningKey::from_text(scheme, key).unwrap()
    }
}

/// The public problem code of a body that is not a record.
fn problem_code(malformed: Malformed) -> &'static str {
    match malformed.code {
        MalformedCode::NotJson
        | MalformedCode::TooDeep
        | MalformedCode::TooManyMembers
        | MalformedCode::DuplicateKey
        | MalformedCode::NotAnObject => "malformed_json",
        MalformedCode::MissingField => "missing_field",
        MalformedCode::WrongType | MalformedCode::OutOfRange | MalformedCode::ScalesMismatch => {
            "invalid_field"
        }
        MalformedCode::UnsupportedVersion if malformed.field == Some(Field::Schema) => {
            "unsupported_schema"
        }
        MalformedCode::UnsupportedVersion => "unsupported_version",
    }
}

/// Status, problem code, reason and outcome, as a gateway would answer.
type Answer = (
    u16,
    Option<&'static str>,
    Option<&'static str>,
    Option<String>,
);

fn answer(body: &[u8], keys: &KeySet) -> Answer {
    let mut parser = Parser::new();
    let record = match parser.parse(body) {
        Ok(record) => record,
        Err(malformed) => return (400, Some(problem_code(malformed)), None, None),
    };
    if authenticate(&record, keys, &mut Scratch::new()).is_err() {
        return (401, Some("signature_invalid"), None, None);
    }
    match check_identity(&record) {
        Err(IdentityMismatch::MerkleRoot) => return (400, Some("invalid_field"), None, None),
        Err(IdentityMismatch::PcsId) => return (400, Some("pcs_id_mismatch"), None, None),
        Ok(id) => assert_eq!(record.pcs_id, hex(&id)),
    }
    let found = judge(&record, &Params::default(), &mut SlopeCache::new());
    let mut written = Vec::new();
    write_outcome(ENCODING, &found, record.pcs_id, &mut written).unwrap();
    let reason = found.escalated.map(|reason| reason.as_str());
    (
        found.status(),
        None,
        reason,
        Some(String::from_utf8(written).unwrap()),
    )
}

fn check_signed(entry: &Value, record: &Record<'_>, keys: &Keys) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = text(&entry["name"]);
    for (word, form) in FORMS {
        let mut payload = PayloadBuf::new();
        canonical::write_payload(record, form, &mut payload);
        let payload = String::from_utf8_lossy(payload.bytes()).into_owned();
        if payload != text(&entry["payload"][word]) {
            wrong.push(format!("{name}: {word} payload {payload}"));
        }
        let digest = canonical::digest(record, form, &mut PayloadBuf::new());
        if hex(&digest) != text(&entry["digest"][word]) {
            wrong.push(format!("{name}: {word} digest"));
        }
    }
    for (scheme, signature) in entry["signatures"].as_object().unwrap() {
        let key = keys.signing(scheme.parse().unwrap());
        if sign(&key, record) != text(signature) {
            wrong.push(format!("{name}: {scheme} signature"));
        }
    }
    wrong
}

fn assert_none(wrong: Vec<String>) {
    assert!(
        wrong.is_empty(),
        "{} disagree:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_body_gets_its_status_code_reason_and_outcome() {
    let (all, keys) = (vectors("records"), Keys::load());
    let mut wrong = Vec::new();
    for entry in list(&all["records"]) {
        let body = bytes_of(text(&entry["file"]));
        assert_eq!(
            hex(&sha256(&[&body])),
            text(&entry["body_sha256"]),
            "{}",
            entry["file"]
        );
        let set = keys.set(text(&entry["scheme"]).parse().unwrap(), &entry["keys"]);
        let got = answer(&body, &set);
        let want = (
            u16::try_from(entry["status"].as_u64().unwrap()).unwrap(),
            entry["code"].as_str(),
            entry["reason"].as_str(),
            entry["outcome"].as_str(),
        );
        if (got.0, got.1, got.2, got.3.as_deref()) != want {
            wrong.push(format!("{}: wanted {want:?}, got {got:?}", entry["name"]));
        }
    }
    assert!(list(&all["records"]).len() >= 60);
    assert_none(wrong);
}

#[test]
fn every_body_has_its_payload_digest_and_signatures() {
    let (all, keys) = (vectors("records"), Keys::load());
    let mut wrong = Vec::new();
    let mut compared = 0;
    for entry in list(&all["records"])
        .iter()
        .filter(|entry| entry["payload"].is_object())
    {
        let body = bytes_of(text(&entry["file"]));
        let mut parser = Parser::new();
        match parser.parse(&body) {
            Ok(record) => wrong.extend(check_signed(entry, &record, &keys)),
            Err(malformed) => wrong.push(format!("{}: {malformed}", entry["name"])),
        }
        compared += 1;
    }
    assert!(compared >= 60, "only {compared} records have a payload");
    assert_none(wrong);
}

#[test]
fn sequences_are_told_apart_by_the_default_digest() {
    let all = vectors("records");
    let digest_of = |file: &str| {
        let entry = list(&all["records"])
            .iter()
            .find(|entry| entry["file"] == file);
        text(&entry.unwrap()["digest"]["shortest"]).to_owned()
    };
    for sequence in list(&all["sequences"]) {
        let mut first = None;
        for step in list(&sequence["steps"])
            .iter()
            .filter(|step| step["dedup"].is_string())
        {
            let digest = digest_of(text(&step["file"]));
            let word = match &first {
                None => "miss",
                Some(held) if *held == digest => "hit",
                Some(_) => "conflict",
            };
            assert_eq!(
                word,
                text(&step["dedup"]),
                "{} {}",
                sequence["name"],
                step["file"]
            );
            first.get_or_insert(digest);
        }
    }
}

#[test]
fn every_double_has_its_three_texts() {
    let all = vectors("numbers");
    let mut wrong = Vec::new();
    for row in list(&all["numbers"]) {
        let value = f64::from_bits(u64::from_str_radix(text(&row["bits"]), 16).unwrap());
        let rounded = number::round9(value);
        let mut texts = [const { Vec::new() }; 3];
        number::write_repr(&mut texts[0], value);
        number::write_repr(&mut texts[1], rounded);
        canonical_fixed9(&mut texts[2], value);
        let texts = texts.map(|bytes| String::from_utf8(bytes).unwrap());
        let want = ["shortest", "round9", "fixed9"].map(|word| text(&row[word]));
        if texts.each_ref().map(String::as_str) != want {
            wrong.push(format!("{}: wanted {want:?}, got {texts:?}", row["bits"]));
        }
        if format!("{:016x}", rounded.to_bits()) != text(&row["round9_bits"]) {
            wrong.push(format!(
                "{}: rounded bits {:016x}",
                row["bits"],
                rounded.to_bits()
            ));
        }
    }
    assert!(list(&all["numbers"]).len() >= 300);
    assert_none(wrong);
}

/// The fixed form is that of the rounded double.
fn canonical_fixed9(out: &mut Vec<u8>, value: f64) {
    number::write_fixed9(out, number::round9(value));
}

#[test]
fn public_keys_follow_from_seeds_and_weak_ones_are_refused() {
    let keys = Keys::load();
    let scheme: Scheme = "ed25519".parse().unwrap();
    for key in list(&keys.0["ed25519"]) {
        let signing = SigningKey::from_text(scheme, text(&key["seed_b64"])).unwrap();
        assert_eq!(
            signing.public_key_base64().as_deref(),
            key["public_b64"].as_str()
        );
    }
    for key in list(&keys.0["ed25519_refused"]) {
        let added = KeySet::builder().add(scheme, text(&key["public_b64"]));
        assert!(
            added.is_err(),
            "{} was loaded: {}",
            key["public_b64"],
            key["why"]
        );
    }
}

#[test]
fn key_files_lose_one_trailing_newline_and_nothing_else() {
    let keys = Keys::load();
    for row in list(&keys.0["hmac_texts"])
        .iter()
        .filter(|row| row["source"] == "file")
    {
        let key = key_text_of_file(text(&row["text"]));
        assert_eq!(
            hex(key.as_bytes()),
            text(&row["keys_hex"][0]),
            "{}",
            row["text"]
        );
    }
}

#[test]
fn slopes_regimes_and_budgets_are_those_of_the_vectors() {
    let all = vectors("signals");
    let mut cache = SlopeCache::new();
    for row in list(&all["theil_sen"]) {
        let scales: Vec<u32> = list(&row["scales"]).iter().map(number_u32).collect();
        let counts: Vec<u64> = list(&row["N_j"])
            .iter()
            .map(|n| n.as_u64().unwrap())
            .collect();
        let want = float(&row["D_hat"]);
        assert_eq!(
            cache.d_hat(&scales, &counts).to_bits(),
            want.to_bits(),
            "{row}"
        );
        assert_eq!(
            d_hat_naive(&scales, &counts).to_bits(),
            want.to_bits(),
            "{row}"
        );
    }
    let params = Params::default();
    for row in list(&all["judgements"]) {
        let (d_hat, coh, r) = (
            float(&row["D_hat"]),
            float(&row["coh_star"]),
            float(&row["r"]),
        );
        assert_eq!(
            regime(d_hat, coh, &params).as_str(),
            text(&row["regime"]),
            "{row}"
        );
        assert_eq!(
            budget(d_hat, r, coh, &params).to_bits(),
            float(&row["budget"]).to_bits(),
            "{row}"
        );
    }
}

/// Each number of a stream beside the text that the vectors give it.
fn check_stream(stream: &Value) -> Vec<String> {
    let csv = String::from_utf8(bytes_of(text(&stream["file"]))).unwrap();
    let events = read_csv(&csv).unwrap();
    let points: Vec<[f64; 3]> = events.iter().map(|event| event.point).collect();
    let raw = raw_rows(&events);
    let (directions, bins) = (
        number_u32(&stream["directions"]),
        number_u32(&stream["bins"]),
    );
    let found = coherence(&points, stream["seed"].as_i64().unwrap(), directions, bins);
    let mut pairs = vec![
        (
            String::from_utf8_lossy(&raw).into_owned(),
            text(&stream["raw"]),
        ),
        (merkle_root(&raw), text(&stream["merkle_root"])),
        (repr(compressibility(&raw)), text(&stream["r"])),
        (repr(found.coh_star), text(&stream["coh_star"])),
    ];
    for (component, want) in found.v_star.iter().zip(list(&stream["v_star"])) {
        pairs.push((repr(*component), text(want)));
    }
    let mut wrong: Vec<String> = pairs
        .iter()
        .filter(|(got, want)| got != want)
        .map(|(got, want)| format!("{}: wanted {want}, got {got}", stream["name"]))
        .collect();
    for (scale, want) in stream["N_j"].as_object().unwrap() {
        let got = boxes(&points, scale.parse().unwrap());
        if Some(got) != want.as_u64() {
            wrong.push(format!(
                "{}: N_j[{scale}] wanted {want}, got {got}",
                stream["name"]
            ));
        }
    }
    wrong
}

fn repr(value: f64) -> String {
    let mut out = Vec::new();
    number::write_repr(&mut out, value);
    String::from_utf8(out).unwrap()
}

#[test]
fn event_streams_give_the_signals_of_the_vectors() {
    let all = vectors("signals");
    assert_none(
        list(&all["streams"])
            .iter()
            .flat_map(check_stream)
            .collect(),
    );
}

#[test]
fn event_streams_build_the_records_of_the_vectors() {
    let (all, keys) = (vectors("signals"), Keys::load());
    for stream in list(&all["streams"])
        .iter()
        .filter(|stream| stream["record_file"].is_string())
    {
        let body = bytes_of(text(&stream["record_file"]));
        let mut parser = Parser::new();
        let want = parser.parse(&body).unwrap();
        let csv = String::from_utf8(bytes_of(text(&stream["file"]))).unwrap();
        let options = BuildOptions {
            shard_id: want.shard_id.to_owned(),
            epoch: want.epoch,
            sent_at: want.sent_at.to_owned(),
            seed: want.seed,
            scales: want.scales.to_vec(),
            ..BuildOptions::default()
        };
        let mut built = build(&read_csv(&csv).unwrap(), &options).unwrap();
        built.sig = sign(&keys.signing(Scheme::default()), &built.view());
        assert_eq!(built.view(), want, "{}", stream["name"]);
    }
}

fn number_u32(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

#[test]
fn records_built_from_event_streams_are_accepted() {
    let (all, keys) = (vectors("signals"), Keys::load());
    let set = keys.set(Scheme::default(), &serde_json::json!(["testsecret"]));
    for stream in list(&all["streams"])
        .iter()
        .filter(|stream| stream["record_file"].is_string())
    {
        let got = answer(&bytes_of(text(&stream["record_file"])), &set);
        assert_eq!(
            (got.0, got.1, got.2),
            (200, None, None),
            "{}",
            stream["name"]
        );
    }
}

#[test]
fn bodies_of_the_http_conversations_get_the_answers_that_those_expect() {
    let keys = Keys::load();
    let set = keys.set(Scheme::default(), &serde_json::json!(["testsecret"]));
    for name in [
        "accepted_then_hit",
        "escalated_then_hit",
        "refusals_keep_the_connection",
    ] {
        let conversation: Value =
            serde_json::from_slice(&bytes_of(&format!("http/{name}.json"))).unwrap();
        for step in list(&conversation["steps"]) {
            let got = answer(&bytes_of(text(&step["send"][1]["file"])), &set);
            let want = &step["responses"][0];
            assert_eq!(u64::from(got.0), want["status"].as_u64().unwrap(), "{name}");
            assert_eq!(got.1, want["problem"]["code"].as_str(), "{name}");
            assert_eq!(got.3.as_deref(), want["body"].as_str(), "{name}");
        }
    }
}
