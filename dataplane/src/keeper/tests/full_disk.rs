//! Serving on a disk that gets full.

use super::serving::DAY_S;
use crate::io::ShardId;
use crate::keeper::config::KeeperConfig;
use crate::keeper::notice::Notice;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config};
use crate::mesh::keeper::ToKeeper;

#[test]
fn a_small_disk_seals_deletes_and_then_refuses_before_it_is_full() {
    let mut disk = TestDisk::new();
    disk.total_bytes = 40 * (256 << 10);
    let mut world = World::started(
        disk,
        KeeperConfig {
            preallocated_count: 1,
            ..config(1)
        },
    );
    for record in 0..3_000 {
        world.decide(0, record, 30 * DAY_S);
        if record % 30 == 0 {
            world.pass_s(2);
        }
    }
    world.pass_s(10);
    assert!(
        world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Sealed { .. }))
    );
    assert!(
        world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Deleted { .. }))
    );
    assert_eq!(world.exit, None);
    assert_eq!(
        world.shards[0].space_low,
        None,
        "{:?}",
        world.notices.last()
    );
    world.unresolved = true;
    for record in 3_000..6_000 {
        if world.shards[0].space_low.is_some() {
            break;
        }
        world.decide(0, record, 30 * DAY_S);
        if record % 30 == 0 {
            world.pass_s(2);
        }
    }
    assert!(
        world.shards[0].space_low.is_some(),
        "nothing may go: submits wait"
    );
    assert_eq!(world.exit, None);
    let upto = world.shards[0].last();
    let log = world.shards[0].begin.log;
    world.tell(ShardId(0), ToKeeper::Resolved { log, upto });
    world.pass_s(20);
    assert_eq!(world.shards[0].space_low, None, "and it resumes by itself");
}

#[test]
fn a_segment_is_not_made_from_the_room_that_a_start_needs() {
    let mut world = World::started(TestDisk::new(), config(1));
    // Somebody else takes the room between two looks at the disk. Segments would fit, but then no last segment of the
    // log, which is as long as two at most.
    world.disk.total_bytes = world.disk.used_bytes() + 3 * config(1).segment_bytes;
    for record in 0..1_000 {
        if world.shards[0].space_low.is_some() {
            break;
        }
        world.decide(0, record, DAY_S);
    }
    assert!(world.shards[0].space_low.is_some(), "submits wait");
    let failed = |notice: &Notice| matches!(notice, Notice::FileTrouble { .. });
    assert!(!world.notices.iter().any(failed), "{:?}", world.notices);
    let world = world.restarted(Lost::Everything, 1, 1);
    assert_eq!(world.exit, None, "a start has what it needs");
}

#[test]
fn a_full_disk_while_a_segment_is_made_is_waited_out() {
    let mut world = World::started(TestDisk::new(), config(1));
    let total_bytes = world.disk.total_bytes;
    world.disk.full = true;
    for record in 0..10 {
        world.decide(0, record, DAY_S);
    }
    assert!(world.shards[0].space_low.is_some());
    world.disk.full = false;
    assert_eq!(world.disk.total_bytes, total_bytes);
    world.pass_s(3);
    assert_eq!(world.shards[0].space_low, None);
    for record in 10..300 {
        world.decide(0, record, DAY_S);
    }
    let world = world.restarted(Lost::Everything, 1, 1);
    assert_eq!(world.known(), (0..300).collect::<Vec<_>>());
}
