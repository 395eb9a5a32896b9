//! The content of an answer before it is bytes: small, plain data that waits in a connection's queue for the log.

use crate::dedup::Decided;
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
    /// A refusal, with the field that it is about (empty: none).
    Problem(Problem, &'static str),
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
