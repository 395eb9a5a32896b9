//! Copies of a directory and what a keeper makes of them: whatever the life of the directory was and whenever it was copied, a start
//! from the copy knows every record that was acknowledged before, and finds nothing to complain about.

use crate::keeper::config::KeeperConfig;
use crate::keeper::notice::{Before, Notice};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::slices::sealing;
use crate::keeper::tests::world::{World, manifest};
use crate::wal::copy::{
    CutAt, NoCut, SegmentContent, Take, content_of, cut, join, part_of, refuse_deleted, restored,
    stop_of, stopped,
};
use crate::wal::files::{MANIFEST, NumberedFile, RESTORING, SECRET};
use crate::wal::manifest::{CLOCK_BEGIN_US, LogEntry, Manifest, SegmentEntry, SegmentState};
use crate::wal::name::{LogId, Sequence};
use crate::wal::packed::SegmentFile;
use crate::wal::scan::{InMemory, ReadAt, run_ready};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

const DAY_S: u32 = 86_400;
/// No record of these lives expires.
const TTL_S: u32 = 200 * DAY_S;

/// Seals each hour, and packs what that leaves.
fn packing(shards: u16) -> KeeperConfig {
    KeeperConfig {
        repack_bytes_min: 4096,
        ..sealing(shards)
    }
}

/// Files by their names.
trait Files {
    fn file(&self, name: &str) -> &[u8];

    fn segment(&self, entry: &SegmentEntry) -> SegmentFile<InMemory<'_>> {
        let file = self.file(&NumberedFile::Segment(entry.file).to_string());
        SegmentFile::new(InMemory(file), entry)
    }
}

impl Files for TestDisk {
    fn file(&self, name: &str) -> &[u8] {
        self.bytes(name).expect("a file of that name")
    }
}

/// The files of several copies.
#[derive(Default)]
struct Kept(BTreeMap<String, Vec<u8>>);

impl Files for Kept {
    fn file(&self, name: &str) -> &[u8] {
        &self.0[name]
    }
}

impl Kept {
    /// Takes what a copy names. Of a segment a later copy has more.
    fn take(&mut self, disk: &TestDisk, copy: &Manifest) {
        let segments = copy
            .segments()
            .map(|(_, it)| NumberedFile::Segment(it.file));
        let slices = copy.slices.iter().map(|it| NumberedFile::Slice(it.file));
        let names = segments.chain(slices).map(|it| it.to_string());
        for name in names.chain([SECRET.to_string()]) {
            self.0.insert(name.clone(), disk.file(&name).to_vec());
        }
    }
}

/// The manifest of a copy of what is on a disk.
fn copy_of(disk: &TestDisk, take: Take) -> Manifest {
    let manifest = disk.manifest();
    let mut stops = Vec::new();
    for log in manifest.logs.iter().filter(|log| log.ended_at.is_none()) {
        let unfinished = log.segments.iter().filter(|it| it.state.extent().is_none());
        let files: Vec<SegmentFile<InMemory<'_>>> = unfinished.map(|it| disk.segment(it)).collect();
        let stop = run_ready(stop_of(&manifest, log, &files, take)).expect("memory");
        stops.push(stop.expect("a sound log"));
    }
    stopped(&manifest, &stops)
}

/// What is in all segments of a log of a copy.
fn contents(files: &impl Files, copy: &Manifest, log: &LogEntry) -> Vec<SegmentContent> {
    let content = |(at, entry)| {
        let file = files.segment(entry);
        run_ready(content_of(copy, log, at, &file))
            .expect("memory")
            .expect("what the copy states")
    };
    log.segments.iter().enumerate().map(content).collect()
}

/// The disk that a restore of a copy makes, which was cut perhaps. Of a packed segment a part is restored as it was before.
fn restore(files: &impl Files, whole: &Manifest, copy: &Manifest) -> TestDisk {
    let mut made = TestDisk::new();
    for (_, entry) in copy.segments() {
        let name = NumberedFile::Segment(entry.file).to_string();
        let stated = whole.segments().find(|(_, it)| it.file == entry.file);
        let (_, stated) = stated.expect("a segment of the copy");
        let bytes = entry.state.file_bytes().expect("closed in a copy") as usize;
        let is_packed = |it: &SegmentEntry| matches!(it.state, SegmentState::Packed(..));
        let content = match is_packed(stated) && !is_packed(entry) {
            true => run_ready(files.segment(stated).read_at(0, bytes)),
            false => Some(Ok(files.file(&name)[..bytes].to_vec())),
        };
        made.plant(&name, content.expect("memory").expect("memory"));
    }
    let mut plant = |name: String, bytes: u64| {
        made.plant(&name, files.file(&name)[..bytes as usize].to_vec());
    };
    for slice in &copy.slices {
        plant(NumberedFile::Slice(slice.file).to_string(), slice.bytes);
    }
    plant(SECRET.to_string(), 48);
    let manifest = restored(copy, [7; 16]);
    assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()));
    made.plant(MANIFEST, manifest.encode());
    made
}

