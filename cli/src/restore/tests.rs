//! Restores from a store in memory that fails where it is told to, or whose objects were changed.

use super::kept::Backup;
use super::point::Point;
use super::target::{Plan, Target, lock};
use super::verify::{From, check};
use super::{all, choose};
use crate::backup::index::{Index, sha256};
use crate::backup::prune::{Rule, prune};
use crate::backup::store::{Objects, Place};
use crate::backup::tests::{Memory, golden, taken};
use crate::exit::{Exit, Failure};
use flk_dataplane::driver::log_directory::LogDirectory;
use flk_dataplane::wal::copy::restored;
use flk_dataplane::wal::files::{MANIFEST, RESTORING};
use flk_dataplane::wal::manifest::Manifest;
use std::path::Path;
use std::time::Duration;

/// A backup of a golden directory.
fn backup_of(name: &str) -> (Memory, Index) {
    let store = Memory::default();
    let dir = golden(name);
    let index = taken(dir.path(), &store).unwrap();
    (store, index)
}

/// Restores all of a backup with its secret.
fn restore(store: &Memory, dir: &Path) -> Result<Manifest, Failure> {
    let place = Place::Directory("memory".into());
    let index = choose(store, "latest", &place)?;
    let backup = Backup::read(store, index)?;
    let plan = Plan {
        backup: backup.index.object(),
        sha256: sha256(&backup.index.encode()?),
        cuts: Point::default().words(),
        incarnation: "00".repeat(16),
    };
    let mut target = Target::take(dir, plan)?;
    target.files(&backup, &backup.manifest)?;
    let manifest = restored(&backup.manifest, target.incarnation()?);
    let directory = LogDirectory::open(dir).unwrap();
    let exit = check(&backup, &manifest, &From::Directory(&directory))?;
    assert_eq!(exit, Exit::Yes);
    target.finish(&[1; 48], &manifest)?;
    Ok(manifest)
}

fn is_complete(dir: &Path) -> bool {
    !dir.join(RESTORING).exists() && dir.join(MANIFEST).exists()
}

#[test]
fn a_restore_that_ends_at_any_object_is_no_directory_and_goes_on_where_it_was() {
    for name in ["v1", "v1_sealed", "v2_sealed"] {
        let (store, _) = backup_of(name);
        let mut failed = 0;
        loop {
            let dir = tempfile::tempdir().unwrap();
            store.fails_in.set(Some(failed));
            let Err(failure) = restore(&store, dir.path()) else {
                break;
            };
            assert_eq!(failure.exit(), Exit::Unavailable, "{}", failure.text());
            assert!(!dir.path().join(MANIFEST).exists(), "operation {failed}");
            let names = std::fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(names > 0, dir.path().join(RESTORING).exists());
            store.fails_in.set(None);
            let manifest = restore(&store, dir.path()).unwrap();
            assert!(is_complete(dir.path()), "operation {failed}");
            let written = std::fs::read(dir.path().join(MANIFEST)).unwrap();
            assert_eq!(Manifest::decode(&written).unwrap(), manifest);
            failed += 1;
        }
        store.fails_in.set(None);
        assert!(failed > 4, "{name}: {failed} operations");
    }
}

#[test]
fn a_flipped_bit_in_any_object_is_found_where_it_is_and_by_a_restore() {
    let (store, index) = backup_of("v2_sealed");
    let names: Vec<String> = index
        .parts()
        .map(|it| it.object.clone())
        .filter(|it| !it.contains("secret"))
        .chain([index.object()])
        .collect();
    for name in names {
        let whole = store.objects.borrow()[&name].clone();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            store.objects.borrow_mut().get_mut(&name).unwrap()[at] ^= 1;
            let dir = tempfile::tempdir().unwrap();
            let refused = restore(&store, dir.path()).unwrap_err();
            assert_eq!(refused.exit(), Exit::Damage, "{name}: {}", refused.text());
            assert!(!dir.path().join(MANIFEST).exists(), "{name}");
            let stored = &all(&store.list().unwrap())[0];
            let in_place = stored
                .index(&store)
                .and_then(|index| Backup::read(&store, index))
                .and_then(|backup| check(&backup, &backup.manifest, &From::Backup));
            let exit = in_place.unwrap_or_else(|failure| failure.exit());
            assert_eq!(exit, Exit::Damage, "{name} byte {at}");
            store
                .objects
                .borrow_mut()
                .insert(name.clone(), whole.clone());
        }
        store.objects.borrow_mut().remove(&name);
        let dir = tempfile::tempdir().unwrap();
        assert!(restore(&store, dir.path()).is_err(), "{name}");
        store.objects.borrow_mut().insert(name, whole);
    }
    let backup = Backup::read(&store, index).unwrap();
    let whole = check(&backup, &backup.manifest, &From::Backup).unwrap();
    assert_eq!(whole, Exit::Yes, "all is put back");
}

