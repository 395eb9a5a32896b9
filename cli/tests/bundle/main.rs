//! `flk support-bundle` as a process: what is in the file, and that nothing that was planted is, in any form.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/gateway.rs"]
mod gateway;
#[path = "../common/server.rs"]
mod server;

mod planted;

use common::{Ran, flk, run};
use flk_testkit::child::{Signal, signal};
use flk_testkit::{DEADLINE, wait_until};
use gateway::Gateway;
use serde_json::Value;
use server::Server;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::channel;

/// Files of a bundle by name, without the directory that they are in.
type Files = BTreeMap<String, String>;

fn bundle(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = flk(dir);
    command.arg("support-bundle").args(arguments);
    run(command.envs(variables.iter().copied()), b"")
}

fn files(path: &Path) -> Files {
    let (_, bytes) = opened(path);
    let mut found = Files::new();
    let mut tar = tar::Archive::new(bytes.as_slice());
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        assert_eq!(entry.header().mode().unwrap(), 0o600);
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let (directory, name) = name.split_once('/').unwrap();
        assert!(directory.starts_with("flk-support-"), "{directory}");
        found.insert(name.to_owned(), text);
    }
    found
}

/// The file as it is, and without its compression.
fn opened(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let raw = std::fs::read(path).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(raw.as_slice())
        .read_to_end(&mut bytes)
        .unwrap();
    (raw, bytes)
}

/// Names of one list of the manifest.
fn named(files: &Files, list: &str) -> Vec<String> {
    let manifest: Value = serde_json::from_str(&files["manifest.json"]).unwrap();
    let named = manifest[list].as_array().unwrap().iter();
    named
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn beside_a_gateway_it_has_all_that_is_asked_for_and_its_manifest_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let admin = gateway.admin();
    gateway.wait_until_ready();
    wait_until("the control process answers", DEADLINE, || {
        let arguments = ["config", "history", "--admin", &admin];
        run(flk(dir.path()).args(arguments), b"").code == 0
    });
    std::fs::write(dir.path().join("flk.log"), &gateway.said).unwrap();
    std::fs::write(dir.path().join("flk.toml"), "[wal]\nmax_age = \"3d\"\n").unwrap();
    let arguments = [
        "--config",
        "flk.toml",
        "--url",
        &gateway.url,
        "--log",
        "flk.log",
        "--out",
        "a.tar.gz",
    ];
    let ran = bundle(dir.path(), &arguments, &[("ADMIN_LISTEN", &admin)]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("look through it"), "{}", ran.stdout);
    let path = dir.path().join("a.tar.gz");
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);

    let files = files(&path);
    let pid = format!("== /proc/{}/limits", gateway.pid());
    for (name, text) in [
        ("config/check.txt", "PCS_HMAC_KEY"),
        ("config/file.txt", "wal.max_age = \"3d\""),
        ("config/settings.txt", "flk.toml:2"),
        ("control/snapshots.txt", "in force"),
        ("control/status.json", "\"dataplane\""),
        ("doctor.txt", "io_uring"),
        ("gateway/metrics.txt", "flk_ingest_total 0"),
        ("gateway/process.txt", pid.as_str()),
        ("gateway/smoke.txt", "ok       ready"),
        ("gateway/status.json", "\"state\":\"serving\""),
        ("logs/1.txt", "listens on http"),
        ("system/host.txt", "== /proc/version"),
        ("system/process.txt", "Max open files"),
        ("versions.txt", concat!("flk ", env!("CARGO_PKG_VERSION"))),
        ("wal/file-system.txt", "bytes "),
        ("wal/files.txt", "segment-0000000000000000.wal"),
        ("wal/holds.txt", "{\"holds\":[]}"),
        ("wal/segments.txt", "segment-0000000000000000.wal"),
    ] {
        let found = files
            .get(name)
            .unwrap_or_else(|| panic!("{name}: {}", ran.stdout));
        assert!(found.contains(text), "{name}: {found}");
    }
    // What the manifest names is what there is.
    let mut collected = named(&files, "collected");
    collected.push("manifest.json".to_owned());
    collected.sort();
    assert_eq!(collected, files.keys().cloned().collect::<Vec<String>>());
    assert_eq!(named(&files, "missing"), [""; 0]);
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn without_a_gateway_it_has_the_rest_and_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = [("PORT", "1"), ("ADMIN_LISTEN", "127.0.0.1:1")];
    let ran = bundle(
        dir.path(),
        &["--log", "none.log", "--out", "a.tar.gz"],
        &nowhere,
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let files = files(&dir.path().join("a.tar.gz"));
    for name in [
        "config/settings.txt",
        "doctor.txt",
        "system/host.txt",
        "versions.txt",
    ] {
        assert!(files.contains_key(name), "{name}: {}", ran.stdout);
    }
    assert!(files["gateway/smoke.txt"].contains("nothing listens there"));
    let expected = [
        "config/file.txt",
        "control/snapshots.txt",
        "control/status.json",
        "gateway/metrics.txt",
        "gateway/process.txt",
        "gateway/status.json",
        "logs/1.txt",
        "wal/file-system.txt",
        "wal/files.txt",
        "wal/holds.txt",
        "wal/segments.txt",
    ];
    assert_eq!(named(&files, "missing"), expected);
    for name in expected {
        assert!(
            ran.stdout.contains(&format!("not collected: {name}: ")),
            "{}",
            ran.stdout
        );
    }
    // Nothing else is left there.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_is_there_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine"), "precious").unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
    for name in ["mine", "link"] {
        let ran = bundle(dir.path(), &["--out", name], &[]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("is there already"), "{}", ran.stderr);
    }
    assert_eq!(
        std::fs::read_to_string(dir.path().join("mine")).unwrap(),
        "precious"
    );
    assert!(!dir.path().join("nowhere").exists());
    let ran = bundle(dir.path(), &["--out", "none/a.tar.gz"], &[]);
    assert_eq!(ran.code, 74, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("cannot write none/a.tar.gz"),
        "{}",
        ran.stderr
    );
    let names = std::fs::read_dir(dir.path()).unwrap();
    assert_eq!(names.count(), 2);
}

