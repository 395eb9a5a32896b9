//! Holds at their limits, and where room is short: what they let go of is said and written down, and what does not give way has
//! submits refused.

use crate::keeper::config::{HoldLimit, KeeperConfig, wal_bytes_min};
use crate::keeper::notice::{LetGo, Notice};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::evidence::command;
use crate::keeper::tests::holds::{DAY_S, closed, hold, short_lived, write_and_age};
use crate::keeper::tests::room::{SEGMENT_BYTES, has_said, load, on_volume};
use crate::keeper::tests::world::{World, config, manifest};
use crate::mesh::keeper::Shortage;
use crate::wal::manifest::ReleasedRange;

/// What holds lost, as notices said it.
fn released(world: &World) -> Vec<(u64, u64, LetGo)> {
    let range = |notice: &Notice| match notice {
        Notice::HoldReleased { from, to, why, .. } => Some((from.counter(), to.counter(), *why)),
        _ => None,
    };
    world.notices.iter().filter_map(range).collect()
}

fn written_down(world: &World) -> Vec<ReleasedRange> {
    manifest(world).sections.released
}

#[test]
fn beyond_its_bytes_a_hold_lets_the_oldest_go_and_that_is_written_down() {
    let mut world = World::started(TestDisk::new(), short_lived(1));
    let max_bytes = 3 * SEGMENT_BYTES;
    let line = format!("flk1 hold set backup --bytes-max {max_bytes}");
    assert_eq!(command(&mut world, &line), "ok");
    write_and_age(&mut world, 0);
    let log = world.shards[0].begin.log;
    let kept_bytes: u64 = manifest(&world)
        .segments()
        .filter_map(|(_, entry)| Some(entry.state.extent()?.bytes))
        .sum();
    assert!(
        kept_bytes <= max_bytes && kept_bytes > max_bytes / 2,
        "{kept_bytes}"
    );
    let said = released(&world);
    let (first, last) = (said[0], said[said.len() - 1]);
    assert_eq!((first.0, first.2), (1, LetGo::Bytes), "{said:?}");
    let gone = closed(&world, log)[0];
    assert!(last.1 < gone, "{said:?} {gone}");
    let ranges = written_down(&world);
    assert_eq!(ranges.len(), 1, "they follow one another: {ranges:?}");
    let range = &ranges[0];
    assert_eq!((range.log, range.from.counter()), (log, 1));
    assert_eq!(range.to.counter(), last.1);
    let counted = world.config.stats.keeper.hold_releases.get();
    assert_eq!(counted, said.len() as u64);
    let mut world = world.restarted(Lost::Everything, 1, 1);
    assert_eq!(written_down(&world), ranges, "a restart forgets nothing");
    let list = command(&mut world, "flk1 hold list");
    let listed = format!(
        "\"released\":[{{\"from\":\"{log}:1\",\"to\":\"{log}:{}\"",
        last.1
    );
    assert!(list.contains(&listed), "{list}");
    assert_eq!(command(&mut world, "flk1 hold drop backup"), "ok");
    assert_eq!(written_down(&world), []);
}

#[test]
fn a_hold_that_has_not_moved_for_too_long_keeps_nothing() {
    let mut world = World::started(TestDisk::new(), short_lived(1));
    assert_eq!(
        command(&mut world, "flk1 hold set backup --age-max 5000"),
        "ok"
    );
    write_and_age(&mut world, 0);
    let log = world.shards[0].begin.log;
    let kept = closed(&world, log);
    assert!(kept.len() > 4 && released(&world).is_empty());
    // It stands where it stood, and says so: that is a movement.
    world.pass_s(4_000);
    assert_eq!(
        command(&mut world, &format!("flk1 hold move backup {log}:0")),
        "ok"
    );
    world.pass_s(2_000);
    assert_eq!(closed(&world, log)[..kept.len()], kept, "it has moved");
    world.pass_s(4_000);
    assert_eq!(closed(&world, log), Vec::<u64>::new());
    let said = released(&world);
    assert!(
        !said.is_empty() && said.iter().all(|it| it.2 == LetGo::Age),
        "{said:?}"
    );
}

#[test]
fn what_a_hold_lets_go_of_begins_behind_what_it_is_done_with() {
    let mut world = World::started(TestDisk::new(), short_lived(1));
    assert_eq!(
        command(&mut world, "flk1 hold set backup --age-max 1"),
        "ok"
    );
    for record in 0..300 {
        world.decide(0, record, 30 * DAY_S);
    }
    let log = world.shards[0].begin.log;
    assert_eq!(
        command(&mut world, &format!("flk1 hold move backup {log}:20")),
        "ok"
    );
    world.pass_s(820);
    let said = released(&world);
    assert_eq!(said[0].0, 21, "{said:?}");
}

