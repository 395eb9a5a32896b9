//! The segment in use: where its next batch goes, and what it holds.

use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::name::{ClosedSegment, NamedSegment, Sequence};
use crate::wal::segment::Predecessor;

/// The segment in use. It holds durable batches only.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentInUse {
    pub(super) named: NamedSegment,
    /// Where the next batch goes.
    pub(super) end: u64,
    pub(super) last_checksum: u32,
    pub(super) holds_records: bool,
    first: Sequence,
    last: Sequence,
}

impl SegmentInUse {
    /// A segment without a batch, where the log stands at `durable` with this checksum.
    pub(super) fn empty(named: NamedSegment, durable: Sequence, checksum: u32) -> SegmentInUse {
        SegmentInUse {
            named,
            end: 0,
            last_checksum: checksum,
            holds_records: false,
            first: Sequence(durable.0 + 1),
            last: durable,
        }
    }

    /// A batch is durable behind the others, `bytes` long with the segment header where that leads.
    pub(super) fn push(&mut self, sequence: Sequence, bytes: usize, checksum: u32, records: u32) {
        assert_eq!(
            sequence.0,
            self.last.0 + 1,
            "batches of a segment are numbered without holes"
        );
        self.end += bytes as u64;
        self.last = sequence;
        self.last_checksum = checksum;
        self.holds_records |= records > 0;
        assert!(self.end <= self.named.bytes && self.end.is_multiple_of(BLOCK_BYTES as u64));
    }

    /// The segment as it stands, should nothing more be written into it.
    pub(super) fn closed(&self) -> ClosedSegment {
        ClosedSegment {
            ordinal: self.named.ordinal,
            first: self.first,
            last: self.last,
            bytes: self.end,
            last_checksum: self.last_checksum,
        }
    }

    /// What the header of the segment behind this one states of it.
    pub(super) fn as_predecessor(&self) -> Predecessor {
        Predecessor {
            ends_after: self.last,
            checksum: self.last_checksum,
        }
    }
}
