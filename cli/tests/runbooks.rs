//! The runbooks, followed literally: in the situation that each is for, every command that begins with `$` is run in its
//! order, and what is shown below it has to appear.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/gateway.rs"]
mod gateway;
#[path = "common/steps.rs"]
mod steps;

use common::{flk, golden, run};
use gateway::Gateway;
use std::collections::BTreeSet;
use std::path::Path;
use steps::{said_as_shown, shell, steps};

/// Where the pages have the log.
const WAL_DIR: &str = "/var/lib/flk/wal";

/// Where the pages have other things, and where they are in the directory of a test.
const ELSEWHERE: [(&str, &str); 3] = [
    ("/srv/backups/gateway-1", "backups"),
    ("/var/lib/flk/restored", "restored"),
    ("/etc/flk/wal.secret", "wal.secret"),
];

/// Follows a page. The commands that were run come back.
fn follow(page: &str, dir: &Path, url: &str) -> usize {
    let path = golden("../docs/runbooks").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let wal = dir.join("data/wal");
    let steps = steps(&text);
    for step in &steps {
        let command = step.command.replace(WAL_DIR, wal.to_str().unwrap());
        let command = ELSEWHERE.iter().fold(command, |command, (page, here)| {
            command.replace(page, dir.join(here).to_str().unwrap())
        });
        let ran = shell(dir, url, &command);
        let said = ran.stdout + &ran.stderr;
        assert_eq!(ran.code, 0, "{page}: {command}: {said}");
        for line in step.shown.iter().filter(|line| !line.trim().is_empty()) {
            assert!(
                said_as_shown(line, &said),
                "{page}: {command} shows {line}\n{said}"
            );
        }
    }
    steps.len()
}

/// A gateway that took a record.
fn with_a_record(dir: &Path) -> (Gateway, Vec<u8>) {
    let gateway = Gateway::start(dir);
    let events = golden("events/sample.csv");
    let built = run(flk(dir).args(["pcs", "build"]).arg(events), b"");
    let signed = run(flk(dir).args(["pcs", "sign"]), built.stdout.as_bytes());
    let record = signed.stdout.into_bytes();
    sent(&gateway, dir, &record, "miss");
    (gateway, record)
}

/// Sends a record, which is accepted: seen before (`hit`) or not (`miss`).
fn sent(gateway: &Gateway, dir: &Path, record: &[u8], dedup: &str) {
    let answer = gateway.submit(dir, record).stdout;
    assert!(
        answer.contains(&format!("200 accepted   {dedup}")),
        "{answer}"
    );
}

#[test]
fn under_wal_disk_pressure_each_command_works_as_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, record) = with_a_record(dir.path());
    let run = follow("wal-disk-pressure.md", dir.path(), &gateway.url);
    assert!(run >= 7, "{run} commands");
    sent(&gateway, dir.path(), &record, "hit");
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn on_a_damaged_wal_each_command_works_as_it_is_written_and_a_gateway_starts_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, record) = with_a_record(dir.path());
    assert_eq!(gateway.stop(), 0);
    let segment = dir.path().join("data/wal/segment-0000000000000000.wal");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[4096 + 200] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let start = run(flk(dir.path()).args(["up", "--port", "0"]), b"");
    assert_eq!(start.code, 65, "{}", start.stderr);
    let run = follow("damaged-wal.md", dir.path(), "http://127.0.0.1:0");
    assert!(run >= 6, "{run} commands");
    let gateway = Gateway::start(dir.path());
    // Its decision was in the batch that was given up.
    sent(&gateway, dir.path(), &record, "miss");
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn a_directory_is_restored_as_it_is_written_and_a_gateway_answers_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, record) = with_a_record(dir.path());
    let wal = dir.path().join("data/wal");
    let backed_up = run(
        flk(dir.path()).args(["backup", "--dir", "data/wal", "--to", "backups"]),
        b"",
    );
    assert_eq!(backed_up.code, 0, "{}", backed_up.stderr);
    std::fs::copy(wal.join("secret"), dir.path().join("wal.secret")).unwrap();
    drop(gateway);
    std::fs::remove_dir_all(&wal).unwrap();
    let run = follow("restore.md", dir.path(), "http://127.0.0.1:0");
    assert_eq!(run, 4, "{run} commands");
    std::fs::rename(dir.path().join("restored"), &wal).unwrap();
    let gateway = Gateway::start(dir.path());
    sent(&gateway, dir.path(), &record, "hit");
    assert_eq!(gateway.stop(), 0);
}

/// Pages whose commands look at a gateway that serves and change nothing.
const WHILE_IT_SERVES: [&str; 16] = [
    "backend-down.md",
    "certificate-expiry.md",
    "clock-drift.md",
    "configuration.md",
    "dedup-anomaly.md",
    "error-budget-burn.md",
    "escalation-spike-202.md",
    "high-memory.md",
    "hold-behind.md",
    "key-rotation.md",
    "latency-surge.md",
    "server-errors.md",
    "shard-stuck.md",
    "signature-spike.md",
    "throttling-429.md",
    "wal-errors.md",
];

#[test]
fn on_a_gateway_that_serves_each_command_works_as_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, record) = with_a_record(dir.path());
    sent(&gateway, dir.path(), &record, "hit");
    let record = String::from_utf8(record).unwrap();
    let tampered = record.replace("\"shard_id\":\"", "\"shard_id\":\"x");
    let refused = gateway.submit(dir.path(), tampered.as_bytes()).stdout;
    assert!(refused.contains("401 refused"), "{refused}");
    let events = golden("events/cube.csv");
    let built = run(flk(dir.path()).args(["pcs", "build"]).arg(events), b"");
    let claims = built.stdout.replace("\"budget\":0.", "\"budget\":0.9");
    let signed = run(flk(dir.path()).args(["pcs", "sign"]), claims.as_bytes());
    let escalated = gateway.submit(dir.path(), signed.stdout.as_bytes()).stdout;
    assert!(escalated.contains("202 escalated"), "{escalated}");
    for page in WHILE_IT_SERVES {
        let run = follow(page, dir.path(), &gateway.url);
        assert!(run >= 1, "{page}: {run} commands");
    }
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn every_runbook_is_followed_and_has_all_sections() {
    let followed = ["damaged-wal.md", "restore.md", "wal-disk-pressure.md"];
    let followed: BTreeSet<&str> = followed.into_iter().chain(WHILE_IT_SERVES).collect();
    let entries = std::fs::read_dir(golden("../docs/runbooks")).unwrap();
    let names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        names.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        followed
    );
    for name in names {
        let text = std::fs::read_to_string(golden("../docs/runbooks").join(&name)).unwrap();
        let headings: Vec<&str> = text
            .lines()
            .filter_map(|it| it.strip_prefix("## "))
            .collect();
        assert_eq!(headings, SECTIONS, "{name}");
    }
}

/// What each runbook has, in this order.
const SECTIONS: [&str; 11] = [
    "Symptoms",
    "Impact",
    "Possible causes",
    "Diagnosis",
    "Resolution",
    "Validation",
    "Prevention",
    "Escalation",
    "Communication",
    "Afterwards",
    "Related",
];
