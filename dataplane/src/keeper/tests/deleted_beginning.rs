//! A log whose beginning is deleted, in front of a segment whose first write failed. The manifest was last written before it
//! could say what became of that segment and of the one that repeats its write.

use super::evidence::{DAY_S, command, refused};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::quarantine::mended;
use crate::keeper::tests::world::{World, config, manifest};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::SegmentState;

/// Twenty decisions in a segment that is sealed and deleted, and ten in the second one behind it. Returns the files of both
/// segments that are left.
fn behind_a_failed_write() -> (World, [String; 2]) {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..20 {
        world.decide(0, record, 30 * DAY_S);
    }
    // The seal asks the log to roll. Its first write into the next segment fails, and is repeated in the one after it.
    world.shards[0].fails_next_write = true;
    world.slow_to_enter = true;
    command(&mut world, "flk1 compact --older-than 1000000");
    for record in 20..30 {
        world.decide(0, record, 30 * DAY_S);
    }
    world.mark(0);
    command(&mut world, "flk1 compact --older-than 0");
    let manifest = manifest(&world);
    let log = &manifest.logs[0];
    let left: Vec<_> = log
        .segments
        .iter()
        .map(|it| (it.ordinal, it.state))
        .collect();
    assert_eq!(left, [(1, SegmentState::Next), (2, SegmentState::Next)]);
    let covered = manifest
        .covered_upto(log.id)
        .expect("a slice covers what was deleted");
    assert!(
        covered < log.resolved_upto,
        "more is resolved than is in slices"
    );
    let name = |at: usize| NumberedFile::Segment(log.segments[at].file).to_string();
    let files = [name(0), name(1)];
    (world, files)
}

#[test]
fn a_start_reads_a_log_whose_beginning_is_deleted_in_front_of_a_segment_whose_first_write_failed() {
    // Of the failed write everything has arrived, or its first block, or nothing.
    for arrived_bytes in [8192, 4096, 0] {
        let (mut world, [empty, _]) = behind_a_failed_write();
        let lost = |bytes: &mut Vec<u8>| bytes[arrived_bytes..].fill(0);
        world.disk.tamper(&empty, lost);
        let world = world.restarted(Lost::Nothing, 1, 1);
        world.assert_serving();
        assert_eq!(
            world.known(),
            (0..30).collect::<Vec<_>>(),
            "{arrived_bytes}"
        );
    }
}

#[test]
fn what_is_lost_behind_a_deleted_beginning_is_named_and_can_be_given_up() {
    let (mut world, [empty, used]) = behind_a_failed_write();
    for file in [&empty, &used] {
        world.disk.tamper(file, |bytes| bytes.fill(0));
    }
    let world = refused(world, &empty);
    let (world, given_up) = mended(world);
    assert_eq!(given_up, [empty]);
    world.assert_serving();
    assert_eq!(world.known(), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_lost_header_behind_a_deleted_beginning_costs_no_decision() {
    let (mut world, [_, used]) = behind_a_failed_write();
    world.disk.tamper(&used, |bytes| bytes[..4096].fill(0));
    let world = refused(world, &used);
    let (world, given_up) = mended(world);
    assert_eq!(given_up, [used]);
    assert_eq!(world.known(), (0..30).collect::<Vec<_>>());
}
