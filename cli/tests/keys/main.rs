//! `flk keys`, as an operator meets it: the file before and after, and a gateway that serves under it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/gateway.rs"]
mod gateway;

mod file;
mod generate;
mod sealed;
mod served;

use common::{Ran, codes, flk, run};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const OLD: &str = "sesame-the-old-one-sesame-sesame-sesame";
const NEW: &str = "sesame-the-new-one-sesame-sesame-sesame";

const FILE: &str = r#"# ours
[http]
keepalive = "90s" # the balancer has 60

[[tenants]]
id = "acme"

[[tenants.keys]]
id = "first" # by hand
file = "KEYS/old.key"

[[tenants]] # after it
id = "beta"
unsigned = true
"#;

/// A directory with two keys and a configuration file in it.
fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("old.key", OLD), ("new.key", NEW)] {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = FILE.replace("KEYS", dir.path().to_str().unwrap());
    std::fs::write(dir.path().join("flk.toml"), text).unwrap();
    dir
}

fn text(dir: &TempDir) -> String {
    std::fs::read_to_string(dir.path().join("flk.toml")).unwrap()
}

/// Runs it on the file. No output ever has a secret.
fn keys(dir: &TempDir, args: &[&str]) -> Ran {
    let mut command = flk(dir.path());
    command.env("FLK_CONFIG", "flk.toml").arg("keys").args(args);
    let ran = run(&mut command, b"");
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("sesame"));
    ran
}

