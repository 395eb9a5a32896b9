//! Packing of segments: what is packed reads as before, and what is not packed stays, whatever happens on the way.

use crate::io::Errno;
use crate::keeper::config::KeeperConfig;
use crate::keeper::notice::Notice;
use crate::keeper::offline::Job;
use crate::keeper::port::{CommandId, FileOp, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::quarantine::{mended, quarantine, tool};
use crate::keeper::tests::world::{World, config, manifest};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Manifest, SegmentEntry, SegmentState};
use crate::wal::name::LogId;
use crate::wal::packed::SegmentFile;
use crate::wal::scan::{InMemory, LogSource, read_log, run_ready};
use crate::wal::segment::SEGMENT_MAGIC;
use std::collections::BTreeMap;

pub(super) const DAY_S: u32 = 86_400;
pub(super) const RECORDS: u32 = 40;
pub(super) const MINUTE_US: u64 = 60_000_000;

pub(super) fn settings() -> KeeperConfig {
    KeeperConfig {
        segment_bytes: 64 << 10,
        ..large_segments()
    }
}

fn large_segments() -> KeeperConfig {
    KeeperConfig {
        repack_bytes_min: 4096,
        ..config(1)
    }
}

/// Two closed segments full of batches of one record each, of which none is sealed, and one in use.
pub(super) fn written() -> World {
    let mut world = World::started(TestDisk::new(), settings());
    for record in 0..RECORDS {
        world.decide(0, record, 30 * DAY_S);
    }
    world.mark(0);
    assert_eq!(closed(&manifest(&world)).len(), 2);
    assert_eq!(packed(&manifest(&world)), 0);
    world
}

pub(super) fn closed(manifest: &Manifest) -> Vec<SegmentEntry> {
    let segments = manifest.segments().map(|(_, entry)| *entry);
    segments
        .filter(|entry| entry.state.extent().is_some_and(|it| it.first <= it.last))
        .collect()
}

pub(super) fn packed(manifest: &Manifest) -> usize {
    let closed = closed(manifest).into_iter();
    closed
        .filter(|entry| matches!(entry.state, SegmentState::Packed(..)))
        .count()
}

pub(super) fn send(world: &mut World, line: &str) {
    let (id, line) = (CommandId(1), line.to_string());
    world.happen(KeeperEvent::Command { id, line });
}

/// Seals and packs; the reply.
pub(super) fn compact(world: &mut World) -> String {
    send(world, "flk1 compact --older-than 1000000");
    world.replies.last().expect("a reply").1.clone()
}

/// What the records of all batches state, with their bodies: headers are no part of it.
pub(super) type Content = BTreeMap<(LogId, u64), String>;

pub(super) fn content(disk: &TestDisk) -> Content {
    let manifest = disk.manifest();
    let mut content = BTreeMap::new();
    for log in &manifest.logs {
        let files: Vec<_> = log
            .segments
            .iter()
            .map(|entry| {
                let name = NumberedFile::Segment(entry.file).to_string();
                let bytes = disk.bytes(&name).expect("a named file");
                SegmentFile::new(InMemory(bytes), entry)
            })
            .collect();
        let source = LogSource {
            manifest: &manifest,
            log,
            from: 0,
            files: &files,
            erased: &|_, _| false,
        };
        let read = read_log(&source, |_, batch| {
            let sequence = batch.header.fields.sequence.0;
            let records = batch.records().map(|record| {
                let record = record.expect("a record");
                format!("{record:?} {:?}", batch.body_at(record.index))
            });
            let records: Vec<String> = records.collect();
            if !records.is_empty() {
                content.insert((log.id, sequence), records.join("\n"));
            }
        });
        let end = run_ready(read).expect("memory");
        assert!(end.verdict.is_sound(), "log {}: {}", log.id, end.verdict);
    }
    content
}

/// All segment files are named by the manifest.
pub(super) fn assert_no_file_is_left_over(disk: &TestDisk) {
    let named = disk.manifest().files();
    for name in disk.names() {
        if let Some(NumberedFile::Segment(number)) = NumberedFile::parse(&name) {
            assert!(named.contains(&number), "{name} is left over");
        }
    }
}

pub(super) fn assert_knows_everything(world: &World, before: &Content, what: &str) {
    world.assert_serving();
    assert_eq!(world.known(), (0..RECORDS).collect::<Vec<_>>(), "{what}");
    assert_eq!(content(&world.disk), *before, "{what}");
}