#[test]
fn a_directory_that_holds_anything_or_the_restore_of_another_backup_is_left_alone() {
    let (store, _) = backup_of("v2");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("notes"), "mine").unwrap();
    let refused = restore(&store, dir.path()).unwrap_err();
    assert_eq!(refused.exit(), Exit::Usage, "{}", refused.text());
    assert!(!dir.path().join(RESTORING).exists());
    let dir = tempfile::tempdir().unwrap();
    store.fails_in.set(Some(5));
    assert!(restore(&store, dir.path()).is_err());
    store.fails_in.set(None);
    assert!(dir.path().join(RESTORING).exists());
    let (other, _) = backup_of("v2_sealed");
    let refused = restore(&other, dir.path()).unwrap_err();
    assert_eq!(refused.exit(), Exit::Usage, "{}", refused.text());
    restore(&store, dir.path()).unwrap();
    assert!(is_complete(dir.path()));
    let refused = restore(&store, dir.path()).unwrap_err();
    assert_eq!(refused.exit(), Exit::Usage, "it is a log directory now");
}

/// Puts the index of another backup into a store.
fn put(store: &Memory, index: &Index) {
    let bytes = index.encode().unwrap();
    store.objects.borrow_mut().insert(index.object(), bytes);
}

#[test]
fn the_latest_backup_is_that_of_the_latest_manifest_although_the_clock_was_set_back() {
    let (store, first) = backup_of("v2");
    let mut second = first.clone();
    second.number += 1;
    second.generation += 1;
    second.moment_us -= 3_600_000_000;
    put(&store, &second);
    let place = Place::Directory("memory".into());
    assert_eq!(choose(&store, "latest", &place).unwrap(), second);
    // Under the same manifest the clock says it: two that are taken at once may end in another order.
    second.generation = first.generation;
    put(&store, &second);
    assert_eq!(choose(&store, "latest", &place).unwrap(), first);
}

#[test]
fn a_damaged_index_stands_in_the_way_of_the_latest_backup_only_if_it_may_be_that_one() {
    let (store, first) = backup_of("v2");
    let mut second = first.clone();
    second.number += 1;
    second.moment_us += 1;
    put(&store, &second);
    let place = Place::Directory("memory".into());
    let flip = |index: &Index| {
        store.objects.borrow_mut().get_mut(&index.object()).unwrap()[9] ^= 1;
    };
    flip(&first);
    assert_eq!(choose(&store, "latest", &place).unwrap(), second);
    flip(&first);
    flip(&second);
    let refused = choose(&store, "latest", &place).unwrap_err();
    assert_eq!(refused.exit(), Exit::Damage, "{}", refused.text());
    assert!(refused.text().contains("--backup"), "{}", refused.text());
    assert_eq!(choose(&store, "1", &place).unwrap(), first);
}

#[test]
fn a_restore_does_not_go_on_in_a_directory_that_another_one_completed_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(RESTORING);
    let marker = std::fs::File::create(&path).unwrap();
    assert!(lock(&marker, dir.path()).is_ok());
    std::fs::remove_file(&path).unwrap();
    let refused = lock(&marker, dir.path()).unwrap_err();
    assert_eq!(refused.exit(), Exit::Unavailable, "{}", refused.text());
}

#[test]
fn a_file_of_which_the_index_has_less_than_the_manifest_states_ends_a_restore() {
    let (store, mut index) = backup_of("v2");
    let file = &mut index.files[0];
    file.parts.clear();
    file.bytes = 0;
    put(&store, &index);
    let dir = tempfile::tempdir().unwrap();
    let place = Place::Directory("memory".into());
    let backup = Backup::read(&store, choose(&store, "latest", &place).unwrap()).unwrap();
    let plan = Plan {
        backup: String::new(),
        sha256: String::new(),
        cuts: Vec::new(),
        incarnation: "00".repeat(16),
    };
    let mut target = Target::take(dir.path(), plan).unwrap();
    let refused = target.files(&backup, &backup.manifest).unwrap_err();
    assert_eq!(refused.exit(), Exit::Damage, "{}", refused.text());
}

#[test]
fn a_restore_goes_on_behind_a_plan_that_was_cut_off_only_where_nothing_else_is() {
    let (store, _) = backup_of("v2");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(RESTORING), "{\"backup\":").unwrap();
    std::fs::write(dir.path().join("segment-0000000000000001.wal"), "mine").unwrap();
    let refused = restore(&store, dir.path()).unwrap_err();
    assert_eq!(refused.exit(), Exit::Usage, "{}", refused.text());
    let mine = std::fs::read(dir.path().join("segment-0000000000000001.wal"));
    assert_eq!(mine.unwrap(), b"mine");
    std::fs::remove_file(dir.path().join("segment-0000000000000001.wal")).unwrap();
    restore(&store, dir.path()).unwrap();
    assert!(is_complete(dir.path()));
}

#[test]
fn what_a_prune_leaves_is_restored() {
    let (store, first) = backup_of("v2_sealed");
    let dir = golden("v2_sealed");
    let last = taken(dir.path(), &store).unwrap();
    let rule = Rule {
        keep_within: Duration::ZERO,
        keep_weekly: 0,
    };
    let pruned = prune(&store, u64::MAX, rule, Duration::from_secs(60)).unwrap();
    assert_eq!(pruned.gone, [first]);
    assert_eq!(store.indexes(), [last.object()]);
    let restored = tempfile::tempdir().unwrap();
    restore(&store, restored.path()).unwrap();
    assert!(is_complete(restored.path()));
}
