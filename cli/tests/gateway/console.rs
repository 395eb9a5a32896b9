//! The console beside a real gateway: what it shows of records that were sent, and that its first three commands make one appear.

use crate::common::{flk, run};
use crate::gateway::Gateway;
use flk_testkit::client::{Connection, Response};
use flk_testkit::{DEADLINE, wait_until};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn get(admin: &str, path: &str) -> Response {
    let mut connection = Connection::open(admin.parse().unwrap()).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\n\r\n");
    connection.send(request.as_bytes()).unwrap();
    connection.response().unwrap()
}

fn shown(admin: &str, what: &str) -> Value {
    let answer = get(admin, &format!("/v1/console/{what}"));
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    serde_json::from_str(answer.text()).unwrap()
}

fn newest(admin: &str, name: &str) -> Value {
    let rows = shown(admin, &format!("history?names={name}"));
    let newest = rows["columns"][0].as_array().and_then(|it| it.last());
    newest.cloned().unwrap_or_default()
}

/// Runs the commands of an empty gateway as a user types them.
fn first_record(dir: &Path, overview: &Value) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_flk")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let commands = overview["first_record"].as_array().unwrap();
    assert_eq!(commands.len(), 3);
    let mut said = String::new();
    for command in commands {
        let ran = Command::new("sh")
            .args(["-c", command.as_str().unwrap()])
            .current_dir(dir)
            .env("PATH", &path)
            .output()
            .unwrap();
        said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success(), "{command}: {ran:?}");
    }
    said
}

/// What no gateway has decided, and what is no id.
fn others_are_not_found(admin: &str, path: &str) {
    let unknown = get(admin, &format!("/v1/console/lookup/{}", "0".repeat(64)));
    assert_eq!(
        (unknown.status, unknown.problem_code().as_str()),
        (404, "outcome_not_found")
    );
    let other = get(admin, &format!("{path}?tenant=acme"));
    assert_eq!(other.status, 404, "{}", other.text());
    assert_eq!(
        get(admin, "/v1/console/lookup/xyz").problem_code(),
        "not_an_id"
    );
}

/// What a seal leaves is found in the slice.
fn a_seal_is_seen(dir: &Path, admin: &str, path: &str) {
    let compacted = run(flk(dir).args(["wal", "compact", "--dir", "data/wal"]), b"");
    assert_eq!(compacted.code, 0, "{compacted:?}");
    wait_until("it is sealed", DEADLINE, || {
        let found: Value = serde_json::from_str(get(admin, path).text()).unwrap();
        found["origin"]
            .as_str()
            .is_some_and(|it| it.starts_with("slice-"))
    });
    let disk = shown(admin, "disk");
    let kinds = |kind: &str| {
        let files = disk["files"].as_array().unwrap().iter();
        files.filter(|it| it["kind"] == kind).count()
    };
    assert_eq!((kinds("slice"), kinds("manifest")), (1, 1), "{disk}");
    assert!(
        kinds("segment") >= 1 && disk["cap_bytes"].as_u64().unwrap() > 0,
        "{disk}"
    );
    let is_told = |kind: &str| {
        let events = shown(admin, "events");
        let mut events = events.as_array().unwrap().iter();
        events.any(|it| it["kind"] == kind)
    };
    wait_until("the seal is an event", DEADLINE, || is_told("seal"));
}

#[test]
fn the_commands_of_an_empty_gateway_make_a_record_appear_that_can_be_looked_up() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start(dir);
    let admin = gateway.admin();
    gateway.wait_until_said("console on http://");
    gateway.wait_until_ready();
    let is_known = || {
        shown(&admin, "overview")["tenants"]
            .as_array()
            .is_some_and(|it| !it.is_empty())
    };
    wait_until("control knows the gateway", DEADLINE, || {
        is_known() && newest(&admin, "flk_accepted").is_number()
    });
    let overview = shown(&admin, "overview");
    assert!(["uring", "portable"].contains(&overview["driver"].as_str().unwrap()));
    assert_eq!(overview["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(overview["address"], gateway.url.as_str());
    assert!(overview["shards"][0]["cpu"].is_number(), "{overview}");
    assert_eq!(overview["tenants"][0]["id"], "default");
    let before = newest(&admin, "http_requests_total");
    let said = first_record(dir, &overview);
    wait_until("it appears", DEADLINE, || {
        newest(&admin, "http_requests_total") != before
    });

    let record = std::fs::read_to_string(dir.join("signed.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let pcs_id = record["pcs_id"].as_str().unwrap();
    let path = format!("/v1/console/lookup/{pcs_id}");
    wait_until("its decision is durable", DEADLINE, || {
        get(&admin, &path).status == 200
    });
    let found: Value = serde_json::from_str(get(&admin, &path).text()).unwrap();
    let args = [
        "dedup", "get", pcs_id, "--dir", "data/wal", "--output", "json",
    ];
    let ran = run(flk(dir).args(args), b"");
    let by_command: Value = serde_json::from_str(&ran.stdout).unwrap();
    for name in ["tenant", "pcs_id", "status", "outcome", "found"] {
        assert_eq!(found[name], by_command[name], "{name}: {said}");
    }
    assert_eq!(found["key_id"], overview["tenants"][0]["keys"][0]["id"]);
    assert!(
        found["origin"].as_str().unwrap().starts_with("log "),
        "{found}"
    );
    let expires_s = found["expires_ms"].as_u64().unwrap() / 1000;
    let ttl_s = expires_s - found["decided_ms"].as_u64().unwrap() / 1000;
    assert!(
        (14 * 86_400 - 2..=14 * 86_400 + 2).contains(&ttl_s),
        "{ttl_s}"
    );

    others_are_not_found(&admin, &path);
    a_seal_is_seen(dir, &admin, &path);
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn a_forged_record_is_among_the_refusals_without_its_payload() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start(dir);
    let admin = gateway.admin();
    gateway.wait_until_ready();
    let built = run(flk(dir).args(["pcs", "build"]), b"0,0.1,0.2,0.3\n");
    let signed = run(flk(dir).args(["pcs", "sign"]), built.stdout.as_bytes());
    let mut forged: Value = serde_json::from_str(&signed.stdout).unwrap();
    forged["epoch"] = json!(424_242_424_242_i64);
    gateway.submit(dir, forged.to_string().as_bytes());
    gateway.submit(dir, b"{}");
    let refusals = || shown(&admin, "refusals");
    let has = |status: u64, code: &str| {
        let refusals = refusals();
        let mut refusals = refusals.as_array().unwrap().iter();
        refusals.any(|it| it["status"] == status && it["code"] == code && it["tenant"] == "default")
    };
    wait_until("it is noted", DEADLINE, || has(401, "signature_invalid"));
    wait_until("the other one, too", DEADLINE, || has(400, "missing_field"));
    let text = refusals().to_string();
    assert!(!text.contains("424242424242"), "{text}");
    assert_eq!(gateway.stop(), 0);
}
