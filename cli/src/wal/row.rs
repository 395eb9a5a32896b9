//! A stored body with its disposition, and the filter of `flk wal inspect`.

use flk_contract::{Reason, Regime};
use flk_dataplane::http::Problem;
use flk_dataplane::wal::name::{LogId, Place};
use flk_dataplane::wal::record::{Decision, Entry};

/// A body in a log.
pub(super) struct Row {
    pub(super) log: LogId,
    pub(super) place: Place,
    /// Wall clock of the batch that holds the body.
    pub(super) wall_us: u64,
    pub(super) tenant: String,
    pub(super) bytes: u32,
    /// From the body; none if the body is not a record or was erased.
    pub(super) pcs_id: Option<String>,
    /// The body, if requested and not erased.
    pub(super) body: Option<Vec<u8>>,
    pub(super) disposition: Disposition,
}

/// The disposition of a body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Disposition {
    Accepted,
    Escalated(Option<Reason>, Option<Regime>),
    Refused(u16, Option<Problem>),
    Duplicate,
    Conflict,
    /// The gateway stopped before it had an outcome; a retry gets one.
    Unanswered,
    /// A serving gateway has not decided yet.
    Pending,
}

/// Names of dispositions on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum DispositionName {
    Accepted,
    Escalated,
    Refused,
    Duplicate,
    Conflict,
    Unanswered,
    Pending,
}

impl Disposition {
    /// The disposition in a log record, for the body that it names.
    pub(super) fn of(entry: &Entry<'_>) -> Option<Self> {
        Some(match entry {
            Entry::Decision(Decision { reason: 0, .. }) => Self::Accepted,
            Entry::Decision(decision) => Self::Escalated(
                Reason::from_code(decision.reason),
                Regime::from_code(decision.regime),
            ),
            Entry::Refused(refused) => {
                Self::Refused(refused.status, Problem::from_number(refused.code))
            }
            Entry::Duplicate(_) => Self::Duplicate,
            Entry::Conflict(_) => Self::Conflict,
            Entry::Unanswered(_) => Self::Unanswered,
            Entry::Erasure(_) => return None,
        })
    }

    /// The status of the answer, if the log has it. A duplicate got the answer of its original.
    pub(super) const fn status(&self) -> Option<u16> {
        match self {
            Self::Accepted => Some(200),
            Self::Escalated(..) => Some(202),
            Self::Refused(status, _) => Some(*status),
            _ => None,
        }
    }

    pub(super) const fn name(&self) -> DispositionName {
        match self {
            Self::Accepted => DispositionName::Accepted,
            Self::Escalated(..) => DispositionName::Escalated,
            Self::Refused(..) => DispositionName::Refused,
            Self::Duplicate => DispositionName::Duplicate,
            Self::Conflict => DispositionName::Conflict,
            Self::Unanswered => DispositionName::Unanswered,
            Self::Pending => DispositionName::Pending,
        }
    }

    /// One word for it.
    pub(super) const fn word(&self) -> &'static str {
        match self.name() {
            DispositionName::Accepted => "accepted",
            DispositionName::Escalated => "escalated",
            DispositionName::Refused => "refused",
            DispositionName::Duplicate => "duplicate",
            DispositionName::Conflict => "conflict",
            DispositionName::Unanswered => "unanswered",
            DispositionName::Pending => "pending",
        }
    }

    /// Reason or problem code.
    pub(super) fn why(&self) -> Option<&'static str> {
        match self {
            Self::Escalated(reason, _) => reason.map(Reason::as_str),
            Self::Refused(_, problem) => problem.map(Problem::code),
            _ => None,
        }
    }
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
            .is_none_or(|wanted| row.disposition.status() == Some(wanted))
            && self
                .disposition
                .is_none_or(|wanted| row.disposition.name() == wanted)
            && self.pcs_id.as_ref().is_none_or(starts)
    }
}
