//! Requests in flight: admitted, their body in the log, not yet durably ended. Each owns one slot from admission to its
//! end; a ticket with a generation names it across shards, so that a late answer never reaches another request.

use super::answer::Addressee;
use super::trace_ref::TraceRef;
use crate::dedup::context::{Context, TenantId};
use crate::dedup::protocol::Ticket;
use crate::dedup::{Decided, Key};
use crate::event::ConnId;
use crate::wal::Epoch;
use crate::wal::name::Place;

/// How far a request is, with what it has by then.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant)] // they lie in a table that is made once; a box would be an allocation per request
pub(super) enum FlightStep {
    /// Its body is in the open batch; it is not judged yet.
    Logged,
    /// Its claim is at the owner.
    Claimed(Claim),
    /// Its client got 503; the claim is being withdrawn, and may still win.
    Withdrawing(Claim),
    /// It won; its decision is in the log and not yet durable.
    Decided(Granted),
}

/// What a validly signed record claims its key with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// The outcome that it proposes.
    pub candidate: Decided,
    /// The record's id.
    pub pcs_id: [u8; 32],
    /// Signing digest in the default number form.
    pub digest: [u8; 32],
    /// The key that verified it.
    pub key_id: [u8; 8],
    /// Claimed coherence, for the statistics.
    pub coh_star: f32,
    /// Claimed compressibility, for the statistics.
    pub r: f32,
}

/// A claim that won: what its owner must learn once the decision is durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    /// The key.
    pub key: Key,
    /// Seal epoch of the segment that holds the decision.
    pub epoch: Epoch,
}

/// Most records that a request in flight adds to a log behind its body: that it is unanswered, and then its decision.
pub(super) const DISPOSITIONS_MAX: usize = 2;

impl FlightStep {
    /// How many more records a request at this step may add to the log.
    pub(super) const fn dispositions_owed(&self) -> usize {
        match self {
            FlightStep::Logged | FlightStep::Claimed(_) => DISPOSITIONS_MAX,
            FlightStep::Withdrawing(_) => 1,
            FlightStep::Decided(_) => 0,
        }
    }
}

/// The request as the connection and the log know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// The connection that asked.
    pub conn: ConnId,
    /// The number of its answer among those of the connection.
    pub reply: u64,
    /// See [`Addressee::line`].
    pub line: u16,
    /// What it was admitted under.
    pub context: Context,
    /// Its body in the log.
    pub body: Place,
    /// Its trace, if it is traced.
    pub trace: Option<TraceRef>,
}

impl Request {
    /// Where its answer goes.
    pub(super) fn to(&self) -> Addressee {
        Addressee {
            conn: self.conn,
            reply: self.reply,
            line: self.line,
        }
    }
}

const _: () = assert!(
    size_of::<Request>() <= 48,
    "the line lies in what was padding: a flight is no larger for it"
);

/// One request in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// The request.
    pub request: Request,
    /// How far it is; only [`Flights`] changes it.
    pub step: FlightStep,
    /// When it claimed its key.
    pub claimed_us: u64,
}

/// All requests in flight of one shard.
#[derive(Debug)]
pub(super) struct Flights {
    slots: Vec<(u32, Option<Flight>)>,
    free: Vec<u32>,
    dispositions_owed: usize,
    /// How many are of each tenant, by [`TenantId`], those that were cut out in this turn included; empty while no tenant has a
    /// share.
    by_tenant: Vec<u32>,
}

impl Flights {
    /// Room for `flights_max` requests.
    pub(super) fn new(flights_max: u32) -> Flights {
        Flights {
            slots: (0..flights_max).map(|_| (0, None)).collect(),
            free: (0..flights_max).rev().collect(),
            dispositions_owed: 0,
            by_tenant: Vec::new(),
        }
    }

    /// How many records the requests in flight may still add to the log: the open batch keeps room for all of them.
    pub(super) fn dispositions_owed(&self) -> usize {
        self.dispositions_owed
    }

    /// How many more requests may be admitted.
    pub(super) fn room(&self) -> usize {
        self.free.len()
    }

    /// How many are in flight.
    pub(super) fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Admits a request; there must be room.
    pub(super) fn admit(&mut self, request: Request) -> Ticket {
        let Some(slot) = self.free.pop() else {
            unreachable!("admission checks for room first")
        };
        let (generation, place) = &mut self.slots[slot as usize];
        assert!(place.is_none(), "a free slot holds no request");
        *generation = generation.wrapping_add(1);
        let step = FlightStep::Logged;
        self.dispositions_owed += step.dispositions_owed();
        let claimed_us = 0;
        *place = Some(Flight {
            request,
            step,
            claimed_us,
        });
        Ticket {
            slot,
            generation: *generation,
        }
    }

    /// The request of this ticket, if it is still in flight.
    pub(super) fn get(&self, ticket: Ticket) -> Option<&Flight> {
        let (generation, flight) = self.slots.get(ticket.slot as usize)?;
        flight.as_ref().filter(|_| *generation == ticket.generation)
    }

    /// The request of this ticket. An owner answers each claim once, and a request ends only then: that it is gone is a
    /// mistake of ours, and going on would leave its key pending for ever.
    pub(super) fn expect(&self, ticket: Ticket) -> &Flight {
        match self.get(ticket) {
            Some(flight) => flight,
            None => unreachable!("request {ticket:?} ended before it was answered"),
        }
    }

    /// Judged: its claim goes to the owner.
    pub(super) fn claimed(&mut self, ticket: Ticket, claim: &Claim, now_us: u64) {
        let flight = self.expect_mut(ticket);
        assert!(
            matches!(flight.step, FlightStep::Logged),
            "a request claims once"
        );
        flight.claimed_us = now_us;
        flight.step = FlightStep::Claimed(*claim); // it still owes as many records
    }

