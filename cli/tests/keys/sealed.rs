//! Keys in encrypted files: made, rotated to while a gateway serves, shown by their place, and never as they are.

use super::common::{Ran, flk, run};
use super::gateway::Gateway;
use super::served::{ask, post, wait_until_in_force};
use super::{FILE, OLD, directory, done, keys, row};
use flk_dataplane::config::sealed::age::{self, Identity};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What the documents of the real SOPS hold for acme.
const IN_SOPS: &str = "fixture-key-of-acme-0123456789abcdef";

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dataplane/tests/sealed");
    fixtures.join(name)
}

fn identity(name: &str) -> Identity {
    let text = std::fs::read_to_string(fixture(name)).unwrap();
    Identity::parse(text.lines().last().unwrap()).unwrap()
}

fn recipient(name: &str) -> String {
    let text = std::fs::read_to_string(fixture(name)).unwrap();
    let line = text
        .lines()
        .find_map(|it| it.strip_prefix("# public key: "));
    line.unwrap().to_owned()
}

fn copy(dir: &TempDir, from: &str, to: &str) {
    let to = dir.path().join(to);
    std::fs::copy(fixture(from), &to).unwrap();
    std::fs::set_permissions(to, PermissionsExt::from_mode(0o600)).unwrap();
}

/// The directory of other tests, with an identity that the configuration file names and a SOPS document.
fn with_identity() -> TempDir {
    let dir = directory();
    copy(&dir, "first.identity", "keys.txt");
    copy(&dir, "sops/keys.yaml", "keys.sops.yaml");
    let here = dir.path().display();
    let text = FILE.replace("KEYS", &here.to_string());
    let text = format!("process.age_identity_file = \"{here}/keys.txt\"\n{text}");
    std::fs::write(dir.path().join("flk.toml"), text).unwrap();
    dir
}

fn generate(dir: &TempDir, recipients: &[String], out: &str) -> String {
    let mut args = vec!["generate", "--out", out];
    for recipient in recipients {
        args.extend(["--encrypt-to", recipient.as_str()]);
    }
    let made = done(dir, &args);
    let file = std::fs::read_to_string(dir.path().join(out)).unwrap();
    assert!(file.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    let opened = age::open(file.as_bytes(), &[identity("first.identity")]).unwrap();
    let key = std::str::from_utf8(&opened).unwrap().to_owned();
    assert!(!format!("{}{}", made.stdout, made.stderr).contains(&key));
    key
}

fn config(dir: &TempDir, args: &[&str]) -> Ran {
    let mut command = flk(dir.path());
    let ran = run(
        command
            .arg("config")
            .args(args)
            .args(["--config", "flk.toml"]),
        b"",
    );
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    ran
}

/// All files below a directory.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false if path.is_file() => found.push(path),
            false => {}
        }
    }
}

/// Looks for these keys and the identity in all that was said, and in what is on the gateway's disk.
fn are_nowhere(dir: &TempDir, said: &str, keys: [&str; 3]) {
    let mut found = Vec::new();
    files(&dir.path().join("data"), &mut found);
    assert!(
        found
            .iter()
            .any(|it| it.to_string_lossy().contains("snapshots")),
        "{found:?}"
    );
    let identity = std::fs::read_to_string(fixture("first.identity")).unwrap();
    let identity = &identity[identity.find("AGE-SECRET").unwrap() + 16..][..20];
    for secret in keys.into_iter().chain([identity]) {
        assert!(!said.contains(secret), "{said}");
        for file in &found {
            let bytes = std::fs::read(file).unwrap();
            let holds = bytes
                .windows(secret.len())
                .any(|it| it == secret.as_bytes());
            assert!(!holds, "{} has a secret", file.display());
        }
    }
}

