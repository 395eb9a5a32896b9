//! Completions, manual pages and the page of commands, all made from the definition of the command line.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{flk, run};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Commands that users see.
const COMMANDS: [&str; 15] = [
    "up",
    "archive",
    "backup",
    "checklist",
    "smoke",
    "support-bundle",
    "restore",
    "config",
    "control",
    "doctor",
    "pcs",
    "wal",
    "top",
    "completions",
    "man",
];

fn printed(dir: &Path, args: &[&str]) -> String {
    let ran = run(flk(dir).args(args), b"");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args:?}");
    ran.stdout
}

#[test]
fn completions_of_each_shell_name_every_command() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(dir.path(), &["completions", shell]);
        for name in COMMANDS.iter().chain(&["submit", "inspect", "quarantine"]) {
            assert!(script.contains(name), "{shell} lacks {name}");
        }
    }
    assert_eq!(
        run(flk(dir.path()).args(["completions", "csh"]), b"").code,
        2
    );
}

#[test]
fn bash_understands_its_completions() {
    let dir = tempfile::tempdir().unwrap();
    let script = printed(dir.path(), &["completions", "bash"]);
    std::fs::write(dir.path().join("flk.bash"), script).unwrap();
    let completes = "source ./flk.bash; COMP_WORDS=(flk wal ins); COMP_CWORD=2; _flk flk ins wal; echo \"${COMPREPLY[@]}\"";
    for (args, expect) in [
        (vec!["-n", "flk.bash"], ""),
        (vec!["-c", completes], "inspect\n"),
    ] {
        let mut bash = Command::new("bash");
        let Ok(said) = bash.args(&args).current_dir(dir.path()).output() else {
            flk_testkit::skipped("there is no bash here");
            return;
        };
        let texts = [&said.stdout, &said.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
        assert_eq!(texts, [expect, ""], "{args:?}");
        assert!(said.status.success());
    }
}

#[test]
fn manual_pages_are_there_for_each_command_and_tell_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let page = printed(dir.path(), &["man"]);
    assert!(page.contains(".TH flk 1"), "{page}");
    for name in COMMANDS {
        let name = name.replace('-', "\\-");
        assert!(page.contains(&format!("flk\\-{name}(1)")), "{name}: {page}");
    }
    assert_eq!(printed(dir.path(), &["man", "man/man1"]), "");
    let submit = std::fs::read_to_string(dir.path().join("man/man1/flk-pcs-submit.1")).unwrap();
    assert!(
        submit.contains("Exit codes:") && submit.contains("\\-\\-url"),
        "{submit}"
    );
    let names = std::fs::read_dir(dir.path().join("man/man1")).unwrap();
    assert!(names.count() > 25);
}

#[test]
fn pages_that_cannot_be_written_are_an_error_that_names_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("taken"), "").unwrap();
    let ran = run(flk(dir.path()).args(["man", "taken"]), b"");
    assert_eq!(ran.code, 74);
    assert!(
        ran.stderr.contains("manual pages to taken"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_page_of_commands_is_what_the_program_prints_whatever_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["commands", "--markdown"];
    let mut command = flk(dir.path());
    command
        .args(args)
        .env("WAL_DIR", "/elsewhere")
        .env("COLUMNS", "40");
    let ran = run(&mut command, b"");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page == ran.stdout,
        "docs/commands.md is old: flk commands --markdown > docs/commands.md"
    );
    for name in COMMANDS {
        assert!(page.contains(&format!("## flk {name}\n")), "{name}");
    }
    assert!(!page.contains("## flk commands"));
}

#[test]
fn the_telemetry_registry_is_what_the_program_writes_and_nothing_else_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["commands", "--telemetry-registry", "made"];
    assert_eq!(printed(dir.path(), &args), "");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/telemetry/registry");
    let files = |dir: &Path| {
        let entries = std::fs::read_dir(dir).unwrap().flatten();
        let of = |it: std::fs::DirEntry| {
            let text = std::fs::read_to_string(it.path()).unwrap();
            (it.file_name().into_string().unwrap(), text)
        };
        entries.map(of).collect::<BTreeMap<_, _>>()
    };
    let (made, mut kept) = (files(&dir.path().join("made")), files(&kept));
    assert!(kept.remove("README.md").is_some());
    assert_eq!(
        made.keys().collect::<Vec<_>>(),
        kept.keys().collect::<Vec<_>>()
    );
    for (name, text) in made {
        assert!(
            kept[&name] == text,
            "{name} is old: flk commands --telemetry-registry docs/telemetry/registry"
        );
        let parsed: serde_norway::Value = serde_norway::from_str(&text).unwrap();
        assert!(parsed.is_mapping(), "{name}");
    }
}
