//! A second user who may read: what members of WAL_DIR_GROUP can do with the directory and the gateway, and what they cannot.

use crate::common::{Ran, flk, run};
use crate::gateway::{Gateway, up};
use crate::signed_record;
use flk_testkit::skipped;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Numbers that no account of this machine should have.
const GROUP: u32 = 54_321;
const READER: u32 = 54_322;
const STRANGER: u32 = 54_323;

fn let_through(path: &Path) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Whether processes of other users can be started here, and can start the program.
fn can_be_others(dir: &Path) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    let started = is_root && as_user(dir, READER, GROUP, &["--version"]).is_some();
    if !started {
        skipped("a second user: needs root, and a program that other users may start");
    }
    started
}

/// The program, run by another user; nothing if that user cannot start it.
fn as_user(dir: &Path, uid: u32, gid: u32, args: &[&str]) -> Option<Ran> {
    let mut command = flk(dir);
    command.args(args).uid(uid).gid(gid);
    let can_start = command.output().is_ok();
    can_start.then(|| run(&mut command, b""))
}

fn mode(path: &Path) -> (u32, u32) {
    let found = path.metadata().unwrap();
    (found.mode() & 0o777, found.gid())
}

/// A gateway whose directory the group may read; none where this process cannot be other users.
fn served_to_the_group(dir: &Path) -> Option<Gateway> {
    let_through(dir);
    if !can_be_others(dir) {
        return None;
    }
    let group = GROUP.to_string();
    let gateway = Gateway::start_with(dir, &[("WAL_DIR_GROUP", &group)]);
    let_through(&dir.join("data"));
    Some(gateway)
}

#[test]
fn members_of_the_group_read_the_log_and_hold_segments_and_others_do_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(gateway) = served_to_the_group(dir.path()) else {
        return;
    };
    for at in 0..3 {
        let record = signed_record(dir.path(), &format!("shard-{at}"));
        assert_eq!(gateway.submit(dir.path(), &record).code, 0);
    }
    let wal = dir.path().join("data/wal");
    let member = |args: &[&str]| as_user(dir.path(), READER, GROUP, args).unwrap();
    for reading in [
        &["wal", "verify"][..],
        &["wal", "inspect"],
        &["wal", "export"],
        &["wal", "status"],
        &["wal", "hold", "set", "backup", "--owner", "the reader"],
        &["wal", "hold", "move", "backup", "1.0:1"],
        &["wal", "hold", "list"],
    ] {
        let ran = member(reading);
        assert_eq!(ran.code, 0, "{reading:?}: {} {}", ran.stdout, ran.stderr);
    }
    let key = std::fs::read_to_string(dir.path().join("data/dev.key")).unwrap();
    let mut replay = flk(dir.path());
    replay.args(["wal", "replay"]).uid(READER).gid(GROUP);
    let replayed = run(replay.env("PCS_HMAC_KEY", key.trim_end()), b"");
    assert_eq!(replayed.code, 0, "{} {}", replayed.stdout, replayed.stderr);
    assert!(
        replayed.stdout.contains("3 as stored"),
        "{}",
        replayed.stdout
    );
    for changing in [
        &["wal", "pin"][..],
        &["wal", "release-clock"],
        &["wal", "compact", "--older-than", "0s"],
    ] {
        let ran = member(changing);
        assert_eq!(ran.code, 1, "{changing:?}: {} {}", ran.stdout, ran.stderr);
        let needs = format!("members of group {GROUP} (WAL_DIR_GROUP)");
        assert!(ran.stderr.contains(&needs), "{}", ran.stderr);
    }
    let looked_up = member(&["dedup", "get", &"0".repeat(64)]);
    assert_eq!(looked_up.code, 74, "{}", looked_up.stderr);
    let why = "only the user of the gateway may read it";
    assert!(looked_up.stderr.contains(why), "{}", looked_up.stderr);

    let stranger = |args: &[&str]| as_user(dir.path(), STRANGER, STRANGER, args).unwrap();
    for args in [&["wal", "status"][..], &["wal", "verify"]] {
        assert_ne!(stranger(args).code, 0, "{args:?}");
    }
    assert_modes(&wal);
    assert_eq!(gateway.stop(), 0);
    assert_modes(&wal);
    for reading in [&["wal", "verify"][..], &["wal", "hold", "list"]] {
        let ran = member(reading);
        assert_eq!(ran.code, 0, "{reading:?}: {}", ran.stderr);
    }
}

