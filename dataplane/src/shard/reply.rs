//! Reply stage. Answers become bytes here and leave in the order of the
//! connection's requests, each only when the log is durable up to what it promises.

use super::answer::{Addressee, Answer};
use super::connection::Phase;
use super::owed::Reply;
use super::{Core, Ingress};
use crate::dedup::Decided;
use crate::event::{ConnId, Op, Outbox};
use crate::http::{Afterwards, CONTINUE, Common, ResponsePart, respond};
use crate::io::Now;
use crate::planted::{Bug, planted};
use crate::wal::name::Sequence;
use flk_contract::hash::hex32;
use flk_contract::outcome::write_outcome;

impl Ingress {
    /// An answer is known: it leaves once the log is durable up to `needs` and everything before it has left.
    pub(super) fn answer(&mut self, core: &Core, to: Addressee, answer: Answer, needs: Sequence) {
        let Addressee { conn, reply, line } = to;
        let durable = promised_upto(core);
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        let Some(owed) = connection.owed.get_mut(reply) else {
            return;
        };
        if let Reply::Batch(batch) = &mut owed.reply {
            // It waits for the log when it is looked at next.
            if batch.answer(line, answer, needs) {
                self.due.push(conn);
            }
            return;
        }
        owed.reply = Reply::Ready { answer, needs };
        if needs <= durable {
            self.due.push(conn);
        } else {
            self.waiting.push_back((needs, conn));
        }
    }

    /// Lets all answers go that are due.
    pub(super) fn reply(&mut self, core: Option<&Core>, now: Now, outbox: &mut Outbox) {
        self.date.set(now.wall_us / 1_000_000);
        let durable = core.map(promised_upto).unwrap_or_default();
        self.resume_batches();
        let mut due = std::mem::take(&mut self.due);
        for conn in due.drain(..) {
            let start = outbox.bytes.len();
            if self.release(core, conn, durable, now, outbox) {
                let end = outbox.bytes.len();
                if end > start {
                    self.send(conn, start..end, outbox);
                }
                self.settle_connection(conn, now, outbox);
                self.note_rank(conn.slot, now);
            }
        }
        self.due = due;
    }

    /// Appends the bytes of every answer of a connection that may leave. `false`: the connection is gone.
    fn release(
        &mut self,
        core: Option<&Core>,
        conn: ConnId,
        durable: Sequence,
        now: Now,
        outbox: &mut Outbox,
    ) -> bool {
        let start = outbox.bytes.len();
        loop {
            let queued_bytes = outbox.bytes.len() - start;
            if !self.oldest_may_leave(core, conn, durable, queued_bytes) {
                return self.connections.get(conn).is_some();
            }
            let draining = self.drain.is_on();
            let Some(connection) = self.connections.get(conn) else {
                return false;
            };
            let Some(owed) = connection.owed.pop() else {
                unreachable!("the oldest answer was looked at");
            };
            if draining && connection.owed.is_empty() && connection.is_at_rest() {
                connection.phase = Phase::Closing;
            }
            let last = owed.last
                || (draining && connection.phase == Phase::Closing && connection.owed.is_empty());
            let afterwards = match (last, owed.repeats_keep_alive) {
                (true, _) => Afterwards::Closes,
                (false, true) => Afterwards::KeepAlive,
                (false, false) => Afterwards::GoesOn,
            };
            let latency_s = now.mono_us.saturating_sub(owed.since_us) as f64 / 1e6;
            let status = match owed.reply {
                Reply::Ready {
                    answer: Answer::Continue,
                    ..
                } => {
                    outbox.bytes.extend_from_slice(CONTINUE);
                    continue;
                }
                Reply::Ready { answer, .. } => {
                    let status = self.write_answer(core, answer, afterwards, owed.part, outbox);
                    let stats = self.stats();
                    stats.answered(status);
                    stats.latency_s.observe(latency_s);
                    status
                }
                Reply::Batch(batch) => {
                    self.write_batch(conn, &batch, (afterwards, owed.part), latency_s, outbox);
                    200
                }
                Reply::Pending => unreachable!("an answer that is not known may not leave"),
            };
            if let Some(trace) = owed.trace {
                self.trace_reply(trace, status, now);
            }
        }
    }

