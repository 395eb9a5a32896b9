//! Framing stage: cuts whole requests out of the bytes of connections and refuses what the head alone refuses. Request
//! bodies stay where they are; nothing is logged or parsed here.

use super::Shard;
use super::answer::Answer;
use super::config::Limits;
use super::connections::{Connection, Owed, Phase, Reply};
use crate::event::{Now, Op, Outbox};
use crate::http::chunked::TRAILER_BYTES_MAX;
use crate::http::{
    Decoded, Head, HeadStatus, Method, Problem, Route, begins_with_post, connection_survives,
    read_head, route,
};
use crate::wal::name::Sequence;

/// Every connection may buffer this much of one request without asking; larger bodies take a grant.
const HEAD_ALLOWANCE_BYTES: usize = 16 * 1024;

/// What to do with a connection after a step of framing.
pub(super) enum Step {
    /// Look for another request.
    Again,
    /// It waits for bytes, for room, or for its answers to leave.
    Enough,
}

impl Shard {
    pub(super) fn frame(&mut self, inbox: &mut [u8], now: Now) {
        self.admit_waiting(now);
        for _ in 0..self.ready.len() {
            let Some(slot) = self.ready.pop_front() else {
                break;
            };
            self.connections.at(slot).queued = false;
            self.touched.push(slot);
            while matches!(self.frame_one(slot, inbox, now), Step::Again) {}
            self.after_framing(slot);
        }
        self.refuse_short_of_memory(now);
    }

