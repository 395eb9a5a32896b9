//! The golden vectors as tests read them: bodies, expected answers, and the player of the HTTP conversations.

use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A path below `golden/`.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden")
        .join(name)
}

/// The bytes of a file below `golden/`.
pub fn bytes(name: &str) -> Vec<u8> {
    let path = path(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A vector file.
pub fn vectors(name: &str) -> Value {
    serde_json::from_slice(&bytes(&format!("vectors/{name}.json"))).expect("JSON")
}

/// Names of all conversations, with what each needs of its gateway.
pub fn conversations() -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = fs::read_dir(path("http"))
        .expect("golden/http")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .map(|path| {
            let text = fs::read(path).expect("a conversation");
            let conversation: Value = serde_json::from_slice(&text).expect("JSON");
            let name = conversation["name"].as_str().expect("a name").to_owned();
            (name, conversation["gateway"].clone())
        })
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// Plays conversations with the independent player; panics with its report where anything differs.
pub fn play(at: SocketAddr, names: &[String]) {
    let output = Command::new("python3")
        .arg("-B")
        .arg(path("play.py"))
        .args(["--at", &at.to_string()])
        .args(names)
        .output()
        .expect("python3 runs");
    let report = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}{trouble}");
    for name in names {
        let same = |line: &str| line.split_whitespace().eq(["same", name]);
        assert!(report.lines().any(same), "{name} was not played:\n{report}");
    }
}
