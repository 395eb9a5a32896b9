//! The reader of logs against its twin and against the truth, over logs as a writer leaves them.

use super::twin::{self, Class, Finding};
use super::world::{self, Crash, LOG, Step, World};
use super::*;
use crate::wal::batch::{BATCH_HEADER_BYTES, rewrite};
use crate::wal::buffer::Blocks;
use crate::wal::manifest::{Cover, Gap, LogEndMark, SegmentEntry, SegmentState, SliceEntry};
use crate::wal::name::Sequence;
use crate::wal::segment::{SegmentHeader, SegmentLabels};
use proptest::prelude::*;

pub(in crate::wal) fn read(world: &World) -> (LogEnd, Vec<(u32, u64, Sequence)>) {
    let files: Vec<InMemory<'_>> = world.files.iter().map(|file| InMemory(file)).collect();
    read_files(world, &files, 0)
}

pub(super) fn read_files<R: ReadAt>(
    world: &World,
    files: &[R],
    from: usize,
) -> (LogEnd, Vec<(u32, u64, Sequence)>) {
    let source = LogSource {
        manifest: &world.manifest,
        log: &world.manifest.logs[0],
        from,
        files,
        erased: &|_, _| false,
    };
    let mut batches = Vec::new();
    let end = run_ready(read_log(&source, |at, batch| {
        batches.push((at.ordinal, at.offset, batch.header.fields.sequence));
    }));
    (end.unwrap(), batches)
}

/// A slice without entries that covers the log up to here.
pub(in crate::wal) fn slice_upto(counter: u64) -> SliceEntry {
    SliceEntry {
        file: 99,
        id: 1,
        decided_first: 0,
        decided_last: 0,
        expiry_max: 0,
        entries: 0,
        bytes: 0,
        checksum: 0,
        covers: vec![Cover {
            log: LOG,
            upto: at(counter),
        }],
    }
}

pub(in crate::wal) fn at(counter: u64) -> Sequence {
    Sequence(Sequence::before_first(LOG.start).0 + counter)
}

pub(in crate::wal) fn commits(count: usize) -> Vec<Step> {
    vec![Step::Commit(vec![700, 40]); count]
}

pub(super) fn damage(end: &LogEnd) -> Damage {
    match end.verdict {
        LogVerdict::Damage(damage) => damage,
        other => panic!("{other}"),
    }
}

