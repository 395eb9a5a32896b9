//! The writing end of a log against an obvious keeper, disk and shard: what it tells of seal epochs, whatever is asked
//! while a batch is on its way or waits for a segment.

use super::*;
use crate::io::{Errno, FileId, Now};
use crate::wal::batch::BatchLimits;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn named(ordinal: u32) -> NamedSegment {
    NamedSegment {
        file: FileId(10 + ordinal as i32),
        ordinal,
        salt: 7 + u64::from(ordinal),
        generation: 3,
        bytes: 1 << 20,
    }
}

fn start() -> LogStart {
    LogStart {
        installation: [1; 16],
        incarnation: [2; 16],
        labels: SegmentLabels::default(),
        log: LogId {
            start: 1,
            number: 0,
        },
        first: named(0),
        sync: SyncMode::Dsync,
    }
}

/// What surrounds a log: one write that is under way, what the keeper was told, and which decision lies where.
struct Bench {
    log: LogWriter,
    now: Now,
    writing: Option<(Box<Blocks>, FileId)>,
    /// A write failed and the batch is not durable yet: another failure would end the process.
    failed: bool,
    offered: u32,
    wants_segment: bool,
    asked: Epoch,
    told: Epoch,
    /// Epoch of each segment that was entered, as the keeper knows it.
    epochs: BTreeMap<u32, Epoch>,
    /// Decisions by the batch that makes them durable, with the epoch they were stamped with.
    pending: Vec<(Sequence, Epoch)>,
}

impl Bench {
    fn new() -> Bench {
        let open = OpenBatch::new(BatchLimits::default());
        let blocks = Box::new(Blocks::with_capacity(4096));
        Bench {
            log: LogWriter::new(&start(), open, blocks),
            now: Now {
                mono_us: 1_000_000,
                wall_us: 1,
            },
            writing: None,
            failed: false,
            offered: 0,
            wants_segment: false,
            asked: Epoch::first(),
            told: Epoch::first(),
            epochs: BTreeMap::new(),
            pending: Vec::new(),
        }
    }

    /// A bench whose epochs are about to wrap.
    fn near_the_wrap() -> Bench {
        let mut bench = Bench::new();
        bench.asked = Epoch::of(u16::MAX - 3);
        bench.told = bench.asked;
        let mut ops: Vec<LogOp> = Vec::new();
        bench.log.roll(bench.asked, &mut ops);
        assert_eq!(bench.log.epoch(), bench.asked);
        bench
    }

    fn decide(&mut self) {
        let meta = BodyMeta {
            tenant: "default",
            ..BodyMeta::default()
        };
        let place = self.log.push_body(b"{}", &meta);
        let needs = self
            .log
            .push_disposition(place, 0, &Entry::Unanswered(place));
        self.pending.push((needs, self.log.epoch()));
    }

    fn roll(&mut self) {
        self.asked = self.asked.next();
        let mut ops: Vec<LogOp> = Vec::new();
        self.log.roll(self.asked, &mut ops);
        self.carry_out(ops);
    }

    fn commit(&mut self) {
        let mut ops: Vec<LogOp> = Vec::new();
        self.log.commit(self.now, 50, &mut ops);
        self.carry_out(ops);
    }

    fn written(&mut self, ok: bool) {
        let Some((blocks, _)) = self.writing.take() else {
            return;
        };
        let ok = ok || self.failed;
        let result = match ok {
            true => Ok(blocks.len() as u32),
            false => Err(Errno::EIO),
        };
        self.failed = !ok;
        let mut ops: Vec<LogOp> = Vec::new();
        self.log.written(blocks, result, &mut ops);
        self.carry_out(ops);
        self.became_durable();
    }

    fn offer(&mut self) {
        if self.wants_segment {
            self.wants_segment = false;
            self.offered += 1;
            self.log.offer(named(self.offered));
        }
    }

    fn carry_out(&mut self, ops: Vec<LogOp>) {
        for op in ops {
            match op {
                LogOp::Write { file, blocks, .. } => self.writing = Some((blocks, file)),
                LogOp::Entered(Entered { ordinal, epoch, .. }) => {
                    self.wants_segment = true;
                    self.tell(ordinal, epoch);
                }
                LogOp::Epoch(EpochBegun { ordinal, epoch, .. }) => self.tell(ordinal, epoch),
                LogOp::Fail(failure) => panic!("{failure:?}"),
                _ => {}
            }
        }
    }

    /// What the keeper concludes from a message: nothing of an earlier epoch will come.
    fn tell(&mut self, ordinal: u32, epoch: Epoch) {
        assert!(
            self.told.is_at_or_before(epoch),
            "told {epoch} after {}",
            self.told
        );
        self.told = epoch;
        self.epochs.insert(ordinal, epoch);
        let durable = self.log.durable();
        for (needs, stamped) in &self.pending {
            if *needs > durable {
                assert!(
                    epoch.is_at_or_before(*stamped),
                    "told {epoch} while a decision stamped {stamped} is not durable"
                );
            }
        }
    }

