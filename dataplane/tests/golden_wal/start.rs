//! The real gateway on a copy of the directory: it answers duplicates of everything that was decided with the stored
//! bytes, and it refuses to start on damage with the exit code that says so.

use super::vectors::{FORMS, Files, PACKED, edited, files, list, number, text, vectors};
use flk_dataplane::wal::manifest::Manifest;
use flk_testkit::gateway::Gateway;
use flk_testkit::golden;
use flk_testkit::plan::Plan;
use flk_testkit::side_by_side;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn plan(directory: &Path) -> Plan {
    Plan::new(env!("CARGO_BIN_EXE_flk-dataplane"), directory).with("FLK_CORES", "1")
}

/// Starts it; its exit code, if it ends before it is ready, and what it said.
fn start(directory: &Path) -> (Option<i32>, String) {
    match plan(directory).try_start() {
        Ok(gateway) => (None, gateway.said()),
        Err(ended) => (Some(ended.code()), ended.said),
    }
}

/// Submits a golden record: status, `Flk-Dedup`, body.
fn submit(gateway: &Gateway, file: &Value) -> (u16, String, String) {
    let answer = gateway.post(&golden::bytes(text(file)));
    let dedup = answer.dedup().unwrap_or_default().to_owned();
    (answer.status, dedup, answer.text().to_owned())
}

/// What the vectors do to a directory.
fn variants(directory: &Value) -> impl Iterator<Item = &Value> {
    list(&directory["variants"])
        .iter()
        .chain(list(&directory["start_variants"]))
}

fn copied(files: &Files) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    directory
}

/// What is stored in a directory.
fn stored(directory: &Path) -> Files {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .filter(|entry| entry.file_type().unwrap().is_file() && entry.file_name() != "lock")
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// All decisions that are alive answer as hits with their stored bytes.
fn expect_hits(gateway: &Gateway, directory: &Value) -> usize {
    let alive = list(&directory["outcomes"])
        .iter()
        .filter(|row| row["alive"] == true && row["tenant"] == "default");
    let mut count = 0;
    for row in alive {
        let found = submit(gateway, &row["file"]);
        let status = number(&row["status"]) as u16;
        let wanted = (status, "hit".to_owned(), text(&row["outcome"]).to_owned());
        assert_eq!(found, wanted, "{}", row["file"]);
        count += 1;
    }
    count
}

#[test]
fn a_gateway_on_a_directory_of_any_version_answers_every_duplicate_with_the_stored_bytes() {
    let vectors = vectors();
    side_by_side(FORMS, |form| answers_with_the_stored_bytes(&vectors[form]));
}

fn answers_with_the_stored_bytes(directory: &Value) {
    let whole = files(directory);
    let copy = copied(&whole);
    let gateway = plan(copy.path()).start();
    assert!(expect_hits(&gateway, directory) >= 20);
    for row in list(&directory["never_decided"]) {
        let (status, dedup, _) = submit(&gateway, &row["file"]);
        assert_eq!((status, dedup.as_str()), (200, "miss"), "{row}");
    }
    let said = gateway.said();
    let is_raised = said.contains("was of format 1 and is of format 2 from now on");
    let has_base = !directory["manifest"]["sections"]["clock_base_of_format_1"].is_null();
    assert_eq!(is_raised, has_base, "{said}");
    for two in list(&directory["two_outcomes"]) {
        let key = &text(&two["key"])[..16];
        // A log of format 1 counts from the installation, and what is said is on the clock of now.
        let base = &directory["manifest"]["sections"]["clock_base_of_format_1"]["base"];
        let base = base.as_u64().unwrap_or(0);
        let [first, second] =
            ["first_decided_at", "second_decided_at"].map(|name| base + number(&two[name]));
        let wanted =
            format!("key {key}…: decided at {first} s (stands) and at {second} s (ignored)");
        assert!(said.contains(&wanted), "{wanted}: {said}");
    }
    // Killed without a word: a second start finds everything again, in the form that the first start gave it.
    drop(gateway);
    is_carried_over(&whole, &stored(copy.path()));
    let gateway = plan(copy.path()).start();
    expect_hits(&gateway, directory);
    for row in list(&directory["never_decided"]) {
        let (status, dedup, _) = submit(&gateway, &row["file"]);
        assert_eq!((status, dedup.as_str()), (200, "hit"), "{row}");
    }
}

/// The manifest that a start writes is of the current version, whatever it found, and has its ids and what sections of a later
/// version it had.
fn is_carried_over(before: &Files, after: &Files) {
    assert_eq!(after["manifest"][8..12], [2, 0, 0, 0]);
    let [before, after] =
        [before, after].map(|files| Manifest::decode(&files["manifest"]).unwrap());
    let ids = |it: &Manifest| [it.installation, it.node, it.incarnation, it.secret];
    assert_eq!(ids(&after), ids(&before));
    assert!(after.generation > before.generation);
    assert_eq!(after.sections, before.sections);
}

#[test]
fn a_gateway_on_a_directory_with_a_slice_answers_every_duplicate_with_the_stored_bytes() {
    let vectors = vectors();
    side_by_side(FORMS, |form| {
        let directory = &vectors[format!("{form}_sealed")];
        let copy = copied(&files(directory));
        let gateway = plan(copy.path()).start();
        assert_eq!(expect_hits(&gateway, directory), 7, "{form}");
    });
}

#[test]
fn a_gateway_on_a_directory_with_a_packed_segment_answers_every_duplicate_with_the_stored_bytes() {
    let vectors = vectors();
    let directory = &vectors[PACKED];
    let copy = copied(&files(directory));
    for _ in 0..2 {
        let gateway = plan(copy.path()).start();
        assert_eq!(expect_hits(&gateway, directory), 3);
    }
}

#[test]
fn a_gateway_refuses_to_start_on_damage_with_the_exit_code_that_says_so() {
    let vectors = vectors();
    for form in FORMS {
        let directory = &vectors[form];
        let whole = files(directory);
        let is_refused = |it: &&Value| it["expect"]["start"].as_i64().is_some_and(|code| code != 0);
        let damaged: Vec<&Value> = variants(directory).filter(is_refused).collect();
        assert!(damaged.len() >= 20, "{}", damaged.len());
        side_by_side(damaged, |variant| {
            let files = edited(&whole, &variant["edits"]);
            let copy = copied(&files);
            let (found, said) = start(copy.path());
            let code = variant["expect"]["start"].as_i64();
            let name = &variant["name"];
            assert_eq!(found.map(i64::from), code, "{form} {name}: {said}");
            assert_eq!(stored(copy.path()), files, "{form} {name}");
        });
    }
}

#[test]
fn a_gateway_starts_on_torn_tails_and_on_what_does_not_count() {
    let vectors = vectors();
    for form in FORMS {
        let directory = &vectors[form];
        let whole = files(directory);
        let starts = variants(directory).filter(|it| it["expect"]["start"] == 0);
        side_by_side(starts, |variant| {
            let name = text(&variant["name"]);
            let copy = copied(&edited(&whole, &variant["edits"]));
            let (found, said) = start(copy.path());
            assert_eq!(found, None, "{form} {name}: {said}");
        });
    }
}
