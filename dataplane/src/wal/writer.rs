//! The writing end of one log, sans-IO: one open batch that fills, at most one batch in flight, the durable prefix behind
//! it. Decides when to roll, take over after a failed write, and mark an idle log; never opens, closes or reads a file.
//!
//! Cursors, in order: `resolved <= durable < open`. A batch in flight is always `durable + 1`.

use super::batch::{Ahead, Assembled, BatchFields, OpenBatch, rewrite};
use super::buffer::{BLOCK_BYTES, Blocks};
use super::name::{ClosedSegment, LogId, NamedSegment, Place, Sequence};
use super::record::{BodyMeta, Entry};
use super::segment::{Predecessor, SegmentHeader};
use super::watermark::ResolvedWatermark;
use crate::io::{Errno, Now, SyncMode};
use crate::planted::{Bug, planted};
use crate::wal::Epoch;

mod ops;
#[cfg(test)]
mod tests;

pub use self::ops::{Entered, EpochBegun, LogFailure, LogOp, LogStart};

/// An idle log is marked after this long, so that its last acknowledged batch can be told from a torn tail.
pub const IDLE_MARK_US: u64 = 10_000;
/// A marked log is marked again this often, for the clocks in its header only.
pub const CLOCK_MARK_US: u64 = 600_000_000;

/// The segment in use.
#[derive(Clone, Copy, Debug)]
struct Current {
    named: NamedSegment,
    /// Where the next batch goes.
    end: u64,
    first: Sequence,
    last: Sequence,
    last_checksum: u32,
    holds_records: bool,
}

impl Current {
    fn closed(&self) -> ClosedSegment {
        ClosedSegment {
            ordinal: self.named.ordinal,
            first: self.first,
            last: self.last,
            bytes: self.end,
            last_checksum: self.last_checksum,
        }
    }
}

/// Where the batch in flight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Writing,
    Syncing,
    /// Its segment failed; it waits for the next one to be named.
    AwaitingSegment,
}

/// The one batch that is on its way to the disk.
#[derive(Debug)]
struct Flight {
    stage: Stage,
    segment: NamedSegment,
    offset: u64,
    assembled: Assembled,
    sequence: Sequence,
    resolved: Sequence,
    records: u32,
    /// Carries the segment header: the first batch of its segment.
    enters: bool,
    /// Seal epoch of the segment that it is written into.
    epoch: Epoch,
    /// Written once already, into a segment that failed.
    failover: bool,
    /// The bytes, while the driver does not have them.
    blocks: Option<Box<Blocks>>,
}

/// Counters of a log, for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogCounters {
    /// Batches that became durable: each cost one flush.
    pub syncs: u64,
    /// Bytes of those batches on disk, padding included.
    pub bytes: u64,
    /// Records in them.
    pub records: u64,
    /// Failed or short writes and failed syncs.
    pub errors: u64,
}

/// The writing end of one log.
#[derive(Debug)]
pub struct LogWriter {
    installation: [u8; 16],
    incarnation: [u8; 16],
    log: LogId,
    sync: SyncMode,
    current: Option<Current>,
    upcoming: Option<NamedSegment>,
    open: OpenBatch,
    open_sequence: Sequence,
    flight: Option<Flight>,
    idle_blocks: Option<Box<Blocks>>,
    durable: Sequence,
    watermark: ResolvedWatermark,
    durable_resolved: Sequence,
    /// Seal epoch of the segment in use.
    epoch: Epoch,
    /// The keeper asked for a roll behind this sequence, to begin this seal epoch. Gone once the batch that rolls is on its
    /// way, which carries the epoch from then on.
    roll: Option<(Sequence, Epoch)>,
    quiet_since_us: u64,
    marked: bool,
    wants_mark: bool,
    /// Totals since start.
    pub counters: LogCounters,
}

