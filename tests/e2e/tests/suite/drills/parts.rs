//! What can be damaged: parts of files, and whole files, with the names that the table gives them. A part is found in the
//! directory as it was before the damage.

use super::stock::Stock;
use flk_dataplane::dedup::slice::frame::{Trailer, section};
use std::ops::Range;

/// A block, and so the length of a header.
pub(crate) const BLOCK: usize = 4096;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    SealedHead,
    SealedBatch,
    PackedHead,
    PackedSegmentHeader,
    PackedBatch,
    ClosedHead,
    ClosedBatch,
    OpenHead,
    OpenBatch,
    LastBatch,
    SliceHeader,
    SliceEntries,
    SlicePartitions,
    SliceIndex,
    SliceFilters,
    SliceParams,
    SliceCovers,
    SliceTrailer,
    Manifest,
    Secret,
}

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whole {
    SealedSegment,
    PackedSegment,
    ClosedSegment,
    OpenSegment,
    LastSegment,
    Slice,
    Manifest,
    Secret,
}

impl Part {
    /// All, in the order of the table.
    pub(crate) const ALL: [Part; 20] = [
        Part::SealedHead,
        Part::SealedBatch,
        Part::PackedHead,
        Part::PackedSegmentHeader,
        Part::PackedBatch,
        Part::ClosedHead,
        Part::ClosedBatch,
        Part::OpenHead,
        Part::OpenBatch,
        Part::LastBatch,
        Part::SliceHeader,
        Part::SliceEntries,
        Part::SlicePartitions,
        Part::SliceIndex,
        Part::SliceFilters,
        Part::SliceParams,
        Part::SliceCovers,
        Part::SliceTrailer,
        Part::Manifest,
        Part::Secret,
    ];

    /// As in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::SealedHead => "sealed segment: first block",
            Part::SealedBatch => "sealed segment: a batch",
            Part::PackedHead => "packed segment: first block",
            Part::PackedSegmentHeader => "packed segment: second block",
            Part::PackedBatch => "packed segment: a batch",
            Part::ClosedHead => "closed segment, not sealed: first block",
            Part::ClosedBatch => "closed segment, not sealed: a batch in its middle",
            Part::OpenHead => "segment in use, after `kill -9`: first block",
            Part::OpenBatch => {
                "segment in use, after `kill -9`: an acknowledged batch near its end"
            }
            Part::LastBatch => "segment in use, after a clean stop: the last batch with records",
            Part::SliceHeader => "slice: first block",
            Part::SliceEntries => "slice: a block of entries",
            Part::SlicePartitions => "slice: directory of partitions",
            Part::SliceIndex => "slice: index",
            Part::SliceFilters => "slice: filters",
            Part::SliceParams => "slice: names of parameter sets",
            Part::SliceCovers => "slice: covers",
            Part::SliceTrailer => "slice: last block",
            Part::Manifest => "manifest",
            Part::Secret => "secret",
        }
    }

    /// Its file.
    pub(crate) fn file(self) -> Whole {
        match self {
            Part::SealedHead | Part::SealedBatch => Whole::SealedSegment,
            Part::PackedHead | Part::PackedSegmentHeader | Part::PackedBatch => {
                Whole::PackedSegment
            }
            Part::ClosedHead | Part::ClosedBatch => Whole::ClosedSegment,
            Part::OpenHead | Part::OpenBatch => Whole::OpenSegment,
            Part::LastBatch => Whole::LastSegment,
            Part::Manifest => Whole::Manifest,
            Part::Secret => Whole::Secret,
            _ => Whole::Slice,
        }
    }

    /// Whether another file of the directory has such a part, and another one: all slices know one parameter set.
    pub(crate) fn has_a_twin(self) -> bool {
        !matches!(self, Part::SliceParams | Part::Manifest | Part::Secret)
    }

    /// Where it lies in a file of its kind.
    pub(crate) fn place(self, stock: &Stock, name: &str) -> Range<usize> {
        let bytes = stock.read(name);
        match self {
            Part::SealedHead
            | Part::PackedHead
            | Part::ClosedHead
            | Part::OpenHead
            | Part::SliceHeader => 0..BLOCK,
            Part::PackedSegmentHeader => BLOCK..2 * BLOCK,
            Part::PackedBatch => third_frame(&bytes),
            Part::SealedBatch | Part::ClosedBatch | Part::OpenBatch | Part::LastBatch => {
                stock.batch(name, self == Part::LastBatch)
            }
            Part::SliceEntries => BLOCK..2 * BLOCK,
            Part::SliceTrailer => bytes.len() - BLOCK..bytes.len(),
            Part::SlicePartitions => in_slice(&bytes, section::PARTITIONS),
            Part::SliceIndex => in_slice(&bytes, section::INDEX),
            Part::SliceFilters => in_slice(&bytes, section::FILTERS),
            Part::SliceParams => in_slice(&bytes, section::PARAMS),
            Part::SliceCovers => in_slice(&bytes, section::COVERS),
            Part::Manifest | Part::Secret => 0..bytes.len(),
        }
    }
}

impl Whole {
    /// All, in the order of the table.
    pub(crate) const ALL: [Whole; 8] = [
        Whole::SealedSegment,
        Whole::PackedSegment,
        Whole::ClosedSegment,
        Whole::OpenSegment,
        Whole::LastSegment,
        Whole::Slice,
        Whole::Manifest,
        Whole::Secret,
    ];

    /// As in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Whole::SealedSegment => "sealed segment",
            Whole::PackedSegment => "packed segment",
            Whole::ClosedSegment => "closed segment, not sealed",
            Whole::OpenSegment => "segment in use, after `kill -9`",
            Whole::LastSegment => "segment in use, after a clean stop",
            Whole::Slice => "slice",
            Whole::Manifest => "manifest",
            Whole::Secret => "secret",
        }
    }

    /// Whether it is written more than once, so that there is an older copy.
    pub(crate) fn grows(self) -> bool {
        !matches!(self, Whole::PackedSegment | Whole::Slice | Whole::Secret)
    }
}

/// The third batch of a packed file.
fn third_frame(bytes: &[u8]) -> Range<usize> {
    let length = |at: usize| {
        let bytes = bytes[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes) as usize
    };
    let start = (0..2).fold(2 * BLOCK, |at, _| at + length(at));
    start..start + length(start)
}

fn in_slice(bytes: &[u8], kind: u16) -> Range<usize> {
    let trailer = Trailer::decode(&bytes[bytes.len() - BLOCK..]).expect("a whole slice");
    let section = trailer.section(kind).expect("a section of each kind");
    let at = section.offset as usize;
    at..at + section.bytes as usize
}
