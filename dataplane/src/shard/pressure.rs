//! The choice of the connection that is closed when there is no room for another one. The connections are kept in order of
//! how little is lost with them, the longest in that state first. A request that is whole is never given up.

use super::Ingress;
use super::connection::{Connection, Phase, Reading};
use super::foreign::NOTIFY_EVERY_US;
use super::lists::{Ends, Links};
use super::owed::Reply;
use crate::event::{Op, Outbox};
use crate::io::Now;
use crate::mesh::keeper::ToKeeper;
use crate::throttle::Throttle;

/// What a connection is doing, in the order in which connections are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// FIN was sent and all answers have left; the client has not closed yet.
    Leaving,
    /// Nothing is received, owed or unsent.
    Idle,
    /// Part of a request head is there.
    Head,
    /// The client does not take its answers.
    Stalled,
    /// Part of a body is there, or a refused body is skipped.
    Body,
}

const RANKS: [Rank; 5] = [
    Rank::Leaving,
    Rank::Idle,
    Rank::Head,
    Rank::Stalled,
    Rank::Body,
];

/// A new connection, an idle one and one with part of a head have this long for their next bytes before they are given up.
const SPEAKS_WITHIN_US: u64 = 200_000;
/// The same while not even a spare place is free: bytes that had arrived before the connection was accepted come sooner.
const SPEAKS_WITHIN_FULL_US: u64 = 5_000;
/// A client has this long for taking its answers before it counts as stalled.
const TAKES_WITHIN_US: u64 = 1_000_000;
/// While connections are above their number and none may be given up yet, this is how soon they are looked at again.
const LOOK_AGAIN_US: u64 = 5_000;

impl Rank {
    /// What a connection is doing; `None`: a request of it is under way here, or it is closed.
    fn of(connection: &Connection) -> Option<Rank> {
        match connection.phase {
            Phase::Free => None,
            _ if takes_nothing(connection) => Some(Rank::Stalled),
            _ if connection.waits_for_us() => None,
            _ if connection.unsent_bytes > 0 => Some(Rank::Stalled),
            Phase::Closing => None,
            Phase::Lingering { .. } => Some(Rank::Leaving),
            Phase::Open => match connection.reading {
                Reading::Preface | Reading::Head if connection.received.pending_bytes() == 0 => {
                    Some(Rank::Idle)
                }
                Reading::Preface | Reading::Head => Some(Rank::Head),
                Reading::Body(_) | Reading::Whole(..) | Reading::Skipped(_) => Some(Rank::Body),
            },
        }
    }
}

/// Answers are ready and wait for the client to take those before them. (Where they wait for the log instead, that is over
/// long before the client counts as stalled.)
fn takes_nothing(connection: &Connection) -> bool {
    let next = connection.owed.oldest().map(|owed| &owed.reply);
    let is_ready = match next {
        Some(Reply::Ready { .. }) => true,
        Some(Reply::Batch(batch)) => batch.is_answered(),
        Some(Reply::Pending) | None => false,
    };
    connection.unsent_bytes > 0 && is_ready
}

/// What a slot's connection is doing, and since when.
#[derive(Clone, Copy, Debug)]
struct Place {
    rank: Option<Rank>,
    since_us: u64,
}

/// The connections by rank, in each the one that has been there longest first. Every step takes constant time.
#[derive(Debug)]
pub(super) struct Order {
    places: Vec<Place>,
    links: Links,
    lists: [Ends; RANKS.len()],
}

impl Order {
    /// Empty, with memory for all slots.
    pub(super) fn new(slots: u32) -> Order {
        let place = Place {
            rank: None,
            since_us: 0,
        };
        let mut links = Links::default();
        links.reach(slots);
        Order {
            places: vec![place; slots as usize],
            links,
            lists: [Ends::EMPTY; RANKS.len()],
        }
    }

    /// Notes what a slot's connection is doing now. It keeps its place if that is what it did before.
    pub(super) fn place(&mut self, slot: u32, rank: Option<Rank>, now_us: u64) {
        let place = &mut self.places[slot as usize];
        if place.rank == rank {
            return;
        }
        let since_us = now_us;
        let before = std::mem::replace(place, Place { rank, since_us });
        if let Some(old) = before.rank {
            self.links.leave(&mut self.lists[old as usize], slot);
        }
        if let Some(new) = rank {
            self.links.join(&mut self.lists[new as usize], slot);
        }
    }

