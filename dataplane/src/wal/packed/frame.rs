//! One batch in a packed file: a head that says how long it is and which bodies are left out, then the batch header and the index
//! part as they were, then the other bodies one behind the other. What checksums the batch has of its own cover the rest.

use crate::wal::batch::{
    BATCH_BYTES_MAX, BATCH_HEADER_BYTES, BATCH_RECORDS_MAX, Batch, BatchHeader,
};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{Reader, crc, crc_more};
use crate::wal::record::{BodyRecord, Content, records};

/// Bytes of a head without the list of bodies that are left out.
pub(super) const HEAD_BYTES: usize = 16;

/// The longest head.
pub(super) const HEAD_BYTES_MAX: usize = HEAD_BYTES + 4 * BATCH_RECORDS_MAX as usize;

/// No frame is longer.
const FRAME_BYTES_MAX: usize = HEAD_BYTES_MAX + BATCH_BYTES_MAX;

/// The head of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Bytes of the whole frame.
    pub(super) frame_bytes: usize,
    /// Bytes that the batch takes in a segment, padding included.
    pub(super) batch_bytes: usize,
    /// Indexes of the records whose bodies are left out.
    pub(super) left_out: Vec<u32>,
}

/// How many bytes of the beginning of a frame its head is, by the number of bodies that it says are left out. `None`: it cannot be
/// a head.
pub(super) fn head_bytes(begin: &[u8; HEAD_BYTES]) -> Option<usize> {
    let left_out = Reader::new(&begin[8..]).u32()?;
    (left_out <= BATCH_RECORDS_MAX).then_some(HEAD_BYTES + 4 * left_out as usize)
}

impl FrameHead {
    /// Reads a head, of [`head_bytes`], from a file of this salt. `None`: its checksum does not match, or it makes no sense.
    pub(super) fn decode(bytes: &[u8], salt: u64) -> Option<FrameHead> {
        let (covered, checksum) = bytes.split_last_chunk::<4>()?;
        if head_checksum(covered, salt) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let mut reader = Reader::new(covered);
        let (frame_bytes, batch_bytes) = (reader.u32()? as usize, reader.u32()? as usize);
        let count = reader.u32()?;
        let mut left_out = Vec::with_capacity(count.min(BATCH_RECORDS_MAX) as usize);
        for _ in 0..count {
            left_out.push(reader.u32()?);
        }
        let is_batch = batch_bytes.is_multiple_of(BLOCK_BYTES)
            && (BLOCK_BYTES..=BATCH_BYTES_MAX).contains(&batch_bytes);
        let is_frame = (bytes.len() + BATCH_HEADER_BYTES..=FRAME_BYTES_MAX).contains(&frame_bytes);
        (is_batch && is_frame && reader.rest().is_empty()).then_some(FrameHead {
            frame_bytes,
            batch_bytes,
            left_out,
        })
    }
}

/// The salt is no part of the head, but of its checksum: so a frame of another file is none of this one.
fn head_checksum(covered: &[u8], salt: u64) -> u32 {
    crc_more(crc(&salt.to_le_bytes()), covered)
}

/// Whether nothing of a body but its record is kept. What the zeros mean is for the reader of the batch, as ever: that the body was
/// erased, that it is damaged, or that it was sent so.
fn is_left_out(body: &[u8]) -> bool {
    !body.is_empty() && body.iter().all(|&byte| byte == 0)
}

/// Bodies of a batch that was verified, each with the index of its record.
fn bodies<'a>(batch: &Batch<'a>) -> impl Iterator<Item = (u32, &'a [u8])> {
    let (index_part, bodies_part) = batch.parts();
    body_records(index_part)
        .filter_map(move |(index, record)| Some((index, bodies_part.get(range_of(&record))?)))
}

/// Body records of an index part, up to the first record that cannot be read.
fn body_records(index_part: &[u8]) -> impl Iterator<Item = (u32, BodyRecord<'_>)> {
    let whole = records(index_part).map_while(Result::ok);
    whole.filter_map(|record| match record.content {
        Content::Body(body) => Some((record.index, body)),
        _ => None,
    })
}

fn range_of(record: &BodyRecord<'_>) -> std::ops::Range<usize> {
    let start = record.offset as usize;
    start..start.saturating_add(record.bytes as usize)
}

/// Bytes that a verified batch takes in a packed file.
pub fn frame_bytes(batch: &Batch<'_>) -> usize {
    let of_body = |(_, body): (u32, &[u8])| match is_left_out(body) {
        true => 4,
        false => body.len(),
    };
    HEAD_BYTES
        + BATCH_HEADER_BYTES
        + batch.header.index_bytes as usize
        + bodies(batch).map(of_body).sum::<usize>()
}

/// Appends the frame of a verified batch, whose header has these bytes.
pub(super) fn put_frame(out: &mut Vec<u8>, salt: u64, header: &[u8], batch: &Batch<'_>) {
    let start = out.len();
    let frame_bytes = frame_bytes(batch);
    let left_out: Vec<u32> = bodies(batch)
        .filter(|(_, body)| is_left_out(body))
        .map(|(index, _)| index)
        .collect();
    for number in [
        frame_bytes as u32,
        batch.header.bytes() as u32,
        left_out.len() as u32,
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for index in &left_out {
        out.extend_from_slice(&index.to_le_bytes());
    }
    let checksum = head_checksum(&out[start..], salt);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(header);
    out.extend_from_slice(batch.parts().0);
    for (_, body) in bodies(batch).filter(|(_, body)| !is_left_out(body)) {
        out.extend_from_slice(body);
    }
    assert_eq!(
        out.len() - start,
        frame_bytes,
        "what was counted is what is written"
    );
}

/// The batch of a frame as it stands in a segment, padding of zeros included. What is damaged in it is given out as it is: the
/// checksums of the batch tell.
pub(super) fn expand(head: &FrameHead, frame: &[u8]) -> Vec<u8> {
    let mut batch = vec![0; head.batch_bytes];
    let head_bytes = HEAD_BYTES + 4 * head.left_out.len();
    let rest = frame.get(head_bytes..).unwrap_or_default();
    let header = BatchHeader::decode(rest);
    let index_bytes = header.map_or(0, |header| header.index_bytes as usize);
    let bodies_at = BATCH_HEADER_BYTES + index_bytes;
    let (Some(lead), Some(place)) = (rest.get(..bodies_at), batch.get_mut(..bodies_at)) else {
        return batch;
    };
    place.copy_from_slice(lead);
    let mut stored = Reader::new(rest.get(bodies_at..).unwrap_or_default());
    for (index, record) in body_records(&lead[BATCH_HEADER_BYTES..]) {
        if head.left_out.binary_search(&index).is_ok() {
            continue;
        }
        let range = range_of(&record);
        let place = batch
            .get_mut(bodies_at..)
            .and_then(|part| part.get_mut(range));
        match (place, stored.take(record.bytes as usize)) {
            (Some(place), Some(body)) => place.copy_from_slice(body),
            _ => break,
        }
    }
    batch
}
