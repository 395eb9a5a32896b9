//! Backups in a real S3 server, which `FLK_MINIO` names; `make test-backup-s3` builds it. Everything that another directory shows
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
            skipped("backups in an S3 server: FLK_MINIO names none (make test-backup-s3)");
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