#[test]
fn sealed_segments_of_small_batches_are_packed_and_read_as_before() {
    let mut world = written();
    let before = content(&world.disk);
    let dry = {
        send(&mut world, "flk1 compact --older-than 1000000 --dry-run");
        world.replies.last().expect("a reply").1.clone()
    };
    assert_eq!(packed(&manifest(&world)), 0, "a dry run changes nothing");
    let reply = compact(&mut world);
    // What the seal of the compaction itself closed is not resolved yet.
    assert_eq!(reply.replace("\"dry_run\":false", "\"dry_run\":true"), dry);
    let found = "\"packed_segments\":2,";
    assert!(reply.contains(found), "{reply}");
    let after = manifest(&world);
    assert_eq!((packed(&after), closed(&after).len()), (2, 3));
    for entry in &closed(&after)[..2] {
        let name = NumberedFile::Segment(entry.file).to_string();
        let bytes = world.disk.bytes(&name).expect("a packed file").len() as u64;
        let was = entry.state.extent().expect("closed").bytes;
        assert_eq!(Some(bytes), entry.state.file_bytes());
        assert!(bytes * 2 <= was, "{bytes} of {was}");
    }
    let stats = &world.config.stats.keeper;
    assert_eq!(stats.segments_packed.get(), 2);
    let saved =
        |entry: &SegmentEntry| Some(entry.state.extent()?.bytes - entry.state.file_bytes()?);
    let saved: u64 = closed(&after).iter().filter_map(saved).sum();
    assert_eq!(stats.packed_saved_bytes.get(), saved);
    assert!(
        reply.contains(&format!("\"saved_bytes\":{saved}")),
        "{reply}"
    );
    assert_no_file_is_left_over(&world.disk);
    assert_knows_everything(&world, &before, "at once");
    let world = world.restarted(Lost::Everything, 1, 1);
    assert_knows_everything(&world, &before, "after a power cut");
    let world = world.restarted(Lost::Everything, 2, 1);
    assert_knows_everything(&world, &before, "after another one");
}

#[test]
fn packing_comes_by_itself_once_a_segment_is_sealed_and_resolved() {
    let mut world = written();
    world.config.repack_bytes_min = 4096;
    world.pass_s(600);
    assert_eq!(packed(&manifest(&world)), 0, "nothing is sealed yet");
    let config = KeeperConfig {
        seal_every_us: MINUTE_US,
        ..settings()
    };
    let mut world = World::started(TestDisk::new(), config);
    world.unresolved = true;
    for record in 0..RECORDS {
        world.decide(0, record, 30 * DAY_S);
    }
    let before = content(&world.disk);
    world.pass_s(300);
    assert!(!manifest(&world).slices.is_empty());
    assert_eq!(
        packed(&manifest(&world)),
        0,
        "a body may get its disposition yet"
    );
    let upto = world.shards[0].last();
    let log = world.shards[0].begin.log;
    world.tell(
        crate::io::ShardId(0),
        crate::mesh::keeper::ToKeeper::Resolved { log, upto },
    );
    world.pass_s(10);
    let notices = world.notices.iter();
    let lines = notices.filter(|it| matches!(it, Notice::Packed { .. }));
    assert_eq!((packed(&manifest(&world)), lines.count()), (3, 3));
    assert_knows_everything(&world, &before, "in the background");
}

#[test]
fn nothing_is_packed_while_something_is_pinned() {
    let config = KeeperConfig {
        seal_every_us: MINUTE_US,
        ..settings()
    };
    let mut world = World::started(TestDisk::new(), config);
    send(&mut world, "flk1 pin");
    for record in 0..RECORDS {
        world.decide(0, record, 30 * DAY_S);
    }
    world.pass_s(300);
    assert_eq!(packed(&manifest(&world)), 0);
    send(&mut world, "flk1 unpin 1");
    world.pass_s(10);
    assert_eq!(packed(&manifest(&world)), 3);
}

#[test]
fn segments_of_large_batches_are_left_and_not_even_read() {
    let mut world = World::started(TestDisk::new(), large_segments());
    for record in 0..24 {
        world.decide_sized(0, record, 30 * DAY_S, 30_000);
    }
    compact(&mut world);
    let after = manifest(&world);
    assert!(closed(&after).len() > 1);
    assert_eq!(packed(&after), 0);
    world.disk.reads.clear();
    world.pass_s(600);
    for entry in closed(&after) {
        let name = NumberedFile::Segment(entry.file).to_string();
        // The first block may be read for the horizon.
        let reads = world.disk.reads.get(&name).copied().unwrap_or(0);
        assert!(reads <= 1, "{name} was read {reads} times");
    }
}

