//! A gateway that serves while its keys are rotated, revoked and rotated back.

use super::common::golden_bytes;
use super::gateway::Gateway;
use super::{NEW, OLD, directory, done, keys};
use flk_dataplane::config::Config;
use flk_testkit::client::Connection;
use flk_testkit::gateway::ask_agent;
use flk_testkit::records::with_epoch;
use flk_testkit::{DEADLINE, wait_until};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tempfile::TempDir;

/// One question to the gateway of this directory, and its answer.
pub(super) fn ask(dir: &TempDir, question: &Value) -> Value {
    ask_agent(&dir.path().join("data/wal"), question)
}

/// Waits until the control process beside the gateway has brought the file into force.
pub(super) fn wait_until_in_force(dir: &TempDir) {
    let path = dir.path().join("flk.toml").display().to_string();
    let config = Config::from_env(&|name| (name == "FLK_CONFIG").then(|| path.clone())).unwrap();
    let wanted = config.document.tenants.iter().find(|it| it.name == "acme");
    let wanted = serde_json::to_value(wanted.unwrap()).unwrap();
    wait_until("the file is in force", DEADLINE, || {
        let status = ask(dir, &json!({"v": 1, "ask": "status"}));
        let number = status["status"]["in_force"]["number"].clone();
        let answer = ask(dir, &json!({"v": 1, "ask": "document", "number": number}));
        let tenants = answer["document"]["tenants"].as_array().cloned();
        tenants.unwrap_or_default().contains(&wanted)
    });
}

/// Sends a record of acme that this key signs; the status of the answer.
pub(super) fn post(gateway: &Gateway, key: &str, epoch: u64) -> u16 {
    let tiny = golden_bytes("records/pcs_tiny_case_1.json");
    let body = with_epoch(std::str::from_utf8(&tiny).unwrap(), epoch, key);
    let length = body.len();
    let head = format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: gateway\r\nX-Tenant-Id: acme\r\nContent-Length: {length}\r\n\r\n"
    );
    let address = gateway.url.strip_prefix("http://").unwrap();
    let until = Instant::now() + DEADLINE;
    loop {
        let mut connection = Connection::open(address.parse().unwrap()).unwrap();
        connection.send(&[head.as_bytes(), &body].concat()).unwrap();
        match connection.response().unwrap().status {
            // It has not read its log yet.
            503 if Instant::now() < until => std::thread::yield_now(),
            status => return status,
        }
    }
}

/// Agents of acme that send as fast as they can, and switch from key to key when they are told.
struct Agents {
    keys: Mutex<Vec<&'static str>>,
    is_over: AtomicBool,
    sent: AtomicU64,
}