#[test]
fn a_gateway_rotates_to_encrypted_keys_without_a_restart_and_shows_only_where_they_are() {
    let dir = with_identity();
    let gateway = Gateway::start_with(dir.path(), &[("FLK_CONFIG", "flk.toml")]);
    assert_eq!(post(&gateway, OLD, 1), 200);
    let key = generate(&dir, &[recipient("first.identity")], "next.age");
    let mut said = done(
        &dir,
        &["rotate", "acme", "--id", "next", "--key-file", "next.age"],
    )
    .stdout;
    wait_until_in_force(&dir);
    assert_eq!(post(&gateway, &key, 2), 200);
    let of_sops = ["--key-file", "keys.sops.yaml", "--entry", "acme.current"];
    let add = [&["add", "acme", "--id", "sops"][..], &of_sops].concat();
    said += &done(&dir, &add).stdout;
    wait_until_in_force(&dir);
    assert_eq!(post(&gateway, IN_SOPS, 3), 200);

    let listed = done(&dir, &["list"]).stdout;
    assert!(
        listed.contains("age: /") && listed.contains("next.age"),
        "{listed}"
    );
    assert!(listed.contains("SOPS YAML: /"), "{listed}");
    assert!(
        listed.contains("keys.sops.yaml, entry acme.current"),
        "{listed}"
    );
    assert_eq!(row(&dir, "sops")["encrypted"], json!("SOPS YAML"));
    assert_eq!(row(&dir, "first")["encrypted"], json!(null));
    let checked = config(&dir, &["check"]).stdout;
    assert!(
        checked.contains("tenant acme, key sops: SOPS YAML: /"),
        "{checked}"
    );
    assert!(checked.contains("keys.txt"), "{checked}");
    let status = ask(&dir, &json!({"v": 1, "ask": "status"}));
    let number = status["status"]["in_force"]["number"].clone();
    let document = ask(&dir, &json!({"v": 1, "ask": "document", "number": number}));
    assert!(
        document.to_string().contains("\"entry\":\"acme.current\""),
        "{document}"
    );

    // The key that an encrypted file holds changes, and so does what is in force.
    let other = generate(&dir, &[recipient("first.identity")], "other.age");
    std::fs::rename(dir.path().join("other.age"), dir.path().join("next.age")).unwrap();
    wait_until_in_force(&dir);
    assert_eq!(
        [post(&gateway, &other, 4), post(&gateway, &key, 5)],
        [200, 401]
    );

    said += &(listed + &checked + &document.to_string() + &status.to_string());
    said += &gateway.wait_until_said("snapshot");
    assert_eq!(gateway.stop(), 0);
    are_nowhere(&dir, &said, [IN_SOPS, &key, &other]);
}

#[test]
fn an_encrypted_key_that_cannot_be_opened_changes_nothing_and_the_error_says_what_is_missing() {
    let dir = directory();
    copy(&dir, "sops/keys.yaml", "keys.sops.yaml");
    copy(&dir, "first.identity", "keys.txt");
    let before = super::text(&dir);
    let add = [
        "add",
        "acme",
        "--id",
        "sops",
        "--key-file",
        "keys.sops.yaml",
    ];
    let refused = |args: &[&str], variables: &[(&str, &str)], expected: &str| {
        let mut command = flk(dir.path());
        command.env("FLK_CONFIG", "flk.toml").arg("keys").args(args);
        command.envs(variables.iter().copied());
        let ran = run(&mut command, b"");
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
        assert_eq!(super::text(&dir), before);
    };
    refused(&add, &[], "SOPS_AGE_KEY_FILE");
    let identity = ("SOPS_AGE_KEY_FILE", "keys.txt");
    refused(&add, &[identity], "it holds several values: name the entry");
    let with = |entry| [&add[..], &["--entry", entry]].concat();
    refused(
        &with("acme.gone"),
        &[identity],
        "it has no entry acme.gone; there are acme.current",
    );
    copy(&dir, "second.identity", "keys.txt");
    refused(
        &with("acme.current"),
        &[identity],
        "not encrypted to any of the identities",
    );
    std::fs::write(dir.path().join("keys.txt"), "# nothing\n").unwrap();
    refused(
        &with("acme.current"),
        &[identity],
        "keys.txt: not an age identity",
    );
    let whom = ["generate", "--encrypt-to", "age1nobody"];
    refused(&whom, &[], "not an age recipient");
}

