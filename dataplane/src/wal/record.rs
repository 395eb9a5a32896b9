//! Records: their headers, and what the index part of a batch holds of each. Bodies themselves lie behind the index part.
//! Reading borrows from the batch and allocates nothing; what is found is checked for form, never judged.

use crate::wal::checksum::Reader;
use crate::wal::name::{LogId, Place, Sequence};
use flk_contract::outcome::unknown_part;
use std::fmt;

/// Bytes of a record header.
pub const RECORD_HEADER_BYTES: usize = 16;

/// A tenant's name is at most this long.
pub const TENANT_BYTES_MAX: usize = 64;

/// The name of a parameter-set version is at most this long.
pub const PARAMS_BYTES_MAX: usize = 32;

/// Bytes of a decision's payload before tenant and params version.
const DECISION_FIXED_BYTES: usize = 132;

/// Bytes of each entry of an erasure list.
const ERASED_BYTES: usize = 24;

/// The most that a record with a bounded payload (all but the erasure list) takes in the index part.
pub const RECORD_BYTES_MAX: usize =
    padded(RECORD_HEADER_BYTES + DECISION_FIXED_BYTES + TENANT_BYTES_MAX + PARAMS_BYTES_MAX);

/// What a record is; the numbers are for ever.
pub mod kind {
    /// A request body as it was received.
    pub const BODY: u8 = 1;
    /// The first outcome of a key.
    pub const DECISION: u8 = 2;
    /// The body was refused.
    pub const REFUSED: u8 = 3;
    /// The body repeats a decided record.
    pub const DUPLICATE: u8 = 4;
    /// The body claims a decided key with another signing digest.
    pub const CONFLICT: u8 = 5;
    /// The body was given up without an outcome.
    pub const UNANSWERED: u8 = 6;
    /// Reserved: a body that waits for a store, with its candidate outcome.
    pub const DEFERRED: u8 = 7;
    /// Names bodies that were erased.
    pub const ERASURE: u8 = 8;
}

/// Flags of a record header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The body is stored compressed.
    pub const COMPRESSED: Flags = Flags(1);
    /// The body is stored encrypted under the key of the key slot.
    pub const ENCRYPTED: Flags = Flags(2);
    /// The body was erased after it was written. The only flag that changes later, so the index checksum leaves it out
    /// and it proves nothing by itself: a durable erasure list does.
    pub const ERASED: Flags = Flags(4);
    /// All flags that this version knows.
    const KNOWN: u8 = 7;

    /// Whether all flags of `other` are set.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Bit of the second byte of a record header: a reader that does not know the kind skips the record.
const OPTIONAL: u8 = 1;

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What the record is; see [`kind`].
    pub kind: u8,
    /// Whether a reader that does not know the kind may skip the record.
    pub optional: bool,
    /// Flags.
    pub flags: Flags,
    /// Slot of the key that the body is encrypted under; 0 without encryption.
    pub key_slot: u16,
    /// Line within the body, from 1, for requests with several records; 0 for a request of one record.
    pub line: u32,
    /// Bytes of the payload that follows, without padding.
    pub payload_bytes: u32,
}

/// What is known of a body when it is appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyMeta<'a> {
    /// Number of the configuration snapshot that judges the record.
    pub snapshot: u32,
    /// The tenant, 1–64 bytes.
    pub tenant: &'a str,
    /// See [`RecordHeader::key_slot`].
    pub key_slot: u16,
    /// [`Flags::COMPRESSED`] and [`Flags::ENCRYPTED`] describe the bytes given; [`Flags::ERASED`] is never given.
    pub flags: Flags,
}

/// A body record as it is in the index part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRecord<'a> {
    /// Where the body begins within the bodies part of its batch, in bytes.
    pub offset: u32,
    /// Length of the body as stored, in bytes.
    pub bytes: u32,
    /// CRC-32C of the body as stored.
    pub checksum: u32,
    /// Number of the configuration snapshot that judges the record.
    pub snapshot: u32,
    /// The tenant.
    pub tenant: &'a str,
}

