//! Building, signing and verifying records as a user does, against the golden vectors.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Ran, flk, golden, golden_bytes, golden_json, run, run_with_key};
use serde_json::Value;
use std::collections::BTreeSet;

const KEY: &str = "testsecret";

/// Builds the stream of a golden vector.
fn build(stream: &Value) -> Ran {
    let list: Vec<String> = stream["scales"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let mut command = flk(dir.path());
    command
        .args(["pcs", "build", "--epoch", "1736937000"])
        .args(["--sent-at", "2026-01-15T10:30:00Z"])
        .args([
            "--shard-id",
            &format!("events/{}", stream["name"].as_str().unwrap()),
        ])
        .args(["--seed", &stream["seed"].to_string()])
        .args(["--scales", &list.join(",")])
        .args(["--m", &stream["directions"].to_string()])
        .args(["--b", &stream["bins"].to_string()])
        .arg(golden(stream["file"].as_str().unwrap()));
    run(&mut command, b"")
}

#[test]
fn built_and_signed_records_are_the_golden_ones() {
    let vectors = golden_json("vectors/signals.json");
    let mut built = 0;
    for stream in vectors["streams"].as_array().unwrap() {
        let Some(file) = stream["record_file"].as_str() else {
            let refused = build(stream);
            assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
            assert!(refused.stderr.contains("no events"), "{}", refused.stderr);
            continue;
        };
        let record = build(stream);
        assert_eq!(record.code, 0, "{}", record.stderr);
        let signed = run_with_key(KEY, &["pcs", "sign"], record.stdout.as_bytes());
        assert_eq!(signed.code, 0, "{}", signed.stderr);
        assert_eq!(signed.json(), [golden_json(file)], "{file}");
        let verified = run_with_key(KEY, &["pcs", "verify"], signed.stdout.as_bytes());
        assert_eq!(verified.code, 0, "{}", verified.stdout);
        built += 1;
    }
    assert!(built >= 10);
}

/// A host's zlib may be another one, with other lengths, and so another r, budget and signature.
#[test]
fn stock_zlib_is_part_of_the_program_and_the_hosts_is_not_loaded() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_flk")).unwrap();
    let holds = |text: &str| program.windows(text.len()).any(|it| it == text.as_bytes());
    // zlib compares its own version with its caller's
    assert!(holds("\x001.3.2\0"));
    // the name by which a program asks the loader for a zlib
    assert!(!holds("libz.so") && !holds("libz-ng.so"));
}

/// r alone, so that a wrong zlib is named as such.
#[test]
fn r_of_every_golden_stream_is_that_of_the_vectors() {
    let vectors = golden_json("vectors/signals.json");
    let mut compared = 0;
    for stream in vectors["streams"].as_array().unwrap() {
        if stream["record_file"].is_null() {
            continue;
        }
        let built = build(stream);
        let r = built.json()[0]["r"].to_string();
        assert_eq!(r, stream["r"].as_str().unwrap(), "{}", stream["name"]);
        compared += 1;
    }
    assert!(compared >= 10);
}

#[test]
fn building_the_same_events_again_gives_the_same_identity() {
    let dir = tempfile::tempdir().unwrap();
    let build = || {
        let sample = golden("events/sample.csv");
        let built = run(flk(dir.path()).args(["pcs", "build"]).arg(sample), b"");
        built.json()[0].clone()
    };
    let (first, again) = (build(), build());
    assert_eq!(first["pcs_id"], again["pcs_id"]);
    assert_eq!(first["epoch"], 1736937000);
    assert_eq!(first["sig"], "");
}

