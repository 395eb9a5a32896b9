//! Every exit code that a help text promises, produced: what is documented and what happens are one list.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "exit_codes/archives.rs"]
mod archives;
#[path = "exit_codes/bench.rs"]
mod bench;
#[path = "common/cases.rs"]
mod cases;
mod common;
#[path = "common/gateway.rs"]
mod gateway;
#[path = "exit_codes/holds.rs"]
mod holds;
#[path = "common/keeper.rs"]
mod keeper;
#[path = "exit_codes/places.rs"]
mod places;
#[path = "common/server.rs"]
mod server;

use cases::{Cases, KEY, assert_plain};
use common::{codes, flk, golden, golden_bytes, golden_directory, run};
use flk_testkit::child::{Signal, signal, start};
use flk_testkit::{DEADLINE, wait_until};
use gateway::Gateway;
use keeper::Keeper;
use server::{Server, problem};
use sha2::Digest;
use std::fs::File;
use std::io::Write;
use std::path::Path;

fn built() -> Vec<u8> {
    let mut build = flk(Path::new("."));
    build
        .args(["pcs", "build"])
        .arg(golden("events/sample.csv"));
    run(&mut build, b"").stdout.into_bytes()
}

fn signed() -> Vec<u8> {
    let mut sign = flk(Path::new("."));
    sign.args(["pcs", "sign"]).env("PCS_HMAC_KEY", KEY);
    run(&mut sign, &built()).stdout.into_bytes()
}

#[test]
fn what_builds_signs_and_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let events = golden_bytes("events/sample.csv");
    let mut build = Cases::of(&["pcs", "build"]);
    build.check(0, dir, &[], &events);
    build.check(2, dir, &[], b"");
    build.check(2, dir, &[], b"1,2,three,4");
    build.check(2, dir, &[], b"1,2,\xff,4");
    build.check(2, dir, &["absent.csv"], b"");
    build.check(2, dir, &["."], b"");
    build.check(2, dir, &["--seed", "x"], &events);
    build.check_full(dir, &[], &events);
    build.end(&[]);

    let mut sign = Cases::of(&["pcs", "sign"]);
    sign.check(0, dir, &[], &built());
    sign.check(1, dir, &[], b"{}");
    sign.check(2, dir, &[], b"");
    sign.check(2, dir, &["--key-file", "absent"], b"{}");
    sign.check(2, dir, &["--key-file", "."], b"{}");
    sign.check(2, dir, &["--alg", "md5"], b"{}");
    sign.check_full(dir, &[], &built());
    sign.end(&[]);

    let mut verify = Cases::of(&["pcs", "verify"]);
    verify.check(0, dir, &[], &signed());
    verify.check(1, dir, &[], b"{}");
    verify.check(1, dir, &[], b"{\"pcs_id\":");
    verify.check(2, dir, &[], b"\n");
    verify.check(2, dir, &["--body-max", "2MiB"], &signed());
    verify.check_full(dir, &[], &signed());
    verify.end(&[]);
}

#[test]
fn help_that_cannot_be_written_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let mut cases = Cases::of(&[]);
    for args in [
        &["--help"][..],
        &["--version"],
        &["help", "wal"],
        &["up", "--help"],
        &["pcs", "submit", "--help"],
        &["wal", "verify", "-h"],
    ] {
        cases.check_full(dir.path(), args, b"");
    }
}

/// As in the gateway, so that a unit file may blank a variable.
#[test]
fn an_empty_variable_counts_as_not_set() {
    let dir = golden_directory("v1");
    let server = Server::answering(|_, _| problem(400, "malformed_json", ""));
    for (name, args, code) in [
        ("FLK_BODY_MAX", &["pcs", "verify"][..], 1),
        ("WAL_DIR", &["wal", "inspect", "--limit", "0"], 0),
        ("FLK_URL", &["pcs", "submit", "--url", &server.url()], 1),
    ] {
        let mut command = flk(dir.path());
        command.args(args).env(name, "").env("PCS_HMAC_KEY", KEY);
        let ran = run(&mut command, b"{}");
        assert_eq!(ran.code, code, "{name}: {}", ran.stderr);
    }
    // nothing need listen where the default says
    let mut command = flk(dir.path());
    command.args(["pcs", "submit", "--attempts", "1", "--timeout", "1s"]);
    let ran = run(command.env("FLK_URL", ""), b"{}");
    let said = ran.stderr;
    assert!(said.contains("to http://127.0.0.1:8080/v1"), "{said}");
}