#[test]
fn a_segment_that_would_gain_too_little_is_read_once_and_left() {
    let mut world = World::started(TestDisk::new(), large_segments());
    // Five kilobytes in two blocks: by its batches alone it might be worth it.
    for record in 0..70 {
        world.decide_sized(0, record, 30 * DAY_S, 5_000);
    }
    compact(&mut world);
    assert_eq!(packed(&manifest(&world)), 0);
    world.disk.reads.clear();
    compact(&mut world);
    let reads: u64 = world.disk.reads.values().sum();
    assert!(reads < 10, "{:?}", world.disk.reads);
}

#[test]
fn a_crash_at_any_file_operation_of_packing_loses_nothing() {
    let mut whole = false;
    let mut seen = [false; 2];
    for ops in 0.. {
        for lost in [Lost::Nothing, Lost::Everything, Lost::Some(ops)] {
            let mut world = written();
            let before = content(&world.disk);
            world.ops_left = Some(ops);
            send(&mut world, "flk1 compact --older-than 1000000");
            whole = !world.dead;
            let world = world.restarted(lost, 1, 1);
            seen[usize::from(packed(&manifest(&world)) > 0)] = true;
            assert_knows_everything(&world, &before, &format!("{ops} {lost:?}"));
            assert_no_file_is_left_over(&world.disk);
            let mut world = world;
            compact(&mut world);
            assert!(packed(&manifest(&world)) >= 3, "{ops} {lost:?}");
            assert_knows_everything(&world, &before, &format!("{ops} {lost:?}, packed"));
        }
        if whole {
            break;
        }
    }
    assert_eq!(seen, [true; 2]);
}

/// Of the original no byte goes before the manifest that names the packed file is durable.
#[test]
fn an_original_goes_only_once_the_manifest_names_another_file() {
    let mut world = written();
    let original = closed(&manifest(&world))[0];
    let name = NumberedFile::Segment(original.file).to_string();
    let unlinked = std::rc::Rc::new(std::cell::Cell::new(false));
    let seen = unlinked.clone();
    world.watch = Some(Box::new(move |disk, op| {
        if *op == FileOp::Unlink(name.clone()) {
            assert!(!disk.manifest().files().contains(&original.file));
            seen.set(true);
        }
    }));
    compact(&mut world);
    assert!(unlinked.get());
}

#[test]
fn an_error_of_any_file_operation_leaves_one_of_the_two_files_and_it_is_tried_again() {
    for error in [Errno(28), Errno::EIO] {
        for ops in 0.. {
            let mut world = written();
            let before = content(&world.disk);
            world.disk.fail_at = Some((ops, error));
            send(&mut world, "flk1 compact --older-than 1000000");
            let failed = world.disk.fail_at.is_none();
            if world.exit.is_some() {
                // A manifest of which nobody knows whether it is in force ends the process.
                world = world.restarted(Lost::Nothing, 1, 1);
            }
            world.disk.fail_at = None;
            world.assert_serving();
            assert_eq!(content(&world.disk), before, "{ops}");
            world.pass_s(120);
            compact(&mut world);
            assert!(packed(&manifest(&world)) >= 2, "{ops}");
            world.pass_s(60);
            assert_no_file_is_left_over(&world.disk);
            let world = world.restarted(Lost::Everything, 1, 1);
            assert_knows_everything(&world, &before, &format!("{ops}, tried again"));
            if !failed {
                break;
            }
        }
    }
}

#[test]
fn without_room_for_a_second_file_nothing_is_packed_and_nothing_is_deleted_for_it() {
    let mut world = written();
    let segments = closed(&manifest(&world)).len();
    world.config.wal_bytes_max = None;
    let used = |world: &World| {
        let files = world.disk.names();
        let bytes = files.iter().filter_map(|name| world.disk.bytes(name));
        bytes.map(|bytes| bytes.len() as u64).sum::<u64>()
    };
    // What serving and a start need is there, and not a block more.
    for more in (0..64).rev() {
        let mut world = written();
        world.disk.total_bytes = used(&world) + (3 << 20) + more * 4096;
        compact(&mut world);
        world.assert_serving();
        assert!(closed(&manifest(&world)).len() > segments - 1);
        if packed(&manifest(&world)) < 3 {
            return;
        }
    }
}

