//! The writing end of one log, sans-IO: one open batch that fills, at most one batch in flight, the durable prefix behind
//! it. Decides when to roll, fail over after a failed write, and mark an idle log; never opens, closes or reads a file.
//!
//! Cursors, in order: `resolved <= durable < open`. A batch in flight is always `durable + 1`.

use super::batch::{Ahead, OpenBatch};
use super::buffer::Blocks;
use super::name::{ClosedSegment, LogId, NamedSegment, Place, Sequence};
use super::record::{BodyMeta, Entry};
use super::segment::{SegmentHeader, SegmentLabels};
use super::watermark::ResolvedWatermark;
use crate::io::SyncMode;
use crate::planted::{Bug, planted};
use crate::wal::Epoch;

mod commit;
mod completions;
mod in_flight;
mod marks;
mod mistakes;
mod ops;
mod segment;
#[cfg(test)]
mod tests;

pub use self::marks::{CLOCK_MARK_US, IDLE_MARK_US};
pub use self::ops::{Entered, EpochBegun, LogFailure, LogOp, LogStart};

use self::in_flight::InFlight;
use self::marks::{LastBatch, Marks};
use self::segment::SegmentInUse;

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

/// A roll that the keeper asked for. Gone once the batch that rolls is on its way, which carries the epoch from then on.
#[derive(Clone, Copy, Debug)]
struct PendingRoll {
    /// The last batch that may go into the segment in use.
    last: Sequence,
    /// Seal epoch of what comes behind it.
    epoch: Epoch,
}

