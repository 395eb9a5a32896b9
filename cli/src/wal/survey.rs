//! Reads one log from beginning to end, as a start would: where it ends and in which state, and its bodies as rows with their
//! dispositions. It changes nothing.

use crate::wal::directory::{Directory, LogFile};
use crate::wal::row::Row;
use crate::wal::stored::disposed::Disposed;
use crate::wal::stored::pairs::{BodyAt, Pairs, Use};
use flk_contract::Parser;
use flk_dataplane::wal::batch::Batch;
use flk_dataplane::wal::manifest::{LogEntry, Manifest};
use flk_dataplane::wal::name::LogId;
use flk_dataplane::wal::packed::SegmentFile;
use flk_dataplane::wal::record::Entry;
use flk_dataplane::wal::scan::{LogEnd, LogSource, LogVerdict, read_log, run_ready};

/// How often the end of a log in use is read again before damage is believed.
pub(crate) const LIVE_ATTEMPTS_MAX: u32 = 5;

/// Whether rows contain their bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bodies {
    Kept,
    Omitted,
}

/// A log to be read.
pub(crate) struct Survey<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) manifest: &'a Manifest,
    pub(crate) log: &'a LogEntry,
    pub(crate) from: usize,
    pub(crate) files: Vec<&'a SegmentFile<LogFile<'a>>>,
}

impl Survey<'_> {
    /// Whether a gateway is writing this log.
    pub(crate) fn is_live(&self) -> bool {
        self.directory.holder.is_some() && self.log.ended_at.is_none()
    }

    /// The rest of the log after the segment where reading ended, if there is any.
    pub(super) fn behind(&self, ordinal: u32) -> Option<Self> {
        let segments = self.log.segments.iter();
        let from = segments.take_while(|it| it.ordinal <= ordinal).count();
        let files = self.files.get(from.checked_sub(self.from)?..)?.to_vec();
        (!files.is_empty()).then_some(Survey {
            from,
            files,
            ..*self
        })
    }

    /// Where the log ends and in which state.
    pub(super) fn end(&self) -> LogEnd {
        let mut end = self.read(|_| {});
        // Between two reads a batch may become whole and the next one may state that it was durable. Real damage stays.
        for _ in 1..LIVE_ATTEMPTS_MAX {
            if !self.is_live() || end.verdict.is_sound() {
                break;
            }
            let again = self.read(|_| {});
            if again.verdict == end.verdict {
                break;
            }
            end = again;
        }
        end
    }

    /// Shows every body with its disposition; returns where the log ends.
    pub(super) fn rows(&self, bodies: Bodies, mut show: impl FnMut(Row)) -> LogEnd {
        let mut pairs = Pairs::default();
        let mut rows = Rows {
            log: self.log.id,
            bodies,
            parser: Parser::new(),
            show: &mut show,
        };
        let mut end = self.read(|batch| {
            pairs.batch(batch, &mut rows);
        });
        let left = match self.is_live() {
            true => Disposed::Pending,
            false => Disposed::Unanswered,
        };
        let (waiting, unanswered) = pairs.left();
        let waiting = waiting.into_values().map(|row| (row, left));
        let unanswered = unanswered.into_values();
        for (row, disposed) in waiting.chain(unanswered.map(|row| (row, Disposed::Unanswered))) {
            show(Row { disposed, ..row });
        }
        if self.is_live() && !end.verdict.is_sound() && !self.directory.is_stopped() {
            end.verdict = self.end().verdict;
        }
        end
    }

    /// Shows every batch; returns where the log ends.
    pub(crate) fn read(&self, mut visit: impl FnMut(&Batch<'_>)) -> LogEnd {
        let erased = |_, _| false;
        let source = LogSource {
            manifest: self.manifest,
            log: self.log,
            from: self.from,
            files: &self.files,
            erased: &erased,
        };
        let read = read_log(&source, |_, batch| visit(batch));
        run_ready(read).unwrap_or_else(|| self.nothing_read())
    }

    /// The result if a read were not ready, which does not happen with plain files.
    fn nothing_read(&self) -> LogEnd {
        LogEnd {
            verdict: LogVerdict::Unreadable {
                ordinal: 0,
                errno: flk_dataplane::io::Errno::EIO,
            },
            last: self.log.resolved_upto,
            checksum: None,
            last_batch: None,
            batches: 0,
            segments: Vec::new(),
            unused: Vec::new(),
            expiry_clock_s: 0,
            wall_us: 0,
            resolved_upto: self.log.resolved_upto,
        }
    }
}

/// Makes a row of each body, and shows it once its disposition is known.
struct Rows<S> {
    log: LogId,
    bodies: Bodies,
    parser: Parser,
    show: S,
}

impl<S: FnMut(Row)> Use for Rows<S> {
    type Kept = Row;

    fn body(&mut self, at: &BodyAt<'_>) -> Option<Row> {
        let parsed = at.bytes.and_then(|body| self.parser.parse(body).ok());
        Some(Row {
            log: self.log,
            place: at.place,
            line: at.line,
            wall_us: at.wall_us,
            tenant: at.record.tenant.to_owned(),
            bytes: at.record.bytes,
            pcs_id: parsed.map(|it| it.pcs_id.to_owned()),
            body: at
                .bytes
                .filter(|_| self.bodies == Bodies::Kept)
                .map(<[u8]>::to_vec),
            disposed: Disposed::Pending,
        })
    }

    fn pair(&mut self, row: Row, entry: &Entry<'_>, _batch: &Batch<'_>) {
        if let Some(disposed) = Disposed::of(entry) {
            (self.show)(Row { disposed, ..row });
        }
    }

    /// Of a body in a segment that was deleted.
    fn alone(&mut self, _entry: &Entry<'_>, _batch: &Batch<'_>) {}
}
