//! Framing stage: cuts whole requests out of the bytes of connections and refuses what the head alone refuses. Request
//! bodies stay where they are; nothing is logged or parsed here.

use super::answer::Answer;
use super::budget::Need;
use super::config::Limits;
use super::connections::{Connection, Owed, Phase, Reply};
use super::skip::skip_body;
use super::{Core, Ingress};
use crate::event::{Op, Outbox};
use crate::http::chunked::TRAILER_BYTES_MAX;
use crate::http::{
    Decoded, Head, HeadStatus, Method, Problem, Route, begins_with_post, read_head, route,
};
use crate::io::Now;
use crate::wal::name::Sequence;

/// Every connection may buffer this much of one request without asking; larger bodies take a grant.
const HEAD_ALLOWANCE_BYTES: usize = 16 * 1024;

/// What a chunked body takes while so much of it has not come; beyond, it takes what the largest one needs.
pub(super) const CHUNKED_STEPS_BYTES: [usize; 2] = [64 * 1024, 256 * 1024];

/// What to do with a connection after a step of framing.
pub(super) enum Step {
    /// Look for another request.
    Again,
    /// It waits for bytes, for room, or for its answers to leave.
    Enough,
}

impl Ingress {
    pub(super) fn frame(&mut self, core: Option<&Core>, inbox: &mut [u8], now: Now) {
        self.admit_waiting(core, now);
        for _ in 0..self.ready.len() {
            let Some(slot) = self.ready.pop_front() else {
                break;
            };
            self.connections.at(slot).queued = false;
            self.touched.push(slot);
            while matches!(self.frame_one(core, slot, inbox, now), Step::Again) {
                // The request that may have waited for memory waits no longer; what is behind it has its own time.
                self.leave_memory_queue(slot);
            }
            self.after_framing(slot);
        }
        self.refuse_short_of_memory(now);
    }

    fn frame_one(&mut self, core: Option<&Core>, slot: u32, inbox: &mut [u8], now: Now) -> Step {
        let limits = self.config.limits;
        let connection = self.connections.at(slot);
        if connection.room_due_us.is_some() {
            return Step::Enough;
        }
        if connection.phase != Phase::Open {
            let pending_bytes = connection.pending_bytes();
            connection.consume(pending_bytes);
            return Step::Enough;
        }
        let skipped = self.skip_on(slot, inbox);
        let connection = self.connections.at(slot);
        if !skipped || connection.pending_bytes() == 0 {
            connection.request_since_us = None;
            return Step::Enough;
        }
        let too_far_ahead = connection.is_too_far_ahead(&limits);
        if too_far_ahead {
            connection.request_since_us = None;
            return Step::Enough;
        }
        connection.request_since_us.get_or_insert(now.mono_us);
        let head = match connection.head {
            Some(head) => head,
            None => match read_head(connection.pending(inbox), &limits.http) {
                HeadStatus::Partial => return Step::Enough,
                HeadStatus::Refused(problem) => {
                    let is_post = begins_with_post(connection.pending(inbox));
                    self.note_foreign(problem);
                    self.stats().ingest.add(u64::from(is_post));
                    return self.refuse(slot, problem, None, now.mono_us, now);
                }
                HeadStatus::Complete(head) => match self.admit_head(slot, &head, inbox, now) {
                    Ok(()) => head,
                    Err(step) => return step,
                },
            },
        };
        if head.chunked {
            return self.frame_chunks(core, slot, head, inbox, now);
        }
        self.frame_body(core, slot, head, now)
    }

    /// Judges a fresh head: `Ok` means that its body is wanted.
    fn admit_head(&mut self, slot: u32, head: &Head, inbox: &[u8], now: Now) -> Result<(), Step> {
        if head.method == Method::Post {
            self.stats().ingest.add(1);
        }
        let route = match route(head) {
            Ok(route) => route,
            Err(problem) => return Err(self.refuse(slot, problem, Some(head), now.mono_us, now)),
        };
        if route != Route::Submit {
            return Err(self.serve_page(slot, head, route, inbox, now));
        }
        if let Err(problem) = self.admission(slot, head, inbox) {
            return Err(self.refuse(slot, problem, Some(head), now.mono_us, now));
        }
        self.connections.at(slot).await_body(*head);
        Ok(())
    }

    /// The head is admitted: waits for the whole body, then cuts the request.
    fn frame_body(&mut self, core: Option<&Core>, slot: u32, head: Head, now: Now) -> Step {
        let connection = self.connections.at(slot);
        let whole_len = connection.whole_bytes(&head);
        if connection.pending_bytes() < whole_len {
            let body_started = connection.pending_bytes() > head.head_len;
            return self.await_rest(slot, head, body_started);
        }
        // It has come whole: nobody waits for `100 Continue` any more.
        let head = Head {
            expect_continue: false,
            ..head
        };
        let complete_us = connection.complete_us(whole_len).unwrap_or(now.mono_us);
        self.admit_whole(core, slot, head, complete_us, now);
        Step::Again
    }

