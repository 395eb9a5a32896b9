//! Admission and append: which requests may enter, what is charged to the rate, and the moment from which on a body is in
//! the log. Nothing is parsed before that moment.

use super::answer::{Answer, Refusal};
use super::charge::{Asking, Charged};
use super::connection::Reading;
use super::flights::Request;
use super::owed::{Owed, Reply};
use super::trace_ref::TraceRef;
use super::{Core, Deadline, Framed, Ingress};
use crate::dedup::context::{Context, TenantId};
use crate::dedup::protocol::Ticket;
use crate::event::{Driver, Peer};
use crate::http::{Head, Problem, ResponsePart, TenantHeader};
use crate::io::Now;
use crate::planted::{Bug, planted};
use crate::stats::tenants::TenantRow;
use crate::wal::name::Sequence;
use crate::wal::record::BodyMeta;

/// A body in the open batch, to be judged in this turn.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub ticket: Ticket,
    pub context: Context,
    /// Where its client is.
    pub client: Peer,
    /// Where the body is in the open batch's bodies.
    pub start: usize,
    pub end: usize,
    /// Its trace, if it is traced.
    pub trace: Option<TraceRef>,
}

impl Ingress {
    /// The context under which a submission enters, or what refuses it before its body is looked at. It is looked at again
    /// when the body is appended: another snapshot may be in force by then.
    pub(super) fn admission(
        &mut self,
        slot: u32,
        head: &Head,
        inbox: &[u8],
    ) -> Result<Context, Problem> {
        let context = self.context_of(slot, head, inbox)?;
        self.counted(context.tenant).ingest.add(1);
        if self.drain.is_over(self.config.limits.drain_patience_us) {
            return Err(Problem::Draining);
        }
        match self.shut() {
            Some(problem) => Err(problem),
            None => Ok(context),
        }
    }

    /// What a request enters under, by its tenant alone.
    pub(super) fn context_of(
        &mut self,
        slot: u32,
        head: &Head,
        inbox: &[u8],
    ) -> Result<Context, Problem> {
        match head.tenant {
            TenantHeader::Named(span) => {
                let name = span.of(self.connections.at(slot).received.pending(inbox));
                self.in_force.admit(Some(name))
            }
            TenantHeader::Absent => self.in_force.admit(None),
            TenantHeader::Invalid => Err(Problem::UnknownTenant), // routing has refused it
        }
    }

    /// Where a tenant is counted.
    pub(super) fn counted(&self, tenant: TenantId) -> &TenantRow {
        let row = self.in_force.of(tenant).row;
        self.stats().tenants.tenant(row)
    }

    /// Charges to the rate the framed requests, those whose client waits to be asked for the body, and look-ups. Appends the
    /// bodies of the first to the open batch, asks for those of the second.
    pub(super) fn append(
        &mut self,
        core: &mut Core,
        inbox: &[u8],
        now: Now,
        driver: &mut impl Driver,
    ) {
        if self.framed.is_empty() && self.awaiting_continue.is_empty() && self.looking.is_empty() {
            return;
        }
        let mut framed = std::mem::take(&mut self.framed);
        let mut asking = std::mem::take(&mut self.awaiting_continue);
        let framed_bytes = std::mem::take(&mut self.framed_bytes);
        debug_assert_eq!(
            framed_bytes,
            framed
                .iter()
                .map(|request| request.body.len_bytes())
                .sum::<usize>(),
            "the running total is the sum"
        );
        self.admit_again(&mut framed, &mut asking);
        let mut looking = std::mem::take(&mut self.looking);
        let charged = Charged {
            framed: &mut framed,
            asking: &mut asking,
            looking: &mut looking,
        };
        self.charge(core, charged, now, driver);
        self.looking = looking;
        for request in framed.drain(..) {
            match request.refused {
                None => self.append_one(core, request, inbox, now),
                Some(refusal) => {
                    let whose = (Some(request.context.tenant), None);
                    self.note_refusal(refusal.problem, "", whose, now);
                    self.give_back_share(core, &request);
                    let needs = Sequence::default();
                    self.answer(core, request.to(), refusal.answer(), needs);
                    if request.line > 0 {
                        self.limit_batch(request.conn, request.reply, refusal);
                    }
                }
            }
        }
        self.framed = framed;
        for request in asking.drain(..) {
            self.send_continue(&request, now);
        }
        self.awaiting_continue = asking;
    }

    /// Looks again at what was admitted by its head, maybe in an earlier turn: what the snapshot in force does not admit is
    /// refused.
    fn admit_again(&self, framed: &mut [Framed], asking: &mut [Asking]) {
        if planted(Bug::SnapshotOfTheHead) {
            return;
        }
        for request in framed {
            match self.in_force.admit_again(request.context.tenant) {
                Ok(context) => request.context = context,
                Err(problem) => request.refused = Some(problem.into()),
            }
        }
        for request in asking {
            let again = self.in_force.admit_again(request.tenant);
            request.refused = again.err().map(Refusal::from);
        }
    }

    /// Asks for a body with `100 Continue`, or refuses it before it is sent.
    fn send_continue(&mut self, asking: &Asking, now: Now) {
        let slot = asking.conn.slot;
        let connection = self.connections.at(slot);
        let Reading::Body(admitted) = &mut connection.reading else {
            return; // it was refused in this turn
        };
        if let Some(refusal) = asking.refused {
            let mut request = admitted.incoming;
            request.head.expect_continue = true; // its client still waits: a body may or may not follow
            self.refuse(slot, refusal, Some(&request), now.mono_us, now);
            return;
        }
        admitted.paid_bytes = asking.bytes;
        connection.owed.owe(Owed {
            reply: Reply::at_once(Answer::Continue),
            since_us: now.mono_us,
            last: false,
            part: ResponsePart::Whole,
            repeats_keep_alive: false,
            trace: None,
        });
        let conn = connection.id;
        self.due.push(conn);
    }

    fn append_one(&mut self, core: &mut Core, request: Framed, inbox: &[u8], now: Now) {
        let received = &self.connections.at(request.conn.slot).received;
        let body = received.bytes_at(&request.body, inbox);
        let start = core.log.open_bodies_bytes();
        let end = start + body.len();
        let meta = BodyMeta {
            snapshot: request.context.snapshot,
            tenant: self.in_force.name(request.context.tenant),
            line: u32::from(request.line),
            ..BodyMeta::default()
        };
        let place = core.log.push_body(body, &meta);
        self.waits.body();
        let trace = self.trace(core, &request, inbox, place, now);
        let ticket = self.flights.admit(Request {
            conn: request.conn,
            reply: request.reply,
            line: request.line,
            context: request.context,
            body: place,
            trace,
        });
        self.forget_answered(core);
        // What enters the log late because its batch is large has its own time from then on.
        let since_us = match request.line {
            0 => request.complete_us,
            _ => now.mono_us,
        };
        self.expect_answer(Deadline {
            due_us: since_us + self.config.limits.deadline_us,
            ticket,
            to: request.to(),
        });
        self.logged.push(Logged {
            ticket,
            context: request.context,
            client: request.client,
            start,
            end,
            trace,
        });
    }

    /// Starts the clock of an admitted request. Those that waited for room may be due before others in the log.
    fn expect_answer(&mut self, deadline: Deadline) {
        let at = self
            .deadlines
            .partition_point(|other| other.due_us <= deadline.due_us);
        self.deadlines.insert(at, deadline);
    }
}