/// Starts from a restored disk, at the time of a world.
fn started_from(mut disk: TestDisk, world: &World) -> World {
    // What this disk calls random is made of the number of operations, and no salt is drawn twice.
    disk.ops = world.disk.ops;
    let mut started = World::new(disk, world.config.clone());
    started.now = world.now;
    started.run();
    started.assert_serving();
    started
}

/// A step of a life.
#[derive(Clone, Debug)]
enum Act {
    /// So many records are decided by a shard.
    Decide(u16, u32),
    /// Time passes, in which it seals, merges and deletes.
    Pass(u64),
    /// A write fails, and is repeated in the next segment.
    FailWrite(u16),
    /// The process dies in the middle of a write of so many blocks.
    Die(u16, usize, Option<u64>),
    /// It is copied, restored, and the life goes on there.
    Move,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (0..2_u16, 1..40_u32).prop_map(|(shard, count)| Act::Decide(shard, count)),
        3 => (1..9_000_u64).prop_map(Act::Pass),
        1 => (0..2_u16).prop_map(Act::FailWrite),
        2 => (0..2_u16, 0..3_usize, proptest::option::of(any::<u64>()))
            .prop_map(|(shard, blocks, lost)| Act::Die(shard, blocks, lost)),
        1 => Just(Act::Move),
    ]
}

/// A world with two shards, and what was acknowledged in all its lives.
struct Life {
    world: World,
    acknowledged: u32,
    /// Of each acknowledged record: the log, the batch, and its wall clock.
    places: Vec<(LogId, Sequence, u64)>,
}

impl Life {
    fn begin() -> Life {
        Life {
            world: World::started(TestDisk::new(), packing(2)),
            acknowledged: 0,
            places: Vec::new(),
        }
    }

    fn decide(&mut self, shard: u16) {
        let wall_us = self.world.now.wall_us;
        self.world.decide(shard, self.acknowledged, TTL_S);
        self.acknowledged += 1;
        let state = &self.world.shards[usize::from(shard)];
        self.places.push((state.begin.log, state.last(), wall_us));
    }

    fn go(mut self, act: &Act) -> Life {
        match *act {
            Act::Decide(shard, count) => {
                for _ in 0..count {
                    self.decide(shard);
                }
            }
            Act::Pass(seconds) => self.world.pass_s(seconds),
            Act::FailWrite(shard) => {
                // In a segment that was just begun there is room, and the one behind it is named.
                let at = |life: &Life| life.world.shards[usize::from(shard)].current_ordinal();
                let begun = at(&self);
                while at(&self) == begun {
                    self.decide(shard);
                }
                let state = &mut self.world.shards[usize::from(shard)];
                state.fails_next_write = state.next_segment().is_some();
                self.decide(shard);
            }
            Act::Die(shard, blocks, lost) => {
                self.world.tear(shard, 1_000_000, blocks);
                let lost = lost.map_or(Lost::Nothing, Lost::Some);
                self.world = self.world.restarted(lost, 2, 10);
                self.world.assert_serving();
            }
            Act::Move => {
                let copy = copy_of(&self.world.disk, Take::Whole);
                let disk = restore(&self.world.disk, &copy, &copy);
                self.world = started_from(disk, &self.world);
            }
        }
        self
    }
}

