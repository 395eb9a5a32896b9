//! What tells damage from a torn tail where no header behind it does: the manifest's knowledge, and files in the place of
//! others.

use super::report::LogVerdict;
use super::tests::{at, commits, damage, end_log, read, read_files, slice_upto};
use super::world::{self, Crash, LOG, Step, World};
use super::{InMemory, TooShort, Why};
use crate::wal::batch::rewrite;
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use crate::wal::manifest::{Extent, Gap, LogEndMark, SegmentEntry, SegmentState};
use crate::wal::name::Sequence;
use crate::wal::segment::SegmentHeader;
use proptest::prelude::*;

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

/// Three batches, a segment whose first write failed, and three batches behind it, the first of which repeats that write. The
/// manifest was written before the next one was named, and the first segment is deleted since: everything up to `resolved`
/// has its disposition.
fn behind_a_deleted_beginning(resolved: u64) -> World {
    let steps = [commits(3), vec![Step::TakeOver(vec![10], 0)], commits(2)].concat();
    let mut world = World::run(&steps, &Crash::Quiet, 4, true);
    let log = &mut world.manifest.logs[0];
    assert!(matches!(log.segments[0].state, SegmentState::Closed(_)));
    assert_eq!(log.segments[1].state, SegmentState::Next);
    log.segments.remove(0);
    log.resolved_upto = at(resolved);
    world.files.remove(0);
    world
}

/// A slice has all decisions up to here.
fn covered(mut world: World, upto: u64) -> World {
    world.manifest.slices.push(slice_upto(upto));
    world
}

#[test]
fn an_empty_segment_that_is_not_closed_yet_leads_a_log_whose_beginning_was_deleted() {
    for resolved in 3..=6 {
        let stated = behind_a_deleted_beginning(resolved);
        for world in [covered(stated.clone(), 3), stated] {
            let (end, batches) = read(&world);
            assert!(end.verdict.is_sound(), "{resolved}: {}", end.verdict);
            assert_eq!((end.last, batches.len()), (at(6), 3));
            let empty = end.segments[0];
            assert_eq!((empty.ordinal, empty.holds_batches()), (1, false));
            assert_eq!(empty.extent.last, at(3));
        }
    }
}

#[test]
fn a_segment_behind_a_deleted_beginning_states_what_slices_cover_and_nothing_else() {
    // The header behind the empty segment says that the log ended at 3 before.
    for wrong in [2, 4] {
        let world = covered(behind_a_deleted_beginning(6), wrong);
        let found = damage(&read(&world).0);
        assert_eq!((found.ordinal, found.expected), (1, at(wrong + 1)));
    }
    // Unless what lies between was given up.
    let mut world = covered(behind_a_deleted_beginning(6), 2);
    let (from, to) = (at(3), at(3));
    world.manifest.gaps.push(Gap { log: LOG, from, to });
    assert_eq!(read(&world).0.last, at(6));
}

