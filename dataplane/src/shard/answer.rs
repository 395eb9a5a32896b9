//! The content of an answer before it is bytes: small, plain data that waits in a connection's queue for the log.

use crate::dedup::Decided;
use crate::event::ConnId;
use crate::http::{Dedup, Problem, Route};
use crate::stats::exposition::Format;

/// One answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// The outcome of a record, first or stored.
    Outcome {
        /// The decision as memory holds it.
        decided: Decided,
        /// The record's id.
        pcs_id: [u8; 32],
        /// What de-duplication found.
        dedup: Dedup,
    },
    /// A stored outcome that was looked up.
    Stored {
        /// The decision as memory holds it.
        decided: Decided,
        /// The record's id.
        pcs_id: [u8; 32],
    },
    /// A refusal, with the field that it is about (empty: none).
    Problem(Problem, &'static str),
    /// A refusal with the seconds after which the request may come again.
    Later(Problem, u32),
    /// `100 Continue`: not the end of the request.
    Continue,
    /// One of the service endpoints, rendered when it leaves.
    Service(Route),
    /// The metrics, rendered when it leaves.
    Metrics(Format),
}

impl Answer {
    /// A refusal that is about no single field.
    pub(super) fn refusal(problem: Problem) -> Answer {
        Answer::Problem(problem, "")
    }
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addressee {
    /// The connection that asked.
    pub conn: ConnId,
    /// The number of the answer among those of the connection.
    pub reply: u64,
    /// The line of the answer to a batch, from 1; 0: the answer is that to one record.
    pub line: u16,
}

impl Addressee {
    /// The answer to a request that has one.
    pub(super) fn of_one(conn: ConnId, reply: u64) -> Addressee {
        Addressee {
            conn,
            reply,
            line: 0,
        }
    }
}

/// Why a request is refused before its body is logged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    /// What the answer says.
    pub problem: Problem,
    /// When the request may come again, where that is known.
    retry_after_s: Option<u32>,
}

impl Refusal {
    /// The request may come again after this time.
    pub(super) fn later(problem: Problem, retry_after_us: u64) -> Refusal {
        let seconds = retry_after_us.div_ceil(1_000_000).max(1);
        Refusal {
            problem,
            retry_after_s: Some(u32::try_from(seconds).unwrap_or(u32::MAX)),
        }
    }

    /// Its answer.
    pub(super) fn answer(self) -> Answer {
        match self.retry_after_s {
            Some(seconds) => Answer::Later(self.problem, seconds),
            None => Answer::refusal(self.problem),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        Refusal {
            problem,
            retry_after_s: None,
        }
    }
}
