//! A reader of log bytes of its own, for the oracle: it finds batches by their magic and checksum at block boundaries and
//! trusts no chain, no manifest and no reader of the gateway. It only says what is there.

use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::record::{Content, Decision, Entry, Record, kind, records};

const SEGMENT_MAGIC: &[u8] = b"flk-segm";
const PACKED_MAGIC: &[u8] = b"flk-pack";
const BATCH_MAGIC: &[u8] = b"flkbatch";
const BATCH_HEADER_BYTES: usize = 96;

/// What became of a body, as its disposition record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// A first outcome.
    Decision,
    /// Refused with this status.
    Refused(u16),
    /// Repeats a decided record.
    Duplicate,
    /// Same id, other content.
    Conflict,
    /// Given up.
    Unanswered,
}

/// A record of a batch, as far as the oracle cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A body, at this index of its batch.
    Body {
        /// Index in the batch.
        index: u32,
        /// The body.
        bytes: Vec<u8>,
        /// Its tenant.
        tenant: String,
        /// The snapshot that it was judged under.
        snapshot: u32,
    },
    /// A disposition of the body at this place.
    Disposition {
        /// Batch of the body.
        sequence: u64,
        /// Index of the body in it.
        index: u32,
        /// What became of it.
        disposition: Disposition,
    },
}

/// A decision, as its record tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedDecision {
    /// Tenant.
    pub tenant: String,
    /// The id in lowercase hex digits.
    pub pcs_id: String,
    /// First 8 bytes of the signing digest.
    pub digest_tag: u64,
    /// The D̂ that the record claims.
    pub d_hat: f64,
    /// Second of the expiry clock at which the claim was granted.
    pub decided_at: u32,
    /// Second from which on it answers nothing.
    pub expiry: u32,
}

impl LoggedDecision {
    fn of(decision: &Decision<'_>) -> LoggedDecision {
        let hex = decision.pcs_id.iter().map(|byte| format!("{byte:02x}"));
        LoggedDecision {
            tenant: decision.tenant.to_string(),
            pcs_id: hex.collect(),
            digest_tag: u64_at(&decision.digest, 0),
            d_hat: decision.numbers[0],
            decided_at: decision.decided_at,
            expiry: decision.expiry,
        }
    }
}

/// A whole batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Byte offset of its header.
    pub offset: usize,
    /// Bytes that it takes, padding included.
    pub bytes: usize,
    /// Salt in its header.
    pub salt: u64,
    /// Sequence.
    pub sequence: u64,
    /// Everything up to this one was durable when it was made.
    pub durable_upto: u64,
    /// Its records.
    pub items: Vec<Item>,
    /// Its decisions.
    pub decisions: Vec<LoggedDecision>,
    /// Whether the bodies are whole too.
    pub whole: bool,
}

impl Batch {
    /// Takes what a record says.
    fn take(&mut self, record: &Record<'_>, bodies: &[u8]) {
        let entry = match &record.content {
            Content::Body(body) => {
                let (start, end) = (body.offset as usize, (body.offset + body.bytes) as usize);
                let text = bodies.get(start..end);
                match text.filter(|text| crc32c::crc32c(text) == body.checksum) {
                    Some(text) => self.items.push(Item::Body {
                        index: record.index,
                        bytes: text.to_vec(),
                        tenant: body.tenant.to_owned(),
                        snapshot: body.snapshot,
                    }),
                    None => self.whole = false,
                }
                return;
            }
            Content::Entry(entry) => entry,
            Content::Skipped => {
                debug_assert_ne!(record.header.kind, kind::BODY);
                return;
            }
        };
        let disposition = match entry {
            Entry::Decision(decision) => {
                self.decisions.push(LoggedDecision::of(decision));
                Disposition::Decision
            }
            Entry::Refused(refused) => Disposition::Refused(refused.status),
            Entry::Duplicate(_) => Disposition::Duplicate,
            Entry::Conflict(_) => Disposition::Conflict,
            Entry::Unanswered(_) => Disposition::Unanswered,
            Entry::Erasure(_) => return,
        };
        if let Some(place) = entry.disposition_of() {
            self.items.push(Item::Disposition {
                sequence: place.sequence.0,
                index: place.index,
                disposition,
            });
        }
    }
}

/// A segment as it lies in a file or in a write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Start and number of the log, ordinal and salt, if there is a valid segment header.
    pub header: Option<Header>,
    /// Batches, by offset.
    pub batches: Vec<Batch>,
}

