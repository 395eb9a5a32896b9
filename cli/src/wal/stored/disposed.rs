//! What became of a stored body, in the numbers that logs hold, and their words.

use flk_contract::{Outcome, Reason, Regime};
use flk_dataplane::http::Problem;
use flk_dataplane::wal::record::Entry;

/// Reason and regime of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DecidedAs {
    /// 0 accepted, else the number of the reason.
    pub(crate) reason: u8,
    /// The number of the regime.
    pub(crate) regime: u8,
}

impl DecidedAs {
    /// That of an outcome.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        Self {
            reason: outcome.escalated.map_or(0, Reason::code),
            regime: outcome.regime.code(),
        }
    }

    /// The HTTP status of the answer.
    pub(crate) const fn status(self) -> u16 {
        match self.reason {
            0 => 200,
            _ => 202,
        }
    }

    /// The word of the reason; none of an accepted record.
    pub(crate) fn reason_word(self) -> Option<&'static str> {
        Reason::from_code(self.reason).map(Reason::as_str)
    }

    /// The word of the regime.
    pub(crate) fn regime_word(self) -> &'static str {
        Regime::from_code(self.regime).map_or("unknown", Regime::as_str)
    }
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Disposed {
    /// It was the first of its key.
    Decided(DecidedAs),
    /// It was refused, with this status and number of a problem code.
    Refused(u16, u8),
    /// It repeated a decided record.
    Duplicate,
    /// It claimed a decided key with other content.
    Conflict,
    /// The gateway gave it up; a retry gets an outcome.
    Unanswered,
    /// Its log has no disposition of it yet.
    Pending,
}

/// Names of dispositions on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DispositionName {
    Accepted,
    Escalated,
    Refused,
    Duplicate,
    Conflict,
    Unanswered,
    Pending,
}

impl Disposed {
    /// What a log record says of the body that it names.
    pub(crate) fn of(entry: &Entry<'_>) -> Option<Self> {
        Some(match entry {
            Entry::Decision(it) => Self::Decided(DecidedAs {
                reason: it.reason,
                regime: it.regime,
            }),
            Entry::Refused(it) => Self::Refused(it.status, it.code),
            Entry::Duplicate(_) => Self::Duplicate,
            Entry::Conflict(_) => Self::Conflict,
            Entry::Unanswered(_) => Self::Unanswered,
            Entry::Erasure(_) => return None,
        })
    }

    /// Its name.
    pub(crate) const fn name(self) -> DispositionName {
        match self {
            Self::Decided(DecidedAs { reason: 0, .. }) => DispositionName::Accepted,
            Self::Decided(_) => DispositionName::Escalated,
            Self::Refused(..) => DispositionName::Refused,
            Self::Duplicate => DispositionName::Duplicate,
            Self::Conflict => DispositionName::Conflict,
            Self::Unanswered => DispositionName::Unanswered,
            Self::Pending => DispositionName::Pending,
        }
    }

    /// One word for it.
    pub(crate) const fn word(self) -> &'static str {
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

    /// Reason of an escalation, or problem code of a refusal.
    pub(crate) fn why(self) -> Option<&'static str> {
        match self {
            Self::Decided(verdict) => verdict.reason_word(),
            Self::Refused(_, code) => Problem::from_number(code).map(Problem::code),
            _ => None,
        }
    }

    /// The status of the answer, if the log has it. A duplicate got the answer of the first.
    pub(crate) const fn status(self) -> Option<u16> {
        match self {
            Self::Decided(verdict) => Some(verdict.status()),
            Self::Refused(status, _) => Some(status),
            _ => None,
        }
    }
}

/// The code of a stored problem number.
pub(crate) fn problem_word(number: u8) -> &'static str {
    Problem::from_number(number).map_or("unknown", Problem::code)
}
