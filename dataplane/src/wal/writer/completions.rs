//! What follows when a write or a sync ends: the batch is durable, or it goes on in the next segment.

use super::in_flight::{Attempt, BatchInFlight, InFlight, Position};
use super::marks::LastBatch;
use super::segment::SegmentInUse;
use super::{Entered, LogFailure, LogOp, LogWriter};
use crate::exit::Exit;
use crate::io::{Errno, SyncMode};
use crate::planted::{Bug, planted};
use crate::wal::batch::rewrite;
use crate::wal::buffer::Blocks;
use crate::wal::name::{LogId, Sequence};

/// What became of the first write into a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstWrite {
    Durable,
    /// The segment was entered and holds nothing that counts.
    Failed,
}

impl LogWriter {
    /// The write in flight ended.
    pub fn written<O: From<LogOp>>(
        &mut self,
        blocks: Box<Blocks>,
        result: Result<u32, Errno>,
        ops: &mut Vec<O>,
    ) {
        let InFlight::Writing(batch) = self.in_flight.take() else {
            unreachable!("the driver completes the one write that it has")
        };
        let is_whole = |written| {
            written as usize == batch.assembled.bytes || planted(Bug::ShortWriteTakenAsFull)
        };
        if !result.is_ok_and(is_whole) {
            return self.failed(batch, blocks, result.err(), ops);
        }
        match self.sync {
            SyncMode::WriteThenSync if !planted(Bug::AckBeforeSync) => {
                if !planted(Bug::SyncBeforeWriteCompleted) {
                    ops.push(LogOp::Sync(batch.segment.file).into());
                }
                self.in_flight = InFlight::Syncing(batch, blocks);
            }
            SyncMode::Dsync | SyncMode::WriteThenSync => {
                self.became_durable(&batch, blocks, ops);
            }
        }
    }

    /// The sync in flight ended.
    pub fn synced<O: From<LogOp>>(&mut self, result: Result<(), Errno>, ops: &mut Vec<O>) {
        match (self.in_flight.take(), result) {
            (InFlight::Syncing(batch, blocks), Ok(())) => self.became_durable(&batch, blocks, ops),
            (InFlight::Syncing(batch, blocks), Err(error)) => {
                self.failed(batch, blocks, Some(error), ops);
            }
            #[cfg(feature = "planted-bugs")]
            (other, _) if super::mistakes::has_two_in_flight() => self.in_flight = other,
            _ => unreachable!("the driver completes the one sync that it has"),
        }
    }

    pub(super) fn became_durable<O: From<LogOp>>(
        &mut self,
        batch: &BatchInFlight,
        blocks: Box<Blocks>,
        ops: &mut Vec<O>,
    ) {
        assert_eq!(batch.sequence.0, self.durable.0 + 1, "durable is a prefix");
        assert!(batch.resolved >= self.durable_resolved);
        self.counters.syncs += 1;
        self.counters.bytes += batch.assembled.bytes as u64;
        self.counters.records += u64::from(batch.records);
        if batch.position == Position::First {
            self.enter(batch, FirstWrite::Durable, ops);
        }
        let Some(current) = self.current.as_mut() else {
            unreachable!("the first batch of a segment enters it")
        };
        assert_eq!(
            (current.named.ordinal, current.end),
            (batch.segment.ordinal, batch.offset)
        );
        let assembled = batch.assembled;
        current.push(
            batch.sequence,
            assembled.bytes,
            assembled.checksum,
            batch.records,
        );
        self.durable = batch.sequence;
        self.durable_resolved = batch.resolved;
        self.marks.last = match batch.records {
            0 => LastBatch::Mark,
            _ => LastBatch::Records,
        };
        self.in_flight = InFlight::Nothing(blocks);
        self.invariants();
    }

    /// The first batch of a segment is durable, or the segment failed empty: the one before is closed.
    fn enter<O: From<LogOp>>(
        &mut self,
        batch: &BatchInFlight,
        first: FirstWrite,
        ops: &mut Vec<O>,
    ) {
        let before = self.current;
        let expect = before.map_or(0, |before| before.named.ordinal + 1);
        assert_eq!(batch.segment.ordinal, expect, "segments are used in order");
        let checksum = before.map_or(0, |before| before.last_checksum);
        self.current = Some(SegmentInUse::empty(batch.segment, self.durable, checksum));
        self.epoch = batch.epoch;
        ops.push(
            LogOp::Entered(Entered {
                log: self.log,
                ordinal: batch.segment.ordinal,
                durable: first == FirstWrite::Durable,
                epoch: self.epoch,
                closed: before.map(|before| before.closed()),
            })
            .into(),
        );
    }

    /// The batch in flight is unconfirmed: it goes on in the next segment, the failed one is never written again. A write
    /// without an error was short.
    fn failed<O: From<LogOp>>(
        &mut self,
        mut batch: BatchInFlight,
        blocks: Box<Blocks>,
        error: Option<Errno>,
        ops: &mut Vec<O>,
    ) {
        self.counters.errors += 1;
        if batch.attempt == Attempt::Failover {
            // Two files failed in a row, so the disk does: clients would only wait longer for a third.
            let failure = failed_twice(batch.sequence, self.log, error);
            return ops.push(LogOp::Fail(failure).into());
        }
        if planted(Bug::FailedSegmentWrittenAgain) {
            batch.attempt = Attempt::Failover;
            return self.submit(batch, blocks, ops);
        }
        if batch.position == Position::First {
            self.enter(&batch, FirstWrite::Failed, ops);
        }
        self.in_flight = InFlight::AwaitingSegment(batch, blocks);
        self.fail_over(ops);
    }

    /// Writes the batch whose segment failed into the next one, if that is named.
    pub(super) fn fail_over<O: From<LogOp>>(&mut self, ops: &mut Vec<O>) {
        let Some(next) = self.upcoming else { return };
        let InFlight::AwaitingSegment(mut batch, mut blocks) = self.in_flight.take() else {
            unreachable!("only a batch whose segment failed fails over")
        };
        let Ok(assembled) = rewrite(&mut blocks, &self.header_of(&next)) else {
            unreachable!("a batch that we assembled has a valid header");
        };
        batch.assembled = assembled;
        batch.segment = next;
        batch.offset = 0;
        batch.position = Position::First;
        batch.attempt = Attempt::Failover;
        self.submit(batch, blocks, ops);
    }
}

fn failed_twice(sequence: Sequence, log: LogId, error: Option<Errno>) -> LogFailure {
    // A full file system writes less than it was given.
    let error = error.unwrap_or(Errno::ENOSPC);
    let check = error.what_to_check();
    LogFailure {
        code: i32::from(Exit::File.code()),
        reason: format!(
            "the log cannot be written: batch {sequence} of log {log} failed in two segments in a row, at last with: {error}. {check}; \
             look into the kernel log. Then start again — nothing acknowledged is lost"
        ),
    }
}
