//! Batches: what one write carries — header, index part, bodies — assembled from an open batch and read back whole.
//! A batch is verifiable alone; whether it is the expected one is for the reader of the log to say.

use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use crate::wal::checksum::{Reader, crc, crc_more, put};
use crate::wal::name::Sequence;
use crate::wal::record::{
    BodyMeta, BodyRecord, Content, Entry, Flags, RECORD_BYTES_MAX, RECORD_HEADER_BYTES,
    RecordFault, Records, TENANT_BYTES_MAX, padded, put_body, put_entry, records,
};
use crate::wal::segment::{SEGMENT_MAGIC, SegmentHeader};
use std::fmt;

/// The first eight bytes of a batch.
pub const BATCH_MAGIC: [u8; 8] = *b"flkbatch";

/// Bytes of a batch header.
pub const BATCH_HEADER_BYTES: usize = 96;

/// Where the checksum of a batch header lies.
const CHECKSUM_AT: usize = BATCH_HEADER_BYTES - 4;

/// Records per batch, bodies and others together.
pub const BATCH_RECORDS_MAX: u32 = 4096;

/// Bodies per batch. The other records are fates: one for each body of the batch, and those of earlier bodies.
pub const BATCH_BODIES_MAX: u32 = 1024;

/// Bodies of one batch come to at most this many bytes, unless it is a single larger one.
pub const BATCH_BODIES_BYTES: usize = 256 << 10;

/// The largest single body that a writer takes: 1 MiB and some room for what is stored around it.
pub const BODY_BYTES_MAX: usize = (1 << 20) + (64 << 10);

/// A reader refuses an index part that is larger.
pub const INDEX_PART_BYTES_MAX: usize = 1 << 20;

/// A reader refuses a bodies part that is larger.
pub const BODIES_PART_BYTES_MAX: usize = 2 << 20;

/// No batch is larger: what a reader must be able to hold.
pub const BATCH_BYTES_MAX: usize =
    (BATCH_HEADER_BYTES + INDEX_PART_BYTES_MAX + BODIES_PART_BYTES_MAX)
        .next_multiple_of(BLOCK_BYTES);

const _: () = {
    assert!(
        BATCH_RECORDS_MAX as usize * RECORD_BYTES_MAX <= INDEX_PART_BYTES_MAX,
        "a batch full of the largest records fits the index part"
    );
    assert!(
        BATCH_BODIES_BYTES <= BODIES_PART_BYTES_MAX && BODY_BYTES_MAX <= BODIES_PART_BYTES_MAX,
        "what a writer takes fits the bodies part"
    );
    assert!(
        BATCH_BODIES_MAX * 2 < BATCH_RECORDS_MAX,
        "every body of a batch can have its fate in the same batch, beside fates of earlier bodies"
    );
    assert!(
        RECORD_HEADER_BYTES + TENANT_BYTES_MAX < RECORD_BYTES_MAX,
        "a body record is not the largest one"
    );
};

/// Limits of an open batch, from configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bodies come to at most this many bytes, unless it is one larger body.
    pub bodies_bytes: usize,
    /// The largest single body, in bytes; at most [`BODY_BYTES_MAX`].
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            bodies_bytes: BATCH_BODIES_BYTES,
            body_bytes: BODY_BYTES_MAX,
        }
    }
}

/// The batch that records are appended to. Its memory is reused from batch to batch.
#[derive(Debug)]
pub struct OpenBatch {
    limits: Limits,
    index_part: Vec<u8>,
    bodies_part: Vec<u8>,
    records: u32,
    bodies: u32,
}

/// What the header of a batch says beside lengths and checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchFields {
    /// Salt of the segment that it is written into.
    pub salt: u64,
    /// Its position in the log.
    pub sequence: Sequence,
    /// Expiry clock of its turn, seconds since installation.
    pub expiry_clock_s: u32,
    /// Wall clock of its turn, microseconds since the Unix epoch.
    pub wall_us: u64,
    /// Every batch up to this one was durable when this header was made.
    pub durable_upto: Sequence,
    /// Every body up to this batch has its fate in the log.
    pub settled_upto: Sequence,
    /// Checksum of the header of the batch before it in the segment. Ignored where the segment header leads.
    pub previous_checksum: u32,
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
    pub fn new(limits: Limits) -> OpenBatch {
        let limits = Limits {
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

    /// Whether one more body of this many bytes may be pushed. A body that does not fit waits for the next batch; one
    /// that does not fit an empty batch is too large for the log.
    pub fn fits(&self, body_bytes: usize) -> bool {
        let alone = self.bodies == 0 && body_bytes <= self.limits.body_bytes;
        let beside = self.bodies_part.len() + body_bytes <= self.limits.bodies_bytes;
        (alone || beside) && self.bodies < BATCH_BODIES_MAX && self.fits_entries(2)
    }

    /// Whether that many more fates may be pushed. Those that do not fit wait for the next batch.
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

    /// Spells the batch into `out`, whole blocks, behind the segment header where one leads. The open batch is left as
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
        let checksum = seal(&mut header, lead, bytes);
        Assembled {
            checksum,
            bytes: out.len(),
        }
    }
}