    /// The slot that has been in this rank longest, if that is at least `age_us`.
    fn first(&self, rank: Rank, age_us: u64, now_us: u64) -> Option<u32> {
        let slot = self.lists[rank as usize].first()?;
        let since_us = self.places[slot as usize].since_us;
        (since_us + age_us <= now_us).then_some(slot)
    }
}

/// Connections closed for others.
#[derive(Debug)]
pub(super) struct Evicted {
    unreported_count: u32,
    throttle: Throttle,
}

impl Default for Evicted {
    fn default() -> Evicted {
        Evicted {
            unreported_count: 0,
            throttle: Throttle::every_us(NOTIFY_EVERY_US),
        }
    }
}

impl Ingress {
    /// Notes what a connection is doing after something happened on it.
    pub(super) fn note_rank(&mut self, slot: u32, now: Now) {
        let rank = Rank::of(self.connections.at(slot));
        self.order.place(slot, rank, now.mono_us);
    }

    /// Closes connections until there are no more than may stay. What is above is for those that have just come: a probe
    /// is served there although every other connection has a request under way.
    pub(super) fn make_room(&mut self, now: Now, outbox: &mut Outbox) {
        while self.connections.open_count() > self.config.limits.connections_max
            && let Some(slot) = self.to_give_up(now.mono_us)
        {
            let conn = self.connections.at(slot).id;
            self.drop_connection(conn, outbox);
            self.stats().connections_evicted.add(1);
            self.evicted.unreported_count += 1;
        }
        self.notify_evicted(now, outbox);
    }

    /// When room is to be made, if there was none that could be.
    pub(super) fn make_room_again_us(&self, now: Now) -> Option<u64> {
        let above = self.connections.open_count() > self.config.limits.connections_max;
        above.then_some(now.mono_us + LOOK_AGAIN_US)
    }

    fn to_give_up(&self, now_us: u64) -> Option<u32> {
        let limits = &self.config.limits;
        let speaks_within_us = if self.connections.open_count() < limits.connections_table() {
            SPEAKS_WITHIN_US
        } else {
            SPEAKS_WITHIN_FULL_US
        };
        let age_us = |rank| match rank {
            Rank::Leaving => 0,
            Rank::Idle | Rank::Head => speaks_within_us,
            Rank::Stalled => TAKES_WITHIN_US,
            Rank::Body => limits.body_grace_us,
        };
        let mut oldest = RANKS
            .into_iter()
            .map(|rank| self.order.first(rank, age_us(rank), now_us));
        oldest.find_map(|slot| slot)
    }

    /// When the keeper is to be notified of closed connections, if there are new ones.
    pub(super) fn evicted_due_us(&self) -> Option<u64> {
        let Evicted {
            unreported_count,
            throttle,
        } = &self.evicted;
        throttle.next_us().filter(|_| *unreported_count > 0)
    }

    fn notify_evicted(&mut self, now: Now, outbox: &mut Outbox) {
        let evicted = &mut self.evicted;
        if evicted.unreported_count > 0 && evicted.throttle.pass(now.mono_us) {
            let closed_count = std::mem::take(&mut evicted.unreported_count);
            outbox
                .ops
                .push(Op::Keeper(ToKeeper::Crowded { closed_count }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_lists_searched_through(
            steps in proptest::collection::vec((0u32..9, 0usize..6), 1..200),
        ) {
            let mut order = Order::new(9);
            let mut naive: Vec<(u32, Rank, u64)> = Vec::new();
            for (now_us, (slot, rank)) in (0..).zip(steps) {
                let rank = RANKS.get(rank).copied();
                order.place(slot, rank, now_us);
                let had = naive.iter().find(|entry| entry.0 == slot).map(|entry| entry.1);
                if had != rank {
                    naive.retain(|entry| entry.0 != slot);
                    naive.extend(rank.map(|rank| (slot, rank, now_us)));
                }
                for rank in RANKS {
                    let first = naive.iter().find(|entry| entry.1 == rank);
                    let found = order.first(rank, 0, now_us);
                    prop_assert_eq!(found, first.map(|entry| entry.0));
                    let aged = first.filter(|entry| entry.2 + 20 <= now_us);
                    let found = order.first(rank, 20, now_us);
                    prop_assert_eq!(found, aged.map(|entry| entry.0));
                }
            }
        }
    }
}
