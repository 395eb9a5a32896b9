//! The manifest: which files count and what they are. It is replaced as a whole, never changed in place. This is its memory and its
//! bytes; replacing the file is the keeper's.

mod bytes;
mod clock_base;
mod encode;
mod packed;
mod part;
mod read;
mod sections;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_sections;

pub use clock_base::{CLOCK_BEGIN_US, ClockBase, seconds_of};
pub use packed::{FIRST_PACKED_BYTES, PackedFile};
pub use sections::{
    CarriedSection, HOLD_TEXT_BYTES_MAX, Hold, LogUpto, ReleasedRange, RestoredFrom, Sections,
};

use crate::wal::files::NumberedFile;
use crate::wal::name::{LogId, Sequence};
use crate::wal::segment::START_LIMIT;
use std::collections::BTreeSet;
use std::fmt;

/// The first eight bytes of a manifest.
pub const MANIFEST_MAGIC: [u8; 8] = *b"flk-mani";

/// The format of the whole directory, which every manifest that is written has. A directory of a higher format is refused.
pub const DIRECTORY_VERSION: u32 = 2;

/// The first format, whose manifest has no sections.
const WITHOUT_SECTIONS: u32 = 1;

/// The oldest flk that reads what this one writes: major, minor, patch.
pub const READABLE_SINCE: [u16; 3] = [0, 2, 0];

/// Bytes of a manifest before its fields: magic, version, oldest reader, length. Never changes, like the checksum in
/// the last four bytes, so that no flk takes a newer manifest for a damaged one.
const PREFIX_BYTES: usize = 24;

/// A manifest is no longer than this; a longer file is refused unread.
pub const MANIFEST_BYTES_MAX: usize = 16 << 20;

/// Bytes of a manifest without logs, gaps, preallocated segments, slices and sections: prefix, ids, numbers, lengths of the lists, checksum.
const FIXED_BYTES: usize = PREFIX_BYTES + 64 + 48 + 20 + 4;
/// Bytes of a log without its segments.
const LOG_BYTES: usize = 52;
/// Bytes of a segment.
const SEGMENT_BYTES: usize = 32;
/// Further bytes of a segment that is written no more.
const EXTENT_BYTES: usize = 32;
/// Bytes of a gap.
const GAP_BYTES: usize = 24;
/// Bytes of a preallocated segment.
const PREALLOCATED_BYTES: usize = 8;
/// Bytes of a slice without its covers.
pub(crate) const SLICE_BYTES: usize = 52;
/// Bytes of a cover.
pub(crate) const COVER_BYTES: usize = 16;
/// Bytes of a section before its content.
const SECTION_HEADER_BYTES: usize = 8;
/// Bytes that a closed segment takes in a manifest.
pub const CLOSED_SEGMENT_BYTES: usize = SEGMENT_BYTES + EXTENT_BYTES;

/// The expiry clock as it was written down, with the wall clock of that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockMark {
    /// The expiry clock: seconds since 2026-01-01 UTC.
    pub expiry_s: u32,
    /// Wall clock, microseconds since the Unix epoch. Where that was set back, what it would show had it gone on: the
    /// difference to the expiry clock shrinks only where withheld time is released.
    pub wall_us: u64,
}

/// Sequences and bytes of a segment that is no longer written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First sequence in it, or the position after `last` if it holds no batch.
    pub first: Sequence,
    /// Last sequence in it, or that of the segment before if it holds no batch.
    pub last: Sequence,
    /// Bytes in use, header included: a multiple of 4 KiB. What lies behind is not looked at.
    pub bytes: u64,
    /// Checksum of the header of the batch `last`, wherever it lies; 0 if the log has none yet.
    pub last_checksum: u32,
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// Named before its first batch; perhaps never used, perhaps in use already.
    Next,
    /// In use by the shard that writes it: its first batch was durable.
    Open,
    /// Written no more.
    Closed(Extent),
    /// The same, and its batches were packed since: the extent is that of the segment that the file stands for.
    Packed(Extent, PackedFile),
    /// The last segment of an ended log: header and the last whole batch, exactly.
    Last(Extent),
}

impl SegmentState {
    /// First and last sequence of a segment that is written no more.
    pub fn extent(&self) -> Option<&Extent> {
        match self {
            SegmentState::Next | SegmentState::Open => None,
            SegmentState::Closed(extent)
            | SegmentState::Packed(extent, _)
            | SegmentState::Last(extent) => Some(extent),
        }
    }

