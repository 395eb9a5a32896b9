//! What commands on backups and archives say where a place, a hold or an id is not what was meant.

use super::common::{flk, golden_directory, run};
use super::{Cases, log_directory};
use std::path::Path;

fn said(dir: &Path, args: &[&str], code: i32) -> String {
    let ran = run(flk(dir).args(args), b"");
    assert_eq!(ran.code, code, "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran.stderr
}

#[test]
fn a_directory_without_backups_is_refused_by_a_prune_and_told_by_a_list() {
    let (dir, _) = log_directory();
    let path = dir.path();
    let words = "data is no place of backups: it holds no flk-backup.json";
    for more in [&[][..], &["--dry-run"]] {
        let prune = [&["backup", "prune", "--from", "data"][..], more].concat();
        let told = said(path, &prune, 2);
        assert!(told.contains(words), "{told}");
    }
    for more in [&[][..], &["--older-than", "1d"]] {
        let list = [&["backup", "list", "--from", "data"][..], more].concat();
        let told = said(path, &list, 0);
        assert!(told.contains(words), "{told}");
        assert!(told.contains("no backup is in data"), "{told}");
    }
    let backup = ["backup", "--dir", "data/wal", "--to", "place"];
    said(path, &backup, 0);
    let told = said(path, &["backup", "list", "--from", "place"], 0);
    assert!(!told.contains("is no place"), "{told}");
    let mut prune = Cases::of(&["backup", "prune"]);
    prune.check(0, path, &["--from", "place"], b"");
    prune.check(0, path, &["--from", "place", "--dry-run"], b"");
}

#[test]
fn a_hold_without_a_gateway_is_said_to_be_neither_made_nor_moved() {
    let dir = golden_directory("v2_packed");
    for command in [&["archive", "run"][..], &["backup"]] {
        let args = [command, &["--dir", "data/wal", "--to", "place"]].concat();
        let words = "hold nightly is neither made nor moved";
        let without = said(dir.path(), &args, 0);
        assert!(!without.contains("hold"), "{without}");
        let told = said(dir.path(), &[&args[..], &["--hold", "nightly"]].concat(), 0);
        assert_eq!(told.matches(words).count(), 1, "{told}");
        assert!(told.contains("no gateway serves from data/wal"), "{told}");
    }
}

#[test]
fn a_place_that_cannot_be_made_names_the_directory_that_is_not_there() {
    let (dir, _) = log_directory();
    for command in [&["archive", "run"][..], &["backup"]] {
        let args = ["--dir", "data/wal", "--to", "absent/deeper/place"];
        let told = said(dir.path(), &[command, &args].concat(), 74);
        let words = "cannot make absent/deeper/place: absent/deeper, where it would lie: ";
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_search_without_anything_to_look_for_or_with_a_part_of_an_id_says_what_is_needed() {
    let dir = golden_directory("v2_packed");
    let path = dir.path();
    let place = ["archive", "run", "--dir", "data/wal", "--to", "place"];
    said(path, &place, 0);
    let find = ["archive", "find", "--from", "place"];
    let told = said(path, &find, 2);
    assert!(
        told.contains("--pcs-id") && told.contains("--tenant"),
        "{told}"
    );
    for wrong in ["AB".repeat(32), "ab".repeat(31), "ab".repeat(33)] {
        let told = said(path, &[&find[..], &["--pcs-id", &wrong]].concat(), 2);
        assert!(told.contains("a pcs_id is 64 of 0-9 a-f"), "{told}");
    }
    let whole = "ab".repeat(32);
    said(path, &[&find[..], &["--pcs-id", &whole]].concat(), 1);
}
