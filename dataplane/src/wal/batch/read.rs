//! Reading one batch: every checksum in it is verified before anything of it is used. Whether the batch is the expected
//! one is not asked here.

use super::BATCH_HEADER_BYTES;
use super::header::{BatchHeader, HeaderFault};
use crate::wal::checksum::{Reader, crc, crc_more};
use crate::wal::name::Sequence;
use crate::wal::record::{
    BodyRecord, Content, Flags, RECORD_HEADER_BYTES, RecordFault, Records, padded, records,
};
use std::fmt;

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

    /// Index part and bodies part, as they are stored.
    pub(in crate::wal) fn parts(&self) -> (&'a [u8], &'a [u8]) {
        (self.index_part, self.bodies_part)
    }

    /// What the records state, in pieces: the index part with the erased flags taken as 0. It stays the same when the batch is
    /// written again elsewhere, and when bodies are erased.
    pub fn content(&self, piece: impl FnMut(&[u8])) {
        without_erased(self.index_part, piece);
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

/// The batch at the beginning of `bytes` by its header and index part alone, both verified: what the records state can be
/// read whatever became of the bodies.
pub fn read_index(bytes: &[u8]) -> Result<Batch<'_>, BatchFault> {
    let header = BatchHeader::decode(bytes).map_err(BatchFault::Header)?;
    let batch = verified(bytes, header).ok_or(BatchFault::Cut)?;
    match index_checksum(batch.index_part) == header.index_checksum {
        true => Ok(batch),
        false => Err(BatchFault::Index),
    }
}

/// A batch that was read and verified from these bytes before, its bodies as far as they are there.
pub(crate) fn verified(bytes: &[u8], header: BatchHeader) -> Option<Batch<'_>> {
    let mut reader = Reader::new(bytes);
    reader.take(BATCH_HEADER_BYTES)?;
    let index_part = reader.take(header.index_bytes as usize)?;
    let bodies_bytes = reader.rest().len().min(header.bodies_bytes as usize);
    Some(Batch {
        header,
        index_part,
        bodies_part: &reader.rest()[..bodies_bytes],
    })
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

/// CRC-32C of an index part with the erased flags left out.
fn index_checksum(index_part: &[u8]) -> u32 {
    let mut sum = 0;
    without_erased(index_part, |piece| sum = crc_more(sum, piece));
    sum
}

/// An index part in pieces, with the erased flags taken as 0. Where the lengths do not add up the rest is taken as it is: then
/// its checksum cannot match what a writer wrote.
fn without_erased(index_part: &[u8], mut piece: impl FnMut(&[u8])) {
    let mut given = 0;
    let mut at = 0;
    while let Some(flags) = index_part.get(at + FLAGS_AT) {
        if flags & Flags::ERASED.0 != 0 {
            piece(&index_part[given..at + FLAGS_AT]);
            piece(&[flags & !Flags::ERASED.0]);
            given = at + FLAGS_AT + 1;
        }
        let Some(bytes) = index_part
            .get(at + 12..)
            .and_then(|rest| Reader::new(rest).u32())
        else {
            break;
        };
        at += padded(RECORD_HEADER_BYTES + bytes as usize);
    }
    piece(&index_part[given..]);
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
