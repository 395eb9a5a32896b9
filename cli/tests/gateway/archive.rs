//! `flk archive` beside a gateway: whatever is acknowledged is in the archive once, also when the log has let go of it.

use super::common::{Ran, flk, golden_directory, run};
use super::{Gateway, signed_record, wal};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn command(dir: &Path, args: &[&str]) -> Ran {
    run(flk(dir).arg("archive").args(args), b"")
}

fn done(dir: &Path, args: &[&str]) -> Ran {
    let ran = command(dir, args);
    assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

fn archive(dir: &Path) -> Ran {
    let args = ["run", "--dir", "data/wal", "--to", "place"];
    done(dir, &[&args[..], &["--hold", "archive"]].concat())
}

/// Everything that is archived.
fn rows(dir: &Path) -> Vec<Value> {
    let args = ["find", "--from", "place", "--tenant", "default", "--json"];
    done(dir, &args).json()
}

/// The lines of logs.
fn logs(dir: &Path) -> Vec<Value> {
    let lines = done(dir, &["list", "--from", "place", "--json"]).json();
    let logs = lines.into_iter().filter(|it| it["type"] == "log");
    logs.collect()
}

fn pcs_id(record: &[u8]) -> String {
    let record: Value = serde_json::from_slice(record).unwrap();
    record["pcs_id"].as_str().unwrap().to_owned()
}

fn verified(dir: &Path) {
    let verified = done(dir, &["verify", "--from", "place"]);
    assert!(
        verified.stdout.contains("ok: every object"),
        "{}",
        verified.stdout
    );
}

#[test]
fn every_acknowledged_record_is_in_the_archive_once_also_when_its_segment_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start(dir);
    let record = |at: usize| signed_record(dir, &format!("shard-{at}"));
    let before: Vec<Vec<u8>> = (0..20).map(record).collect();
    let meanwhile: Vec<Vec<u8>> = (20..50).map(record).collect();
    let sent = gateway.submit(dir, &before.concat());
    let accepted = sent.stdout.lines().filter(|it| it.contains("200 accepted"));
    assert_eq!(accepted.count(), before.len(), "{}", sent.stdout);
    archive(dir);
    let ids = |rows: &[Value]| -> BTreeSet<String> {
        let ids = rows.iter().map(|it| it["pcs_id"].as_str().unwrap());
        ids.map(str::to_owned).collect()
    };
    let now = rows(dir);
    assert_eq!(now.len(), before.len());
    assert_eq!(ids(&now), before.iter().map(|it| pcs_id(it)).collect());
    // Under load, with seals, deletion and packing in between, and two runs at a time.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for record in &meanwhile {
                assert_eq!(gateway.submit(dir, record).code, 0);
            }
        });
        for age in ["1000h", "0s", "0s"] {
            let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| archive(dir))).collect();
            for run in runs {
                run.join().unwrap();
            }
            let compacted = wal(dir, &["compact", "--older-than", age]);
            assert_eq!(compacted.code, 0, "{}", compacted.stderr);
        }
    });
    let again = gateway.submit(dir, &before[0]);
    assert!(again.stdout.contains("hit"), "{}", again.stdout);
    archive(dir);
    let compacted = wal(dir, &["compact", "--older-than", "0s"]);
    assert_eq!(compacted.code, 0, "{}", compacted.stderr);
    archive(dir);
    all_of_it(dir, &before, &meanwhile);
    assert_eq!(gateway.stop(), 0);
}

