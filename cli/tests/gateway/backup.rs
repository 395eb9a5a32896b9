//! `flk backup` and `flk restore` on a directory that a gateway writes: whatever was acknowledged before a backup began is answered by a
//! gateway on what is restored from it.

use super::common::{Ran, flk, run};
use super::{Gateway, signed_record, wal};
use flk_testkit::{DEADLINE, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn command(dir: &Path, args: &[&str]) -> Ran {
    run(flk(dir).args(args), b"")
}

fn done(dir: &Path, args: &[&str]) -> Ran {
    let ran = command(dir, args);
    assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

/// A place beside the directory of a gateway.
fn place(dir: &Path) -> String {
    dir.join("place").display().to_string()
}

fn back_up(dir: &Path) -> Ran {
    done(dir, &["backup", "--dir", "data/wal", "--to", &place(dir)])
}

/// Restores the newest backup into the log directory of another gateway with the same key, and proves it.
fn restored(dir: &Path, args: &[&str]) -> tempfile::TempDir {
    let other = tempfile::tempdir().unwrap();
    fs::create_dir_all(other.path().join("data")).unwrap();
    fs::copy(dir.join("data/dev.key"), other.path().join("data/dev.key")).unwrap();
    let secret = dir.join("data/wal/secret").display().to_string();
    let mut all = vec!["restore", "--from"];
    let from = place(dir);
    all.extend([from.as_str(), "--dir", "data/wal", "--secret-file", &secret]);
    all.extend(["--verify"].iter().chain(args));
    let ran = done(other.path(), &all);
    assert!(ran.stdout.contains("ok: every byte"), "{}", ran.stdout);
    let verified = wal(other.path(), &["verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    other
}

/// A directory in which a gateway took a record and was stopped.
fn served(dir: &Path) {
    let gateway = Gateway::start(dir);
    let record = signed_record(dir, "only");
    assert_eq!(gateway.submit(dir, &record).code, 0);
    assert_eq!(gateway.stop(), 0);
}

fn lines(records: &[Vec<u8>]) -> Vec<u8> {
    records.concat()
}

/// How many of the answers are that.
fn count(ran: &Ran, what: &str) -> usize {
    ran.stdout.lines().filter(|it| it.contains(what)).count()
}

#[test]
fn what_was_acknowledged_before_a_backup_under_load_is_answered_after_a_restore() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let record = |at: usize| signed_record(dir.path(), &format!("shard-{at}"));
    let before: Vec<Vec<u8>> = (0..20).map(record).collect();
    let meanwhile: Vec<Vec<u8>> = (20..60).map(record).collect();
    let sent = gateway.submit(dir.path(), &lines(&before));
    assert_eq!(
        count(&sent, "200 accepted"),
        before.len(),
        "{}",
        sent.stdout
    );
    let load = || {
        for record in &meanwhile {
            assert_eq!(gateway.submit(dir.path(), record).code, 0);
        }
    };
    let backups = || {
        let first = back_up(dir.path());
        assert!(first.stderr.contains("the secret is not in the backup"));
        let compacted = wal(dir.path(), &["compact", "--older-than", "1000h"]);
        assert_eq!(compacted.code, 0, "{}", compacted.stderr);
        back_up(dir.path());
    };
    std::thread::scope(|scope| {
        scope.spawn(load);
        backups();
    });
    for backup in ["1", "2"] {
        let other = restored(dir.path(), &["--backup", backup]);
        let again = Gateway::start(other.path());
        let sent = again.submit(other.path(), &lines(&before));
        assert_eq!(count(&sent, " hit"), before.len(), "{}", sent.stdout);
        let sent = again.submit(other.path(), &lines(&meanwhile));
        assert_eq!(
            count(&sent, "200 accepted"),
            meanwhile.len(),
            "{}",
            sent.stdout
        );
        assert_eq!(again.stop(), 0);
    }
    // What the gateway lost at once with the machine is in neither; what it had acknowledged by the backup is.
    drop(gateway);
    let list = done(
        dir.path(),
        &["backup", "list", "--from", &place(dir.path()), "--json"],
    );
    let listed = list.json();
    assert_eq!(listed.len(), 2);
    assert_eq!(
        (&listed[1]["number"], &listed[1]["secret"]),
        (&2.into(), &"left_out".into())
    );
    assert!(listed[1]["slices"].as_u64() >= Some(1), "{}", listed[1]);
}

#[test]
fn the_last_record_before_kill_9_is_in_a_backup_of_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let record = signed_record(dir.path(), "last");
    assert!(gateway.submit(dir.path(), &record).stdout.contains("miss"));
    drop(gateway);
    back_up(dir.path());
    let other = restored(dir.path(), &[]);
    let again = Gateway::start(other.path());
    let sent = again.submit(other.path(), &record);
    assert!(
        sent.stdout.contains("200 accepted   hit"),
        "{}",
        sent.stdout
    );
    assert_eq!(again.stop(), 0);
    // A backup of the restored directory goes into the same place, and sends what is new only.
    let to = place(dir.path());
    done(other.path(), &["backup", "--dir", "data/wal", "--to", &to]);
    let list = done(dir.path(), &["backup", "list", "--from", &to, "--json"]).json();
    assert_eq!(list.len(), 2);
    assert_ne!(list[0]["incarnation"], list[1]["incarnation"]);
}

#[test]
fn a_gateway_does_not_start_from_a_restore_that_was_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    served(dir.path());
    back_up(dir.path());
    let from = place(dir.path());
    let refused = command(
        dir.path(),
        &["restore", "--from", &from, "--dir", "other/wal"],
    );
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("--secret-file"),
        "{}",
        refused.stderr
    );
    assert!(!dir.path().join("other").exists());
    // As it is left behind the first step.
    let wal_dir = dir.path().join("data/wal");
    let secret = fs::read(wal_dir.join("secret")).unwrap();
    fs::remove_dir_all(&wal_dir).unwrap();
    fs::create_dir(&wal_dir).unwrap();
    fs::write(wal_dir.join("restoring"), "{}").unwrap();
    fs::write(wal_dir.join("secret"), &secret).unwrap();
    let start = command(dir.path(), &["up", "--port", "0"]);
    assert_eq!(start.code, 65, "{}", start.stderr);
    assert!(start.stderr.contains("flk restore"), "{}", start.stderr);
    assert_eq!(fs::read(wal_dir.join("secret")).unwrap(), secret);
    let refused = command(dir.path(), &["backup", "--dir", "data/wal", "--to", &from]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
}

#[test]
fn the_secret_is_in_a_backup_only_where_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    served(dir.path());
    let secret = fs::read(dir.path().join("data/wal/secret")).unwrap();
    let holds_secret = |place: &Path| {
        let mut files = Vec::new();
        for entry in fs::read_dir(place).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            match path.is_dir() {
                true => files.extend(fs::read_dir(path).unwrap().map(|it| it.unwrap().path())),
                false => files.push(path),
            }
        }
        files.iter().any(|it| {
            let bytes = fs::read(it).unwrap();
            bytes.windows(16).any(|window| window == &secret[28..44])
        })
    };
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dataplane/tests/sealed");
    let identity = fixtures.join("first.identity").display().to_string();
    let text = fs::read_to_string(&identity).unwrap();
    let recipient = text
        .lines()
        .find_map(|it| it.strip_prefix("# public key: "))
        .unwrap();
    let cases: [(&str, &[&str], bool, &[&str]); 2] = [
        ("clear", &["--with-secret"], true, &[]),
        (
            "sealed",
            &["--secret-recipient", recipient],
            false,
            &["--age-identity-file", &identity],
        ),
    ];
    for (name, backup, in_clear, restore) in cases {
        let to = dir.path().join(name);
        let text = to.display().to_string();
        let mut args = vec!["backup", "--dir", "data/wal", "--to", &text];
        args.extend(backup);
        let ran = done(dir.path(), &args);
        assert_eq!(ran.stderr.contains("as it is"), in_clear, "{}", ran.stderr);
        assert_eq!(holds_secret(&to), in_clear, "{name}");
        let made = format!("restored-{name}");
        let mut args = vec!["restore", "--from", &text, "--dir", &made, "--verify"];
        args.extend(restore);
        done(dir.path(), &args);
        let restored = fs::read(dir.path().join(&made).join("secret")).unwrap();
        assert_eq!(restored, secret, "{name}");
    }
    back_up(dir.path());
    assert!(!holds_secret(Path::new(&place(dir.path()))));
}

