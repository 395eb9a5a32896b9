//! `flk keys`, as an operator meets it: the file before and after, and a gateway that serves under it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/gateway.rs"]
mod gateway;

use common::{Ran, codes, flk, golden_bytes, run};
use flk_dataplane::config::Config;
use flk_testkit::DEADLINE;
use flk_testkit::client::Connection;
use flk_testkit::records::with_epoch;
use gateway::Gateway;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;
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
        std::fs::copy(env!("CARGO_BIN_EXE_flk"), &copy).unwrap();
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

#[test]
fn a_new_key_is_in_a_file_for_its_owner_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let generate = |args: &[&str]| run(flk(dir.path()).args(["keys", "generate"]).args(args), b"");
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let made = generate(&["--tenant", "acme", "--output", "json"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let name = made.json()[0]["secret_file"].as_str().unwrap().to_owned();
    assert!(
        name.starts_with("acme-hmac-2") && name.ends_with(".secret"),
        "{name}"
    );
    let secret = read(&name);
    assert_eq!(secret.len(), 64);
    assert!(!made.stdout.contains(&secret));
    let again = generate(&["--tenant", "acme"]);
    assert_eq!(again.code, 2, "a key is never overwritten");
    assert_eq!(read(&name), secret);

    let made = generate(&["--alg", "ed25519", "--out", "a.private"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let (private, public) = (read("a.private"), read("a.public"));
    assert!(!made.stdout.contains(&private) && made.stdout.contains(public.trim()));
    for (name, mode) in [(name.as_str(), 0o600), ("a.private", 0o600)] {
        let found = std::fs::metadata(dir.path().join(name)).unwrap().mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
    // What the two sign and verify fits.
    let record = golden_bytes("records/pcs_tiny_case_1.json");
    let args = ["pcs", "sign", "--alg", "ed25519", "--key-file"];
    let signed = run(flk(dir.path()).args(args).arg("a.private"), &record);
    assert_eq!(signed.code, 0, "{}", signed.stderr);
    let args = ["pcs", "verify", "--alg", "ed25519", "--key-file"];
    let verified = run(
        flk(dir.path()).args(args).arg("a.public"),
        signed.stdout.as_bytes(),
    );
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn a_private_part_is_never_taken_for_a_public_one() {
    let dir = directory();
    let args = ["--alg", "ed25519", "--tenant", "acme", "--out", "a.private"];
    done(&dir, &[&["generate"], &args[..]].concat());
    let rotate = ["rotate", "acme", "--scheme", "ed25519", "--key-file"];
    let wrong = keys(&dir, &[&rotate[..], &["a.private"]].concat());
    assert_eq!(wrong.code, 2);
    assert!(
        wrong
            .stderr
            .contains("a.private is the private part, which no gateway needs: give a.public"),
        "{}",
        wrong.stderr
    );
    done(&dir, &[&rotate[..], &["a.public"]].concat());
    let public = std::fs::read_to_string(dir.path().join("a.public")).unwrap();
    assert!(text(&dir).contains(&format!("public = \"{}\"\n", public.trim())));
    check(&dir);
}

#[test]
fn manifests_have_the_names_that_deployments_use_and_the_secret_only_on_demand() {
    let dir = tempfile::tempdir().unwrap();
    let generate = |args: &[&str]| run(flk(dir.path()).args(["keys", "generate"]).args(args), b"");
    for (at, form) in (0..).zip(["k8s", "helm", "compose", "env"]) {
        for alg in ["hmac", "ed25519"] {
            let out = format!("{at}-{alg}.private");
            let args = ["--alg", alg, "--emit", form, "--out", &out];
            let hidden = generate(&args);
            assert_eq!(hidden.code, 0, "{}", hidden.stderr);
            let secret = std::fs::read_to_string(dir.path().join(&out)).unwrap();
            assert!(!hidden.stdout.contains(&secret) && !hidden.stderr.contains(&secret));
            assert!(hidden.stdout.contains(&format!("<the text of {out}>")));
            for advice in ["# DO ", "# DON'T "] {
                assert!(
                    hidden.stdout.contains(advice),
                    "{form} {alg}: {}",
                    hidden.stdout
                );
            }
            let shown = generate(&["--alg", alg, "--emit", form, "--show-secret"]);
            assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
            assert!(!shown.stdout.contains("<the text of"), "{}", shown.stdout);
        }
    }
    let entries = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(entries, 4 * 3, "what is shown is in no file");
    let k8s = generate(&["--alg", "ed25519", "--emit", "k8s", "--show-secret"]).stdout;
    for name in [
        "pcs-ed25519-agent-secret",
        "PCS_ED25519_PRIV_B64",
        "pcs-ed25519-config",
        "PCS_ED25519_PUB_B64",
    ] {
        assert!(k8s.contains(name), "{name}: {k8s}");
    }
    assert_eq!(generate(&["--show-secret"]).code, 2, "only in a manifest");
}

/// One question to the gateway of this directory, and its answer.
fn ask(dir: &TempDir, question: &Value) -> Value {
    let mut socket = UnixStream::connect(dir.path().join("data/wal/control.sock")).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
        .write_all(format!("{question}\n").as_bytes())
        .unwrap();
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// Brings the file into force, as a control process does.
fn publish(dir: &TempDir) {
    let path = dir.path().join("flk.toml").display().to_string();
    let config = Config::from_env(&|name| (name == "FLK_CONFIG").then(|| path.clone()));
    let mut document = config.unwrap().document;
    // A control process beside this gateway may take the number first.
    for _ in 0..20 {
        let status = ask(dir, &json!({"v": 1, "ask": "status"}));
        document.number = status["status"]["last_number"].as_u64().unwrap() as u32 + 1;
        let digest = document.digest().to_string();
        let answer = ask(
            dir,
            &json!({"v": 1, "ask": "publish", "digest": digest, "document": document}),
        );
        match answer["refused"]["code"].as_str() {
            Some("number_used") => {}
            _ => return assert!(answer["applied"].is_object(), "{answer}"),
        }
    }
    panic!("every number was taken");
}

/// Sends a record of acme that this key signs; the status of the answer.
fn post(gateway: &Gateway, key: &str, epoch: u64) -> u16 {
    let tiny = golden_bytes("records/pcs_tiny_case_1.json");
    let body = with_epoch(std::str::from_utf8(&tiny).unwrap(), epoch, key);
    let length = body.len();
    let head = format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: gateway\r\nX-Tenant-Id: acme\r\nContent-Length: {length}\r\n\r\n"
    );
    let address = gateway.url.strip_prefix("http://").unwrap();
    let until = Instant::now() + DEADLINE;
    loop {
        let mut connection = Connection::open(address.parse().unwrap()).unwrap();
        connection.send(&[head.as_bytes(), &body].concat()).unwrap();
        match connection.response().unwrap().status {
            // It has not read its log yet.
            503 if Instant::now() < until => std::thread::yield_now(),
            status => return status,
        }
    }
}

#[test]
fn both_keys_verify_during_the_overlap_and_a_revoked_one_no_longer() {
    let dir = directory();
    let gateway = Gateway::start_with(dir.path(), &[("FLK_CONFIG", "flk.toml")]);
    assert_eq!(post(&gateway, OLD, 1), 200);
    assert_eq!(post(&gateway, NEW, 2), 401);
    done(
        &dir,
        &["rotate", "acme", "--key-file", "new.key", "--id", "second"],
    );
    publish(&dir);
    assert_eq!(post(&gateway, OLD, 3), 200);
    assert_eq!(post(&gateway, NEW, 4), 200);
    let url = gateway.url.clone();
    let seen = |id: &str| {
        let rows = done(&dir, &["list", "--output", "json", "--url", &url]).json();
        let row = rows.into_iter().find(|row| row["key"] == id).unwrap();
        (
            row["verified"].as_u64().unwrap(),
            row["last_seen"].is_string(),
        )
    };
    assert_eq!(seen("first"), (2, true));
    assert_eq!(seen("second"), (1, true));
    let table = done(&dir, &["list", "--url", &url]).stdout;
    assert!(
        table.contains("LAST SEEN") && table.contains(" ago"),
        "{table}"
    );

    done(&dir, &["revoke", "acme", "first"]);
    publish(&dir);
    assert_eq!(post(&gateway, OLD, 5), 401);
    assert_eq!(post(&gateway, OLD, 1), 401, "also what is stored already");
    assert_eq!(post(&gateway, NEW, 1), 200, "it has its outcome still");
    assert_eq!(post(&gateway, NEW, 6), 200);
    done(&dir, &["rotate", "acme", "--undo"]);
    publish(&dir);
    assert_eq!(post(&gateway, NEW, 7), 401);
    assert_eq!(gateway.stop(), 0);
    let gone = keys(&dir, &["list", "--url", &url]);
    assert_eq!(gone.code, 69, "{}", gone.stderr);
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
