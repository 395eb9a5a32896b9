//! Requests in flight: admitted, their body in the log, not yet durably ended. Each owns one slot from admission to its
//! end; a ticket with a generation names it across shards, so that a late answer never reaches another request.

use crate::dedup::{Decided, Epoch};
use crate::event::ConnId;
use crate::mesh::Ticket;
use crate::wal::name::Place;

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its body is in the open batch; it is not judged yet.
    Logged,
    /// Its claim is at the owner.
    Claimed,
    /// Its client got 503; the claim is being withdrawn.
    Withdrawing,
    /// It won; its decision is in the log and not yet durable.
    Decided,
}

/// Most records that a request in flight adds to a log behind its body: that it is unanswered, and then its decision.
pub const FATES_MAX: usize = 2;

impl Step {
    /// How many more records a request at this step may add to the log.
    pub const fn fates_owed(self) -> usize {
        match self {
            Step::Logged | Step::Claimed => FATES_MAX,
            Step::Withdrawing => 1,
            Step::Decided => 0,
        }
    }
}

/// One request in flight.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// How far it is; only [`Flights::advance`] changes it.
    pub step: Step,
    /// Who asked.
    pub conn: ConnId,
    /// Which of the connection's answers is its.
    pub reply: u64,
    /// Its body in the log.
    pub body: Place,
    /// The outcome that it proposes (stamped when it has won).
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
    /// Seal epoch of the segment that holds its decision.
    pub epoch: Epoch,
    /// Answered 401 whatever its claim brings: exists only in builds with planted bugs.
    pub condemned: bool,
}

/// All requests in flight of one shard.
#[derive(Debug)]
pub struct Flights {
    slots: Vec<(u32, Option<Flight>)>,
    free: Vec<u32>,
    fates_owed: usize,
}

impl Flights {
    /// Room for `flights_max` requests.
    pub fn new(flights_max: u32) -> Flights {
        Flights {
            slots: (0..flights_max).map(|_| (0, None)).collect(),
            free: (0..flights_max).rev().collect(),
            fates_owed: 0,
        }
    }

    /// How many records the requests in flight may still add to the log: the open batch keeps room for all of them.
    pub fn fates_owed(&self) -> usize {
        self.fates_owed
    }

    /// How many more requests may be admitted.
    pub fn room(&self) -> usize {
        self.free.len()
    }

    /// How many are in flight.
    pub fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Admits a request; there must be room.
    pub fn admit(&mut self, flight: Flight) -> Ticket {
        let Some(slot) = self.free.pop() else {
            unreachable!("admission checks for room first")
        };
        let (generation, place) = &mut self.slots[slot as usize];
        *generation = generation.wrapping_add(1);
        self.fates_owed += flight.step.fates_owed();
        *place = Some(flight);
        Ticket {
            slot,
            generation: *generation,
        }
    }

    /// The request of this ticket, if it is still in flight.
    pub fn get(&mut self, ticket: Ticket) -> Option<&mut Flight> {
        let (generation, flight) = self.slots.get_mut(ticket.slot as usize)?;
        if *generation == ticket.generation {
            flight.as_mut()
        } else {
            None
        }
    }

    /// Moves a request on to a step, if it is still in flight.
    pub fn advance(&mut self, ticket: Ticket, step: Step) -> Option<&mut Flight> {
        let (generation, flight) = self.slots.get_mut(ticket.slot as usize)?;
        let flight = flight
            .as_mut()
            .filter(|_| *generation == ticket.generation)?;
        self.fates_owed = self.fates_owed - flight.step.fates_owed() + step.fates_owed();
        flight.step = step;
        Some(flight)
    }

    /// Ends a request.
    pub fn end(&mut self, ticket: Ticket) {
        let (generation, flight) = &mut self.slots[ticket.slot as usize];
        let Some(ended) = flight.take().filter(|_| *generation == ticket.generation) else {
            unreachable!("a request ends once")
        };
        self.fates_owed -= ended.step.fates_owed();
        self.free.push(ticket.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::name::Sequence;

    fn flight() -> Flight {
        Flight {
            step: Step::Logged,
            conn: ConnId {
                slot: 0,
                generation: 0,
            },
            reply: 0,
            body: Place {
                sequence: Sequence(1),
                index: 0,
            },
            candidate: Decided::default(),
            pcs_id: [0; 32],
            digest: [0; 32],
            key_id: [0; 8],
            coh_star: 0.0,
            r: 0.0,
            epoch: Epoch::earlier_runs(),
            condemned: false,
        }
    }

    #[test]
    fn a_late_ticket_never_finds_the_next_request_in_its_slot() {
        let mut flights = Flights::new(1);
        let first = flights.admit(flight());
        assert_eq!((flights.room(), flights.fates_owed()), (0, 2));
        flights.end(first);
        let second = flights.admit(flight());
        assert_eq!(first.slot, second.slot);
        assert!(flights.get(first).is_none());
        assert!(flights.get(second).is_some());
        assert!(flights.advance(first, Step::Decided).is_none());
        assert_eq!(flights.fates_owed(), 2);
        flights.advance(second, Step::Withdrawing);
        assert_eq!(flights.fates_owed(), 1);
        flights.advance(second, Step::Decided);
        assert_eq!(flights.fates_owed(), 0);
        flights.end(second);
        assert_eq!((flights.room(), flights.fates_owed()), (1, 0));
    }
}
