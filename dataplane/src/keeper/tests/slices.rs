//! Files of slices: none is left that no manifest names, whatever fails; and what is done while they are read.

use crate::dedup::slice::frame::{Trailer, section};
use crate::io::{Errno, ShardId};
use crate::keeper::config::KeeperConfig;
use crate::keeper::notice::Notice;
use crate::keeper::port::{CommandId, FileOp, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config, manifest};
use crate::mesh::keeper::ToKeeper;
use crate::wal::files::NumberedFile;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const DAY_S: u32 = 86_400;
const EMFILE: Errno = Errno(24);
const ERRORS: [Errno; 3] = [Errno::ENOSPC, Errno::EIO, EMFILE];

/// Seals every hour and merges early.
pub(super) fn sealing(shards: u16) -> KeeperConfig {
    KeeperConfig {
        seal_every_us: 3_600_000_000,
        body_age_max_s: 2 * DAY_S,
        slices_count_max: 1,
        segment_bytes: 64 << 10,
        preallocated_count: 2,
        ttl_s: 300 * DAY_S,
        ..config(shards)
    }
}

/// Files of slices that are there, and those that the manifest names.
pub(super) fn slices(world: &World) -> (usize, usize) {
    let names = world.disk.names();
    let files = names.iter().filter(|name| name.starts_with("slice-"));
    (files.count(), manifest(world).slices.len())
}

/// Files of segments that are there, and the most there may be: those of logs, and as many preallocated segments as are wanted.
fn segments(world: &World) -> (usize, usize) {
    let names = world.disk.names();
    let files = names.iter().filter(|name| name.starts_with("segment-"));
    let preallocated_count = world.config.preallocated_count as usize;
    (
        files.count(),
        manifest(world).segments_count() + preallocated_count,
    )
}

/// Two seals and a merge.
fn seal_and_merge(world: &mut World) {
    for round in 0..2 {
        for record in 0..5 {
            if world.exit.is_none() && !world.shards[0].draining {
                world.decide(0, round * 5 + record, 30 * DAY_S);
            }
        }
        world.pass_s(3_700);
    }
}

/// The operations of two seals and a merge in which nothing fails.
fn operations() -> Vec<FileOp> {
    let mut world = World::started(TestDisk::new(), sealing(1));
    let ops = Rc::new(RefCell::new(Vec::new()));
    let noted = ops.clone();
    world.watch = Some(Box::new(move |_, op| noted.borrow_mut().push(op.clone())));
    seal_and_merge(&mut world);
    assert_eq!(slices(&world), (1, 1), "two were sealed and merged");
    ops.take()
}

#[test]
fn no_file_is_left_behind_whichever_operation_fails() {
    let ops = operations();
    let mut failed = 0;
    for (n, op) in ops.iter().enumerate() {
        if *op == FileOp::Space {
            continue;
        }
        for error in ERRORS {
            // Which manifest is in force cannot be known then.
            let may_end = match op {
                FileOp::Rename { .. } => error != Errno::ENOSPC,
                FileOp::SyncDir => true,
                _ => false,
            };
            failed += 1;
            let mut world = World::started(TestDisk::new(), sealing(1));
            world.disk.fail_at = Some((n as u64, error));
            seal_and_merge(&mut world);
            world.pass_s(200);
            if let Some((code, reason)) = &world.exit {
                assert!(*code == 74 && may_end, "{op:?} {error}: {code} {reason}");
            } else {
                let (files, named) = slices(&world);
                assert_eq!(files, named, "{op:?} {error}");
                let (files, files_max) = segments(&world);
                assert!(
                    files <= files_max,
                    "{op:?} {error}: {files} of {files_max} segments"
                );
            }
            let decided = world.decided;
            let mut world = world.restarted(Lost::Nothing, 1, 1);
            world.assert_serving();
            world.pass_s(5); // it may merge at once, and remove what it merged at its next look
            let (files, named) = slices(&world);
            assert_eq!(files, named, "{op:?} {error}, started again");
            assert!(world.known().into_iter().eq(0..decided), "{op:?} {error}");
        }
    }
    assert!(failed > 150, "{failed}");
}

