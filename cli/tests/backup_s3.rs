//! Backups and archives in a real S3 server, which `FLK_MINIO` names; `make test-backup-s3` builds it. Everything that another directory shows
//! of backups holds there as well: conditions, lists, lengths, and objects that were changed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Ran, flk, golden_directory, run};
use flk_testkit::{DEADLINE, gateway::free_port, skipped, wait_until};
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const USER: &str = "flk-test-user";
const PASSWORD: &str = "flk-test-password";

/// A server with an empty bucket.
struct Server {
    process: Child,
    data: tempfile::TempDir,
    url: String,
}

impl Server {
    /// Starts it, if there is one.
    fn start() -> Option<Server> {
        let Ok(program) = std::env::var("FLK_MINIO") else {
            skipped(
                "backups and archives in an S3 server: FLK_MINIO names none (make test-backup-s3)",
            );
            return None;
        };
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("backups")).unwrap();
        let port = free_port();
        let process = Command::new(program)
            .args(["server", "--quiet", "--address"])
            .arg(format!("127.0.0.1:{port}"))
            .args(["--console-address", "127.0.0.1:0"])
            .arg(data.path())
            .env("MINIO_ROOT_USER", USER)
            .env("MINIO_ROOT_PASSWORD", PASSWORD)
            .env("HOME", data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server {
            process,
            data,
            url: format!("http://127.0.0.1:{port}"),
        };
        wait_until("the S3 server listens", DEADLINE, || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(server)
    }

    fn flk(&self, dir: &Path, args: &[&str]) -> Ran {
        let mut command = flk(dir);
        for name in ["AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"] {
            command.env_remove(name);
        }
        command
            .args(args)
            .env("AWS_ACCESS_KEY_ID", USER)
            .env("AWS_SECRET_ACCESS_KEY", PASSWORD)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", &self.url);
        run(&mut command, b"")
    }

    fn done(&self, dir: &Path, args: &[&str]) -> Ran {
        let ran = self.flk(dir, args);
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.stdout, ran.stderr);
        ran
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_directory_is_backed_up_to_a_bucket_listed_verified_and_restored() {
    let Some(server) = Server::start() else {
        return;
    };
    let place = "s3://backups/gateway-1";
    let dir = golden_directory("v2_sealed");
    let dir = dir.path();
    let backup = [
        "backup",
        "--dir",
        "data/wal",
        "--to",
        place,
        "--with-secret",
    ];
    let first = server.done(dir, &backup);
    assert!(!first.stdout.contains("\n0 bytes sent"), "{}", first.stdout);
    let second = server.done(dir, &backup);
    assert!(
        second.stdout.contains("\n0 bytes sent"),
        "{}",
        second.stdout
    );
    let list = server.done(dir, &["backup", "list", "--from", place, "--json"]);
    assert_eq!(list.json().len(), 2);
    let verified = server.done(dir, &["restore", "--from", place, "--verify"]);
    assert!(verified.stdout.contains("ok: every byte"));
    server.done(
        dir,
        &["restore", "--from", place, "--dir", "restored", "--verify"],
    );
    let wal = server.done(dir, &["wal", "verify", "--dir", "restored"]);
    assert!(
        wal.stderr.contains("everything that counts is whole"),
        "{}",
        wal.stderr
    );
    let pruned = server.done(
        dir,
        &[
            "backup",
            "prune",
            "--from",
            place,
            "--keep-within",
            "0s",
            "--keep-weekly",
            "1",
        ],
    );
    assert!(pruned.stdout.contains("1 backup left"), "{}", pruned.stdout);
    server.done(dir, &["restore", "--from", place, "--verify"]);
    // Another directory does not get into the same place, and finds one of its own.
    let other = golden_directory("v1");
    let args = ["backup", "--dir", "data/wal", "--to", place];
    let refused = server.flk(other.path(), &args);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let args = [
        "backup",
        "--dir",
        "data/wal",
        "--to",
        "s3://backups/gateway-2",
    ];
    server.done(other.path(), &args);
}

#[test]
fn bodies_are_archived_to_a_bucket_once_and_found_listed_and_verified_there() {
    let Some(server) = Server::start() else {
        return;
    };
    let place = "s3://backups/archive/gateway-1";
    let dir = golden_directory("v2");
    let dir = dir.path();
    let run = ["archive", "run", "--dir", "data/wal", "--to", place];
    // A body of it has no disposition, and others behind it have: they wait.
    let archive = || {
        let ran = server.flk(dir, &run);
        assert_eq!(ran.code, 69, "{}{}", ran.stdout, ran.stderr);
        ran
    };
    // Two at once: each object is made by one of them.
    let added: u64 = std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(archive));
        let added = runs.map(|it| {
            let said = it.join().unwrap().stdout;
            said.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        added.iter().sum()
    });
    let again = archive();
    assert!(again.stdout.starts_with("0 bodies"), "{}", again.stdout);
    let from = ["--from", place];
    let tenant = ["archive", "find", "--tenant", "default", "--json"];
    let rows = server.done(dir, &[&tenant[..], &from].concat()).json();
    assert!(!rows.is_empty() && rows.len() as u64 <= added, "{added}");
    let decided = rows.iter().find(|it| it["disposition"] == "accepted");
    let decided = decided.unwrap();
    let id = decided["pcs_id"].as_str().unwrap();
    let by_id = ["archive", "find", "--pcs-id", id, "--json", "--body"];
    let found = server.done(dir, &[&by_id[..], &from].concat()).json();
    assert!(found.iter().any(|it| it["sequence"] == decided["sequence"]));
    assert!(found.iter().all(|it| it["body"].is_string()));
    let absent = ["archive", "find", "--pcs-id", &"0".repeat(64)];
    let absent = server.flk(dir, &[&absent[..], &from].concat());
    assert_eq!(absent.code, 1, "{}", absent.stderr);
    let list = server.done(dir, &[&["archive", "list", "--json"][..], &from].concat());
    let total: u64 = list
        .json()
        .iter()
        .filter_map(|it| it["bodies"].as_u64())
        .sum();
    assert_eq!(total, added);
    let verified = server.done(dir, &[&["archive", "verify"][..], &from].concat());
    assert!(verified.stdout.contains("ok: every object"));
    // Another directory does not get into the same place, and an empty place holds no archive.
    let other = golden_directory("v1");
    let refused = server.flk(other.path(), &run);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let empty = ["archive", "list", "--from", "s3://backups/none"];
    assert_eq!(server.flk(dir, &empty).code, 2);
}

#[test]
fn a_bucket_that_is_not_there_or_keys_that_are_wrong_are_told() {
    let Some(server) = Server::start() else {
        return;
    };
    let dir = golden_directory("v2");
    let args = ["backup", "--dir", "data/wal", "--to", "s3://nowhere/x"];
    let refused = server.flk(dir.path(), &args);
    assert_ne!(refused.code, 0);
    assert!(
        refused.stderr.contains("no such bucket"),
        "{}",
        refused.stderr
    );
    let mut command = flk(dir.path());
    command
        .args([
            "backup",
            "list",
            "--from",
            "s3://backups/x",
            "--endpoint",
            &server.url,
        ])
        .env("AWS_ACCESS_KEY_ID", USER)
        .env("AWS_SECRET_ACCESS_KEY", "wrong-password")
        .env("AWS_REGION", "us-east-1");
    let refused = run(&mut command, b"");
    assert_eq!(refused.code, 69, "{}", refused.stderr);
    assert!(!refused.stderr.contains("wrong-password"));
    assert!(server.data.path().join("backups").is_dir());
}
