//! A shard as the keeper's tests have it: the real log writer, whose writes end at once, and what the keeper told it. It
//! never waits and keeps no connection.

use crate::dedup::Decided;
use crate::dedup::slice::SliceSet;
use crate::io::{Errno, Now};
use crate::keeper::tests::disk::TestDisk;
use crate::mesh::keeper::{Begin, Shortage, ToKeeper};
use crate::wal::Epoch;
use crate::wal::batch::{BatchLimits, OpenBatch};
use crate::wal::name::{NamedSegment, Sequence};
use crate::wal::record::{BodyMeta, Decision, Entry};
use crate::wal::writer::{LogOp, LogWriter};
use std::collections::VecDeque;
use std::sync::Arc;

/// A shard as far as the keeper knows it.
pub(crate) struct FakeShard {
    pub(crate) begin: Box<Begin>,
    /// What it began with of decisions that no slice had.
    pub(crate) loaded: Vec<Decided>,
    /// The slices that it looks into.
    pub(crate) set: Arc<SliceSet>,
    pub(crate) serving: Option<bool>,
    pub(crate) space_low: Option<Shortage>,
    pub(crate) draining: bool,
    log: LogWriter,
    /// The segment in use, or the one that the first batch goes into.
    pub(crate) current: NamedSegment,
    next: Option<NamedSegment>,
    /// The seal epoch that the keeper was told of last.
    told: Epoch,
    /// The next write is reported as failed, though all of it reaches the disk.
    pub(crate) fails_next_write: bool,
}

impl FakeShard {
    pub(crate) fn new(mut begin: Box<Begin>) -> FakeShard {
        let open = OpenBatch::new(BatchLimits::default());
        FakeShard {
            log: LogWriter::new(&begin.log_start(), open, Box::default()),
            current: begin.first,
            loaded: Vec::new(),
            set: std::mem::take(&mut begin.slices),
            serving: None,
            space_low: None,
            draining: false,
            next: None,
            told: Epoch::first(),
            fails_next_write: false,
            begin,
        }
    }

    /// The last sequence that is durable.
    pub(crate) fn last(&self) -> Sequence {
        self.log.durable()
    }

    /// Seal epoch that the next decision is stamped with.
    pub(crate) fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    /// What it was last told as sealed.
    pub(crate) fn sealed_epoch(&self) -> Epoch {
        self.set.sealed_epoch
    }

    /// Position of the segment that it writes.
    pub(crate) fn current_ordinal(&self) -> u32 {
        self.current.ordinal
    }

    /// The segment named to it after the one in use.
    pub(crate) fn next_segment(&self) -> Option<NamedSegment> {
        self.next
    }

    /// Whether a body and its decision can be written without another segment having to be named.
    pub(crate) fn has_room_for(&self, body_bytes: usize) -> bool {
        // Two blocks of index part, what fills up the last one, and two records.
        let needs = (8192 + 4096 + body_bytes + 2 * 300) as u64;
        let fits = |end: u64| end + needs <= self.current.bytes;
        self.next.is_some() || self.log.in_use().is_none_or(|closed| fits(closed.bytes))
    }

    /// Takes the next segment, and goes on with what has waited for it.
    pub(crate) fn offer(
        &mut self,
        segment: NamedSegment,
        disk: &mut TestDisk,
        now: Now,
    ) -> Vec<ToKeeper> {
        assert!(self.next.is_none(), "one next segment at a time");
        assert_eq!(segment.ordinal, self.current.ordinal + 1);
        self.next = Some(segment);
        self.log.offer(segment);
        match self.log.is_quiet() && self.log.epoch() == self.told {
            true => Vec::new(),
            false => self.commit(disk, now),
        }
    }

