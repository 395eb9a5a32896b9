//! Running the program, and where the golden files lie.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used
)]

pub use flk_testkit::child::{Ran, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program in `dir`, without any setting of the one who runs the tests.
pub fn flk(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flk"));
    command.current_dir(dir);
    for name in [
        "PCS_SIGN_ALG",
        "PCS_HMAC_KEY",
        "PCS_HMAC_KEY_FILE",
        "PCS_HMAC_KEYS",
        "PCS_HMAC_KEYS_FILE",
        "PCS_ED25519_PRIV_B64",
        "PCS_ED25519_PUB_B64",
        "FLK_URL",
        "FLK_BODY_MAX",
        "BATCH_MAX_BYTES",
        "BATCH_MAX_RECORDS",
        "WAL_DIR",
        "PORT",
        "LISTEN",
        "FLK_CORES",
        "FLK_CONFIG",
        "FLK_PROFILE",
        "METRICS_USER",
        "METRICS_PASS",
        "METRICS_PASS_FILE",
        "ADMIN_LISTEN",
        "ADMIN_TOKENS_FILE",
        "CONTROL_DIR",
        "FLK_ADMIN_TOKEN_FILE",
        "SOPS_AGE_KEY",
        "SOPS_AGE_KEY_FILE",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs it with these arguments and this key.
pub fn run_with_key(key: &str, args: &[&str], input: &[u8]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    run(flk(dir.path()).args(args).env("PCS_HMAC_KEY", key), input)
}

/// A file among the golden vectors.
pub fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../golden")
        .join(path)
}

/// Its bytes.
pub fn golden_bytes(path: &str) -> Vec<u8> {
    std::fs::read(golden(path)).unwrap()
}

/// Its JSON.
pub fn golden_json(path: &str) -> serde_json::Value {
    serde_json::from_slice(&golden_bytes(path)).unwrap()
}

/// A copy of a directory among the golden files.
pub fn golden_directory(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let wal_dir = dir.path().join("data/wal");
    std::fs::create_dir_all(&wal_dir).unwrap();
    for entry in std::fs::read_dir(golden("wal").join(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), wal_dir.join(entry.file_name())).unwrap();
    }
    dir
}

/// The codes that a help text tells, in order.
pub fn codes(help: &str) -> Vec<i32> {
    let told = help.split("Exit codes:").nth(1).unwrap_or_default();
    let first = |line: &str| line.split_ascii_whitespace().next()?.parse().ok();
    told.lines().filter_map(first).collect()
}