#[test]
fn a_hold_that_gives_way_never_has_a_record_refused() {
    for shards in [1, 2] {
        let cap_bytes = wal_bytes_min(shards, SEGMENT_BYTES);
        let settings = KeeperConfig {
            wal_bytes_max: Some(cap_bytes),
            preallocated_count: u32::from(shards),
            ..config(shards)
        };
        for mut world in [
            on_volume(shards, 1 << 20, settings),
            on_volume(shards, 32 * u64::from(shards) + 8, config(shards)),
        ] {
            assert_eq!(command(&mut world, "flk1 hold set backup"), "ok");
            let refused = load(&mut world, 4 * cap_bytes, 60_000, 1_000);
            assert_eq!(refused, [], "{shards} shards");
            let said = released(&world);
            assert!(!said.is_empty(), "it had to give way");
            assert!(said.iter().all(|it| it.2 == LetGo::Room), "{said:?}");
        }
    }
}

#[test]
fn a_hold_that_does_not_give_way_has_submits_refused_and_is_named() {
    let settings = KeeperConfig {
        hold_limit: HoldLimit::Refuse,
        wal_bytes_max: Some(wal_bytes_min(1, SEGMENT_BYTES)),
        body_age_max_s: 5,
        ..config(1)
    };
    let mut world = on_volume(1, 1 << 20, settings);
    let line = "flk1 hold set backup --age-max 1 --bytes-max 1";
    assert_eq!(command(&mut world, line), "ok");
    let log = world.shards[0].begin.log;
    let line = format!("flk1 hold set done-with-all {log}:1000000");
    assert_eq!(command(&mut world, &line), "ok");
    let mut refused = None;
    for record in 0..3_000 {
        if let Err(why) = world.offer(0, record, 3_000, 60_000) {
            refused = why;
            break;
        }
        world.pass_us(10_000);
    }
    assert_eq!(refused, Some(Shortage::Cap));
    assert!(has_said(&world, "hold backup keeps segments"));
    assert_eq!(released(&world), [], "nothing of it is let go");
    let status = command(&mut world, "flk1 status");
    assert!(status.contains("\"deletable_bytes\":0,"), "{status}");
    assert_eq!(
        closed(&world, world.shards[0].begin.log)[0],
        first_of(&world)
    );
    assert_eq!(command(&mut world, "flk1 hold drop backup"), "ok");
    world.pass_s(30);
    assert_eq!(world.shards[0].space_low, None);
    assert_eq!(world.offer(0, 9_999, 3_000, 700), Ok(()));
}

/// The last sequence of the first segment that was ever written.
fn first_of(world: &World) -> u64 {
    let manifest = manifest(world);
    let first = &manifest.logs[0].segments[0];
    assert_eq!(first.ordinal, 0, "nothing of the beginning is deleted");
    first
        .state
        .extent()
        .map_or(0, |extent| extent.last.counter())
}

#[test]
fn a_compaction_counts_what_stays_for_holds() {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..300 {
        world.decide(0, record, 30 * DAY_S);
    }
    assert_eq!(command(&mut world, "flk1 hold set backup"), "ok");
    let dry = command(&mut world, "flk1 compact --older-than 0 --dry-run");
    assert!(
        dry.contains("\"segments\":0,\"bytes\":0,\"held_segments\":"),
        "{dry}"
    );
    assert!(!dry.contains("\"held_segments\":0"), "{dry}");
    let log = world.shards[0].begin.log;
    let upto = closed(&world, log)[1];
    assert_eq!(
        command(&mut world, &format!("flk1 hold move backup {log}:{upto}")),
        "ok"
    );
    let dry = command(&mut world, "flk1 compact --older-than 0 --dry-run");
    assert!(dry.contains("\"segments\":2,"), "{dry}");
    assert_eq!(hold(&world, "backup").done.len(), 1);
    // Done with two of them, it is behind by the others.
    let behind_bytes: u64 = manifest(&world)
        .segments()
        .filter_map(|(_, entry)| entry.state.extent().copied())
        .filter(|extent| extent.last.counter() > upto)
        .map(|extent| extent.bytes)
        .sum();
    let list = command(&mut world, "flk1 hold list");
    let listed = format!("\"behind_bytes\":{behind_bytes},");
    assert!(behind_bytes > 0 && list.contains(&listed), "{list}");
}