#[test]
fn a_bad_line_of_events_is_named() {
    let ran = run_with_key(KEY, &["pcs", "build"], b"t,x,y,z\n1,2,3,4\n1,2,three,4\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("line 3"), "{}", ran.stderr);
}

/// Every body of the vectors, as one conversation with the judge: status, code or reason, and key all agree.
#[test]
fn verify_says_of_every_golden_body_what_a_gateway_would_answer() {
    let keys = golden_json("vectors/keys.json");
    let text_of = |family: &str, name: &str, member: &str| {
        let all = keys[family].as_array().unwrap();
        let key = all.iter().find(|key| key["name"] == name);
        key.map(|key| key[member].as_str().unwrap().to_owned())
    };
    let vectors = golden_json("vectors/records.json");
    let mut judged = 0;
    let mut seen = BTreeSet::new();
    for vector in vectors["records"].as_array().unwrap() {
        let scheme = vector["scheme"].as_str().unwrap();
        let names: Vec<&str> = vector["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap())
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let mut command = flk(dir.path());
        command
            .args(["pcs", "verify", "--json"])
            .env("PCS_SIGN_ALG", scheme);
        match scheme.starts_with("ed25519") {
            true => {
                let texts = names
                    .iter()
                    .map(|name| text_of("ed25519", name, "public_b64").unwrap());
                command.env("PCS_ED25519_PUB_B64", texts.collect::<Vec<_>>().join(","));
            }
            false => {
                let texts = names
                    .iter()
                    .map(|name| text_of("hmac", name, "text").unwrap());
                command.env("PCS_HMAC_KEYS", texts.collect::<Vec<_>>().join(","));
            }
        }
        let body = golden_bytes(vector["file"].as_str().unwrap());
        // what is not one object is not one record to a tool that reads many
        if !body.trim_ascii().starts_with(b"{")
            || body.iter().filter(|it| **it == b'\n').count() > 40
        {
            continue;
        }
        let ran = run(&mut command, &body);
        let name = &vector["name"];
        let answers = ran.json();
        if answers.len() != 1 {
            assert_eq!(vector["code"], "malformed_json", "{name}");
            continue;
        }
        let answer = &answers[0];
        assert_eq!(answer["status"], vector["status"], "{name}: {answer}");
        assert_eq!(answer["code"], vector["code"], "{name}");
        assert_eq!(answer["reason"], vector["reason"], "{name}");
        assert_eq!(ran.code, i32::from(vector["status"] != 200), "{name}");
        if let Some(text) = vector["outcome"].as_str() {
            let outcome: Value = serde_json::from_str(text).unwrap();
            assert_eq!(answer["recomputed"]["D_hat"], outcome["recomputed_D_hat"]);
            assert_eq!(answer["recomputed"]["budget"], outcome["recomputed_budget"]);
            assert_eq!(answer["signed_by"]["scheme"], scheme, "{name}");
        }
        seen.insert(answer["code"].to_string() + &answer["reason"].to_string());
        judged += 1;
    }
    assert!(judged > 200, "{judged}");
    assert!(seen.len() >= 12, "{seen:?}");
}

#[test]
fn every_scheme_signs_as_the_golden_vectors_say() {
    let keys = golden_json("vectors/keys.json");
    let ed25519 = keys["ed25519"].as_array().unwrap();
    let agent = ed25519.iter().find(|key| key["name"] == "agent-a").unwrap();
    let vectors = golden_json("vectors/records.json");
    let vector = &vectors["records"][0];
    let body = golden_bytes(vector["file"].as_str().unwrap());
    for (scheme, expect) in vector["signatures"].as_object().unwrap() {
        let dir = tempfile::tempdir().unwrap();
        let signer = |args: &[&str]| {
            let mut command = flk(dir.path());
            command
                .args(args)
                .env("PCS_SIGN_ALG", scheme)
                .env("PCS_HMAC_KEY", KEY);
            command.env("PCS_ED25519_PRIV_B64", agent["seed_b64"].as_str().unwrap());
            command
        };
        let signed = run(&mut signer(&["pcs", "sign"]), &body);
        assert_eq!(signed.code, 0, "{}", signed.stderr);
        assert_eq!(&signed.json()[0]["sig"], expect, "{scheme}");
        // whoever signs can verify
        let verified = run(&mut signer(&["pcs", "verify"]), signed.stdout.as_bytes());
        assert_eq!(verified.code, 0, "{}", verified.stdout);
    }
}

#[test]
fn signing_many_leaves_out_the_broken_ones_and_keeps_unknown_members() {
    let good = golden_bytes("records/pcs_tiny_case_1.json");
    let mut with_extra = good.trim_ascii().to_vec();
    with_extra.pop();
    with_extra.extend_from_slice(b",\"x_extra\":1.50}");
    let input = [&with_extra[..], b"\n{\"broken\":\n", &good[..], b"\n"].concat();
    let ran = run_with_key(KEY, &["pcs", "sign"], &input);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.stdout.lines().count(), 2);
    assert!(ran.stdout.contains("\"x_extra\":1.50"));
    assert!(ran.stderr.contains("not signed"), "{}", ran.stderr);
    assert_eq!(ran.json()[0]["sig"], ran.json()[1]["sig"]);
}

/// One edit per rule; the text says which rule it was and shows both numbers.
#[test]
fn verify_explains_each_verdict_in_words() {
    let record = || golden_json("events/sample.pcs.json");
    let verify = |edit: &dyn Fn(&mut Value)| {
        let mut edited = record();
        edit(&mut edited);
        let signed = run_with_key(KEY, &["pcs", "sign"], edited.to_string().as_bytes());
        run_with_key(KEY, &["pcs", "verify"], signed.stdout.as_bytes())
    };
    for (edit, status, text) in [
        (
            (&|_: &mut Value| {}) as &dyn Fn(&mut Value),
            0,
            "accepted (200)",
        ),
        (&|it| it["D_hat"] = 1.2.into(), 1, "d_hat_out_of_tolerance"),
        (
            &|it| it["coh_star"] = 1.2.into(),
            1,
            "coh_star_out_of_bounds",
        ),
        (&|it| it["regime"] = "sticky".into(), 1, "regime_mismatch"),
        (&|it| it["budget"] = 0.5.into(), 1, "budget_deviation"),
        (&|it| it["ft"]["degraded"] = true.into(), 1, "202, degraded"),
        (&|it| it["epoch"] = 7.into(), 1, "pcs_id_mismatch"),
    ] {
        let ran = verify(edit);
        assert_eq!(ran.code, status, "{}", ran.stdout);
        assert!(ran.stdout.contains(text), "{text}: {}", ran.stdout);
        assert!(ran.stdout.contains("0.943416472"), "{}", ran.stdout);
    }
    let forged = run_with_key("other", &["pcs", "verify"], record().to_string().as_bytes());
    assert!(
        forged.stdout.contains("401, signature_invalid"),
        "{}",
        forged.stdout
    );
    assert!(forged.stdout.contains("another key"), "{}", forged.stdout);
    let dir = tempfile::tempdir().unwrap();
    let mut other_scheme = flk(dir.path());
    other_scheme
        .args(["pcs", "verify", "--alg", "hmac-sha256-payload"])
        .env("PCS_HMAC_KEY", KEY);
    let ran = run(&mut other_scheme, record().to_string().as_bytes());
    assert!(
        ran.stdout.contains("signed as `hmac-sha256`"),
        "{}",
        ran.stdout
    );
    let broken = run_with_key(KEY, &["pcs", "verify"], b"{\"a\":1}");
    assert!(broken.stdout.contains("missing"), "{}", broken.stdout);
}

#[test]
fn the_development_key_is_used_and_said_where_nothing_is_configured() {
    let dir = tempfile::tempdir().unwrap();
    let body = golden_bytes("records/pcs_tiny_case_1.json");
    let none = run(flk(dir.path()).args(["pcs", "sign"]), &body);
    assert_eq!((none.code, none.stdout.as_str()), (2, ""));
    assert!(none.stderr.contains("PCS_HMAC_KEY"), "{}", none.stderr);
    assert!(none.stderr.contains("flk up"), "{}", none.stderr);

    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::fs::write(dir.path().join("data/dev.key"), "testsecret\n").unwrap();
    let signed = run(flk(dir.path()).args(["pcs", "sign"]), &body);
    assert_eq!(signed.code, 0);
    assert!(
        signed.stderr.contains("development key"),
        "{}",
        signed.stderr
    );
    let vectors = golden_json("vectors/records.json");
    let expect = &vectors["records"][0]["signatures"]["hmac-sha256"];
    assert_eq!(&signed.json()[0]["sig"], expect);
    let verified = run(flk(dir.path()).args(["pcs", "verify"]), &body);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
}

#[test]
fn no_key_text_is_ever_shown() {
    let body = golden_bytes("records/pcs_tiny_case_1.json");
    let secret = "do-not-show-me";
    for (name, algorithm) in [
        ("PCS_HMAC_KEY", "hmac"),
        ("PCS_HMAC_KEYS", "hmac"),
        ("PCS_ED25519_PRIV_B64", "ed25519"),
        ("PCS_ED25519_PUB_B64", "ed25519"),
    ] {
        for verb in ["sign", "verify"] {
            let dir = tempfile::tempdir().unwrap();
            let mut command = flk(dir.path());
            command
                .args(["pcs", verb])
                .env(name, secret)
                .env("PCS_SIGN_ALG", algorithm);
            let ran = run(&mut command, &body);
            assert!(
                !(ran.stdout + &ran.stderr).contains(secret),
                "{name} {verb}"
            );
        }
    }
}

#[test]
fn a_wrong_setting_names_itself_and_what_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = flk(dir.path());
    command
        .args(["pcs", "sign"])
        .env("PCS_SIGN_ALG", "md5")
        .env("PCS_HMAC_KEY", KEY);
    let ran = run(&mut command, b"{}");
    assert_eq!(ran.code, 2);
    for text in ["PCS_SIGN_ALG", "`md5`", "hmac-sha256", "ed25519"] {
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
    }
    let missing = run(flk(dir.path()).args(["pcs", "build", "absent.csv"]), b"");
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("absent.csv"), "{}", missing.stderr);
}

