//! Every decoder of the log over bytes of any kind: the entry point of fuzzing. None of them may panic or take memory
//! that the bytes do not justify.

use crate::wal::batch::{BATCH_HEADER_BYTES, BATCH_MAGIC, Batch, BatchHeader, read_batch_with};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{crc, crc_more, put};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{LogEntry, Manifest, PackedFile, SegmentEntry, SegmentState};
use crate::wal::name::{LogId, Sequence};
use crate::wal::packed::{FRAMES_AT, PACKED_MAGIC, PackedHeader, Unpacked};
use crate::wal::record::{Content, Entry, records};
use crate::wal::scan::{InMemory, LogSource, ReadAt, read_log, run_ready, salvage};
use crate::wal::secret::Secret;
use crate::wal::segment::SegmentHeader;

/// Reads `bytes` as everything that the log knows, also with checksums made right so that the fields behind them are
/// reached. Never panics.
pub fn read_anything(bytes: &[u8]) {
    let _ = Secret::decode(bytes);
    let _ = std::str::from_utf8(bytes).map(NumberedFile::parse);
    for record in records(bytes).flatten() {
        use_content(&record.content);
    }
    read_manifest(bytes);
    read_segment_header(bytes);
    read_as_packed(bytes);
    read_as_batch(bytes);
    read_as_batch(&with_batch_checksums(bytes));
    read_as_log(bytes);
}

/// Reads a manifest, also with its length and checksum made right. One that is accepted must survive encoding.
fn read_manifest(bytes: &[u8]) {
    let _ = Manifest::decode(bytes);
    let mut right = bytes.to_vec();
    if right.len() >= 28 {
        let end = right.len() - 4;
        put(&mut right, 20, &(bytes.len() as u32).to_le_bytes());
        let checksum = crc(&right[..end]);
        put(&mut right, end, &checksum.to_le_bytes());
    }
    if let Ok(manifest) = Manifest::decode(&right) {
        assert_eq!(Manifest::decode(&manifest.encode()).as_ref(), Ok(&manifest));
        assert_eq!(manifest.encoded_bytes(), manifest.encode().len());
    }
}

/// Reads the bytes as a packed file, and as the header of one with its checksum made right, which must survive encoding.
fn read_as_packed(bytes: &[u8]) {
    let mut block = [0; BLOCK_BYTES];
    let some = bytes.len().min(BLOCK_BYTES);
    block[..some].copy_from_slice(&bytes[..some]);
    put(&mut block, 0, &PACKED_MAGIC);
    let checksum = crc(&block[..BLOCK_BYTES - 4]);
    put(&mut block, BLOCK_BYTES - 4, &checksum.to_le_bytes());
    if let Ok(header) = PackedHeader::decode(&block) {
        assert_eq!(header.encode(), block);
    }
    // Frames whose heads have the right checksum, in front of whatever there is.
    let mut file = vec![0; FRAMES_AT as usize];
    let head = bytes.get(..12).unwrap_or_default();
    file.extend_from_slice(head);
    file.extend_from_slice(&crc_more(crc(&0u64.to_le_bytes()), head).to_le_bytes());
    file.extend_from_slice(bytes.get(12..).unwrap_or_default());
    let packed = PackedFile {
        salt: 0,
        bytes: file.len() as u64,
    };
    let segment_bytes = 16 * BLOCK_BYTES as u64;
    let segment = Unpacked::new(InMemory(&file), packed, segment_bytes);
    let read = run_ready(segment.read_at(0, segment_bytes as usize));
    assert!(read.is_some_and(|read| read.is_ok_and(|it| it.len() as u64 == segment_bytes)));
}

/// Reads a segment header with its checksum made right. One that is accepted must survive encoding, with what its first batch
/// repeats of it.
fn read_segment_header(bytes: &[u8]) {
    let mut block = [0; BLOCK_BYTES];
    let some = bytes.len().min(BLOCK_BYTES);
    block[..some].copy_from_slice(&bytes[..some]);
    let checksum = crc(&block[..BLOCK_BYTES - 4]);
    put(&mut block, BLOCK_BYTES - 4, &checksum.to_le_bytes());
    if let Ok((header, chained)) = SegmentHeader::decode(&block) {
        let mut again = [0; BLOCK_BYTES];
        assert_eq!(header.encode(&mut again), chained);
        assert_eq!(SegmentHeader::decode(&again), Ok((header, chained)));
    }
}