/// Each record once and the duplicate of the first one, though the log has the last of them only.
fn all_of_it(dir: &Path, before: &[Vec<u8>], meanwhile: &[Vec<u8>]) {
    verified(dir);
    let all = rows(dir);
    assert_eq!(all.len(), before.len() + meanwhile.len() + 1);
    let accepted = all.iter().filter(|it| it["disposition"] == "accepted");
    assert_eq!(accepted.count(), before.len() + meanwhile.len());
    for log in logs(dir) {
        assert_eq!(
            (&log["lost"], &log["gaps"]),
            (&Value::Array(vec![]), &Value::Array(vec![]))
        );
    }
    // The log has the last of them only; the archive has the body of each.
    let left = wal(dir, &["export", "--dir", "data/wal"]).json().len();
    assert!(left < all.len(), "{left}");
    let args = ["find", "--from", "place", "--pcs-id", &pcs_id(&before[0])];
    let found = done(dir, &[&args[..], &["--body", "--json"]].concat()).json();
    assert_eq!(found.len(), 2, "the record and its duplicate");
    let first = &found[0];
    assert_eq!(
        first["body"].as_str().unwrap().as_bytes(),
        before[0].trim_ascii()
    );
    assert_eq!(
        (&first["disposition"], &first["log"]),
        (&"accepted".into(), &"1.0".into())
    );
    let snapshots = first["snapshot"].as_u64();
    assert!(
        snapshots.is_some() && first["key_id"].is_string(),
        "{first}"
    );
    let text = done(dir, &args);
    assert!(!text.stdout.contains("merkle_root"), "{}", text.stdout);
}

/// The export is an independent reader of the same logs.
#[test]
fn an_archive_of_any_directory_has_what_an_export_has() {
    for name in ["v1", "v2", "v2_sealed", "v2_packed"] {
        let dir = golden_directory(name);
        let dir = dir.path();
        let ran = command(dir, &["run", "--dir", "data/wal", "--to", "place"]);
        // In all but one the end of a log waits for the next start.
        let code = if name == "v2_packed" { 0 } else { 69 };
        assert_eq!(ran.code, code, "{name}: {}", ran.stderr);
        let place = |row: &Value| ["log", "sequence", "index"].map(|it| row[it].to_string());
        let exported = wal(dir, &["export", "--with-bodies"]).json();
        let counter = |row: &Value| -> u64 {
            let sequence = row["sequence"].as_str().unwrap();
            sequence.split_once(':').unwrap().1.parse().unwrap()
        };
        let mut waits: BTreeMap<String, u64> = BTreeMap::new();
        for row in exported.iter().filter(|it| it["disposition"] == "pending") {
            let first = waits.entry(row["log"].to_string()).or_insert(u64::MAX);
            *first = counter(row).min(*first);
        }
        // What is behind a body without disposition waits with it.
        let is_there = |row: &&Value| {
            let first = waits.get(&row["log"].to_string());
            first.is_none_or(|first| counter(row) < *first)
        };
        let mut expected: Vec<Value> = exported.iter().filter(is_there).cloned().collect();
        let since = ["--since", "1970-01-01T00:00:00Z", "--body", "--json"];
        let mut found = Vec::new();
        for tenant in tenants(&exported) {
            let args = ["find", "--from", "place", "--tenant", &tenant];
            found.extend(command(dir, &[&args[..], &since].concat()).json());
        }
        expected.sort_by_key(place);
        found.sort_by_key(place);
        assert!(!expected.is_empty(), "{name}");
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            for (member, value) in expected.as_object().unwrap() {
                // Erased bodies have their ids from their decisions.
                if member != "pcs_id" || !value.is_null() {
                    assert_eq!(&found[member], value, "{name}: {member}");
                }
            }
        }
        verified(dir);
    }
}

fn tenants(rows: &[Value]) -> BTreeSet<String> {
    let tenants = rows.iter().map(|it| it["tenant"].as_str().unwrap());
    tenants.map(str::to_owned).collect()
}

#[test]
fn an_id_that_is_not_there_ends_with_1_and_a_place_without_an_archive_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start(dir);
    archive(dir);
    assert_eq!(gateway.stop(), 0);
    let id = "0".repeat(64);
    let absent = command(dir, &["find", "--from", "place", "--pcs-id", &id]);
    assert_eq!(absent.code, 1, "{}", absent.stderr);
    fs::create_dir(dir.join("empty")).unwrap();
    for args in [&["find", "--pcs-id", &id][..], &["list"], &["verify"]] {
        let refused = command(dir, &[args, &["--from", "empty"]].concat());
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("flk archive run"),
            "{}",
            refused.stderr
        );
    }
    let mut folders = vec![dir.join("place")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o77, 0, "{entry:?}");
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
}