impl Agents {
    /// Sends until it is over; each record must get its 200.
    fn send(&self, address: SocketAddr, agent: u64) {
        let mut connection = Connection::open(address).unwrap();
        let tiny = golden_bytes("records/pcs_tiny_case_1.json");
        let tiny = std::str::from_utf8(&tiny).unwrap();
        for number in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let key = {
                let keys = self.keys.lock().unwrap();
                keys[number as usize % keys.len()]
            };
            let body = with_epoch(tiny, agent << 32 | number, key);
            let text = format!(
                "POST /v1/pcs/submit HTTP/1.1\r\nHost: gateway\r\nX-Tenant-Id: acme\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            connection.send(&[text.as_bytes(), &body].concat()).unwrap();
            let answer = connection.response().unwrap();
            if answer.status != 200 {
                // So that the test ends here and not at its next wait.
                self.is_over.store(true, Ordering::Relaxed);
                panic!("record {number} of agent {agent}: {answer:?}");
            }
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until so many more were sent.
    fn wait_for_more(&self, count: u64) {
        let until = self.sent.load(Ordering::Relaxed) + count;
        wait_until("more records", DEADLINE, || {
            assert!(!self.is_over.load(Ordering::Relaxed), "one was refused");
            self.sent.load(Ordering::Relaxed) >= until
        });
    }
}

/// A slice of `make rotation`, which does the same with a million records.
#[test]
fn a_rotation_with_an_overlap_refuses_no_record_under_load() {
    const RECORDS: u64 = 400;
    let dir = directory();
    let gateway = Gateway::start_with(dir.path(), &[("FLK_CONFIG", "flk.toml")]);
    assert_eq!(post(&gateway, OLD, 1), 200);
    let address: SocketAddr = gateway
        .url
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let agents = Agents {
        keys: Mutex::new(vec![OLD]),
        is_over: AtomicBool::new(false),
        sent: AtomicU64::new(0),
    };
    let rotate = ["rotate", "acme", "--key-file", "new.key", "--id", "second"];
    std::thread::scope(|scope| {
        let agents = &agents;
        for agent in 1..=3 {
            scope.spawn(move || agents.send(address, agent));
        }
        // Ended in any case, so that a failure here is not a test that hangs.
        let steps = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let switch = |keys: &[&'static str]| {
                *agents.keys.lock().unwrap() = keys.to_vec();
                agents.wait_for_more(RECORDS);
            };
            agents.wait_for_more(RECORDS);
            done(&dir, &rotate);
            wait_until_in_force(&dir);
            switch(&[OLD, NEW]);
            switch(&[NEW]);
            done(&dir, &["revoke", "acme", "first"]);
            wait_until_in_force(&dir);
            agents.wait_for_more(RECORDS);
        }));
        agents.is_over.store(true, Ordering::Relaxed);
        steps.unwrap();
    });
    assert!(agents.sent.into_inner() >= 4 * RECORDS);
    assert_eq!(post(&gateway, OLD, 2), 401, "it did end");
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn both_keys_verify_during_the_overlap_and_a_revoked_one_no_longer() {
    let dir = directory();
    let gateway = Gateway::start_with(dir.path(), &[("FLK_CONFIG", "flk.toml")]);
    assert_eq!(post(&gateway, OLD, 1), 200);
    assert_eq!(post(&gateway, NEW, 2), 401);
    done(
        &dir,
        &["rotate", "acme", "--key-file", "new.key", "--id", "second"],
    );
    wait_until_in_force(&dir);
    let url = gateway.url.clone();
    let row = |id: &str| {
        let rows = done(&dir, &["list", "--output", "json", "--url", &url]).json();
        rows.into_iter().find(|row| row["key"] == id).unwrap()
    };
    assert_eq!(row("second")["known_there"], true);
    assert_eq!(row("second")["verified"], 0, "in force and not used yet");
    assert_eq!(post(&gateway, OLD, 3), 200);
    assert_eq!(post(&gateway, NEW, 4), 200);
    let seen = |id: &str| {
        let row = row(id);
        (
            row["verified"].as_u64().unwrap(),
            row["last_seen"].is_string(),
        )
    };
    assert_eq!(seen("first"), (2, true));
    assert_eq!(seen("second"), (1, true));
    let table = done(&dir, &["list", "--url", &url]).stdout;
    assert!(
        table.contains("LAST SEEN") && table.contains(" ago"),
        "{table}"
    );

    done(&dir, &["revoke", "acme", "first"]);
    wait_until_in_force(&dir);
    assert_eq!(post(&gateway, OLD, 5), 401);
    assert_eq!(post(&gateway, OLD, 1), 401, "also what is stored already");
    assert_eq!(post(&gateway, NEW, 1), 200, "it has its outcome still");
    assert_eq!(post(&gateway, NEW, 6), 200);
    done(&dir, &["rotate", "acme", "--undo"]);
    wait_until_in_force(&dir);
    assert_eq!(post(&gateway, NEW, 7), 401);
    assert_eq!(gateway.stop(), 0);
    let gone = keys(&dir, &["list", "--url", &url]);
    assert_eq!(gone.code, 69, "{}", gone.stderr);
}

#[test]
fn a_key_that_is_in_the_file_and_not_in_force_is_told_from_one_that_is_not_used() {
    let dir = directory();
    let gateway = Gateway::start_alone(dir.path(), &[("FLK_CONFIG", "flk.toml")]);
    done(
        &dir,
        &["rotate", "acme", "--key-file", "new.key", "--id", "second"],
    );
    let list = |more: &[&str]| {
        let args = [&["list", "--url", &gateway.url][..], more].concat();
        done(&dir, &args)
    };
    let known = |id: &str| {
        let rows = list(&["--output", "json"]).json();
        let row = rows.into_iter().find(|row| row["key"] == id).unwrap();
        (row["known_there"].clone(), row["verified"].clone())
    };
    assert_eq!(known("first"), (json!(true), json!(0)));
    assert_eq!(known("second"), (json!(false), json!(null)));
    let table = list(&[]).stdout;
    let line = |id: &str| table.lines().find(|it| it.contains(id)).unwrap();
    assert!(line("first").ends_with("not since the start"), "{table}");
    assert!(
        line("second").ends_with("not in force there: refused"),
        "{table}"
    );
    assert_eq!(post(&gateway, NEW, 1), 401);
    assert_eq!(gateway.stop(), 0);
}
