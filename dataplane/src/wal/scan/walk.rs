//! The walk through the batches of one segment: which batch must come next, whether it does, and what is there instead. It
//! decides nothing about the rest of the log.

use super::BLOCK;
use super::reading::{Halt, LogReader, unreadable};
use super::report::{BatchAt, LastBatch, LogVerdict, Unsupported, Why};
use super::window::{ReadAt, Window};
use crate::planted::{Bug, planted};
use crate::wal::batch::{Batch, BatchFault, BatchHeader, read_batch_with};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::SegmentEntry;
use crate::wal::name::{Place, Sequence};
use crate::wal::segment::Predecessor;

/// The first position that was not taken, and what is there.
#[derive(Clone, Copy)]
pub(super) struct WalkEnd {
    pub(super) offset: u64,
    pub(super) why: Why,
}

/// How far a segment may be walked through.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes that may be looked at.
    pub(super) bytes: u64,
    /// The last sequence that counts here, where the manifest or the header of the next segment states it.
    pub(super) end: Option<Sequence>,
}

/// What a position holds.
enum AtOffset {
    /// The expected batch, of this many bytes. It was visited.
    Taken(u64),
    /// Anything else.
    Other(Why),
    /// Nothing that is looked at: the segment ends here, as was stated.
    End,
}

impl<R: ReadAt, V: FnMut(&BatchAt, &Batch<'_>)> LogReader<'_, R, V> {
    /// Visits the batches of a segment from its first one on, and returns the first position that it did not take. The first
    /// batch repeats the checksum of the segment header, which must have been entered.
    pub(super) async fn walk(
        &mut self,
        (entry, file): (&SegmentEntry, &R),
        header_checksum: u32,
        bounds: Bounds,
    ) -> Result<WalkEnd, Halt> {
        let mut window = Window::new(file);
        let mut chain = header_checksum;
        let mut offset = BLOCK;
        loop {
            assert!(offset.is_multiple_of(BLOCK), "batches begin at blocks");
            match self.step(entry, &mut window, offset, chain, bounds).await? {
                AtOffset::Taken(bytes) => offset += bytes,
                AtOffset::Other(why) => return Ok(WalkEnd { offset, why }),
                AtOffset::End => {
                    let why = Why::Extent;
                    return Ok(WalkEnd { offset, why });
                }
            }
            // What was taken is what the next header must repeat.
            chain = self.cursor.end().map_or(chain, |end| end.checksum);
        }
    }

    /// Takes the expected batch at an offset, or says what is there instead.
    async fn step(
        &mut self,
        entry: &SegmentEntry,
        window: &mut Window<&R>,
        offset: u64,
        chain: u32,
        bounds: Bounds,
    ) -> Result<AtOffset, Halt> {
        if bounds.end.is_some_and(|end| self.cursor.last() >= end) {
            return Ok(AtOffset::End);
        }
        let Some(expected) = self.cursor.expected() else {
            return Ok(AtOffset::Other(Why::Full));
        };
        let cut = Ok(AtOffset::Other(Why::Batch(BatchFault::Cut)));
        if offset + BLOCK > bounds.bytes {
            return cut;
        }
        let block = window.get(offset, BLOCK_BYTES).await;
        let Some(block) = block.map_err(|errno| unreadable(entry, errno))? else {
            return cut;
        };
        let header = match BatchHeader::decode(block) {
            Ok(header) => header,
            Err(fault) => return Ok(AtOffset::Other(Why::Batch(BatchFault::Header(fault)))),
        };
        if !self.is_expected(entry, &header, expected, chain) {
            return Ok(AtOffset::Other(Why::NotExpected));
        }
        let at = BatchAt {
            ordinal: entry.ordinal,
            offset,
            bytes: header.bytes(),
        };
        if offset + at.bytes as u64 > bounds.bytes {
            return cut;
        }
        let bytes = window.get(offset, at.bytes).await;
        let Some(bytes) = bytes.map_err(|errno| unreadable(entry, errno))? else {
            return cut;
        };
        let log = self.source.log.id;
        let erased = |sequence, index| (self.source.erased)(log, Place { sequence, index });
        match read_batch_with(bytes, erased) {
            Ok(batch) => {
                self.take(&at, &batch);
                Ok(AtOffset::Taken(at.bytes as u64))
            }
            Err(fault) => self.not_whole(&at, expected, fault).map(AtOffset::Other),
        }
    }

    /// Whether a header is the one that must follow in this segment.
    fn is_expected(
        &self,
        entry: &SegmentEntry,
        header: &BatchHeader,
        expected: Sequence,
        chain: u32,
    ) -> bool {
        let fields = &header.fields;
        let ours = fields.salt == entry.salt || planted(Bug::RecycledBatchReplayed);
        let follows = !self.cursor.is_chained(expected) || fields.previous_checksum == chain;
        ours && fields.sequence == expected && follows
    }

    /// What a batch that cannot be taken means. Where all checksums match but the content makes no sense the write was
    /// complete, so it is never a torn one.
    fn not_whole(&self, at: &BatchAt, expected: Sequence, fault: BatchFault) -> Result<Why, Halt> {
        match fault {
            BatchFault::Record(unknown) if unknown.is_newer() => {
                Err(Halt(LogVerdict::Unsupported {
                    ordinal: at.ordinal,
                    offset: at.offset,
                    what: Unsupported::Record(unknown),
                }))
            }
            BatchFault::Record(_) | BatchFault::Layout => {
                Err(self.damage(at.ordinal, at.offset, expected, Why::Batch(fault)))
            }
            BatchFault::Header(_) | BatchFault::Cut | BatchFault::Index | BatchFault::Body(_) => {
                Ok(Why::Batch(fault))
            }
        }
    }

    /// Counts a whole batch and shows it.
    fn take(&mut self, at: &BatchAt, batch: &Batch<'_>) {
        let header = batch.header;
        let fields = &header.fields;
        let (Some(before), Some(segment)) = (self.cursor.end(), self.end.segments.last_mut())
        else {
            unreachable!("a batch is only looked for behind a segment header")
        };
        assert_eq!(
            segment.ordinal, at.ordinal,
            "it lies in the segment that was entered"
        );
        self.cursor.move_to(Predecessor {
            ends_after: fields.sequence,
            checksum: header.checksum,
        });
        let extent = &mut segment.extent;
        if extent.first > extent.last {
            extent.first = fields.sequence;
        }
        extent.last = fields.sequence;
        extent.bytes = at.offset + at.bytes as u64;
        extent.last_checksum = header.checksum;
        self.end.checksum = Some(header.checksum);
        self.end.batches += 1;
        self.end.last_batch = Some(LastBatch {
            at: *at,
            header,
            before,
        });
        self.end.expiry_clock_s = self.end.expiry_clock_s.max(fields.expiry_clock_s);
        self.end.wall_us = fields.wall_us;
        self.end.resolved_upto = self.end.resolved_upto.max(fields.resolved_upto);
        (self.visit)(at, batch);
    }
}
