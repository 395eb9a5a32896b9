//! `flk checklist` as a process: each item that can be run passes where all is well, and fails where what it is about is not.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/gateway.rs"]
mod gateway;
#[path = "../common/server.rs"]
mod server;

mod failing;

use common::{Ran, flk, golden, run};
use gateway::Gateway;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const KEY: (&str, &str) = ("PCS_HMAC_KEY", "a key of no use elsewhere, 32 bytes");

fn checklist(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = flk(dir);
    command.arg("checklist").args(arguments);
    run(command.envs(variables.iter().copied()), b"")
}

/// Verdict of an item, with what was said.
fn of(dir: &Path, id: &str, arguments: &[&str], variables: &[(&str, &str)]) -> (String, String) {
    let arguments = [&["--json", "--item", id], arguments].concat();
    let ran = checklist(dir, &arguments, variables);
    let lines = ran.json();
    assert_eq!(lines.len(), 1, "{}", ran.stdout);
    assert_eq!(lines[0]["id"], id);
    let text = |name: &str| lines[0][name].as_str().unwrap().to_owned();
    let verdict = text("verdict");
    assert_eq!(
        ran.code,
        i32::from(verdict == "FAIL"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    (verdict, text("said"))
}

/// Rows of `--list`: id, sentence, command, and who runs it.
fn rows(dir: &Path) -> Vec<Vec<String>> {
    let ran = checklist(dir, &["--list"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let cells = |line: &str| {
        let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(
            line.split(" | ")
                .map(str::to_owned)
                .collect::<Vec<String>>(),
        )
    };
    ran.stdout.lines().filter_map(cells).skip(1).collect()
}

#[test]
fn there_are_seven_items_of_each_kind_and_each_command_is_one_that_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(dir.path());
    let ids: Vec<String> = rows.iter().map(|it| it[0].replace('`', "")).collect();
    let kinds = ["code", "security", "infrastructure", "operations"];
    let expected = kinds
        .iter()
        .flat_map(|kind| (1..=7).map(move |at| format!("{kind}-{at}")));
    assert_eq!(ids, expected.collect::<Vec<String>>());
    let makefiles = [
        "../Makefile",
        "../tests/deploy/Makefile.inc",
        "Makefile.inc",
    ];
    let makefiles: String = makefiles
        .iter()
        .map(|it| std::fs::read_to_string(golden(it)).unwrap())
        .collect();
    for row in &rows {
        let command = row[2].trim_matches('`');
        let mut words = command.split(' ');
        match words.next().unwrap() {
            "make" => words.for_each(|target| {
                let is_known = makefiles.contains(&format!("\n{target}:"));
                assert!(is_known, "{command}");
            }),
            "flk" => {
                let is_word = |it: &&str| {
                    it.bytes().all(|it| it.is_ascii_lowercase() || it == b'-')
                        && !it.starts_with('-')
                };
                let path: Vec<&str> = words.take_while(is_word).collect();
                assert_eq!(
                    run(flk(dir.path()).args(path).arg("--help"), b"").code,
                    0,
                    "{command}"
                );
            }
            other => assert_eq!(other, "curl", "{command}"),
        }
    }
}

/// The page of docs says of each item what this program says.
#[test]
fn the_page_of_the_checklist_has_every_item_word_by_word() {
    let dir = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(golden("../docs/production-checklist.md")).unwrap();
    for row in rows(dir.path()) {
        let lines: Vec<&str> = page.lines().filter(|it| it.contains(&row[0])).collect();
        let has_all = |line: &&&str| line.contains(&row[1]) && line.contains(&row[2]);
        assert!(
            lines.iter().any(|line| has_all(&line)),
            "{row:?}: {lines:?}"
        );
    }
}

/// Items that hold beside a gateway that is well, wherever tests run; the others depend on the machine.
const HOLD: [&str; 11] = [
    "code-6",
    "infrastructure-7",
    "operations-2",
    "operations-3",
    "operations-4",
    "operations-5",
    "operations-7",
    "security-1",
    "security-2",
    "security-3",
    "security-4",
];

/// A gateway whose key is in a file, and a backup of its log.
fn with_a_backup(dir: &Path) -> (Gateway, [(&'static str, &'static str); 4]) {
    let key = dir.join("key");
    std::fs::write(&key, KEY.1).unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(dir, Permissions::from_mode(0o700)).unwrap();
    let settings = [
        ("PCS_HMAC_KEY_FILE", "key"),
        ("DEDUP_MEMORY_MAX", "16MiB"),
        ("WAL_MAX_BYTES", "1GiB"),
        ("FLK_CORES", "1"),
    ];
    let gateway = Gateway::start_alone(dir, &settings);
    gateway.wait_until_ready();
    let backup = ["backup", "--dir", "data/wal", "--to", "backups"];
    let backed_up = run(flk(dir).args(backup), b"");
    assert_eq!(backed_up.code, 0, "{}", backed_up.stderr);
    (gateway, settings)
}

#[test]
fn where_all_is_well_items_hold_and_those_of_elsewhere_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (gateway, settings) = with_a_backup(dir);
    let arguments = [gateway.url.as_str(), "--backups", "backups", "--json"];
    let ran = checklist(dir, &arguments, &settings);
    let items = ran.json();
    assert_eq!(items.len(), 28, "{}", ran.stderr);
    for (item, row) in items.iter().zip(rows(dir)) {
        let id = item["id"].as_str().unwrap();
        assert_eq!(format!("`{id}`"), row[0]);
        assert_eq!(item["verdict"] == "HAND", row[3] == "by hand", "{item}");
        if HOLD.contains(&id) {
            assert_eq!(item["verdict"], "PASS", "{item}");
        }
        if id == "security-6" {
            // The gateway's key has no begin.
            assert_eq!(item["verdict"], "OPEN", "{item}");
        }
    }
    // By code-7, with the key of the file that the gateway reads.
    let page = gateway.get("/metrics");
    assert!(page.text().contains("flk_dedup_hits 1\n"));
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn what_is_open_fails_only_if_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let no_url = of(dir.path(), "code-7", &[], &[KEY]);
    assert_eq!(no_url.0, "OPEN", "{}", no_url.1);
    let url = "http://127.0.0.1:1";
    let no_records = of(dir.path(), "code-7", &[url, "--no-records"], &[KEY]);
    assert_eq!(no_records.0, "OPEN", "{}", no_records.1);
    let strict = checklist(dir.path(), &["--item", "code-7", "--strict"], &[]);
    assert_eq!(strict.code, 1, "{}", strict.stdout);
    let summary = "items: 1; PASS 0, FAIL 0, OPEN 1, HAND 0\n";
    assert!(strict.stdout.ends_with(summary), "{}", strict.stdout);
}

#[test]
fn a_wrong_command_line_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["--item", "code-8"][..],
        &["ftp://h"],
        &["--list", "--json"],
    ] {
        let ran = checklist(dir.path(), arguments, &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
    }
}
