//! The keeper while shards serve: sealing, slices, deletion, room, commands, and crashes in the middle of each.

use crate::dedup::claims::MemoryUse;
use crate::dedup::table::BYTES_PER_KEY;
use crate::io::ShardId;
use crate::keeper::config::KeeperConfig;
use crate::keeper::notice::Notice;
use crate::keeper::port::{CommandId, FileOp, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config, manifest};
use crate::mesh::keeper::ToKeeper;

pub(super) const DAY_S: u32 = 86_400;

fn command(world: &mut World, line: &str) -> String {
    world.happen(KeeperEvent::Command {
        id: CommandId(1),
        line: line.to_string(),
    });
    for _ in 0..100 {
        if world.replies.is_empty() {
            world.pass_s(1);
        }
    }
    let (_, text) = world.replies.remove(0);
    text
}

/// Segments and bytes that a compaction freed, or would free.
fn freed(reply: &str, dry: bool) -> (u64, u64) {
    let json = reply.strip_prefix("ok ").expect("a compaction");
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(json["dry_run"], dry);
    let number = |name: &str| json[name].as_u64().expect("a number");
    (number("segments"), number("bytes"))
}

fn segments(world: &World) -> usize {
    let names = world.disk.names();
    names
        .iter()
        .filter(|name| name.starts_with("segment-"))
        .count()
}

/// Seals every hour, keeps bodies for two days.
fn sealing(shards: u16) -> KeeperConfig {
    KeeperConfig {
        seal_every_us: 3_600_000_000,
        body_age_max_s: 2 * DAY_S,
        preallocated_count: 1,
        ..config(shards)
    }
}

#[test]
fn decisions_are_sealed_and_come_back_from_slices() {
    let mut world = World::started(TestDisk::new(), sealing(2));
    for record in 0..300 {
        world.decide((record % 2) as u16, record, 30 * DAY_S);
    }
    world.pass_s(3_700);
    let sealed = manifest(&world);
    assert_eq!(sealed.slices.len(), 1, "{:?}", world.notices);
    assert_eq!(sealed.slices[0].entries, 300);
    assert!(world.shards.iter().all(|shard| shard.set.version == 1));
    for record in 300..320 {
        world.decide(0, record, 30 * DAY_S);
    }
    for (lost, shards) in [
        (Lost::Everything, 2),
        (Lost::Nothing, 3),
        (Lost::Some(5), 1),
    ] {
        world = world.restarted(lost, shards, 1);
        world.assert_serving();
        assert_eq!(world.known(), (0..320).collect::<Vec<_>>());
    }
}

#[test]
fn sealed_segments_are_deleted_by_age_and_their_decisions_stay() {
    let mut world = World::started(TestDisk::new(), sealing(1));
    for record in 0..300 {
        world.decide(0, record, 30 * DAY_S);
    }
    world.pass_s(3_700);
    let before = segments(&world);
    world.pass_s(u64::from(3 * DAY_S));
    assert!(segments(&world) < before, "{before} → {}", segments(&world));
    assert!(
        world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Deleted { .. }))
    );
    let world = world.restarted(Lost::Everything, 1, 1);
    world.assert_serving();
    assert_eq!(world.known(), (0..300).collect::<Vec<_>>());
}

#[test]
fn an_ended_log_that_is_wholly_deleted_leaves_the_manifest() {
    let mut world = World::started(TestDisk::new(), sealing(1));
    for record in 0..100 {
        world.decide(0, record, 30 * DAY_S);
    }
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    world.decide(0, 100, 30 * DAY_S);
    world.pass_s(u64::from(3 * DAY_S));
    let logs = manifest(&world).logs;
    assert!(logs.iter().all(|log| log.id.start == 2), "{logs:?}");
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(world.known(), (0..101).collect::<Vec<_>>());
}

#[test]
fn a_body_that_is_not_resolved_keeps_its_segment() {
    let mut world = World::started(TestDisk::new(), sealing(1));
    world.unresolved = true;
    for record in 0..300 {
        world.decide(0, record, 30 * DAY_S);
    }
    world.pass_s(u64::from(3 * DAY_S));
    assert_eq!(manifest(&world).slices.len(), 1);
    assert!(
        !world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Deleted { .. }))
    );
}