    fn frame_one(&mut self, slot: u32, inbox: &mut [u8], now: Now) -> Step {
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
        if connection.skip_bytes > 0 {
            let skipped_bytes = connection.skip_bytes.min(connection.pending_bytes() as u64);
            connection.consume(skipped_bytes as usize);
            connection.skip_bytes -= skipped_bytes;
        }
        if connection.pending_bytes() == 0 || connection.skip_bytes > 0 {
            connection.request_since_us = (connection.skip_bytes > 0).then_some(now.mono_us);
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
                    self.stats().ingest.add(u64::from(is_post));
                    return self.refuse(slot, problem, None, now.mono_us);
                }
                HeadStatus::Complete(head) => match self.admit_head(slot, &head, inbox, now) {
                    Ok(()) => head,
                    Err(step) => return step,
                },
            },
        };
        if head.chunked {
            return self.frame_chunks(slot, head, inbox, now);
        }
        self.frame_body(slot, head, now)
    }

    /// Judges a fresh head: `Ok` means that its body is wanted.
    fn admit_head(&mut self, slot: u32, head: &Head, inbox: &[u8], now: Now) -> Result<(), Step> {
        if head.method == Method::Post {
            self.stats().ingest.add(1);
        }
        let route = match route(head) {
            Ok(route) => route,
            Err(problem) => return Err(self.refuse(slot, problem, Some(head), now.mono_us)),
        };
        if route != Route::Submit {
            return Err(self.serve_page(slot, head, route, inbox, now));
        }
        if let Err(problem) = self.admission(slot, head, inbox) {
            return Err(self.refuse(slot, problem, Some(head), now.mono_us));
        }
        self.connections.at(slot).await_body(*head);
        Ok(())
    }

    /// The head is admitted: waits for the whole body, then cuts the request.
    fn frame_body(&mut self, slot: u32, head: Head, now: Now) -> Step {
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
        self.admit_whole(slot, head, complete_us, now);
        Step::Again
    }

    /// The same for a body that is chunked: decodes what has come of it, in place. Once it is whole, the request is one
    /// with a length like any other.
    fn frame_chunks(&mut self, slot: u32, head: Head, inbox: &mut [u8], now: Now) -> Step {
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
                self.frame_body(slot, head, now)
            }
            Decoded::Refused(problem) => self.refuse(slot, problem, Some(&head), now.mono_us),
        }
    }

    /// The rest of a body is awaited; its client may wait to be asked for it.
    fn await_rest(&mut self, slot: u32, head: Head, body_started: bool) -> Step {
        if head.expect_continue && !body_started {
            self.invited.push(slot);
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
    ) -> Step {
        let connection = self.connections.at(slot);
        // How much of an unfinished chunked body is left is not known.
        let survives = head.filter(|head| !head.chunked).is_some_and(|head| {
            let received = connection.pending_bytes() as u64 - head.head_len as u64;
            let left_bytes = head.body_len.saturating_sub(received);
            head.keep_alive && connection_survives(problem, left_bytes, head.expect_continue)
        });
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
        match head {
            Some(head) if survives => {
                connection.skip_bytes = (connection.whole_bytes(head) - head.head_len) as u64;
                connection.consume(head.head_len);
            }
            _ => connection.phase = Phase::Closing,
        }
        connection.framing_bytes = 0;
        let conn = connection.id;
        self.due.push(conn);
        if survives { Step::Again } else { Step::Enough }
    }

    /// Answers a service endpoint.
    fn serve_page(&mut self, slot: u32, head: &Head, route: Route, inbox: &[u8], now: Now) -> Step {
        if route == Route::Metrics && !self.may_read_metrics(slot, head, inbox) {
            return self.refuse(slot, Problem::MetricsUnauthorized, Some(head), now.mono_us);
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
            connection.skip_bytes = 0;
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
        let head_bytes = if partial { HEAD_ALLOWANCE_BYTES } else { 0 };
        let whole_len = bytes_to_hold(connection, &limits);
        let body_bytes = if partial && whole_len > HEAD_ALLOWANCE_BYTES {
            whole_len
        } else {
            0
        };
        let changed = settle(
            &mut self.heads,
            &mut connection.head_bytes_held,
            head_bytes,
            (conn, peer),
        ) | settle(
            &mut self.bodies,
            &mut connection.body_bytes_held,
            body_bytes,
            (conn, peer),
        );
        let lacks_grant = if body_bytes > 0 {
            connection.body_bytes_held == 0
        } else {
            head_bytes > 0 && connection.head_bytes_held == 0
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
        let whole_len = bytes_to_hold(connection, &limits);
        let pending_bytes = connection.pending_bytes();
        let wanted = match connection.phase {
            Phase::Open if pending_bytes == 0 => true,
            Phase::Open if whole_len > HEAD_ALLOWANCE_BYTES => {
                connection.body_bytes_held > 0 && pending_bytes < whole_len
            }
            Phase::Open => {
                connection.head_bytes_held > 0
                    && pending_bytes < HEAD_ALLOWANCE_BYTES.max(whole_len)
            }
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

/// Memory for the whole foremost request of a connection. How long an unfinished chunked body will be is not known: what
/// has come must fit what every connection may hold, or the longest there may be. Grants are whole, so that bodies which
/// grow never wait for each other.
fn bytes_to_hold(connection: &Connection, limits: &Limits) -> usize {
    match &connection.head {
        None => 0,
        Some(head) if !head.chunked => connection.whole_bytes(head),
        Some(_) if connection.pending_bytes() < HEAD_ALLOWANCE_BYTES => 0,
        Some(head) => {
            let longest = head.head_len + limits.http.body_bytes_max as usize + TRAILER_BYTES_MAX;
            longest.min(limits.body_bytes_total_max)
        }
    }
}

/// Moves what a connection holds of a budget to `wanted`, or waits for it. `true`: who waits longest may try again.
fn settle(
    budget: &mut super::Budget,
    held: &mut usize,
    wanted: usize,
    (conn, peer): (crate::event::ConnId, crate::event::Peer),
) -> bool {
    if *held == wanted {
        return wanted == 0 && budget.forget(conn);
    }
    if (1..*held).contains(&wanted) {
        budget.shrink(*held - wanted, peer);
        *held = wanted;
        return true;
    }
    let mut changed = *held > 0;
    budget.give_back(*held, peer);
    *held = 0;
    if wanted == 0 {
        budget.forget(conn);
    } else if budget.take(wanted, conn, peer) {
        *held = wanted;
        changed = true;
    } else {
        changed |= budget.wait(wanted, conn, peer);
    }
    changed
}