#[test]
fn no_file_is_left_behind_whichever_operation_fails_while_it_is_asked_to_end() {
    let begun = World::started(TestDisk::new(), sealing(1)).disk.ops;
    for (n, op) in operations().iter().enumerate() {
        if *op == FileOp::Space {
            continue;
        }
        let n = n as u64;
        for error in ERRORS {
            let mut world = World::started(TestDisk::new(), sealing(1));
            world.disk.fail_at = Some((n, error));
            world.terminate_at = Some(begun + n);
            seal_and_merge(&mut world);
            world.pass_s(100);
            let (code, reason) = world.exit.clone().expect("it ends");
            assert!([0, 74].contains(&code), "{n} {error}: {code} {reason}");
            let decided = world.decided;
            let mut world = world.restarted(Lost::Everything, 1, 1);
            world.assert_serving();
            world.pass_s(5);
            let (files, named) = slices(&world);
            assert_eq!(files, named, "{n} {error}");
            assert!(world.known().into_iter().eq(0..decided), "{n} {error}");
        }
    }
}

#[test]
fn a_stop_does_not_wait_for_a_slice_that_is_being_written() {
    let begun = World::started(TestDisk::new(), sealing(1)).disk.ops;
    let ops = operations();
    let made = ops.iter().enumerate().filter(|(_, op)| match op {
        FileOp::Open { name, how } => name.starts_with("slice-") && how.create,
        _ => false,
    });
    let made: Vec<u64> = made.map(|(n, _)| n as u64).collect();
    assert_eq!(made.len(), 3, "two seals and a merge");
    for (at, slices_before) in made.into_iter().zip([0, 1, 2]) {
        let mut world = World::started(TestDisk::new(), sealing(1));
        world.terminate_at = Some(begun + at + 1);
        seal_and_merge(&mut world);
        let (code, reason) = world.exit.clone().expect("it ends");
        assert_eq!(code, 0, "{reason}");
        assert_eq!(slices(&world), (slices_before, slices_before));
        let decided = world.decided;
        let world = world.restarted(Lost::Everything, 1, 1);
        world.assert_serving();
        assert!(world.known().into_iter().eq(0..decided));
    }
}

#[test]
fn a_disk_that_stays_full_collects_no_slices() {
    let mut world = World::started(TestDisk::new(), sealing(1));
    for record in 0..20 {
        world.decide(0, record, 30 * DAY_S);
    }
    world.disk.full = true;
    for _ in 0..20 {
        world.pass_s(3_700);
    }
    assert_eq!(slices(&world), (0, 0));
    world.disk.full = false;
    world.pass_s(3_700);
    world.pass_s(100);
    assert_eq!(slices(&world), (1, 1));
    assert_eq!(world.exit, None);
}

#[test]
fn segments_are_named_and_questions_answered_while_views_are_read() {
    let mut world = World::started(TestDisk::new(), sealing(4));
    for record in 0..200 {
        world.decide((record % 4) as u16, record, 30 * DAY_S);
    }
    // The first read of the new slice: somebody asks, between two of the reads behind it.
    let mut reads = 0;
    world.ask_at = Some(Box::new(move |disk, op| {
        let of_slice =
            matches!(op, FileOp::Read { file, .. } if disk.name_of(*file).starts_with("slice-"));
        reads += u32::from(of_slice);
        of_slice && reads == 6
    }));
    world.pass_s(3_700);
    assert_eq!(world.replies.len(), 1, "answered");
    let (_, reply) = &world.replies[0];
    assert!(
        reply.contains("\"slices\":0"),
        "before it was published: {reply}"
    );
    assert_eq!(manifest(&world).slices.len(), 1);
}

/// A gateway with a segment of 4 MiB to seal.
fn with_a_long_segment() -> (World, String) {
    let long = KeeperConfig {
        segment_bytes: 4 << 20,
        ..sealing(2)
    };
    let mut world = World::started(TestDisk::new(), long);
    for record in 0..60 {
        world.decide_sized(0, record, 30 * DAY_S, 60_000);
    }
    let file = world.current_file(0);
    (world, file)
}

