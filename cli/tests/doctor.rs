//! `flk doctor` as a process: what it prints, and how it ends.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{flk, run};
use flk_testkit::process::Process;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

const KEY: &str = "a planted secret that no finding may show";

/// The findings of a host, each by its name.
fn findings(command: &mut Command) -> (i32, Vec<Value>) {
    let ran = run(command.args(["doctor", "--output", "json"]), b"");
    assert_eq!(ran.stderr, "");
    assert!(!ran.stdout.contains(KEY), "{}", ran.stdout);
    (ran.code, ran.json())
}

fn one<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    let found = findings.iter().find(|it| it["check"] == check);
    found.unwrap_or_else(|| panic!("{check}: {findings:?}"))
}

fn with_key(dir: &Path) -> Command {
    let mut command = flk(dir);
    command.env("PCS_HMAC_KEY", KEY).env("PORT", "0");
    command
}

#[test]
fn every_finding_says_what_was_found_and_what_to_change() {
    let dir = tempfile::tempdir().unwrap();
    let (code, findings) = findings(&mut with_key(dir.path()));
    assert_eq!(code, 0, "{findings:?}");
    for check in [
        "configuration",
        "cpus",
        "smt",
        "numa",
        "memory",
        "kernel",
        "io_uring",
        "memlock",
        "open files",
        "landlock",
        "directory",
        "file system",
        "log writes",
        "flush",
        "power loss",
        "free space",
        "inodes",
        "port",
        "listen queue",
        "clock",
    ] {
        assert!(!one(&findings, check)["found"].as_str().unwrap().is_empty());
    }
    for finding in &findings {
        let is_good = finding["level"] == "OK";
        assert_eq!(finding["needed"].is_null(), is_good, "{finding}");
        assert_eq!(
            finding["fix"].as_object().unwrap().is_empty(),
            is_good,
            "{finding}"
        );
    }
    assert_eq!(one(&findings, "configuration")["level"], "OK");
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "it leaves nothing"
    );
}

#[test]
fn a_setting_that_a_gateway_refuses_is_a_failure_and_the_other_checks_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (code, findings) = findings(with_key(dir.path()).env("DEDUP_TTL", "soon"));
    assert_eq!(code, 1);
    let configuration = one(&findings, "configuration");
    assert_eq!(configuration["level"], "FAIL");
    assert!(
        configuration["found"]
            .as_str()
            .unwrap()
            .contains("DEDUP_TTL=soon")
    );
    assert!(findings.len() > 15);
}

#[test]
fn a_missing_key_is_a_warning_which_strict_ends_with_one() {
    let dir = tempfile::tempdir().unwrap();
    let plain = run(flk(dir.path()).env("PORT", "0").arg("doctor"), b"");
    assert_eq!(plain.code, 0, "{}", plain.stdout);
    assert!(
        plain.stdout.contains("WARN  configuration"),
        "{}",
        plain.stdout
    );
    let last = plain.stdout.lines().last().unwrap();
    assert!(
        last.contains(" checks, ") && last.contains("warning"),
        "{last}"
    );
    let strict = run(
        flk(dir.path())
            .env("PORT", "0")
            .args(["doctor", "--strict"]),
        b"",
    );
    assert_eq!(strict.code, 1);
}

