//! Backups of the golden directories into a store in memory that fails where it is told to.

use super::directory::Source;
use super::index::{Holds, Index};
use super::names::{self, OWNER};
use super::store::{Objects, Put, StoreError};
use super::{BackupArgs, SecretRule, back_up, ready, run};
use crate::exit::{Exit, Failure};
use clap::{Args, FromArgMatches};
use flk_dataplane::wal::manifest::Manifest;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use tempfile::TempDir;

/// A store in memory.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) objects: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Operations until one fails; that one and all behind it do.
    pub(crate) fails_in: Cell<Option<u64>>,
    pub(crate) overwrites: bool,
    /// Objects are made, and the answer to that is lost: the request is repeated, and finds the object.
    pub(crate) loses_answers: Cell<bool>,
    /// Parts of segments are said to be there, and are not.
    pub(crate) claims_segments: bool,
}

impl Memory {
    pub(crate) fn step(&self, name: &str) -> Result<(), StoreError> {
        match self.fails_in.get() {
            Some(0) => Err(StoreError::Failed {
                name: name.to_owned(),
                why: "the store is gone".to_owned(),
                exit: Exit::Unavailable,
            }),
            left => {
                self.fails_in.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }

    pub(crate) fn indexes(&self) -> Vec<String> {
        let objects = self.objects.borrow();
        let is_index = |name: &&String| names::read_index(name).is_some();
        objects.keys().filter(is_index).cloned().collect()
    }
}

impl Objects for Memory {
    fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<Put, StoreError> {
        self.step(name)?;
        if self.claims_segments && name.contains("/log-") {
            return Ok(Put::Exists);
        }
        let mut objects = self.objects.borrow_mut();
        match objects.contains_key(name) && !self.overwrites {
            true => Ok(Put::Exists),
            false => {
                objects.insert(name.to_owned(), bytes);
                Ok(match self.loses_answers.get() {
                    true => Put::Exists,
                    false => Put::Made,
                })
            }
        }
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        self.step(name)?;
        let objects = self.objects.borrow();
        let missing = || StoreError::Missing(name.to_owned());
        objects.get(name).cloned().ok_or_else(missing)
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.step(name)?;
        self.objects.borrow_mut().remove(name);
        Ok(())
    }

    fn list(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.step("list of all")?;
        let objects = self.objects.borrow();
        let length = |(name, bytes): (&String, &Vec<u8>)| (name.clone(), bytes.len() as u64);
        Ok(objects.iter().map(length).collect())
    }
}

/// A copy of a golden directory.
pub(crate) fn golden(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/wal");
    for entry in std::fs::read_dir(golden.join(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

/// The backup of a directory.
pub(crate) fn taken(dir: &Path, store: &Memory) -> Result<Index, Failure> {
    let source = Source::open(dir)?;
    back_up(&source, store, &SecretRule::InClear).map(|(index, _, _)| index)
}

fn sent(dir: &Path, store: &Memory) -> (u64, u64) {
    let source = Source::open(dir).unwrap();
    let (_, _, sent) = back_up(&source, store, &SecretRule::LeftOut).unwrap();
    (sent.objects, sent.bytes)
}

#[test]
fn a_backup_names_each_file_of_the_copy_and_counts_what_is_in_it() {
    let store = Memory::default();
    let dir = golden("v2_sealed");
    let index = taken(dir.path(), &store).unwrap();
    let manifest = store.objects.borrow()[&index.manifest.object].clone();
    let manifest = Manifest::decode(&manifest).unwrap();
    assert!(manifest.logs.iter().all(|log| log.ended_at.is_some()));
    assert!(manifest.preallocated.is_empty());
    assert_eq!(index.files.len(), manifest.files().len());
    let totals = index.totals();
    assert_eq!(totals.slices as usize, manifest.slices.len());
    assert!(totals.bodies > 0 && totals.decisions > 0 && totals.entries > 0);
    let name = index.object();
    let bytes = store.objects.borrow()[&name].clone();
    assert_eq!(Index::decode(&name, &bytes).unwrap(), index);
    assert!(
        index
            .parts()
            .all(|it| store.objects.borrow().contains_key(&it.object))
    );
}

#[test]
fn what_is_in_the_place_is_not_sent_again() {
    let store = Memory::default();
    let dir = golden("v2_sealed");
    let first = taken(dir.path(), &store).unwrap();
    let bytes_before: usize = store.objects.borrow().values().map(Vec::len).sum();
    let (objects, bytes) = sent(dir.path(), &store);
    assert_eq!((objects, bytes), (0, 0), "but for the index");
    let indexes = store.indexes();
    assert_eq!(indexes.len(), 2);
    let second = Index::decode(&indexes[1], &store.objects.borrow()[&indexes[1]]).unwrap();
    assert_eq!(second.number, first.number + 1);
    assert_eq!(second.files, first.files);
    let bytes_after: usize = store.objects.borrow().values().map(Vec::len).sum();
    let index_bytes = store.objects.borrow()[&indexes[1]].len();
    assert_eq!(bytes_after - bytes_before, index_bytes);
    // An object that is gone is sent again.
    let segment = first
        .files
        .iter()
        .find(|it| matches!(it.holds, Holds::Segment(_)));
    let gone = segment.unwrap().parts[0].clone();
    store.objects.borrow_mut().remove(&gone.object);
    assert_eq!(sent(dir.path(), &store), (1, gone.bytes));
}

#[test]
fn a_backup_that_ends_at_any_operation_is_none_and_the_next_one_goes_on_with_what_was_sent() {
    for name in ["v1", "v2", "v2_sealed"] {
        let dir = golden(name);
        let whole = Memory::default();
        let expected = taken(dir.path(), &whole).unwrap();
        let mut failed = 0;
        loop {
            let store = Memory::default();
            store.fails_in.set(Some(failed));
            let Err(failure) = taken(dir.path(), &store) else {
                break;
            };
            assert_eq!(failure.exit(), Exit::Unavailable, "{}", failure.text());
            assert_eq!(store.indexes(), [""; 0], "operation {failed}");
            let kept = store.objects.borrow().clone();
            store.fails_in.set(None);
            let index = taken(dir.path(), &store).unwrap();
            assert_eq!(index.files, expected.files, "operation {failed}");
            for (object, bytes) in kept {
                assert_eq!(store.objects.borrow()[&object], bytes);
            }
            failed += 1;
        }
        assert!(failed > 8, "{name}: {failed} operations");
    }
}

#[test]
fn a_store_that_overwrites_is_refused_before_anything_is_sent() {
    let store = Memory {
        overwrites: true,
        ..Memory::default()
    };
    let refused = taken(golden("v2").path(), &store).unwrap_err();
    assert_eq!(refused.exit(), Exit::Configuration, "{}", refused.text());
    let names: Vec<String> = store.objects.borrow().keys().cloned().collect();
    assert_eq!(names, [OWNER]);
}

#[test]
fn a_place_holds_the_backups_of_one_directory() {
    let store = Memory::default();
    taken(golden("v2").path(), &store).unwrap();
    let before = store.objects.borrow().len();
    let dir = golden("v2");
    let path = dir.path().join("manifest");
    let mut manifest = Manifest::decode(&std::fs::read(&path).unwrap()).unwrap();
    manifest.node = [9; 16];
    std::fs::write(&path, manifest.encode()).unwrap();
    let refused = taken(dir.path(), &store).unwrap_err();
    assert_eq!(refused.exit(), Exit::Usage, "{}", refused.text());
    assert_eq!(store.objects.borrow().len(), before);
}

#[test]
fn what_is_damaged_or_gone_is_not_backed_up() {
    let dir = golden("v2_sealed");
    let segment = dir.path().join("segment-0000000000000002.wal");
    let bytes = std::fs::read(&segment).unwrap();
    let mut flipped = bytes.clone();
    flipped[4096 + 100] ^= 1;
    std::fs::write(&segment, flipped).unwrap();
    let store = Memory::default();
    let refused = taken(dir.path(), &store).unwrap_err();
    assert_eq!(refused.exit(), Exit::Damage, "{}", refused.text());
    std::fs::remove_file(&segment).unwrap();
    let refused = taken(dir.path(), &store).unwrap_err();
    assert_eq!(refused.exit(), Exit::Damage, "{}", refused.text());
    assert!(refused.text().contains("segment-0000000000000002.wal"));
    assert_eq!(store.indexes(), [""; 0]);
}

#[test]
fn an_index_with_any_flipped_bit_is_refused() {
    let store = Memory::default();
    let index = taken(golden("v2").path(), &store).unwrap();
    let (name, bytes) = (index.object(), index.encode().unwrap());
    for at in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        assert!(Index::decode(&name, &flipped).is_err(), "byte {at}");
        assert!(Index::decode(&name, &bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn reading_a_file_waits_for_nothing() {
    assert_eq!(ready(std::future::ready(7)), 7);
}

#[test]
fn an_index_whose_name_leads_out_of_the_directory_or_whose_lengths_do_not_add_up_is_refused() {
    let store = Memory::default();
    let index = taken(golden("v2_sealed").path(), &store).unwrap();
    let snapshot = |name: &str| {
        let mut changed = index.clone();
        let mut file = changed.files[0].clone();
        (file.name, file.holds) = (name.to_owned(), Holds::Snapshot);
        changed.files.push(file);
        changed
    };
    let decoded = |index: &Index| Index::decode("index", &index.encode().unwrap());
    assert!(decoded(&snapshot("snapshots/00000001.json")).is_ok());
    for name in [
        "snapshots/../../leads-out.json",
        "snapshots/../manifest",
        "snapshots/a/b.json",
        "/etc/leads-out.json",
        "manifest",
        "secret",
        "",
    ] {
        let refused = decoded(&snapshot(name)).unwrap_err();
        assert_eq!(refused.exit(), Exit::Damage, "{name}: {}", refused.text());
    }
    for at in 0..index.files.len() {
        let mut changed = index.clone();
        changed.files[at].name = "snapshots/../../leads-out.json".to_owned();
        assert!(decoded(&changed).is_err(), "{:?}", changed.files[at].holds);
        let mut changed = index.clone();
        changed.files[at].bytes += 1;
        assert!(decoded(&changed).is_err(), "{:?}", changed.files[at].holds);
        changed.files[at].parts[0].bytes = u64::MAX;
        let again = changed.files[at].parts[0].clone();
        changed.files[at].parts.push(again);
        assert!(decoded(&changed).is_err(), "{:?}", changed.files[at].holds);
    }
}

#[test]
fn a_file_that_is_gone_for_good_ends_a_backup_whatever_else_was_sent_meanwhile() {
    let dir = golden("v2_sealed");
    let source = Source::open(dir.path()).unwrap();
    assert!(source.refuse_lost().is_ok());
    std::fs::remove_file(dir.path().join("segment-0000000000000002.wal")).unwrap();
    let refused = source.refuse_lost().unwrap_err();
    assert_eq!(refused.exit(), Exit::Damage, "{}", refused.text());
    assert!(refused.text().contains("segment-0000000000000002.wal"));
}

#[test]
fn a_request_that_is_repeated_because_its_answer_was_lost_makes_no_second_backup() {
    let store = Memory {
        loses_answers: Cell::new(true),
        ..Memory::default()
    };
    let index = taken(golden("v2").path(), &store).unwrap();
    assert_eq!(store.indexes(), [index.object()]);
}

#[test]
fn a_damaged_index_is_no_reason_to_make_no_backup() {
    let store = Memory::default();
    let dir = golden("v2");
    let first = taken(dir.path(), &store).unwrap();
    let name = first.object();
    store.objects.borrow_mut().get_mut(&name).unwrap()[9] ^= 1;
    let second = taken(dir.path(), &store).unwrap();
    assert_eq!(second.number, first.number + 1);
    assert_eq!(second.files, first.files);
}

#[test]
fn what_is_made_in_a_place_is_for_its_owner_only_in_a_directory_of_others_as_well() {
    let dir = golden("v2");
    let parent = tempfile::tempdir().unwrap();
    let place = parent.path().join("place");
    std::fs::DirBuilder::new()
        .mode(0o755)
        .create(&place)
        .unwrap();
    let command = BackupArgs::augment_args(clap::Command::new("backup"));
    let words = ["backup", "--with-secret", "--dir"].map(Into::into);
    let paths = [dir.path().into(), "--to".into(), place.clone().into()];
    let all: [std::ffi::OsString; 6] = {
        let [a, b, c] = words;
        let [d, e, f] = paths;
        [a, b, c, d, e, f]
    };
    let matches = command.get_matches_from(all);
    let args = BackupArgs::from_arg_matches(&matches).unwrap();
    assert_eq!(run(&args).unwrap(), Exit::Yes);
    let mut folders = vec![place];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o77, 0, "{entry:?}");
            match metadata.is_dir() {
                true => folders.push(entry.path()),
                false => files += 1,
            }
        }
    }
    assert!(files > 4, "{files}");
}

#[test]
fn an_object_that_is_said_to_be_there_and_is_not_ends_a_backup() {
    let store = Memory {
        claims_segments: true,
        ..Memory::default()
    };
    let refused = taken(golden("v2").path(), &store).unwrap_err();
    assert_eq!(refused.exit(), Exit::Unavailable, "{}", refused.text());
    assert_eq!(store.indexes(), [""; 0]);
}