#[test]
fn questions_are_answered_while_a_segment_is_read() {
    let part_of = |file: String, part: u64| {
        move |disk: &TestDisk, op: &FileOp| {
            matches!(op, FileOp::Read { file: read, offset, .. }
                if *offset >= part << 20 && disk.name_of(*read) == file)
        }
    };
    // Which operation reads the third part of it.
    let (mut world, file) = with_a_long_segment();
    let is_third = part_of(file.clone(), 2);
    let (ops, at) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
    let (seen, third) = (ops.clone(), at.clone());
    world.watch = Some(Box::new(move |disk, op| {
        if third.get().is_none() && is_third(disk, op) {
            third.set(Some(seen.get()));
        }
        seen.set(seen.get() + 1);
    }));
    world.pass_s(3_700);
    let at = at.get().expect("it is read");

    // Somebody asks while the second is read, and the third is never read to its end.
    let (mut world, again) = with_a_long_segment();
    assert_eq!(again, file);
    world.ask_at = Some(Box::new(part_of(file, 1)));
    world.hangs_in = Some(at);
    world.pass_s(3_700);
    assert!(!world.replies.is_empty(), "answered between its parts");
}

#[test]
fn views_are_read_once_for_each_slice_and_shard() {
    let mut world = World::started(
        TestDisk::new(),
        KeeperConfig {
            slices_count_max: 20,
            ..sealing(2)
        },
    );
    let mut reads_of_first = Vec::new();
    for round in 0..5 {
        for record in 0..20 {
            world.decide(0, round * 20 + record, 30 * DAY_S);
        }
        world.disk.reads.clear();
        world.pass_s(3_700);
        let first = manifest(&world).slices[0].file;
        let name = format!("slice-{first:016x}.flk");
        reads_of_first.push(world.disk.reads.get(&name).copied().unwrap_or(0));
    }
    assert!(reads_of_first[0] > 0);
    assert_eq!(reads_of_first[1..], [0; 4], "it was read when it was made");
    assert!(world.shards.iter().all(|shard| shard.set.version == 5));
}

#[test]
fn a_slice_stays_until_the_second_in_which_the_last_of_it_expires() {
    let settings = KeeperConfig {
        slices_count_max: 20,
        ..sealing(1)
    };
    let mut world = World::started(TestDisk::new(), settings);
    world.decide(0, 0, 10_000);
    world.pass_s(3_700);
    world.decide(0, 1, 30 * DAY_S);
    world.pass_s(3_700);
    assert_eq!(manifest(&world).slices.len(), 2);
    let clock_s = |world: &World| world.shards[0].begin.clock.at(world.now.mono_us);
    while clock_s(&world) < 9_999 {
        world.pass_s(1);
    }
    // The keeper looks at any moment of that second.
    for _ in 0..9 {
        world.now.mono_us += 100_000;
        world.happen(KeeperEvent::Tick);
        assert_eq!(clock_s(&world), 9_999);
        assert_eq!(manifest(&world).slices.len(), 2, "it still answers");
    }
    world.pass_s(3);
    assert_eq!(manifest(&world).slices.len(), 1, "it answers nothing");
}

#[test]
fn a_seal_takes_what_lives_for_another_second_and_leaves_what_expires_now() {
    let mut world = World::started(TestDisk::new(), sealing(1));
    world.decide(0, 0, 5);
    world.decide(0, 1, 6);
    world.pass_s(5);
    world.happen(KeeperEvent::Command {
        id: CommandId(1),
        line: "flk1 compact --older-than 1000000".to_string(),
    });
    let slices = manifest(&world).slices;
    assert_eq!(slices.len(), 1, "{:?}", world.replies);
    assert_eq!((slices[0].entries, slices[0].expiry_max), (1, 6));
}

