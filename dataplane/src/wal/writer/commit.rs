//! The way of the open batch to the driver: whether it goes now, and into which segment.

use super::in_flight::{Attempt, BatchInFlight, InFlight, Position};
use super::segment::SegmentInUse;
use super::{LogFailure, LogOp, LogWriter, PendingRoll};
use crate::exit::Exit;
use crate::io::Now;
use crate::wal::Epoch;
use crate::wal::batch::{BATCH_BYTES_MAX, BatchFields};
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use crate::wal::name::NamedSegment;

/// Where the open batch goes.
#[derive(Clone, Copy, Debug)]
struct Target {
    segment: NamedSegment,
    offset: u64,
    position: Position,
    epoch: Epoch,
}

impl LogWriter {
    /// Hands the open batch to the driver if there is one and nothing is in flight.
    pub fn commit<O: From<LogOp>>(&mut self, now: Now, clock_s: u32, ops: &mut Vec<O>) {
        #[cfg(feature = "planted-bugs")]
        self.skip_sync_if_planted(ops);
        match self.in_flight {
            InFlight::Nothing(_) => {}
            InFlight::AwaitingSegment(..) => return self.fail_over(ops),
            InFlight::Writing(_) | InFlight::Syncing(..) | InFlight::Stopped => return,
        }
        self.begin_epoch_in_place(ops);
        let is_due = |due_us: u64| due_us <= now.mono_us;
        let mark_is_due = self.marks.is_wanted || self.mark_due_us().is_some_and(is_due);
        if self.open.is_empty() && !mark_is_due && self.roll_of_open().is_none() {
            return;
        }
        // Without a target it waits, and fills, until the keeper has named the next segment.
        if let Some(target) = self.target() {
            self.submit_open(target, now, clock_s, ops);
            self.marks.quiet_since_us = now.mono_us;
        }
    }

    /// Whether the open batch goes with the next commit, whatever comes into it until then.
    pub fn goes_next(&self) -> bool {
        let takes_any = |it: &SegmentInUse| it.end + BATCH_BYTES_MAX as u64 <= it.named.bytes;
        let has_place = self.upcoming.is_some()
            || (self.roll.is_none() && self.current.as_ref().is_some_and(takes_any));
        matches!(self.in_flight, InFlight::Nothing(_)) && has_place
    }

    /// The roll that the open batch carries out. A mark holds no records that an epoch could divide: it does not wait for the
    /// segment that the next one begins in.
    fn roll_of_open(&self) -> Option<PendingRoll> {
        let waits_for_records = self.open.is_empty() && self.upcoming.is_none();
        self.due_roll().filter(|_| !waits_for_records)
    }

    /// Where the open batch goes: behind the last one, or into the next segment where that is full or a roll is due.
    /// Nothing if that segment is not named yet.
    fn target(&self) -> Option<Target> {
        let roll = self.roll_of_open();
        let bytes = self.open.assembled_bytes() as u64;
        let fits = |it: &SegmentInUse| roll.is_none() && it.end + bytes <= it.named.bytes;
        let epoch = roll.map_or(self.epoch, |roll| roll.epoch);
        match self.current.filter(fits) {
            Some(current) => Some(Target {
                segment: current.named,
                offset: current.end,
                position: Position::Behind(current.last_checksum),
                epoch,
            }),
            None => Some(Target {
                segment: self.upcoming?,
                offset: 0,
                position: Position::First,
                epoch,
            }),
        }
    }

    /// Assembles the open batch and submits it. Nothing is in flight.
    fn submit_open<O: From<LogOp>>(
        &mut self,
        target: Target,
        now: Now,
        clock_s: u32,
        ops: &mut Vec<O>,
    ) {
        let InFlight::Nothing(mut blocks) = self.in_flight.take() else {
            unreachable!("one batch is in flight at a time")
        };
        let Some(next) = self.open_sequence.next() else {
            return ops.push(LogOp::Fail(counter_full()).into());
        };
        let (lead, previous_checksum) = match target.position {
            Position::First => (Some(self.header_of(&target.segment)), 0),
            Position::Behind(checksum) => (None, checksum),
        };
        if self.roll_of_open().is_some() {
            self.roll = None;
        }
        self.watermark.batch(self.open_sequence);
        let fields = BatchFields {
            salt: target.segment.salt,
            sequence: self.open_sequence,
            expiry_clock_s: clock_s,
            wall_us: now.wall_us,
            durable_upto: self.durable,
            resolved_upto: self.watermark.upto(),
            previous_checksum,
            term: 0,
        };
        let batch = BatchInFlight {
            segment: target.segment,
            offset: target.offset,
            position: target.position,
            attempt: Attempt::First,
            assembled: self.open.assemble(&fields, lead.as_ref(), &mut blocks),
            sequence: self.open_sequence,
            resolved: fields.resolved_upto,
            records: self.open.records(),
            epoch: target.epoch,
        };
        self.open.clear();
        self.open_sequence = next;
        self.marks.is_wanted = false;
        self.submit(batch, blocks, ops);
        self.invariants();
    }

    /// Hands an assembled batch to the driver.
    pub(super) fn submit<O: From<LogOp>>(
        &mut self,
        batch: BatchInFlight,
        blocks: Box<Blocks>,
        ops: &mut Vec<O>,
    ) {
        assert_eq!(blocks.len(), batch.assembled.bytes);
        assert!(batch.offset.is_multiple_of(BLOCK_BYTES as u64));
        assert!(
            batch.offset + batch.assembled.bytes as u64 <= batch.segment.bytes,
            "a batch fits into a fresh segment"
        );
        let file = batch.segment.file;
        if batch.position == Position::First {
            self.upcoming = None;
        }
        ops.push(
            LogOp::Write {
                file,
                offset: batch.offset,
                blocks,
            }
            .into(),
        );
        #[cfg(feature = "planted-bugs")]
        self.sync_early_if_planted(file, ops);
        self.in_flight = InFlight::Writing(batch);
    }
}

fn counter_full() -> LogFailure {
    LogFailure {
        code: i32::from(Exit::Again.code()),
        reason: "the log's counter is full; start the gateway again".into(),
    }
}
