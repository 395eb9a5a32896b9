//! Exit codes of the commands on archives: each that their help lists is met, and no other.

use super::common::{flk, golden_directory, run};
use super::{Cases, TO_A_PLACE as TO, copies_to_a_place, log_directory};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn what_archives() {
    let mut cases = Cases::of(&["archive", "run"]);
    let (dir, names) = log_directory();
    let path = dir.path();
    let sound = golden_directory("v2_packed");
    cases.check(0, sound.path(), &TO, b"");
    let held = [&TO[..], &["--hold", "archive"]].concat();
    cases.check(0, sound.path(), &held, b"");
    // A body has no disposition, and others behind it have.
    cases.check(69, path, &TO, b"");
    copies_to_a_place(&mut cases, path, &names[0]);
    cases.end(&[]);
}

/// The files below a folder of a place.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files
}

#[test]
fn what_reads_archives() {
    // One has the mark of a run, the other one an object that states a loss: a list reads that.
    let (whole, dir) = (golden_directory("v2_packed"), golden_directory("v2_sealed"));
    let path = dir.path();
    for (path, code) in [(whole.path(), 0), (path, 69)] {
        let made = run(flk(path).args(["archive", "run"]).args(TO), b"");
        assert_eq!(made.code, code, "{}", made.stderr);
    }
    let from = ["--from", "place"];
    let all = [&from[..], &["--tenant", "default"]].concat();
    let mut find = Cases::of(&["archive", "find"]);
    find.check(0, path, &all, b"");
    find.check(
        0,
        path,
        &[&all[..], &["--limit", "1", "--body"]].concat(),
        b"",
    );
    let later = [&all[..], &["--since", "2100-01-01T00:00:00+01:00"]].concat();
    find.check(1, path, &later, b"");
    find.check_full(path, &all, b"");
    find.check(2, path, &from, b"");
    find.check(
        2,
        path,
        &[&all[..], &["--since", "yesterday"]].concat(),
        b"",
    );
    find.check(2, path, &[&all[..], &["--limit", "0"]].concat(), b"");
    find.check(2, path, &[&from[..], &["--pcs-id", ""]].concat(), b"");
    find.check(2, path, &["--from", "data", "--tenant", "default"], b"");
    let mut list = Cases::of(&["archive", "list"]);
    list.check(0, path, &from, b"");
    let young = [&from[..], &["--older-than", "1d"]].concat();
    list.check(1, whole.path(), &young, b"");
    list.check(0, path, &young, b"");
    list.check_full(path, &from, b"");
    list.check(2, path, &["--from", "absent"], b"");
    let mut verify = Cases::of(&["archive", "verify"]);
    verify.check(0, path, &from, b"");
    verify.check_full(path, &from, b"");
    verify.check(2, path, &["--from", "absent"], b"");
    for file in files(&path.join("place/bodies")) {
        let mut bytes = fs::read(&file).unwrap();
        let at = bytes.len() - 9;
        bytes[at] ^= 1;
        fs::write(file, bytes).unwrap();
    }
    find.check(65, path, &all, b"");
    list.check(65, path, &from, b"");
    verify.check(65, path, &from, b"");
    let owner = path.join("place/flk-archive.json");
    let text = fs::read_to_string(&owner).unwrap();
    fs::write(&owner, text.replace("\"format\":1", "\"format\":2")).unwrap();
    find.check(78, path, &all, b"");
    list.check(78, path, &from, b"");
    verify.check(78, path, &from, b"");
    // 69 needs a store that does not answer for a minute
    find.end(&[69]);
    list.end(&[69]);
    verify.end(&[69]);
}