impl LogWriter {
    /// A log that has no batch yet. Bodies of one batch are bounded so that, with the dispositions of all requests in flight, it
    /// fits into an empty segment.
    pub fn new(start: &LogStart, mut open: OpenBatch, blocks: Box<Blocks>) -> LogWriter {
        open.bound_bodies((start.first.bytes / 4) as usize);
        let durable = Sequence::before_first(start.log.start);
        LogWriter {
            installation: start.installation,
            incarnation: start.incarnation,
            log: start.log,
            sync: start.sync,
            current: None,
            upcoming: Some(start.first),
            open,
            open_sequence: Sequence(durable.0 + 1),
            flight: None,
            idle_blocks: Some(blocks),
            durable,
            watermark: ResolvedWatermark::new(durable),
            durable_resolved: durable,
            epoch: Epoch::first(),
            roll: None,
            quiet_since_us: 0,
            marked: true,
            wants_mark: false,
            counters: LogCounters::default(),
        }
    }

    /// The last sequence that is on disk, as is every earlier one.
    pub fn durable(&self) -> Sequence {
        self.durable
    }

    /// Seal epoch that what is in the open batch belongs to: that of the segment that it will be written into, or a later
    /// one where another roll is asked for meanwhile. Never an earlier one: what is stamped with it may leave memory once the
    /// epoch is sealed.
    pub fn epoch(&self) -> Epoch {
        match (self.roll, &self.flight) {
            (Some((last, epoch)), _) if self.open_sequence > last => epoch,
            (_, Some(flight)) => flight.epoch,
            (_, None) => self.epoch,
        }
    }

    /// Whether a batch opens the next segment because the keeper asked for it.
    fn rolls_with(&self, sequence: Sequence) -> bool {
        self.roll.is_some_and(|(last, _)| sequence > last)
    }

    /// The segment in use as it stands, should it be closed now; none before the first batch.
    pub fn in_use(&self) -> Option<ClosedSegment> {
        self.current.map(|current| current.closed())
    }