    /// Its client is answered 503: gives up its claim, if it has one that is not granted. Returns the request and its
    /// claim.
    pub(super) fn withdraw(&mut self, ticket: Ticket) -> Option<(Request, Claim)> {
        let FlightStep::Claimed(claim) = self.get(ticket)?.step else {
            return None;
        };
        let request = self.advance(ticket, FlightStep::Withdrawing(claim));
        Some((request, claim))
    }

    /// Its decision is in the log.
    pub(super) fn decided(&mut self, ticket: Ticket, granted: Granted) {
        self.advance(ticket, FlightStep::Decided(granted));
    }

    /// Ends a request.
    pub(super) fn end(&mut self, ticket: Ticket) {
        let (generation, flight) = &mut self.slots[ticket.slot as usize];
        let tenant = match flight {
            Some(ended) if *generation == ticket.generation => {
                let tenant = ended.request.context.tenant;
                self.dispositions_owed -= ended.step.dispositions_owed();
                *flight = None;
                tenant
            }
            _ => unreachable!("request {ticket:?} ends once"),
        };
        self.free.push(ticket.slot);
        self.release(tenant);
    }

    /// From now on requests of so many tenants are counted apart, or not any more. None has been cut out in this turn.
    pub(super) fn count_by_tenant(&mut self, tenants_count: Option<usize>) {
        self.by_tenant.clear();
        self.by_tenant.resize(tenants_count.unwrap_or(0), 0);
        let flights = self.slots.iter().filter_map(|(_, flight)| flight.as_ref());
        for flight in flights {
            let tenant = flight.request.context.tenant;
            if let Some(count) = self.by_tenant.get_mut(tenant.index()) {
                *count += 1;
            }
        }
    }

    /// A request of this tenant was cut out and will be admitted.
    #[inline]
    pub(super) fn reserve(&mut self, tenant: TenantId) {
        if let Some(count) = self.by_tenant.get_mut(tenant.index()) {
            *count += 1;
        }
    }

    /// It was refused, or has ended.
    #[inline]
    pub(super) fn release(&mut self, tenant: TenantId) {
        if let Some(count) = self.by_tenant.get_mut(tenant.index()) {
            *count -= 1;
        }
    }

    /// How many there are of a tenant, while they are counted.
    pub(super) fn of(&self, tenant: TenantId) -> usize {
        self.by_tenant[tenant.index()] as usize
    }

    /// The records that all requests owe are counted right.
    #[cfg(debug_assertions)]
    pub(super) fn check_invariants(&self) {
        let flights = self.slots.iter().filter_map(|(_, flight)| flight.as_ref());
        let owed = flights.map(|flight| flight.step.dispositions_owed());
        assert_eq!(owed.clone().count(), self.count());
        assert_eq!(owed.sum::<usize>(), self.dispositions_owed);
        let all: u32 = self.by_tenant.iter().sum();
        assert!(self.by_tenant.is_empty() || all as usize == self.count());
    }

    fn expect_mut(&mut self, ticket: Ticket) -> &mut Flight {
        let (generation, flight) = &mut self.slots[ticket.slot as usize];
        match flight {
            Some(flight) if *generation == ticket.generation => flight,
            _ => unreachable!("request {ticket:?} ended before it was answered"),
        }
    }

    fn advance(&mut self, ticket: Ticket, step: FlightStep) -> Request {
        let flight = self.expect_mut(ticket);
        let (owed_before, owed) = (flight.step.dispositions_owed(), step.dispositions_owed());
        flight.step = step;
        let request = flight.request;
        self.dispositions_owed = self.dispositions_owed - owed_before + owed;
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::context::TenantId;
    use crate::wal::name::Sequence;

    fn request() -> Request {
        Request {
            conn: ConnId {
                slot: 0,
                generation: 0,
            },
            reply: 0,
            line: 0,
            context: Context {
                tenant: TenantId::DEFAULT,
                snapshot: 0,
            },
            body: Place {
                sequence: Sequence(1),
                index: 0,
            },
            trace: None,
        }
    }

    fn claim() -> Claim {
        Claim {
            candidate: Decided::default(),
            pcs_id: [0; 32],
            digest: [0; 32],
            key_id: [0; 8],
            coh_star: 0.0,
            r: 0.0,
        }
    }

    #[test]
    fn a_late_ticket_never_finds_the_next_request_in_its_slot() {
        let mut flights = Flights::new(1);
        let first = flights.admit(request());
        assert_eq!((flights.room(), flights.dispositions_owed()), (0, 2));
        flights.end(first);
        let second = flights.admit(request());
        assert_eq!(first.slot, second.slot);
        assert!(flights.get(first).is_none());
        assert!(flights.get(second).is_some());
        assert!(flights.withdraw(first).is_none());
        assert!(flights.withdraw(second).is_none(), "it has not claimed yet");
        flights.claimed(second, &claim(), 0);
        assert_eq!(flights.dispositions_owed(), 2);
        assert!(flights.withdraw(second).is_some());
        assert_eq!(flights.dispositions_owed(), 1);
        assert!(flights.withdraw(second).is_none(), "once");
        let granted = Granted {
            key: Key::default(),
            epoch: Epoch::earlier_runs(),
        };
        flights.decided(second, granted);
        assert_eq!(flights.dispositions_owed(), 0);
        flights.end(second);
        assert_eq!((flights.room(), flights.dispositions_owed()), (1, 0));
    }

    #[test]
    #[should_panic(expected = "ended before it was answered")]
    fn an_answer_to_a_request_that_has_ended_stops_the_process() {
        let mut flights = Flights::new(1);
        let ticket = flights.admit(request());
        flights.end(ticket);
        flights.expect(ticket);
    }
}
