//! A stored body and what became of it, as a tool shows it; and which of them are asked for.

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
    /// As the body itself has it; none if the body is not a record or was erased.
    pub(super) pcs_id: Option<String>,
    /// The body, if it was asked for and not erased.
    pub(super) body: Option<Vec<u8>>,
    pub(super) disposition: Disposition,
}

/// What became of a body.
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
    /// The disposition that an entry gives to the body that it names.
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

    /// The status that was answered, where the log says it. A duplicate was answered as its original was.
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

/// Which rows are asked for.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) status: Option<u16>,
    pub(super) disposition: Option<DispositionName>,
    pub(super) pcs_id: Option<String>,
    pub(super) log: Option<String>,
}

impl Filter {
    /// Whether a whole log is asked for.
    pub(super) fn takes_log(&self, log: LogId) -> bool {
        self.log
            .as_ref()
            .is_none_or(|wanted| *wanted == log.to_string())
    }

    /// Whether a row is.
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
