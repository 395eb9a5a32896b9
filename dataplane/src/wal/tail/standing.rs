//! Where reading stands in a log, and what an attempt to read on can find.

use super::{Cursor, Missing, Source, TailError};
use crate::io::Errno;
use crate::wal::batch::BatchHeader;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Manifest, SegmentEntry};
use crate::wal::name::Sequence;
use crate::wal::packed::SegmentFile;
use crate::wal::record::ErasedBody;
use crate::wal::scan::Window;
use crate::wal::segment::Predecessor;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How much of each batch is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// All of it, bodies verified.
    Whole,
    /// Header and index part. Bodies are not verified.
    Index,
}

/// One log, read from a cursor on.
pub struct LogTail<S: Source> {
    pub(super) source: S,
    pub(super) manifest: Arc<Manifest>,
    pub(super) cursor: Cursor,
    pub(super) depth: Depth,
    pub(super) erased: Arc<BTreeSet<ErasedBody>>,
    /// The segment that is read.
    pub(super) at: Option<Standing<S::File>>,
    /// A header of this log has said that everything up to here was durable.
    pub(super) durable_upto: Sequence,
}

/// Where reading stands in a segment.
pub(super) struct Standing<F> {
    pub(super) entry: SegmentEntry,
    pub(super) window: Window<SegmentFile<F>>,
    /// Where the next batch begins.
    pub(super) offset: u64,
    /// What is before it. The checksum is that of the header before in this segment.
    pub(super) last: Predecessor,
    /// The next batch directly follows, so its header repeats that checksum.
    pub(super) is_chained: bool,
    /// Where the next segment's header says that this one ends. Not asked of one whose extent the manifest states.
    pub(super) stated: Option<Predecessor>,
    /// The batch that was given last: its offset and header.
    pub(super) given: Option<(u64, BatchHeader)>,
}

/// What an attempt found.
pub(super) enum Found {
    /// The batch that [`Standing::given`] names.
    Batch,
    Missing(Missing),
    NotYet,
    End,
}

/// A segment cannot be read.
pub(super) fn unreadable(entry: &SegmentEntry, errno: Errno) -> TailError {
    let file = NumberedFile::Segment(entry.file);
    match errno {
        Errno::ENOENT => TailError::Lost(file),
        errno => TailError::Unreadable(file.to_string(), errno),
    }
}
