//! The body of a refused request: it is thrown away up to a bound of bytes and of time, so that the connection can go on
//! behind it. Where its end does not come within that, the connection ends behind the refusal.

use super::Ingress;
use super::connections::{Connection, Phase};
use crate::http::{self, Head, Problem, SKIPPED_BODY_BYTES_MAX, Skipped, connection_survives};
use crate::io::Now;

/// The rest of a body that is skipped.
#[derive(Clone, Copy, Debug)]
pub struct Skip {
    /// What is known of its end.
    pub rest: Rest,
    /// When the request was refused. No byte that comes later moves it.
    pub since_us: u64,
}

/// Where a skipped body ends.
#[derive(Clone, Copy, Debug)]
pub enum Rest {
    /// Behind this many bytes.
    Bytes(u64),
    /// Where the connection's decoder finds the end of its chunks; it ends the connection if their content comes to more
    /// than this.
    Chunks {
        /// What was decoded or received at the refusal, and the bound.
        content_bytes_max: u64,
    },
}

/// Prepares to skip what a refused request leaves; `false`: the connection cannot go on behind it. What is pending begins
/// with the body then.
pub(super) fn skip_body(
    connection: &mut Connection,
    head: &Head,
    problem: Problem,
    now: Now,
) -> bool {
    if head.chunked && connection.head.is_none() {
        // Refused by its head: none of it is decoded.
        connection.decoder = http::Decoder::default();
    }
    let received_bytes = connection.pending_bytes() - head.head_len;
    let left_bytes = if head.chunked {
        // Not known but for the chunk in progress. It is more than nothing, for else it would not be chunked any more; and
        // within the bound until further chunks say otherwise.
        connection.decoder.awaited_bytes().max(1)
    } else {
        head.body_len.saturating_sub(received_bytes as u64)
    };
    if !head.keep_alive || !connection_survives(problem, left_bytes, head.expect_continue) {
        return false;
    }
    let rest = if head.chunked {
        // Content that was decoded stands in front of what is not.
        connection.consume(head.head_len + connection.decoder.decoded_bytes() as usize);
        Rest::Chunks {
            content_bytes_max: received_bytes as u64 + SKIPPED_BODY_BYTES_MAX,
        }
    } else {
        let body_bytes = connection.whole_bytes(head) - head.head_len;
        connection.consume(head.head_len);
        Rest::Bytes(body_bytes as u64)
    };
    connection.skip = Some(Skip {
        rest,
        since_us: now.mono_us,
    });
    true
}

/// Consumes what has come of a chunked body; whether that was all. An error: its end cannot be found, or is too far away.
fn skip_chunks(
    connection: &mut Connection,
    inbox: &[u8],
    limits: &http::HttpLimits,
) -> Result<bool, Problem> {
    let mut decoder = connection.decoder;
    let skipped = decoder.skip(connection.pending(inbox), limits);
    connection.decoder = decoder;
    let (bytes, is_over) = match skipped {
        Skipped::Partial { gone_bytes } => (gone_bytes, false),
        Skipped::Whole { end } => (end, true),
        Skipped::Refused(problem) => return Err(problem),
    };
    connection.consume(bytes);
    Ok(is_over)
}

impl Ingress {
    /// Throws away what has come of a refused body. `true`: that was all of it, or there was none.
    pub(super) fn skip_on(&mut self, slot: u32, inbox: &[u8]) -> bool {
        let limits = self.config.limits.http;
        let connection = self.connections.at(slot);
        let Some(skip) = connection.skip else {
            return true;
        };
        let is_over = match skip.rest {
            Rest::Bytes(left_bytes) => {
                let here = left_bytes.min(connection.pending_bytes() as u64);
                connection.consume(here as usize);
                let rest = Rest::Bytes(left_bytes - here);
                connection.skip = Some(Skip { rest, ..skip });
                here == left_bytes
            }
            Rest::Chunks { content_bytes_max } => {
                let limits = http::HttpLimits {
                    body_bytes_max: limits.body_bytes_max.min(content_bytes_max),
                    ..limits
                };
                match skip_chunks(connection, inbox, &limits) {
                    Ok(is_over) => is_over,
                    Err(_) => {
                        self.end_skip(slot);
                        return false;
                    }
                }
            }
        };
        if is_over {
            self.connections.at(slot).skip = None;
        }
        is_over
    }

    /// The end of a refused body is not waited for any longer: the connection ends behind its refusal, which says so unless
    /// it has left. `false`: no body is skipped here.
    pub(super) fn end_skip(&mut self, slot: u32) -> bool {
        let connection = self.connections.at(slot);
        if connection.skip.take().is_none() {
            return false;
        }
        // Nothing was framed behind the refused request: its answer is the newest.
        if let Some(refusal) = connection.owed.back_mut() {
            refusal.last = true;
        }
        let pending_bytes = connection.pending_bytes();
        connection.consume(pending_bytes);
        connection.phase = Phase::Closing;
        let conn = connection.id;
        self.due.push(conn);
        self.touched.push(slot);
        self.queue(slot);
        true
    }

    /// Whether the rest of a refused body has had its time.
    pub(super) fn skips_too_long(&mut self, slot: u32, now: Now) -> bool {
        let patience_us = self.config.limits.head_timeout_us;
        let skip = self.connections.at(slot).skip;
        skip.is_some_and(|skip| now.mono_us >= skip.since_us + patience_us)
    }
}