#[test]
fn a_packed_segment_of_which_a_batch_is_damaged_gives_up_that_batch_alone() {
    let mut world = written();
    compact(&mut world);
    let mut world = world.restarted(Lost::Everything, 1, 1);
    world.assert_serving();
    let entry = closed(&manifest(&world))[0];
    let name = NumberedFile::Segment(entry.file).to_string();
    let before = content(&world.disk);
    // Somewhere in the fourth frame: its index part.
    let frame = |bytes: &[u8], at: usize| {
        at + u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
    };
    let bytes = world.disk.bytes(&name).expect("a file").to_vec();
    let at = (0..3).fold(8192, |at, _| frame(&bytes, at));
    world
        .disk
        .tamper(&name, |bytes| bytes[at + 16 + 96 + 40] ^= 1);
    let (code, report) = tool(&mut world, quarantine(&name, false));
    assert_eq!(code, 0, "{report}");
    assert!(report.contains("1 batch"), "{report}");
    let (code, report) = tool(&mut world, quarantine(&name, true));
    assert_eq!(code, 0, "{report}");
    let aside = world.disk.bytes(&format!("quarantine-{name}"));
    assert!(
        aside.is_some_and(|bytes| bytes.starts_with(b"flk-pack")),
        "as it was"
    );
    let after = content(&world.disk);
    let lost: Vec<_> = before
        .keys()
        .filter(|key| !after.contains_key(key))
        .collect();
    assert_eq!(lost.len(), 1);
    assert!(after.iter().all(|(key, value)| before[key] == *value));
    let fresh = closed(&manifest(&world))[0];
    assert!(matches!(fresh.state, SegmentState::Closed(_)));
    let fresh = NumberedFile::Segment(fresh.file).to_string();
    let fresh = world.disk.bytes(&fresh).expect("the new file");
    assert!(fresh.starts_with(&SEGMENT_MAGIC));
    let (world, given_up) = mended(world);
    assert_eq!((world.known().len(), given_up.len()), (RECORDS as usize, 0));
}

#[test]
fn a_packed_file_in_the_place_of_another_one_is_refused_by_name() {
    let mut world = written();
    compact(&mut world);
    let [first, second] = [0, 1].map(|at| {
        let entry = closed(&manifest(&world))[at];
        NumberedFile::Segment(entry.file).to_string()
    });
    let bytes = world.disk.bytes(&second).expect("a file").to_vec();
    world.disk.tamper(&first, |file| *file = bytes);
    let world = world.restarted(Lost::Everything, 1, 1);
    let (code, reason) = world.exit.expect("refused");
    assert!(
        code == 65 && reason.contains(&first) && reason.contains(&second),
        "{reason}"
    );
}

#[test]
fn an_older_manifest_is_refused_for_a_packed_file_that_it_does_not_know() {
    let mut world = written();
    let old = world.disk.bytes("manifest").expect("a manifest").to_vec();
    compact(&mut world);
    world.disk.tamper("manifest", |bytes| *bytes = old);
    let world = world.restarted(Lost::Everything, 1, 1);
    let (code, reason) = world.exit.expect("refused");
    assert_eq!(code, 65, "{reason}");
}

#[test]
fn a_directory_is_packed_without_a_gateway_too() {
    let mut world = written();
    let before = content(&world.disk);
    send(&mut world, "flk1 ping");
    let mut world = world.restarted(Lost::Everything, 1, 1);
    world.disk.crash(Lost::Everything);
    let compact = Job::Compact {
        older_than_s: Some(1_000_000),
        dry_run: false,
    };
    let (code, report) = tool(&mut world, compact);
    assert_eq!(code, 0, "{report}");
    assert!(packed(&world.disk.manifest()) >= 3, "{report}");
    assert_eq!(content(&world.disk), before);
}

#[test]
fn packed_segments_are_deleted_by_age_as_all_others_are() {
    let mut world = written();
    compact(&mut world);
    let mut world = world.restarted(Lost::Everything, 1, 1);
    compact(&mut world);
    let files = closed(&manifest(&world)).into_iter();
    let packed_bytes: u64 = files.filter_map(|entry| entry.state.file_bytes()).sum();
    world.notices.clear();
    world.pass_s(u64::from(15 * DAY_S));
    let deleted = world.notices.iter().filter_map(|notice| match notice {
        Notice::Deleted { bytes, .. } => Some(*bytes),
        _ => None,
    });
    assert_eq!(deleted.sum::<u64>(), packed_bytes);
    assert_eq!(packed(&manifest(&world)), 0);
    world.assert_serving();
}