    /// Bytes that count of the file of a segment that is written no more.
    pub fn file_bytes(&self) -> Option<u64> {
        match self {
            SegmentState::Packed(_, packed) => Some(packed.bytes),
            other => other.extent().map(|extent| extent.bytes),
        }
    }
}

/// A segment of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Position in the log, from 0.
    pub ordinal: u32,
    /// Number of its file.
    pub file: u64,
    /// Salt of its headers.
    pub salt: u64,
    /// Generation of the manifest that first named it.
    pub generation: u64,
    /// What becomes of it.
    pub state: SegmentState,
}

/// Where an ended log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEndMark {
    /// Its last sequence; the position before the first if it never held a batch.
    pub sequence: Sequence,
    /// Checksum of that batch's header; 0 if there is none.
    pub checksum: u32,
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its name.
    pub id: LogId,
    /// Incarnation of the directory that wrote it: that of its segment headers.
    pub incarnation: [u8; 16],
    /// Set once the log has ended; its bodies without a disposition are unanswered.
    pub ended_at: Option<LogEndMark>,
    /// Every body up to this sequence has its disposition in the durable log.
    pub resolved_upto: Sequence,
    /// Its live segments, ordinals ascending without holes; written-off ones before open ones before next ones.
    pub segments: Vec<SegmentEntry>,
}

/// Sequences that an operator gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The log.
    pub log: LogId,
    /// First missing sequence.
    pub from: Sequence,
    /// Last missing sequence.
    pub to: Sequence,
}

/// How much of a log a slice covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover {
    /// The log.
    pub log: LogId,
    /// Every decision up to this sequence is in this slice or in an earlier one.
    pub upto: Sequence,
}

/// A sealed slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEntry {
    /// Number of its file.
    pub file: u64,
    /// Random id, repeated in its blocks.
    pub id: u64,
    /// Smallest decided-at in it.
    pub decided_first: u32,
    /// Largest decided-at in it.
    pub decided_last: u32,
    /// Largest expiry in it: once the clock has passed it the slice answers nothing.
    pub expiry_max: u32,
    /// Number of entries.
    pub entries: u64,
    /// Length of the file.
    pub bytes: u64,
    /// CRC-32C of the file's section table.
    pub checksum: u32,
    /// What it covers.
    pub covers: Vec<Cover>,
}

/// All durable state but the contents of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Id of the installation: of all directories that share a secret. That of the secret, but drawn for itself in one that was
    /// made in format 1.
    pub installation: [u8; 16],
    /// Random id of the node: of this directory.
    pub node: [u8; 16],
    /// Random id of this incarnation of the directory; a restore makes a new one.
    pub incarnation: [u8; 16],
    /// Id of the secret that the slices were made under.
    pub secret: [u8; 16],
    /// Grows by one with every replacement.
    pub generation: u64,
    /// Number of the latest start, 24 bits; 0 before the first.
    pub start: u32,
    /// Every log was brought to its end by a graceful stop, and none is written now.
    pub clean_stop: bool,
    /// The expiry clock when this was written.
    pub clock: ClockMark,
    /// Time that the expiry clock withholds until an operator releases it, in seconds.
    pub withheld_s: u64,
    /// The next file number to give out.
    pub next_file: u64,
    /// The logs.
    pub logs: Vec<LogEntry>,
    /// What is known to be missing.
    pub gaps: Vec<Gap>,
    /// Files that are ready to become segments.
    pub preallocated: Vec<u64>,
    /// The slices, oldest first.
    pub slices: Vec<SliceEntry>,
    /// What not every directory has.
    pub sections: Sections,
}

