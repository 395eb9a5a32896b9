//! All golden records and sequences, under every scheme and key that they name: status, code and exact outcome bytes, now,
//! as duplicates, after `kill -9`, and with another number of shards.

use flk_e2e::log::{Disposition, Kept};
use flk_e2e::setting::Setting;
use flk_testkit::client::Response;
use flk_testkit::gateway::Gateway;
use flk_testkit::golden::{bytes, vectors};
use flk_testkit::plan::Plan;
use serde_json::Value;
use std::collections::BTreeMap;

on_every_host!(
    every_record_is_answered_as_written_and_stays_so_after_a_crash,
    every_record_is_answered_alike_under_every_scheme,
    every_sequence_goes_as_written,
);

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// A gateway with these keys of the vectors.
fn plan(setting: Setting, directory: &std::path::Path, scheme: &str, keys: &[&str]) -> Plan {
    let known = vectors("keys");
    let ed25519 = scheme.starts_with("ed25519");
    let (group, member) = if ed25519 {
        ("ed25519", "public_b64")
    } else {
        ("hmac", "text")
    };
    let texts: Vec<&str> = keys
        .iter()
        .map(|key| {
            let found = list(&known[group])
                .iter()
                .find(|known| known["name"] == **key);
            text(&found.unwrap_or_else(|| panic!("no key {key}"))[member])
        })
        .collect();
    let variable = match (ed25519, texts.len()) {
        (true, _) => "PCS_ED25519_PUB_B64",
        (false, 1) => "PCS_HMAC_KEY",
        (false, _) => "PCS_HMAC_KEYS",
    };
    setting
        .plan(directory)
        .without("PCS_HMAC_KEY")
        .with("PCS_SIGN_ALG", scheme)
        .with(variable, &texts.join(","))
}

/// The name of a record, its body, and what must come back.
struct Case {
    name: String,
    body: Vec<u8>,
    status: u16,
    code: Option<String>,
    outcome: Option<String>,
}

fn case(row: &Value) -> Case {
    Case {
        name: row["file"].to_string(),
        body: bytes(text(&row["file"])),
        status: row["status"].as_u64().unwrap() as u16,
        code: row["code"].as_str().map(str::to_owned),
        outcome: row["outcome"].as_str().map(str::to_owned),
    }
}

fn check(case: &Case, answer: &Response, dedup: &str) {
    let name = &case.name;
    assert_eq!(answer.status, case.status, "{name}: {answer:?}");
    match (&case.outcome, &case.code) {
        (Some(outcome), _) => {
            assert_eq!(answer.text(), outcome, "{name}");
            assert_eq!(
                answer.header("Content-Type"),
                Some("application/json"),
                "{name}"
            );
            assert_eq!(answer.dedup(), Some(dedup), "{name}");
        }
        (None, Some(code)) => assert_eq!(&answer.problem_code(), code, "{name}"),
        (None, None) => panic!("{name} says nothing"),
    }
}

/// Posts all, in order, on one connection where the gateway keeps it.
fn post_all(gateway: &Gateway, cases: &[Case], dedup: &str) {
    let mut connection = gateway.connect();
    for case in cases {
        let answer = connection
            .post(&case.body)
            .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        check(case, &answer, dedup);
        if answer.header("Connection") == Some("close") {
            connection = gateway.connect();
        }
    }
}

