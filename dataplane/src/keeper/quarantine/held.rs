//! What is left in the file of a segment: bytes, header, batches. It reads whatever the device gives out and judges nothing.

use crate::io::Errno;
use crate::keeper::halt::Halt;
use crate::keeper::reading::Readable;
use crate::keeper::store::ManifestStore;
use crate::wal::batch::{BatchFault, BatchHeader, read_index};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{LogEntry, SegmentEntry, SegmentState};
use crate::wal::name::Sequence;
use crate::wal::packed::{PackedHeader, SegmentFile};
use crate::wal::record::{Content, Entry};
use crate::wal::scan::{InMemory, ReadAt, salvage};
use crate::wal::segment::{SegmentFault, SegmentHeader, SegmentLabels};
use std::collections::BTreeMap;

/// The first batch of a segment stands here.
pub(super) const FIRST_BATCH_AT: u64 = BLOCK_BYTES as u64;

/// Bytes that are read at once where the device allows it.
const READ_BYTES: usize = 1 << 20;

/// A batch whose header is whole.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) offset: u64,
    pub(super) header: BatchHeader,
    pub(super) whole: bool,
}

/// The first batch that is left of a segment, by its sequence.
#[derive(Clone, Copy)]
pub(super) enum FirstLeft {
    /// It is the segment's first batch.
    First(Sequence),
    /// At least one batch was before it.
    Later(Sequence),
}

/// The bytes of a file, whatever became of it.
#[derive(Default)]
pub(super) struct Contents {
    /// Of a segment that was packed: as it was before.
    pub(super) bytes: Vec<u8>,
    /// The bytes of a file that is packed.
    packed: Option<Vec<u8>>,
    /// Bytes that the device does not give out; zeros stand for them.
    pub(super) unreadable_bytes: u64,
    /// The file is not there.
    pub(super) missing: bool,
}

/// What is in the file of a segment.
pub(super) struct Held {
    pub(super) contents: Contents,
    /// The segment header, if it is whole and this segment's own.
    pub(super) lead: Option<SegmentHeader>,
    /// Every batch whose header is whole, in the order of the file.
    pub(super) seen: Vec<Seen>,
    /// The file holds another segment that the manifest names.
    pub(super) misplaced: bool,
}

impl Contents {
    /// Reads a segment file, and puts zeros where it cannot be read.
    pub(super) async fn read(store: &ManifestStore, number: u64) -> Result<Contents, Halt> {
        let mut contents = Contents::default();
        match Readable::numbered(store, number).await {
            Ok(file) => {
                let read = contents.fill(&file).await;
                file.close().await;
                read?;
            }
            Err(Halt::Io {
                error: Errno::ENOENT,
                ..
            }) => contents.missing = true,
            Err(halt) => return Err(halt),
        }
        Ok(contents)
    }

    /// The same of the file of a segment, whose bytes are those of the segment.
    async fn of_segment(store: &ManifestStore, entry: &SegmentEntry) -> Result<Contents, Halt> {
        let contents = Contents::read(store, entry.file).await?;
        if contents.missing || !matches!(entry.state, SegmentState::Packed(..)) {
            return Ok(contents);
        }
        let segment = SegmentFile::new(InMemory(&contents.bytes), entry);
        let read = segment.read_at(0, segment.bytes() as usize).await;
        let Ok(bytes) = read else {
            unreachable!("memory has no read errors")
        };
        Ok(Contents {
            bytes,
            packed: Some(contents.bytes),
            ..contents
        })
    }

    /// The bytes of the file.
    pub(super) fn of_file(&self) -> &[u8] {
        self.packed.as_ref().unwrap_or(&self.bytes)
    }

    /// Reads all that the device gives out.
    async fn fill(&mut self, file: &Readable) -> Result<(), Halt> {
        while (self.bytes.len() as u64) < file.bytes() {
            let left = file.bytes() - self.bytes.len() as u64;
            let wanted = usize::try_from(left).map_or(READ_BYTES, |left| left.min(READ_BYTES));
            match self.fill_some(file, wanted).await {
                Err(Errno::EIO) => {
                    for _ in 0..wanted.div_ceil(BLOCK_BYTES) {
                        self.fill_block(file).await.map_err(|it| failed(file, it))?;
                    }
                }
                read => read.map_err(|error| failed(file, error))?,
            }
        }
        Ok(())
    }

    async fn fill_some(&mut self, file: &Readable, wanted: usize) -> Result<(), Errno> {
        let part = file.read_at(self.bytes.len() as u64, wanted).await?;
        if part.len() < wanted {
            return Err(Errno::EIO);
        }
        self.bytes.extend_from_slice(&part);
        Ok(())
    }