#[test]
fn a_hold_moves_to_the_end_of_each_backup() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let mut ends = Vec::new();
    for name in ["first", "second"] {
        let record = signed_record(dir.path(), name);
        assert_eq!(gateway.submit(dir.path(), &record).code, 0);
        let to = place(dir.path());
        let args = ["backup", "--dir", "data/wal", "--to", &to];
        done(dir.path(), &[&args[..], &["--hold", "nightly"]].concat());
        let listed = done(dir.path(), &["wal", "hold", "list"]).json();
        let hold = listed[0]["holds"][0].clone();
        assert_eq!(
            (&hold["name"], &hold["owner"]),
            (&"nightly".into(), &"flk backup".into())
        );
        let position = hold["done"][0].as_str().unwrap().to_owned();
        let counter = position.rsplit_once(':').unwrap().1.parse::<u64>().unwrap();
        ends.push(counter);
    }
    assert!(0 < ends[0] && ends[0] < ends[1], "{ends:?}");
    assert_eq!(gateway.stop(), 0);
    // Where nothing deletes, nothing is held.
    let to = place(dir.path());
    let args = [
        "backup", "--dir", "data/wal", "--to", &to, "--hold", "weekly",
    ];
    done(dir.path(), &args);
    let listed = done(dir.path(), &["wal", "hold", "list"]).json();
    assert_eq!(listed[0]["holds"].as_array().unwrap().len(), 1);
}

