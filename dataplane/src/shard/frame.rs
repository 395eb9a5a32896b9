//! Framing stage: cuts whole requests out of the bytes of connections and refuses what the head alone refuses. Request
//! bodies stay where they are; nothing is logged or parsed here.

use super::answer::Refusal;
use super::charge::Asking;
use super::connection::{Admitted, FrameStep, Incoming, Phase, Reading};
use super::owed::{Owed, Reply};
use super::share::Account;
use super::skip::skip_body;
use super::{Core, Framed, Ingress};
use crate::http::{
    Decoded, Head, HeadStatus, Method, Problem, ResponsePart, Route, Target, begins_with_post,
    read_head, route,
};
use crate::io::Now;

/// How much of a body has come that is not whole. A client that sends it unasked waits for no `100 Continue`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyArrived {
    Nothing,
    Part,
}

impl BodyArrived {
    fn of(pending_bytes: usize, head_len: usize) -> BodyArrived {
        match pending_bytes > head_len {
            true => BodyArrived::Part,
            false => BodyArrived::Nothing,
        }
    }
}

impl Ingress {
    pub(super) fn frame(&mut self, core: Option<&Core>, inbox: &mut [u8], now: Now) {
        // Requests that were whole before go first: what is whole in this turn waits behind them.
        self.admit_waiting(core, now);
        for _ in 0..self.ready.len() {
            let Some(slot) = self.ready.pop_front() else {
                break;
            };
            self.connections.at(slot).queued = false;
            self.touched.push(slot);
            while matches!(self.frame_one(core, slot, inbox, now), FrameStep::Again) {
                // The request that may have waited for memory waits no longer; what is behind it has its own time.
                self.leave_memory_queue(slot);
            }
            self.after_framing(slot);
        }
        // A batch stood back for the others of this turn; it may have what they left.
        if self.first_is_batch() {
            self.admit_for_room(core, now);
        }
        if let Some(core) = core.filter(|_| self.shares.is_on()) {
            self.give_rest(core);
        }
        self.refuse_short_of_memory(now);
    }

    fn frame_one(
        &mut self,
        core: Option<&Core>,
        slot: u32,
        inbox: &mut [u8],
        now: Now,
    ) -> FrameStep {
        let limits = self.config.limits;
        let connection = self.connections.at(slot);
        if connection.waits_for_room() {
            return FrameStep::Enough;
        }
        if connection.phase != Phase::Open {
            connection.received.consume_all();
            return FrameStep::Enough;
        }
        let skipped = self.skip_on(slot, inbox);
        let connection = self.connections.at(slot);
        let nothing_to_frame = !skipped || connection.received.pending_bytes() == 0;
        if nothing_to_frame || connection.is_too_far_ahead(&limits) {
            connection.stop_clock();
            return FrameStep::Enough;
        }
        connection.start_clock(now);
        let admitted = match connection.reading {
            Reading::Body(admitted) => admitted,
            Reading::Preface => return self.frame_preface(slot, inbox, now),
            _ => match self.frame_head(slot, inbox, now) {
                Ok(admitted) => admitted,
                Err(step) => return step,
            },
        };
        if admitted.incoming.head.chunked {
            return self.frame_chunks(core, slot, admitted, inbox, now);
        }
        self.frame_body(core, slot, admitted, inbox, now)
    }

    /// Reads a head: `Ok` means that it is whole and that its body is wanted.
    fn frame_head(&mut self, slot: u32, inbox: &[u8], now: Now) -> Result<Admitted, FrameStep> {
        let limits = self.config.limits.http;
        let pending = self.connections.at(slot).received.pending(inbox);
        let head = match read_head(pending, &limits) {
            HeadStatus::Partial => return Err(FrameStep::Enough),
            HeadStatus::Complete(head) => head,
            HeadStatus::Refused(problem) => {
                let is_post = begins_with_post(pending);
                self.note_foreign(problem);
                self.stats().ingest.add(u64::from(is_post));
                return Err(self.refuse(slot, problem, None, now.mono_us, now));
            }
        };
        if head.method == Method::Post {
            self.stats().ingest.add(1);
        }
        let admission = match route(&head, self.look_ups()) {
            Ok(Route::Submit | Route::Batch) => self.admission(slot, &head, inbox),
            Ok(Route::Outcome(id)) => return Err(self.frame_look_up(slot, &head, id, inbox, now)),
            Ok(route) => return Err(self.serve_page(slot, &head, route, inbox, now)),
            Err(problem) => Err(problem),
        };
        let incoming = Incoming::new(head);
        match admission {
            Ok(context) => Ok(Admitted {
                incoming,
                context,
                client: self.client_of(slot, head.head_len, inbox),
                paid_bytes: None,
            }),
            Err(problem) => Err(self.refuse(slot, problem, Some(&incoming), now.mono_us, now)),
        }
    }