#[test]
fn nothing_is_deleted_before_all_shards_use_the_new_slices() {
    let mut world = World::started(TestDisk::new(), sealing(2));
    world.slow_to_switch = true;
    for record in 0..300 {
        world.decide(0, record, 30 * DAY_S);
    }
    world.pass_s(u64::from(3 * DAY_S));
    assert!(
        !world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Deleted { .. }))
    );
    let version = world.shards[0].set.version;
    for shard in 0..2 {
        world.tell(ShardId(shard), ToKeeper::Switched { version });
    }
    world.pass_s(10);
    assert!(
        world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Deleted { .. }))
    );
}

#[test]
fn too_many_slices_merge_and_an_expired_one_goes() {
    let mut world = World::started(
        TestDisk::new(),
        KeeperConfig {
            slices_count_max: 3,
            ..sealing(1)
        },
    );
    for round in 0..8 {
        for record in 0..20 {
            world.decide(0, round * 20 + record, 5 * DAY_S);
        }
        world.pass_s(3_700);
    }
    assert_eq!(manifest(&world).slices.len(), 3);
    let mut world = world.restarted(Lost::Everything, 1, 1);
    assert_eq!(world.known(), (0..160).collect::<Vec<_>>());
    world.pass_s(u64::from(6 * DAY_S));
    assert!(
        manifest(&world).slices.len() <= 1,
        "{:?}",
        manifest(&world).slices
    );
    let files = world.disk.names();
    let slices = files
        .iter()
        .filter(|name| name.starts_with("slice-"))
        .count();
    assert_eq!(slices, manifest(&world).slices.len(), "old files are gone");
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(world.known(), Vec::<u32>::new());
}

/// A day of sealing, merging and deleting, to be cut short anywhere.
fn busy_day(mut world: World) -> World {
    for round in 0..6 {
        for record in 0..60 {
            world.decide((record % 2) as u16, round * 60 + record, 30 * DAY_S);
            if world.dead {
                return world;
            }
        }
        world.pass_s(u64::from(DAY_S));
        if world.dead {
            return world;
        }
    }
    world
}

#[test]
fn a_crash_at_any_file_operation_of_serving_is_harmless() {
    let settings = KeeperConfig {
        slices_count_max: 2,
        ttl_s: 300 * DAY_S,
        ..sealing(2)
    };
    let (begun, count) = {
        let world = World::started(TestDisk::new(), settings.clone());
        let begun = world.disk.ops;
        let world = busy_day(world);
        assert!(
            world
                .notices
                .iter()
                .any(|notice| matches!(notice, Notice::Deleted { .. }))
        );
        (begun, world.disk.ops)
    };
    for (index, crash_at) in (0..count - begun).step_by(2).enumerate() {
        let lost = [Lost::Nothing, Lost::Everything, Lost::Some(index as u64)][index % 3];
        let mut world = World::started(TestDisk::new(), settings.clone());
        world.ops_left = Some(crash_at);
        let world = busy_day(world);
        let written = world.decided;
        let world = world.restarted(lost, 2, 1);
        world.assert_serving();
        assert_eq!(
            world.known(),
            (0..written).collect::<Vec<_>>(),
            "{lost:?} {crash_at}"
        );
    }
}

#[test]
fn damage_met_while_sealing_stops_that_log_only() {
    let mut world = World::started(TestDisk::new(), sealing(2));
    for record in 0..300 {
        world.decide((record % 2) as u16, record, 30 * DAY_S);
    }
    let damaged = manifest(&world)
        .logs
        .iter()
        .find(|log| log.id.number == 1)
        .map(|log| format!("segment-{:016x}.wal", log.segments[1].file))
        .expect("a closed segment");
    world
        .disk
        .tamper(&damaged, |bytes| bytes[4096 * 5 + 77] ^= 1);
    world.pass_s(3_700);
    assert!(world.notices.iter().any(
        |notice| matches!(notice, Notice::DamageWhileSealing { file, .. } if *file == damaged)
    ));
    let covers = manifest(&world).slices[0].covers.clone();
    assert_eq!(
        covers.len(),
        2,
        "the first segment of the damaged log is sealed: {covers:?}"
    );
    world.pass_s(u64::from(3 * DAY_S));
    assert!(world.disk.names().contains(&damaged), "it stays");
    assert_eq!(world.exit, None);
    let world = world.restarted(Lost::Nothing, 2, 1);
    assert_eq!(
        world.exit.map(|exit| exit.0),
        Some(65),
        "a start reads it and refuses"
    );
}