/// What a segment header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Start number and number of the log.
    pub log: (u32, u16),
    /// Position in the log.
    pub ordinal: u32,
    /// Salt.
    pub salt: u64,
    /// Generation of the manifest that named it.
    pub generation: u64,
    /// Bytes that the file was made with.
    pub made_bytes: u64,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|word| word.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|word| word.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

fn header(bytes: &[u8]) -> Option<Header> {
    let block = bytes.get(..BLOCK_BYTES)?;
    let sound = block.starts_with(SEGMENT_MAGIC)
        && crc32c::crc32c(&block[..BLOCK_BYTES - 4]) == u32_at(block, BLOCK_BYTES - 4);
    sound.then(|| Header {
        log: (u32_at(block, 12), u32_at(block, 16) as u16),
        ordinal: u32_at(block, 20),
        salt: u64_at(block, 24),
        generation: u64_at(block, 32),
        made_bytes: u64_at(block, 84),
    })
}

/// Reads the batch whose header begins at `offset`, whatever its salt.
fn batch(bytes: &[u8], offset: usize) -> Option<Batch> {
    let rest = bytes.get(offset..)?;
    let head = rest.get(..BATCH_HEADER_BYTES)?;
    if !head.starts_with(BATCH_MAGIC)
        || crc32c::crc32c(&head[..BATCH_HEADER_BYTES - 4]) != u32_at(head, BATCH_HEADER_BYTES - 4)
    {
        return None;
    }
    let (index_bytes, bodies_bytes) = (u32_at(head, 24) as usize, u32_at(head, 28) as usize);
    let length = (BATCH_HEADER_BYTES + index_bytes + bodies_bytes).next_multiple_of(BLOCK_BYTES);
    let mut found = Batch {
        offset,
        bytes: length,
        salt: u64_at(head, 8),
        sequence: u64_at(head, 16),
        durable_upto: u64_at(head, 48),
        items: Vec::new(),
        decisions: Vec::new(),
        whole: false,
    };
    let index_part = rest.get(BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + index_bytes);
    let bodies =
        rest.get(BATCH_HEADER_BYTES + index_bytes..BATCH_HEADER_BYTES + index_bytes + bodies_bytes);
    let (Some(index_part), Some(bodies)) = (index_part, bodies) else {
        return Some(found);
    };
    if crc32c::crc32c(index_part) != u32_at(head, 64) {
        return Some(found);
    }
    found.whole = true;
    for record in records(index_part) {
        let Ok(record) = record else {
            found.whole = false;
            break;
        };
        found.take(&record, bodies);
    }
    Some(found)
}

/// The bytes of the segment that a packed file stands for, as far as its frames are whole; nothing if it is none.
fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let block = bytes.get(..BLOCK_BYTES)?;
    let sound = block.starts_with(PACKED_MAGIC)
        && crc32c::crc32c(&block[..BLOCK_BYTES - 4]) == u32_at(block, BLOCK_BYTES - 4);
    if !sound {
        return None;
    }
    let (salt, segment_bytes) = (&block[24..32], u64_at(block, 104) as usize);
    let mut out = bytes.get(BLOCK_BYTES..2 * BLOCK_BYTES)?.to_vec();
    let mut at = 2 * BLOCK_BYTES;
    while out.len() < segment_bytes {
        let Some(batch) = unpacked_batch(bytes, at, salt) else {
            break;
        };
        out.extend(batch);
        at += u32_at(bytes, at) as usize;
    }
    out.resize(segment_bytes, 0);
    Some(out)
}

/// The batch of the frame at this offset.
fn unpacked_batch(bytes: &[u8], at: usize, salt: &[u8]) -> Option<Vec<u8>> {
    let (frame_bytes, batch_bytes) = (u32_at(bytes, at) as usize, u32_at(bytes, at + 4) as usize);
    let left_out = u32_at(bytes, at + 8) as usize;
    let head = bytes.get(at..at + 12 + 4 * left_out)?;
    let checksum = crc32c::crc32c_append(crc32c::crc32c(salt), head);
    if u32_at(bytes, at + head.len()) != checksum {
        return None;
    }
    let content = bytes.get(at + head.len() + 4..at + frame_bytes)?;
    let index_end = BATCH_HEADER_BYTES + u32_at(content, 24) as usize;
    let mut batch = content.get(..index_end)?.to_vec();
    let mut bodies = &content[index_end..];
    for record in records(&content[BATCH_HEADER_BYTES..index_end]).flatten() {
        let Content::Body(body) = &record.content else {
            continue;
        };
        batch.resize(index_end + body.offset as usize, 0);
        let is_left_out = (0..left_out).any(|it| u32_at(head, 12 + 4 * it) == record.index);
        if !is_left_out {
            let (here, rest) = bodies.split_at_checked(body.bytes as usize)?;
            batch.extend_from_slice(here);
            bodies = rest;
        }
    }
    batch.resize(batch_bytes, 0);
    Some(batch)
}

