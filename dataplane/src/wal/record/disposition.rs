//! The records of the other dispositions: refused, duplicate, conflict, unanswered. All begin with the place of the body.

use super::numbers::is_refused_code;
use crate::wal::checksum::Reader;
use crate::wal::name::{Place, Sequence};

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

impl Refused {
    /// The part, named first, whose number this version does not know.
    pub(super) fn unknown_part(&self) -> Option<(&'static str, u8)> {
        (!is_refused_code(self.code)).then_some(("problem code", self.code))
    }

    /// Appends the payload.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        assert_eq!(self.unknown_part(), None, "a reader refuses this record");
        encode_place(out, self.body);
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&[self.code, 0]);
    }

    /// Reads the payload; nothing if it has a form that no writer gives it.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Refused> {
        let refused = Refused {
            body: decode_place(reader)?,
            status: reader.u16()?,
            code: reader.u8()?,
        };
        (reader.u8()? == 0).then_some(refused)
    }
}

/// Appends the payload of a disposition that states nothing but which body it belongs to.
pub(super) fn encode_bare(out: &mut Vec<u8>, body: Place) {
    encode_place(out, body);
    out.extend_from_slice(&[0; 4]);
}

/// Reads the payload of a disposition that states nothing but which body it belongs to.
pub(super) fn decode_bare(reader: &mut Reader<'_>) -> Option<Place> {
    let body = decode_place(reader)?;
    (reader.u32()? == 0).then_some(body)
}

/// Appends the place of a body.
pub(super) fn encode_place(out: &mut Vec<u8>, body: Place) {
    out.extend_from_slice(&body.sequence.0.to_le_bytes());
    out.extend_from_slice(&body.index.to_le_bytes());
}

/// Reads the place of a body.
pub(super) fn decode_place(reader: &mut Reader<'_>) -> Option<Place> {
    Some(Place {
        sequence: Sequence(reader.u64()?),
        index: reader.u32()?,
    })
}