#[test]
fn a_hold_keeps_what_is_not_archived_and_without_one_the_loss_is_stated() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start(dir);
    let submit = |name: &str| {
        let record = signed_record(dir, name);
        assert_eq!(gateway.submit(dir, &record).code, 0);
        record
    };
    let compact = || {
        let ran = wal(dir, &["compact", "--older-than", "0s"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.json()[0].clone()
    };
    submit("first");
    archive(dir);
    let second = submit("second");
    let compacted = compact();
    assert!(
        compacted["held_segments"].as_u64() >= Some(1),
        "{compacted}"
    );
    archive(dir);
    let args = ["find", "--from", "place", "--pcs-id", &pcs_id(&second)];
    done(dir, &args);
    let hold = wal(dir, &["hold", "list"]).json()[0]["holds"][0].clone();
    assert_eq!(hold["owner"], "flk archive");
    // A run that is behind another one leaves the hold where that has moved it.
    assert_eq!(wal(dir, &["hold", "move", "archive", "1.0:100000"]).code, 0);
    archive(dir);
    // Without the hold what comes next is deleted before a run.
    assert_eq!(wal(dir, &["hold", "drop", "archive"]).code, 0);
    let third = submit("third");
    compact();
    let args = ["run", "--dir", "data/wal", "--to", "place"];
    let told = done(dir, &args);
    assert!(told.stderr.contains("were deleted"), "{}", told.stderr);
    let lost: Vec<Value> = logs(dir)
        .iter()
        .flat_map(|it| it["lost"].as_array().unwrap().clone())
        .collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!(lost[0]["why"], "deleted");
    let args = ["find", "--from", "place", "--pcs-id", &pcs_id(&third)];
    assert_eq!(command(dir, &args).code, 1);
    verified(dir);
    assert_eq!(gateway.stop(), 0);
}

/// Whether the last batch is confirmed is a matter of milliseconds: either it is in the archive, or the run says that it is not.
#[test]
fn a_run_after_kill_9_claims_only_what_it_has_and_one_after_the_next_start_has_all() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start(dir);
    let record = signed_record(dir, "last");
    assert!(gateway.submit(dir, &record).stdout.contains("miss"));
    drop(gateway);
    let run = ["run", "--dir", "data/wal", "--to", "place"];
    let ran = command(dir, &[&run[..], &["--hold", "archive"]].concat());
    assert!(
        ran.stderr.contains("neither made nor moved"),
        "{}",
        ran.stderr
    );
    let find = ["find", "--from", "place", "--pcs-id", &pcs_id(&record)];
    let is_there = command(dir, &find).code == 0;
    let claims = ran.stdout.contains("everything that was acknowledged");
    assert_eq!(claims, is_there, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, if is_there { 0 } else { 69 }, "{}", ran.stderr);
    let says = ran.stderr.contains("nothing says yet") && ran.stderr.contains("start one");
    assert_eq!(says, !is_there, "{}", ran.stderr);
    let gateway = Gateway::start(dir);
    gateway.wait_until_ready();
    archive(dir);
    done(dir, &find);
    verified(dir);
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn a_restored_directory_goes_on_in_the_archive_of_its_former_life() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start(dir);
    assert_eq!(gateway.submit(dir, &signed_record(dir, "early")).code, 0);
    let backup = ["backup", "--dir", "data/wal", "--to", "place"];
    let backed_up = run(
        flk(dir).args([&backup[..], &["--with-secret"]].concat()),
        b"",
    );
    assert_eq!(backed_up.code, 0, "{}", backed_up.stderr);
    assert_eq!(gateway.submit(dir, &signed_record(dir, "late")).code, 0);
    // A backup and an archive may be in one place.
    archive(dir);
    assert_eq!(gateway.stop(), 0);
    fs::rename(dir.join("data/wal"), dir.join("former")).unwrap();
    let restore = [
        "restore", "--from", "place", "--dir", "data/wal", "--verify",
    ];
    let restored = run(flk(dir).args(restore), b"");
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    archive(dir);
    assert_eq!(rows(dir).len(), 2);
    let gateway = Gateway::start(dir);
    assert_eq!(gateway.submit(dir, &signed_record(dir, "later")).code, 0);
    archive(dir);
    assert_eq!(rows(dir).len(), 3);
    assert_eq!(gateway.stop(), 0);
    archive(dir);
    verified(dir);
    let incarnations: BTreeSet<String> = logs(dir)
        .iter()
        .map(|it| it["incarnation"].to_string())
        .collect();
    assert_eq!(incarnations.len(), 2);
}