    /// The same for a body that is chunked: decodes what has come of it, in place. Once it is whole, the request is one
    /// with a length like any other.
    fn frame_chunks(
        &mut self,
        core: Option<&Core>,
        slot: u32,
        head: Head,
        inbox: &mut [u8],
        now: Now,
    ) -> Step {
        let limits = self.config.limits.http;
        let connection = self.connections.at(slot);
        let body_started = connection.pending_bytes() > head.head_len;
        let mut decoder = connection.decoder;
        let body = &mut connection.pending_mut(inbox)[head.head_len..];
        let decoded = decoder.decode(body, &limits);
        connection.decoder = decoder;
        match decoded {
            Decoded::Partial { kept_bytes } => {
                connection.shorten(head.head_len + kept_bytes);
                self.await_rest(slot, head, body_started)
            }
            Decoded::Whole { body_bytes, end } => {
                connection.framing_bytes = end - body_bytes;
                let head = Head {
                    chunked: false,
                    body_len: body_bytes as u64,
                    ..head
                };
                self.frame_body(core, slot, head, now)
            }
            Decoded::Refused(problem) => self.refuse(slot, problem, Some(&head), now.mono_us, now),
        }
    }

    /// The rest of a body is awaited; its client may wait to be asked for it.
    fn await_rest(&mut self, slot: u32, head: Head, body_started: bool) -> Step {
        if head.expect_continue && !body_started {
            self.awaiting_continue.push(slot);
        }
        self.connections.at(slot).head = Some(Head {
            expect_continue: false,
            ..head
        });
        Step::Enough
    }

    /// Owes a refusal of a request that was as far as it came at `since_us`. With the head at hand, its body is skipped
    /// where the connection can go on.
    pub(super) fn refuse(
        &mut self,
        slot: u32,
        problem: Problem,
        head: Option<&Head>,
        since_us: u64,
        now: Now,
    ) -> Step {
        if self.end_skip(slot) {
            return Step::Enough; // it has its answer
        }
        let connection = self.connections.at(slot);
        let survives = head.is_some_and(|head| skip_body(connection, head, problem, now));
        let answer = Answer::refusal(problem);
        let head_only = head.is_some_and(|head| head.method == Method::Head);
        let reply = Reply::Ready {
            answer,
            needs: Sequence::default(),
        };
        connection.owe(Owed {
            reply,
            since_us,
            last: !survives,
            head_only,
            repeats_keep_alive: head.is_some_and(|head| head.repeats_keep_alive),
        });
        connection.head = None;
        connection.paid = false;
        connection.request_since_us = None;
        if !survives {
            connection.phase = Phase::Closing;
        }
        connection.framing_bytes = 0;
        let conn = connection.id;
        self.due.push(conn);
        if survives { Step::Again } else { Step::Enough }
    }

    /// Answers a service endpoint.
    fn serve_page(&mut self, slot: u32, head: &Head, route: Route, inbox: &[u8], now: Now) -> Step {
        if route == Route::Metrics && !self.may_read_metrics(slot, head, inbox) {
            return self.refuse(
                slot,
                Problem::MetricsUnauthorized,
                Some(head),
                now.mono_us,
                now,
            );
        }
        let connection = self.connections.at(slot);
        let reply = Reply::Ready {
            answer: Answer::Service(route),
            needs: Sequence::default(),
        };
        let (last, head_only) = (!head.keep_alive, head.method == Method::Head);
        connection.owe(Owed {
            reply,
            since_us: now.mono_us,
            last,
            head_only,
            repeats_keep_alive: head.repeats_keep_alive,
        });
        connection.consume(head.head_len);
        connection.request_since_us = None;
        if last {
            connection.phase = Phase::Closing;
        }
        let conn = connection.id;
        self.due.push(conn);
        if last { Step::Enough } else { Step::Again }
    }

    /// A client that has said all it will: an incomplete request is dropped.
    fn after_framing(&mut self, slot: u32) {
        let limits = self.config.limits;
        let connection = self.connections.at(slot);
        let may_hold_whole =
            connection.room_due_us.is_some() || connection.is_too_far_ahead(&limits);
        if connection.ended && connection.phase == Phase::Open && !may_hold_whole {
            let pending_bytes = connection.pending_bytes();
            connection.consume(pending_bytes);
            connection.head = None;
            connection.skip = None;
            connection.phase = Phase::Closing;
            let conn = connection.id;
            self.due.push(conn);
        }
    }