    /// Nothing is open and nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        self.open.is_empty() && self.flight.is_none()
    }

    /// Whether the keeper was asked for the next segment and has not named it yet.
    pub fn awaits_segment(&self) -> bool {
        self.upcoming.is_none()
    }

    /// Whether the last durable batch is a mark, or there is none at all.
    pub fn is_marked(&self) -> bool {
        self.marked && !self.wants_mark
    }

    /// Every body up to this position has its disposition on disk.
    pub fn resolved_durably(&self) -> Sequence {
        if planted(Bug::ResolvedBeforeDurable) {
            return self.watermark.upto();
        }
        self.watermark.upto().min(self.durable_resolved)
    }

    /// Bytes of bodies in the open batch.
    pub fn open_bodies_bytes(&self) -> usize {
        self.open.bodies_bytes()
    }

    /// Appends a body; its disposition is owed from now on.
    pub fn push_body(&mut self, body: &[u8], meta: &BodyMeta<'_>) -> Place {
        let index = self.open.push_body(body, meta);
        self.watermark.body(self.open_sequence);
        Place {
            sequence: self.open_sequence,
            index,
        }
    }

    /// The bytes of the bodies in the open batch, end to end.
    pub fn open_bodies(&self) -> &[u8] {
        self.open.bodies_part()
    }

    /// Whether one more body goes into the open batch when everything ahead of it has.
    pub fn fits_behind(&self, ahead: Ahead, body_bytes: usize) -> bool {
        self.open.fits_behind(ahead, body_bytes)
    }

    /// Appends the first disposition of a body. Returns the sequence that makes it durable.
    pub fn push_disposition(&mut self, of: Place, disposition: &Entry<'_>) -> Sequence {
        self.open.push(disposition);
        self.watermark.disposition(of.sequence);
        self.open_sequence
    }

    /// Appends a decision for a body that has the disposition `unanswered` already. Returns the sequence that makes it durable.
    pub fn push_late(&mut self, disposition: &Entry<'_>) -> Sequence {
        self.open.push(disposition);
        self.open_sequence
    }

    /// Takes the segment that the keeper named.
    pub fn offer(&mut self, segment: NamedSegment) {
        assert!(
            self.upcoming.is_none(),
            "one segment ahead is named at a time"
        );
        self.upcoming = Some(segment);
    }

    /// Asks for the next seal epoch. What is in the open batch already still belongs to this one, so that batch may go
    /// into the current segment and the one behind it opens the next.
    pub fn roll<O: From<LogOp>>(&mut self, epoch: Epoch, ops: &mut Vec<O>) {
        let last = match self.open.is_empty() {
            true => Sequence(self.open_sequence.0 - 1),
            false => self.open_sequence,
        };
        self.roll = Some((last, epoch));
        if self.flight.is_none() {
            self.begin_epoch_in_place(ops);
        }
    }

    /// Nothing is in flight. Where the open batch is to open the next segment and the current one holds no records, there is
    /// nothing to divide: the epoch begins in the current one.
    fn begin_epoch_in_place<O: From<LogOp>>(&mut self, ops: &mut Vec<O>) {
        let holds_records = self.current.is_some_and(|current| current.holds_records);
        let due = self.roll.filter(|(last, _)| self.open_sequence > *last);
        let Some((_, epoch)) = due.filter(|_| !holds_records) else {
            return;
        };
        self.roll = None;
        self.epoch = epoch;
        let ordinal = self.current.map_or(0, |current| current.named.ordinal);
        ops.push(
            LogOp::Epoch(EpochBegun {
                log: self.log,
                ordinal,
                epoch,
            })
            .into(),
        );
    }

    /// Asks for a mark at the next commit, idle or not: the clean-stop mark.
    pub fn mark(&mut self) {
        self.wants_mark = !self.marked || self.wants_mark;
    }

    /// When the log wants to be marked, if it stays quiet.
    pub fn mark_due_us(&self) -> Option<u64> {
        if !self.is_quiet() || planted(Bug::IdleMarkMissing) {
            return None;
        }
        match (self.marked, self.current.is_some()) {
            (false, _) => Some(self.quiet_since_us + IDLE_MARK_US),
            (true, true) => Some(self.quiet_since_us + CLOCK_MARK_US),
            (true, false) => None,
        }
    }

    /// Hands the open batch to the driver if there is one and nothing is in flight.
    pub fn commit<O: From<LogOp>>(&mut self, now: Now, clock_s: u32, ops: &mut Vec<O>) {
        let syncing = self
            .flight
            .as_ref()
            .is_some_and(|flight| flight.stage == Stage::Syncing);
        if planted(Bug::TwoBatchesInFlight) && syncing && !self.open.is_empty() {
            self.became_durable(ops);
        }
        if let Some(flight) = &self.flight {
            if flight.stage == Stage::AwaitingSegment {
                self.failover(ops);
            }
            return;
        }
        self.begin_epoch_in_place(ops);
        let mark_is_due = self.wants_mark
            || self
                .mark_due_us()
                .is_some_and(|due_us| due_us <= now.mono_us);
        let rolls = self.upcoming.is_some() && self.rolls_with(self.open_sequence);
        if self.open.is_empty() && !mark_is_due && !rolls {
            return;
        }
        if self.idle_blocks.is_some() && self.submit_open(now, clock_s, ops) {
            self.quiet_since_us = now.mono_us;
        }
    }

    /// Assembles the open batch and submits it. `false`: it needs a segment that is not named yet.
    fn submit_open<O: From<LogOp>>(&mut self, now: Now, clock_s: u32, ops: &mut Vec<O>) -> bool {
        // A mark holds no records that an epoch could divide: it does not wait for the segment that the next one begins in.
        let marks_here = self.open.is_empty() && self.upcoming.is_none();
        let due = self.roll.filter(|(last, _)| self.open_sequence > *last);
        let rolls = due.filter(|_| !marks_here);
        let (stays, epoch) = (
            rolls.is_none(),
            rolls.map_or(self.epoch, |(_, epoch)| epoch),
        );
        let room = self.current.filter(|current| {
            stays && current.end + self.open.assembled_bytes() as u64 <= current.named.bytes
        });
        let (segment, offset, enters, previous) = match (room, self.upcoming) {
            (Some(current), _) => (current.named, current.end, false, current.last_checksum),
            (None, Some(next)) => (next, 0, true, 0),
            (None, None) => return false,
        };
        let Some(mut blocks) = self.idle_blocks.take() else {
            return false;
        };
        let lead = enters.then(|| self.header_of(&segment));
        let sequence = self.open_sequence;
        self.roll = self.roll.filter(|_| stays);
        self.watermark.batch(sequence);
        let fields = BatchFields {
            salt: segment.salt,
            sequence,
            expiry_clock_s: clock_s,
            wall_us: now.wall_us,
            durable_upto: self.durable,
            resolved_upto: self.watermark.upto(),
            previous_checksum: previous,
        };
        let assembled = self.open.assemble(&fields, lead.as_ref(), &mut blocks);
        assert!(
            offset + assembled.bytes as u64 <= segment.bytes,
            "a batch fits into a fresh segment"
        );
        let (records, resolved) = (self.open.records(), fields.resolved_upto);
        self.open.clear();
        let Some(next) = sequence.next() else {
            ops.push(
                LogOp::Fail(LogFailure {
                    code: 75,
                    reason: "the log's counter is full; start the gateway again".into(),
                })
                .into(),
            );
            return true;
        };
        self.open_sequence = next;
        self.wants_mark = false;
        let stage = Stage::Writing;
        let flight = Flight {
            stage,
            segment,
            offset,
            assembled,
            sequence,
            resolved,
            records,
            enters,
            epoch,
            failover: false,
            blocks: None,
        };
        self.submit(flight, blocks, ops);
        true
    }

    fn submit<O: From<LogOp>>(
        &mut self,
        mut flight: Flight,
        blocks: Box<Blocks>,
        ops: &mut Vec<O>,
    ) {
        if flight.enters {
            self.upcoming = None;
        }
        flight.stage = Stage::Writing;
        flight.blocks = None;
        ops.push(
            LogOp::Write {
                file: flight.segment.file,
                offset: flight.offset,
                blocks,
            }
            .into(),
        );
        if planted(Bug::SyncBeforeWriteCompleted) && self.sync == SyncMode::WriteThenSync {
            ops.push(LogOp::Sync(flight.segment.file).into());
        }
        self.flight = Some(flight);
    }

    fn header_of(&self, segment: &NamedSegment) -> SegmentHeader {
        SegmentHeader {
            installation: self.installation,
            incarnation: self.incarnation,
            log: self.log,
            ordinal: segment.ordinal,
            salt: segment.salt,
            generation: segment.generation,
            predecessor: self.current.map(|current| Predecessor {
                ends_after: current.last,
                checksum: current.last_checksum,
            }),
            made_bytes: Some(segment.bytes),
        }
    }

    /// The write in flight ended.
    pub fn written<O: From<LogOp>>(
        &mut self,
        blocks: Box<Blocks>,
        result: Result<u32, Errno>,
        ops: &mut Vec<O>,
    ) {
        let Some(flight) = self.flight.as_mut() else {
            self.idle_blocks = Some(blocks);
            return;
        };
        let full = result.is_ok_and(|bytes| bytes as usize == flight.assembled.bytes);
        let taken_as_full = planted(Bug::ShortWriteTakenAsFull) && result.is_ok();
        if !full && !taken_as_full {
            flight.blocks = Some(blocks);
            return self.failed(ops);
        }
        flight.stage = Stage::Syncing;
        flight.blocks = Some(blocks);
        match self.sync {
            SyncMode::Dsync => self.became_durable(ops),
            SyncMode::WriteThenSync if planted(Bug::AckBeforeSync) => self.became_durable(ops),
            SyncMode::WriteThenSync if planted(Bug::SyncBeforeWriteCompleted) => {}
            SyncMode::WriteThenSync => ops.push(LogOp::Sync(flight.segment.file).into()),
        }
    }

    /// The sync in flight ended.
    pub fn synced<O: From<LogOp>>(&mut self, result: Result<(), Errno>, ops: &mut Vec<O>) {
        match (&self.flight, result) {
            (Some(flight), Ok(())) if flight.stage == Stage::Syncing => self.became_durable(ops),
            (Some(flight), Err(_)) if flight.stage == Stage::Syncing => self.failed(ops),
            _ => {}
        }
    }

    fn became_durable<O: From<LogOp>>(&mut self, ops: &mut Vec<O>) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        assert_eq!(flight.sequence.0, self.durable.0 + 1, "durable is a prefix");
        self.counters.syncs += 1;
        self.counters.bytes += flight.assembled.bytes as u64;
        self.counters.records += u64::from(flight.records);
        if flight.enters {
            self.enter(&flight, true, ops);
        }
        if let Some(current) = self.current.as_mut() {
            current.end = flight.offset + flight.assembled.bytes as u64;
            current.last = flight.sequence;
            current.last_checksum = flight.assembled.checksum;
            current.holds_records |= flight.records > 0;
        }
        self.durable = flight.sequence;
        self.durable_resolved = flight.resolved;
        self.marked = flight.records == 0;
        self.idle_blocks = flight.blocks;
        self.invariants();
    }

    /// The first batch of a segment is durable (or the segment failed empty): the one before is closed.
    fn enter<O: From<LogOp>>(&mut self, flight: &Flight, durable: bool, ops: &mut Vec<O>) {
        self.epoch = flight.epoch;
        let before = self.current.replace(Current {
            named: flight.segment,
            end: 0,
            first: Sequence(self.durable.0 + 1),
            last: self.durable,
            last_checksum: self.current.map_or(0, |current| current.last_checksum),
            holds_records: false,
        });
        ops.push(
            LogOp::Entered(Entered {
                log: self.log,
                ordinal: flight.segment.ordinal,
                durable,
                epoch: self.epoch,
                closed: before.map(|before| before.closed()),
            })
            .into(),
        );
    }

    /// The batch in flight is unconfirmed: it goes on in the next segment, the failed one is never written again.
    fn failed<O: From<LogOp>>(&mut self, ops: &mut Vec<O>) {
        self.counters.errors += 1;
        let Some(mut flight) = self.flight.take() else {
            return;
        };
        if flight.failover {
            ops.push(LogOp::Fail(LogFailure {
                code: 74,
                reason: format!(
                    "the log cannot be written: batch {} of log {} failed in two segments in a row; check the disk under WAL_DIR \
                     (kernel log, free space), then start again — nothing acknowledged is lost",
                    flight.sequence, self.log
                ),
            }).into());
            return;
        }
        if planted(Bug::FailedSegmentWrittenAgain) {
            flight.failover = true;
            let blocks = flight.blocks.take().unwrap_or_default();
            return self.submit(flight, blocks, ops);
        }
        if flight.enters {
            self.enter(&flight, false, ops);
        }
        flight.stage = Stage::AwaitingSegment;
        self.flight = Some(flight);
        self.failover(ops);
    }

    fn failover<O: From<LogOp>>(&mut self, ops: &mut Vec<O>) {
        let Some(next) = self.upcoming else { return };
        let lead = self.header_of(&next);
        let Some(mut flight) = self.flight.take() else {
            return;
        };
        let Some(mut blocks) = flight.blocks.take() else {
            return;
        };
        let Ok(assembled) = rewrite(&mut blocks, &lead) else {
            unreachable!("a batch that we assembled has a valid header");
        };
        flight.assembled = assembled;
        flight.segment = next;
        flight.offset = 0;
        flight.enters = true;
        flight.failover = true;
        self.submit(flight, blocks, ops);
    }

    fn invariants(&self) {
        debug_assert!(self.watermark.upto() <= self.open_sequence);
        debug_assert!(self.durable < self.open_sequence);
        debug_assert!(
            self.current
                .is_none_or(|current| current.end.is_multiple_of(BLOCK_BYTES as u64))
        );
    }
}
