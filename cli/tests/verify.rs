//! `flk wal verify` looks at what a start looks at: files that the manifest does not name too. What a start would refuse is
//! never called whole.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{flk, golden_directory};
use std::path::Path;

/// The segment in use of a log that was not ended.
const IN_USE: &str = "segment-000000000000000a.wal";
/// A name that the manifest does not have.
const UNNAMED: &str = "segment-00000000000000ff.wal";
/// Where the last whole batch of the segment in use lies.
const LAST_BATCH_AT: usize = 16_384;

fn verify(dir: &Path) -> (i32, String) {
    let ran = flk(dir).args(["wal", "verify"]).output().unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    (ran.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// Puts a changed copy of the segment in use under a name that no manifest names.
fn planted(change: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let dir = golden_directory("v1");
    let wal = dir.path().join("data/wal");
    let mut bytes = std::fs::read(wal.join(IN_USE)).unwrap();
    change(&mut bytes);
    std::fs::write(wal.join(UNNAMED), bytes).unwrap();
    dir
}

/// Makes the checksum of a segment header right.
fn seal_header(bytes: &mut [u8]) {
    let checksum = crc32c::crc32c(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn batches_that_only_an_unnamed_file_has_are_damage() {
    let dir = planted(|_| {});
    let (code, said) = verify(dir.path());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("the next start removes it"), "{said}");

    let in_use = dir.path().join("data/wal").join(IN_USE);
    let mut bytes = std::fs::read(&in_use).unwrap();
    bytes[LAST_BATCH_AT..].fill(0);
    std::fs::write(in_use, bytes).unwrap();
    let (code, said) = verify(dir.path());
    assert_eq!(code, 65, "{said}");
    assert!(said.contains(&format!("DAMAGED   {UNNAMED}")), "{said}");
    assert!(said.contains("log 3.1 was durable up to 3:3"), "{said}");
}

#[test]
fn an_unnamed_file_of_a_later_manifest_says_that_the_manifest_is_old() {
    let later: [(usize, &str); 2] = [(32, "generation"), (12, "start")];
    for (at, what) in later {
        let dir = planted(|bytes| {
            bytes[at] += 100;
            seal_header(bytes);
        });
        let (code, said) = verify(dir.path());
        assert_eq!(code, 65, "{what}: {said}");
        assert!(said.contains(UNNAMED) && said.contains(what), "{said}");
    }
}

#[test]
fn an_unnamed_file_of_a_newer_flk_or_of_another_installation_or_node_is_said_to_be_that() {
    let dir = planted(|bytes| {
        bytes[8] = 3;
        seal_header(bytes);
    });
    let (code, said) = verify(dir.path());
    assert_eq!(code, 78, "{said}");
    assert!(said.contains(&format!("newer     {UNNAMED}")), "{said}");

    let of_another_installation = |bytes: &mut Vec<u8>| bytes[40] ^= 1;
    let of_another_node = |bytes: &mut Vec<u8>| {
        bytes[8] = 2;
        bytes[92..98].copy_from_slice(&[20, 0, 1, 0, 16, 0]);
        bytes[98..114].fill(7);
    };
    for change in [of_another_installation, of_another_node] {
        let dir = planted(|bytes| {
            change(bytes);
            seal_header(bytes);
        });
        let (code, said) = verify(dir.path());
        assert_eq!(code, 78, "{said}");
        assert!(said.contains(&format!("foreign   {UNNAMED}")), "{said}");
        assert!(said.contains("move it out"), "{said}");
    }
}
