//! A row: a stored body by its place, and what became of it. It holds the body itself only where that is wanted.

use crate::wal::show::hex;
use crate::wal::stored::disposed::Disposed;
use crate::wal::stored::pairs::BodyAt;
use flk_contract::hash::sha256;
use flk_dataplane::wal::name::Place;
use flk_dataplane::wal::record::{Decision, Entry};
use flk_dataplane::wal::tail::Cursor;

/// See the module.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) incarnation: String,
    pub(crate) log: String,
    pub(crate) place: Place,
    /// Its line in its batch, if it came in one.
    pub(crate) line: Option<u32>,
    /// Wall clock of the batch, in microseconds since the Unix epoch.
    pub(crate) received_us: u64,
    pub(crate) tenant: String,
    /// As it stands in the body; none if that is no record.
    pub(crate) pcs_id: Option<String>,
    pub(crate) disposed: Disposed,
    decided: Option<Decided>,
    pub(crate) bytes: u32,
    /// None of an erased body.
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) body: Option<Vec<u8>>,
}

/// What a decision adds.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) params: String,
    pub(crate) key_id: String,
    pub(crate) signing_digest: String,
    /// Seconds on the expiry clock.
    pub(crate) decided_at: u32,
    /// Seconds on the expiry clock.
    pub(crate) expiry: u32,
}

/// Dispositions that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Accepted or escalated
    Decided,
    Accepted,
    Escalated,
    Refused,
    Duplicate,
    Conflict,
    /// The gateway gave it up; a retry gets an outcome
    Unanswered,
    /// The log has no disposition of it yet
    Pending,
}

impl Kind {
    /// Whether a disposition is of this kind.
    pub(crate) fn takes(self, disposed: Disposed) -> bool {
        match (self, disposed) {
            (Kind::Decided, Disposed::Decided(_))
            | (Kind::Refused, Disposed::Refused(..))
            | (Kind::Duplicate, Disposed::Duplicate)
            | (Kind::Conflict, Disposed::Conflict)
            | (Kind::Unanswered, Disposed::Unanswered)
            | (Kind::Pending, Disposed::Pending) => true,
            (Kind::Accepted, Disposed::Decided(verdict)) => verdict.reason == 0,
            (Kind::Escalated, Disposed::Decided(verdict)) => verdict.reason != 0,
            _ => false,
        }
    }
}

impl Row {
    /// Of a body without a disposition yet.
    pub(crate) fn of(cursor: &Cursor, at: &BodyAt<'_>, pcs_id: Option<String>) -> Self {
        Self {
            incarnation: hex(&cursor.incarnation),
            log: cursor.log.to_string(),
            place: at.place,
            line: at.line,
            received_us: at.wall_us,
            tenant: at.record.tenant.to_owned(),
            pcs_id,
            disposed: Disposed::Pending,
            decided: None,
            bytes: at.record.bytes,
            sha256: at.bytes.map(|bytes| sha256(&[bytes])),
            body: None,
        }
    }

    /// The same with the body itself, unless it was erased.
    pub(crate) fn with_body(self, at: &BodyAt<'_>) -> Self {
        let body = at.bytes.map(<[u8]>::to_vec);
        Self { body, ..self }
    }

    /// Of a body that is not at hand: only its place and its decision are.
    pub(crate) fn of_decision(cursor: &Cursor, it: &Decision<'_>, wall_us: u64) -> Self {
        Self {
            incarnation: hex(&cursor.incarnation),
            log: cursor.log.to_string(),
            place: it.body,
            line: None,
            received_us: wall_us,
            tenant: it.tenant.to_owned(),
            pcs_id: Some(hex(&it.pcs_id)),
            disposed: Disposed::Pending,
            decided: None,
            bytes: 0,
            sha256: None,
            body: None,
        }
    }

    /// Takes its disposition, in a log to whose times so much is added.
    pub(crate) fn take(&mut self, entry: &Entry<'_>, clock_base_s: u32) {
        if let Some(disposed) = Disposed::of(entry) {
            self.disposed = disposed;
        }
        if let Entry::Decision(it) = entry {
            self.decided = Some(Decided {
                params: it.params.to_owned(),
                key_id: hex(&it.key_id),
                signing_digest: hex(&it.digest),
                decided_at: it.decided_at.saturating_add(clock_base_s),
                expiry: it.expiry.saturating_add(clock_base_s),
            });
        }
    }

    /// What a decision adds, if it got one.
    pub(crate) fn decision(&self) -> Option<&Decided> {
        self.decided.as_ref()
    }

    /// The regime of an outcome.
    pub(crate) fn regime(&self) -> Option<&'static str> {
        match self.disposed {
            Disposed::Decided(verdict) => Some(verdict.regime_word()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::stored::disposed::DecidedAs;

    #[test]
    fn what_was_decided_is_either_accepted_or_escalated() {
        let regime = 1;
        for (reason, own, other) in [
            (0, Kind::Accepted, Kind::Escalated),
            (4, Kind::Escalated, Kind::Accepted),
        ] {
            let disposed = Disposed::Decided(DecidedAs { reason, regime });
            assert!(Kind::Decided.takes(disposed) && own.takes(disposed));
            assert!(!other.takes(disposed), "{other:?}");
        }
    }
}
