//! The length of the manifest: what makes it grow, and that it never grows beyond what can be read back.

use crate::dedup::claims::MemoryUse;
use crate::io::ShardId;
use crate::keeper::config::KeeperConfig;
use crate::keeper::notice::Notice;
use crate::keeper::port::{CommandId, FileOp, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::shard::FakeShard;
use crate::keeper::tests::world::{World, config, manifest};
use crate::mesh::keeper::{Shortage, ToKeeper};
use std::cell::Cell;
use std::rc::Rc;

const DAY_S: u32 = 86_400;

/// A small manifest, and memory that one seal relieves.
fn small(shards: u16) -> KeeperConfig {
    KeeperConfig {
        manifest_bytes_max: 32 << 10,
        dedup_memory_bytes_max: 9_600,
        segment_bytes: 64 << 10,
        preallocated_count: 2,
        slices_count_max: 4,
        ..config(shards)
    }
}

/// Notes the longest manifest that is ever written.
fn longest(world: &mut World) -> Rc<Cell<usize>> {
    let longest = Rc::new(Cell::new(0));
    let noted = longest.clone();
    world.watch = Some(Box::new(move |disk, op| {
        if let FileOp::Rename { from, .. } = op {
            let bytes = disk.bytes(from).map_or(0, <[u8]>::len);
            noted.set(noted.get().max(bytes));
        }
    }));
    longest
}

fn said(world: &World, wanted: impl Fn(&Notice) -> bool) -> usize {
    world.notices.iter().filter(|notice| wanted(notice)).count()
}

fn crowded(notice: &Notice) -> bool {
    matches!(notice, Notice::TooManySegments { .. })
}

/// Has the first shard decide records until it is told to wait. How many it decided comes back.
fn fill(world: &mut World) -> u32 {
    // Bodies without dispositions: nothing may be deleted.
    world.unresolved = true;
    let (mut record, mut waited_s) = (0, 0);
    while world.shards[0].space_low.is_none() {
        if record > 0 && world.shards[0].next_segment().is_none() {
            // It waits for a segment, and would wait with the next record.
            world.pass_s(1);
            waited_s += 1;
            let said = &world.notices[world.notices.len().saturating_sub(6)..];
            assert!(
                waited_s < 600 && world.exit.is_none(),
                "submits are told nothing after {record} records: {:?} {said:?}",
                world.exit
            );
            continue;
        }
        world.decide(0, record, 30 * DAY_S);
        record += 1;
        assert!(record < 60_000, "it never gets full");
        if record % 50 == 0 {
            world.pass_s(2);
        }
    }
    record
}

#[test]
fn permanent_pressure_on_memory_with_many_shards_never_fills_the_manifest() {
    let mut world = World::started(TestDisk::new(), small(8));
    let longest = longest(&mut world);
    world.tell(ShardId(0), ToKeeper::Memory(MemoryUse::Full));
    let mut record = 0;
    for _ in 0..150 {
        for shard in 0..8 {
            world.decide(shard, record, 30 * DAY_S);
            record += 1;
            assert!(world.shards[usize::from(shard)].space_low.is_none());
        }
        world.pass_s(10);
    }
    assert_eq!(world.exit, None);
    assert!(
        world
            .shards
            .iter()
            .all(|shard| shard.next_segment().is_some())
    );
    let closed = world.shards[0].current_ordinal();
    assert!(
        closed * 8 * 64 > 2 * (32 << 10),
        "only {closed} segments each"
    );
    assert!(longest.get() <= 32 << 10, "{}", longest.get());
    assert!(said(&world, crowded) > 0);
    assert!(said(&world, |it| matches!(it, Notice::Deleted { .. })) > 0);
    let stats = world.config.stats.clone();
    let named = manifest(&world);
    assert_eq!(stats.keeper.segments.get(), named.segments_count() as u64);
    assert_eq!(
        stats.keeper.manifest_bytes.get(),
        named.encode().len() as u64
    );
    assert!(stats.keeper.segments_crowded_out.get() > 0);
    world.config.dedup_memory_bytes_max = 1 << 30;
    let world = world.restarted(Lost::Everything, 8, 1);
    world.assert_serving();
    assert!(world.known().into_iter().eq(0..record));
}

#[test]
fn a_manifest_without_room_makes_submits_wait_and_resumes_by_itself() {
    let mut world = World::started(TestDisk::new(), small(2));
    let longest = longest(&mut world);
    let record = fill(&mut world);
    assert_eq!(world.exit, None);
    assert_eq!(world.shards[0].space_low, Some(Shortage::Segments));
    assert!(
        said(
            &world,
            |it| matches!(it, Notice::FileTrouble { error, .. } if error.contains("flk wal compact"))
        ) > 0
    );
    assert!(longest.get() <= 32 << 10);
    // A start has the room that was kept for it.
    world.config.dedup_memory_bytes_max = 1 << 30;
    let World {
        disk, now, config, ..
    } = world.restarted(Lost::Everything, 2, 1);
    let mut world = World::new(disk, config);
    world.disk.crash(Lost::Nothing);
    world.now.wall_us = now.wall_us;
    world.run();
    world.assert_serving();
    assert!(world.known().into_iter().eq(0..record));
    // What the runs before left is resolved by their ends, sealed, and deleted.
    for _ in 0..20 {
        world.pass_s(10);
    }
    assert_eq!(world.shards[0].space_low, None);
    for more in 0..50 {
        world.decide(0, record + more, 30 * DAY_S);
    }
    assert!(manifest(&world).encoded_bytes() <= 16 << 10);
    let world = world.restarted(Lost::Everything, 2, 1);
    assert!(world.known().into_iter().eq(0..record + 50));
}

/// The last batches of a shard: it enters as many segments as they can need.
fn write_last_batches(world: &mut World, shard: u16, record: &mut u32) {
    for segment in 0..4 {
        world.pass_us(300_000);
        let next = world.shards[usize::from(shard)].next_segment();
        assert!(next.is_some(), "shard {shard} waits for segment {segment}");
        while world.shards[usize::from(shard)].next_segment() == next {
            world.decide(shard, *record, 30 * DAY_S);
            *record += 1;
        }
    }
}

#[test]
fn in_a_stop_logs_end_in_segments_that_a_full_manifest_has_kept_room_for() {
    let mut world = World::started(TestDisk::new(), small(2));
    let longest = longest(&mut world);
    let mut record = fill(&mut world);
    // The other shard enters its first segment, and waits for its next one too.
    world.decide(1, record, 30 * DAY_S);
    record += 1;
    world.pass_s(10);
    let waits = |shard: &FakeShard| shard.next_segment().is_none();
    assert!(world.shards.iter().all(waits));
    world.busy = true;
    world.happen(KeeperEvent::Terminate);
    for shard in 0..2 {
        write_last_batches(&mut world, shard, &mut record);
        world.tell(ShardId(shard), ToKeeper::Idle(true));
    }
    world.pass_s(2);
    let (code, reason) = world.exit.clone().expect("it has ended");
    assert_eq!(code, 0, "{reason}");
    assert!(longest.get() <= 32 << 10);
    world.config.dedup_memory_bytes_max = 1 << 30;
    let world = world.restarted(Lost::Everything, 2, 1);
    world.assert_serving();
    assert!(world.known().into_iter().eq(0..record));
}

/// A gateway whose manifest gets full during a stop, with so many decisions: its shard is told to admit no more.
fn filled_by_a_stop() -> (World, u32) {
    let mut world = World::started(TestDisk::new(), small(1));
    world.busy = true;
    world.happen(KeeperEvent::Terminate);
    let mut record = 0;
    while world.shards[0].space_low.is_none() {
        assert_eq!(world.exit, None, "after {record} records");
        match world.shards[0].has_room_for(12 << 10) {
            true => world.decide_sized(0, record, 30 * DAY_S, 12 << 10),
            false => world.pass_us(100_000),
        }
        record += u32::from(world.decided > record);
    }
    (world, record)
}

#[test]
fn a_manifest_that_a_stop_fills_has_shards_admit_no_more_before_its_last_part_is_used() {
    let (mut world, mut record) = filled_by_a_stop();
    assert_eq!(world.shards[0].space_low, Some(Shortage::Segments));
    assert_eq!(world.shards[0].next_segment(), None);
    write_last_batches(&mut world, 0, &mut record);
    world.tell(ShardId(0), ToKeeper::Idle(true));
    world.pass_s(2);
    let (code, reason) = world.exit.clone().expect("it has ended");
    assert_eq!(code, 0, "{reason}");
    world.config.dedup_memory_bytes_max = 1 << 30;
    let world = world.restarted(Lost::Everything, 1, 1);
    world.assert_serving();
    assert!(world.known().into_iter().eq(0..record));
}

/// A decision each second on the first shard, as long as there is room.
fn serve_for_a_quarter_of_an_hour(world: &mut World, mut record: u32) {
    for _ in 0..900 {
        if world.shards[0].has_room_for(700) {
            world.decide(0, record, 30 * DAY_S);
            record += 1;
        }
        world.pass_s(1);
    }
}

#[test]
fn after_a_stop_that_has_used_the_last_part_of_the_manifest_a_start_makes_room_and_serves_on() {
    let (mut world, mut record) = filled_by_a_stop();
    write_last_batches(&mut world, 0, &mut record);
    world.tell(ShardId(0), ToKeeper::Idle(true));
    world.pass_s(2);
    assert_eq!(world.exit.clone().map(|exit| exit.0), Some(0));
    let before = manifest(&world).encoded_bytes();
    world.config.dedup_memory_bytes_max = 1 << 30;
    let mut world = world.restarted(Lost::Everything, 1, 1);
    world.assert_serving();
    serve_for_a_quarter_of_an_hour(&mut world, record);
    let said: Vec<String> = world
        .notices
        .iter()
        .rev()
        .take(4)
        .map(|notice| format!("{notice:?}"))
        .collect();
    assert_eq!(
        world.shards[0].space_low,
        None,
        "manifest {before} then {}, {said:?}",
        manifest(&world).encoded_bytes()
    );
}

#[test]
fn runs_that_are_cut_short_before_they_seal_never_fill_the_manifest() {
    let settings = KeeperConfig {
        dedup_memory_bytes_max: 1 << 30,
        ..small(4)
    };
    let mut world = World::started(TestDisk::new(), settings);
    let mut record = 0;
    for _ in 0..300 {
        for shard in 0..4 {
            world.decide(shard, record, 300 * DAY_S);
            record += 1;
        }
        world.pass_s(8);
        world = world.restarted(Lost::Everything, 4, 1);
        world.assert_serving();
        assert!(manifest(&world).encoded_bytes() <= 24 << 10);
    }
    assert!(world.known().into_iter().eq(0..record));
}

#[test]
fn seals_that_cannot_relieve_memory_come_at_longer_intervals() {
    let settings = KeeperConfig {
        dedup_memory_bytes_max: 1 << 30,
        ..small(1)
    };
    let mut world = World::started(TestDisk::new(), settings);
    world.tell(ShardId(0), ToKeeper::Memory(MemoryUse::Full));
    let mut sealed = Vec::new();
    for record in 0..600 {
        world.decide(0, record, 30 * DAY_S);
        world.pass_s(1);
        sealed.push(said(&world, |it| matches!(it, Notice::Sealed { .. })));
    }
    assert!(sealed[60] >= 3, "soon at first: {}", sealed[60]);
    assert!(sealed[599] <= 9, "rarely later: {}", sealed[599]);
    // Pressure that comes anew is met at once.
    world.tell(ShardId(0), ToKeeper::Memory(MemoryUse::Plenty));
    world.run();
    world.happen(KeeperEvent::Command {
        id: CommandId(1),
        line: "flk1 compact --older-than 1000000".to_string(),
    });
    world.tell(ShardId(0), ToKeeper::Memory(MemoryUse::Full));
    world.decide(0, 600, 30 * DAY_S);
    let before = said(&world, |it| matches!(it, Notice::Sealed { .. }));
    world.pass_s(12);
    assert!(said(&world, |it| matches!(it, Notice::Sealed { .. })) > before);
}

#[test]
fn a_manifest_that_cannot_be_read_back_is_not_put_in_force() {
    let mut world = World::started(TestDisk::new(), small(1));
    world.decide(0, 0, DAY_S);
    let World {
        mut disk, config, ..
    } = world;
    disk.crash(Lost::Nothing);
    let before = disk.bytes("manifest").map(<[u8]>::to_vec);
    // The next start has less to write into than the one before.
    let mut world = World::new(
        disk,
        KeeperConfig {
            manifest_bytes_max: 300,
            ..config
        },
    );
    world.run();
    let (code, reason) = world.exit.clone().expect("it ends");
    assert_eq!(code, 78);
    assert!(reason.contains("flk wal compact"), "{reason}");
    assert_eq!(world.disk.bytes("manifest").map(<[u8]>::to_vec), before);
    world.config.manifest_bytes_max = 32 << 10;
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(world.known(), [0]);
}

#[test]
fn a_manifest_that_is_full_for_two_shards_is_no_end_for_twelve() {
    let mut world = World::started(TestDisk::new(), small(2));
    let record = fill(&mut world);
    assert_eq!(world.exit, None);
    world.config.dedup_memory_bytes_max = 1 << 30;
    let mut world = world.restarted(Lost::Nothing, 12, 1);
    world.assert_serving();
    serve_for_a_quarter_of_an_hour(&mut world, record);
    assert_eq!(world.exit, None);
    assert_eq!(
        world.shards[0].space_low,
        None,
        "{} bytes, {:?}",
        manifest(&world).encoded_bytes(),
        world.notices.last()
    );
}