    /// Decisions that are durable now lie in the segment in use: it must not count as a later epoch than they do.
    fn became_durable(&mut self) {
        let durable = self.log.durable();
        let Some(current) = self.log.in_use() else {
            return;
        };
        let of_segment = self.epochs[&current.ordinal];
        self.pending.retain(|(needs, stamped)| {
            if *needs > durable {
                return true;
            }
            assert!(
                of_segment.is_at_or_before(*stamped),
                "stamped {stamped} in a segment of epoch {of_segment}"
            );
            false
        });
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Decide,
    Roll,
    Commit,
    Written,
    Failed,
    Offer,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Decide),
        2 => Just(Step::Roll),
        4 => Just(Step::Commit),
        3 => Just(Step::Written),
        1 => Just(Step::Failed),
        2 => Just(Step::Offer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_decision_counts_as_sealed_before_its_segment_does(steps in prop::collection::vec(step(), 1..60)) {
        let mut bench = Bench::near_the_wrap();
        for step in steps {
            match step {
                Step::Decide => bench.decide(),
                Step::Roll => bench.roll(),
                Step::Commit => bench.commit(),
                Step::Written => bench.written(true),
                Step::Failed => bench.written(false),
                Step::Offer => bench.offer(),
            }
        }
        // Once all that is wanted comes, the epoch that was asked for last is reached.
        for _ in 0..8 {
            bench.offer();
            bench.commit();
            bench.written(true);
        }
        prop_assert_eq!(bench.told, bench.asked);
        prop_assert!(bench.pending.is_empty());
    }
}

#[test]
fn an_epoch_never_goes_back_where_another_roll_is_asked_for_while_one_is_on_its_way() {
    let mut bench = Bench::new();
    bench.decide();
    bench.commit();
    bench.written(true);
    bench.offer();
    bench.roll();
    bench.commit(); // the mark that opens segment 1 is on its way
    bench.roll();
    bench.written(true);
    bench.commit(); // nothing is named yet
    bench.roll();
    assert_eq!(bench.told, bench.asked);
    bench.offer();
    bench.decide();
    assert_eq!(bench.log.epoch(), bench.asked);
    bench.commit();
    bench.written(true);
    assert!(bench.pending.is_empty());
}

#[test]
fn an_idle_log_is_marked_where_it_is_while_a_roll_waits_for_the_next_segment() {
    let mut bench = Bench::new();
    bench.decide();
    bench.commit();
    bench.written(true);
    bench.roll();
    bench.commit();
    assert!(bench.writing.is_none(), "nothing to write, nowhere to roll");
    bench.now.mono_us += IDLE_MARK_US;
    bench.commit();
    let file = bench.writing.as_ref().map(|(_, file)| *file);
    assert_eq!(file, Some(named(0).file));
    bench.written(true);
    assert!(bench.log.is_marked());
    bench.commit();
    assert!(bench.writing.is_none(), "one mark is enough");
    bench.decide();
    bench.commit();
    assert!(bench.writing.is_none(), "records wait for their segment");
    bench.offer();
    bench.commit();
    let file = bench.writing.as_ref().map(|(_, file)| *file);
    assert_eq!(file, Some(named(1).file));
    bench.written(true);
    assert_eq!(bench.told, bench.asked);
}

#[test]
fn a_segment_without_records_is_not_closed_for_another_epoch() {
    let mut bench = Bench::new();
    bench.decide();
    bench.commit();
    bench.written(true);
    for _ in 0..10 {
        bench.offer();
        bench.roll();
        bench.commit();
        bench.written(true);
    }
    let current = bench.log.in_use().map(|closed| closed.ordinal);
    assert_eq!(current, Some(1));
    assert_eq!(bench.told, bench.asked);
}

#[test]
fn a_body_is_resolved_when_its_disposition_is_durable_and_not_before() {
    let mut bench = Bench::new();
    let meta = BodyMeta {
        tenant: "default",
        ..BodyMeta::default()
    };
    let place = bench.log.push_body(b"{}", &meta);
    let before = bench.log.resolved_durably();
    bench.commit();
    bench.written(true);
    assert_eq!(bench.log.durable(), place.sequence);
    assert_eq!(
        bench.log.resolved_durably(),
        before,
        "it has no disposition"
    );
    // The next batch is on its way when the disposition comes: it goes into the one after that.
    bench.decide();
    bench.commit();
    let needs = bench
        .log
        .push_disposition(place, 0, &Entry::Unanswered(place));
    assert_eq!(
        bench.log.resolved_durably(),
        before,
        "the disposition is in memory"
    );
    bench.written(true);
    assert!(bench.log.durable() < needs);
    assert_eq!(
        bench.log.resolved_durably(),
        before,
        "another batch is durable"
    );
    bench.commit();
    assert_eq!(
        bench.log.resolved_durably(),
        before,
        "the disposition is on its way"
    );
    bench.written(true);
    assert_eq!(bench.log.resolved_durably(), needs);
}

#[test]
fn a_disposition_whose_write_fails_resolves_nothing_until_it_is_written_again() {
    let mut bench = Bench::new();
    bench.decide();
    let before = bench.log.resolved_durably();
    bench.commit();
    bench.written(false);
    assert_eq!(bench.log.resolved_durably(), before);
    bench.offer();
    bench.commit();
    bench.written(true);
    assert_eq!(bench.log.resolved_durably(), bench.log.durable());
}