    /// The head is admitted: waits for the whole body, then cuts the request.
    fn frame_body(
        &mut self,
        core: Option<&Core>,
        slot: u32,
        admitted: Admitted,
        inbox: &[u8],
        now: Now,
    ) -> FrameStep {
        let received = &self.connections.at(slot).received;
        let whole_bytes = admitted.incoming.whole_bytes();
        let pending_bytes = received.pending_bytes();
        if pending_bytes < whole_bytes {
            let arrived = BodyArrived::of(pending_bytes, admitted.incoming.head.head_len);
            return self.await_rest(slot, admitted, arrived);
        }
        let complete_us = received.complete_us(whole_bytes).unwrap_or(now.mono_us);
        if admitted.is_batch() {
            return self.begin_batch(core, slot, &admitted, (inbox, complete_us), now);
        }
        self.admit_whole(core, slot, &admitted, complete_us, now);
        FrameStep::Again
    }

    /// The same for a body that is chunked: decodes what has come of it, in place. Once it is whole, the request is one
    /// with a length like any other.
    fn frame_chunks(
        &mut self,
        core: Option<&Core>,
        slot: u32,
        mut admitted: Admitted,
        inbox: &mut [u8],
        now: Now,
    ) -> FrameStep {
        let target = admitted.incoming.head.target;
        let limits = self.config.limits.http.of(target);
        let received = &mut self.connections.at(slot).received;
        let incoming = &mut admitted.incoming;
        let head_len = incoming.head.head_len;
        let arrived = BodyArrived::of(received.pending_bytes(), head_len);
        let body = &mut received.pending_mut(inbox)[head_len..];
        match incoming.decoder.decode(body, &limits) {
            Decoded::Partial { kept_bytes } => {
                received.shorten(head_len + kept_bytes);
                self.await_rest(slot, admitted, arrived)
            }
            Decoded::Whole { body_bytes, end } => {
                incoming.framing_bytes = end - body_bytes;
                incoming.head.chunked = false;
                incoming.head.body_len = body_bytes as u64;
                self.frame_body(core, slot, admitted, inbox, now)
            }
            Decoded::Refused(problem) => {
                let problem = match problem {
                    Problem::BodyTooLarge => Problem::too_large(target),
                    other => other,
                };
                self.refuse(slot, problem, Some(&admitted.incoming), now.mono_us, now)
            }
        }
    }

    /// The rest of a body is awaited; its client may wait to be asked for it.
    fn await_rest(&mut self, slot: u32, mut admitted: Admitted, arrived: BodyArrived) -> FrameStep {
        let expects = std::mem::take(&mut admitted.incoming.head.expect_continue);
        if expects && arrived == BodyArrived::Nothing {
            let head = &admitted.incoming.head;
            self.awaiting_continue.push(Asking {
                conn: self.connections.at(slot).id,
                tenant: admitted.context.tenant,
                client: admitted.client,
                bytes: match head.chunked {
                    _ if admitted.is_batch() => None,
                    true => Some(0),
                    false => Some(head.body_len),
                },
                refused: None,
            });
        }
        self.connections.at(slot).reading = Reading::Body(admitted);
        FrameStep::Enough
    }