    /// Ends the turn for received bytes: what is left moves into the connection's own memory, and reading is paused or
    /// resumed by what that memory may grow to.
    pub(super) fn keep_unread(&mut self, inbox: &[u8], now: Now, outbox: &mut Outbox) {
        for at in 0..self.touched.len() {
            let slot = self.touched[at];
            self.connections.keep(slot, inbox);
            let limits = self.config.limits;
            self.connections.at(slot).note_arrivals(&limits, now);
            self.hold_memory(slot, now);
            self.bound_unread(slot, now);
            self.govern_reading(slot, now, outbox);
            self.note_rank(slot, now);
        }
        self.touched.clear();
    }

    /// Takes, keeps or gives back the memory that the connection's incomplete request needs.
    pub(super) fn hold_memory(&mut self, slot: u32, now: Now) {
        let limits = self.config.limits;
        let connection = self.connections.at(slot);
        if connection.phase == Phase::Free {
            return;
        }
        let (conn, peer) = (connection.id, connection.peer);
        let partial = connection.phase == Phase::Open && connection.pending_bytes() > 0;
        let head_need = Need::known(if partial { HEAD_ALLOWANCE_BYTES } else { 0 });
        let body_need = match body_need(connection, &limits) {
            need if partial && need.bytes > HEAD_ALLOWANCE_BYTES => need,
            _ => Need::default(),
        };
        let changed = self
            .heads
            .settle(&mut connection.head_grant, head_need, conn, peer)
            | self
                .bodies
                .settle(&mut connection.body_grant, body_need, conn, peer);
        let lacks_grant = if body_need.bytes > 0 {
            connection.body_grant.bytes < body_need.bytes
        } else {
            connection.head_grant.bytes < head_need.bytes
        };
        // A whole request needs no more memory, and what is behind answers is looked at when they have left.
        let waits_for_other =
            connection.room_due_us.is_some() || connection.is_too_far_ahead(&limits);
        self.note_short_of_memory(slot, lacks_grant && !waits_for_other, now);
        if changed {
            self.wake_budget_waiters();
        }
    }

    /// Lets the connections that wait longest for memory ask again.
    pub(super) fn wake_budget_waiters(&mut self) {
        for conn in [self.heads.longest_waiting(), self.bodies.longest_waiting()]
            .into_iter()
            .flatten()
        {
            self.queue(conn.slot);
        }
    }

    /// Reads on only while what may arrive has memory. The clocks of slow requests stand still meanwhile.
    fn govern_reading(&mut self, slot: u32, now: Now, outbox: &mut Outbox) {
        let limits = self.config.limits;
        let connection = self.connections.at(slot);
        if connection.phase == Phase::Free {
            return;
        }
        let need_bytes = body_need(connection, &limits).bytes;
        let pending_bytes = connection.pending_bytes();
        let wanted = match connection.phase {
            Phase::Open if pending_bytes == 0 => true,
            Phase::Open if need_bytes > HEAD_ALLOWANCE_BYTES => {
                connection.body_grant.bytes >= need_bytes && pending_bytes < need_bytes
            }
            Phase::Open => connection.head_grant.bytes > 0 && pending_bytes < HEAD_ALLOWANCE_BYTES,
            Phase::Closing | Phase::Lingering { .. } | Phase::Free => true,
        };
        match (wanted, connection.paused_us) {
            (false, None) => {
                connection.paused_us = Some(now.mono_us);
                outbox.ops.push(Op::PauseRead(connection.id));
            }
            (true, Some(paused_us)) => {
                connection.paused_us = None;
                connection.request_since_us = connection
                    .request_since_us
                    .map(|since_us| since_us + (now.mono_us - paused_us.max(since_us)));
                outbox.ops.push(Op::ResumeRead(connection.id));
            }
            _ => {}
        }
    }
}

/// Memory for the head-of-line request of a connection, if it takes more than every connection may hold. How long an unfinished
/// chunked body will be is not known: it begins with little, and needs more when that is full.
fn body_need(connection: &Connection, limits: &Limits) -> Need {
    let pending_bytes = connection.pending_bytes();
    match &connection.head {
        None => Need::default(),
        Some(head) if !head.chunked => Need::known(connection.whole_bytes(head)),
        Some(_) if pending_bytes < HEAD_ALLOWANCE_BYTES => Need::default(),
        Some(head) => {
            let longest = head.head_len + limits.http.body_bytes_max as usize + TRAILER_BYTES_MAX;
            let bytes_max = longest.min(limits.body_bytes_total_max);
            let step = CHUNKED_STEPS_BYTES
                .into_iter()
                .find(|&step| pending_bytes < step);
            let bytes = step.map_or(bytes_max, |step| step.min(bytes_max));
            Need { bytes, bytes_max }
        }
    }
}