/// No slice has a decision from behind the end of its log.
fn assert_slices_end_within(copy: &Manifest) {
    for cover in copy.slices.iter().flat_map(|slice| &slice.covers) {
        let end = copy.log(cover.log).and_then(|log| log.ended_at);
        assert!(
            end.is_none_or(|end| cover.upto <= end.sequence),
            "{cover:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_start_from_a_copy_of_any_moment_knows_all_that_was_acknowledged(
        acts in proptest::collection::vec(act(), 1..12)
    ) {
        let mut life = Life::begin();
        for act in &acts {
            life = life.go(act);
            let copy = copy_of(&life.world.disk, Take::Whole);
            assert_slices_end_within(&copy);
            for log in &copy.logs {
                contents(&life.world.disk, &copy, log);
            }
            let started = started_from(restore(&life.world.disk, &copy, &copy), &life.world);
            prop_assert!(started.known().into_iter().eq(0..life.acknowledged));
            // What something says was durable is all but the last batch, and a mark says it of that one.
            for shard in 0..2 {
                life.world.mark(shard);
            }
            let copy = copy_of(&life.world.disk, Take::Confirmed);
            let started = started_from(restore(&life.world.disk, &copy, &copy), &life.world);
            prop_assert!(started.known().into_iter().eq(0..life.acknowledged));
            let torn = |it: &Notice| matches!(it, Notice::TornTail { .. });
            prop_assert!(!started.notices.iter().any(torn), "{:?}", started.notices);
        }
    }

    #[test]
    fn logs_that_are_cut_have_all_before_the_cut_and_nothing_else_or_the_cut_is_refused(
        acts in proptest::collection::vec(act(), 1..10),
        base in any::<proptest::sample::Index>(),
        last in any::<proptest::sample::Index>(),
        by_time in any::<bool>(),
    ) {
        let mut life = Life::begin();
        life.decide(0);
        let (mut copies, mut kept) = (Vec::new(), Kept::default());
        for act in acts.iter().filter(|it| !matches!(it, Act::Move)) {
            life = life.go(act);
            let copy = copy_of(&life.world.disk, Take::Whole);
            kept.take(&life.world.disk, &copy);
            copies.push(copy);
        }
        prop_assume!(!copies.is_empty());
        let base = base.index(copies.len());
        let joined = copies[base + 1..]
            .iter()
            .try_fold(copies[base].clone(), |joined, it| join(&joined, it));
        // What was sealed and deleted between two copies is in neither.
        let Ok(joined) = joined else { return Ok(()) };
        let (log, sequence, wall_us) = life.places[last.index(life.places.len())];
        let at = |it: LogId| match (by_time, it == log) {
            (true, _) => Some(CutAt::Time(wall_us)),
            (false, true) => Some(CutAt::Sequence(sequence)),
            (false, false) => None,
        };
        let earlier = match cut_all(&kept, &joined, at) {
            Ok(earlier) => earlier,
            Err(NoCut::Sealed { .. } | NoCut::Deleted(_)) => return Ok(()),
            Err(unknown) => panic!("{unknown}"),
        };
        assert_slices_end_within(&earlier);
        let is_before = |place: &(LogId, Sequence, u64)| match by_time {
            true => place.2 <= wall_us,
            false => place.0 != log || place.1 <= sequence,
        };
        let expected = (0_u32..).zip(&life.places).filter(|(_, place)| is_before(place));
        let expected: Vec<u32> = expected.map(|(record, _)| record).collect();
        let started = started_from(restore(&kept, &joined, &earlier), &life.world);
        prop_assert_eq!(started.known(), expected);
    }
}

/// Cuts all logs of a copy.
fn cut_all(
    files: &impl Files,
    copy: &Manifest,
    at: impl Fn(LogId) -> Option<CutAt>,
) -> Result<Manifest, NoCut> {
    let mut earlier = copy.clone();
    if let Some(CutAt::Time(time_us)) = copy.logs.first().and_then(|log| at(log.id)) {
        refuse_deleted(copy, time_us)?;
    }
    for log in &copy.logs {
        let Some(at) = at(log.id) else { continue };
        let newest = contents(files, copy, log);
        let is_behind = |(entry, content): (&SegmentEntry, &SegmentContent)| match at {
            CutAt::Sequence(last) => entry.state.extent().is_some_and(|it| it.last > last),
            CutAt::Time(last_us) => content.wall_us > last_us,
        };
        let Some(index) = log.segments.iter().zip(&newest).position(is_behind) else {
            continue;
        };
        let file = files.segment(&log.segments[index]);
        let part = run_ready(part_of(copy, log, index, &file, at));
        let part = part.expect("memory").expect("what the copy states");
        cut(&mut earlier, log.id, index, part)?;
    }
    Ok(earlier)
}

#[test]
fn a_copy_between_any_two_file_operations_of_seals_and_merges_knows_all_that_was_acknowledged() {
    let mut world = World::started(TestDisk::new(), packing(1));
    let acknowledged = Rc::new(Cell::new(0));
    let copies = Rc::new(RefCell::new(Vec::new()));
    let (seen, taken) = (acknowledged.clone(), copies.clone());
    world.watch = Some(Box::new(move |disk, _| {
        let copy = copy_of(disk, Take::Whole);
        assert_slices_end_within(&copy);
        taken
            .borrow_mut()
            .push((restore(disk, &copy, &copy), seen.get()));
    }));
    for record in 0..15 {
        world.decide(0, record, TTL_S);
        acknowledged.set(record + 1);
        if record % 5 == 4 {
            world.pass_s(3_700);
        }
    }
    world.watch = None;
    assert_eq!(manifest(&world).slices.len(), 1, "they were merged");
    let copies = copies.take();
    assert!(copies.len() > 60, "{}", copies.len());
    for (disk, acknowledged) in copies {
        let known = started_from(disk, &world).known();
        assert!((0..acknowledged).all(|it| known.contains(&it)), "{known:?}");
    }
}

#[test]
fn a_copy_while_a_batch_is_in_flight_has_all_before_it_and_not_that_batch() {
    let mut world = World::started(TestDisk::new(), packing(1));
    world.decide(0, 0, TTL_S);
    world.decide(0, 1, TTL_S);
    let last = world.shards[0].last();
    let copy = copy_of(&world.disk, Take::Confirmed);
    let end = copy.logs[0].ended_at.expect("ended in a copy").sequence;
    assert_eq!(
        end.next(),
        Some(last),
        "nothing says yet that it was durable"
    );
    let whole = copy_of(&world.disk, Take::Whole);
    let end = whole.logs[0].ended_at.expect("ended in a copy").sequence;
    assert_eq!(end, last);
    world.mark(0);
    let copy = copy_of(&world.disk, Take::Confirmed);
    let end = copy.logs[0].ended_at.expect("ended in a copy").sequence;
    assert_eq!(end, last, "and the mark says it");
}

#[test]
fn a_restored_directory_says_what_it_follows_and_a_restore_that_is_not_complete_is_refused() {
    let mut world = World::started(TestDisk::new(), packing(1));
    world.decide(0, 0, TTL_S);
    let copy = copy_of(&world.disk, Take::Whole);
    let mut disk = restore(&world.disk, &copy, &copy);
    disk.plant(RESTORING, b"{}".to_vec());
    let mut refused = World::new(disk, world.config.clone());
    refused.run();
    let (code, reason) = refused.exit.clone().expect("refused");
    assert_eq!(code, 65);
    assert!(reason.contains("flk restore"), "{reason}");
    // The same with nothing but the secret, which a first start would replace.
    let mut disk = TestDisk::new();
    disk.plant(RESTORING, b"{}".to_vec());
    disk.plant(SECRET, world.disk.bytes(SECRET).expect("a secret").to_vec());
    let mut refused = World::new(disk, world.config.clone());
    refused.run();
    assert_eq!(refused.exit.expect("refused").0, 65);
    let started = started_from(restore(&world.disk, &copy, &copy), &world);
    let now = manifest(&started);
    let follows = now.sections.restored_from.clone().expect("a section");
    assert_eq!(follows.incarnation, copy.incarnation);
    assert_eq!(follows.taken[0].upto, world.shards[0].last());
    assert_eq!((now.incarnation, now.node), ([7; 16], copy.node));
    assert_eq!(started.before(), [Before::UncleanStop]);
}

#[test]
fn a_cut_at_a_time_is_refused_where_slices_may_hold_later_decisions_of_a_log_that_is_deleted() {
    let mut world = World::started(TestDisk::new(), sealing(1));
    for record in 0..5 {
        world.decide(0, record, TTL_S);
    }
    world.pass_s(3_700);
    let mut copy = copy_of(&world.disk, Take::Whole);
    let log = copy.slices[0].covers[0].log;
    assert_eq!(
        refuse_deleted(&copy, 0),
        Ok(()),
        "the cut of the log itself says it"
    );
    copy.logs.clear();
    let last_us = CLOCK_BEGIN_US + u64::from(copy.slices[0].decided_last) * 1_000_000;
    for time_us in [0, last_us - 1, last_us] {
        let refused = refuse_deleted(&copy, time_us);
        assert_eq!(refused, Err(NoCut::Deleted(log)), "{time_us}");
    }
    let withheld_us = 5 * 3_600_000_000;
    assert_eq!(refuse_deleted(&copy, last_us + withheld_us), Ok(()));
    copy.clock.wall_us += withheld_us;
    let refused = refuse_deleted(&copy, last_us + withheld_us);
    assert_eq!(refused, Err(NoCut::Deleted(log)), "the clock lags behind");
}