/// Brings the log of a world to its end as a start does it: a last segment, and everything before it closed.
pub(in crate::wal) fn end_log(world: &World) -> World {
    let (end, _) = read(world);
    assert!(end.verdict.is_sound(), "{}", end.verdict);
    let ending = end.ending(Sequence::before_first(LOG.start));
    let mut ended = world.clone();
    let log = &mut ended.manifest.logs[0];
    let old = std::mem::take(&mut log.segments);
    let mut files = Vec::new();
    for (ordinal, extent) in &ending.closed {
        let entry = old.iter().find(|entry| entry.ordinal == *ordinal).unwrap();
        log.segments.push(SegmentEntry {
            state: SegmentState::Closed(*extent),
            ..*entry
        });
        let mut file = world.files[entry.file as usize].clone();
        file.truncate(extent.bytes as usize);
        files.push(file);
    }
    let mut mark = ending.end;
    if let Some(batch) = ending.batch {
        let lead = SegmentHeader {
            installation: [7; 16],
            incarnation: [8; 16],
            log: LOG,
            ordinal: ending.ordinal,
            salt: 0x1a57,
            generation: ended.manifest.generation,
            predecessor: ending.predecessor,
            made_bytes: Some((BLOCK_BYTES + batch.bytes) as u64),
            labels: SegmentLabels::default(),
        };
        let start = batch.offset as usize;
        let mut blocks = Blocks::default();
        blocks.reset(batch.bytes);
        let file = &world.files[batch.ordinal as usize];
        blocks
            .bytes_mut()
            .copy_from_slice(&file[start..start + batch.bytes]);
        let assembled = rewrite(&mut blocks, &lead).unwrap();
        mark.checksum = assembled.checksum;
        log.segments.push(SegmentEntry {
            ordinal: ending.ordinal,
            file: 99,
            salt: lead.salt,
            generation: lead.generation,
            state: SegmentState::Last(crate::wal::manifest::Extent {
                first: mark.sequence,
                last: mark.sequence,
                bytes: assembled.bytes as u64,
                last_checksum: assembled.checksum,
            }),
        });
        files.push(blocks.bytes().to_vec());
    }
    log.ended_at = Some(mark);
    ended.files = files;
    // What the next start reads must be a manifest: ordinals without holes, no file named twice.
    ended.manifest.preallocated = end
        .unused
        .iter()
        .map(|&ordinal| u64::from(ordinal))
        .collect();
    ended.manifest.next_file = 100;
    assert_eq!(
        Manifest::decode(&ended.manifest.encode()).as_ref(),
        Ok(&ended.manifest)
    );
    ended
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn agrees_with_the_naive_reader_whatever_happens_to_the_disk(
        steps in world::steps(),
        crash in world::crash(),
        harms in prop::collection::vec(world::harm(), 0..3),
        lag: bool,
    ) {
        let mut world = World::run(&steps, &crash, 24, lag);
        harms.iter().for_each(|harm| world.harm(harm));
        let (end, batches) = read(&world);
        let found = Finding { class: Class::of(&end.verdict), batches };
        prop_assert_eq!(found, twin::read(&world.manifest, &world.manifest.logs[0], &world.files));
    }

    #[test]
    fn after_a_crash_finds_all_that_was_durable_and_at_most_what_was_in_flight(
        steps in world::steps(),
        crash in world::crash(),
        lag: bool,
    ) {
        let world = World::run(&steps, &crash, 24, lag);
        let (end, batches) = read(&world);
        prop_assert!(end.verdict.is_sound(), "{}", end.verdict);
        let found: Vec<Sequence> = batches.iter().map(|batch| batch.2).collect();
        let mut truth: Vec<Sequence> = world.durable.iter().map(|batch| batch.sequence).collect();
        if end.last == world.in_flight.unwrap_or_default() {
            truth.push(end.last);
        }
        prop_assert_eq!(&found, &truth);
        prop_assert_eq!(end.last, truth.last().copied().unwrap_or(at(0)));
        prop_assert_eq!(u64::from(end.expiry_clock_s), end.last.counter());
        prop_assert_eq!(end.wall_us, 1_000 * end.last.counter());
        for (durable, (ordinal, offset, _)) in world.durable.iter().zip(&batches) {
            prop_assert_eq!((durable.segment as u32, durable.offset as u64), (*ordinal, *offset));
        }
    }

    #[test]
    fn damage_before_a_later_durable_header_is_never_taken_for_a_torn_tail(
        steps in world::steps(),
        crash in world::crash(),
        damaged: prop::sample::Index,
        byte: prop::sample::Index,
        lose: bool,
        lag: bool,
    ) {
        let mut world = World::run(&steps, &crash, 24, lag);
        // The newest durable batch is exempt: no header says that it was durable.
        prop_assume!(world.durable.len() > 1);
        let count = world.durable.len() - 1;
        let durable = world.durable[damaged.index(count)].clone();
        let place = durable.offset + byte.index(durable.used);
        let file = &mut world.files[durable.segment];
        if lose {
            let start = place / BLOCK_BYTES * BLOCK_BYTES;
            file[start..start + BLOCK_BYTES].fill(0);
        } else {
            file[place] ^= 0x20;
        }
        let (end, batches) = read(&world);
        let found = damage(&end);
        prop_assert_eq!(found.expected, durable.sequence);
        prop_assert_eq!(found.ordinal as usize, durable.segment);
        prop_assert!(found.durable_upto >= durable.sequence);
        prop_assert!(batches.iter().all(|batch| batch.2 < durable.sequence));
    }

    #[test]
    fn what_the_manifest_states_as_resolved_was_durable(
        steps in world::steps(),
        crash in world::crash(),
        resolved: prop::sample::Index,
        cut: prop::sample::Index,
        lag: bool,
    ) {
        let mut world = World::run(&steps, &crash, 24, lag);
        prop_assume!(!world.durable.is_empty());
        let resolved = resolved.index(world.durable.len());
        let resolved_upto = world.durable[resolved].sequence;
        world.manifest.logs[0].resolved_upto = resolved_upto;
        prop_assert!(read(&world).0.verdict.is_sound());
        // From one of the resolved batches on nothing is left, as if it had never been written.
        let gone = world.durable[cut.index(resolved + 1)].clone();
        world.files[gone.segment][gone.offset..].fill(0);
        for later in &mut world.files[gone.segment + 1..] {
            later.fill(0);
        }
        let (end, batches) = read(&world);
        let found = Finding { class: Class::of(&end.verdict), batches };
        prop_assert_eq!(found, twin::read(&world.manifest, &world.manifest.logs[0], &world.files));
        prop_assert_eq!(damage(&end).expected, gone.sequence);
    }

    #[test]
    fn a_segment_that_held_two_batches_is_never_unused_whatever_became_of_its_beginning(
        steps in world::steps(),
        crash in world::crash(),
        damaged: prop::sample::Index,
        first_too: bool,
        lag: bool,
    ) {
        let mut world = World::run(&steps, &crash, 24, lag);
        let second = |at: &usize| world.durable[*at].segment == world.durable[*at - 1].segment;
        let seconds: Vec<usize> = (1..world.durable.len()).filter(second).collect();
        prop_assume!(!seconds.is_empty());
        let at = seconds[damaged.index(seconds.len())];
        let lost = if first_too { world.durable[at].offset } else { BLOCK_BYTES };
        world.files[world.durable[at].segment][..lost].fill(0);
        let (end, _) = read(&world);
        let found = damage(&end);
        prop_assert!(found.expected <= found.durable_upto);
    }

    #[test]
    fn an_ended_log_reads_back_whole_and_every_deviation_is_damage(
        steps in world::steps(),
        crash in world::crash(),
        lag: bool,
        damaged: prop::sample::Index,
        byte: prop::sample::Index,
    ) {
        let world = World::run(&steps, &crash, 24, lag);
        let (before, _) = read(&world);
        let mut ended = end_log(&world);
        let (end, batches) = read(&ended);
        prop_assert_eq!(end.verdict, LogVerdict::Whole);
        let mark = before.last_batch.is_some_and(|last| last.header.is_mark());
        // A mark at the end is left out where it may not be durable; nothing else ever is.
        prop_assert!(end.last == before.last || mark && end.last.0 + 1 == before.last.0);
        prop_assert_eq!(batches.len() as u64, end.last.counter());
        prop_assert_eq!(ended.manifest.logs[0].ended_at.map(|mark| mark.sequence), Some(end.last));
        if batches.is_empty() {
            return Ok(());
        }
        let (ordinal, offset, _) = batches[damaged.index(batches.len())];
        let index = ended.manifest.logs[0].segments.iter().position(|it| it.ordinal == ordinal).unwrap();
        let place = offset as usize + byte.index(BATCH_HEADER_BYTES);
        ended.files[index][place] ^= 1;
        prop_assert!(matches!(read(&ended).0.verdict, LogVerdict::Damage(_)));
    }
}

