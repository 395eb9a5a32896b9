//! A row of an archive: that of an export with its body, and what leads from it back to the log and to the configuration that judged it.

use crate::wal::export::parquet::HasRow;
use crate::wal::export::row::Row;
use crate::wal::show::hex;
use crate::wal::stored::pairs::BodyAt;
use flk_contract::Parser;
use flk_dataplane::wal::name::Sequence;
use flk_dataplane::wal::record::{Decision, Entry};
use flk_dataplane::wal::tail::Cursor;

/// Longer ids are no ids of records: a body can claim one of any length.
const ID_BYTES_MAX: usize = 128;

/// About what a row takes in memory beside its body.
const ROW_BYTES: usize = 400;

/// Whether a row is a body, or what became known of one afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A body with its disposition.
    Body,
    /// The decision of a body that an object before has as unanswered. It has no body.
    LateDecision,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) row: Row,
    pub(super) kind: Kind,
    /// The batch in which it was met: that of the body, or that of a late decision.
    pub(super) met: Sequence,
    /// Number of the configuration snapshot that judged it; none of a late decision.
    pub(super) snapshot: Option<u32>,
}

impl HasRow for Kept {
    fn row(&self) -> &Row {
        &self.row
    }
}

impl Kept {
    /// Of a body without a disposition yet.
    pub(super) fn of(cursor: &Cursor, at: &BodyAt<'_>, parser: &mut Parser) -> Self {
        let record = at.bytes.and_then(|bytes| parser.parse(bytes).ok());
        let pcs_id = record.map(|record| record.pcs_id);
        let pcs_id = pcs_id.filter(|it| it.len() <= ID_BYTES_MAX);
        let pcs_id = pcs_id.map(str::to_owned);
        Self {
            row: Row::of(cursor, at, pcs_id).with_body(at),
            kind: Kind::Body,
            met: at.place.sequence,
            snapshot: Some(at.record.snapshot),
        }
    }

    /// Of a decision whose body an object before has.
    pub(super) fn late(cursor: &Cursor, it: &Decision<'_>, met: Sequence, wall_us: u64) -> Self {
        Self {
            row: Row::of_decision(cursor, it, wall_us),
            kind: Kind::LateDecision,
            met,
            snapshot: None,
        }
    }

    /// Takes its disposition. An erased body has its id from there.
    pub(super) fn take(&mut self, entry: &Entry<'_>, clock_base_s: u32) {
        self.row.take(entry, clock_base_s);
        if let Entry::Decision(it) = entry {
            self.row.pcs_id.get_or_insert_with(|| hex(&it.pcs_id));
        }
    }

    /// Whether the body was erased before it was archived.
    pub(super) fn is_erased(&self) -> bool {
        self.kind == Kind::Body && self.row.body.is_none()
    }

    pub(super) fn body_bytes(&self) -> usize {
        self.row.body.as_ref().map_or(0, Vec::len)
    }

    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        ROW_BYTES + self.body_bytes()
    }

    /// The order of rows in an object.
    pub(super) fn order(&self) -> (&str, u64, Sequence, u32) {
        let row = &self.row;
        (
            &row.tenant,
            row.received_us,
            row.place.sequence,
            row.place.index,
        )
    }
}
