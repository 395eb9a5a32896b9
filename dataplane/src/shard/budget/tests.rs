//! Grants, queues and shares, beside a list that is searched through.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn conn(slot: u32) -> ConnId {
    let generation = 0;
    ConnId { slot, generation }
}

#[test]
fn grants_are_whole_and_first_come_first_served() {
    let peer = Peer(1);
    let mut budget = Budget::new(100);
    assert!(budget.take(60, conn(0), peer));
    assert!(!budget.take(60, conn(1), peer));
    budget.wait(60, conn(1), peer);
    budget.wait(60, conn(1), peer);
    assert!(
        !budget.take(10, conn(2), peer),
        "nobody overtakes who waits"
    );
    budget.wait(10, conn(2), peer);
    assert_eq!(budget.fair_grant_bytes(), Some(33));
    budget.give_back(60, peer);
    assert_eq!(budget.longest_waiting(), Some(conn(1)));
    assert!(budget.take(60, conn(1), peer));
    assert_eq!(budget.longest_waiting(), Some(conn(2)), "it waited once");
    assert!(budget.forget(conn(2)), "it was first in the queue");
    assert!(!budget.forget(conn(2)));
    assert_eq!(budget.longest_waiting(), None);
    assert_eq!(budget.fair_grant_bytes(), None);
}

#[test]
fn an_address_over_its_share_stands_back_behind_one_that_is_not() {
    let (greedy, modest) = (Peer(1), Peer(2));
    let mut budget = Budget::new(100);
    for slot in 0..5 {
        assert!(budget.take(20, conn(slot), greedy));
    }
    budget.wait(20, conn(5), greedy);
    budget.wait(20, conn(6), modest);
    budget.give_back(20, greedy);
    assert!(!budget.take(20, conn(5), greedy), "it holds 80 of 100");
    assert!(budget.take(20, conn(6), modest));
    budget.give_back(20, greedy);
    assert!(budget.take(20, conn(5), greedy), "nobody else waits");
}

#[test]
fn who_comes_to_be_next_by_waiting_is_said_so() {
    let (greedy, modest) = (Peer(1), Peer(2));
    let mut budget = Budget::new(100);
    assert!(budget.take(40, conn(0), greedy));
    assert!(!budget.take(70, conn(1), greedy));
    assert!(!budget.wait(70, conn(1), greedy));
    assert!(!budget.take(30, conn(2), modest), "another one is next");
    assert!(budget.wait(30, conn(2), modest), "now it is this one");
    assert_eq!(budget.longest_waiting(), Some(conn(2)));
    assert!(!budget.wait(30, conn(2), modest), "it was said");
    assert!(budget.forget(conn(2)));
    assert_eq!(budget.longest_waiting(), Some(conn(1)));
}

#[test]
fn a_grant_larger_than_a_share_is_given_to_an_address_that_holds_nothing() {
    let mut budget = Budget::new(100);
    assert!(budget.take(90, conn(0), Peer(0)));
    for (slot, peer) in (1..).zip(1..=9) {
        budget.wait(90, conn(slot), Peer(peer));
    }
    budget.give_back(90, Peer(0));
    assert_eq!(budget.longest_waiting(), Some(conn(1)));
    assert!(budget.take(90, conn(1), Peer(1)));
}

/// What the queue and the accounts come to, as one would write it without a care for time.
#[derive(Default)]
struct Twin {
    held: Vec<(ConnId, Peer, usize)>,
    waiting: Vec<(ConnId, Peer, usize)>,
}

const MAX_BYTES: usize = 100;

impl Twin {
    fn held_bytes(&self, peer: Peer) -> usize {
        let of_peer = self.held.iter().filter(|entry| entry.1 == peer);
        of_peer.map(|entry| entry.2).sum()
    }

    fn share_bytes(&self) -> usize {
        let all = self.held.iter().chain(&self.waiting);
        let peers: BTreeSet<Peer> = all.map(|entry| entry.1).collect();
        MAX_BYTES / peers.len().max(1)
    }

    fn next(&self) -> Option<ConnId> {
        let mut seen = BTreeSet::new();
        let mut first_of_each = self.waiting.iter().filter(|entry| seen.insert(entry.1));
        let next = first_of_each.find(|(_, peer, bytes)| {
            let held_bytes = self.held_bytes(*peer);
            held_bytes == 0 || held_bytes + bytes <= self.share_bytes()
        });
        next.or(self.waiting.first()).map(|entry| entry.0)
    }

    fn take(&mut self, bytes: usize, conn: ConnId, peer: Peer) -> bool {
        let all_bytes: usize = self.held.iter().map(|entry| entry.2).sum();
        let granted = self.next().is_none_or(|next| next == conn) && all_bytes + bytes <= MAX_BYTES;
        if granted {
            self.held.push((conn, peer, bytes));
            self.waiting.retain(|entry| entry.0 != conn);
        }
        granted
    }