    /// Owes a refusal of a request that was as far as it came at `since_us`. With the request at hand, its body is skipped
    /// where the connection can go on.
    pub(super) fn refuse(
        &mut self,
        slot: u32,
        refusal: impl Into<Refusal>,
        request: Option<&Incoming>,
        since_us: u64,
        now: Now,
    ) -> FrameStep {
        let refusal = refusal.into();
        if self.end_skip(slot) {
            return FrameStep::Enough; // it has its answer
        }
        self.note_refusal(refusal.problem, "", (None, None), now);
        let connection = self.connections.at(slot);
        connection.end_request();
        let survives =
            request.is_some_and(|request| skip_body(connection, request, refusal.problem, now));
        let head = request.map(|request| &request.head);
        let is_batch = match head {
            Some(head) => head.target == Target::Batch,
            None => refusal.problem == Problem::BatchTooLarge,
        };
        connection.owed.owe(Owed {
            reply: Reply::at_once(refusal.answer()),
            since_us,
            last: !survives,
            part: head.map_or(ResponsePart::Whole, |head| ResponsePart::of(head.method)),
            repeats_keep_alive: head.is_some_and(|head| head.repeats_keep_alive),
            trace: None,
        });
        if !survives {
            connection.phase = Phase::Closing;
            // Its client may take no answer for long: what has come of the request is not kept for as long.
            connection.received.consume_all();
        }
        let conn = connection.id;
        self.due.push(conn);
        if is_batch {
            self.count_refused_batch(refusal.problem);
        }
        if survives {
            FrameStep::Again
        } else {
            FrameStep::Enough
        }
    }

    /// Answers a service endpoint.
    fn serve_page(
        &mut self,
        slot: u32,
        head: &Head,
        route: Route,
        inbox: &[u8],
        now: Now,
    ) -> FrameStep {
        if route == Route::Metrics && !self.may_read_metrics(slot, head, inbox) {
            let request = Incoming::new(*head);
            let problem = Problem::MetricsUnauthorized;
            return self.refuse(slot, problem, Some(&request), now.mono_us, now);
        }
        let answer = self.service(slot, head, route, inbox);
        let (_, step) = self.owe_for(slot, head, Reply::at_once(answer), now.mono_us);
        let conn = self.connections.at(slot).id;
        self.due.push(conn);
        step
    }

    /// Owes an answer to a request without a body, which is over with that. Gives the number of the answer.
    pub(super) fn owe_for(
        &mut self,
        slot: u32,
        head: &Head,
        reply: Reply,
        since_us: u64,
    ) -> (u64, FrameStep) {
        let connection = self.connections.at(slot);
        let last = !head.keep_alive;
        let number = connection.owed.owe(Owed {
            reply,
            since_us,
            last,
            part: ResponsePart::of(head.method),
            repeats_keep_alive: head.repeats_keep_alive,
            trace: None,
        });
        connection.received.consume(head.head_len);
        connection.end_request();
        match last {
            true => {
                connection.phase = Phase::Closing;
                (number, FrameStep::Enough)
            }
            false => (number, FrameStep::Again),
        }
    }

    /// Cuts a whole request out of its connection: it goes into the log in this turn, unless the rate forbids it.
    pub(super) fn cut(
        &mut self,
        slot: u32,
        admitted: &Admitted,
        complete_us: u64,
        account: Account,
    ) {
        self.flights.reserve(admitted.context.tenant);
        let Admitted {
            incoming,
            context,
            client,
            paid_bytes,
        } = admitted;
        let head = &incoming.head;
        let body_len = head.body_len as usize;
        let connection = self.connections.at(slot);
        let body = connection.received.locate(head.head_len, body_len);
        let traceparent = head.traceparent.map(|span| {
            let (start, end) = (span.start as usize, span.end as usize);
            connection.received.locate(start, end - start)
        });
        let begun_us = connection.begun_us(complete_us);
        let last = !head.keep_alive;
        let reply = connection.owed.owe(Owed {
            reply: Reply::Pending,
            since_us: complete_us,
            last,
            part: ResponsePart::Whole,
            repeats_keep_alive: head.repeats_keep_alive,
            trace: None,
        });
        connection.received.consume(incoming.whole_bytes());
        connection.end_request();
        if last {
            connection.phase = Phase::Closing;
        }
        self.framed_bytes += body_len;
        self.framed.push(Framed {
            conn: connection.id,
            reply,
            line: 0,
            context: *context,
            client: *client,
            body,
            begun_us,
            complete_us,
            traceparent,
            paid_bytes: *paid_bytes,
            account,
            refused: None,
        });
    }

    /// The client has sent FIN: an incomplete request is dropped.
    fn after_framing(&mut self, slot: u32) {
        let limits = self.config.limits;
        let connection = self.connections.at(slot);
        let may_hold_whole = connection.waits_for_room() || connection.is_too_far_ahead(&limits);
        if connection.ended && connection.phase == Phase::Open && !may_hold_whole {
            connection.received.consume_all();
            connection.end_request();
            connection.phase = Phase::Closing;
            let conn = connection.id;
            self.due.push(conn);
        }
    }
}