#[test]
fn a_key_is_taken_from_the_entry_of_an_encrypted_document_as_the_gateway_takes_it() {
    // What the documents of the real SOPS hold for acme.
    const IN_SOPS: &str = "fixture-key-of-acme-0123456789abcdef";
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("sops/keys.env", "keys.env"),
        ("first.identity", "identity"),
    ] {
        let from = golden("../dataplane/tests/sealed").join(from);
        std::fs::copy(from, dir.path().join(to)).unwrap();
    }
    let built = run(
        flk(dir.path())
            .args(["pcs", "build"])
            .arg(golden("events/sample.csv")),
        b"",
    );
    let of_document = |arguments: &[&str], entry: &str, input: &str| {
        let mut command = flk(dir.path());
        command
            .args(arguments)
            .env("SOPS_AGE_KEY_FILE", "identity")
            .env("PCS_HMAC_KEY_FILE", format!("keys.env#{entry}"));
        run(&mut command, input.as_bytes())
    };
    let signed = of_document(&["pcs", "sign"], "ACME_KEY", &built.stdout);
    assert_eq!(signed.code, 0, "{}", signed.stderr);
    let by_text = run_with_key(IN_SOPS, &["pcs", "sign"], built.stdout.as_bytes());
    assert_eq!(signed.stdout, by_text.stdout);
    let verified = of_document(&["pcs", "verify"], "ACME_KEY", &signed.stdout);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    let none = of_document(&["pcs", "sign"], "NO_SUCH_KEY", &built.stdout);
    assert_eq!((none.code, none.stdout.as_str()), (2, ""));
    assert!(
        none.stderr.contains("cannot read the key file keys.env"),
        "{}",
        none.stderr
    );
}
