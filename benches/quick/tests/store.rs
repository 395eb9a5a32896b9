//! The figures of the store, small: every part of the bench runs against the real gateway, every answer is right, and the page
//! has its tables. How fast anything is does not matter here.

use flk_testkit::{gateway, skipped};
use std::path::Path;
use std::process::Command;

#[test]
fn sealed_ids_that_no_request_brought_are_answered_as_duplicates_with_one_read_each() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return skipped("figures of the store: they need two CPUs");
    }
    let bench = Path::new(env!("CARGO_BIN_EXE_flk-bench-quick"));
    let beside = bench.with_file_name("flk-dataplane");
    assert_eq!(
        gateway::binary(),
        beside,
        "the bench starts what lies beside it"
    );
    let work_dir = tempfile::tempdir().unwrap();
    let output = Command::new(bench)
        .args([
            "--only",
            "store",
            "--keys",
            "2e4",
            "--seconds",
            "1",
            "--rounds",
            "1",
        ])
        .arg("--work-dir")
        .arg(work_dir.path())
        .output()
        .unwrap();
    let (page, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    // It fails where an answer was wrong or a duplicate was not known, of which there are some hundred.
    assert!(output.status.success(), "{page}\n{said}");
    for table in [
        "### Memory, disk and look-ups",
        "### Starts",
        "### New ids",
        "### Duplicates that need a read",
        "### What seals and merges write",
        "### The formula",
    ] {
        assert!(page.contains(table), "{table}: {page}");
    }
    for goal in [
        "slices",
        "reads in vain per new id",
        "blocks read per duplicate: nothing is scanned",
    ] {
        let row = format!("| {goal} | 2e4 |");
        let row = page.lines().find(|line| line.starts_with(&row));
        assert!(
            row.is_some_and(|row| row.ends_with("| PASS |")),
            "{goal}: {page}"
        );
    }
    let left = std::fs::read_dir(work_dir.path()).unwrap();
    let left = left
        .map(|entry| entry.unwrap().file_name())
        .collect::<Vec<_>>();
    assert_eq!(left, ["flk.toml"], "the log directories are removed");
}
