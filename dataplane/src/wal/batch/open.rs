//! The open batch: records are appended to it turn by turn, then it is encoded as one write. Its memory is taken once.
//! It knows nothing of files; where the batch goes is in the fields that it is given.

use super::header::{BatchFields, BatchHeader, HeaderFault};
use super::{
    BATCH_BODIES_BYTES, BATCH_BODIES_MAX, BATCH_HEADER_BYTES, BATCH_RECORDS_MAX, BODY_BYTES_MAX,
    INDEX_PART_BYTES_MAX,
};
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use crate::wal::checksum::{crc, put};
use crate::wal::record::{BodyMeta, BodyRecord, Entry, Flags, put_body, put_entry};
use crate::wal::segment::{SEGMENT_MAGIC, SegmentHeader};

/// What an open batch takes, from configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Bodies come to at most this many bytes, unless it is one larger body.
    pub bodies_bytes: usize,
    /// The largest single body, in bytes; at most [`BODY_BYTES_MAX`].
    pub body_bytes: usize,
}

impl Default for BatchLimits {
    fn default() -> BatchLimits {
        BatchLimits {
            bodies_bytes: BATCH_BODIES_BYTES,
            body_bytes: BODY_BYTES_MAX,
        }
    }
}

/// What will be pushed before a body that is asked about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ahead {
    /// How many bodies.
    pub bodies: usize,
    /// How many bytes they come to.
    pub bodies_bytes: usize,
    /// How many dispositions of bodies that are in the log already may follow before this batch is full.
    pub dispositions: usize,
    /// How many dispositions each body, the one asked about included, may have in one batch.
    pub dispositions_per_body: usize,
}

/// The batch that records are appended to. Its memory is reused from batch to batch.
#[derive(Debug)]
pub struct OpenBatch {
    limits: BatchLimits,
    index_part: Vec<u8>,
    bodies_part: Vec<u8>,
    records: u32,
    bodies: u32,
}

/// What was assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// Checksum of the batch header: the next batch's `previous_checksum`.
    pub checksum: u32,
    /// Bytes to write, whole blocks, the segment header included where it leads.
    pub bytes: usize,
}

impl OpenBatch {
    /// An empty batch with all the memory that it will ever need.
    pub fn new(limits: BatchLimits) -> OpenBatch {
        let limits = BatchLimits {
            bodies_bytes: limits.bodies_bytes.min(BATCH_BODIES_BYTES),
            body_bytes: limits.body_bytes.min(BODY_BYTES_MAX),
        };
        OpenBatch {
            limits,
            index_part: Vec::with_capacity(INDEX_PART_BYTES_MAX),
            bodies_part: Vec::with_capacity(limits.bodies_bytes.max(limits.body_bytes)),
            records: 0,
            bodies: 0,
        }
    }