    fn wait(&mut self, bytes: usize, conn: ConnId, peer: Peer) -> bool {
        let before = self.next();
        match self.waiting.iter_mut().find(|entry| entry.0 == conn) {
            Some(entry) => entry.2 = bytes,
            None => self.waiting.push((conn, peer, bytes)),
        }
        before.is_some() && before != self.next()
    }

    fn forget(&mut self, conn: ConnId) -> bool {
        let (before, count) = (self.next(), self.waiting.len());
        self.waiting.retain(|entry| entry.0 != conn);
        count != self.waiting.len() && before != self.next()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn grants_and_turns_are_those_of_a_list_searched_through_and_all_accounts_close(
        steps in proptest::collection::vec((0u32..12, 1usize..60, 0u8..6), 1..200),
        conns_per_peer in 1u32..5,
    ) {
        let mut budget = Budget::new(MAX_BYTES);
        let mut twin = Twin::default();
        let peer = |slot: u32| Peer(u64::from(slot / conns_per_peer));
        for (slot, bytes, what) in steps {
            let (conn, peer) = (conn(slot), peer(slot));
            let held = twin.held.iter().position(|entry| entry.0 == conn);
            match (what, held) {
                (0..4, None) => {
                    let granted = budget.take(bytes, conn, peer);
                    prop_assert_eq!(granted, twin.take(bytes, conn, peer));
                    if !granted {
                        prop_assert_eq!(budget.wait(bytes, conn, peer), twin.wait(bytes, conn, peer));
                    }
                }
                (4, Some(at)) if twin.held[at].2 > bytes => {
                    twin.held[at].2 -= bytes;
                    budget.shrink(bytes, peer);
                }
                (0..5, Some(at)) => {
                    let (_, _, held_bytes) = twin.held.remove(at);
                    budget.give_back(held_bytes, peer);
                }
                _ => prop_assert_eq!(budget.forget(conn), twin.forget(conn)),
            }
            prop_assert!(budget.held_bytes() <= MAX_BYTES);
            prop_assert_eq!(budget.longest_waiting(), twin.next());
            prop_assert_eq!(budget.is_over_share(peer), {
                let wanted = twin.held.iter().chain(&twin.waiting);
                let is_alone = wanted.map(|entry| entry.1).collect::<BTreeSet<_>>().len() <= 1;
                is_alone || twin.held_bytes(peer) > twin.share_bytes()
            });
        }
        for slot in 0..12 {
            let at = twin.held.iter().position(|entry| entry.0 == conn(slot));
            budget.give_back(at.map_or(0, |at| twin.held[at].2), peer(slot));
            twin.held.retain(|entry| entry.0 != conn(slot));
            budget.forget(conn(slot));
        }
        prop_assert_eq!(budget.queue.addresses_count(), 0);
        prop_assert_eq!((budget.held_bytes(), budget.longest_waiting()), (0, None));
    }
}

/// Many connections wait for a few large grants; then all are served in turn, wait again, and leave with the newest first.
#[test]
fn the_work_of_waiting_does_not_grow_with_those_that_wait() {
    const CONNECTIONS: u32 = 4096;
    const GRANT: usize = 1 << 20;
    for addresses in [1, 64, 2048, 4096] {
        let peer = |slot: u32| Peer(u64::from(slot) % addresses);
        let mut budget = Budget::new(16 * GRANT);
        let ask = |budget: &mut Budget, slot| {
            if !budget.take(GRANT, conn(slot), peer(slot)) {
                budget.wait(GRANT, conn(slot), peer(slot));
            }
        };
        (0..CONNECTIONS).for_each(|slot| ask(&mut budget, slot));
        let mut holding: Vec<u32> = (0..16).collect();
        let mut served = 0;
        while let Some(slot) = holding.pop() {
            budget.give_back(GRANT, peer(slot));
            served += 1;
            if let Some(next) = budget.longest_waiting() {
                assert!(budget.take(GRANT, next, peer(next.slot)));
                holding.push(next.slot);
            }
        }
        assert_eq!(served, CONNECTIONS);
        assert!(budget.take(16 * GRANT, conn(CONNECTIONS), peer(0)));
        (0..CONNECTIONS).for_each(|slot| ask(&mut budget, slot));
        (0..CONNECTIONS)
            .rev()
            .for_each(|slot| _ = budget.forget(conn(slot)));
        assert_eq!(budget.longest_waiting(), None);
        let steps = budget.queue.steps;
        let operations = 5 * u64::from(CONNECTIONS);
        assert!(steps <= 8 * operations, "{addresses} addresses: {steps}");
    }
}
