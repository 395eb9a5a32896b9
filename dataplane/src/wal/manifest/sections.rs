//! Sections of a manifest: what not every directory has. One of a kind that this version does not know is refused.

use super::ManifestFault;
use super::clock_base::ClockBase;
use super::encode::Writer;
use super::read::list;
use crate::wal::checksum::Reader;

/// Bytes of a section before its content: kind, flags, length.
const SECTION_HEADER_BYTES: usize = 8;

/// The kind of the section that states a [`ClockBase`].
const CLOCK_BASE_OF_FORMAT_1: u16 = 1;
/// Bytes of its content.
const CLOCK_BASE_BYTES: usize = 8;

/// The sections of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// What is added to times of format 1. Nothing in a directory that never had one.
    pub clock_base_of_format_1: Option<ClockBase>,
}

impl Sections {
    /// Appends the list of sections.
    pub(super) fn encode(&self, out: &mut Writer) {
        let base = self.clock_base_of_format_1.as_slice();
        out.list(base, |out, base| {
            out.u16(CLOCK_BASE_OF_FORMAT_1);
            out.u16(0);
            out.u32(CLOCK_BASE_BYTES as u32);
            out.u32(base.base_s);
            out.u32(base.upto_start);
        });
    }

    /// Bytes of all sections, without the length of the list.
    pub(super) fn encoded_bytes(&self) -> usize {
        let base = self.clock_base_of_format_1;
        base.map_or(0, |_| SECTION_HEADER_BYTES + CLOCK_BASE_BYTES)
    }

    /// Reads the list of sections. `None`: it ends too early.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Result<Sections, ManifestFault>> {
        let bases = list(reader, SECTION_HEADER_BYTES, |reader| {
            let (kind, flags, bytes) = (reader.u16()?, reader.u16()?, reader.u32()?);
            let known = (CLOCK_BASE_OF_FORMAT_1, 0, CLOCK_BASE_BYTES as u32);
            if (kind, flags, bytes) != known {
                return Some(Err(ManifestFault::Field("section")));
            }
            Some(Ok(ClockBase {
                base_s: reader.u32()?,
                upto_start: reader.u32()?,
            }))
        })?;
        Some(bases.and_then(|bases| match bases[..] {
            [] => Ok(Sections::default()),
            [base] => Ok(Sections {
                clock_base_of_format_1: Some(base),
            }),
            _ => Err(ManifestFault::Field("section")),
        }))
    }
}
