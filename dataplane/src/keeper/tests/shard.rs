//! A shard as the keeper's tests have it: it writes batches into the segments that were named to it, and knows what it was
//! told. It never waits and keeps no connection.

use crate::dedup::Decided;
use crate::io::Now;
use crate::keeper::tests::disk::TestDisk;
use crate::mesh::keeper::{Begin, Shortage};
use crate::wal::Epoch;
use crate::wal::batch::{BatchFields, OpenBatch};
use crate::wal::buffer::Blocks;
use crate::wal::name::Sequence;
use crate::wal::name::{ClosedSegment, NamedSegment};
use crate::wal::segment::{Predecessor, SegmentHeader};
use crate::wal::writer::Entered;

/// A shard as far as the keeper knows it.
pub(crate) struct FakeShard {
    pub(crate) begin: Box<Begin>,
    pub(crate) loaded: Vec<Decided>,
    pub(crate) serving: Option<bool>,
    pub(crate) space_low: Option<Shortage>,
    pub(crate) slices: u64,
    pub(crate) sealed_epoch: Epoch,
    pub(crate) draining: bool,
    pub(crate) current: NamedSegment,
    pub(crate) next: Option<NamedSegment>,
    /// Nothing was written into `current` yet.
    pub(crate) fresh: bool,
    pub(crate) predecessor: Option<Predecessor>,
    pub(crate) offset: u64,
    pub(crate) sequence: Sequence,
    pub(crate) first: Sequence,
    pub(crate) checksum: u32,
    pub(crate) records: u32,
    /// The last batch is a mark, or there is none.
    pub(crate) marked: bool,
    pub(crate) epoch: Epoch,
}

impl FakeShard {
    pub(crate) fn new(begin: Box<Begin>) -> FakeShard {
        let before = Sequence::before_first(begin.log.start);
        FakeShard {
            current: begin.first,
            loaded: Vec::new(),
            serving: None,
            space_low: None,
            slices: 0,
            sealed_epoch: Epoch::earlier_runs().previous(),
            draining: false,
            next: None,
            fresh: true,
            predecessor: None,
            offset: 0,
            sequence: before,
            first: before,
            checksum: 0,
            records: 0,
            marked: true,
            epoch: Epoch::first(),
            begin,
        }
    }

    /// The last sequence written.
    pub(crate) fn last(&self) -> Sequence {
        self.sequence
    }

    /// Seal epoch that the next decision is stamped with.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What it was last told as sealed.
    pub(crate) fn sealed_epoch(&self) -> Epoch {
        self.sealed_epoch
    }

    /// Position of the segment that it writes.
    pub(crate) fn current_ordinal(&self) -> u32 {
        self.current.ordinal
    }

    /// The segment named to it after the one in use.
    pub(crate) fn next_segment(&self) -> Option<NamedSegment> {
        self.next
    }

    pub(crate) fn header(&self) -> SegmentHeader {
        SegmentHeader {
            installation: self.begin.installation,
            incarnation: self.begin.incarnation,
            log: self.begin.log,
            ordinal: self.current.ordinal,
            salt: self.current.salt,
            generation: self.current.generation,
            predecessor: self.predecessor,
            made_bytes: Some(self.current.bytes),
        }
    }

    /// Encodes the open batch as the next one. Returns where it goes and its bytes.
    pub(crate) fn encode(&mut self, batch: &OpenBatch, now: Now) -> (u64, Vec<u8>, u32) {
        let fields = BatchFields {
            salt: self.current.salt,
            sequence: self.sequence.next().expect("room in the counter"),
            expiry_clock_s: self.begin.clock.at(now.mono_us),
            wall_us: now.wall_us,
            durable_upto: self.sequence,
            resolved_upto: self.sequence,
            previous_checksum: self.checksum,
        };
        let lead = self.fresh.then(|| self.header());
        let mut blocks = Blocks::default();
        let assembled = batch.assemble(&fields, lead.as_ref(), &mut blocks);
        (self.offset, blocks.bytes().to_vec(), assembled.checksum)
    }

    /// Writes the open batch durably and says what the keeper is told.
    pub(crate) fn append(
        &mut self,
        disk: &mut TestDisk,
        batch: &OpenBatch,
        now: Now,
    ) -> Option<Entered> {
        let closed = self.roll_if_full(batch);
        let (offset, bytes, checksum) = self.encode(batch, now);
        disk.shard_write(self.current.file, offset, &bytes);
        self.offset += bytes.len() as u64;
        self.sequence = self.sequence.next().expect("room in the counter");
        self.checksum = checksum;
        self.records += batch.records();
        self.marked = batch.records() == 0;
        let entered = self.fresh;
        if entered {
            self.fresh = false;
            self.first = self.sequence;
        }
        entered.then_some(Entered {
            log: self.begin.log,
            ordinal: self.current.ordinal,
            durable: true,
            epoch: self.epoch,
            closed,
        })
    }

    /// Whether a body and its decision can be written without another segment having to be named.
    pub(crate) fn has_room_for(&self, body_bytes: usize) -> bool {
        self.next.is_some() || self.fits(body_bytes, 2)
    }

    fn fits(&self, bodies_bytes: usize, records: u32) -> bool {
        let needs = 8192 + 4096 + bodies_bytes as u64 + u64::from(records) * 300;
        self.fresh || self.offset + needs <= self.current.bytes
    }

    fn roll_if_full(&mut self, batch: &OpenBatch) -> Option<ClosedSegment> {
        if self.fits(batch.bodies_bytes(), batch.records()) {
            return None;
        }
        Some(self.roll())
    }

    /// The segment in use as it stands.
    pub(crate) fn closed(&self) -> ClosedSegment {
        ClosedSegment {
            ordinal: self.current.ordinal,
            first: self.first,
            last: self.sequence,
            bytes: self.offset,
            last_checksum: self.checksum,
        }
    }

    /// Goes on in the next segment.
    pub(crate) fn roll(&mut self) -> ClosedSegment {
        let closed = self.closed();
        self.predecessor = Some(Predecessor {
            ends_after: self.sequence,
            checksum: self.checksum,
        });
        self.current = self
            .next
            .take()
            .expect("the next segment was named in time");
        self.fresh = true;
        self.offset = 0;
        self.records = 0;
        closed
    }
}