#[test]
fn a_shard_whose_memory_is_nearly_full_has_its_decisions_sealed_soon() {
    let mut world = World::started(TestDisk::new(), sealing(2));
    for record in 0..10 {
        world.decide((record % 2) as u16, record, 30 * DAY_S);
    }
    world.pass_s(20);
    assert!(manifest(&world).slices.is_empty(), "not due");
    world.tell(ShardId(1), ToKeeper::Memory(MemoryUse::Full));
    world.pass_s(5);
    let sealed = |world: &World| -> u64 {
        let manifest = manifest(world);
        manifest.slices.iter().map(|it| it.entries).sum()
    };
    assert_eq!(sealed(&world), 10);
    world.tell(ShardId(1), ToKeeper::Memory(MemoryUse::Plenty));
    world.run();
    world.decide(0, 10, 30 * DAY_S);
    world.pass_s(60);
    assert_eq!(sealed(&world), 10, "not due again");
}

#[test]
fn a_shard_whose_memory_fills_up_has_its_decisions_sealed_before_it_is_full() {
    let settings = KeeperConfig {
        dedup_memory_bytes_max: 128 * BYTES_PER_KEY,
        ..sealing(1)
    };
    let mut world = World::started(TestDisk::new(), settings);
    let mut record = 0;
    let mut decide = |world: &mut World, count: u32| {
        (record..record + count).for_each(|record| world.decide(0, record, 30 * DAY_S));
        record += count;
    };
    decide(&mut world, 32);
    world.pass_s(60);
    assert!(manifest(&world).slices.is_empty(), "nothing is due");
    for slices in 1..6 {
        world.tell(ShardId(0), ToKeeper::Memory(MemoryUse::Filling));
        world.run();
        assert_eq!(manifest(&world).slices.len(), slices, "at once");
        world.tell(ShardId(0), ToKeeper::Memory(MemoryUse::Plenty));
        decide(&mut world, 32);
        world.pass_s(1);
    }
    decide(&mut world, 32);
    world.pass_s(60);
    assert_eq!(manifest(&world).slices.len(), 5, "not due again");
}

#[test]
fn slices_are_merged_while_a_shard_fills_up_without_end() {
    let settings = KeeperConfig {
        dedup_memory_bytes_max: 128 * BYTES_PER_KEY,
        slices_count_max: 4,
        ..sealing(1)
    };
    let mut world = World::started(TestDisk::new(), settings);
    world.tell(ShardId(0), ToKeeper::Memory(MemoryUse::Filling));
    // A seal takes some milliseconds, then more than the second after which the next one is due.
    for (op_us, rounds) in [(100, 1_000), (30_000, 60)] {
        world.op_us = op_us;
        let mut most = 0;
        for _ in 0..rounds {
            for _ in 0..2 {
                world.decide(0, world.decided, 30 * DAY_S);
            }
            world.pass_us(40_000);
            most = most.max(manifest(&world).slices.len());
        }
        world.assert_serving();
        assert!(most <= 8, "{most} slices at {op_us} us an operation");
    }
}

#[test]
fn a_seal_that_helped_makes_the_next_one_under_pressure_as_quick_as_the_first() {
    // A seal helps if it takes one of 64 keys.
    let settings = KeeperConfig {
        dedup_memory_bytes_max: 128 * BYTES_PER_KEY,
        ..sealing(2)
    };
    let mut world = World::started(TestDisk::new(), settings);
    world.tell(ShardId(1), ToKeeper::Memory(MemoryUse::Full));
    let mut record = 0;
    let mut sealed_after_s = |world: &mut World, records: u32| {
        for _ in 0..records {
            world.decide(0, record, 30 * DAY_S);
            record += 1;
        }
        let before = manifest(world).slices.len();
        let mut waited_s = 0;
        while manifest(world).slices.len() == before {
            world.pass_s(1);
            waited_s += 1;
            assert!(waited_s < 400, "never sealed");
        }
        waited_s
    };
    sealed_after_s(&mut world, 2);
    let quick_s = sealed_after_s(&mut world, 1);
    assert_eq!(quick_s, 1, "two of 128 help");
    let slow_s = sealed_after_s(&mut world, 2);
    assert!((10..20).contains(&slow_s), "one of 128 did not: {slow_s} s");
    assert_eq!(sealed_after_s(&mut world, 1), quick_s);
}