/// Every file is the group's to read, but those of the owner alone.
fn assert_modes(wal: &Path) {
    assert_eq!(mode(wal), (0o750, GROUP));
    let mut segments = 0;
    for entry in std::fs::read_dir(wal).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let expected = match name {
            "keeper.sock" => Some(0o660),
            "manifest" => Some(0o640),
            _ if name.starts_with("segment-") || name.starts_with("slice-") => Some(0o640),
            _ => None,
        };
        segments += usize::from(name.starts_with("segment-"));
        match expected {
            Some(expected) => assert_eq!(mode(&path), (expected, GROUP), "{name}"),
            None => assert_eq!(mode(&path).0 & 0o077, 0, "{name}"),
        }
    }
    assert!(segments > 0);
}

/// The kernel tells supplementary groups of a client, too.
#[test]
fn a_member_by_a_supplementary_group_is_a_member() {
    let dir = tempfile::tempdir().unwrap();
    let Some(gateway) = served_to_the_group(dir.path()) else {
        return;
    };
    let sent = gateway.submit(dir.path(), &signed_record(dir.path(), "one"));
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    let ask = |groups: &str, verb: &str| {
        let mut command = Command::new("setpriv");
        command
            .current_dir(dir.path())
            .args(["--reuid=54322", "--regid=54322", groups])
            .args([env!("CARGO_BIN_EXE_flk"), "wal", verb]);
        command.output()
    };
    let member = format!("--groups={GROUP}");
    let Ok(status) = ask(&member, "status") else {
        return skipped("supplementary groups of a client: no setpriv");
    };
    assert!(status.status.success(), "{status:?}");
    assert_eq!(ask(&member, "pin").unwrap().status.code(), Some(1));
    let outside = ask("--clear-groups", "status").unwrap();
    assert_eq!(outside.status.code(), Some(69), "{outside:?}");
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn a_group_that_the_process_may_not_give_ends_the_start_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let_through(dir.path());
    if !can_be_others(dir.path()) {
        return;
    }
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    chown(&home, Some(READER), Some(READER)).unwrap();
    let mut command = flk(&home);
    command.args(["up", "--cores", "1", "--port", "0", "--no-control"]);
    command.env("WAL_DIR_GROUP", GROUP.to_string());
    let ran = run(command.uid(READER).gid(READER), b"");
    assert_eq!(ran.code, 78, "{}", ran.stderr);
    let what_to_do = "SupplementaryGroups=54321";
    assert!(ran.stderr.contains(what_to_do), "{}", ran.stderr);
}

/// Files of before the setting are given, too, and a member that the group was given to can start the gateway again.
#[test]
fn a_directory_of_before_is_given_to_the_group_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    if !rustix::process::geteuid().is_root() {
        return skipped("a group for a directory of before: needs root");
    }
    let gateway = Gateway::start(dir.path());
    let sent = gateway.submit(dir.path(), &signed_record(dir.path(), "one"));
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    assert_eq!(gateway.stop(), 0);
    let wal = dir.path().join("data/wal");
    assert_eq!(mode(&wal).0, 0o700);
    let plan = up(dir.path()).with("WAL_DIR_GROUP", &GROUP.to_string());
    let gateway = plan.with_arguments(&["--port", "0"]).launch().unwrap();
    gateway.wait_until_recovered();
    assert_modes(&wal);
    assert_eq!(gateway.stop().code(), 0);
    // A tool that changes the directory keeps it so.
    let compacted = run(
        flk(dir.path()).args(["wal", "compact", "--older-than", "0s"]),
        b"",
    );
    assert_eq!(compacted.code, 0, "{}", compacted.stderr);
    assert_modes(&wal);
}
