//! A stored body with its disposition, and the filter of `flk wal inspect`.

use super::stored::disposed::{Disposed, DispositionName};
use flk_dataplane::wal::name::{LogId, Place};

/// A body in a log.
pub(super) struct Row {
    pub(super) log: LogId,
    pub(super) place: Place,
    /// Its line in its batch, if it came in one.
    pub(super) line: Option<u32>,
    /// Wall clock of the batch that holds the body.
    pub(super) wall_us: u64,
    pub(super) tenant: String,
    pub(super) bytes: u32,
    /// From the body; none if the body is not a record or was erased.
    pub(super) pcs_id: Option<String>,
    /// The body, if requested and not erased.
    pub(super) body: Option<Vec<u8>>,
    pub(super) disposed: Disposed,
}

/// The rows to show.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) status: Option<u16>,
    pub(super) disposition: Option<DispositionName>,
    pub(super) pcs_id: Option<String>,
    pub(super) log: Option<String>,
}

impl Filter {
    /// Whether a log is shown.
    pub(super) fn takes_log(&self, log: LogId) -> bool {
        self.log
            .as_ref()
            .is_none_or(|wanted| *wanted == log.to_string())
    }

    /// Whether a row is shown.
    pub(super) fn takes(&self, row: &Row) -> bool {
        let starts = |wanted: &String| row.pcs_id.as_ref().is_some_and(|it| it.starts_with(wanted));
        self.status
            .is_none_or(|wanted| row.disposed.status() == Some(wanted))
            && self
                .disposition
                .is_none_or(|wanted| row.disposed.name() == wanted)
            && self.pcs_id.as_ref().is_none_or(starts)
    }
}