/// A decision: the first outcome of a key, with all that is needed to answer its duplicates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision<'a> {
    /// The body that it decides, in the same log.
    pub body: Place,
    /// The tenant, 1–64 bytes.
    pub tenant: &'a str,
    /// The record's id: the 32 bytes that its 64 lowercase hex digits stand for.
    pub pcs_id: [u8; 32],
    /// Signing digest in the default number form, whatever the scheme.
    pub digest: [u8; 32],
    /// Id of the key that verified the record.
    pub key_id: [u8; 8],
    /// Version of the parameter set, 1–32 bytes.
    pub params: &'a str,
    /// Second of the expiry clock at which the claim was granted.
    pub decided_at: u32,
    /// Second of the expiry clock from which on it answers nothing.
    pub expiry: u32,
    /// Number of the encoding of these fields as outcome text.
    pub encoding: u8,
    /// 0 accepted, else the escalation reason's number.
    pub reason: u8,
    /// The regime's number.
    pub regime: u8,
    /// Claimed D̂, recomputed D̂, claimed budget, recomputed budget.
    pub numbers: [f64; 4],
}

/// Why a body was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The body.
    pub body: Place,
    /// HTTP status of the answer.
    pub status: u16,
    /// Number of the problem code.
    pub code: u8,
}

/// A body named from anywhere in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErasedBody {
    /// The log.
    pub log: LogId,
    /// The body in it.
    pub body: Place,
}

/// The payload of an erasure list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErasureList<'a> {
    bytes: &'a [u8],
}

impl<'a> ErasureList<'a> {
    /// Encodes a list into `out` and returns it as a record's payload.
    pub fn encode(bodies: &[ErasedBody], out: &'a mut Vec<u8>) -> ErasureList<'a> {
        out.clear();
        for erased in bodies {
            out.extend_from_slice(&erased.log.start.to_le_bytes());
            out.extend_from_slice(&u32::from(erased.log.number).to_le_bytes());
            out.extend_from_slice(&erased.body.sequence.0.to_le_bytes());
            out.extend_from_slice(&u64::from(erased.body.index).to_le_bytes());
        }
        ErasureList { bytes: out }
    }

    /// The bodies that it names.
    pub fn bodies(&self) -> impl Iterator<Item = ErasedBody> + use<'a> {
        self.bytes
            .chunks_exact(ERASED_BYTES)
            .filter_map(erased_body)
    }
}

impl fmt::Debug for ErasureList<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.bodies()).finish()
    }
}

/// One entry of an erasure list, if its fields are in range.
fn erased_body(bytes: &[u8]) -> Option<ErasedBody> {
    let mut reader = Reader::new(bytes);
    Some(ErasedBody {
        log: LogId {
            start: reader.u32()?,
            number: u16::try_from(reader.u32()?).ok()?,
        },
        body: Place {
            sequence: Sequence(reader.u64()?),
            index: u32::try_from(reader.u64()?).ok()?,
        },
    })
}

/// A record that has no bytes outside the index part: mostly the disposition of a body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry<'a> {
    /// The first outcome of a key.
    Decision(Decision<'a>),
    /// The body was refused.
    Refused(Refused),
    /// The body repeats a decided record.
    Duplicate(Place),
    /// The body claims a decided key with another signing digest.
    Conflict(Place),
    /// The body was given up without an outcome.
    Unanswered(Place),
    /// Names bodies that were erased.
    Erasure(ErasureList<'a>),
}

impl Entry<'_> {
    /// The body whose disposition this is.
    pub fn disposition_of(&self) -> Option<Place> {
        match self {
            Entry::Decision(decision) => Some(decision.body),
            Entry::Refused(refused) => Some(refused.body),
            Entry::Duplicate(body) | Entry::Conflict(body) | Entry::Unanswered(body) => Some(*body),
            Entry::Erasure(_) => None,
        }
    }
}

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<'a> {
    /// A request body.
    Body(BodyRecord<'a>),
    /// Anything else that this version knows.
    Entry(Entry<'a>),
    /// A kind that this version does not know and may skip.
    Skipped,
}

/// A record of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// Position in the batch, from 0.
    pub index: u32,
    /// Its header.
    pub header: RecordHeader,
    /// What it holds.
    pub content: Content<'a>,
}

