//! A reader that follows a writer: whatever has reached the disk when it looks, it gives each batch once, in order, and none
//! that a start takes back.

use super::disk::Disk;
use super::{Given, Read, read_all, read_on, reader};
use crate::wal::scan::run_ready;
use crate::wal::scan::tests::{commits, end_log, read};
use crate::wal::scan::world::{self, Crash, Step, World};
use proptest::prelude::*;

const BLOCKS: usize = 24;

/// The batches with records that a start keeps, as a reader gives them that begins behind the start.
fn kept_by_a_start(world: &World) -> Vec<Given> {
    let ended = read_all(&Disk::of(&end_log(world))).unwrap();
    assert!(ended.has_ended);
    assert_eq!(ended.missing, []);
    ended.batches
}

/// The writer in the middle of a step: some blocks of its write have arrived.
fn in_the_middle(step: &Step, arrived: u64) -> Crash {
    let (bodies, arrived, roll) = match step {
        Step::Commit(bodies) => (bodies, arrived, false),
        Step::Roll(bodies) => (bodies, arrived, true),
        Step::TakeOver(bodies, arrived) => (bodies, *arrived, false),
    };
    Crash::InFlight {
        bodies: bodies.clone(),
        arrived,
        roll,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn gives_each_batch_once_and_none_that_a_start_takes_back(
        steps in world::steps(),
        crash in world::crash(),
        arrived in prop::collection::vec(any::<u64>(), 14),
        looks in prop::collection::vec(any::<bool>(), 28),
        lag: bool,
    ) {
        let disk = Disk::of(&World::run(&[], &Crash::Quiet, BLOCKS, lag));
        let mut tail = reader(&disk);
        let mut all = Read::default();
        let look = |tail: &mut super::LogTail<&Disk>, all: &mut Read, wanted: bool| {
            if wanted {
                let read = read_on(tail).unwrap();
                assert!(!read.has_ended && read.missing.is_empty());
                all.batches.extend(read.batches);
            }
        };
        for (at, step) in steps.iter().enumerate() {
            let middle = in_the_middle(step, arrived[at]);
            disk.become_like(&World::run(&steps[..at], &middle, BLOCKS, lag));
            look(&mut tail, &mut all, looks[2 * at]);
            disk.become_like(&World::run(&steps[..=at], &Crash::Quiet, BLOCKS, lag));
            look(&mut tail, &mut all, looks[2 * at + 1]);
        }
        let world = World::run(&steps, &crash, BLOCKS, lag);
        disk.become_like(&world);
        look(&mut tail, &mut all, true);
        run_ready(tail.check_rest()).unwrap().unwrap();

        // All but the newest batch count while nothing was ended.
        let with_records = kept_by_a_start(&world);
        let newest = read(&world).0.last;
        let durable = world.durable.last().map(|it| it.sequence);
        let counts = with_records.iter().filter(|it| Some(it.0) < durable && it.0 < newest);
        prop_assert!(all.batches.len() >= counts.count());
        prop_assert_eq!(&all.batches, &with_records[..all.batches.len()]);

        disk.become_like(&end_log(&world));
        let rest = read_on(&mut tail).unwrap();
        prop_assert!(rest.has_ended && rest.missing.is_empty());
        all.batches.extend(rest.batches);
        prop_assert_eq!(&all.batches, &with_records);
    }

    #[test]
    fn gives_nothing_that_is_damaged_and_overlooks_no_damage(
        steps in world::steps(),
        crash in world::crash(),
        harms in prop::collection::vec(world::harm(), 0..3),
        lag: bool,
    ) {
        let sound = World::run(&steps, &crash, BLOCKS, lag);
        let truth = kept_by_a_start(&sound);
        let mut world = sound;
        harms.iter().for_each(|harm| world.harm(harm));
        let (end, _) = read(&world);
        let disk = Disk::of(&world);
        let mut tail = reader(&disk);
        let mut batches = Vec::new();
        let ended = loop {
            match run_ready(tail.next()).unwrap() {
                Ok(super::TailStep::Batch(batch)) => batches.push(super::given(&batch)),
                Ok(super::TailStep::NotYet) => break run_ready(tail.check_rest()).unwrap(),
                Ok(other) => panic!("{other:?}"),
                Err(error) => break Err(error),
            }
        };
        prop_assert_eq!(&batches, &truth[..batches.len()]);
        prop_assert_eq!(ended.is_ok(), end.verdict.is_sound(), "{:?} {}", ended, end.verdict);
    }
}

#[test]
fn a_torn_read_at_any_byte_is_not_yet() {
    let sound = World::run(&commits(3), &Crash::Quiet, BLOCKS, false);
    let behind = World::run(&commits(5), &Crash::Quiet, BLOCKS, false);
    let (second, third) = (&sound.durable[1], &sound.durable[2]);
    let (from, to) = (second.offset + second.bytes, third.offset + third.bytes);
    for cut in (from..to).step_by(61).chain(from..from + 200) {
        let disk = Disk::of(&sound);
        disk.change(0, |file| file[cut..to].fill(0));
        let mut tail = reader(&disk);
        // The header of the third states that the second was durable; it is 96 bytes long.
        let header_is_there = cut >= from + 96;
        let seen = read_on(&mut tail).unwrap().sequences();
        assert_eq!(seen, [1, 2][..1 + usize::from(header_is_there)], "{cut}");
        disk.become_like(&sound);
        let seen = [seen, read_on(&mut tail).unwrap().sequences()].concat();
        assert_eq!(seen, [1, 2], "{cut}");
        disk.become_like(&behind);
        let seen = [seen, read_on(&mut tail).unwrap().sequences()].concat();
        assert_eq!(seen, [1, 2, 3, 4], "{cut}");
    }
}

#[test]
fn the_last_batch_counts_once_a_mark_stands_behind_it() {
    let mut steps = commits(2);
    let disk = Disk::of(&World::run(&steps, &Crash::Quiet, BLOCKS, false));
    let mut tail = reader(&disk);
    assert_eq!(read_on(&mut tail).unwrap().sequences(), [1]);
    steps.push(Step::Commit(Vec::new()));
    disk.become_like(&World::run(&steps, &Crash::Quiet, BLOCKS, false));
    assert_eq!(read_on(&mut tail).unwrap().sequences(), [2]);
    assert_eq!(read_on(&mut tail).unwrap(), Read::default());
}

#[test]
fn a_batch_that_a_failed_write_left_whole_is_given_once_from_where_it_was_repeated() {
    let all_blocks = u64::MAX;
    let before = commits(2);
    let failed = Crash::InFlight {
        bodies: vec![900],
        arrived: all_blocks,
        roll: false,
    };
    let disk = Disk::of(&World::run(&before, &failed, BLOCKS, true));
    let mut tail = reader(&disk);
    // The header of the third batch says that the second was durable; nothing says so of the third.
    assert_eq!(read_on(&mut tail).unwrap().sequences(), [1, 2]);
    let mut steps = before.clone();
    steps.push(Step::TakeOver(vec![900], all_blocks));
    disk.become_like(&World::run(&steps, &Crash::Quiet, BLOCKS, true));
    assert_eq!(read_on(&mut tail).unwrap().sequences(), [] as [u64; 0]);
    steps.extend(commits(1));
    disk.become_like(&World::run(&steps, &Crash::Quiet, BLOCKS, true));
    let read = read_on(&mut tail).unwrap();
    assert_eq!(read.sequences(), [3]);
    assert_eq!(read.batches[0].1.len(), 900);
}
