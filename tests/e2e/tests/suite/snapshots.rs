//! Configuration snapshots over `control.sock`: published, refused, and in force again after a kill.

use flk_dataplane::snapshot::{Document, KeyDocument, LimitsDocument, Source, TenantDocument};
use flk_e2e::setting::Setting;
use flk_testkit::gateway::{Gateway, ask_agent};
use flk_testkit::golden::bytes;
use flk_testkit::plan::Plan;
use flk_testkit::records::{record, with_epoch};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

on_every_host!(
    a_published_snapshot_judges_from_the_next_record_on_and_after_a_kill,
    a_refused_snapshot_changes_nothing,
    tenants_have_keys_and_ids_of_their_own,
    a_key_that_ends_is_refused_from_that_second_on,
);

/// One question to the gateway of this directory, and its answer.
fn ask(directory: &Path, question: &Value) -> Value {
    let socket = std::fs::metadata(directory.join("control.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    ask_agent(directory, question)
}

/// A gateway that may read keys of this directory: one beside its configuration file.
fn plan(setting: Setting, directory: &Path, keys: &Path) -> Plan {
    let file = keys.join("flk.toml");
    std::fs::write(&file, "").unwrap();
    let plan = setting.plan(directory);
    plan.with("FLK_CONFIG", file.to_str().unwrap())
}

fn document(directory: &Path, number: u32) -> Document {
    let answer = ask(
        directory,
        &json!({"v": 1, "ask": "document", "number": number}),
    );
    serde_json::from_value(answer["document"].clone()).unwrap()
}

fn publish(directory: &Path, document: &Document) -> Value {
    let digest = document.digest().to_string();
    ask(
        directory,
        &json!({"v": 1, "ask": "publish", "digest": digest, "document": document}),
    )
}

fn status(directory: &Path) -> Value {
    ask(directory, &json!({"v": 1, "ask": "status"}))["status"].clone()
}

/// A key whose text is in a file of this directory.
fn key(directory: &Path, id: &str, text: &str) -> KeyDocument {
    use flk_contract::signature::VerifyingKey;
    let path = directory.join(format!("{id}.key"));
    std::fs::write(&path, text).unwrap();
    let scheme = flk_contract::Scheme::default();
    KeyDocument {
        id: id.to_owned(),
        scheme: scheme.to_string(),
        source: Source::file(path.to_str().unwrap()),
        fingerprint: VerifyingKey::from_text(scheme, text)
            .unwrap()
            .id()
            .to_string(),
        not_before: None,
        not_after: None,
        revoked_at: None,
    }
}

fn signed_by(text: &str, epoch: u64) -> Vec<u8> {
    let tiny = bytes("records/pcs_tiny_case_1.json");
    with_epoch(std::str::from_utf8(&tiny).unwrap(), epoch, text)
}

fn post_as(gateway: &Gateway, tenant: &str, body: &[u8]) -> flk_testkit::client::Response {
    let mut bytes = format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: gateway\r\nX-Tenant-Id: {tenant}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    let mut connection = gateway.connect();
    connection.send(&bytes).unwrap();
    connection.response().unwrap()
}

fn a_published_snapshot_judges_from_the_next_record_on_and_after_a_kill(setting: Setting) {
    let (directory, keys) = (setting.directory(), tempfile::tempdir().unwrap());
    let plan = plan(setting, directory.path(), keys.path());
    let gateway = plan.start();
    assert_eq!(gateway.post(&record(1).body).status, 200);
    assert_eq!(gateway.post(&signed_by("rotated", 1)).status, 401);
    let mut next = document(directory.path(), 0);
    assert_eq!(next.tenants[0].keys.len(), 1);
    next.number = 1;
    next.tenants[0].keys = vec![key(keys.path(), "rotated", "rotated")];
    let digest = next.digest().to_string();
    let applied = publish(directory.path(), &next);
    assert_eq!(
        applied,
        json!({"v": 1, "applied": {"number": 1, "digest": digest}})
    );
    assert_eq!(gateway.post(&signed_by("rotated", 2)).status, 200);
    assert_eq!(gateway.post(&record(2).body).status, 401);
    gateway.kill();

    let gateway = plan.start();
    assert!(
        gateway.said().contains("snapshot   1, in force since"),
        "{}",
        gateway.said()
    );
    gateway.wait_until_said("the settings differ from snapshot 1");
    assert_eq!(gateway.post(&signed_by("rotated", 2)).dedup(), Some("hit"));
    assert_eq!(gateway.post(&record(2).body).status, 401);
    assert_eq!(
        status(directory.path())["in_force"]["digest"],
        digest.as_str()
    );
    let ready = gateway.get("/readyz?verbose");
    assert!(
        ready.text().starts_with("OK\nsnapshot 1, in force since "),
        "{ready:?}"
    );
    let metrics = gateway.get("/metrics");
    assert!(metrics.text().contains("\nflk_snapshot_number 1\n"));
    gateway.stop();

    let gateway = plan.with("FLK_SNAPSHOT", "environment").start();
    assert_eq!(gateway.post(&record(2).body).status, 200);
}

fn a_refused_snapshot_changes_nothing(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let mut next = document(directory.path(), 0);
    next.number = 1;
    next.tenants[0].keys[0].source = Source::file("/nowhere/key");
    let refused = publish(directory.path(), &next);
    assert_eq!(refused["refused"]["code"], "key", "{refused}");
    let mut old = document(directory.path(), 0);
    old.limits.rate = 5;
    assert_eq!(
        publish(directory.path(), &old)["refused"]["code"],
        "number_used"
    );
    assert_eq!(
        ask(directory.path(), &json!({"v": 1, "ask": "x"}))["refused"]["code"],
        "question"
    );
    assert_eq!(gateway.post(&record(1).body).status, 200);
    assert_eq!(status(directory.path())["last_number"], 0);
}

fn tenants_have_keys_and_ids_of_their_own(setting: Setting) {
    let (directory, keys) = (setting.directory(), tempfile::tempdir().unwrap());
    let gateway = plan(setting, directory.path(), keys.path()).start();
    let body = signed_by("acme's own", 1);
    assert_eq!(
        post_as(&gateway, "acme", &body).status,
        401,
        "no such tenant yet"
    );
    let mut next = document(directory.path(), 0);
    next.number = 1;
    let acme = TenantDocument {
        name: "acme".to_owned(),
        keys: vec![key(keys.path(), "own", "acme's own")],
        limits: LimitsDocument::default(),
        ..next.tenants[0].clone()
    };
    next.tenants.insert(0, acme);
    assert!(publish(directory.path(), &next)["applied"].is_object());
    assert_eq!(post_as(&gateway, "acme", &body).dedup(), Some("miss"));
    assert_eq!(post_as(&gateway, "acme", &body).dedup(), Some("hit"));
    assert_eq!(post_as(&gateway, "default", &body).status, 401);
    let same_id = signed_by("testsecret", 1);
    assert_eq!(post_as(&gateway, "default", &same_id).dedup(), Some("miss"));
    assert_eq!(post_as(&gateway, "ACME", &body).status, 401);
    next.number = 2;
    next.tenants[0].enabled = false;
    assert!(publish(directory.path(), &next)["applied"].is_object());
    assert_eq!(post_as(&gateway, "acme", &body).status, 401);
}

fn a_key_that_ends_is_refused_from_that_second_on(setting: Setting) {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};
    let (directory, keys) = (setting.directory(), tempfile::tempdir().unwrap());
    let gateway = plan(setting, directory.path(), keys.path()).start();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let end = now().as_secs() + 2;
    let mut next = document(directory.path(), 0);
    next.number = 1;
    let mut old = key(keys.path(), "old", "old");
    old.not_after = Some(end);
    next.tenants[0].keys = vec![old, key(keys.path(), "new", "new")];
    assert!(publish(directory.path(), &next)["applied"].is_object());
    // Each answer is held against the clock around it.
    let mut epoch = 0;
    loop {
        epoch += 1;
        let before = now();
        let answer = gateway.post(&signed_by("old", epoch)).status;
        if now().as_secs() < end {
            assert_eq!(answer, 200);
        } else if before.as_secs() >= end {
            assert_eq!(answer, 401);
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(gateway.post(&signed_by("new", 1_000_000)).status, 200);
}