/// What is wrong with a value is said in words of the option, without a tip that does not help.
#[test]
fn a_wrong_value_is_named_with_its_option() {
    let dir = golden_directory("v1");
    for (args, option) in [
        (&["pcs", "build", "--epoch", "-1"][..], "--epoch"),
        (&["pcs", "build", "--m", "-1"], "--m"),
        (&["pcs", "submit", "--attempts", "-1"], "--attempts"),
        (&["wal", "inspect", "--status", "-1"], "--status"),
        (&["wal", "inspect", "--log", "9.9"], "--log 9.9"),
        (&["wal", "inspect", "--pcs-id", "XYZ"], "--pcs-id"),
        (&["wal", "inspect", "--pcs-id", ""], "--pcs-id"),
    ] {
        let ran = run(flk(dir.path()).args(args), b"");
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(option), "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("tip:"), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
}

#[test]
fn what_sends() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start(dir);
    let url = gateway.url.clone();
    let url = url.as_str();
    let mut submit = Cases::of(&["pcs", "submit"]);
    let mut sign = flk(dir);
    let signed = run(sign.args(["pcs", "sign"]), &built());
    let record = signed.stdout.as_bytes();
    submit.check(0, dir, &["--attempts", "12", "--url", url], record);
    submit.check(1, dir, &["--url", url], &built());
    submit.check(2, dir, &["--url", url], b"");
    submit.check(2, dir, &["--url", "http://127.0.0.1:99999"], record);
    submit.check_full(dir, &["--url", url], record);
    assert_eq!(gateway.stop(), 0);
    submit.check(69, dir, &["--url", url, "--attempts", "1"], record);
    let slow = Server::answering(|_, _| problem(503, "starting", "Retry-After: 60\r\n"));
    let mut child = start(&mut submit.command(dir, &["--url", &slow.url()]));
    child.stdin.take().unwrap().write_all(record).unwrap();
    wait_until("a request", DEADLINE, || !slow.requests().is_empty());
    signal(&child, Signal::INT);
    let ran = child.wait_with_output().unwrap();
    assert_eq!(ran.status.code(), Some(130));
    submit.seen.insert(130);
    submit.end(&[]);
}

/// A directory with a log, and the segments' names.
fn log_directory() -> (tempfile::TempDir, Vec<String>) {
    let dir = golden_directory("v1");
    let mut names: Vec<String> = std::fs::read_dir(dir.path().join("data/wal"))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .filter(|it| it.starts_with("segment-"))
        .collect();
    names.sort();
    (dir, names)
}

