//! Room: a steady load on a small volume or under a cap is never refused while anything may be deleted; whatever happens,
//! the next start has what it needs; and a file system that refuses is not called full.

use crate::io::{Errno, ShardId};
use crate::keeper::config::{KeeperConfig, wal_bytes_min};
use crate::keeper::notice::Notice;
use crate::keeper::port::{CommandId, KeeperEvent};
use crate::keeper::room::start_bytes;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config};
use crate::mesh::keeper::{Shortage, ToKeeper};
use crate::wal::manifest::Manifest;
use std::collections::BTreeSet;

pub(super) const SEGMENT_BYTES: u64 = 256 << 10;

/// A gateway on a volume of this many segments.
pub(super) fn on_volume(shards: u16, segments: u64, settings: KeeperConfig) -> World {
    let mut disk = TestDisk::new();
    disk.total_bytes = segments * SEGMENT_BYTES;
    World::started(disk, KeeperConfig { shards, ..settings })
}

/// Writes until so many bytes of bodies were taken, each shard in its turn, `every_us` apart. What was refused comes back.
pub(super) fn load(
    world: &mut World,
    bytes: u64,
    body_bytes: usize,
    every_us: u64,
) -> Vec<Option<Shortage>> {
    let mut refused = Vec::new();
    let shards = world.shards.len() as u32;
    let mut taken_bytes = 0;
    let mut record = 0;
    while taken_bytes < bytes {
        record += 1;
        // An outcome lives for two minutes, so that slices go as well.
        match world.offer((record % shards) as u16, record, 120, body_bytes) {
            Ok(()) => taken_bytes += (body_bytes as u64).next_multiple_of(4096),
            Err(why) => {
                refused.push(why);
                assert!(
                    refused.len() < 100,
                    "{refused:?}: {:?}",
                    world.notices.last()
                );
            }
        }
        world.pass_us(every_us);
        assert_eq!(world.exit, None);
    }
    refused
}

#[test]
fn a_steady_load_turns_a_small_volume_over_and_over_without_a_refusal() {
    for (shards, segments, preallocated_count) in [(1, 40, 1), (2, 64, 2), (4, 96, 4), (2, 64, 0)] {
        for (body_bytes, every_us) in [(700, 20_000), (60_000, 1_000)] {
            let settings = KeeperConfig {
                preallocated_count,
                slices_count_max: 4,
                ..config(shards)
            };
            let mut world = on_volume(shards, segments, settings);
            let bytes = 3 * segments * SEGMENT_BYTES;
            let refused = load(&mut world, bytes, body_bytes, every_us);
            assert_eq!(
                refused,
                [],
                "{shards} shards, bodies of {body_bytes}, {every_us} µs"
            );
        }
    }
}

#[test]
fn a_burst_on_a_small_volume_waits_for_room_that_can_be_made() {
    for (shards, segments) in [(1, 24), (1, 40), (2, 40), (2, 64)] {
        let settings = KeeperConfig {
            preallocated_count: u32::from(shards),
            ..config(shards)
        };
        let mut world = on_volume(shards, segments, settings);
        // No time passes but where a shard waits for its next segment.
        let refused = load(&mut world, 4 * segments * SEGMENT_BYTES, 60_000, 0);
        assert_eq!(refused, [], "{shards} shards, {segments} segments");
    }
}

#[test]
fn a_burst_waits_for_room_on_a_disk_that_takes_its_time() {
    for op_us in [50, 300, 2_000, 15_000] {
        for (shards, segments) in [(1, 24), (2, 32), (2, 40)] {
            let settings = KeeperConfig {
                preallocated_count: u32::from(shards),
                ..config(shards)
            };
            let mut world = on_volume(shards, segments, settings);
            world.op_us = op_us;
            let refused = load(&mut world, 4 * segments * SEGMENT_BYTES, 60_000, 0);
            assert_eq!(
                refused,
                [],
                "{shards} shards, {segments} segments, {op_us} µs"
            );
        }
    }
}

#[test]
fn room_that_returns_between_two_attempts_is_told_at_once() {
    let uncapped = KeeperConfig {
        wal_bytes_max: Some(1 << 50),
        ..config(1)
    };
    let mut world = on_volume(1, 30, uncapped);
    world.unresolved = true;
    assert_eq!(offer_until_refused(&mut world), Some(Shortage::Disk));
    while world.shards[0].next_segment().is_some() {
        world.decide(0, 0, 120);
    }
    world.pass_s(1);
    assert_eq!(world.shards[0].space_low, Some(Shortage::Disk));

    world.disk.total_bytes *= 2;
    // It looks again, and the next attempt is not due yet.
    let version = world.shards[0].set.version;
    world.tell(ShardId(0), ToKeeper::Switched { version });
    world.run();
    assert_eq!(world.shards[0].space_low, None);
    assert!(world.shards[0].next_segment().is_some());
}