    /// Whether the oldest answer of a connection may leave now, behind so many bytes that are on their way to the driver.
    fn oldest_may_leave(
        &mut self,
        core: Option<&Core>,
        conn: ConnId,
        durable: Sequence,
        queued_bytes: usize,
    ) -> bool {
        let held_back = self.must_hold_back(conn, queued_bytes);
        let Some(connection) = self.connections.get(conn) else {
            return false;
        };
        #[cfg(feature = "planted-bugs")]
        connection.owed.swap_if_planted(durable);
        let is_batch = match connection.owed.oldest().map(|owed| &owed.reply) {
            Some(Reply::Ready { needs, .. }) if *needs <= durable => false,
            Some(Reply::Batch(_)) => true,
            Some(Reply::Ready { .. } | Reply::Pending) | None => return false,
        };
        if is_batch && !self.batch_is_due(conn, durable) {
            return false;
        }
        if held_back {
            self.trace_held_back(conn, durable);
            return false;
        }
        !is_batch || self.render_batch(core, conn)
    }

    fn write_answer(
        &mut self,
        core: Option<&Core>,
        answer: Answer,
        afterwards: Afterwards,
        part: ResponsePart,
        outbox: &mut Outbox,
    ) -> u16 {
        let out = &mut outbox.bytes;
        let common = Common {
            date: &self.date,
            afterwards,
            part,
        };
        match answer {
            Answer::Outcome {
                decided,
                pcs_id,
                dedup,
            } => {
                let status = outcome_text(&mut self.body_text, core, &decided, &pcs_id);
                respond::outcome(out, status, &self.body_text, dedup, common);
                status
            }
            // Nothing was de-duplicated: a look-up says nothing of duplicates.
            Answer::Stored { decided, pcs_id } => {
                let status = outcome_text(&mut self.body_text, core, &decided, &pcs_id);
                respond::text(out, status, "application/json", &self.body_text, common);
                status
            }
            Answer::Problem(problem, "") => {
                respond::problem(out, problem, None, common);
                problem.status()
            }
            Answer::Later(problem, seconds) => {
                respond::problem(out, problem, Some(seconds), common);
                problem.status()
            }
            Answer::Problem(problem, field) => {
                respond::problem_at_field(out, problem, field, common);
                problem.status()
            }
            Answer::Service(route) => self.write_page(route, afterwards, part, out),
            Answer::Metrics(format) => self.write_metrics(format, afterwards, part, out),
            Answer::Continue => 100,
        }
    }

    fn send(&mut self, conn: ConnId, range: std::ops::Range<usize>, outbox: &mut Outbox) {
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        connection.unsent_bytes += range.len() as u32;
        self.unsent_bytes += range.len();
        outbox.ops.push(Op::Send(conn, range));
    }

    /// After answers left: frames on where that was waited for, ends what is at its end.
    fn settle_connection(&mut self, conn: ConnId, now: Now, outbox: &mut Outbox) {
        let linger_us = self.config.limits.linger_us;
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        connection.active_us = now.mono_us;
        match connection.phase {
            Phase::Open if connection.received.pending_bytes() > 0 || connection.ended => {
                self.queue(conn.slot)
            }
            Phase::Closing if connection.owed.is_empty() => {
                connection.phase = Phase::Lingering {
                    until_us: now.mono_us + linger_us,
                };
                outbox.ops.push(Op::Shutdown(conn));
                if connection.ended && connection.unsent_bytes == 0 {
                    self.drop_connection(conn, outbox);
                }
            }
            Phase::Lingering { .. } if connection.ended && connection.unsent_bytes == 0 => {
                self.drop_connection(conn, outbox);
            }
            // The client has its time from when the last answer left.
            Phase::Lingering { .. } => {
                connection.phase = Phase::Lingering {
                    until_us: now.mono_us + linger_us,
                };
            }
            _ => {}
        }
    }
}

/// Writes the text of an outcome in place of another; returns its status.
pub(super) fn outcome_text(
    text: &mut Vec<u8>,
    core: Option<&Core>,
    decided: &Decided,
    pcs_id: &[u8; 32],
) -> u16 {
    text.clear();
    let hex = hex32(pcs_id);
    let hex = std::str::from_utf8(&hex).unwrap_or_default();
    let Some(core) = core else {
        unreachable!("an outcome before the log has begun");
    };
    let outcome = decided.outcome(core.params_version(decided.params));
    let written = write_outcome(decided.encoding, &outcome, hex, text);
    assert!(
        written.is_ok(),
        "recovery refuses encodings that this build cannot write"
    );
    if decided.reason == 0 { 200 } else { 202 }
}

/// Up to where the log is durable: what an answer may promise.
pub(super) fn promised_upto(core: &Core) -> Sequence {
    if planted(Bug::AckBeforeWrite) {
        return Sequence(u64::MAX);
    }
    core.log.durable()
}