#[test]
fn a_copy_of_a_file_is_changed_where_the_identity_is_not() {
    let dir = with_identity();
    let of_sops = ["--key-file", "keys.sops.yaml", "--entry", "acme.current"];
    done(
        &dir,
        &[&["add", "acme", "--id", "sops"][..], &of_sops].concat(),
    );
    std::fs::remove_file(dir.path().join("keys.txt")).unwrap();
    let row = row(&dir, "sops");
    assert_eq!(row["fingerprint"], json!(null));
    let source = row["source"].as_str().unwrap();
    assert!(
        source.ends_with("keys.sops.yaml, entry acme.current"),
        "{source}"
    );
    let ran = keys(
        &dir,
        &["add", "acme", "--id", "new", "--key-file", "new.key"],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let warning = "key sops was not looked at";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
}

#[test]
fn an_agent_signs_with_an_encrypted_key_and_its_gateway_says_where_its_own_is_from() {
    let dir = with_identity();
    let key = generate(
        &dir,
        &[recipient("second.identity"), recipient("first.identity")],
        "a.age",
    );
    let tiny = super::common::golden_bytes("records/pcs_tiny_case_1.json");
    let mut sign = flk(dir.path());
    sign.args(["pcs", "sign", "--key-file", "a.age"])
        .env("SOPS_AGE_KEY_FILE", "keys.txt");
    let signed = run(&mut sign, &tiny);
    assert_eq!(signed.code, 0, "{}", signed.stderr);
    std::fs::write(dir.path().join("plain.key"), &key).unwrap();
    let mut verify = flk(dir.path());
    let args = ["pcs", "verify", "--key-file", "plain.key"];
    let verified = run(verify.args(args), signed.stdout.as_bytes());
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);

    let typed = "[process]\nage_identity_file = \"keys.txt\"\n[signing]\nhmac_key_file = \"keys.sops.yaml#acme.current\"\n";
    std::fs::write(dir.path().join("flk.toml"), typed).unwrap();
    let shown = config(&dir, &["show", "--origin"]).stdout;
    assert!(
        shown.contains("(SOPS YAML: keys.sops.yaml, entry acme.current)"),
        "{shown}"
    );
    let checked = config(&dir, &["check"]).stdout;
    let line = "signing.hmac_key_file: SOPS YAML: keys.sops.yaml, entry acme.current, opened with keys.txt";
    assert!(checked.contains(line), "{checked}");
    std::fs::set_permissions(
        dir.path().join("keys.txt"),
        PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let checked = config(&dir, &["check"]).stdout;
    assert!(
        checked.contains("warning: all users can read keys.txt: chmod o= keys.txt"),
        "{checked}"
    );
    assert!(!format!("{shown}{checked}").contains(IN_SOPS));
}

#[test]
fn an_encrypted_key_is_said_to_be_for_files_only() {
    let dir = with_identity();
    let recipient = recipient("first.identity");
    let to = ["generate", "--encrypt-to", &recipient];
    for (alg, out) in [("hmac", "a.age"), ("ed25519", "b.age")] {
        let made = done(&dir, &[&to[..], &["--alg", alg, "--out", out]].concat());
        assert!(made.stdout.contains("--key-file"), "{}", made.stdout);
        assert!(!made.stdout.contains("PCS_"), "{}", made.stdout);
        let out = format!("emitted-{out}");
        let emit = [&to[..], &["--alg", alg, "--emit", "env", "--out", &out]].concat();
        let text = format!("<the text of `age -d {out}`>");
        assert!(done(&dir, &emit).stdout.contains(&text));
    }
    let plain = done(&dir, &["generate", "--out", "c.key"]);
    assert!(plain.stdout.contains("(PCS_HMAC_KEY or --key-file)"));
}

#[test]
fn a_secret_in_the_wrong_place_is_neither_a_key_nor_shown() {
    let dir = with_identity();
    let identities = std::fs::read_to_string(dir.path().join("keys.txt")).unwrap();
    let identity = identities.lines().last().unwrap();
    let armored = std::fs::read_to_string(fixture("age/key.armored.age")).unwrap();
    let sign = ["pcs", "sign"];
    let file = ["pcs", "sign", "--key-file", "keys.txt"];
    let typed = ["pcs", "sign", "--key-file", identity];
    let to = ["keys", "generate", "--encrypt-to", identity];
    let port = ["up", "--listen", identity];
    let elsewhere = ["keys", "list", identity];
    for (args, variable, code, expected) in [
        (
            &sign[..],
            ("PCS_HMAC_KEY", identity),
            2,
            "PCS_HMAC_KEY: it is an age identity",
        ),
        (
            &sign,
            ("PCS_HMAC_KEY", &armored),
            2,
            "PCS_HMAC_KEY: it is the text of a file that age",
        ),
        (
            &file,
            ("A", "b"),
            2,
            "key file keys.txt: it is an age identity",
        ),
        (
            &typed,
            ("A", "b"),
            2,
            "key file (not shown): this is an identity itself",
        ),
        (&to, ("A", "b"), 2, "age-keygen -y prints its recipient"),
        (&port, ("A", "b"), 2, "[age identity]"),
        (&elsewhere, ("A", "b"), 2, "[age identity]"),
        (
            &["config", "check"],
            ("SOPS_AGE_KEY_FILE", identity),
            78,
            "this is an identity itself",
        ),
        (
            &["config", "show"],
            ("SOPS_AGE_KEY_FILE", identity),
            78,
            "this is an identity itself",
        ),
    ] {
        let mut command = flk(dir.path());
        let ran = run(command.args(args).env(variable.0, variable.1), b"{}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            ran.code == code && said.contains(expected),
            "{args:?}: {} {said}",
            ran.code
        );
        let secret = &identity[20..];
        assert!(!said.to_uppercase().contains(secret), "{args:?}: {said}");
    }
}

#[test]
fn a_named_pipe_that_nothing_writes_holds_no_command_up() {
    let dir = directory();
    let made = std::process::Command::new("mkfifo")
        .arg(dir.path().join("pipe"))
        .status();
    assert!(made.unwrap().success());
    let before = super::text(&dir);
    for (args, expected) in [
        (
            &[
                "keys",
                "add",
                "acme",
                "--key-file",
                "pipe",
                "--config",
                "flk.toml",
            ][..],
            "regular file",
        ),
        (
            &[
                "keys",
                "rotate",
                "acme",
                "--key-file",
                "pipe",
                "--config",
                "flk.toml",
            ],
            "regular file",
        ),
        (&["keys", "list", "--config", "pipe"], "regular file"),
        (
            &[
                "keys",
                "add",
                "acme",
                "--key-file",
                "new.key",
                "--config",
                "pipe",
            ],
            "regular file",
        ),
        (&["config", "check", "--config", "pipe"], "regular file"),
        (&["config", "show", "--config", "pipe"], "regular file"),
        (&["pcs", "sign", "--key-file", "pipe"], "pipe: "),
        (&["config", "history", "--token-file", "pipe"], "pipe: "),
    ] {
        let ran = run(flk(dir.path()).args(args), b"{}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            ran.code != 0 && said.contains(expected),
            "{args:?}: {} {said}",
            ran.code
        );
        assert_eq!(super::text(&dir), before);
    }
}

#[test]
fn what_belongs_to_a_key_file_is_refused_beside_another_source() {
    let dir = directory();
    let before = super::text(&dir);
    let public = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    for verb in ["add", "rotate"] {
        for source in [["--public", public], ["--env", "ACME"]] {
            for more in [["--entry", "acme.current"], ["--as", "/etc/flk/acme.key"]] {
                let ran = keys(&dir, &[&[verb, "acme"], &source[..], &more].concat());
                assert_eq!(ran.code, 2, "{verb} {source:?} {more:?}: {}", ran.stderr);
                assert!(ran.stderr.contains(more[0]), "{}", ran.stderr);
                assert_eq!(super::text(&dir), before);
            }
        }
    }
}
