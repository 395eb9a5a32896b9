//! Batch requests in a terminal: what was sent so is shown, looked at in the log, exported and judged again line by line.

use super::{Gateway, signed_record, wal};
use flk_testkit::batch::{lines, request};
use flk_testkit::client::Connection;
use serde_json::Value;
use std::path::Path;

fn one_line(record: Vec<u8>) -> Vec<u8> {
    record.trim_ascii().to_vec()
}

/// Line and disposition of each body that a command shows, in the order of the lines; 0: it has none.
fn lines_in_log(dir: &Path, command: &[&str]) -> Vec<(u64, String)> {
    let ran = wal(dir, command);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let rows: Vec<Value> = ran.json();
    let bodies = rows.iter().filter(|row| row["disposition"].is_string());
    let shown = bodies.map(|row| {
        let line = row["line"].as_u64().unwrap_or(0);
        (line, row["disposition"].as_str().unwrap().to_owned())
    });
    let mut shown: Vec<(u64, String)> = shown.collect();
    shown.sort();
    shown
}

#[test]
fn the_log_says_the_line_of_each_record_of_a_batch_and_a_replay_judges_each_alone() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let record = |name: &str| one_line(signed_record(dir.path(), name));
    let address = gateway
        .url
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let mut connection = Connection::open(address).unwrap();
    let bodies = [
        record("one"),
        Vec::new(),
        b"{".to_vec(),
        record("two"),
        record("one"),
    ];
    connection.send(&request(&bodies)).unwrap();
    let statuses: Vec<(u64, u16)> = lines(&connection.response().unwrap())
        .into_iter()
        .map(|line| (line.line, line.status))
        .collect();
    assert_eq!(statuses, [(1, 200), (3, 400), (4, 200), (5, 200)]);
    assert_eq!(
        gateway
            .submit(dir.path(), &signed_record(dir.path(), "three"))
            .code,
        0
    );
    assert_eq!(gateway.stop(), 0);

    let expect = [
        (0, "accepted"),
        (1, "accepted"),
        (3, "refused"),
        (4, "accepted"),
        (5, "duplicate"),
    ];
    let expect = expect.map(|(line, word)| (line, word.to_owned()));
    for command in [&["inspect", "--json"][..], &["export"]] {
        assert_eq!(lines_in_log(dir.path(), command), expect, "{command:?}");
    }
    let text = wal(dir.path(), &["inspect"]).stdout;
    assert!(
        text.contains("  line 5\n") && !text.contains("line 0"),
        "{text}"
    );
    let again = wal(dir.path(), &["replay"]);
    assert_eq!(again.code, 0, "{}{}", again.stdout, again.stderr);
    assert!(
        again.stdout.contains("5 bodies: 5 as stored"),
        "{}",
        again.stdout
    );
    assert_eq!(wal(dir.path(), &["verify"]).code, 0);
}

#[test]
fn records_sent_many_at_a_time_are_shown_like_records_sent_alone() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let mut input = Vec::new();
    for name in ["one", "two", "one"] {
        input.extend(signed_record(dir.path(), name));
    }
    let args = [
        "pcs",
        "submit",
        "--attempts",
        "12",
        "--batch",
        "100",
        "--concurrency",
        "1",
    ];
    let mut command = super::flk(dir.path());
    command.args(args).args(["--url", &gateway.url]);
    let ran = super::run(&mut command, &input);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let words: Vec<Vec<&str>> = ran
        .stdout
        .lines()
        .map(|line| line.split_ascii_whitespace().skip(1).take(3).collect())
        .collect();
    let expect = ["miss", "miss", "hit"].map(|dedup| vec!["200", "accepted", dedup]);
    assert_eq!(words, expect);
}
