//! Reads one log from beginning to end and pairs each body with its disposition. Only bodies without a disposition yet are
//! kept in memory.

use crate::wal::directory::{Directory, LogFile};
use crate::wal::row::Row;
use crate::wal::stored::disposed::Disposed;
use flk_contract::Parser;
use flk_dataplane::wal::batch::Batch;
use flk_dataplane::wal::manifest::{LogEntry, Manifest};
use flk_dataplane::wal::name::Place;
use flk_dataplane::wal::packed::SegmentFile;
use flk_dataplane::wal::record::{BodyRecord, Content};
use flk_dataplane::wal::scan::{LogEnd, LogSource, Verdict, read_log, run_ready};
use std::collections::BTreeMap;

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
        let mut end = self.read(|_, _| {});
        // Between two reads a batch may become whole and the next one may state that it was durable. Real damage stays.
        for _ in 1..LIVE_ATTEMPTS_MAX {
            if !self.is_live() || end.verdict.is_sound() {
                break;
            }
            let again = self.read(|_, _| {});
            if again.verdict == end.verdict {
                break;
            }
            end = again;
        }
        end
    }

    /// Shows every body with its disposition; returns where the log ends.
    pub(super) fn rows(&self, bodies: Bodies, mut show: impl FnMut(Row)) -> LogEnd {
        let mut waiting = Waiting {
            bodies,
            parser: Parser::new(),
            rows: BTreeMap::new(),
        };
        let mut end = self.read(|wall_us, batch| {
            waiting.pass(self, wall_us, batch, &mut show);
        });
        let left = match self.is_live() {
            true => Disposed::Pending,
            false => Disposed::Unanswered,
        };
        for (_, mut row) in waiting.rows {
            row.disposed = left;
            show(row);
        }
        if self.is_live() && !end.verdict.is_sound() && !self.directory.is_stopped() {
            end.verdict = self.end().verdict;
        }
        end
    }

    /// Shows every batch, with its wall clock; returns where the log ends.
    pub(crate) fn read(&self, mut visit: impl FnMut(u64, &Batch<'_>)) -> LogEnd {
        let erased = |_, _| false;
        let source = LogSource {
            manifest: self.manifest,
            log: self.log,
            from: self.from,
            files: &self.files,
            erased: &erased,
        };
        let read = read_log(&source, |_, batch| {
            visit(batch.header.fields.wall_us, batch)
        });
        run_ready(read).unwrap_or_else(|| self.nothing_read())
    }

    /// The result if a read were not ready, which does not happen with plain files.
    fn nothing_read(&self) -> LogEnd {
        LogEnd {
            verdict: Verdict::Unreadable {
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

/// Bodies whose disposition is not known yet.
struct Waiting {
    bodies: Bodies,
    parser: Parser,
    rows: BTreeMap<Place, Row>,
}

impl Waiting {
    fn pass(
        &mut self,
        of: &Survey<'_>,
        wall_us: u64,
        batch: &Batch<'_>,
        show: &mut impl FnMut(Row),
    ) {
        let sequence = batch.header.fields.sequence;
        for record in batch.records().flatten() {
            match record.content {
                Content::Body(body) => {
                    let index = record.index;
                    let place = Place { sequence, index };
                    let row = self.row(of, place, wall_us, &body, batch.body(&body));
                    self.rows.insert(place, row);
                }
                Content::Entry(entry) => {
                    let row = entry
                        .disposition_of()
                        .and_then(|body| self.rows.remove(&body));
                    if let (Some(mut row), Some(disposed)) = (row, Disposed::of(&entry)) {
                        row.disposed = disposed;
                        show(row);
                    }
                }
                Content::Skipped => {}
            }
        }
    }

    fn row(
        &mut self,
        of: &Survey<'_>,
        place: Place,
        wall_us: u64,
        record: &BodyRecord<'_>,
        body: Option<&[u8]>,
    ) -> Row {
        let parsed = body.and_then(|body| self.parser.parse(body).ok());
        Row {
            log: of.log.id,
            place,
            wall_us,
            tenant: record.tenant.to_owned(),
            bytes: record.bytes,
            pcs_id: parsed.map(|it| it.pcs_id.to_owned()),
            body: body
                .filter(|_| self.bodies == Bodies::Kept)
                .map(<[u8]>::to_vec),
            disposed: Disposed::Pending,
        }
    }
}