    /// Begins the next seal epoch, as soon as it has where to.
    pub(crate) fn roll(&mut self, epoch: Epoch, disk: &mut TestDisk, now: Now) -> Vec<ToKeeper> {
        let mut ops = Vec::new();
        self.log.roll(epoch, &mut ops);
        let mut told = self.carry_out(ops, disk);
        if self.log.epoch() != self.told {
            told.extend(self.commit(disk, now));
        }
        told
    }

    /// Adds a body and its decision to the open batch; `decision` gets its body's place.
    pub(crate) fn push(&mut self, body: &[u8], mut decision: Decision<'_>) -> Sequence {
        let meta = BodyMeta {
            tenant: decision.tenant,
            ..BodyMeta::default()
        };
        decision.body = self.log.push_body(body, &meta);
        let place = decision.body;
        self.log
            .push_disposition(place, 0, &Entry::Decision(decision))
    }

    /// Marks the log, as after 10 ms of nothing, unless it is marked.
    pub(crate) fn mark(&mut self, disk: &mut TestDisk, now: Now) -> Vec<ToKeeper> {
        self.log.mark();
        match self.log.is_marked() {
            true => Vec::new(),
            false => self.commit(disk, now),
        }
    }

    /// The last words of a stop: a mark, and how the log stands.
    pub(crate) fn finish(&mut self, disk: &mut TestDisk, now: Now) -> Vec<ToKeeper> {
        let mut told = self.mark(disk, now);
        told.push(ToKeeper::Finished {
            log: self.begin.log,
            closed: self.log.in_use(),
        });
        told
    }

    /// How far each body has its disposition on disk.
    pub(crate) fn resolved(&self) -> ToKeeper {
        ToKeeper::Resolved {
            log: self.begin.log,
            upto: self.log.resolved_durably(),
        }
    }

    /// Writes the open batch durably, if it has where to; what the keeper is told.
    pub(crate) fn commit(&mut self, disk: &mut TestDisk, now: Now) -> Vec<ToKeeper> {
        let ops = self.committed(now);
        self.carry_out(ops, disk)
    }

    /// Begins to write the open batch. Only so many of its blocks reach the disk, and the write never ends.
    pub(crate) fn tear(&mut self, blocks_count: usize, disk: &mut TestDisk, now: Now) {
        for op in self.committed(now) {
            let LogOp::Write {
                file,
                offset,
                blocks,
            } = op
            else {
                panic!("unexpected {op:?}");
            };
            disk.shard_write(file, offset, &blocks.bytes()[..blocks_count * 4096]);
        }
    }

    fn committed(&mut self, now: Now) -> Vec<LogOp> {
        let mut ops = Vec::new();
        let clock_s = self.begin.clock.at(now.mono_us);
        self.log.commit(now, clock_s, &mut ops);
        ops
    }

    fn carry_out(&mut self, ops: Vec<LogOp>, disk: &mut TestDisk) -> Vec<ToKeeper> {
        let mut ops = VecDeque::from(ops);
        let mut told = Vec::new();
        while let Some(op) = ops.pop_front() {
            let mut more: Vec<LogOp> = Vec::new();
            match op {
                LogOp::Write {
                    file,
                    offset,
                    blocks,
                } => {
                    if let Some(next) = self.next.take_if(|next| next.file == file) {
                        self.current = next;
                    }
                    disk.shard_write(file, offset, blocks.bytes());
                    let result = match std::mem::take(&mut self.fails_next_write) {
                        true => Err(Errno::EIO),
                        false => Ok(blocks.bytes().len() as u32),
                    };
                    self.log.written(blocks, result, &mut more);
                }
                LogOp::Sync(_) => self.log.synced(Ok(()), &mut more),
                LogOp::Entered(entered) => {
                    self.told = entered.epoch;
                    told.push(ToKeeper::Entered(entered));
                }
                LogOp::Epoch(begun) => {
                    self.told = begun.epoch;
                    told.push(ToKeeper::Epoch(begun));
                }
                LogOp::Fail(failure) => panic!("{failure:?}"),
            }
            ops.extend(more);
        }
        told
    }
}
