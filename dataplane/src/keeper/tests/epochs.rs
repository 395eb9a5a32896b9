//! Seal epochs as the keeper counts them: how far they may run ahead of what is sealed, and that what was told as sealed
//! stays so.

use crate::dedup::claims::MemoryUse;
use crate::io::ShardId;
use crate::keeper::config::KeeperConfig;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config};
use crate::mesh::keeper::ToKeeper;
use crate::wal::Epoch;

const DAY_S: u32 = 86_400;

/// A gateway whose memory is always nearly full, so that it seals as often as it ever does.
fn under_pressure(shards: u16) -> World {
    let mut world = World::started(
        TestDisk::new(),
        KeeperConfig {
            preallocated_count: 2,
            ..config(shards)
        },
    );
    world.tell(ShardId(0), ToKeeper::Memory(MemoryUse::Full));
    world.run();
    world
}

#[test]
fn no_epoch_is_begun_while_nothing_can_be_published() {
    let mut world = under_pressure(1);
    world.decide(0, 0, 30 * DAY_S);
    world.disk.fail_reads_of = Some("segment-".to_string());
    for record in 1..600 {
        world.decide(0, record, 30 * DAY_S);
        world.pass_s(400);
    }
    let epoch = world.shards[0].epoch();
    assert!(
        epoch.ahead_of(Epoch::first()) <= Epoch::LEAD_MAX,
        "epoch {epoch}"
    );
    assert_eq!(world.exit, None);
    // Once it can be read again all of it is sealed, and epochs go on.
    world.disk.fail_reads_of = None;
    for record in 600..620 {
        world.decide(0, record, 30 * DAY_S);
        world.pass_s(400);
    }
    assert!(world.shards[0].epoch().ahead_of(epoch) > 2);
    let sealed = world.shards[0].sealed_epoch();
    assert!(epoch.is_at_or_before(sealed), "sealed {sealed}");
}

#[test]
fn a_segment_that_was_entered_epochs_ago_and_stayed_empty_counts_as_its_first_record() {
    let mut world = under_pressure(2);
    world.decide(0, 0, 30 * DAY_S);
    world.decide(1, 1, 30 * DAY_S);
    // Shard 1 rolls once and writes nothing more for many seals.
    for record in 2..20 {
        world.decide(0, record, 30 * DAY_S);
        world.pass_s(400);
    }
    let sealed = world.shards[1].sealed_epoch();
    assert!(sealed.ahead_of(Epoch::first()) > 8, "sealed {sealed}");
    world.decide(1, 20, 30 * DAY_S);
    let stamped = world.shards[1].epoch();
    assert!(!stamped.is_sealed_with(sealed), "it is in no slice");
    // While its segment is closed and not sealed, nothing goes back.
    world.disk.fail_reads_of = Some("segment-".to_string());
    world.decide(0, 21, 30 * DAY_S);
    world.pass_s(400);
    assert_eq!(world.exit, None);
    world.disk.fail_reads_of = None;
    world.decide(0, 22, 30 * DAY_S);
    world.pass_s(400);
    assert!(stamped.is_sealed_with(world.shards[1].sealed_epoch()));
    assert_eq!(world.exit, None);
}

#[test]
fn what_earlier_runs_left_leaves_memory_although_it_was_sealed_for_room_before_any_shard_rolled() {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..150 {
        world.decide(0, record, 30 * DAY_S);
    }
    // The next run begins above its cap, and its shard admits nothing: the first seal makes room and does not roll.
    world.config.wal_bytes_max = Some(3 * world.config.segment_bytes);
    let mut world = world.restarted(Lost::Everything, 1, 1);
    world.tell(ShardId(0), ToKeeper::Memory(MemoryUse::Full));
    world.run();
    for _ in 0..12 {
        world.pass_s(5);
    }
    assert_eq!(world.exit, None);
    let sealed = world.shards[0].sealed_epoch();
    assert!(
        Epoch::earlier_runs().is_sealed_with(sealed),
        "sealed {sealed}"
    );
}
