//! The body of a refused request: it is thrown away up to a bound of bytes and of time, so that the connection can go on
//! behind it. Where its end does not come within that, the connection ends behind the refusal.

use super::Ingress;
use super::connection::{Connection, Incoming, Phase, Reading};
use super::skipped::{Rest, Skip};
use crate::http::{Problem, SKIPPED_BODY_BYTES_MAX, connection_survives};
use crate::io::Now;

/// Prepares to skip what a refused request leaves; `false`: the connection cannot go on behind it. What is pending begins
/// with the body then.
pub(super) fn skip_body(
    connection: &mut Connection,
    request: &Incoming,
    problem: Problem,
    now: Now,
) -> bool {
    let Incoming { head, decoder, .. } = request;
    let received_bytes = connection.received.pending_bytes() - head.head_len;
    let left_bytes = if head.chunked {
        // Not known but for the chunk in progress. It is more than nothing, for else it would not be chunked any more; and
        // within the bound until further chunks say otherwise.
        decoder.awaited_bytes().max(1)
    } else {
        head.body_len.saturating_sub(received_bytes as u64)
    };
    if !head.keep_alive || !connection_survives(problem, left_bytes, head.body_rest()) {
        return false;
    }
    let rest = if head.chunked {
        // Content that was decoded stands in front of what is not.
        let decoded_bytes = decoder.decoded_bytes() as usize;
        connection.received.consume(head.head_len + decoded_bytes);
        Rest::Chunks {
            decoder: *decoder,
            target: head.target,
            content_bytes_max: received_bytes as u64 + SKIPPED_BODY_BYTES_MAX,
        }
    } else {
        connection.received.consume(head.head_len);
        Rest::Bytes((request.whole_bytes() - head.head_len) as u64)
    };
    connection.reading = Reading::Skipped(Skip {
        rest,
        since_us: now.mono_us,
    });
    true
}

impl Ingress {
    /// Throws away what has come of a refused body. `true`: that was all of it, or there was none.
    pub(super) fn skip_on(&mut self, slot: u32, inbox: &[u8]) -> bool {
        let limits = self.config.limits.http;
        let connection = self.connections.at(slot);
        let Reading::Skipped(skip) = &mut connection.reading else {
            return true;
        };
        match skip.rest.advance(&mut connection.received, inbox, &limits) {
            Ok(true) => {
                connection.end_request();
                true
            }
            Ok(false) => false,
            Err(_) => {
                self.end_skip(slot);
                false
            }
        }
    }

    /// The end of a refused body is not waited for any longer: the connection ends behind its refusal, which announces that
    /// unless it has left. `false`: no body is skipped here.
    pub(super) fn end_skip(&mut self, slot: u32) -> bool {
        let connection = self.connections.at(slot);
        if !matches!(connection.reading, Reading::Skipped(_)) {
            return false;
        }
        connection.end_request();
        // Nothing was framed behind the refused request: its answer is the newest.
        if let Some(refusal) = connection.owed.newest_mut() {
            refusal.last = true;
        }
        connection.received.consume_all();
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
        match &self.connections.at(slot).reading {
            Reading::Skipped(skip) => now.mono_us >= skip.since_us + patience_us,
            _ => false,
        }
    }
}
