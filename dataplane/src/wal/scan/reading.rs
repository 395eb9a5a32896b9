//! A log while it is read, and how its reading ends early.

use super::LogSource;
use super::cursor::Cursor;
use super::report::{BatchAt, LogEnd, LogVerdict};
use super::window::ReadAt;
use crate::io::Errno;
use crate::wal::batch::Batch;
use crate::wal::manifest::SegmentEntry;
use crate::wal::name::Sequence;

/// Reading ends here with this verdict.
pub(super) struct Halt(pub(super) LogVerdict);

/// A log while it is read: what is known so far, and what is to be reported.
pub(super) struct LogReader<'a, R, V> {
    pub(super) source: &'a LogSource<'a, R>,
    pub(super) visit: V,
    pub(super) cursor: Cursor<'a>,
    pub(super) end: LogEnd,
}

impl<'a, R: ReadAt, V: FnMut(&BatchAt, &Batch<'_>)> LogReader<'a, R, V> {
    /// Nothing is read yet.
    pub(super) fn new(source: &'a LogSource<'a, R>, visit: V) -> LogReader<'a, R, V> {
        let cursor = Cursor::new(source.manifest, source.log, source.from);
        let end = LogEnd {
            verdict: LogVerdict::Whole,
            last: Sequence::default(),
            checksum: cursor.end().map(|end| end.checksum),
            last_batch: None,
            batches: 0,
            segments: Vec::new(),
            unused: Vec::new(),
            expiry_clock_s: 0,
            wall_us: 0,
            resolved_upto: Sequence::default(),
        };
        LogReader {
            source,
            visit,
            cursor,
            end,
        }
    }

    /// The segments to read.
    pub(super) fn segments(&self) -> &'a [SegmentEntry] {
        let all = &self.source.log.segments;
        all.get(self.source.from..).unwrap_or_default()
    }

    /// A segment to read and its file.
    pub(super) fn segment(&self, index: usize) -> Option<(&'a SegmentEntry, &'a R)> {
        self.segments().get(index).zip(self.source.files.get(index))
    }
}

/// A read error is a verdict of its own.
pub(super) fn unreadable(entry: &SegmentEntry, errno: Errno) -> Halt {
    Halt(LogVerdict::Unreadable {
        ordinal: entry.ordinal,
        errno,
    })
}