/// Why the index part of a batch cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// The record at this index leaves the index part.
    Cut(u32),
    /// The record at this index has a form that no writer gives it; what is wrong.
    Form(u32, &'static str),
    /// The record at this index is of a kind that this version neither knows nor may skip.
    UnknownKind(u32, u8),
    /// The decision at this index has a part, named first, whose number this version does not know.
    UnknownPart(u32, &'static str, u8),
}

impl RecordFault {
    /// Whether a newer flk wrote the record, so that nothing is wrong with it.
    pub fn is_newer(&self) -> bool {
        matches!(
            self,
            RecordFault::UnknownKind(..) | RecordFault::UnknownPart(..)
        )
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordFault::Cut(index) => write!(out, "record {index} leaves the index part"),
            RecordFault::Form(index, what) => {
                write!(out, "record {index} has an impossible {what}")
            }
            RecordFault::UnknownKind(index, kind) => write!(
                out,
                "record {index} is of kind {kind}, which this flk does not know: use a newer flk"
            ),
            RecordFault::UnknownPart(index, part, number) => write!(
                out,
                "the decision in record {index} has {part} {number}, which this flk does not know: use a newer flk"
            ),
        }
    }
}

impl std::error::Error for RecordFault {}

/// Reads the records of an index part, in order. Ends after the first fault.
pub fn records(index_part: &[u8]) -> Records<'_> {
    Records {
        reader: Reader::new(index_part),
        index: 0,
    }
}

/// The records of an index part; see [`records`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    reader: Reader<'a>,
    index: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.rest().is_empty() {
            return None;
        }
        let index = self.index;
        self.index += 1;
        let record = split(&mut self.reader, index)
            .and_then(|(header, payload)| record_of(index, header, payload));
        if record.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(record)
    }
}

/// Rounds the length of a record up to where the next one begins.
pub(crate) const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(8)
}

/// Cuts the next header and payload off.
pub(crate) fn split<'a>(
    reader: &mut Reader<'a>,
    index: u32,
) -> Result<(RecordHeader, &'a [u8]), RecordFault> {
    let cut = RecordFault::Cut(index);
    let (header, reserved) = header_of(reader).ok_or(cut)?;
    let payload = reader.take(header.payload_bytes as usize).ok_or(cut)?;
    let padding_bytes = padded(payload.len()) - payload.len();
    let padding = reader.take(padding_bytes).ok_or(cut)?;
    if reserved || padding.iter().any(|&byte| byte != 0) {
        return Err(RecordFault::Form(index, "reserved byte"));
    }
    Ok((header, payload))
}

/// A record header, and whether a reserved bit of it is set.
fn header_of(reader: &mut Reader<'_>) -> Option<(RecordHeader, bool)> {
    let kind = reader.u8()?;
    let bits = reader.u8()?;
    let flags = reader.u8()?;
    let zero = reader.u8()?;
    let key_slot = reader.u16()?;
    let zeros = reader.u16()?;
    let header = RecordHeader {
        kind,
        optional: bits & OPTIONAL != 0,
        flags: Flags(flags),
        key_slot,
        line: reader.u32()?,
        payload_bytes: reader.u32()?,
    };
    let reserved = bits & !OPTIONAL != 0 || flags & !Flags::KNOWN != 0 || zero != 0 || zeros != 0;
    Some((header, reserved))
}