/// The same; it must succeed.
fn done(dir: &TempDir, args: &[&str]) -> Ran {
    let ran = keys(dir, args);
    assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

fn row(dir: &TempDir, id: &str) -> Value {
    let rows = done(dir, &["list", "--output", "json"]).json();
    let row = rows.into_iter().find(|row| row["key"] == id);
    row.unwrap_or_else(|| panic!("no key {id}"))
}

fn check(dir: &TempDir) {
    let mut command = flk(dir.path());
    let checked = run(
        command.args(["config", "check", "--config", "flk.toml"]),
        b"",
    );
    assert_eq!(checked.code, 0, "{}", checked.stdout);
}

#[test]
fn a_rotation_adds_the_new_key_lets_the_old_one_end_and_keeps_every_comment() {
    let dir = directory();
    let before = text(&dir);
    let shown = done(
        &dir,
        &["rotate", "acme", "--key-file", "new.key", "--dry-run"],
    );
    assert_eq!(text(&dir), before, "a dry run changes nothing");
    assert!(
        shown.stdout.contains("\n+[[tenants.keys]]\n"),
        "{}",
        shown.stdout
    );
    let said = done(
        &dir,
        &["rotate", "acme", "--key-file", "new.key", "--id", "second"],
    );
    assert_eq!(said.stderr, "", "a long overlap warns of nothing");
    for part in [
        "changed flk.toml; the keys of acme are now",
        "flk-control brings this into force by itself",
        "flk config history",
    ] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    let after = text(&dir);
    for line in before.lines() {
        assert!(after.lines().any(|it| it == line), "{line}: {after}");
    }
    assert!(after.find("second").unwrap() < after.find("# after it").unwrap());
    check(&dir);
    let (first, second) = (row(&dir, "first"), row(&dir, "second"));
    assert_eq!(
        (&first["state"], &second["state"]),
        (&json!("ending"), &json!("active"))
    );
    let at = |it: &Value| flk_dataplane::config::time::seconds(it.as_str().unwrap()).unwrap();
    assert_eq!(
        at(&first["not_after"]) - at(&second["not_before"]),
        14 * 86_400
    );
    assert_ne!(first["fingerprint"], second["fingerprint"]);
    let table = done(&dir, &["list"]).stdout;
    assert!(
        table.contains("  ends in 13d 23h") || table.contains("  ends in 14d"),
        "{table}"
    );
}

#[test]
fn a_rotation_that_is_taken_back_leaves_the_file_as_it_was() {
    let dir = directory();
    let end =
        "file = \"KEYS/old.key\"\nnot_after = \"2099-01-01T00:00:00+01:00\" # the contract ends\n";
    let ends = FILE.replace("file = \"KEYS/old.key\"\n", end);
    for file in [
        FILE,
        &ends,
        FILE.split("\n[[tenants]] # after").next().unwrap(),
    ] {
        let file = file.replace("KEYS", dir.path().to_str().unwrap());
        std::fs::write(dir.path().join("flk.toml"), &file).unwrap();
        done(&dir, &["rotate", "acme", "--key-file", "new.key"]);
        assert_eq!(row(&dir, "first")["state"], "ending");
        let undone = done(&dir, &["rotate", "acme", "--undo"]);
        assert!(undone.stderr.contains("get 401 once this is in force"));
        assert_eq!(text(&dir), file);
        let again = keys(&dir, &["rotate", "acme", "--undo"]);
        assert_eq!(again.code, 2);
        assert!(
            again.stderr.contains("no rotation of acme to take back"),
            "{}",
            again.stderr
        );
    }
    // What was taken back can be done again.
    done(&dir, &["rotate", "acme", "--key-file", "new.key"]);
}

#[test]
fn only_the_last_rotation_is_taken_back() {
    let dir = directory();
    done(
        &dir,
        &["rotate", "acme", "--key-file", "new.key", "--id", "second"],
    );
    let between = text(&dir);
    std::fs::write(dir.path().join("third.key"), "sesame".repeat(8)).unwrap();
    std::fs::set_permissions(
        dir.path().join("third.key"),
        std::fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let args = ["rotate", "acme", "--key-file", "third.key", "--id", "third"];
    done(&dir, &[&args[..], &["--overlap", "1h"]].concat());
    assert_eq!(row(&dir, "third")["state"], "active");
    done(&dir, &["rotate", "acme", "--undo"]);
    assert_eq!(text(&dir), between);
}

#[test]
fn a_short_overlap_warns_that_delayed_records_carry_the_old_signature() {
    let dir = directory();
    let args = ["rotate", "acme", "--key-file", "new.key", "--dry-run"];
    let warned = done(&dir, &[&args[..], &["--overlap", "13d"]].concat());
    assert!(
        warned
            .stderr
            .contains("overlap of 13d is shorter than the 14d"),
        "{}",
        warned.stderr
    );
    assert_eq!(done(&dir, &args).stderr, "");
    let short = text(&dir).replace("[http]", "[dedup]\nttl = \"7d\"\n[http]");
    std::fs::write(dir.path().join("flk.toml"), short).unwrap();
    assert_eq!(
        done(&dir, &[&args[..], &["--overlap", "7d"]].concat()).stderr,
        ""
    );
    let json = done(
        &dir,
        &[&args[..], &["--overlap", "1h", "--output", "json"]].concat(),
    );
    let said = &json.json()[0];
    assert!(
        said["warnings"][0]
            .as_str()
            .unwrap()
            .contains("delayed record")
    );
    assert_eq!(
        (&said["changed"], &said["tenant"]),
        (&json!(false), &json!("acme"))
    );
}

#[test]
fn a_revoked_key_stays_revoked_and_the_last_one_is_warned_of() {
    let dir = directory();
    let said = done(&dir, &["revoke", "acme", "first"]);
    assert!(
        said.stderr.contains("no key of acme is active"),
        "{}",
        said.stderr
    );
    assert_eq!(row(&dir, "first")["state"], "revoked");
    check(&dir);
    let once = text(&dir);
    let again = done(&dir, &["revoke", "acme", "first"]);
    assert_eq!(again.stdout, "nothing to change in flk.toml\n");
    assert_eq!(text(&dir), once);
}

#[test]
fn the_default_tenant_moves_into_the_file_with_the_key_of_its_variable() {
    let dir = directory();
    let with = |args: &[&str]| {
        let mut command = flk(dir.path());
        command
            .env("PCS_HMAC_KEY", OLD)
            .env("FLK_CONFIG", "flk.toml");
        run(command.arg("keys").args(args), b"")
    };
    let fingerprint = |ran: &Ran| {
        let rows = ran.json();
        let row = rows.iter().find(|row| row["tenant"] == "default").unwrap();
        row["fingerprint"].as_str().unwrap().to_owned()
    };
    let json = ["list", "--output", "json"];
    let before = fingerprint(&with(&json));
    let args = [
        "add",
        "default",
        "--new-tenant",
        "--id",
        "first",
        "--env",
        "PCS_HMAC_KEY",
    ];
    let added = with(&args);
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert!(
        added.stderr.contains("the keys in the file count"),
        "{}",
        added.stderr
    );
    assert_eq!(fingerprint(&with(&json)), before);
    assert_eq!(
        with(&["rotate", "default", "--key-file", "new.key"]).code,
        0
    );
    let listed = with(&["list"]).stdout;
    assert_eq!(
        listed
            .lines()
            .filter(|it| it.starts_with("default "))
            .count(),
        2,
        "{listed}"
    );
}

#[test]
fn exit_codes_are_told_in_the_help_of_each_command() {
    let dir = tempfile::tempdir().unwrap();
    for (command, expected) in [
        ("generate", &[0, 2, 74][..]),
        ("add", &[0, 2, 74, 78]),
        ("list", &[0, 2, 69, 74, 78]),
        ("rotate", &[0, 2, 74, 78]),
        ("revoke", &[0, 2, 74, 78]),
    ] {
        let help = run(flk(dir.path()).args(["keys", command, "--help"]), b"");
        assert_eq!(codes(&help.stdout), expected, "{command}");
    }
}
