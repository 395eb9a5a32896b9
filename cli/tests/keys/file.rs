//! The configuration file when a change is refused, cannot be written, or is made on a copy.

use super::common::{flk, run};
use super::{NEW, directory, done, keys, row, text};
use flk_testkit::child::copy_program;
use serde_json::Value;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

#[test]
fn a_change_that_would_be_wrong_changes_nothing() {
    let dir = directory();
    let before = text(&dir);
    std::fs::write(dir.path().join("empty.key"), "").unwrap();
    for (args, code, said) in [
        (
            &["rotate", "acme", "--key-file", "old.key"][..],
            78,
            "nothing was changed: flk.toml:",
        ),
        (
            &["add", "acme", "--id", "first", "--key-file", "new.key"],
            78,
            "another key has this id",
        ),
        (
            &["add", "acme", "--id", "a b", "--key-file", "new.key"],
            78,
            "a name is 1 to 64 characters",
        ),
        (
            &["add", "beta", "--key-file", "new.key"],
            78,
            "it is unsigned and has keys",
        ),
        (
            &["add", "acme", "--key-file", "none.key"],
            2,
            "there is no such file",
        ),
        (
            &["add", "acme", "--key-file", "empty.key"],
            2,
            "empty.key: ",
        ),
        (
            &["add", "acme", "--public", "sesam3"],
            2,
            "--public: an Ed25519 key",
        ),
        (&["add", "acme"], 2, "give --key-file, --env or --public"),
        (
            &["rotate", "gamma", "--key-file", "new.key"],
            2,
            "no tenant gamma; it has acme, beta",
        ),
        (
            &["rotate", "default", "--key-file", "new.key"],
            2,
            "flk keys add default --new-tenant --id first --env PCS_HMAC_KEY",
        ),
        (
            &["revoke", "acme", "second"],
            2,
            "no key second; it has first",
        ),
    ] {
        let ran = keys(&dir, args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(said), "{args:?}: {}", ran.stderr);
        assert_eq!(text(&dir), before, "{args:?}");
    }
    std::fs::write(dir.path().join("flk.toml"), "[http]\nport =\n").unwrap();
    let ran = keys(&dir, &["revoke", "acme", "first"]);
    assert_eq!(ran.code, 78);
    assert!(ran.stderr.contains("flk.toml:2: TOML"), "{}", ran.stderr);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn a_file_that_cannot_be_written_is_left_and_its_new_lines_are_printed() {
    let dir = directory();
    let path = |name: &str| dir.path().join(name);
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let before = text(&dir);
    mode(&path("new.key"), 0o644);
    mode(&path("flk.toml"), 0o444);
    mode(dir.path(), 0o555);
    let mut command = flk(dir.path());
    let program = tempfile::tempdir().unwrap();
    if rustix::process::geteuid().is_root() {
        // root may write everything, and another user may not reach the program where it was built
        mode(program.path(), 0o755);
        let copy = program.path().join("flk");
        copy_program(Path::new(env!("CARGO_BIN_EXE_flk")), &copy);
        command = Command::new(copy);
        command
            .env_clear()
            .current_dir(dir.path())
            .uid(65_534)
            .gid(65_534);
    }
    let args = [
        "keys",
        "rotate",
        "acme",
        "--key-file",
        "new.key",
        "--config",
        "flk.toml",
    ];
    let ran = run(command.args(args), b"");
    mode(dir.path(), 0o755);
    assert_eq!(ran.code, 74, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("flk.toml cannot be changed here: permission denied; change these lines"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("key first was not looked at"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stdout.contains("\n+[[tenants.keys]]\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(text(&dir), before);
}

#[test]
fn the_file_keeps_its_mode_and_a_link_to_it_stays_a_link() {
    let dir = directory();
    let real = dir.path().join("real.toml");
    std::fs::rename(dir.path().join("flk.toml"), &real).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.toml", dir.path().join("flk.toml")).unwrap();
    done(&dir, &["revoke", "acme", "first"]);
    assert!(dir.path().join("flk.toml").is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
    assert!(
        std::fs::read_to_string(real)
            .unwrap()
            .contains("revoked_at = ")
    );
}

#[test]
fn a_copy_of_a_file_is_changed_where_its_keys_are_not() {
    let dir = directory();
    let elsewhere = text(&dir).replace(dir.path().to_str().unwrap(), "/nowhere/keys");
    std::fs::write(dir.path().join("flk.toml"), &elsewhere).unwrap();
    let args = ["rotate", "acme", "--key-file", "new.key", "--id", "second"];
    let said = done(
        &dir,
        &[&args[..], &["--as", "/nowhere/keys/second"]].concat(),
    );
    assert!(
        said.stderr
            .contains("key first was not looked at: /nowhere/keys/old.key"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("sandbox"), "{}", said.stderr);
    assert!(text(&dir).contains("file = \"/nowhere/keys/second\"\n"));
    assert_eq!(row(&dir, "first")["fingerprint"], Value::Null);
    let args = ["rotate", "acme", "--key-file", "old.key"];
    let said = done(&dir, &[&args[..], &["--as", "/elsewhere/third"]].concat());
    assert!(
        said.stderr.contains("no other key is in /elsewhere"),
        "{}",
        said.stderr
    );
    let said = done(&dir, &["add", "acme", "--env", "NOWHERE_KEY", "--dry-run"]);
    assert!(
        said.stderr.contains("no other key is in NOWHERE_KEY"),
        "{}",
        said.stderr
    );
}

#[test]
fn changes_at_the_same_time_are_all_made() {
    let dir = directory();
    let ids = ["one", "two", "three"];
    for id in ids {
        let path = dir.path().join(id);
        std::fs::write(&path, format!("sesame-{id}-{NEW}")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::thread::scope(|scope| {
        for id in ids {
            let args = ["add", "acme", "--id", id, "--key-file", id];
            let dir = &dir;
            scope.spawn(move || done(dir, &args));
        }
    });
    for id in ids {
        assert_eq!(row(&dir, id)["state"], "active");
    }
    let full = text(&dir);
    let fifth = keys(&dir, &["add", "acme", "--key-file", "new.key"]);
    assert_eq!(fifth.code, 78);
    assert!(fifth.stderr.contains("at most 4"), "{}", fifth.stderr);
    assert_eq!(text(&dir), full);
}