#[test]
fn a_directory_is_restored_as_it_was_at_a_time_or_a_sequence() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let early = signed_record(dir.path(), "early");
    let late = signed_record(dir.path(), "late");
    assert_eq!(gateway.submit(dir.path(), &early).code, 0);
    back_up(dir.path());
    assert_eq!(gateway.submit(dir.path(), &late).code, 0);
    wait_until("the export has both records", DEADLINE, || {
        done(dir.path(), &["wal", "export", "--dir", "data/wal"])
            .json()
            .len()
            == 2
    });
    let rows = done(dir.path(), &["wal", "export", "--dir", "data/wal"]).json();
    // What is shown in milliseconds is the time of a batch, cut off.
    let received = humantime::parse_rfc3339(rows[0]["received"].as_str().unwrap()).unwrap();
    let time = humantime::format_rfc3339_millis(received + Duration::from_millis(1)).to_string();
    let sequence = rows[0]["sequence"].as_str().unwrap().to_owned();
    let log = rows[0]["log"].as_str().unwrap().to_owned();
    // Each alone in its batch, so that the segment is worth packing.
    for number in 0..30 {
        let record = signed_record(dir.path(), &format!("later-{number}"));
        assert_eq!(gateway.submit(dir.path(), &record).code, 0);
    }
    // The second backup has all records in a slice, and the cut is within a packed segment: slices of the first one are needed.
    let compacted = wal(dir.path(), &["compact", "--older-than", "1000h"]);
    assert_eq!(compacted.code, 0, "{}", compacted.stderr);
    let packed = "\"packed_segments\":1";
    assert!(compacted.stdout.contains(packed), "{}", compacted.stdout);
    back_up(dir.path());
    assert_eq!(gateway.stop(), 0);
    let cuts = [
        vec!["--to-time".to_owned(), time],
        vec!["--to-sequence".to_owned(), format!("{log}:{sequence}")],
    ];
    for cut in &cuts {
        let cut: Vec<&str> = cut.iter().map(String::as_str).collect();
        let other = restored(dir.path(), &cut);
        let again = Gateway::start(other.path());
        let sent = again.submit(other.path(), &early);
        assert!(sent.stdout.contains("hit"), "{cut:?}: {}", sent.stdout);
        let sent = again.submit(other.path(), &late);
        assert!(sent.stdout.contains("miss"), "{cut:?}: {}", sent.stdout);
        assert_eq!(again.stop(), 0);
    }
    // Without the first backup nothing can be cut there.
    let place = PathBuf::from(place(dir.path()));
    let folder = fs::read_dir(&place).unwrap().map(|it| it.unwrap().path());
    let folder = folder.into_iter().find(|it| it.is_dir()).unwrap();
    fs::remove_file(folder.join("backup-00000001.json")).unwrap();
    let refused = command(
        dir.path(),
        &[
            "restore",
            "--from",
            &place.display().to_string(),
            "--verify",
            cuts[0][0].as_str(),
            &cuts[0][1],
        ],
    );
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("slices hold"), "{}", refused.stderr);
}

#[test]
fn old_backups_are_pruned_the_newest_restored_and_successes_written_as_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let place = place(dir.path());
    let metrics = ["--metrics-file", "backup.prom"];
    let number = |file: &str, name: &str| {
        let page = fs::read_to_string(dir.path().join(file)).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().parse::<f64>().ok())
            .unwrap()
    };
    let mut taken = Vec::new();
    for at in 0..3 {
        let record = signed_record(dir.path(), &format!("shard-{at}"));
        assert_eq!(gateway.submit(dir.path(), &record).code, 0);
        let mut args = vec!["backup", "--dir", "data/wal", "--to", &place];
        args.extend(metrics);
        done(dir.path(), &args);
        taken.push(number("backup.prom", "flk_backup_taken_timestamp_seconds"));
    }
    assert!(taken.is_sorted() && taken[0] < taken[2], "{taken:?}");
    let prune = ["backup", "prune", "--from", &place, "--keep-within", "0s"];
    let asked = done(
        dir.path(),
        &[&prune[..], &["--keep-weekly", "0", "--dry-run"]].concat(),
    );
    assert!(
        asked.stdout.contains("would remove 2 backups"),
        "{}",
        asked.stdout
    );
    let kept = done(dir.path(), &[&prune[..], &["--keep-weekly", "1"]].concat());
    assert!(
        kept.stdout.contains("removed 2 backups"),
        "one a week: {}",
        kept.stdout
    );
    assert!(kept.stdout.contains("1 backup left"), "{}", kept.stdout);
    let other = restored(dir.path(), &["--metrics-file", "verify.prom"]);
    let page = fs::read_to_string(other.path().join("verify.prom")).unwrap();
    assert!(
        page.contains("flk_backup_verified_timestamp_seconds "),
        "{page}"
    );
    assert_eq!(gateway.stop(), 0);
    let again = Gateway::start(other.path());
    for at in 0..3 {
        let record = signed_record(dir.path(), &format!("shard-{at}"));
        let sent = again.submit(other.path(), &record);
        assert_eq!(count(&sent, " hit"), 1, "{}", sent.stdout);
    }
    assert_eq!(again.stop(), 0);
}