fn harm(dir: &Path, name: &str) {
    let path = dir.join("data/wal").join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Makes the manifest one of the next format, with a checksum that is right.
fn of_a_newer_format(dir: &Path) {
    let path = dir.join("data/wal/manifest");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = u8::MAX;
    let covered = bytes.len() - 4;
    let checksum = crc32c::crc32c(&bytes[..covered]);
    bytes[covered..].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_reads_a_log() {
    for words in [&["wal", "inspect"], &["wal", "verify"]] {
        let mut cases = Cases::of(words);
        let (dir, _) = log_directory();
        cases.check(0, dir.path(), &[], b"");
        cases.check_full(dir.path(), &["--json"], b"");
        cases.check(2, dir.path(), &["--dir", "absent"], b"");
        cases.check(2, dir.path(), &["--dir", "data/wal/manifest"], b"");
        cases.check(2, dir.path(), &["--nonsense"], b"");
        harm(dir.path(), "manifest");
        cases.check(65, dir.path(), &[], b"");
        if *words == ["wal", "verify"] {
            let (dir, _) = log_directory();
            std::fs::remove_file(dir.path().join("data/wal/secret")).unwrap();
            cases.check(65, dir.path(), &[], b"");
        }
        let (dir, _) = log_directory();
        of_a_newer_format(dir.path());
        cases.check(78, dir.path(), &[], b"");
        // 69 needs a gateway that replaces its manifest within each of many short moments
        cases.end(&[69]);
    }
}

#[test]
fn what_reads_stored_bodies() {
    let long_ago = ["--until", "2000-01-01T00:00:00Z"];
    for words in [&["wal", "replay"], &["wal", "export"]] {
        let mut cases = Cases::of(words);
        let (dir, _) = log_directory();
        cases.check(0, dir.path(), &long_ago, b"");
        if *words == ["wal", "replay"] {
            cases.check(1, dir.path(), &[], b"");
            cases.check(2, dir.path(), &["--key-file", "absent"], b"");
            cases.check(2, dir.path(), &["--config", "absent"], b"");
            std::fs::write(dir.path().join("wrong.toml"), "nonsense = 1\n").unwrap();
            cases.check(78, dir.path(), &["--config", "wrong.toml"], b"");
        }
        cases.check_full(dir.path(), &[], b"");
        cases.check(2, dir.path(), &["--dir", "absent"], b"");
        cases.check(2, dir.path(), &["--dir", "data/wal/manifest"], b"");
        cases.check(2, dir.path(), &["--since", "yesterday"], b"");
        harm(dir.path(), "manifest");
        cases.check(65, dir.path(), &[], b"");
        let (dir, _) = log_directory();
        of_a_newer_format(dir.path());
        cases.check(78, dir.path(), &[], b"");
        // 69 needs a gateway that replaces its manifest within each of many short moments
        cases.end(&[69]);
    }
}

#[test]
fn what_backs_up() {
    let mut backup = Cases::of(&["backup"]);
    let (dir, names) = log_directory();
    let path = dir.path();
    backup.check(0, path, &TO_A_PLACE, b"");
    // 69 needs a store that does not answer for a minute
    copies_to_a_place(&mut backup, path, &names[0]);
    backup.end(&[69]);
}

const TO_A_PLACE: [&str; 4] = ["--dir", "data/wal", "--to", "place"];

/// What a command refuses that copies a log directory to a place; a file of the directory is harmed for the last case.
fn copies_to_a_place(command: &mut Cases, path: &Path, file: &str) {
    command.check_full(path, &TO_A_PLACE, b"");
    command.check(2, path, &[], b"");
    command.check(2, path, &["--to", "gs://bucket/x"], b"");
    command.check(2, path, &["--dir", "absent", "--to", "place"], b"");
    command.check(2, path, &["--dir", "data/wal", "--to", "data/wal/x"], b"");
    command.check(74, path, &["--dir", "data/wal", "--to", "data/dev/x"], b"");
    let (newer, _) = log_directory();
    of_a_newer_format(newer.path());
    command.check(78, newer.path(), &TO_A_PLACE, b"");
    harm(path, file);
    std::fs::remove_dir_all(path.join("place")).unwrap();
    command.check(65, path, &TO_A_PLACE, b"");
}

#[test]
fn what_reads_backups() {
    let (dir, _) = log_directory();
    let path = dir.path();
    let made = run(
        flk(path).args(["backup", "--dir", "data/wal", "--to", "place"]),
        b"",
    );
    assert_eq!(made.code, 0, "{}", made.stderr);
    let from = ["--from", "place"];
    let mut list = Cases::of(&["backup", "list"]);
    list.check(0, path, &from, b"");
    list.check(1, path, &[&from[..], &["--older-than", "1d"]].concat(), b"");
    list.check_full(path, &from, b"");
    list.check(2, path, &["--from", "absent"], b"");
    let mut restore = Cases::of(&["restore"]);
    let verify = [&from[..], &["--verify"]].concat();
    let secret = ["--dir", "restored", "--secret-file", "data/wal/secret"];
    restore.check(0, path, &verify, b"");
    restore.check(0, path, &[&from[..], &secret].concat(), b"");
    restore.check(2, path, &[&from[..], &secret].concat(), b"");
    restore.check(2, path, &from, b"");
    restore.check(2, path, &[&from[..], &["--dir", "other"]].concat(), b"");
    restore.check(2, path, &[&verify[..], &["--backup", "7"]].concat(), b"");
    restore.check(
        2,
        path,
        &[&verify[..], &["--to-sequence", "9.0:1"]].concat(),
        b"",
    );
    restore.check(
        74,
        path,
        &[
            &from[..],
            &["--dir", "data/dev/x", "--secret-file", "data/wal/secret"],
        ]
        .concat(),
        b"",
    );
    restore.check_full(path, &verify, b"");
    std::fs::create_dir(path.join("busy")).unwrap();
    let marker = File::create(path.join("busy/restoring")).unwrap();
    rustix::fs::flock(&marker, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let busy = ["--dir", "busy", "--secret-file", "data/wal/secret"];
    restore.check(69, path, &[&from[..], &busy].concat(), b"");
    let folder = std::fs::read_dir(path.join("place")).unwrap();
    let mut folders = folder.map(|it| it.unwrap().path()).filter(|it| it.is_dir());
    let folder = folders.next().unwrap();
    let index = folder.join("backup-00000001.json");
    let whole = std::fs::read(&index).unwrap();
    std::fs::write(&index, &whole[1..]).unwrap();
    list.check(65, path, &from, b"");
    restore.check(65, path, &verify, b"");
    let newer = String::from_utf8(whole).unwrap();
    let json = newer
        .lines()
        .next()
        .unwrap()
        .replace("\"format\":1", "\"format\":2");
    let sum = sha2::Sha256::digest(&json);
    std::fs::write(&index, format!("{json}\n{}\n", flk_testkit::hex::hex(&sum))).unwrap();
    list.check(78, path, &from, b"");
    restore.check(78, path, &verify, b"");
    // 69 of a list needs a store that does not answer for a minute
    list.end(&[69]);
    restore.end(&[]);
}

/// The gateway's own codes are those of its table; these ends come before it.
#[test]
fn a_gateway_that_cannot_have_its_directory_says_so_in_plain_words() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), b"").unwrap();
    std::fs::create_dir_all(dir.path().join("data/dev.key")).unwrap();
    let mut up = Cases::of(&["up"]);
    up.check(2, dir.path(), &["--data", "file/data"], b"");
    let ran = run(flk(dir.path()).arg("up"), b"");
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("it is a directory"), "{}", ran.stderr);
    assert_plain(&ran.stderr);
}

