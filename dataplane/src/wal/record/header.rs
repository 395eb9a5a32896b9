//! The header that every record begins with, and the padding behind its payload. It knows no kind of record.

use super::RecordFault;
use crate::wal::checksum::Reader;

/// Bytes of a record header.
pub const RECORD_HEADER_BYTES: usize = 16;

/// Where the length of the payload lies in a record header.
const PAYLOAD_BYTES_AT: usize = 12;

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
    /// What the record is; see [`kind`](super::kind).
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

/// Rounds the length of a record up to where the next one begins.
pub(crate) const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(8)
}

/// What a writer chooses of a record header; the length follows from the payload.
pub(super) struct Fields {
    pub(super) kind: u8,
    pub(super) flags: Flags,
    pub(super) key_slot: u16,
    pub(super) line: u32,
}

/// Appends a record: its header, the payload that the function writes, padding.
pub(super) fn put(out: &mut Vec<u8>, fields: &Fields, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    assert!(
        start == padded(start),
        "a record begins where the padding of the one before ends"
    );
    out.extend_from_slice(&[fields.kind, 0, fields.flags.0, 0]);
    out.extend_from_slice(&fields.key_slot.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&fields.line.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    payload(out);
    let payload_bytes = (out.len() - start - RECORD_HEADER_BYTES) as u32;
    let at = start + PAYLOAD_BYTES_AT;
    out[at..at + 4].copy_from_slice(&payload_bytes.to_le_bytes());
    out.resize(padded(out.len()), 0);
}

/// Cuts the next header and payload off.
pub(super) fn split<'a>(
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

/// Checks a text before it is written: [`text`] would refuse another one when the log is read back.
pub(super) fn assert_text(text: &str, bytes_max: usize) {
    assert!(
        (1..=bytes_max).contains(&text.len()),
        "names in records are bounded"
    );
    // For each record a pass over its names, which configuration has checked once for all records.
    debug_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
}

/// A text of 1 to `bytes_max` bytes of visible ASCII.
pub(super) fn text<'a>(reader: &mut Reader<'a>, bytes: usize, bytes_max: usize) -> Option<&'a str> {
    let text = std::str::from_utf8(reader.take(bytes)?).ok()?;
    let ok = (1..=bytes_max).contains(&bytes) && text.bytes().all(|byte| byte.is_ascii_graphic());
    ok.then_some(text)
}