#[test]
fn a_log_that_could_not_be_read_for_once_is_sealed_later() {
    let mut world = World::started(TestDisk::new(), sealing(2));
    for record in 0..300 {
        world.decide((record % 2) as u16, record, 30 * DAY_S);
    }
    world.disk.fail_reads_of = Some("segment-".to_string());
    world.pass_s(3_700);
    let trouble = |notice: &Notice| matches!(notice, Notice::FileTrouble { .. });
    assert!(world.notices.iter().any(trouble));
    assert!(manifest(&world).slices.is_empty());
    world.disk.fail_reads_of = None;
    world.pass_s(3_700);
    let sealed: u64 = manifest(&world).slices.iter().map(|it| it.entries).sum();
    assert_eq!(sealed, 300);
    let damage = |notice: &Notice| matches!(notice, Notice::DamageWhileSealing { .. });
    assert!(!world.notices.iter().any(damage));
}

#[test]
fn commands_are_answered_in_one_line_each() {
    let mut world = World::started(TestDisk::new(), sealing(1));
    for record in 0..300 {
        world.decide(0, record, 30 * DAY_S);
    }
    assert_eq!(command(&mut world, "flk1 ping"), "ok");
    let status = command(&mut world, "flk1 status");
    assert!(status.starts_with("ok {\"state\":\"serving\""), "{status}");
    for wrong in [
        "",
        "ping",
        "flk2 ping",
        "flk1 dance",
        "flk1 compact --older-than soon",
    ] {
        assert!(command(&mut world, wrong).starts_with("error"), "{wrong}");
    }
    let dry = command(&mut world, "flk1 compact --older-than 0 --dry-run");
    let (dry_segments, dry_bytes) = freed(&dry, true);
    assert!(dry_segments > 1, "nothing is sealed, but will be: {dry}");
    assert_eq!(command(&mut world, "flk1 pin"), "ok 1");
    assert!(command(&mut world, "flk1 compact --older-than 0").starts_with("error"));
    assert_eq!(command(&mut world, "flk1 unpin 1"), "ok");
    assert!(command(&mut world, "flk1 unpin 1").starts_with("error"));
    let before = segments(&world);
    let done = command(&mut world, "flk1 compact --older-than 0");
    let (done_segments, done_bytes) = freed(&done, false);
    // The seal closed one more: the one that was in use.
    assert_eq!(done_segments, dry_segments + 1, "{dry}, {done}");
    assert!(done_bytes > dry_bytes, "{dry}, {done}");
    assert!(segments(&world) < before);
    let world = world.restarted(Lost::Everything, 1, 1);
    assert_eq!(world.known(), (0..300).collect::<Vec<_>>());
}

#[test]
fn withheld_time_is_released_by_command_and_stays_released() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, 2 * DAY_S);
    let mut world = world.restarted(Lost::Nothing, 1, u64::from(3 * DAY_S));
    assert_eq!(world.known(), vec![1]);
    let withheld_s = u64::from(3 * DAY_S - 3_600);
    let shown_s = |world: &World| world.config.stats.keeper.withheld_us.get() / 1_000_000;
    assert_eq!(shown_s(&world), withheld_s);
    let reply = command(&mut world, "flk1 release-clock");
    assert_eq!(reply, format!("ok {{\"released_s\":{withheld_s}}}"));
    assert_eq!(shown_s(&world), 0);
    assert_eq!(world.shards[0].begin.clock.base_s, 3 * DAY_S);
    let world = world.restarted(Lost::Everything, 1, 0);
    assert_eq!(world.known(), Vec::<u32>::new());
    assert_eq!(world.shards[0].begin.clock.base_s, 3 * DAY_S);
}

#[test]
fn no_segment_is_handed_out_before_the_manifest_that_names_it_is_durable() {
    let mut world = World::started(TestDisk::new(), sealing(2));
    let mut renamed = true;
    world.watch = Some(Box::new(move |_, op| match op {
        FileOp::Rename { .. } => renamed = false,
        FileOp::SyncDir => renamed = true,
        FileOp::Unlink(name) => assert!(renamed, "{name} goes before the manifest is durable"),
        _ => {}
    }));
    for record in 0..600 {
        world.decide((record % 2) as u16, record, DAY_S);
        let named = manifest(&world);
        for shard in &world.shards {
            if let Some(next) = shard.next_segment() {
                let log = named.logs.iter().find(|log| log.id == shard.begin.log);
                let entry = log.and_then(|log| log.segments.last()).expect("named");
                assert_eq!((entry.ordinal, entry.salt), (next.ordinal, next.salt));
            }
        }
    }
    world.pass_s(u64::from(3 * DAY_S));
}
