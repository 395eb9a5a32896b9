//! The fields of a manifest, from its bytes. The counterpart of `encode`; rules between fields are checked by its caller.

use super::bytes::{list, log_id};
use super::clock_base::rebased;
use super::packed::{PackedFiles, join};
use super::{
    COVER_BYTES, ClockMark, Cover, DIRECTORY_VERSION, Extent, GAP_BYTES, Gap, LOG_BYTES,
    LogEndMark, LogEntry, MANIFEST_BYTES_MAX, MANIFEST_MAGIC, Manifest, ManifestFault,
    PREALLOCATED_BYTES, PREFIX_BYTES, SEGMENT_BYTES, SLICE_BYTES, Sections, SegmentEntry,
    SegmentState, SliceEntry, WITHOUT_SECTIONS,
};
use crate::wal::checksum::{Reader, crc};
use crate::wal::name::Sequence;

/// Reads the bytes of the file.
pub(super) fn read(bytes: &[u8]) -> Result<Manifest, ManifestFault> {
    let (version, fields) = verified_fields(bytes)?;
    let mut reader = Reader::new(fields);
    let manifest = manifest_of(&mut reader, version).ok_or(ManifestFault::Length)?;
    if !reader.rest().is_empty() {
        return Err(ManifestFault::Length);
    }
    match version {
        WITHOUT_SECTIONS => manifest.map(rebased),
        _ => manifest,
    }
}

/// Checks all that never changes between formats, then the version, which it returns with the bytes of the fields.
fn verified_fields(bytes: &[u8]) -> Result<(u32, &[u8]), ManifestFault> {
    if !bytes.starts_with(&MANIFEST_MAGIC) {
        return Err(ManifestFault::Magic);
    }
    let prefix = |reader: &mut Reader<'_>| {
        let version = reader.u32()?;
        let readable_since = [reader.u16()?, reader.u16()?, reader.u16()?];
        let reserved = reader.u16()?;
        Some((version, readable_since, reserved, reader.u32()?))
    };
    let mut reader = Reader::new(&bytes[MANIFEST_MAGIC.len()..]);
    let (version, readable_since, reserved, length) =
        prefix(&mut reader).ok_or(ManifestFault::Length)?;
    let too_long = bytes.len() > MANIFEST_BYTES_MAX;
    if length as usize != bytes.len() || too_long {
        return Err(ManifestFault::Length);
    }
    let (covered, checksum) = bytes.split_last_chunk::<4>().ok_or(ManifestFault::Length)?;
    if crc(covered) != u32::from_le_bytes(*checksum) {
        return Err(ManifestFault::Checksum);
    }
    if version > DIRECTORY_VERSION {
        return Err(ManifestFault::Newer {
            version,
            readable_since,
        });
    }
    if version == 0 || reserved != 0 {
        return Err(ManifestFault::Field("format version"));
    }
    let fields = covered.get(PREFIX_BYTES..).ok_or(ManifestFault::Length)?;
    Ok((version, fields))
}

/// The fields of a manifest of this version. `None`: they end too early.
fn manifest_of(reader: &mut Reader<'_>, version: u32) -> Option<Result<Manifest, ManifestFault>> {
    let [installation, node, incarnation, secret] = [
        reader.array()?,
        reader.array()?,
        reader.array()?,
        reader.array()?,
    ];
    let (generation, start, flags) = (reader.u64()?, reader.u32()?, reader.u32()?);
    let (wall_us, expiry_s, reserved) = (reader.u64()?, reader.u32()?, reader.u32()?);
    let (withheld_s, next_file) = (reader.u64()?, reader.u64()?);
    if flags > 1 || reserved != 0 {
        return Some(Err(ManifestFault::Field("reserved bit")));
    }
    let logs = list(reader, LOG_BYTES, log_of)?;
    let gaps = list(reader, GAP_BYTES, |reader| gap_of(reader).map(Ok))?;
    let preallocated = list(reader, PREALLOCATED_BYTES, |reader| reader.u64().map(Ok))?;
    let slices = list(reader, SLICE_BYTES, slice_of)?;
    let sections = match version {
        WITHOUT_SECTIONS => Ok((Sections::default(), PackedFiles::new())),
        _ => Sections::read(reader)?,
    };
    let assemble = || {
        let (sections, packed) = sections?;
        let mut logs = logs?;
        join(&mut logs, packed)?;
        Ok(Manifest {
            installation,
            node,
            incarnation,
            secret,
            generation,
            start,
            clean_stop: flags == 1,
            clock: ClockMark { expiry_s, wall_us },
            withheld_s,
            next_file,
            logs,
            gaps: gaps?,
            preallocated: preallocated?,
            slices: slices?,
            sections,
        })
    };
    Some(assemble())
}

fn log_of(reader: &mut Reader<'_>) -> Option<Result<LogEntry, ManifestFault>> {
    let id = log_id(reader)?;
    let incarnation = reader.array()?;
    let resolved_upto = Sequence(reader.u64()?);
    let ended = reader.u32()?;
    let mark = LogEndMark {
        checksum: reader.u32()?,
        sequence: Sequence(reader.u64()?),
    };
    let ended_at = match ended {
        0 => None,
        1 => Some(mark),
        _ => return Some(Err(ManifestFault::Field("end mark"))),
    };
    let segments = list(reader, SEGMENT_BYTES, segment_of)?;
    Some(segments.map(|segments| LogEntry {
        id,
        incarnation,
        ended_at,
        resolved_upto,
        segments,
    }))
}

fn segment_of(reader: &mut Reader<'_>) -> Option<Result<SegmentEntry, ManifestFault>> {
    let (ordinal, state) = (reader.u32()?, reader.u32()?);
    let (file, salt, generation) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let state = match state {
        0 => SegmentState::Next,
        1 => SegmentState::Open,
        2 => SegmentState::Closed(extent_of(reader)?),
        3 => SegmentState::Last(extent_of(reader)?),
        _ => return Some(Err(ManifestFault::Field("segment state"))),
    };
    Some(Ok(SegmentEntry {
        ordinal,
        file,
        salt,
        generation,
        state,
    }))
}

fn extent_of(reader: &mut Reader<'_>) -> Option<Extent> {
    let extent = Extent {
        first: Sequence(reader.u64()?),
        last: Sequence(reader.u64()?),
        bytes: reader.u64()?,
        last_checksum: reader.u32()?,
    };
    (reader.u32()? == 0).then_some(extent)
}

fn gap_of(reader: &mut Reader<'_>) -> Option<Gap> {
    Some(Gap {
        log: log_id(reader)?,
        from: Sequence(reader.u64()?),
        to: Sequence(reader.u64()?),
    })
}

fn slice_of(reader: &mut Reader<'_>) -> Option<Result<SliceEntry, ManifestFault>> {
    let (file, id) = (reader.u64()?, reader.u64()?);
    let (decided_first, decided_last) = (reader.u32()?, reader.u32()?);
    let (expiry_max, checksum) = (reader.u32()?, reader.u32()?);
    let (entries, bytes) = (reader.u64()?, reader.u64()?);
    let cover = |reader: &mut Reader<'_>| {
        Some(Ok(Cover {
            log: log_id(reader)?,
            upto: Sequence(reader.u64()?),
        }))
    };
    let covers = list(reader, COVER_BYTES, cover)?;
    Some(covers.map(|covers| SliceEntry {
        file,
        id,
        decided_first,
        decided_last,
        expiry_max,
        entries,
        bytes,
        checksum,
        covers,
    }))
}