fn every_record_is_answered_as_written_and_stays_so_after_a_crash(setting: Setting) {
    let all = vectors("records");
    let mut groups: BTreeMap<(String, Vec<&str>), Vec<Case>> = BTreeMap::new();
    for row in list(&all["records"]) {
        // Records that share an id are told apart by their order: the sequences have them.
        if text(&row["name"]).starts_with("same_id_") {
            continue;
        }
        let keys = list(&row["keys"]).iter().map(text).collect();
        let group = (text(&row["scheme"]).to_owned(), keys);
        groups.entry(group).or_default().push(case(row));
    }
    assert!(groups.len() >= 15, "each scheme and key has records");
    for ((scheme, keys), cases) in &groups {
        let directory = setting.directory();
        let plan = plan(setting, directory.path(), scheme, keys);
        let gateway = plan.start();
        post_all(&gateway, cases, "miss");
        post_all(&gateway, cases, "hit");
        gateway.kill();
        let gateway = plan.clone().with("FLK_CORES", "1").start();
        post_all(&gateway, cases, "hit");
        let ended = gateway.stop();
        assert_eq!(ended.code(), 0, "{ended}");
        let gateway = plan.start();
        post_all(&gateway, cases, "hit");
        let ended = gateway.stop();
        assert_eq!(ended.code(), 0, "{ended}");
        check_dispositions(&Kept::read(directory.path()), cases);
    }
}

/// Every body is kept as often as it was posted; one of them has the decision, or all have their refusal.
fn check_dispositions(kept: &Kept, cases: &[Case]) {
    const POSTED_COUNT: usize = 4;
    for case in cases {
        let dispositions = kept.dispositions_of(&case.body);
        let name = &case.name;
        match &case.code {
            Some(code) => {
                let refused = |disposition: &Disposition| matches!(disposition, Disposition::Refused { status, code: kept } if *status == case.status && kept == code);
                assert!(dispositions.iter().all(refused), "{name}: {dispositions:?}");
                assert!(
                    dispositions.len() >= POSTED_COUNT,
                    "{name}: {dispositions:?}"
                );
            }
            None => {
                let decided = |disposition: &&Disposition| matches!(disposition, Disposition::Decided { accepted, .. } if *accepted == (case.status == 200));
                assert_eq!(
                    dispositions.iter().filter(decided).count(),
                    1,
                    "{name}: {dispositions:?}"
                );
                let others = dispositions
                    .iter()
                    .filter(|disposition| !decided(disposition));
                let known = |disposition: &Disposition| {
                    matches!(
                        disposition,
                        Disposition::Duplicate | Disposition::Unanswered
                    )
                };
                assert!(others.into_iter().all(known), "{name}: {dispositions:?}");
            }
        }
    }
}

fn every_record_is_answered_alike_under_every_scheme(setting: Setting) {
    let all = vectors("records");
    let schemes: Vec<String> = list(&all["records"])[0]["signatures"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(schemes.len(), 6);
    for scheme in &schemes {
        let directory = setting.directory();
        let key = if scheme.starts_with("ed25519") {
            "agent-a"
        } else {
            "testsecret"
        };
        let gateway = plan(setting, directory.path(), scheme, &[key]).start();
        let cases: Vec<Case> = list(&all["records"])
            .iter()
            .filter(|row| row["outcome"].is_string() && !text(&row["name"]).starts_with("same_id_"))
            .filter_map(|row| signed_otherwise(row, text(&row["signatures"][scheme])))
            .collect();
        assert!(cases.len() >= 100, "{scheme}: only {} records", cases.len());
        post_all(&gateway, &cases, "miss");
        post_all(&gateway, &cases, "hit");
    }
}

/// The case of a record under another signature; none where the signature is not written plainly.
fn signed_otherwise(row: &Value, signature: &str) -> Option<Case> {
    let mut case = case(row);
    let body = String::from_utf8(case.body).ok()?;
    let own: Value = serde_json::from_str(&body).ok()?;
    let own = own["sig"].as_str()?;
    let written = (!own.is_empty() && body.matches(own).count() == 1).then_some(own)?;
    case.body = body.replace(written, signature).into_bytes();
    Some(case)
}

fn every_sequence_goes_as_written(setting: Setting) {
    for sequence in list(&vectors("records")["sequences"]) {
        let directory = setting.directory();
        let gateway = setting.plan(directory.path()).start();
        for step in list(&sequence["steps"]) {
            let case = case(step);
            let answer = gateway.post(&case.body);
            check(&case, &answer, step["dedup"].as_str().unwrap_or_default());
        }
    }
}