/// A start refuses a file in the directory that it does not know.
#[test]
fn a_file_of_the_log_directory_is_refused_however_the_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("data/wal")).unwrap();
    std::fs::create_dir_all(dir.path().join("other")).unwrap();
    std::os::unix::fs::symlink("data/wal", dir.path().join("log")).unwrap();
    std::fs::write(dir.path().join("flk.toml"), "[wal]\ndir = \"other\"\n").unwrap();
    for (arguments, variables) in [
        (&["--out", "data/wal/a.tar.gz"][..], &[][..]),
        (&["--out", "log/a.tar.gz"], &[]),
        (&["--out", "other/a.tar.gz"], &[("WAL_DIR", "other")]),
        (&["--out", "other/a.tar.gz", "--dir", "other"], &[]),
        (&["--out", "other/a.tar.gz", "--config", "flk.toml"], &[]),
    ] {
        let ran = bundle(dir.path(), arguments, variables);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("it is in the log directory"),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
    for directory in ["data/wal", "other"] {
        let left = std::fs::read_dir(dir.path().join(directory)).unwrap();
        assert_eq!(left.count(), 0, "{directory}");
    }
}

#[test]
fn nothing_is_left_of_a_bundle_that_is_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    for sent in [Signal::INT, Signal::TERM] {
        let (asked, was_asked) = channel();
        let mute = Server::answering(move |_, _| {
            // The test may be over.
            asked.send(()).ok();
            loop {
                std::thread::park();
            }
        });
        let mut command = flk(dir.path());
        command
            .args(["support-bundle", "--out", "a.tar.gz", "--url", &mute.url()])
            .env("ADMIN_LISTEN", "127.0.0.1:1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut making = command.spawn().unwrap();
        // The file is made before anything is collected, and a gateway is asked in the midst of it.
        was_asked.recv_timeout(DEADLINE).unwrap();
        signal(&making, sent);
        assert!(!making.wait().unwrap().success());
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert!(left.is_empty(), "{sent:?}: {left:?}");
    }
}

#[test]
fn a_configuration_that_is_wrong_is_collected_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("flk.toml"),
        "[http]\nport = 99999\nprot = 1\n",
    )
    .unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = ["--config", "flk.toml", "--out", "a.tar.gz"];
    let ran = bundle(dir.path(), &arguments, &[("ADMIN_LISTEN", "127.0.0.1:1")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let files = files(&dir.path().join("a.tar.gz"));
    assert!(
        files["config/check.txt"].contains("99999"),
        "{}",
        files["config/check.txt"]
    );
    assert_eq!(
        files["config/file.txt"],
        "http.port = 99999\nhttp.prot = (not shown)\n"
    );
}