/// Why bytes are not a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestFault {
    /// Fewer bytes than its length states, or more.
    Length,
    /// The first bytes are not a manifest's.
    Magic,
    /// The checksum does not match.
    Checksum,
    /// It is whole, but of a newer format.
    Newer {
        /// The format version found.
        version: u32,
        /// The oldest flk that reads it.
        readable_since: [u16; 3],
    },
    /// It is whole, but has a section that only a newer flk knows and that may not be left aside.
    NewerSection {
        /// The kind of the section.
        kind: u16,
    },
    /// The checksum matches, but a field holds what no writer writes; its name.
    Field(&'static str),
    /// It would be longer than what may be written.
    TooLong {
        /// Bytes that it takes.
        bytes: usize,
        /// Bytes that it may take.
        bytes_max: usize,
    },
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestFault::Length => {
                out.write_str("the manifest has not the length that it states")
            }
            ManifestFault::Magic => out.write_str("the file is not a manifest"),
            ManifestFault::Checksum => out.write_str("the checksum of the manifest does not match"),
            ManifestFault::Newer {
                version,
                readable_since: [major, minor, patch],
            } => write!(
                out,
                "the directory has format version {version}, this flk reads {DIRECTORY_VERSION}: use flk {major}.{minor}.{patch} or later"
            ),
            ManifestFault::NewerSection { kind } => write!(
                out,
                "the manifest was written by a newer flk: this one does not know its section {kind}. Use that flk or a later one"
            ),
            ManifestFault::Field(name) => write!(out, "the manifest holds an impossible {name}"),
            ManifestFault::TooLong { bytes, bytes_max } => write!(
                out,
                "the manifest would take {bytes} bytes, and may take {bytes_max}"
            ),
        }
    }
}

impl std::error::Error for ManifestFault {}

impl ManifestFault {
    /// Whether a newer flk wrote it, so that nothing is wrong with it.
    pub fn is_newer(&self) -> bool {
        matches!(
            self,
            ManifestFault::Newer { .. } | ManifestFault::NewerSection { .. }
        )
    }
}

impl Manifest {
    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        encode::encode(self)
    }

    /// The bytes of the file, if [`Manifest::decode`] accepts them and they are no more than that.
    pub fn encode_within(&self, bytes_max: usize) -> Result<Vec<u8>, ManifestFault> {
        let bytes_max = bytes_max.min(MANIFEST_BYTES_MAX);
        let bytes = self.encoded_bytes();
        if bytes > bytes_max {
            return Err(ManifestFault::TooLong { bytes, bytes_max });
        }
        match self.impossible() {
            Some(name) => Err(ManifestFault::Field(name)),
            None => Ok(self.encode()),
        }
    }

    /// How many bytes the file takes.
    pub fn encoded_bytes(&self) -> usize {
        let of_log = |log: &LogEntry| {
            let extents = log.segments.iter().filter(|it| it.state.extent().is_some());
            LOG_BYTES + log.segments.len() * SEGMENT_BYTES + extents.count() * EXTENT_BYTES
        };
        let of_slice = |slice: &SliceEntry| SLICE_BYTES + slice.covers.len() * COVER_BYTES;
        FIXED_BYTES
            + self.logs.iter().map(of_log).sum::<usize>()
            + self.gaps.len() * GAP_BYTES
            + self.preallocated.len() * PREALLOCATED_BYTES
            + self.slices.iter().map(of_slice).sum::<usize>()
            + self
                .sections
                .encoded_bytes(&packed::packed_files(&self.logs))
    }

    /// Number of segments of all logs.
    pub fn segments_count(&self) -> usize {
        self.logs.iter().map(|log| log.segments.len()).sum()
    }

    /// Reads the bytes of the file.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, ManifestFault> {
        let manifest = read::read(bytes)?;
        match manifest.impossible() {
            Some(name) => Err(ManifestFault::Field(name)),
            None => Ok(manifest),
        }
    }

    /// The name of a field that no writer gives this value.
    fn impossible(&self) -> Option<&'static str> {
        if self.start >= START_LIMIT {
            return Some("start number");
        }
        if self.logs.iter().any(|log| log.id.start > self.start) {
            return Some("log of a later start");
        }
        let mut files = self.files();
        files.sort_unstable();
        let twice = files.iter().zip(files.iter().skip(1)).any(|(a, b)| a == b);
        if twice || files.last().is_some_and(|&file| file >= self.next_file) {
            return Some("file number");
        }
        let ids: BTreeSet<LogId> = self.logs.iter().map(|log| log.id).collect();
        if ids.len() != self.logs.len() {
            return Some("log named twice");
        }
        let mut logs = self.logs.iter();
        logs.find_map(|log| log.impossible(self.generation))
            .or_else(|| self.sections.impossible())
    }

    /// The numbers of all files that it names.
    pub fn files(&self) -> Vec<u64> {
        let segments = self.logs.iter().flat_map(|log| &log.segments);
        let slices = self.slices.iter().map(|slice| slice.file);
        segments
            .map(|segment| segment.file)
            .chain(self.preallocated.iter().copied())
            .chain(slices)
            .collect()
    }

    /// All segments, each with its log.
    pub fn segments(&self) -> impl Iterator<Item = (&LogEntry, &SegmentEntry)> {
        let logs = self.logs.iter();
        logs.flat_map(|log| log.segments.iter().map(move |entry| (log, entry)))
    }

    /// The log of this name.
    pub fn log(&self, id: LogId) -> Option<&LogEntry> {
        self.logs.iter().find(|log| log.id == id)
    }

    /// The log of this name, to be changed.
    pub fn log_mut(&mut self, id: LogId) -> Option<&mut LogEntry> {
        self.logs.iter_mut().find(|log| log.id == id)
    }

    /// How far the slices hold a log's decisions.
    pub fn covered_upto(&self, log: LogId) -> Option<Sequence> {
        let covers = self.slices.iter().flat_map(|slice| &slice.covers);
        covers
            .filter(|cover| cover.log == log)
            .map(|cover| cover.upto)
            .max()
    }

    /// Index of the first segment of a log whose decisions are not in a slice.
    pub fn first_uncovered(&self, log: &LogEntry) -> usize {
        let Some(covered) = self.covered_upto(log.id) else {
            return 0;
        };
        let in_slices = |entry: &&SegmentEntry| {
            let extent = entry.state.extent();
            extent.is_some_and(|extent| extent.last <= covered)
        };
        log.segments.iter().take_while(in_slices).count()
    }

    /// The incarnation that a log was begun under: that of its segment headers.
    pub fn incarnation_of(&self, log: LogId) -> [u8; 16] {
        self.log(log)
            .map_or(self.incarnation, |log| log.incarnation)
    }

    /// The gap that holds a sequence of a log.
    pub fn gap(&self, log: LogId, sequence: Sequence) -> Option<&Gap> {
        self.gaps
            .iter()
            .find(|gap| gap.log == log && (gap.from..=gap.to).contains(&sequence))
    }
}

