//! `flk top` beside a running gateway: what it prints under load, how it refuses, and that it leaves a terminal as it was.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/gateway.rs"]
mod gateway;

mod refused;
mod screen;

use common::{Ran, flk, run};
use flk_testkit::client::Connection;
use flk_testkit::records::{KEY, record};
use gateway::Gateway;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

fn top(dir: &Path, args: &[&str]) -> Ran {
    run(flk(dir).arg("top").args(args), b"")
}

/// No load sends records of another one.
static LOADS: AtomicU64 = AtomicU64::new(0);

/// Sends a record after the other, and every second one twice, until told to stop. Says when the first was accepted.
fn load(address: SocketAddr, stop: &AtomicBool, accepted: &Sender<()>) {
    let mut connection = Connection::open(address).unwrap();
    let first = LOADS.fetch_add(1, Ordering::Relaxed) << 32;
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let body = record(first + number / 3 * 2 + number % 3 / 2).body;
        let answer = connection.post(&body).unwrap();
        if answer.status == 200 {
            let _ = accepted.send(()); // only the first is waited for
            number += 1;
        }
    }
}

/// What a function returns while a gateway takes records.
fn under_load<T>(gateway: &Gateway, then: impl FnOnce() -> T) -> T {
    let address = gateway.url.strip_prefix("http://").unwrap();
    let address = address.parse().unwrap();
    let stop = AtomicBool::new(false);
    let (accepted, begun) = channel();
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(address, &stop, &accepted));
        begun.recv_timeout(flk_testkit::DEADLINE).unwrap();
        let found = then();
        stop.store(true, Ordering::Relaxed);
        loading.join().unwrap();
        found
    })
}

fn started(dir: &Path) -> Gateway {
    Gateway::start_with(dir, &[("PCS_HMAC_KEY", KEY)])
}

fn one_object(ran: &Ran) -> Value {
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let mut objects = ran.json();
    assert_eq!(objects.len(), 1, "{}", ran.stdout);
    objects.remove(0)
}

#[test]
fn under_load_a_script_gets_rates_of_shards_and_tenants() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = started(dir.path());
    let args = ["--once", "--output", "json", "--interval", "500ms"];
    let object = under_load(&gateway, || one_object(&top(dir.path(), &args)));
    assert_eq!(object["source"], "data/wal");
    assert!(object["interval_s"].as_f64().unwrap() >= 0.5, "{object}");
    assert_eq!(object["shards"].as_array().unwrap().len(), 1);
    assert_eq!(object["shards"][0]["shard"], "0");
    for row in [&object["all"], &object["shards"][0]] {
        let number = |name: &str| {
            row[name]
                .as_f64()
                .unwrap_or_else(|| panic!("{name}: {row}"))
        };
        for name in ["requests_per_s", "p50_s", "wal_wait_p99_s", "dedup_keys"] {
            assert!(number(name) > 0.0, "{name}: {row}");
        }
        assert!(number("p50_s") <= number("p99_s"), "{row}");
        assert!(number("batch_records") >= 1.0, "{row}");
        assert!(number("queue") >= 0.0, "{row}");
        assert_eq!(row["stuck"], false);
    }
    let tenant = &object["tenants"][0];
    let number = |name: &str| tenant[name].as_f64().unwrap();
    assert_eq!(tenant["tenant"], "default");
    assert!(
        number("accepted_per_s") > 0.0 && number("hits_per_s") > 0.0,
        "{tenant}"
    );
    assert!(
        number("requests_per_s") >= number("accepted_per_s"),
        "{tenant}"
    );
    assert_eq!(
        (number("escalated_per_s"), number("unauthorized_per_s")),
        (0.0, 0.0)
    );
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn over_http_shards_are_added_up() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = started(dir.path());
    let elsewhere = tempfile::tempdir().unwrap();
    for url in [gateway.url.clone(), format!("{}/metrics", gateway.url)] {
        let args = ["--url", &url, "--output", "json", "--interval", "300ms"];
        let object = under_load(&gateway, || one_object(&top(elsewhere.path(), &args)));
        assert_eq!(object["source"], format!("{}/metrics", gateway.url));
        assert!(
            object["all"]["requests_per_s"].as_f64().unwrap() > 0.0,
            "{object}"
        );
        assert!(
            object["tenants"][0]["accepted_per_s"].as_f64().unwrap() > 0.0,
            "{object}"
        );
        // The sum over one shard is that shard.
        assert_eq!(
            object["shards"][0]["requests_per_s"],
            object["all"]["requests_per_s"]
        );
        assert_eq!(object["shards"][0]["stuck"], false);
    }
    // WAL_DIR of the surroundings is no reason to refuse
    let mut command = flk(elsewhere.path());
    command
        .env("WAL_DIR", "nothing-here")
        .args(["top", "--url", &gateway.url]);
    assert_eq!(run(&mut command, b"").code, 0);
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn where_there_is_no_terminal_a_table_is_printed_once_without_colours() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = started(dir.path());
    for args in [
        &["--once", "--interval", "200ms"][..],
        &["--interval", "200ms"],
    ] {
        let ran = under_load(&gateway, || top(dir.path(), args));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        let begins: Vec<&str> = ran
            .stdout
            .lines()
            .filter_map(|it| it.split(' ').next())
            .collect();
        assert_eq!(
            begins,
            ["SHARD", "all", "0", "", "TENANT", "default"],
            "{}",
            ran.stdout
        );
        assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
    }
    assert_eq!(gateway.stop(), 0);
}