#[test]
fn too_few_open_files_are_a_failure_with_the_line_for_each_place() {
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_flk");
    let mut command = Command::new("sh");
    command.current_dir(dir.path());
    command
        .env("PCS_HMAC_KEY", KEY)
        .env("PORT", "0")
        .env("FLK_CORES", "1");
    command.args(["-c", &format!("ulimit -n 24 && exec {program} doctor")]);
    let ran = run(&mut command, b"");
    assert_eq!(ran.code, 1, "{} {}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("FAIL  open files     a limit of 24"),
        "{}",
        ran.stdout
    );
    for line in [
        "ulimit -Hn 65536",
        "LimitNOFILE=65536",
        "soft: 65536",
        "containerd",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
}

/// The lowest limit of open files that a program says it needs, where it has 24.
fn files_needed(dir: &Path, arguments: &str, before: &str, behind: char) -> u64 {
    let program = env!("CARGO_BIN_EXE_flk");
    let mut command = Command::new("sh");
    command.current_dir(dir).env("PCS_HMAC_KEY", KEY);
    command.env("PORT", "0").env("FLK_CORES", "1");
    command.args(["-c", &format!("ulimit -n 24 && exec {program} {arguments}")]);
    let ran = run(&mut command, b"");
    let said = ran.stdout + &ran.stderr;
    let (_, rest) = said.split_once(before).unwrap_or_else(|| panic!("{said}"));
    let (number, _) = rest.trim_start().split_once(behind).unwrap();
    number.parse().unwrap()
}

#[test]
fn as_many_open_files_are_needed_as_a_start_says() {
    let dir = tempfile::tempdir().unwrap();
    let of_start = files_needed(dir.path(), "up --no-control", "need at least ", ':');
    let found = "a limit of 24\n        needed ";
    assert_eq!(files_needed(dir.path(), "doctor", found, ' '), of_start);
}

/// Gives this directory, and the program that is run in it, to a user without any rights.
fn as_nobody(dir: &Path, arguments: &[&str], port: &str) -> Command {
    const NOBODY: u32 = 65_534;
    let mut command = flk(dir);
    command.args(arguments).uid(NOBODY).gid(NOBODY);
    command.env("PCS_HMAC_KEY", KEY).env("FLK_CORES", "1");
    command.env("PORT", port).env("WAL_DIR", "data/wal");
    command
}

#[test]
fn the_user_of_a_gateway_is_told_that_the_port_is_the_gateways() {
    let dir = tempfile::tempdir().unwrap();
    let all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(dir.path(), all).unwrap();
    let mut up = as_nobody(dir.path(), &["up", "--no-control"], "0");
    up.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let Ok(mut gateway) = Process::start(up) else {
        return flk_testkit::skipped(
            "the port of a gateway of another user: only root can start one",
        );
    };
    gateway.wait_until_said(" wal inspect");
    let said = gateway.said();
    let (_, rest) = said.split_once("listens on http://127.0.0.1:").unwrap();
    let port = rest.lines().next().unwrap();
    let mut doctor = as_nobody(dir.path(), &["doctor", "--output", "json"], port);
    let found = run(&mut doctor, b"").json();
    let mut elsewhere = as_nobody(dir.path(), &["doctor", "--output", "json"], port);
    let other = run(elsewhere.env("WAL_DIR", "other/wal"), b"").json();
    let pid = gateway.id().to_string();
    gateway.kill();
    let found = one(&found, "port");
    assert_eq!(found["level"], "OK", "{found}");
    assert!(found["found"].as_str().unwrap().contains(&pid), "{found}");
    assert_eq!(one(&other, "port")["level"], "FAIL");
}

#[test]
fn a_directory_that_cannot_be_one_and_a_taken_port_are_failures() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut command = with_key(dir.path());
    let (code, findings) = findings(command.env("WAL_DIR", "file").env("PORT", &port));
    assert_eq!(code, 1);
    assert_eq!(one(&findings, "directory")["level"], "FAIL");
    let taken = one(&findings, "port");
    assert_eq!(taken["level"], "FAIL");
    let id = std::process::id().to_string();
    assert!(taken["found"].as_str().unwrap().contains(&id), "{taken}");
}

/// Standard output is a pipe, which has no length.
#[test]
fn where_no_file_may_be_as_long_as_a_segment_doctor_and_start_name_the_limit() {
    let program = env!("CARGO_BIN_EXE_flk");
    for (kilobytes, arguments, code, said) in [
        (
            0,
            "doctor",
            1,
            "FAIL  directory      data/wal: this process may make no file",
        ),
        (0, "up --no-control", 74, "ulimit -f"),
        (1024, "up --no-control", 74, "ulimit -f"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("ulimit -f {kilobytes} && exec {program} {arguments}");
        let mut command = Command::new("bash");
        command.current_dir(dir.path()).args(["-c", &script]);
        command.env("PCS_HMAC_KEY", KEY).env("PORT", "0");
        let ran = run(command.env("FLK_CORES", "1"), b"");
        assert_eq!(ran.code, code, "{arguments}: {} {}", ran.stdout, ran.stderr);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains(said), "{arguments}: {all}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = with_key(dir.path());
    let full = std::fs::File::create("/dev/full").unwrap();
    let ended = command.arg("doctor").stdout(full).output().unwrap();
    assert_eq!(ended.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("no space is left"));
}
