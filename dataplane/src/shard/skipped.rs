//! What is known of a body that is thrown away, and how much of it has come.

use super::received::Received;
use crate::http::{self, Decoder, Problem, Skipped, Target};

/// The rest of a body that is skipped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skip {
    /// What is known of its end.
    pub rest: Rest,
    /// When the request was refused. No byte that comes later moves it.
    pub since_us: u64,
}

/// Where a skipped body ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    /// Behind this many bytes.
    Bytes(u64),
    /// Where the decoder finds the end of its chunks.
    Chunks {
        decoder: Decoder,
        /// What was asked for: the bound of a body is that of its resource.
        target: Target,
        /// What was decoded or received at the refusal, and the bound: more content than this ends the connection.
        content_bytes_max: u64,
    },
}

impl Rest {
    /// Consumes what has come of it; whether that was all. An error: its end cannot be found, or is too far away.
    pub(super) fn advance(
        &mut self,
        received: &mut Received,
        inbox: &[u8],
        limits: &http::HttpLimits,
    ) -> Result<bool, Problem> {
        match self {
            Rest::Bytes(left_bytes) => {
                let here = (*left_bytes).min(received.pending_bytes() as u64);
                received.consume(here as usize);
                *left_bytes -= here;
                Ok(*left_bytes == 0)
            }
            Rest::Chunks {
                decoder,
                target,
                content_bytes_max,
            } => {
                let limits = limits.of(*target);
                let limits = http::HttpLimits {
                    body_bytes_max: limits.body_bytes_max.min(*content_bytes_max),
                    ..limits
                };
                let (bytes, is_over) = match decoder.skip(received.pending(inbox), &limits) {
                    Skipped::Partial { gone_bytes } => (gone_bytes, false),
                    Skipped::Whole { end } => (end, true),
                    Skipped::Refused(problem) => return Err(problem),
                };
                received.consume(bytes);
                Ok(is_over)
            }
        }
    }
}
