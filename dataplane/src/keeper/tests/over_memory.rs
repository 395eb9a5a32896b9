//! A start that finds more live decisions that no slice covers than the declared memory holds.

use crate::dedup::Decided;
use crate::io::ShardId;
use crate::keeper::load::{decisions_max, memory_for};
use crate::keeper::notice::Notice;
use crate::keeper::port::{CommandId, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config};
use crate::mesh::keeper::ToKeeper;
use crate::wal::manifest::Manifest;

const DAY_S: u32 = 86_400;

/// A gateway with ten decisions, started again with memory for less.
fn short(shards: u16) -> World {
    let mut world = World::started(TestDisk::new(), config(shards));
    for record in 0..10 {
        world.decide((record % u32::from(shards)) as u16, record, DAY_S);
    }
    world.config.dedup_memory_bytes_max = 9 * 96;
    world
}

fn sealed(world: &World) -> u64 {
    let bytes = world.disk.bytes("manifest").expect("a manifest");
    let manifest = Manifest::decode(bytes).expect("a whole manifest");
    manifest.slices.iter().map(|slice| slice.entries).sum()
}

fn status(world: &mut World) -> String {
    world.happen(KeeperEvent::Command {
        id: CommandId(1),
        line: "flk1 status".to_string(),
    });
    world.replies.remove(0).1
}

fn loads_nothing(world: &World) -> bool {
    world.shards.iter().all(|shard| shard.loaded.is_empty())
}

fn serving(world: &World) -> Vec<Option<bool>> {
    world.shards.iter().map(|shard| shard.serving).collect()
}

#[test]
fn what_does_not_fit_is_answered_from_slices_before_anything_is_admitted() {
    let mut world = short(2).restarted(Lost::Nothing, 2, 1);
    world.assert_serving();
    assert!(loads_nothing(&world), "a part is of no use");
    assert_eq!(serving(&world), [Some(false); 2]);
    let said = world.notices.iter().find_map(|notice| match notice {
        Notice::DecisionsOverMemory {
            needed_bytes,
            limit_bytes,
        } => Some((*needed_bytes, *limit_bytes)),
        _ => None,
    });
    assert_eq!(said, Some((1 << 20, 9 * 96)));
    world.pass_s(5);
    assert_eq!(sealed(&world), 10);
    assert!(world.shards.iter().all(|shard| shard.set.version > 0));
    assert_eq!(serving(&world), [Some(true); 2]);
    assert!(status(&mut world).contains("\"state\":\"serving\""));
}

#[test]
fn what_does_not_fit_and_is_in_slices_already_is_served_at_once() {
    let mut world = short(1).restarted(Lost::Nothing, 1, 1);
    world.pass_s(5);
    let world = world.restarted(Lost::Everything, 2, 1);
    assert_eq!(serving(&world), [Some(true); 2]);
    assert_eq!(sealed(&world), 10);
    assert!(world.known().into_iter().eq(0..10));
    let is_short = |it: &Notice| matches!(it, Notice::DecisionsOverMemory { .. });
    assert!(!world.notices.iter().any(is_short), "{:?}", world.notices);
}

#[test]
fn nothing_is_admitted_before_all_shards_look_into_slices() {
    let World {
        mut disk,
        config,
        now,
        ..
    } = short(2);
    disk.crash(Lost::Nothing);
    let mut world = World::new(disk, config);
    world.now = now;
    world.slow_to_switch = true;
    world.run();
    world.pass_s(60);
    let version = world.shards[0].set.version;
    world.tell(ShardId(0), ToKeeper::Switched { version });
    world.pass_s(60);
    assert_eq!(serving(&world), [Some(false); 2]);
    let says = status(&mut world);
    assert!(says.contains("\"state\":\"short_of_memory\""), "{says}");
    assert!(
        says.contains("\"dedup_memory_bytes_needed\":1048576"),
        "{says}"
    );
    world.tell(ShardId(1), ToKeeper::Switched { version });
    world.pass_s(2);
    assert_eq!(serving(&world), [Some(true); 2]);
}

#[test]
fn a_start_whose_decisions_just_fit_serves_at_once() {
    let mut world = short(1);
    world.config.dedup_memory_bytes_max = 11 * 96;
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(serving(&world), [Some(true)]);
    assert_eq!(world.known().len(), 10);
}

#[test]
fn the_memory_that_is_asked_for_is_enough_and_not_much_too_much() {
    for decisions in [1, 10_923, 11_000_000, 12_000_000_000] {
        let bytes = memory_for(decisions);
        assert!(decisions_max(bytes) >= decisions);
        assert!(decisions_max(bytes - (1 << 20)) < decisions);
    }
}

/// More than may be held at a time, although the tables would hold it.
#[test]
fn decisions_too_many_to_be_held_at_a_start_are_sealed_piece_by_piece() {
    const COUNT: u64 = 2_500;
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..COUNT {
        world.decide(0, record as u32, DAY_S);
    }
    // The tables would hold all of them; a quarter of their memory holds 1,500.
    world.config.dedup_memory_bytes_max = 4 * 1_500 * size_of::<Decided>() as u64;
    let held_max = world.config.held_count_max() as u64;
    assert!(held_max < COUNT);
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    assert!(loads_nothing(&world), "none of them was held");
    assert_eq!(serving(&world), [Some(false)]);
    world.pass_s(30);
    assert_eq!(sealed(&world), COUNT);
    assert_eq!(serving(&world), [Some(true)]);
    let mut pieces = world.notices.iter().filter_map(|notice| match notice {
        Notice::Sealed { decisions, .. } => Some(*decisions),
        _ => None,
    });
    // One segment of 64 blocks holds at most so many of them.
    assert!(pieces.all(|piece| piece <= held_max + 64));
}