/// The writing end of one log.
#[derive(Debug)]
pub struct LogWriter {
    installation: [u8; 16],
    incarnation: [u8; 16],
    labels: SegmentLabels,
    log: LogId,
    sync: SyncMode,
    current: Option<SegmentInUse>,
    /// The segment that the keeper has named and that is not entered yet.
    upcoming: Option<NamedSegment>,
    open: OpenBatch,
    open_sequence: Sequence,
    in_flight: InFlight,
    durable: Sequence,
    watermark: ResolvedWatermark,
    durable_resolved: Sequence,
    /// Seal epoch of the segment in use.
    epoch: Epoch,
    roll: Option<PendingRoll>,
    marks: Marks,
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
            labels: start.labels,
            log: start.log,
            sync: start.sync,
            current: None,
            upcoming: Some(start.first),
            open,
            open_sequence: Sequence(durable.0 + 1),
            in_flight: InFlight::Nothing(blocks),
            durable,
            watermark: ResolvedWatermark::new(durable),
            durable_resolved: durable,
            epoch: Epoch::first(),
            roll: None,
            marks: Marks::of_new_log(),
            counters: LogCounters::default(),
        }
    }

    /// The last sequence that is on disk, as is every earlier one.
    pub fn durable(&self) -> Sequence {
        self.durable
    }

    /// The last sequence that was handed to the driver.
    pub fn submitted(&self) -> Sequence {
        self.in_flight
            .batch()
            .map_or(self.durable, |batch| batch.sequence)
    }

    /// Seal epoch that what is in the open batch belongs to: that of the segment that it will be written into, or a later
    /// one where another roll is asked for meanwhile. Never an earlier one: what is stamped with it may leave memory once the
    /// epoch is sealed.
    pub fn epoch(&self) -> Epoch {
        match (self.due_roll(), self.in_flight.batch()) {
            (Some(roll), _) => roll.epoch,
            (None, Some(batch)) => batch.epoch,
            (None, None) => self.epoch,
        }
    }

    /// The roll that the open batch begins, if it does.
    fn due_roll(&self) -> Option<PendingRoll> {
        self.roll.filter(|roll| self.open_sequence > roll.last)
    }

    /// The segment in use as it stands, should it be closed now; none before the first batch.
    pub fn in_use(&self) -> Option<ClosedSegment> {
        self.current.map(|current| current.closed())
    }

    /// Nothing is open and nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        self.open.is_empty() && self.in_flight.batch().is_none()
    }

    /// Whether the keeper was asked for the next segment and has not named it yet.
    pub fn awaits_segment(&self) -> bool {
        self.upcoming.is_none()
    }

    /// Whether the last durable batch is a mark, or there is none at all.
    pub fn is_marked(&self) -> bool {
        self.marks.last != LastBatch::Records && !self.marks.is_wanted
    }

    /// Every body up to this position has its disposition on disk.
    pub fn resolved_durably(&self) -> Sequence {
        match planted(Bug::ResolvedBeforeDurable) {
            true => self.watermark.upto(),
            false => self.watermark.upto().min(self.durable_resolved),
        }
    }

    /// The sequence that the open batch will have.
    pub fn open_sequence(&self) -> Sequence {
        self.open_sequence
    }

    /// What bodies of one batch come to at most, unless it is one larger body.
    pub fn bodies_bytes_max(&self) -> usize {
        self.open.bodies_bytes_max()
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

    /// Appends the first disposition of a body, which came as this line of its request (0: as all of it). Returns the sequence
    /// that makes it durable.
    pub fn push_disposition(&mut self, of: Place, line: u32, disposition: &Entry<'_>) -> Sequence {
        self.open.push_line(disposition, line);
        self.watermark.disposition(of.sequence);
        self.open_sequence
    }

    /// Appends a decision for a body that has the disposition `unanswered` already. Returns the sequence that makes it durable.
    pub fn push_late(&mut self, line: u32, disposition: &Entry<'_>) -> Sequence {
        self.open.push_line(disposition, line);
        self.open_sequence
    }

    /// Takes the segment that the keeper named.
    pub fn offer(&mut self, segment: NamedSegment) {
        assert!(
            self.upcoming.is_none(),
            "one segment ahead is named at a time"
        );
        let entered = self.current.map(|current| current.named.ordinal);
        assert_eq!(
            entered.map(|entered| entered + 1),
            Some(segment.ordinal),
            "the segment behind the one that was entered is named"
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
        self.roll = Some(PendingRoll { last, epoch });
        if self.in_flight.batch().is_none() {
            self.begin_epoch_in_place(ops);
        }
    }

    /// Nothing is in flight. Where the open batch is to open the next segment and the current one holds no records, there is
    /// nothing to divide: the epoch begins in the current one.
    fn begin_epoch_in_place<O: From<LogOp>>(&mut self, ops: &mut Vec<O>) {
        let holds_records = self.current.is_some_and(|current| current.holds_records);
        let Some(roll) = self.due_roll().filter(|_| !holds_records) else {
            return;
        };
        self.roll = None;
        self.epoch = roll.epoch;
        let ordinal = self.current.map_or(0, |current| current.named.ordinal);
        ops.push(
            LogOp::Epoch(EpochBegun {
                log: self.log,
                ordinal,
                epoch: roll.epoch,
            })
            .into(),
        );
    }

    /// Asks for a mark at the next commit, idle or not: the clean-stop mark.
    pub fn mark(&mut self) {
        self.marks.is_wanted |= self.marks.last == LastBatch::Records;
    }

    /// When the log is due for a mark, if it stays quiet.
    pub fn mark_due_us(&self) -> Option<u64> {
        match self.is_quiet() && !planted(Bug::IdleMarkMissing) {
            true => self.marks.due_us(),
            false => None,
        }
    }

    fn header_of(&self, segment: &NamedSegment) -> SegmentHeader {
        SegmentHeader {
            installation: self.installation,
            incarnation: self.incarnation,
            log: self.log,
            ordinal: segment.ordinal,
            salt: segment.salt,
            generation: segment.generation,
            predecessor: self.current.map(|current| current.as_predecessor()),
            made_bytes: Some(segment.bytes),
            labels: self.labels,
        }
    }

    /// What holds whenever a batch was submitted or became durable.
    fn invariants(&self) {
        assert!(self.durable_resolved <= self.durable && self.durable < self.open_sequence);
        assert!(self.watermark.upto() <= self.open_sequence);
        let in_flight = self.in_flight.batch().map_or(0, |_| 1);
        assert_eq!(self.durable.0 + in_flight + 1, self.open_sequence.0);
        if let Some(batch) = self.in_flight.batch() {
            assert_eq!(batch.sequence.0, self.durable.0 + 1);
        }
    }
}