/// Writes the segment header where one leads, binds the batch to it, and writes the batch header.
fn seal(header: &mut BatchHeader, lead: Option<&SegmentHeader>, bytes: &mut [u8]) -> u32 {
    let mut at = 0;
    if let Some((segment, block)) = lead.zip(bytes.first_chunk_mut::<BLOCK_BYTES>()) {
        header.fields.previous_checksum = segment.encode(block);
        header.fields.salt = segment.salt;
        at = BLOCK_BYTES;
    }
    let spelled = header.encode();
    put(bytes, at, &spelled);
    header.checksum
}

/// Makes an assembled batch ready for another segment (take-over): the records byte for byte and the same sequence and
/// clocks, under a new segment header and a batch header bound to it.
pub fn rewrite(out: &mut Blocks, lead: &SegmentHeader) -> Result<Assembled, HeaderFault> {
    if !out.bytes().starts_with(&SEGMENT_MAGIC) {
        out.push_front();
    }
    let mut header = BatchHeader::decode(out.bytes().get(BLOCK_BYTES..).unwrap_or_default())?;
    let checksum = seal(&mut header, Some(lead), out.bytes_mut());
    Ok(Assembled {
        checksum,
        bytes: out.len(),
    })
}

/// The header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// What it says beside lengths and checksums.
    pub fields: BatchFields,
    /// Bytes of the index part.
    pub index_bytes: u32,
    /// Bytes of the bodies part.
    pub bodies_bytes: u32,
    /// Records in the index part.
    pub records: u32,
    /// CRC-32C of the index part, with the erased flags left out.
    pub index_checksum: u32,
    /// CRC-32C of the header itself: the name that the next header repeats.
    pub checksum: u32,
}

/// Why bytes are not a batch header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// Fewer bytes than a header.
    Short,
    /// The first bytes are not a batch's (zeros are not either).
    Magic,
    /// The checksum does not match.
    Checksum,
    /// The checksum matches, but a field holds what no writer writes; its name.
    Field(&'static str),
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderFault::Short => out.write_str("there is no room for a batch header"),
            HeaderFault::Magic => out.write_str("no batch begins here"),
            HeaderFault::Checksum => {
                out.write_str("the checksum of the batch header does not match")
            }
            HeaderFault::Field(name) => write!(out, "the batch header holds an impossible {name}"),
        }
    }
}

impl std::error::Error for HeaderFault {}

impl BatchHeader {
    /// Spells the header and sets its checksum.
    fn encode(&mut self) -> [u8; BATCH_HEADER_BYTES] {
        let mut out = [0; BATCH_HEADER_BYTES];
        put(&mut out, 0, &BATCH_MAGIC);
        put(&mut out, 8, &self.fields.salt.to_le_bytes());
        put(&mut out, 16, &self.fields.sequence.0.to_le_bytes());
        put(&mut out, 24, &self.index_bytes.to_le_bytes());
        put(&mut out, 28, &self.bodies_bytes.to_le_bytes());
        put(&mut out, 32, &self.records.to_le_bytes());
        put(&mut out, 36, &self.fields.expiry_clock_s.to_le_bytes());
        put(&mut out, 40, &self.fields.wall_us.to_le_bytes());
        put(&mut out, 48, &self.fields.durable_upto.0.to_le_bytes());
        put(&mut out, 56, &self.fields.settled_upto.0.to_le_bytes());
        put(&mut out, 64, &self.index_checksum.to_le_bytes());
        put(&mut out, 68, &self.fields.previous_checksum.to_le_bytes());
        self.checksum = crc(&out[..CHECKSUM_AT]);
        put(&mut out, CHECKSUM_AT, &self.checksum.to_le_bytes());
        out
    }