/// Interprets a record by its kind.
fn record_of(index: u32, header: RecordHeader, payload: &[u8]) -> Result<Record<'_>, RecordFault> {
    let mut reader = Reader::new(payload);
    let read = &mut reader;
    let content = match header.kind {
        kind::BODY => body_of(read).map(Content::Body),
        kind::DECISION => decision_of(read).map(|it| Content::Entry(Entry::Decision(it))),
        kind::REFUSED => refused_of(read).map(|it| Content::Entry(Entry::Refused(it))),
        kind::DUPLICATE => bare(read).map(|it| Content::Entry(Entry::Duplicate(it))),
        kind::CONFLICT => bare(read).map(|it| Content::Entry(Entry::Conflict(it))),
        kind::UNANSWERED => bare(read).map(|it| Content::Entry(Entry::Unanswered(it))),
        kind::ERASURE => erasure_of(read).map(|it| Content::Entry(Entry::Erasure(it))),
        unknown => return skip_or_refuse(index, header, unknown),
    };
    let content = content.ok_or(RecordFault::Form(index, "payload"))?;
    if !reader.rest().is_empty() {
        return Err(RecordFault::Form(index, "payload length"));
    }
    if let Content::Entry(Entry::Decision(it)) = &content
        && let Some((part, number)) = unknown_part(it.encoding, it.reason, it.regime)
    {
        return Err(RecordFault::UnknownPart(index, part, number));
    }
    Ok(Record {
        index,
        header,
        content,
    })
}

/// What becomes of a kind that this version does not know.
fn skip_or_refuse<'a>(
    index: u32,
    header: RecordHeader,
    unknown: u8,
) -> Result<Record<'a>, RecordFault> {
    if !header.optional {
        return Err(RecordFault::UnknownKind(index, unknown));
    }
    Ok(Record {
        index,
        header,
        content: Content::Skipped,
    })
}

/// A text of 1 to `bytes_max` bytes of visible ASCII.
fn text<'a>(reader: &mut Reader<'a>, bytes: usize, bytes_max: usize) -> Option<&'a str> {
    let text = std::str::from_utf8(reader.take(bytes)?).ok()?;
    let ok = (1..=bytes_max).contains(&bytes) && text.bytes().all(|byte| byte.is_ascii_graphic());
    ok.then_some(text)
}

fn body_of<'a>(reader: &mut Reader<'a>) -> Option<BodyRecord<'a>> {
    let (offset, bytes, checksum, snapshot) =
        (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
    let tenant_bytes = reader.u8()?;
    let reserved: [u8; 3] = reader.array()?;
    let tenant = text(reader, usize::from(tenant_bytes), TENANT_BYTES_MAX)?;
    (reserved == [0; 3]).then_some(BodyRecord {
        offset,
        bytes,
        checksum,
        snapshot,
        tenant,
    })
}

fn place(reader: &mut Reader<'_>) -> Option<Place> {
    Some(Place {
        sequence: Sequence(reader.u64()?),
        index: reader.u32()?,
    })
}

fn decision_of<'a>(reader: &mut Reader<'a>) -> Option<Decision<'a>> {
    let body = place(reader)?;
    let (decided_at, expiry) = (reader.u32()?, reader.u32()?);
    let (encoding, reason, regime) = (reader.u8()?, reader.u8()?, reader.u8()?);
    let tenant_bytes = reader.u8()?;
    let (pcs_id, digest, key_id) = (reader.array()?, reader.array()?, reader.array()?);
    let numbers = [reader.f64()?, reader.f64()?, reader.f64()?, reader.f64()?];
    let params_bytes = reader.u8()?;
    let reserved: [u8; 3] = reader.array()?;
    let tenant = text(reader, usize::from(tenant_bytes), TENANT_BYTES_MAX)?;
    let params = text(reader, usize::from(params_bytes), PARAMS_BYTES_MAX)?;
    (reserved == [0; 3]).then_some(Decision {
        body,
        tenant,
        pcs_id,
        digest,
        key_id,
        params,
        decided_at,
        expiry,
        encoding,
        reason,
        regime,
        numbers,
    })
}

fn refused_of(reader: &mut Reader<'_>) -> Option<Refused> {
    let refused = Refused {
        body: place(reader)?,
        status: reader.u16()?,
        code: reader.u8()?,
    };
    (reader.u8()? == 0).then_some(refused)
}

/// A disposition that says nothing but which body it belongs to.
fn bare(reader: &mut Reader<'_>) -> Option<Place> {
    let body = place(reader)?;
    (reader.u32()? == 0).then_some(body)
}

fn erasure_of<'a>(reader: &mut Reader<'a>) -> Option<ErasureList<'a>> {
    let bytes = reader.take(reader.rest().len())?;
    let whole = bytes.len().is_multiple_of(ERASED_BYTES);
    let sound = bytes
        .chunks_exact(ERASED_BYTES)
        .all(|entry| erased_body(entry).is_some());
    (whole && sound).then_some(ErasureList { bytes })
}