#[test]
fn a_steady_load_keeps_the_smallest_cap_without_a_refusal() {
    for shards in [1, 2, 4] {
        for (body_bytes, every_us) in [(700, 20_000), (60_000, 1_000)] {
            let cap_bytes = wal_bytes_min(shards, SEGMENT_BYTES);
            let settings = KeeperConfig {
                wal_bytes_max: Some(cap_bytes),
                preallocated_count: u32::from(shards),
                ..config(shards)
            };
            let mut world = on_volume(shards, 1 << 20, settings);
            let refused = load(&mut world, 3 * cap_bytes, body_bytes, every_us);
            assert_eq!(refused, [], "{shards} shards, bodies of {body_bytes}");
            let used_bytes = world.disk.used_bytes();
            assert!(
                used_bytes <= cap_bytes + (1 << 20),
                "{used_bytes} of {cap_bytes}"
            );
        }
    }
}

#[test]
fn each_shortage_is_told_for_what_it_is() {
    let uncapped = KeeperConfig {
        wal_bytes_max: Some(1 << 50),
        ..config(1)
    };
    let mut world = on_volume(1, 30, uncapped);
    world.unresolved = true;
    let refused = offer_until_refused(&mut world);
    assert_eq!(refused, Some(Shortage::Disk));

    let capped = KeeperConfig {
        wal_bytes_max: Some(10 * SEGMENT_BYTES),
        ..config(1)
    };
    let mut world = on_volume(1, 1 << 20, capped);
    world.unresolved = true;
    let refused = offer_until_refused(&mut world);
    assert_eq!(refused, Some(Shortage::Cap));
    assert!(has_said(&world, "WAL_MAX_BYTES"));

    for error in [1, 13, 30].map(Errno) {
        let mut world = on_volume(1, 1 << 20, config(1));
        world.disk.refuses = Some(error);
        let refused = offer_until_refused(&mut world);
        assert_eq!(refused, Some(Shortage::Refused), "{error:?}");
        assert!(has_said(&world, "read-only mount"));
        assert!(!has_said(&world, "disk nearly full"));
        world.disk.refuses = None;
        world.pass_s(3);
        assert_eq!(
            world.offer(0, 9_999, 120, 700),
            Ok(()),
            "it resumes by itself"
        );
    }
}

pub(super) fn has_said(world: &World, words: &str) -> bool {
    let mut said = world.notices.iter();
    said.any(|notice| notice.to_string().contains(words))
}

#[test]
fn a_start_that_is_refused_files_does_not_speak_of_space() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 0, 120);
    world.disk.refuses = Some(Errno(30));
    let world = world.restarted(Lost::Nothing, 1, 1);
    let (code, reason) = world.exit.expect("it cannot start");
    assert_eq!(code, 74);
    assert!(reason.contains("read-only mount"), "{reason}");
}

fn offer_until_refused(world: &mut World) -> Option<Shortage> {
    for record in 0..3_000 {
        if let Err(why) = world.offer(0, record, 120, 700) {
            return why;
        }
        if record % 30 == 0 {
            world.pass_s(1);
        }
    }
    panic!("nothing is refused");
}

/// Leaves free exactly what the reserve promises to the next start.
fn leave_only_what_a_start_needs(world: &mut World, shards: u16) {
    let manifest = Manifest::decode(world.disk.bytes("manifest").expect("a manifest"));
    let manifest = manifest.expect("a whole manifest");
    let settings = KeeperConfig {
        shards,
        ..world.config.clone()
    };
    let needed_bytes = start_bytes(&manifest, &settings, manifest.preallocated.len());
    let files: BTreeSet<String> = manifest
        .files()
        .into_iter()
        .flat_map(|file| {
            [
                format!("segment-{file:016x}.wal"),
                format!("slice-{file:016x}.flk"),
            ]
        })
        .collect();
    let names = world.disk.names();
    let kept = names.iter().filter(|name| {
        let numbered = name.starts_with("segment-") || name.starts_with("slice-");
        (!numbered || files.contains(*name)) && *name != "manifest.new"
    });
    let kept_bytes: usize = kept
        .filter_map(|name| Some(world.disk.bytes(name)?.len()))
        .sum();
    let needed_bytes = kept_bytes as u64 + needed_bytes;
    // The lock file is written before anything goes.
    world.disk.total_bytes = needed_bytes.max(world.disk.used_bytes() + 8);
}

/// A gateway that has turned its volume over and dies at a file operation.
fn dies_at(op: u64, shards: u16, preallocated_count: u32) -> World {
    let settings = KeeperConfig {
        preallocated_count,
        slices_count_max: 3,
        ..config(shards)
    };
    let mut world = on_volume(shards, 20 * u64::from(shards) + 10, settings);
    world.ops_left = Some(op);
    for record in 0..3_000 {
        let shard = (record % u32::from(shards)) as u16;
        let refused = world.offer(shard, record, 120, 30_000).is_err();
        if world.dead {
            break;
        }
        assert!(!refused, "record {record}: {:?}", world.notices.last());
        world.pass_us(50_000);
    }
    assert!(world.dead, "operation {op} never came");
    world
}

