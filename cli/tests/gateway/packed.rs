//! A gateway with little to do: its segments are packed, take less, and show the same to every command and every client.

use super::*;
use flk_testkit::client::Connection;
use serde_json::Value;

/// Requests one after the other, each in a batch of its own; there is nothing in them that could be decided.
const REQUESTS: usize = 60;

/// Bytes that the files of closed segments take.
fn segments_bytes(dir: &Path) -> u64 {
    let rows = wal(dir, &["inspect", "--limit", "0", "--json"]).json();
    let closed = rows.iter().filter(|row| row["bytes_in_use"].is_u64());
    closed.filter_map(|row| row["file_bytes"].as_u64()).sum()
}

/// What a command shows, without the lines about files and logs.
fn shown(dir: &Path, args: &[&str]) -> Vec<Value> {
    let ran = wal(dir, args);
    assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
    let rows = ran.json().into_iter();
    let of_files = ["segment".into(), "log".into()];
    rows.filter(|row| !of_files.contains(&row["type"]))
        .collect()
}

fn all_shown(dir: &Path) -> [Vec<Value>; 3] {
    [
        shown(dir, &["inspect", "--bodies", "--json"]),
        shown(dir, &["export", "--with-bodies"]),
        shown(dir, &["replay", "--output", "json"]),
    ]
}

#[test]
fn a_packed_log_takes_less_than_half_and_shows_the_same() {
    let dir = written_directory(false);
    let gateway = Gateway::start(dir.path());
    // Its answer shows that the gateway is ready.
    let again = signed_record(dir.path(), "shard-0");
    assert_eq!(gateway.submit(dir.path(), &again).code, 0);
    let address = gateway.url.trim_start_matches("http://").parse().unwrap();
    let mut connection = Connection::open(address).unwrap();
    for at in 0..REQUESTS {
        let answer = connection
            .post(format!("no record {at}").as_bytes())
            .unwrap();
        assert_eq!(answer.status, 400);
    }
    assert_eq!(gateway.stop(), 0);
    // The logs of before have ended once another gateway has started.
    let gateway = Gateway::start(dir.path());
    let before = all_shown(dir.path());
    assert!(before[0].len() > REQUESTS);
    let bytes_before = segments_bytes(dir.path());

    let would = wal(dir.path(), &["compact", "--dry-run"]);
    assert_eq!(
        segments_bytes(dir.path()),
        bytes_before,
        "it changes nothing"
    );
    let done = wal(dir.path(), &["compact"]);
    assert_eq!(
        (would.code, done.code),
        (0, 0),
        "{} {}",
        would.stderr,
        done.stderr
    );
    let [would, done] = [would, done].map(|ran| ran.json()[0].clone());
    assert_eq!(done["segments"], 0, "nothing is deleted");
    for name in ["packed_segments", "saved_bytes"] {
        assert_eq!(would[name], done[name], "{name}");
    }
    let saved = done["saved_bytes"].as_u64().unwrap();
    assert_eq!(segments_bytes(dir.path()), bytes_before - saved);
    let inspected = wal(dir.path(), &["inspect", "--limit", "0"]);
    assert!(
        inspected.stdout.contains("  packed  "),
        "{}",
        inspected.stdout
    );

    assert_eq!(all_shown(dir.path()), before);
    assert_eq!(wal(dir.path(), &["verify"]).code, 0);
    assert_eq!(gateway.stop(), 0);
    let gateway = Gateway::start(dir.path());
    for at in 0..5 {
        let again = signed_record(dir.path(), &format!("shard-{at}"));
        let answer = gateway.submit(dir.path(), &again);
        assert!(answer.stdout.contains("hit"), "{}", answer.stdout);
    }
    assert_eq!(gateway.stop(), 0);
}