    /// Reads a header from the beginning of `bytes`; it is verified alone, without what follows it.
    pub fn decode(bytes: &[u8]) -> Result<BatchHeader, HeaderFault> {
        let bytes = bytes
            .first_chunk::<BATCH_HEADER_BYTES>()
            .ok_or(HeaderFault::Short)?;
        if !bytes.starts_with(&BATCH_MAGIC) {
            return Err(HeaderFault::Magic);
        }
        let mut reader = Reader::new(&bytes[BATCH_MAGIC.len()..]);
        let (header, reserved) = header_of(&mut reader).ok_or(HeaderFault::Short)?;
        if crc(&bytes[..CHECKSUM_AT]) != header.checksum {
            return Err(HeaderFault::Checksum);
        }
        let impossible = if reserved {
            Some("reserved byte")
        } else {
            header.impossible()
        };
        impossible.map_or(Ok(header), |name| Err(HeaderFault::Field(name)))
    }

    /// The name of a field that no writer gives this value.
    fn impossible(&self) -> Option<&'static str> {
        let fields = &self.fields;
        if self.records > BATCH_RECORDS_MAX {
            Some("number of records")
        } else if self.index_bytes as usize > INDEX_PART_BYTES_MAX {
            Some("length of the index part")
        } else if self.bodies_bytes as usize > BODIES_PART_BYTES_MAX {
            Some("length of the bodies part")
        } else if fields.sequence.counter() == 0 {
            Some("sequence")
        } else if fields.durable_upto >= fields.sequence {
            Some("durable sequence")
        } else if fields.settled_upto > fields.sequence {
            Some("settled sequence")
        } else {
            None
        }
    }

    /// Bytes of the whole batch on disk, padding included: a multiple of the block size.
    pub fn bytes(&self) -> usize {
        (BATCH_HEADER_BYTES + self.index_bytes as usize + self.bodies_bytes as usize)
            .next_multiple_of(BLOCK_BYTES)
    }

    /// Whether the batch holds no record: an idle, clock or clean-stop mark.
    pub fn is_mark(&self) -> bool {
        self.records == 0
    }
}

/// The fields behind the magic, and whether a reserved byte is set.
fn header_of(reader: &mut Reader<'_>) -> Option<(BatchHeader, bool)> {
    let salt = reader.u64()?;
    let sequence = Sequence(reader.u64()?);
    let (index_bytes, bodies_bytes, records) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let expiry_clock_s = reader.u32()?;
    let wall_us = reader.u64()?;
    let durable_upto = Sequence(reader.u64()?);
    let settled_upto = Sequence(reader.u64()?);
    let index_checksum = reader.u32()?;
    let previous_checksum = reader.u32()?;
    let reserved: [u8; 20] = reader.array()?;
    let header = BatchHeader {
        fields: BatchFields {
            salt,
            sequence,
            expiry_clock_s,
            wall_us,
            durable_upto,
            settled_upto,
            previous_checksum,
        },
        index_bytes,
        bodies_bytes,
        records,
        index_checksum,
        checksum: reader.u32()?,
    };
    Some((header, reserved != [0; 20]))
}

/// Why bytes are not a whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFault {
    /// The header.
    Header(HeaderFault),
    /// The batch is longer than what is there.
    Cut,
    /// The checksum of the index part does not match.
    Index,
    /// The checksum of the body at this index does not match, or an erased body is not listed as such.
    Body(u32),
    /// All checksums match, but the records do not make sense, or are of an unknown kind.
    Record(RecordFault),
    /// All checksums match, but the number of records or the place of a body does not agree.
    Layout,
}

impl fmt::Display for BatchFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchFault::Header(fault) => fault.fmt(out),
            BatchFault::Cut => out.write_str("the batch is longer than what is there"),
            BatchFault::Index => out.write_str("the checksum of the index part does not match"),
            BatchFault::Body(index) => write!(out, "the checksum of body {index} does not match"),
            BatchFault::Record(fault) => fault.fmt(out),
            BatchFault::Layout => out.write_str("the records and the batch header disagree"),
        }
    }
}

impl std::error::Error for BatchFault {}

/// A whole batch: every checksum in it was verified.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Its header.
    pub header: BatchHeader,
    index_part: &'a [u8],
    bodies_part: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The records, in order. None is faulty: they were all read once when the batch was.
    pub fn records(&self) -> Records<'a> {
        records(self.index_part)
    }

    /// The bytes of a body of this batch; none if it was erased.
    pub fn body(&self, record: &BodyRecord<'_>) -> Option<&'a [u8]> {
        let bytes = body_bytes(self.bodies_part, record)?;
        (crc(bytes) == record.checksum).then_some(bytes)
    }

    /// The bytes of the body at a record index; none if there is no body or it was erased.
    pub fn body_at(&self, index: u32) -> Option<&'a [u8]> {
        match self.records().nth(index as usize)?.ok()?.content {
            Content::Body(record) => self.body(&record),
            _ => None,
        }
    }
}

