//! Help that cannot be trusted is worse than none: every example of every help text is run as it stands.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/gateway.rs"]
mod gateway;

use common::{codes, flk, golden, run};
use gateway::Gateway;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// All commands by their words, found by asking the program itself.
fn commands(dir: &Path, words: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let help = run(flk(dir).args(words).arg("--help"), b"");
    assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{words:?}");
    if examples(&help.stdout).count() > 0 {
        found.push((words.to_vec(), help.stdout.clone()));
    }
    let listed = help.stdout.split("Commands:\n").nth(1).unwrap_or_default();
    let listed = listed.split("\n\n").next().unwrap();
    // lines that begin deeper go on with the text of the line above
    let begins = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let names = listed.lines().filter(begins);
    let names = names.filter_map(|line| line.split_ascii_whitespace().next());
    for name in names.filter(|name| *name != "help") {
        let words = [words, &[name.to_owned()]].concat();
        commands(dir, &words, found);
    }
    if listed.is_empty() && examples(&help.stdout).count() == 0 {
        found.push((words.to_vec(), help.stdout));
    }
}

/// All commands with their help.
fn all_commands(dir: &Path) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    commands(dir, &[], &mut found);
    let names: BTreeSet<String> = found.iter().map(|(words, _)| words.join(" ")).collect();
    for name in KNOWN {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    found
}

/// Lines that begin with a prompt.
fn examples(help: &str) -> impl Iterator<Item = &str> {
    help.lines().filter_map(|line| line.strip_prefix("  $ "))
}

/// Commands that are there at least.
const KNOWN: [&str; 46] = [
    "archive run",
    "archive find",
    "archive list",
    "archive verify",
    "backup",
    "backup list",
    "backup prune",
    "bench",
    "bench fixtures",
    "capacity",
    "profile list",
    "profile show",
    "restore",
    "checklist",
    "smoke",
    "support-bundle",
    "up",
    "top",
    "completions",
    "man",
    "doctor",
    "config init",
    "config check",
    "config show",
    "config diff",
    "config schema",
    "config history",
    "config rollback",
    "config reload",
    "control run",
    "control token",
    "control audit verify",
    "dedup get",
    "keys generate",
    "keys add",
    "keys list",
    "keys rotate",
    "keys revoke",
    "pcs build",
    "pcs sign",
    "pcs verify",
    "pcs submit",
    "wal inspect",
    "wal verify",
    "wal quarantine",
    "wal secret generate",
];

#[test]
fn every_command_has_help_with_examples_that_run() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start(dir);
    let admin = gateway.admin();
    gateway.wait_until_said("the data plane answers");
    let sample = golden("events/sample.csv");
    std::fs::copy(sample, dir.join("events.csv")).unwrap();
    std::fs::copy(dir.join("data/dev.key"), dir.join("agent.key")).unwrap();
    let sealed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dataplane/tests/sealed");
    let identity = std::fs::read_to_string(sealed.join("first.identity")).unwrap();
    let public = identity
        .lines()
        .find_map(|it| it.strip_prefix("# public key: "));
    std::fs::write(dir.join("recipient.txt"), public.unwrap()).unwrap();
    std::fs::write(dir.join("keys.txt"), &identity).unwrap();
    std::fs::copy(sealed.join("sops/keys.yaml"), dir.join("keys.sops.yaml")).unwrap();
    std::fs::write(dir.join("flk.log"), "").unwrap();
    std::fs::write(dir.join("id.txt"), "0".repeat(64)).unwrap();
    let shell = |line: &str| {
        let program = Path::new(env!("CARGO_BIN_EXE_flk")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command
            .current_dir(dir)
            .env("PATH", path)
            .env("PORT", "0") // another process may have the usual one
            .env("ADMIN_LISTEN", &admin)
            .env("SOPS_AGE_KEY_FILE", "keys.txt") // of keys that earlier examples added
            .env("FLK_URL", &gateway.url);
        let line = line.replace("http://127.0.0.1:8080", &gateway.url);
        let line = line.replace("127.0.0.1:8081", &admin);
        // How long records take where tests run side by side says nothing.
        let line = line.replace("flk smoke ", "flk smoke --latency-max 1h ");
        command.args(["-c", &line]);
        run(&mut command, b"")
    };
    assert_eq!(shell("flk pcs build events.csv > pcs.json").code, 0);
    assert_eq!(shell("flk pcs sign pcs.json > signed.json").code, 0);
    assert_eq!(shell("cp signed.json records.ndjson").code, 0);

    let found = all_commands(dir);
    for (words, help) in &found {
        let name = words.join(" ");
        assert!(examples(help).count() > 0, "{name} has no example");
        for example in examples(help).filter(|_| !["up", "control run"].contains(&name.as_str())) {
            assert!(example.contains(&format!("flk {name}")), "{example}");
            // The disk of a busy machine may have stood still for the example before.
            gateway.wait_until_ready();
            let ran = shell(example);
            // a directory in use is refused, which is the right answer here
            let expect: &[i32] = match name.as_str() {
                "wal quarantine" => &[69],
                // nothing was sent yet
                "dedup get" | "archive find" => &[1],
                _ => &[0],
            };
            assert!(
                expect.contains(&ran.code),
                "{example}: {} {} {}",
                ran.code,
                ran.stdout,
                ran.stderr
            );
        }
    }
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn exit_codes_are_told_and_a_wrong_option_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let help = run(flk(dir.path()).arg("--help"), b"");
    for code in ["0  ", "1  ", "2  ", "65  ", "69  "] {
        assert!(help.stdout.contains(code), "{}", help.stdout);
    }
    assert_eq!(run(flk(dir.path()).args(["pcs", "nonsense"]), b"").code, 2);
    assert_eq!(
        run(flk(dir.path()).args(["pcs", "sign", "--nonsense"]), b"").code,
        2
    );
}

#[test]
fn the_gateway_tells_its_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let help = run(flk(dir.path()).args(["up", "--help"]), b"").stdout;
    assert_eq!(codes(&help), [0, 65, 69, 71, 74, 75, 78]);
}
