//! Records: what the index part of a batch holds, one after the other. Bodies themselves lie behind the index part.
//! Reading borrows from the batch and allocates nothing; what is found is checked for form, never judged.
//!
//! The kinds of records have a file each, with the bytes that are written and how they are read beside each other.

mod body;
mod decision;
mod disposition;
mod erasure;
mod fault;
mod header;
mod numbers;

pub use body::{BodyMeta, BodyRecord};
pub use decision::Decision;
pub use disposition::Refused;
pub use erasure::{ErasedBody, ErasureList};
pub use fault::RecordFault;
pub use header::{Flags, RECORD_HEADER_BYTES, RecordHeader};
pub use numbers::{REFUSED_CODES, RESERVED_CODES, RESERVED_KINDS, kind};

pub(crate) use header::padded;

use crate::wal::checksum::Reader;
use crate::wal::name::Place;
use decision::DECISION_FIXED_BYTES;

/// A tenant's name is at most this long.
pub const TENANT_BYTES_MAX: usize = 64;

/// The name of a parameter-set version is at most this long.
pub const PARAMS_BYTES_MAX: usize = 32;

/// The most that a record with a bounded payload (all but the erasure list) takes in the index part.
pub const RECORD_BYTES_MAX: usize =
    padded(RECORD_HEADER_BYTES + DECISION_FIXED_BYTES + TENANT_BYTES_MAX + PARAMS_BYTES_MAX);

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
    /// The number of its kind.
    fn kind(&self) -> u8 {
        match self {
            Entry::Decision(_) => kind::DECISION,
            Entry::Refused(_) => kind::REFUSED,
            Entry::Duplicate(_) => kind::DUPLICATE,
            Entry::Conflict(_) => kind::CONFLICT,
            Entry::Unanswered(_) => kind::UNANSWERED,
            Entry::Erasure(_) => kind::ERASURE,
        }
    }

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
        let record = header::split(&mut self.reader, index)
            .and_then(|(header, payload)| record_of(index, header, payload));
        if record.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(record)
    }
}

/// Interprets a record by its kind.
fn record_of(index: u32, header: RecordHeader, payload: &[u8]) -> Result<Record<'_>, RecordFault> {
    let mut reader = Reader::new(payload);
    let read = &mut reader;
    if header.kind == kind::BODY
        && let Some(bytes) = body::encryption_bytes(payload)
    {
        return Err(RecordFault::UnknownPart(
            index,
            "encryption field of length",
            bytes,
        ));
    }
    let content = match header.kind {
        kind::BODY => BodyRecord::decode(read).map(Content::Body),
        kind::DECISION => Decision::decode(read).map(|it| Content::Entry(Entry::Decision(it))),
        kind::REFUSED => Refused::decode(read).map(|it| Content::Entry(Entry::Refused(it))),
        kind::DUPLICATE => {
            disposition::decode_bare(read).map(|it| Content::Entry(Entry::Duplicate(it)))
        }
        kind::CONFLICT => {
            disposition::decode_bare(read).map(|it| Content::Entry(Entry::Conflict(it)))
        }
        kind::UNANSWERED => {
            disposition::decode_bare(read).map(|it| Content::Entry(Entry::Unanswered(it)))
        }
        kind::ERASURE => ErasureList::decode(read).map(|it| Content::Entry(Entry::Erasure(it))),
        unknown => return skip_or_refuse(index, header, unknown),
    };
    let content = content.ok_or(RecordFault::Form(index, "payload"))?;
    if !reader.rest().is_empty() {
        return Err(RecordFault::Form(index, "payload length"));
    }
    if let Some((part, number)) = unknown_part(&content) {
        return Err(RecordFault::UnknownPart(index, part, number));
    }
    Ok(Record {
        index,
        header,
        content,
    })
}

/// The part of a record, named first, whose number only a later version knows.
fn unknown_part(content: &Content<'_>) -> Option<(&'static str, u8)> {
    match content {
        Content::Entry(Entry::Decision(decision)) => decision.unknown_part(),
        Content::Entry(Entry::Refused(refused)) => refused.unknown_part(),
        Content::Body(_) | Content::Entry(_) | Content::Skipped => None,
    }
}

/// What becomes of a kind that this version does not know.
fn skip_or_refuse<'a>(
    index: u32,
    header: RecordHeader,
    unknown: u8,
) -> Result<Record<'a>, RecordFault> {
    if !header.optional || numbers::reserved_kind(unknown).is_some() {
        return Err(RecordFault::UnknownKind(index, unknown));
    }
    Ok(Record {
        index,
        header,
        content: Content::Skipped,
    })
}

/// Appends the record of a body to an index part.
pub(crate) fn put_body(out: &mut Vec<u8>, meta: &BodyMeta<'_>, body: &BodyRecord<'_>) {
    let header = header::Fields {
        kind: kind::BODY,
        flags: meta.flags,
        key_slot: meta.key_slot,
        line: meta.line,
    };
    header::put(out, &header, |out| body.encode(out));
}

/// Appends any other record to an index part.
pub(crate) fn put_entry(out: &mut Vec<u8>, line: u32, entry: &Entry<'_>) {
    let header = header::Fields {
        kind: entry.kind(),
        flags: Flags::default(),
        key_slot: 0,
        line,
    };
    header::put(out, &header, |out| match entry {
        Entry::Decision(decision) => decision.encode(out),
        Entry::Refused(refused) => refused.encode(out),
        Entry::Duplicate(body) | Entry::Conflict(body) | Entry::Unanswered(body) => {
            disposition::encode_bare(out, *body);
        }
        Entry::Erasure(list) => list.encode_into(out),
    });
}