/// Where a body lies, if that is within the bodies part.
fn body_bytes<'a>(bodies_part: &'a [u8], record: &BodyRecord<'_>) -> Option<&'a [u8]> {
    let start = record.offset as usize;
    bodies_part.get(start..start.checked_add(record.bytes as usize)?)
}

/// Reads the batch at the beginning of `bytes` (which may go on behind it) and verifies every checksum. Nothing counts
/// as erased.
pub fn read_batch(bytes: &[u8]) -> Result<Batch<'_>, BatchFault> {
    read_batch_with(bytes, |_, _| false)
}

/// As [`read_batch`]; a body of zeros is whole where `erased(sequence, index)` knows it from a durable erasure list.
pub fn read_batch_with(
    bytes: &[u8],
    erased: impl Fn(Sequence, u32) -> bool,
) -> Result<Batch<'_>, BatchFault> {
    let header = BatchHeader::decode(bytes).map_err(BatchFault::Header)?;
    let mut reader = Reader::new(bytes);
    let batch = parts(&mut reader, header).ok_or(BatchFault::Cut)?;
    if index_checksum(batch.index_part) != header.index_checksum {
        return Err(BatchFault::Index);
    }
    verify_bodies(&batch, erased)?;
    Ok(batch)
}

/// Cuts a batch into its parts.
fn parts<'a>(reader: &mut Reader<'a>, header: BatchHeader) -> Option<Batch<'a>> {
    reader.take(BATCH_HEADER_BYTES)?;
    Some(Batch {
        header,
        index_part: reader.take(header.index_bytes as usize)?,
        bodies_part: reader.take(header.bodies_bytes as usize)?,
    })
}

/// Where the flags lie in a record header.
const FLAGS_AT: usize = 2;

/// CRC-32C of an index part with the erased flags left out. Where the lengths do not add up the rest is taken as it is:
/// then the checksum cannot match what a writer wrote.
fn index_checksum(index_part: &[u8]) -> u32 {
    let mut sum = 0;
    let mut summed = 0;
    let mut at = 0;
    while let Some(flags) = index_part.get(at + FLAGS_AT) {
        if flags & Flags::ERASED.0 != 0 {
            sum = crc_more(sum, &index_part[summed..at + FLAGS_AT]);
            sum = crc_more(sum, &[flags & !Flags::ERASED.0]);
            summed = at + FLAGS_AT + 1;
        }
        let Some(bytes) = index_part
            .get(at + 12..)
            .and_then(|rest| Reader::new(rest).u32())
        else {
            break;
        };
        at += padded(RECORD_HEADER_BYTES + bytes as usize);
    }
    crc_more(sum, &index_part[summed..])
}

/// Verifies bodies and the agreement of records and header. A wrong checksum is found before wrong sense, so that a
/// fault of the last two kinds never means a torn write.
fn verify_bodies(
    batch: &Batch<'_>,
    erased: impl Fn(Sequence, u32) -> bool,
) -> Result<(), BatchFault> {
    let mut sense = Ok(());
    let mut count = 0;
    let mut bodies_end = 0;
    for record in batch.records() {
        let record = match record {
            Ok(record) => record,
            Err(fault) => {
                sense = Err(BatchFault::Record(fault));
                break;
            }
        };
        count += 1;
        let Content::Body(body) = record.content else {
            continue;
        };
        let Some(bytes) = body_bytes(batch.bodies_part, &body) else {
            sense = Err(BatchFault::Layout);
            break;
        };
        let gone = || {
            bytes.iter().all(|&byte| byte == 0)
                && erased(batch.header.fields.sequence, record.index)
        };
        if crc(bytes) != body.checksum && !gone() {
            return Err(BatchFault::Body(record.index));
        }
        if body.offset < bodies_end {
            sense = Err(BatchFault::Layout);
        }
        bodies_end = body.offset + body.bytes;
    }
    sense?;
    let agree = count == batch.header.records && bodies_end <= batch.header.bodies_bytes;
    if agree {
        Ok(())
    } else {
        Err(BatchFault::Layout)
    }
}
