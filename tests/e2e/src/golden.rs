//! The golden conversations: what each needs of its gateway, and their independent player.

use flk_testkit::golden;
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Command;

/// Names of all conversations, with what each needs of its gateway.
pub fn conversations() -> Vec<(String, Value)> {
    let named = |conversation: Value| {
        let name = conversation["name"].as_str().expect("a name").to_owned();
        (name, conversation["gateway"].clone())
    };
    golden::conversations().into_iter().map(named).collect()
}

/// Plays conversations with the independent player; panics with its report where anything differs.
pub fn play(at: SocketAddr, names: &[String]) {
    let output = Command::new("python3")
        .arg("-B")
        .arg(golden::path("play.py"))
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