impl LogEntry {
    /// The segment at this position.
    pub fn segment(&self, ordinal: u32) -> Option<&SegmentEntry> {
        self.segments.iter().find(|it| it.ordinal == ordinal)
    }

    /// Name of the file of the segment at this position; empty if there is none.
    pub fn file_name(&self, ordinal: u32) -> String {
        self.segment(ordinal)
            .map(|entry| NumberedFile::Segment(entry.file).to_string())
            .unwrap_or_default()
    }

    /// The segment at this position, to be changed.
    pub fn segment_mut(&mut self, ordinal: u32) -> Option<&mut SegmentEntry> {
        self.segments.iter_mut().find(|it| it.ordinal == ordinal)
    }

    /// The name of a field that no writer gives this value.
    fn impossible(&self, generation: u64) -> Option<&'static str> {
        let rank = |segment: &SegmentEntry| match segment.state {
            SegmentState::Closed(_) | SegmentState::Packed(..) => 0,
            SegmentState::Last(_) => 1,
            SegmentState::Open => 2,
            SegmentState::Next => 3,
        };
        let pairs = || self.segments.iter().zip(self.segments.iter().skip(1));
        if pairs().any(|(a, b)| a.ordinal.checked_add(1) != Some(b.ordinal)) {
            return Some("order of segments");
        }
        let doubled =
            |a: &SegmentEntry, b: &SegmentEntry| rank(a) == rank(b) && (1..=2).contains(&rank(a));
        if pairs().any(|(a, b)| rank(a) > rank(b) || doubled(a, b)) {
            return Some("order of segment states");
        }
        let written = |segment: &SegmentEntry| segment.state.extent().is_some();
        if self.ended_at.is_some() && !self.segments.iter().all(written) {
            return Some("open segment of an ended log");
        }
        let last = |segment: &SegmentEntry| matches!(segment.state, SegmentState::Last(_));
        if self.ended_at.is_none() && self.segments.iter().any(last) {
            return Some("last segment of a log that has not ended");
        }
        let is_later = |segment: &SegmentEntry| segment.generation > generation;
        if self.segments.iter().any(is_later) {
            return Some("segment of a later generation");
        }
        packed::is_impossible(self).then_some("packed segment")
    }
}