#[test]
fn whenever_it_dies_the_next_start_has_the_room_it_needs() {
    for (shards, preallocated_count) in [(1, 0), (2, 1), (3, 3)] {
        for op in (40..2_400).step_by(97) {
            let world = dies_at(op, shards, preallocated_count);
            let lost = Lost::Some(op);
            let world = world.restarted(lost, shards, 1);
            assert_eq!(world.exit, None, "{shards} shards, operation {op}");
        }
    }
}

#[test]
fn what_the_reserve_promises_is_enough_for_one_start_after_the_other() {
    for (shards, preallocated_count) in [(1, 0), (2, 1), (3, 3)] {
        for op in (40..2_400).step_by(101) {
            let mut world = dies_at(op, shards, preallocated_count);
            world.disk.crash(Lost::Some(op));
            leave_only_what_a_start_needs(&mut world, shards);
            for start in 0..3 {
                world = world.restarted(Lost::Everything, shards, 1);
                let why = format!("{shards} shards, operation {op}, start {start}");
                assert_eq!(world.exit, None, "{why}");
            }
        }
    }
}

#[test]
fn a_segment_that_a_shard_waits_for_is_named_soon_after_there_is_room() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.disk.full = true;
    world.decide(0, 0, 86_400);
    world.pass_s(3);
    assert!(world.shards[0].next_segment().is_none());
    world.disk.full = false;
    world.pass_us(150_000);
    assert!(world.shards[0].next_segment().is_some());
}

#[test]
fn a_file_system_that_cannot_be_measured_ends_a_start_and_not_a_service() {
    let mut world = on_volume(2, 64, config(2));
    world.disk.fails_space = true;
    for record in 0..400 {
        assert_eq!(
            world.offer((record % 2) as u16, record, 120, 30_000),
            Ok(())
        );
        world.pass_us(20_000);
    }
    world.pass_s(5);
    assert_eq!(world.exit, None);
    let said = world.notices.iter().map(ToString::to_string);
    let said = said.filter(|it| it.contains("measuring the file system"));
    assert_eq!(said.count(), 1, "once, not at each look");
    assert!(world.config.stats.keeper.space_errors.get() > 1);

    world.disk.fails_space = false;
    world.pass_s(2);
    world.disk.fails_space = true;
    world.pass_s(2);
    let said = world.notices.iter().map(ToString::to_string);
    let said = said.filter(|it| it.contains("measuring the file system"));
    assert_eq!(said.count(), 2, "it was measured in between");
    let world = world.restarted(Lost::Nothing, 2, 1);
    assert_eq!(world.exit.expect("it cannot start").0, 74);
}

#[test]
fn a_lowered_cap_says_nothing_of_a_shortage_where_something_may_be_deleted() {
    let settings = KeeperConfig {
        wal_bytes_max: Some(100 * SEGMENT_BYTES),
        ..config(2)
    };
    let mut world = on_volume(2, 1 << 20, settings);
    let refused = load(&mut world, 40 * SEGMENT_BYTES, 60_000, 1_000);
    assert_eq!(refused, []);
    world.config.wal_bytes_max = Some(wal_bytes_min(2, SEGMENT_BYTES));
    let mut world = world.restarted(Lost::Nothing, 2, 1);
    world.assert_serving();
    world.pass_s(5);
    assert!(!has_said(&world, "nothing may be deleted"));
    assert!(has_said(&world, "deleted "));
}

#[test]
fn segments_made_ready_are_counted_up_to_what_is_wanted() {
    let mut world = World::started(TestDisk::new(), config(2));
    world.decide(0, 0, 120);
    // A file of another length is not used again: one more is made.
    world.config.segment_bytes *= 2;
    let world = world.restarted(Lost::Nothing, 3, 1);
    world.assert_serving();
    let ready = |notice: &Notice| match notice {
        Notice::Progress { what, done, of } if *what == "segments made ready" => Some((*done, *of)),
        _ => None,
    };
    let counts: Vec<(u64, u64)> = world.notices.iter().filter_map(ready).collect();
    assert_eq!(counts, (1..=3).map(|done| (done, 3)).collect::<Vec<_>>());
}

#[test]
fn no_more_is_deleted_than_was_short_when_the_file_system_was_measured_last() {
    let files = |world: &World| {
        let names = world.disk.names();
        names.iter().filter(|it| it.starts_with("segment-")).count()
    };
    let mut left = Vec::new();
    for fails in [false, true] {
        let mut disk = TestDisk::new();
        disk.total_bytes = 200 * SEGMENT_BYTES;
        let settings = KeeperConfig {
            wal_bytes_max: Some(1 << 50),
            preallocated_count: 1,
            ..config(1)
        };
        let mut world = World::started(disk, settings);
        for record in 0..1_500 {
            world.decide_sized(0, record, 120, 20_000);
            world.pass_us(5_000);
        }
        world.pass_s(100);
        // A little more is free than what is kept in reserve: some of it is to be freed.
        world.disk.total_bytes = world.disk.used_bytes() + 1_174_520;
        let id = CommandId(1);
        let line = "flk1 status".to_owned();
        world.happen(KeeperEvent::Command { id, line });
        world.disk.fails_space = fails;
        world.pass_s(120);
        left.push(files(&world));
    }
    assert!(left[1] >= left[0], "{left:?}");
}
