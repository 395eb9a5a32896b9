//! Quarantine as an operator meets it: a log is damaged, a start names a file, that file is given up, and so on until a
//! start serves. Every acknowledged batch outside of the damage must then be served, now and after further starts.

use crate::keeper::Keeper;
use crate::keeper::offline::{Job, run_blocking};
use crate::keeper::port::{CommandId, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config};

pub(super) const DAY_S: u32 = 86_400;
pub(super) const BLOCK: usize = 4096;

/// A log whose process died, and what is in its segments.
pub(super) struct Written {
    pub(super) world: World,
    /// Each segment in use, with the record and the offset of every batch in it.
    pub(super) segments: Vec<(String, Vec<(u32, usize)>)>,
}

/// Why the segment before the last is left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Roll {
    /// It is full.
    Full,
    /// A write to it failed, and was repeated in the next one.
    FailedWrite,
}

/// What becomes unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// The header of a segment.
    Header(usize),
    /// A batch of a segment: its record headers. The header of the batch stays whole.
    Index(usize, usize),
    /// A batch of a segment, its header too.
    Batch(usize, usize),
    /// The last batch of a segment, its header too.
    Last(usize),
}

impl Written {
    /// So many whole segments that the manifest closed, then two that it did not: the process died when it wanted to say
    /// that the first of them is closed.
    pub(super) fn new(closed: usize) -> Written {
        Written::rolled(closed, Roll::Full)
    }

    pub(super) fn rolled(closed: usize, roll: Roll) -> Written {
        let mut world = World::started(TestDisk::new(), config(1));
        let mut segments = vec![(world.current_file(0), Vec::new())];
        let mut record = 0;
        // The last segment gets some batches more than one.
        let mut left = u32::MAX;
        while left > 0 {
            if segments.len() == closed + 1 && segments[closed].1.len() == 10 {
                world.ops_left = Some(0);
                world.shards[0].fails_next_write = roll == Roll::FailedWrite;
            }
            world.decide(0, record, DAY_S);
            let file = world.current_file(0);
            if segments.last().is_some_and(|(last, _)| *last != file) {
                segments.push((file, Vec::new()));
                left = if segments.len() == closed + 2 {
                    9
                } else {
                    left
                };
            }
            if let Some((_, held)) = segments.last_mut() {
                held.push((record, BLOCK * (held.len() + 1)));
            }
            record += 1;
            left = left.saturating_sub(1);
        }
        assert!(
            world.dead,
            "the manifest must not close the one before the last"
        );
        // Says that the last batch was durable.
        world.mark(0);
        let written = Written { world, segments };
        for (file, held) in &written.segments {
            let bytes = written.world.disk.bytes(file).expect("the segment");
            for (_, offset) in held {
                assert!(bytes[*offset..].starts_with(b"flkbatch"), "one block each");
            }
        }
        written
    }

    /// Harms it and says which records are lost by that.
    pub(super) fn harm(&mut self, all: &[Harm]) -> Vec<u32> {
        let mut lost = Vec::new();
        for harm in all {
            let (at, batch, offset) = match *harm {
                Harm::Header(at) => (at, None, 100),
                Harm::Index(at, batch) => (at, Some(batch), 200),
                Harm::Batch(at, batch) => (at, Some(batch), 20),
                Harm::Last(at) => (at, Some(self.segments[at].1.len() - 1), 20),
            };
            let (file, held) = &self.segments[at];
            let begin = batch.map_or(0, |batch| held[batch].1);
            lost.extend(batch.map(|batch| held[batch].0));
            self.world
                .disk
                .tamper(file, |bytes| bytes[begin + offset] ^= 1);
        }
        lost
    }

    pub(super) fn all_but(&self, lost: &[u32]) -> Vec<u32> {
        let all = self.segments.iter().flat_map(|(_, held)| held);
        let records = all.map(|(record, _)| *record);
        records.filter(|record| !lost.contains(record)).collect()
    }
}