#[test]
fn what_changes_a_log() {
    let mut quarantine = Cases::of(&["wal", "quarantine"]);
    let (dir, names) = log_directory();
    let path = dir.path();
    let name = names[0].as_str();
    quarantine.check(2, path, &["segment-00000000000000ff.wal"], b"");
    quarantine.check(2, path, &["--dir", "absent", name], b"");
    harm(path, name);
    quarantine.check(0, path, &[name], b"");
    quarantine.check_full(path, &[name], b"");
    harm(path, "manifest");
    quarantine.check(65, path, &[name], b"");
    let (newer, _) = log_directory();
    of_a_newer_format(newer.path());
    quarantine.check(2, newer.path(), &[name], b"");
    let serving = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(serving.path());
    // it answers once it holds the directory
    assert_eq!(gateway.submit(serving.path(), &built()).code, 1);
    let first = "segment-0000000000000000.wal";
    quarantine.check(69, serving.path(), &[first, "--accept-loss"], b"");
    quarantine.end(&[]);
    assert_eq!(gateway.stop(), 0);

    let mut compact = Cases::of(&["wal", "compact"]);
    let (dir, _) = log_directory();
    let path = dir.path();
    compact.check(0, path, &["--dry-run"], b"");
    compact.check_full(path, &["--dry-run"], b"");
    compact.check(2, path, &["--dir", "absent"], b"");
    compact.check(2, path, &["--older-than", "99999d"], b"");
    compact.check(2, path, &["--timeout", "0s"], b"");
    harm(path, "manifest");
    compact.check(65, path, &["--dry-run"], b"");
    let silent = Keeper::silent();
    compact.check(69, silent.path(), &["--timeout", "50ms"], b"");
    compact.end(&[]);
}

#[test]
fn what_asks_a_serving_gateway() {
    for (words, more) in [
        (&["wal", "status"], &[][..]),
        (&["wal", "release-clock"], &[]),
        (&["wal", "pin"], &[]),
        (&["wal", "unpin"], &["7"]),
    ] {
        let mut cases = Cases::of(words);
        let yes = Keeper::saying("ok {}\n");
        cases.check(0, yes.path(), more, b"");
        cases.check_full(yes.path(), more, b"");
        cases.check(1, Keeper::saying("error no\n").path(), more, b"");
        let quickly = [more, &["--timeout", "50ms"]].concat();
        cases.check(69, Keeper::silent().path(), &quickly, b"");
        cases.check(69, Keeper::dripping().path(), &quickly, b"");
        cases.check(69, Keeper::full().path(), &quickly, b"");
        cases.check(69, Keeper::saying("").path(), more, b"");
        let dir = tempfile::tempdir().unwrap();
        cases.check(69, dir.path(), more, b"");
        cases.check(2, dir.path(), &[more, &["--timeout", "0s"]].concat(), b"");
        cases.end(&[]);
    }
}

#[test]
fn the_programs_own_help_knows_every_code_of_its_commands() {
    let help = |words: &[&str]| run(flk(Path::new(".")).args(words).arg("--help"), b"").stdout;
    assert_eq!(codes(&help(&[])), [0, 1, 2, 65, 69, 74, 78, 130]);
}

#[test]
fn the_control_process_ends_for_wrong_arguments_as_its_help_says() {
    let dir = tempfile::tempdir().unwrap();
    let help = run(flk(dir.path()).args(["control", "run", "--help"]), b"");
    assert!(codes(&help.stdout).contains(&64), "{help:?}");
    for wrong in [&["--no-such"][..], &["--dataplane", "here"], &["more"]] {
        for format in ["text", "json"] {
            let mut command = flk(dir.path());
            command.args(["control", "run"]).args(wrong);
            let ran = run(command.env("LOG_FORMAT", format), b"");
            assert_eq!(ran.code, 64, "{ran:?}");
            assert!(ran.stderr.contains(wrong[0]), "{ran:?}");
            let is_object = ran.stderr.starts_with("{\"time\":");
            assert_eq!(is_object, format == "json", "{ran:?}");
        }
    }
}