#[test]
fn a_merge_without_room_is_postponed_and_costs_no_submit() {
    let mut world = World::started(
        TestDisk::new(),
        KeeperConfig {
            wal_bytes_max: Some(1 << 40),
            ..sealing(1)
        },
    );
    world.unresolved = true; // nothing may be deleted to make room
    for record in 0..40 {
        world.decide(0, record, 30 * DAY_S);
    }
    world.pass_s(3_700);
    for record in 40..80 {
        world.decide(0, record, 30 * DAY_S);
    }
    world.slow_to_switch = true;
    world.pass_s(3_700);
    // Two slices, and just the reserve is free.
    assert_eq!(manifest(&world).slices.len(), 2, "{:?}", world.notices);
    let status = |world: &mut World, field: &str| -> u64 {
        world.happen(KeeperEvent::Command {
            id: CommandId(1),
            line: "flk1 status".to_string(),
        });
        let (_, text) = world.replies.remove(0);
        let (_, rest) = text.split_once(&format!("\"{field}\":")).expect("a field");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    let reserve_bytes = status(&mut world, "reserve_bytes");
    world.disk.total_bytes = world.disk.used_bytes() + reserve_bytes + 4096;
    world.slow_to_switch = false;
    let version = world.shards[0].set.version;
    world.tell(ShardId(0), ToKeeper::Switched { version });
    world.pass_s(600);
    assert_eq!(manifest(&world).slices.len(), 2, "postponed");
    assert_eq!(world.shards[0].space_low, None);
    let trouble = |notice: &Notice| matches!(notice, Notice::FileTrouble { .. });
    assert!(!world.notices.iter().any(trouble), "{:?}", world.notices);
    world.disk.total_bytes += 1 << 20;
    world.pass_s(600);
    assert_eq!(manifest(&world).slices.len(), 1, "done when there is room");
}

/// A start over a slice with one changed bit in a section that only look-ups use.
fn start_with_damage_in(kind: u16) {
    let settings = KeeperConfig {
        slices_count_max: 8,
        ..sealing(1)
    };
    let mut world = World::started(TestDisk::new(), settings);
    for record in 0..5 {
        world.decide(0, record, 30 * DAY_S);
    }
    world.pass_s(3_700);
    let names = world.disk.names();
    let slice = names.into_iter().find(|it| it.starts_with("slice-"));
    world.disk.tamper(&slice.expect("a slice"), |bytes| {
        let trailer = Trailer::decode(&bytes[bytes.len() - 4096..]).expect("whole");
        let at = trailer.section(kind).expect("there").offset as usize;
        bytes[at] ^= 1;
    });
    let before = world.disk.bytes("manifest").map(<[u8]>::to_vec);
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(world.exit.as_ref().map(|(code, _)| *code), Some(65));
    assert_eq!(world.disk.bytes("manifest").map(<[u8]>::to_vec), before);
}

#[test]
fn a_slice_whose_filters_or_index_are_damaged_is_refused_before_anything_is_changed() {
    start_with_damage_in(section::FILTERS);
    start_with_damage_in(section::INDEX);
}

/// Four slices where two are allowed, made after the first one's entries were lost like this.
fn merged_over(lose: impl FnOnce(&mut TestDisk, String)) -> World {
    let settings = KeeperConfig {
        slices_count_max: 2,
        ..sealing(1)
    };
    let mut world = World::started(TestDisk::new(), settings);
    for record in 0..2 {
        world.decide(0, record, 30 * DAY_S);
        world.pass_s(3_700);
    }
    let first = manifest(&world).slices[0].file;
    lose(&mut world.disk, NumberedFile::Slice(first).to_string());
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    for round in 1..3 {
        for record in 0..10 {
            world.decide(0, 10 * round + record, 30 * DAY_S);
        }
        world.pass_s(3_700);
    }
    // Until what was merged is removed.
    world.pass_s(100);
    assert_eq!(manifest(&world).slices[0].file, first);
    world
}

#[test]
fn a_slice_whose_entries_cannot_be_read_keeps_no_others_from_being_merged() {
    let damaged = merged_over(|disk, name| disk.tamper(&name, |bytes| bytes[4096 + 70] ^= 1));
    let unreadable = merged_over(|disk, name| disk.fail_reads_at = Some((name, 4096)));
    for world in [damaged, unreadable] {
        assert_eq!(slices(&world), (2, 2), "{:?}", world.notices);
    }
}