pub(super) fn quarantine(segment: &str, accept_loss: bool) -> Job {
    Job::Quarantine {
        segment: segment.to_string(),
        accept_loss,
    }
}

/// Runs a job on a directory that no server uses.
pub(super) fn tool(world: &mut World, job: Job) -> (i32, String) {
    world.disk.crash(Lost::Nothing);
    let keeper = Keeper::tool(world.config.clone(), job);
    let now = world.now;
    let disk = &mut world.disk;
    let end = run_blocking(keeper, || now, |op| disk.run(&op), |_| {});
    world.disk.crash(Lost::Everything);
    end
}

/// What is left of a directory that a crash may bring about at such a moment.
pub(super) fn losses(ops: u64) -> [Lost; 4] {
    let some = |seed| Lost::Some(ops + seed);
    [Lost::Everything, Lost::Nothing, some(1), some(77)]
}

/// Runs a job that is cut short after so many file operations, by a crash; true if it had ended before.
pub(super) fn cut_short(world: World, job: Job, ops: u64, lost: Lost) -> (World, bool) {
    let World { mut disk, now, .. } = world;
    disk.crash(Lost::Nothing);
    let mut world = World::with(disk, config(1), Keeper::tool(config(1), job));
    world.now = now;
    world.ops_left = Some(ops);
    let ended = world.run();
    world.disk.crash(lost);
    (world, ended)
}

/// The file that a refused start tells the operator to give up.
fn named(world: &World) -> Option<String> {
    let (code, reason) = world.exit.as_ref()?;
    assert_eq!(*code, 65, "{reason}");
    let command = reason.split("flk wal quarantine ").nth(1);
    let name = command.and_then(|rest| rest.split(' ').next());
    Some(
        name.unwrap_or_else(|| panic!("no way out is named: {reason}"))
            .to_string(),
    )
}

/// Starts, gives up what the start names, and so on, until a start serves. Returns what was given up.
pub(super) fn mended(mut world: World) -> (World, Vec<String>) {
    let mut given_up = Vec::new();
    loop {
        world = world.restarted(Lost::Everything, 1, 1);
        let Some(file) = named(&world) else {
            return (world, given_up);
        };
        let before = world.disk.names();
        let (code, report) = tool(&mut world, quarantine(&file, false));
        assert_eq!((code, world.disk.names()), (0, before), "{report}");
        let (code, report) = tool(&mut world, quarantine(&file, true));
        assert_eq!(code, 0, "{report}");
        assert!(
            !given_up.contains(&file),
            "{file} is named again: {given_up:?}"
        );
        given_up.push(file);
        assert!(given_up.len() <= 4, "no way out: {given_up:?}");
    }
}

/// Harms a log, mends it, and compares what is served with what was acknowledged.
fn check(closed: usize, harms: &[Harm]) {
    let mut written = Written::new(closed);
    let lost = written.harm(harms);
    let kept = written.all_but(&lost);
    let harmed: Vec<_> = written
        .segments
        .iter()
        .map(|(file, _)| file.clone())
        .collect();
    let (mut world, given_up) = mended(written.world);
    world.assert_serving();
    assert_eq!(world.known(), kept, "{closed} {harms:?}: {given_up:?}");
    for harm in harms {
        // What is missing between two segments may be given up with either.
        let (Harm::Header(at) | Harm::Index(at, _) | Harm::Batch(at, _)) = *harm else {
            continue;
        };
        assert!(
            given_up.contains(&harmed[at]),
            "{closed} {harms:?}: {given_up:?}"
        );
    }
    for _ in 0..2 {
        world.decide(0, 1_000_000, DAY_S);
        world = world.restarted(Lost::Everything, 1, 1);
        world.assert_serving();
        let known: Vec<u32> = world
            .known()
            .into_iter()
            .filter(|it| *it < 1_000_000)
            .collect();
        assert_eq!(known, kept, "{closed} {harms:?}, a start later");
    }
}