#[test]
fn what_is_resolved_behind_a_deleted_beginning_must_be_there() {
    // Nothing is left of any segment, whether the first write of one failed or its own file is all that the manifest names.
    for named in [2, 1] {
        for resolved in 3..=6 {
            let mut world = covered(behind_a_deleted_beginning(resolved), 3);
            world.manifest.logs[0].segments.truncate(named);
            world.files.truncate(named);
            world.files.iter_mut().for_each(|file| file.fill(0));
            let (end, _) = read(&world);
            match resolved {
                3 => assert_eq!((end.verdict, end.last), (LogVerdict::Whole, at(3))),
                _ => {
                    let found = damage(&end);
                    assert_eq!((found.ordinal, found.expected), (1, at(4)));
                    assert_eq!(found.durable_upto, at(resolved));
                }
            }
        }
    }
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

#[test]
fn an_open_segment_without_a_header_is_damaged_whatever_of_its_batches_was_given_up() {
    for (count, given_up) in [(1, 1), (2, 1), (2, 2)] {
        let mut world = World::run(&commits(count), &Crash::Quiet, 24, false);
        let (from, to) = (at(1), at(given_up));
        world.manifest.gaps.push(Gap { log: LOG, from, to });
        // As a quarantine leaves it: the header, and behind it what is kept.
        let kept_at = world.durable.get(given_up as usize).map(|it| it.offset);
        let kept = kept_at.map_or(Vec::new(), |offset| world.files[0][offset..].to_vec());
        let file = &mut world.files[0];
        let made_bytes = file.len();
        file.truncate(BLOCK_BYTES);
        file.extend(kept);
        file.resize(made_bytes, 0);
        let (end, batches) = read(&world);
        assert!(end.verdict.is_sound(), "{}", end.verdict);
        assert_eq!(batches.len() as u64, count as u64 - given_up);
        for lost_bytes in [BLOCK_BYTES, made_bytes] {
            let mut world = world.clone();
            world.files[0][..lost_bytes].fill(0);
            let found = damage(&read(&world).0);
            assert_eq!((found.ordinal, found.offset), (0, 0));
            world.manifest.logs[0].segments[0].state = SegmentState::Next;
            assert!(read(&world).0.verdict.is_sound(), "never known to be used");
        }
    }
}

#[test]
fn an_ended_log_whose_last_batches_were_given_up_is_whole_and_one_batch_more_is_damage() {
    let mut world = end_log(&World::run(&commits(2), &Crash::Quiet, 24, false));
    let log = &mut world.manifest.logs[0];
    let id = log.id;
    let last = log.ended_at.expect("it has ended").sequence;
    let beyond = |count: u64| Sequence(last.0 + count);
    log.ended_at = Some(LogEndMark {
        sequence: beyond(2),
        checksum: 1,
    });
    world.manifest.gaps.push(Gap {
        log: id,
        from: beyond(1),
        to: beyond(2),
    });
    let (end, _) = read(&world);
    assert_eq!(end.verdict, LogVerdict::Whole);
    world.manifest.logs[0].ended_at = Some(LogEndMark {
        sequence: beyond(3),
        checksum: 1,
    });
    assert_eq!(damage(&read(&world).0).why, Why::EndMark);
}

/// A log of one segment, which no manifest calls open yet, and no other file.
fn alone(count: usize) -> World {
    let mut world = World::run(&commits(count), &Crash::Quiet, 24, true);
    world.manifest.logs[0].segments.truncate(1);
    world.files.truncate(1);
    let state = world.manifest.logs[0].segments[0].state;
    assert_eq!(state, SegmentState::Next);
    world
}

#[test]
fn a_cut_of_the_only_segment_of_a_log_is_damage_wherever_it_is_cut() {
    for count in [1, 4] {
        let world = alone(count);
        let made_bytes = world.files[0].len();
        assert_eq!(read(&world).0.last, at(count as u64));
        for bytes in (BLOCK_BYTES..made_bytes).step_by(BLOCK_BYTES) {
            let mut world = world.clone();
            world.files[0].truncate(bytes);
            let (end, batches) = read(&world);
            let found = damage(&end);
            let short = TooShort {
                bytes: bytes as u64,
                made_bytes: Some(made_bytes as u64),
            };
            assert_eq!((found.ordinal, found.why), (0, Why::Length(short)));
            // What is missing begins behind what is left, as far as anybody knows.
            assert_eq!(found.expected, at(batches.len() as u64 + 1));
            let said = end.verdict.to_string();
            let both = [bytes, made_bytes].map(|bytes| said.contains(&bytes.to_string()));
            assert_eq!(both, [true; 2], "{said}");
        }
    }
}

#[test]
fn a_header_that_states_no_length_shows_none() {
    let mut world = alone(1);
    let file = &mut world.files[0];
    let (header, _) = SegmentHeader::decode(file).unwrap();
    let old = SegmentHeader {
        made_bytes: None,
        ..header
    };
    let mut blocks = Blocks::default();
    blocks.reset(2 * BLOCK_BYTES);
    blocks.bytes_mut().copy_from_slice(&file[..2 * BLOCK_BYTES]);
    rewrite(&mut blocks, &old).unwrap();
    file[..2 * BLOCK_BYTES].copy_from_slice(blocks.bytes());
    file.truncate(3 * BLOCK_BYTES);
    let (end, batches) = read(&world);
    assert_eq!((end.verdict, batches.len()), (LogVerdict::Whole, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_segment_that_was_cut_behind_its_header_is_damage_whatever_the_others_say(
        steps in world::steps(),
        crash in world::crash(),
        lag: bool,
        which: prop::sample::Index,
        blocks: prop::sample::Index,
    ) {
        let mut world = World::run(&steps, &crash, 24, lag);
        let entries = world.manifest.logs[0].segments.clone();
        let with_header = |entry: &SegmentEntry| {
            let header = SegmentHeader::decode(&world.files[entry.ordinal as usize]);
            let own = header.is_ok_and(|(header, _)| header.salt == entry.salt);
            own && entry.state.extent().is_none()
        };
        let ordinals: Vec<u32> =
            entries.iter().filter(|it| with_header(it)).map(|it| it.ordinal).collect();
        prop_assume!(!ordinals.is_empty());
        let ordinal = ordinals[which.index(ordinals.len())];
        let file = &mut world.files[ordinal as usize];
        let left = 1 + blocks.index(file.len() / BLOCK_BYTES - 1);
        file.truncate(left * BLOCK_BYTES);
        let found = damage(&read(&world).0);
        prop_assert_eq!(found.ordinal, ordinal);
        prop_assert!(matches!(found.why, Why::Length(_)), "{:?}", found);
    }

    #[test]
    fn a_log_reads_the_same_whether_the_closed_segments_that_slices_cover_are_there_or_deleted(
        steps in world::steps(),
        crash in world::crash(),
        harm in prop::option::of(world::harm()),
        lag: bool,
        resolved: prop::sample::Index,
    ) {
        let mut world = World::run(&steps, &crash, 24, lag);
        let extents = world.manifest.logs[0].segments.iter().map_while(|it| it.state.extent());
        let extents: Vec<Extent> = extents.copied().collect();
        prop_assume!(!extents.is_empty());
        let (closed, upto) = (extents.len(), extents[extents.len() - 1].last.counter());
        let behind = world.durable.len() as u64 - upto;
        world.manifest.logs[0].resolved_upto = at(upto + resolved.index(1 + behind as usize) as u64);
        let mut kept = covered(world, upto);
        let deleted_files: Vec<Vec<u8>> = kept.files.drain(..closed).collect();
        if let Some(harm) = &harm {
            kept.harm(harm);
        }
        let mut deleted = kept.clone();
        deleted.manifest.logs[0].segments.drain(..closed);
        kept.files.splice(..0, deleted_files);
        let files: Vec<InMemory<'_>> = kept.files.iter().map(|file| InMemory(file)).collect();
        let (with, batches_with) = read_files(&kept, &files[closed..], closed);
        let (without, batches_without) = read(&deleted);
        prop_assert_eq!(with.verdict, without.verdict);
        prop_assert_eq!(batches_with, batches_without);
        prop_assert_eq!(with.last, without.last);
    }
}