#[test]
fn zeros_before_an_idle_mark_are_damage_and_zeros_at_the_end_are_not() {
    let mut steps = commits(3);
    let mut quiet = World::run(&steps, &Crash::Quiet, 24, false);
    steps.push(Step::Commit(Vec::new()));
    let mut marked = World::run(&steps, &Crash::Quiet, 24, false);
    for world in [&mut quiet, &mut marked] {
        let last = world.durable[2].clone();
        world.files[0][last.offset..last.offset + last.bytes].fill(0);
    }
    assert_eq!(read(&quiet).0.last, at(2));
    assert_eq!(read(&quiet).0.verdict, LogVerdict::Whole);
    let found = damage(&read(&marked).0);
    assert_eq!((found.expected, found.durable_upto), (at(3), at(3)));
}

#[test]
fn a_torn_write_is_cut_and_its_bytes_are_reported() {
    let in_flight = Crash::InFlight {
        bodies: vec![9_000],
        arrived: 0b101,
        roll: false,
    };
    let world = World::run(&commits(2), &in_flight, 24, false);
    let (end, _) = read(&world);
    let offset = (BLOCK_BYTES * 3) as u64;
    let bytes = 2 * BLOCK_BYTES as u64;
    assert_eq!(
        end.verdict,
        LogVerdict::TornTail {
            ordinal: 0,
            offset,
            bytes
        }
    );
    assert_eq!(end.last, at(2));
}

#[test]
fn a_whole_batch_of_a_failed_write_does_not_count_where_the_next_segment_repeats_it() {
    let steps = [
        commits(2),
        vec![Step::TakeOver(vec![500], u64::MAX)],
        commits(1),
    ]
    .concat();
    let world = World::run(&steps, &Crash::Quiet, 24, true);
    let (end, batches) = read(&world);
    assert_eq!(end.verdict, LogVerdict::Whole);
    let places: Vec<u32> = batches.iter().map(|batch| batch.0).collect();
    assert_eq!(
        places,
        [0, 0, 1, 1],
        "the third batch counts in segment 1 only"
    );
}