#[test]
fn a_header_lost_behind_an_open_segment_costs_nothing() {
    check(0, &[Harm::Header(1)]);
    check(2, &[Harm::Header(3)]);
}

#[test]
fn the_header_of_the_open_segment_before_costs_nothing() {
    check(0, &[Harm::Header(0)]);
    check(2, &[Harm::Header(2)]);
}

#[test]
fn the_header_of_a_closed_segment_costs_nothing() {
    check(2, &[Harm::Header(0)]);
    check(2, &[Harm::Header(1)]);
}

#[test]
fn one_batch_costs_itself_wherever_it_is() {
    for (closed, segments) in [(0, 2), (2, 4)] {
        for at in 0..segments {
            check(closed, &[Harm::Index(at, 0)]);
            check(closed, &[Harm::Batch(at, 0)]);
            check(closed, &[Harm::Index(at, 4)]);
            check(closed, &[Harm::Batch(at, 4)]);
            check(closed, &[Harm::Last(at)]);
        }
    }
}

#[test]
fn a_header_and_the_first_batches_cost_those_batches() {
    for (closed, segments) in [(0, 2), (2, 4)] {
        for at in 0..segments {
            check(closed, &[Harm::Header(at), Harm::Index(at, 0)]);
            check(closed, &[Harm::Header(at), Harm::Batch(at, 0)]);
            check(
                closed,
                &[Harm::Header(at), Harm::Batch(at, 0), Harm::Batch(at, 1)],
            );
            check(closed, &[Harm::Header(at), Harm::Batch(at, 5)]);
        }
    }
}

#[test]
fn two_damaged_segments_cost_what_is_damaged_in_each() {
    for (closed, pair) in [
        (0, [0, 1]),
        (2, [0, 1]),
        (2, [1, 2]),
        (2, [2, 3]),
        (2, [0, 3]),
    ] {
        let [one, other] = pair;
        check(closed, &[Harm::Batch(one, 3), Harm::Batch(other, 3)]);
        check(closed, &[Harm::Header(one), Harm::Header(other)]);
        check(closed, &[Harm::Last(one), Harm::Header(other)]);
        check(closed, &[Harm::Last(one), Harm::Batch(other, 0)]);
        check(
            closed,
            &[Harm::Last(one), Harm::Header(other), Harm::Batch(other, 0)],
        );
        check(
            closed,
            &[Harm::Header(one), Harm::Batch(one, 0), Harm::Last(other)],
        );
    }
}

/// The first segment, with the log as it is once it has ended.
#[test]
fn damage_in_an_ended_log_is_given_up_like_any_other() {
    for harms in [
        &[Harm::Header(0)][..],
        &[Harm::Batch(0, 0)],
        &[Harm::Header(1), Harm::Batch(1, 0)],
        &[Harm::Last(0), Harm::Header(1)],
    ] {
        let written = Written::new(0);
        let Written { world, segments } = written;
        let world = world.restarted(Lost::Everything, 1, 1);
        world.assert_serving();
        let mut written = Written { world, segments };
        let lost = written.harm(harms);
        let kept = written.all_but(&lost);
        let (world, given_up) = mended(written.world);
        world.assert_serving();
        assert_eq!(world.known(), kept, "{harms:?}: {given_up:?}");
    }
}

/// A last segment of an ended log holds one batch; nothing of it may be left.
#[test]
fn a_last_segment_that_is_lost_ends_its_log_before() {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..10 {
        world.decide(0, record, DAY_S);
    }
    let mut world = world.restarted(Lost::Everything, 1, 1);
    world.assert_serving();
    world.decide(0, 100, DAY_S);
    let holds_one = |name: &String, world: &World| {
        let bytes = world.disk.bytes(name).unwrap_or_default();
        name.starts_with("segment") && bytes.len() == 2 * BLOCK
    };
    let names = world.disk.names();
    let last = names
        .iter()
        .find(|name| holds_one(name, &world))
        .expect("a last segment")
        .clone();
    world.disk.tamper(&last, |bytes| bytes[BLOCK + 20] ^= 1);
    let (world, given_up) = mended(world);
    assert_eq!(given_up, [last]);
    let mut kept: Vec<u32> = (0..9).collect();
    kept.push(100);
    assert_eq!(world.known(), kept);
}