/// Reads a segment's bytes, packed or not, or one write into it. Batches of another salt than the header's are left out; without a
/// header (a write behind it) all are taken.
pub fn read(bytes: &[u8]) -> Found {
    if let Some(segment) = unpacked(bytes) {
        return read(&segment);
    }
    let header = header(bytes);
    let mut batches = Vec::new();
    let mut at = if header.is_some() { BLOCK_BYTES } else { 0 };
    while at < bytes.len() {
        match batch(bytes, at) {
            Some(batch) if header.is_none_or(|header| header.salt == batch.salt) => {
                at += if batch.whole {
                    batch.bytes
                } else {
                    BLOCK_BYTES
                };
                batches.push(batch);
            }
            _ => at += BLOCK_BYTES,
        }
    }
    Found { header, batches }
}

/// The number that makes a body unlike every other, read from its text.
pub fn serial_of(body: &[u8]) -> Option<u64> {
    // The number lies near the beginning, whatever fills the body up.
    let text = std::str::from_utf8(&body[..body.len().min(4_096)]).ok()?;
    let (from, less) = match text.find("\"attempt\":") {
        Some(at) => (at + 10, 1),
        None => (text.find("\"serial\":")? + 9, 0),
    };
    let digits: String = text[from..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse::<u64>().ok()?.checked_sub(less)
}

#[cfg(test)]
mod tests {
    use super::super::records::{Kind, Shape, body};
    use super::*;
    use crate::wal::batch::{BatchFields, BatchLimits, OpenBatch};
    use crate::wal::buffer::Blocks;
    use crate::wal::name::{LogId, Place, Sequence};
    use crate::wal::record::BodyMeta;
    use crate::wal::segment::{SegmentHeader, SegmentLabels};

    #[test]
    fn finds_what_the_writer_wrote_and_nothing_of_another_salt() {
        let mut open = OpenBatch::new(BatchLimits::default());
        let meta = BodyMeta {
            tenant: "default",
            ..BodyMeta::default()
        };
        let text = body(3, Kind::Valid(1), Shape::default(), 17);
        let index = open.push_body(&text, &meta);
        let sequence = Sequence((5 << 40) + 1);
        open.push(&Entry::Unanswered(Place { sequence, index }));
        let header = SegmentHeader {
            installation: [1; 16],
            incarnation: [2; 16],
            log: LogId {
                start: 5,
                number: 2,
            },
            ordinal: 0,
            salt: 99,
            generation: 7,
            predecessor: None,
            made_bytes: Some(64 * 1024),
            labels: SegmentLabels::default(),
        };
        let mut blocks = Blocks::default();
        let fields = BatchFields {
            salt: 99,
            sequence,
            durable_upto: Sequence(5 << 40),
            resolved_upto: Sequence(5 << 40),
            ..BatchFields::default()
        };
        open.assemble(&fields, Some(&header), &mut blocks);
        let found = read(blocks.bytes());
        assert_eq!(
            found.header,
            Some(Header {
                log: (5, 2),
                ordinal: 0,
                salt: 99,
                generation: 7,
                made_bytes: 64 * 1024,
            })
        );
        assert_eq!(found.batches.len(), 1);
        assert!(found.batches[0].whole);
        let Item::Body { bytes, .. } = &found.batches[0].items[0] else {
            panic!()
        };
        assert_eq!((bytes, serial_of(bytes)), (&text, Some(17)));
        assert_eq!(
            found.batches[0].items[1],
            Item::Disposition {
                sequence: sequence.0,
                index: 0,
                disposition: Disposition::Unanswered
            }
        );
        let mut other = blocks.bytes().to_vec();
        other[BLOCK_BYTES + 8] ^= 1;
        assert!(
            read(&other).batches.is_empty(),
            "neither another salt nor a broken header counts"
        );
    }

    #[test]
    fn serials_are_read_back() {
        for kind in [
            Kind::Valid(0),
            Kind::BadSignature,
            Kind::Malformed,
            Kind::WrongId,
        ] {
            assert_eq!(
                serial_of(&body(1, kind, Shape::default(), 123)),
                Some(123),
                "{kind:?}"
            );
        }
    }
}