#[test]
fn a_lost_beginning_behind_a_failover_is_damage_although_the_failed_segment_holds_the_same_batch() {
    // The third batch was written whole but its sync failed; the next segment repeats it and goes on.
    let failed = Step::TakeOver(vec![500], u64::MAX);
    let steps = [commits(2), vec![failed], commits(1)].concat();
    let mut world = World::run(&steps, &Crash::Quiet, 24, true);
    let newest = world.durable[3].clone();
    assert_eq!((newest.segment, newest.sequence), (1, at(4)));
    world.files[1][..newest.offset].fill(0);
    let found = damage(&read(&world).0);
    assert_eq!((found.ordinal, found.offset), (1, 0));
    assert_eq!((found.expected, found.durable_upto), (at(3), at(3)));
    // Without the fourth batch the same bytes are a write that was never confirmed: the third one counts where it is.
    world.files[1][newest.offset..].fill(0);
    let (end, _) = read(&world);
    assert_eq!((end.verdict, end.last), (LogVerdict::Whole, at(3)));
}

#[test]
fn a_segment_whose_first_write_failed_counts_for_nothing_whatever_the_manifest_calls_it() {
    let failed = Step::TakeOver(vec![500], u64::MAX);
    let fills = Step::Commit(vec![9_000; 10]);
    let steps = [vec![fills, failed], commits(1)].concat();
    for lag in [true, false] {
        let world = World::run(&steps, &Crash::Quiet, 24, lag);
        let states: Vec<_> = world.manifest.logs[0]
            .segments
            .iter()
            .map(|it| it.state)
            .collect();
        assert_eq!(states[1] == SegmentState::Next, lag, "{states:?}");
        let (end, batches) = read(&world);
        assert_eq!(end.verdict, LogVerdict::Whole);
        let places: Vec<u32> = batches.iter().map(|batch| batch.0).collect();
        assert_eq!(places, [0, 2, 2]);
    }
}

#[test]
fn a_segment_named_by_a_later_manifest_means_a_stale_manifest() {
    let mut world = World::run(&commits(2), &Crash::Quiet, 24, false);
    world.manifest.generation -= 1;
    let stale = LogVerdict::StaleManifest {
        ordinal: 0,
        generation: 9,
    };
    assert_eq!(read(&world).0.verdict, stale);
}

#[test]
fn a_segment_of_another_log_in_its_place_is_damage() {
    let mut world = World::run(&commits(2), &Crash::Quiet, 24, false);
    world.manifest.logs[0].incarnation = [1; 16];
    assert_eq!(damage(&read(&world).0).why, Why::Identity);
}

#[test]
fn sequences_that_were_given_up_are_stepped_over() {
    let mut world = World::run(&commits(5), &Crash::Quiet, 24, false);
    let lost = world.durable[2].clone();
    let made_bytes = world.files[0].len();
    world.files[0].drain(lost.offset..lost.offset + lost.bytes);
    world.files[0].resize(made_bytes, 0);
    assert_eq!(damage(&read(&world).0).expected, at(3));
    world.manifest.gaps.push(Gap {
        log: LOG,
        from: at(3),
        to: at(3),
    });
    let (end, batches) = read(&world);
    assert_eq!(end.verdict, LogVerdict::Whole);
    let found: Vec<u64> = batches.iter().map(|batch| batch.2.counter()).collect();
    assert_eq!(found, [1, 2, 4, 5]);
}

#[test]
fn reading_may_begin_at_a_later_segment() {
    let steps = [
        commits(2),
        vec![Step::Roll(vec![10])],
        commits(1),
        vec![Step::Roll(vec![10])],
    ]
    .concat();
    let mut world = World::run(&steps, &Crash::Quiet, 24, false);
    let files: Vec<InMemory<'_>> = world.files.iter().map(|file| InMemory(file)).collect();
    let (end, batches) = read_files(&world, &files[1..], 1);
    assert_eq!(
        (end.verdict, end.last, batches.len()),
        (LogVerdict::Whole, at(5), 3)
    );
    world.manifest.logs[0].segments.remove(0);
    world.files.remove(0);
    let (end, batches) = read(&world);
    assert_eq!(
        (end.verdict, end.last, batches.len()),
        (LogVerdict::Whole, at(5), 3)
    );
}

#[test]
fn an_ended_log_that_misses_its_end_mark_is_damage() {
    let mut world = end_log(&World::run(&commits(2), &Crash::Quiet, 24, false));
    let log = &mut world.manifest.logs[0];
    log.ended_at = Some(LogEndMark {
        sequence: at(3),
        checksum: 1,
    });
    assert_eq!(damage(&read(&world).0).why, Why::EndMark);
}
