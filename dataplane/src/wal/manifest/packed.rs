//! Which closed segments stand in packed files: the section of a manifest that says so, joined with the list of segments when it
//! is read and taken apart again when it is written. How such a file looks is `crate::wal::packed`'s.

use super::bytes::{Writer, list};
use super::{LogEntry, Manifest, ManifestFault, SECTION_HEADER_BYTES, SegmentState};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::Reader;
use std::collections::BTreeMap;

/// Bytes of a row of the section.
const PACKED_BYTES: usize = 8 + 8 + 8;

/// A packed file has two blocks in front of its batches, and at least one for those.
const FILE_BYTES_MIN: u64 = 3 * BLOCK_BYTES as u64;

/// What the manifest states of a packed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedFile {
    /// Its own salt. That of the segment stays in the headers of the batches.
    pub salt: u64,
    /// Length of the file: a multiple of 4 KiB.
    pub bytes: u64,
}

/// Bytes that the first packed segment adds to a manifest: a section, its count and a row. Each further one adds a row.
pub const FIRST_PACKED_BYTES: usize = SECTION_HEADER_BYTES + 4 + PACKED_BYTES;

/// Bytes of the content of the section with so many rows; nothing where there is none.
pub(super) fn content_bytes(rows: usize) -> usize {
    match rows {
        0 => 0,
        rows => 4 + rows * PACKED_BYTES,
    }
}

impl Manifest {
    /// Bytes of the section that says which segments are packed.
    pub fn packed_section_bytes(&self) -> usize {
        let packed = self.segments().map(|(_, entry)| entry.state);
        match packed
            .filter(|state| matches!(state, SegmentState::Packed(..)))
            .count()
        {
            0 => 0,
            rows => SECTION_HEADER_BYTES + content_bytes(rows),
        }
    }
}

/// Packed files by their number.
pub(super) type PackedFiles = BTreeMap<u64, PackedFile>;

/// Those of these logs.
pub(super) fn packed_files(logs: &[LogEntry]) -> PackedFiles {
    let segments = logs.iter().flat_map(|log| &log.segments);
    let packed = segments.filter_map(|entry| match entry.state {
        SegmentState::Packed(_, packed) => Some((entry.file, packed)),
        _ => None,
    });
    packed.collect()
}

/// Appends the rows.
pub(super) fn encode(packed: &PackedFiles, out: &mut Writer) {
    out.u32(packed.len() as u32);
    for (file, packed) in packed {
        out.u64(*file);
        out.u64(packed.salt);
        out.u64(packed.bytes);
    }
}

/// Reads the rows. `None`: they end too early.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Result<PackedFiles, ManifestFault>> {
    let mut file_before = None;
    let rows = list(reader, PACKED_BYTES, |reader| {
        let file = reader.u64()?;
        let packed = PackedFile {
            salt: reader.u64()?,
            bytes: reader.u64()?,
        };
        let ascends = file_before.is_none_or(|before| before < file);
        file_before = Some(file);
        Some(match ascends {
            true => Ok((file, packed)),
            false => Err(ManifestFault::Field("packed segment")),
        })
    })?;
    Some(rows.map(|rows| rows.into_iter().collect()))
}

/// Tells the segments that stand in packed files. Each is a closed one.
pub(super) fn join(logs: &mut [LogEntry], mut packed: PackedFiles) -> Result<(), ManifestFault> {
    for entry in logs.iter_mut().flat_map(|log| &mut log.segments) {
        if let SegmentState::Closed(extent) = entry.state
            && let Some(packed) = packed.remove(&entry.file)
        {
            entry.state = SegmentState::Packed(extent, packed);
        }
    }
    match packed.is_empty() {
        true => Ok(()),
        false => Err(ManifestFault::Field("packed segment")),
    }
}

/// Whether a log has a packed segment that no writer makes: without a batch, or in a file of another length.
pub(super) fn is_impossible(log: &LogEntry) -> bool {
    log.segments.iter().any(|entry| match entry.state {
        SegmentState::Packed(extent, packed) => {
            let whole = packed.bytes.is_multiple_of(BLOCK_BYTES as u64);
            extent.first > extent.last || !whole || packed.bytes < FILE_BYTES_MIN
        }
        _ => false,
    })
}
