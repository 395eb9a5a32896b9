//! The erasure list: names of bodies that were erased after they had been written.

use crate::wal::checksum::Reader;
use crate::wal::name::{LogId, Place, Sequence};
use std::fmt;

/// Bytes of each entry of an erasure list.
const ERASED_BYTES: usize = 24;

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

    /// Appends the payload.
    pub(super) fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes);
    }

    /// Reads the payload; nothing if it has a form that no writer gives it.
    pub(super) fn decode(reader: &mut Reader<'a>) -> Option<ErasureList<'a>> {
        let bytes = reader.take(reader.rest().len())?;
        let whole = bytes.len().is_multiple_of(ERASED_BYTES);
        let sound = bytes
            .chunks_exact(ERASED_BYTES)
            .all(|entry| erased_body(entry).is_some());
        (whole && sound).then_some(ErasureList { bytes })
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