/// Appends a record header; the payload must follow and then [`finish`].
fn begin(out: &mut Vec<u8>, kind: u8, flags: Flags, key_slot: u16, line: u32) -> usize {
    let start = out.len();
    out.extend_from_slice(&[kind, 0, flags.0, 0]);
    out.extend_from_slice(&key_slot.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&line.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    start
}

/// Writes the length of the record that began at `start` into its header and pads it.
fn finish(out: &mut Vec<u8>, start: usize) {
    let payload_bytes = (out.len() - start - RECORD_HEADER_BYTES) as u32;
    out[start + 12..start + 16].copy_from_slice(&payload_bytes.to_le_bytes());
    out.resize(padded(out.len()), 0);
}

/// Appends the record of a body to an index part.
pub(crate) fn put_body(out: &mut Vec<u8>, meta: &BodyMeta<'_>, body: &BodyRecord<'_>) {
    let start = begin(out, kind::BODY, meta.flags, meta.key_slot, 0);
    out.extend_from_slice(&body.offset.to_le_bytes());
    out.extend_from_slice(&body.bytes.to_le_bytes());
    out.extend_from_slice(&body.checksum.to_le_bytes());
    out.extend_from_slice(&body.snapshot.to_le_bytes());
    out.extend_from_slice(&[body.tenant.len() as u8, 0, 0, 0]);
    out.extend_from_slice(body.tenant.as_bytes());
    finish(out, start);
}

/// Appends any other record to an index part.
pub(crate) fn put_entry(out: &mut Vec<u8>, line: u32, entry: &Entry<'_>) {
    let plain = Flags::default();
    match entry {
        Entry::Decision(decision) => {
            let start = begin(out, kind::DECISION, plain, 0, line);
            put_decision(out, decision);
            finish(out, start);
        }
        Entry::Refused(refused) => {
            let start = begin(out, kind::REFUSED, plain, 0, line);
            put_place(out, refused.body);
            out.extend_from_slice(&refused.status.to_le_bytes());
            out.extend_from_slice(&[refused.code, 0]);
            finish(out, start);
        }
        Entry::Duplicate(body) => put_bare(out, kind::DUPLICATE, line, *body),
        Entry::Conflict(body) => put_bare(out, kind::CONFLICT, line, *body),
        Entry::Unanswered(body) => put_bare(out, kind::UNANSWERED, line, *body),
        Entry::Erasure(list) => {
            let start = begin(out, kind::ERASURE, plain, 0, line);
            out.extend_from_slice(list.bytes);
            finish(out, start);
        }
    }
}

fn put_place(out: &mut Vec<u8>, body: Place) {
    out.extend_from_slice(&body.sequence.0.to_le_bytes());
    out.extend_from_slice(&body.index.to_le_bytes());
}

fn put_bare(out: &mut Vec<u8>, kind: u8, line: u32, body: Place) {
    let start = begin(out, kind, Flags::default(), 0, line);
    put_place(out, body);
    out.extend_from_slice(&[0; 4]);
    finish(out, start);
}

fn put_decision(out: &mut Vec<u8>, decision: &Decision<'_>) {
    put_place(out, decision.body);
    out.extend_from_slice(&decision.decided_at.to_le_bytes());
    out.extend_from_slice(&decision.expiry.to_le_bytes());
    let tenant_bytes = decision.tenant.len() as u8;
    out.extend_from_slice(&[
        decision.encoding,
        decision.reason,
        decision.regime,
        tenant_bytes,
    ]);
    out.extend_from_slice(&decision.pcs_id);
    out.extend_from_slice(&decision.digest);
    out.extend_from_slice(&decision.key_id);
    for number in decision.numbers {
        out.extend_from_slice(&number.to_bits().to_le_bytes());
    }
    out.extend_from_slice(&[decision.params.len() as u8, 0, 0, 0]);
    out.extend_from_slice(decision.tenant.as_bytes());
    out.extend_from_slice(decision.params.as_bytes());
}