    /// Forgets all records and keeps the memory.
    pub fn clear(&mut self) {
        self.index_part.clear();
        self.bodies_part.clear();
        self.records = 0;
        self.bodies = 0;
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// How many records it holds.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// How many of the records are bodies.
    pub fn bodies(&self) -> u32 {
        self.bodies
    }

    /// How many bytes its bodies come to.
    pub fn bodies_bytes(&self) -> usize {
        self.bodies_part.len()
    }

    /// Bytes of the bodies part, by their position in it.
    pub fn bodies_part(&self) -> &[u8] {
        &self.bodies_part
    }

    /// What the bodies of one batch come to at most, unless it is one larger body.
    pub fn bodies_bytes_max(&self) -> usize {
        self.limits.bodies_bytes
    }

    /// Lowers what the bodies of one batch come to, where the segments are small.
    pub fn bound_bodies(&mut self, bodies_bytes: usize) {
        self.limits.bodies_bytes = self.limits.bodies_bytes.min(bodies_bytes);
    }

    /// Bytes that [`OpenBatch::assemble`] gives now without a leading segment header, a whole number of blocks.
    pub fn assembled_bytes(&self) -> usize {
        (BATCH_HEADER_BYTES + self.index_part.len() + self.bodies_part.len())
            .next_multiple_of(BLOCK_BYTES)
    }

    /// Whether one more body of this many bytes may be pushed. A body that does not fit waits for the next batch; one
    /// that does not fit an empty batch is too large for the log.
    pub fn fits(&self, body_bytes: usize) -> bool {
        let ahead = Ahead {
            dispositions_per_body: 1,
            ..Ahead::default()
        };
        self.fits_behind(ahead, body_bytes)
    }

    /// Whether one more body may be pushed when everything ahead of it has been: the one place that knows what fits. A
    /// body of 0 bytes is a body like any other: a large one is pushed only where no body at all is before it.
    pub fn fits_behind(&self, ahead: Ahead, body_bytes: usize) -> bool {
        let bodies = self.bodies as usize + ahead.bodies;
        let bytes = self.bodies_part.len() + ahead.bodies_bytes;
        let alone = bodies == 0 && body_bytes <= self.limits.body_bytes;
        let beside = bytes + body_bytes <= self.limits.bodies_bytes;
        let records = self.records as usize
            + ahead.dispositions
            + (1 + ahead.dispositions_per_body) * (ahead.bodies + 1);
        (alone || beside)
            && bodies < BATCH_BODIES_MAX as usize
            && records <= BATCH_RECORDS_MAX as usize
    }

    /// Whether that many more dispositions may be pushed. Those that do not fit wait for the next batch.
    pub fn fits_entries(&self, count: u32) -> bool {
        self.records + count <= BATCH_RECORDS_MAX
    }

    /// Appends a body and returns its index. The caller has asked [`OpenBatch::fits`].
    pub fn push_body(&mut self, body: &[u8], meta: &BodyMeta<'_>) -> u32 {
        assert!(self.fits(body.len()), "a body is pushed only where it fits");
        assert!(!meta.flags.has(Flags::ERASED), "nothing is born erased");
        let record = BodyRecord {
            offset: self.bodies_part.len() as u32,
            bytes: body.len() as u32,
            checksum: crc(body),
            snapshot: meta.snapshot,
            tenant: meta.tenant,
        };
        put_body(&mut self.index_part, meta, &record);
        self.bodies_part.extend_from_slice(body);
        self.bodies += 1;
        self.count()
    }

    /// Appends any other record of a request of one record and returns its index.
    pub fn push(&mut self, entry: &Entry<'_>) -> u32 {
        self.push_line(entry, 0)
    }

    /// Appends any other record for a line (from 1) of its body and returns its index.
    pub fn push_line(&mut self, entry: &Entry<'_>, line: u32) -> u32 {
        put_entry(&mut self.index_part, line, entry);
        assert!(
            self.index_part.len() <= INDEX_PART_BYTES_MAX,
            "the index part of a batch is bounded"
        );
        self.count()
    }

    /// Counts a record and returns its index.
    fn count(&mut self) -> u32 {
        let index = self.records;
        self.records += 1;
        assert!(
            self.records <= BATCH_RECORDS_MAX,
            "records of a batch are bounded"
        );
        index
    }

    /// Encodes the batch into `out`, whole blocks, behind the segment header where one leads. The open batch is left as
    /// it is; an empty one gives a mark.
    pub fn assemble(
        &self,
        fields: &BatchFields,
        lead: Option<&SegmentHeader>,
        out: &mut Blocks,
    ) -> Assembled {
        let lead_bytes = if lead.is_some() { BLOCK_BYTES } else { 0 };
        let index_at = lead_bytes + BATCH_HEADER_BYTES;
        let bodies_at = index_at + self.index_part.len();
        out.reset(bodies_at + self.bodies_part.len());
        let bytes = out.bytes_mut();
        put(bytes, index_at, &self.index_part);
        put(bytes, bodies_at, &self.bodies_part);
        let mut header = BatchHeader {
            fields: *fields,
            index_bytes: self.index_part.len() as u32,
            bodies_bytes: self.bodies_part.len() as u32,
            records: self.records,
            index_checksum: crc(&self.index_part),
            checksum: 0,
        };
        let checksum = bind(&mut header, lead, bytes);
        assert_eq!(
            out.len(),
            lead_bytes + self.assembled_bytes(),
            "what was reserved in the segment is what is written"
        );
        Assembled {
            checksum,
            bytes: out.len(),
        }
    }
}

/// Writes the segment header where one leads, binds the batch to it, and writes the batch header.
fn bind(header: &mut BatchHeader, lead: Option<&SegmentHeader>, bytes: &mut [u8]) -> u32 {
    let mut at = 0;
    if let Some((segment, block)) = lead.zip(bytes.first_chunk_mut::<BLOCK_BYTES>()) {
        header.fields.previous_checksum = segment.encode(block);
        header.fields.salt = segment.salt;
        at = BLOCK_BYTES;
    }
    let encoded = header.encode();
    put(bytes, at, &encoded);
    header.checksum
}

/// Makes an assembled batch ready for another segment (write failover): the records byte for byte and the same sequence and
/// clocks, under a new segment header and a batch header bound to it.
pub fn rewrite(out: &mut Blocks, lead: &SegmentHeader) -> Result<Assembled, HeaderFault> {
    if !out.bytes().starts_with(&SEGMENT_MAGIC) {
        out.push_front();
    }
    let mut header = BatchHeader::decode(out.bytes().get(BLOCK_BYTES..).unwrap_or_default())?;
    let checksum = bind(&mut header, Some(lead), out.bytes_mut());
    Ok(Assembled {
        checksum,
        bytes: out.len(),
    })
}
