//! Connections whose head-of-line request waits, in the order of their deadlines. It knows nothing of what they wait for.

use crate::event::ConnId;
use std::collections::VecDeque;

/// Where a request stands among those that wait: the earliest deadline first, equal ones in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WaitingPlace {
    /// When the request is refused at the latest.
    pub due_us: u64,
    /// Grows from one that waits to the next, so that no two have the same place.
    ticket: u64,
}

impl WaitingPlace {
    /// When the request began to wait, if it may wait for so long.
    pub(super) fn since_us(self, deadline_us: u64) -> u64 {
        assert!(
            self.due_us >= deadline_us,
            "what waits is due a deadline after it began to"
        );
        self.due_us - deadline_us
    }
}

/// What a whole request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Room in the open batch and the table of flights.
    Room,
    /// Room, and a part of it that its tenant may fill.
    Share,
}

/// A connection whose head-of-line request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub place: WaitingPlace,
    pub conn: ConnId,
}

/// Connections that wait, in the order of their places. A place is found by halving, and what stands behind or before it
/// is moved: at most half of the table of connections, 24 bytes each.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: VecDeque<Waiter>,
    next_ticket: u64,
    /// Places looked at, for tests of how much work there is.
    #[cfg(test)]
    steps: std::cell::Cell<u64>,
}

impl Waiting {
    /// Empty; there is memory for all connections that may wait.
    pub(super) fn new(connections_max: u32) -> Waiting {
        Waiting {
            queue: VecDeque::with_capacity(connections_max as usize),
            next_ticket: 0,
            #[cfg(test)]
            steps: std::cell::Cell::new(0),
        }
    }

    /// One more waits: its place.
    pub(super) fn join(&mut self, due_us: u64, conn: ConnId) -> WaitingPlace {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let place = WaitingPlace { due_us, ticket };
        let at = self.position(place);
        self.queue.insert(at, Waiter { place, conn });
        place
    }

    /// The connection at this place waits no longer.
    pub(super) fn leave(&mut self, place: WaitingPlace) {
        let left = self.queue.remove(self.position(place));
        assert_eq!(
            left.map(|waiter| waiter.place),
            Some(place),
            "a connection leaves the place that it was given"
        );
    }

    /// How many stand before a place.
    fn position(&self, place: WaitingPlace) -> usize {
        self.queue.partition_point(|other| {
            #[cfg(test)]
            self.steps.set(self.steps.get() + 1);
            other.place < place
        })
    }

    /// All that wait, the latest deadline first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.queue.iter().rev().map(|waiter| waiter.conn)
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.queue.len()
    }

    /// The one whose deadline comes first.
    pub(super) fn first(&self) -> Option<Waiter> {
        self.queue.front().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn conn(slot: u32) -> ConnId {
        let generation = 0;
        ConnId { slot, generation }
    }

    proptest! {
        #[test]
        fn who_waits_comes_out_like_out_of_a_list_that_is_sorted_anew_each_time(
            steps in proptest::collection::vec((0u64..5, any::<proptest::sample::Index>(), any::<bool>()), 1..60),
        ) {
            let mut queue = Waiting::new(8);
            let mut naive: Vec<Waiter> = Vec::new();
            for (slot, (due_us, which, joins)) in (0..).zip(steps) {
                if joins || naive.is_empty() {
                    let place = queue.join(due_us, conn(slot));
                    prop_assert_eq!(place.due_us, due_us);
                    naive.push(Waiter { place, conn: conn(slot) });
                } else {
                    let gone = naive.remove(which.index(naive.len()));
                    queue.leave(gone.place);
                }
                let mut sorted = naive.clone();
                sorted.sort_by_key(|waiter| waiter.place.due_us);
                prop_assert_eq!(&sorted, &Vec::from(queue.queue.clone()));
                prop_assert_eq!(queue.first(), sorted.first().copied());
            }
        }
    }

    #[test]
    fn the_work_of_leaving_does_not_grow_with_those_that_have_the_same_deadline() {
        const CONNECTIONS: u32 = 4096;
        let mut queue = Waiting::new(CONNECTIONS);
        let places: Vec<WaitingPlace> = (0..CONNECTIONS)
            .map(|slot| queue.join(7, conn(slot)))
            .collect();
        for place in places.into_iter().rev() {
            queue.leave(place);
        }
        assert_eq!(queue.first(), None);
        let steps = queue.steps.get();
        let operations = 2 * u64::from(CONNECTIONS);
        assert!(steps <= 13 * operations, "{steps} places looked at");
    }
}