#[test]
fn a_quarantined_segment_can_be_damaged_and_given_up_again() {
    let mut written = Written::new(0);
    let lost = written.harm(&[Harm::Header(1), Harm::Batch(1, 2)]);
    let kept = written.all_but(&lost);
    let damaged = written.segments[1].0.clone();
    let mut world = written.world;
    let (code, report) = tool(&mut world, quarantine(&damaged, true));
    assert_eq!(code, 0, "{report}");
    let newest = world
        .disk
        .names()
        .into_iter()
        .rfind(|name| name.starts_with("segment"));
    let newest = newest.expect("the new segment");
    world.disk.tamper(&newest, |bytes| bytes[100] ^= 1);
    let (code, report) = tool(&mut world, quarantine(&newest, true));
    assert_eq!(code, 0, "{report}");
    assert!(
        !report.contains("missing"),
        "nothing more is lost: {report}"
    );
    let (world, given_up) = mended(world);
    assert_eq!((world.known(), given_up), (kept, Vec::new()));
}

#[test]
fn a_whole_segment_is_never_given_up_and_the_damaged_one_is_named() {
    let mut written = Written::new(2);
    written.harm(&[Harm::Header(3)]);
    for at in 0..3 {
        let (file, _) = &written.segments[at];
        let (code, report) = tool(&mut written.world, quarantine(file, true));
        assert_eq!(code, 78, "{report}");
        assert!(report.contains(&written.segments[3].0), "{report}");
    }
}

/// The beginning of the log was sealed and deleted: nothing says any more where the segment before ended.
#[test]
fn the_header_of_the_oldest_segment_left_costs_nothing() {
    for (batch, cost) in [(None, 0), (Some(0), 1), (Some(2), 1)] {
        let mut world = World::started(TestDisk::new(), config(1));
        for record in 0..70 {
            world.decide(0, record, DAY_S);
        }
        let line = "flk1 compact --older-than 0".to_string();
        world.happen(KeeperEvent::Command {
            id: CommandId(1),
            line,
        });
        let file = world.current_file(0);
        assert_eq!(
            world.shards[0].current_ordinal(),
            2,
            "the two before are gone"
        );
        for record in 70..80 {
            world.decide(0, record, DAY_S);
        }
        world.mark(0);
        // The first batch is the mark of the roll.
        let offset = batch.map(|batch| (batch + 1) * BLOCK + 20);
        world.disk.tamper(&file, |bytes| bytes[100] ^= 1);
        if let Some(offset) = offset {
            world.disk.tamper(&file, |bytes| bytes[offset] ^= 1);
        }
        let (world, given_up) = mended(world);
        assert_eq!(given_up, [file]);
        let lost = if batch == Some(2) {
            vec![71]
        } else {
            Vec::new()
        };
        let kept: Vec<u32> = (0..80).filter(|record| !lost.contains(record)).collect();
        assert_eq!(world.known(), kept, "{batch:?} costs {cost}");
    }
}

#[test]
fn a_segment_that_is_not_there_costs_its_own_batches() {
    for (closed, at) in [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2), (2, 3)] {
        let written = Written::new(closed);
        let (file, held) = written.segments[at].clone();
        let lost: Vec<u32> = held.iter().map(|(record, _)| *record).collect();
        let kept = written.all_but(&lost);
        let mut world = written.world;
        world.disk.remove(&file);
        let (world, given_up) = mended(world);
        assert_eq!(
            (world.known(), &given_up[..]),
            (kept, &[file][..]),
            "{closed} {at}"
        );
    }
}