fn read_as_batch(bytes: &[u8]) {
    if let Ok(batch) = read_batch_with(bytes, |_, index| index % 2 == 0) {
        use_batch(&batch);
    }
}

fn use_batch(batch: &Batch<'_>) {
    for record in batch.records().flatten() {
        use_content(&record.content);
        let _ = batch.body_at(record.index);
    }
}

fn use_content(content: &Content<'_>) {
    if let Content::Entry(entry) = content {
        let _ = entry.disposition_of();
        if let Entry::Erasure(list) = entry {
            let _ = list.bodies().count();
        }
    }
}

/// A batch whose index part is what follows the header, with both checksums right.
fn with_batch_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut right = bytes.to_vec();
    right.resize(right.len().max(BATCH_HEADER_BYTES), 0);
    let index_bytes = right.len() - BATCH_HEADER_BYTES;
    put(&mut right, 0, &BATCH_MAGIC);
    put(&mut right, 24, &(index_bytes as u32).to_le_bytes());
    put(&mut right, 28, &[0; 4]);
    right[76..92].fill(0);
    let index = crc(&right[BATCH_HEADER_BYTES..]);
    put(&mut right, 64, &index.to_le_bytes());
    let header = crc(&right[..BATCH_HEADER_BYTES - 4]);
    put(&mut right, BATCH_HEADER_BYTES - 4, &header.to_le_bytes());
    right
}

/// The bytes as two segments of a log, the second one beginning in the middle.
fn read_as_log(bytes: &[u8]) {
    let half = bytes.len() / 2 / BLOCK_BYTES * BLOCK_BYTES;
    let files = [InMemory(&bytes[..half]), InMemory(&bytes[half..])];
    let lead = SegmentHeader::decode(bytes).ok().map(|(header, _)| header);
    let first = BatchHeader::decode(bytes.get(BLOCK_BYTES..).unwrap_or_default()).ok();
    let salt = lead
        .map(|lead| lead.salt)
        .or(first.map(|first| first.fields.salt))
        .unwrap_or(0);
    let id = lead.map_or(
        LogId {
            start: 0,
            number: 0,
        },
        |lead| lead.log,
    );
    let entry = |ordinal, state| SegmentEntry {
        ordinal,
        file: u64::from(ordinal),
        salt,
        generation: lead.map_or(0, |lead| lead.generation),
        state,
    };
    let manifest = Manifest {
        installation: lead.map_or([0; 16], |lead| lead.installation),
        generation: u64::MAX,
        logs: vec![LogEntry {
            id,
            incarnation: lead.map_or([0; 16], |lead| lead.incarnation),
            ended_at: None,
            resolved_upto: Sequence::before_first(id.start),
            segments: vec![entry(0, SegmentState::Next), entry(1, SegmentState::Next)],
        }],
        ..Manifest::default()
    };
    let source = LogSource {
        manifest: &manifest,
        log: &manifest.logs[0],
        from: 0,
        files: &files,
        erased: &|_, _| false,
    };
    if let Some(end) = run_ready(read_log(&source, |_, batch| use_batch(batch))) {
        let _ = (
            end.ending(Sequence::before_first(id.start)),
            end.verdict.to_string(),
        );
    }
    let _ = run_ready(salvage(&InMemory(bytes), salt, |_, _, batch| {
        if let Ok(batch) = batch {
            use_batch(batch);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_of_any_kind_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..12_000)) {
            read_anything(&bytes);
        }

        #[test]
        fn bytes_that_are_nearly_right_never_panic(
            kinds in prop::collection::vec((0u8..10, 0u8..2, any::<u8>(), 0u32..200), 0..20),
            tail in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut bytes = vec![0; BATCH_HEADER_BYTES];
            put(&mut bytes, 16, &1u64.to_le_bytes());
            put(&mut bytes, 32, &(kinds.len() as u32).to_le_bytes());
            for (kind, optional, flags, length) in kinds {
                bytes.extend_from_slice(&[kind, optional, flags & 7, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.resize(bytes.len() + length.next_multiple_of(8) as usize, 0);
            }
            bytes.extend_from_slice(&tail);
            read_anything(&bytes);
        }
    }
}