    /// Reads the next block, or puts zeros in its place.
    async fn fill_block(&mut self, file: &Readable) -> Result<(), Errno> {
        let left = file.bytes() - self.bytes.len() as u64;
        let wanted = usize::try_from(left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        match self.fill_some(file, wanted).await {
            Err(Errno::EIO) => {
                self.bytes.resize(self.bytes.len() + wanted, 0);
                self.unreadable_bytes += wanted as u64;
                Ok(())
            }
            read => read,
        }
    }
}

impl Held {
    /// Reads a segment and looks for all that is left in it.
    pub(super) async fn read(
        store: &ManifestStore,
        log: &LogEntry,
        entry: &SegmentEntry,
    ) -> Result<Held, Halt> {
        let contents = Contents::of_segment(store, entry).await?;
        let lead = lead(store, log, entry, &contents.bytes)?;
        let seen = look(log, entry, &contents.bytes).await?;
        let misplaced = holds_another(store, entry, contents.of_file());
        Ok(Held {
            contents,
            lead,
            seen,
            misplaced,
        })
    }

    /// The ids whose decisions a batch holds, where its index part is left.
    pub(super) fn ids_of(&self, seen: &Seen) -> Option<Vec<[u8; 32]>> {
        let start = usize::try_from(seen.offset).ok()?;
        let batch = read_index(self.contents.bytes.get(start..)?).ok()?;
        let decisions = batch.records().flatten().filter_map(|it| match it.content {
            Content::Entry(Entry::Decision(decision)) => Some(decision.pcs_id),
            _ => None,
        });
        Some(decisions.collect())
    }

    /// Whole batches by their sequence.
    pub(super) fn whole(&self) -> BTreeMap<Sequence, Seen> {
        let whole = self.seen.iter().filter(|seen| seen.whole);
        whole
            .map(|seen| (seen.header.fields.sequence, *seen))
            .collect()
    }

    /// The first batch whose header is left.
    pub(super) fn first(&self) -> Option<FirstLeft> {
        let first = self.seen.first()?;
        let sequence = first.header.fields.sequence;
        Some(match first.offset {
            FIRST_BATCH_AT => FirstLeft::First(sequence),
            _ => FirstLeft::Later(sequence),
        })
    }

    /// Up to here the log may stand before this segment, by what is left of it.
    pub(super) fn may_begin_after(&self) -> Option<Sequence> {
        Some(match self.first()? {
            FirstLeft::First(first) => Sequence(first.0 - 1),
            FirstLeft::Later(first) => Sequence(first.0 - 2),
        })
    }
}

/// Every batch whose header is whole and of this segment.
async fn look(log: &LogEntry, entry: &SegmentEntry, bytes: &[u8]) -> Result<Vec<Seen>, Halt> {
    let mut seen = Vec::new();
    let mut unknown = None;
    let file = InMemory(bytes);
    let looked = salvage(&file, entry.salt, |offset, header, batch| {
        if let Err(BatchFault::Record(fault)) = batch
            && fault.is_newer()
        {
            unknown.get_or_insert(fault);
        }
        if header.fields.sequence.start() == log.id.start {
            seen.push(Seen {
                offset,
                header: *header,
                whole: batch.is_ok(),
            });
        }
    });
    assert_eq!(looked.await, Ok(()), "memory has no read errors");
    match unknown {
        None => Ok(seen),
        Some(kind) => Err(Halt::Refused(format!(
            "{}: {kind}. Nothing was changed",
            NumberedFile::Segment(entry.file)
        ))),
    }
}

fn failed(file: &Readable, error: Errno) -> Halt {
    Halt::Io {
        doing: "reading",
        file: file.file.name.clone(),
        error,
    }
}

/// Whether a file begins with the header of another segment that the manifest names.
fn holds_another(store: &ManifestStore, entry: &SegmentEntry, bytes: &[u8]) -> bool {
    let segment = SegmentHeader::decode(bytes).map(|(header, _)| header.salt);
    let packed = PackedHeader::decode(bytes).map(|header| header.salt);
    let mut others = store.manifest.segments().map(|(_, other)| other);
    others.any(|other| {
        let is_its = match other.state {
            SegmentState::Packed(_, file) => packed == Ok(file.salt),
            _ => segment == Ok(other.salt),
        };
        is_its && other.file != entry.file
    })
}

/// The segment header, if it is whole and belongs here.
fn lead(
    store: &ManifestStore,
    log: &LogEntry,
    entry: &SegmentEntry,
    bytes: &[u8],
) -> Result<Option<SegmentHeader>, Halt> {
    match SegmentHeader::decode(bytes) {
        Ok((header, _)) => {
            let own = SegmentHeader {
                predecessor: header.predecessor,
                made_bytes: header.made_bytes,
                labels: header.labels,
                ..named(store, log, entry)
            };
            Ok((header == own).then_some(header))
        }
        Err(fault @ SegmentFault::Version(_)) => Err(Halt::Refused(format!(
            "{}: {fault}. Nothing was changed",
            NumberedFile::Segment(entry.file)
        ))),
        Err(_) => Ok(None),
    }
}

/// The header of a segment as far as the manifest knows it: all but its predecessor and the length
/// that its file was made with. Where it ran is not known.
pub(super) fn named(store: &ManifestStore, log: &LogEntry, entry: &SegmentEntry) -> SegmentHeader {
    SegmentHeader {
        installation: store.manifest.installation,
        incarnation: store.manifest.incarnation_of(log.id),
        log: log.id,
        ordinal: entry.ordinal,
        salt: entry.salt,
        generation: entry.generation,
        predecessor: None,
        made_bytes: None,
        labels: SegmentLabels {
            region: None,
            ..store.labels()
        },
    }
}
