//! What tells damage from a torn tail where no header behind it does: the manifest's knowledge, and files in the place of
//! others.

use super::Why;
use super::tests::{at, commits, damage, read};
use super::world::{Crash, Step, World};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::SegmentState;

#[test]
fn a_next_segment_without_a_header_is_unused_and_an_open_one_is_damaged() {
    let mut world = World::run(&commits(1), &Crash::Quiet, 24, false);
    let segments = &mut world.manifest.logs[0].segments;
    assert_eq!(segments[0].state, SegmentState::Open);
    let mut unknown = world.clone();
    unknown.manifest.logs[0].segments[0].state = SegmentState::Next;
    for lost in [
        0..BLOCK_BYTES,
        BLOCK_BYTES..2 * BLOCK_BYTES,
        0..24 * BLOCK_BYTES,
    ] {
        let (mut open, mut next) = (world.clone(), unknown.clone());
        open.files[0][lost.clone()].fill(0);
        next.files[0][lost.clone()].fill(0);
        let found = damage(&read(&open).0);
        assert_eq!((found.ordinal, found.expected), (0, at(1)), "{lost:?}");
        let (end, _) = read(&next);
        assert!(end.verdict.is_sound(), "{lost:?}");
        assert_eq!(end.unused, [0, 1]);
    }
}

#[test]
fn the_beginning_of_an_open_segment_counts_where_the_log_before_it_was_deleted() {
    let steps = [commits(2), vec![Step::Roll(vec![10])]].concat();
    for more in [0, 1, 3] {
        let steps = [steps.clone(), commits(more)].concat();
        let world = World::run(&steps, &Crash::Quiet, 24, false);
        let count = world.durable.len() as u64;
        // What the manifest knows of the deleted segments: bodies resolved so far, from none of the rest to all of it.
        for resolved in 2..=count {
            let mut world = world.clone();
            let log = &mut world.manifest.logs[0];
            log.segments.remove(0);
            log.resolved_upto = at(resolved);
            world.files.remove(0);
            assert_eq!(read(&world).0.last, at(count));
            for lost in [
                0..BLOCK_BYTES,
                BLOCK_BYTES..2 * BLOCK_BYTES,
                0..24 * BLOCK_BYTES,
            ] {
                let mut world = world.clone();
                world.files[0][lost.clone()].fill(0);
                let found = damage(&read(&world).0);
                assert_eq!(
                    (found.ordinal, found.offset),
                    (1, lost.start as u64),
                    "{lost:?}"
                );
            }
        }
    }
}

#[test]
fn a_header_behind_a_lost_open_segment_does_not_make_it_an_empty_one() {
    let steps = [
        commits(2),
        vec![Step::Roll(vec![10])],
        vec![Step::Roll(vec![10])],
    ]
    .concat();
    let mut world = World::run(&steps, &Crash::Quiet, 24, true);
    let log = &mut world.manifest.logs[0];
    // The log before it is deleted, and everything in it was resolved: nothing else says that it held a batch.
    log.segments.remove(0);
    log.resolved_upto = at(3);
    world.files.remove(0);
    assert_eq!(read(&world).0.last, at(4));
    world.files[0].fill(0);
    assert_eq!(damage(&read(&world).0).ordinal, 1);
}

#[test]
fn a_file_in_the_place_of_another_segment_is_damage() {
    let steps = [commits(3), vec![Step::Roll(vec![10])], commits(2)].concat();
    for lag in [true, false] {
        let world = World::run(&steps, &Crash::Quiet, 24, lag);
        for (from, to) in [(0, 1), (1, 0)] {
            let mut copied = world.clone();
            copied.files[to] = world.files[from].clone();
            assert_eq!(damage(&read(&copied).0).why, Why::Misplaced, "{from} {to}");
        }
        let mut swapped = world.clone();
        swapped.files.swap(0, 1);
        assert_eq!(damage(&read(&swapped).0).why, Why::Misplaced);
        // Not even the headers of the segments are left.
        swapped.files[0][..BLOCK_BYTES].fill(0);
        swapped.files[1][..BLOCK_BYTES].fill(0);
        damage(&read(&swapped).0);
    }
}
