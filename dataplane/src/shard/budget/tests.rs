//! Grants, queues and shares, beside a list that is searched through.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A budget, and what each connection holds of it.
struct Room {
    budget: Budget,
    grants: Vec<Grant>,
}

impl Room {
    fn new(max_bytes: usize) -> Room {
        Room {
            budget: Budget::new(max_bytes, 0),
            grants: vec![Grant::default(); 5000],
        }
    }

    fn take(&mut self, bytes: usize, conn: ConnId, peer: Peer) -> bool {
        let grant = &mut self.grants[conn.slot as usize];
        self.budget.take(grant, bytes, conn, peer)
    }

    fn wait(&mut self, bytes: usize, conn: ConnId, peer: Peer) -> bool {
        let grant = self.grants[conn.slot as usize];
        self.budget.wait(grant, bytes, conn, peer)
    }

    fn give_back(&mut self, conn: ConnId, peer: Peer) {
        let grant = &mut self.grants[conn.slot as usize];
        self.budget.give_back_all(grant, peer);
    }

    fn longest_waiting(&mut self) -> Option<ConnId> {
        self.budget.longest_waiting()
    }
}

fn conn(slot: u32) -> ConnId {
    let generation = 0;
    ConnId { slot, generation }
}

#[test]
fn grants_are_whole_and_first_come_first_served() {
    let peer = Peer(1);
    let mut room = Room::new(100);
    assert!(room.take(60, conn(0), peer));
    assert!(!room.take(60, conn(1), peer));
    room.wait(60, conn(1), peer);
    room.wait(60, conn(1), peer);
    assert!(!room.take(10, conn(2), peer), "nobody overtakes who waits");
    room.wait(10, conn(2), peer);
    assert_eq!(room.budget.fair_grant_bytes(), Some(33));
    room.give_back(conn(0), peer);
    assert_eq!(room.longest_waiting(), Some(conn(1)));
    assert!(room.take(60, conn(1), peer));
    assert_eq!(room.longest_waiting(), Some(conn(2)), "it waited once");
    assert!(room.budget.forget(conn(2)), "it was first in the queue");
    assert!(!room.budget.forget(conn(2)));
    assert_eq!(room.longest_waiting(), None);
    assert_eq!(room.budget.fair_grant_bytes(), None);
}

#[test]
fn an_address_over_its_share_stands_back_behind_one_that_is_not() {
    let (greedy, modest) = (Peer(1), Peer(2));
    let mut room = Room::new(100);
    for slot in 0..5 {
        assert!(room.take(20, conn(slot), greedy));
    }
    room.wait(20, conn(5), greedy);
    room.wait(20, conn(6), modest);
    room.give_back(conn(0), greedy);
    assert!(!room.take(20, conn(5), greedy), "it holds 80 of 100");
    assert!(room.take(20, conn(6), modest));
    room.give_back(conn(1), greedy);
    assert!(room.take(20, conn(5), greedy), "nobody else waits");
}

#[test]
fn many_small_grants_of_an_address_over_its_share_are_unfair_while_it_is_another_one_s_turn() {
    let [greedy, modest, third] = [Peer(1), Peer(2), Peer(3)];
    let mut room = Room::new(1000);
    for slot in 0..80 {
        assert!(room.take(10, conn(slot), greedy));
    }
    assert!(room.take(10, conn(80), modest));
    assert!(room.budget.scarcity().is_none(), "no connection waits");
    let unfair = |room: &mut Room, slot: u32, peer| {
        let scarcity = room.budget.scarcity().unwrap();
        let grant = room.grants[slot as usize];
        room.budget.is_unfair(&scarcity, grant, peer)
    };
    room.wait(300, conn(81), greedy);
    assert!(!unfair(&mut room, 0, greedy), "it waits for itself");
    room.wait(300, conn(82), third);
    assert!(unfair(&mut room, 0, greedy));
    assert!(!unfair(&mut room, 80, modest));
    assert!(!unfair(&mut room, 81, greedy), "it holds nothing");
}

#[test]
fn who_comes_to_be_next_by_waiting_is_said_so() {
    let (greedy, modest) = (Peer(1), Peer(2));
    let mut room = Room::new(100);
    assert!(room.take(40, conn(0), greedy));
    assert!(!room.take(70, conn(1), greedy));
    assert!(!room.wait(70, conn(1), greedy));
    assert!(!room.take(30, conn(2), modest), "another one is next");
    assert!(room.wait(30, conn(2), modest), "now it is this one");
    assert_eq!(room.longest_waiting(), Some(conn(2)));
    assert!(!room.wait(30, conn(2), modest), "it was said");
    assert!(room.budget.forget(conn(2)));
    assert_eq!(room.longest_waiting(), Some(conn(1)));
}

#[test]
fn a_grant_larger_than_a_share_is_given_to_an_address_that_holds_nothing() {
    let mut room = Room::new(100);
    assert!(room.take(90, conn(0), Peer(0)));
    for (slot, peer) in (1..).zip(1..=9) {
        room.wait(90, conn(slot), Peer(peer));
    }
    room.give_back(conn(0), Peer(0));
    assert_eq!(room.longest_waiting(), Some(conn(1)));
    assert!(room.take(90, conn(1), Peer(1)));
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
        let mut room = Room::new(MAX_BYTES);
        let mut twin = Twin::default();
        let peer = |slot: u32| Peer(u64::from(slot / conns_per_peer));
        for (slot, bytes, what) in steps {
            let (conn, peer) = (conn(slot), peer(slot));
            let held = twin.held.iter().position(|entry| entry.0 == conn);
            match (what, held) {
                (0..4, None) => {
                    let granted = room.take(bytes, conn, peer);
                    prop_assert_eq!(granted, twin.take(bytes, conn, peer));
                    if !granted {
                        prop_assert_eq!(room.wait(bytes, conn, peer), twin.wait(bytes, conn, peer));
                    }
                }
                (4, Some(at)) if twin.held[at].2 > bytes => {
                    twin.held[at].2 -= bytes;
                    let grant = &mut room.grants[slot as usize];
                    prop_assert!(room.budget.shrink(grant, twin.held[at].2, peer));
                }
                (0..5, Some(at)) => {
                    twin.held.remove(at);
                    room.give_back(conn, peer);
                }
                _ => prop_assert_eq!(room.budget.forget(conn), twin.forget(conn)),
            }
            prop_assert!(room.budget.held_bytes() <= MAX_BYTES);
            prop_assert_eq!(room.longest_waiting(), twin.next());
            prop_assert_eq!(room.budget.is_over_share(peer), {
                let wanted = twin.held.iter().chain(&twin.waiting);
                let is_alone = wanted.map(|entry| entry.1).collect::<BTreeSet<_>>().len() <= 1;
                is_alone || twin.held_bytes(peer) > twin.share_bytes()
            });
        }
        for slot in 0..12 {
            room.give_back(conn(slot), peer(slot));
            room.budget.forget(conn(slot));
        }
        prop_assert_eq!(room.budget.queue.addresses_count(), 0);
        let places = room.budget.queue.places_count();
        prop_assert!(places <= 12, "{} accounts for 12 connections", places);
        prop_assert_eq!((room.budget.held_bytes(), room.longest_waiting()), (0, None));
    }
}

/// Many connections wait for a few large grants; then all are served in turn, wait again, and leave with the newest first.
#[test]
fn the_work_of_waiting_does_not_grow_with_those_that_wait() {
    const CONNECTIONS: u32 = 4096;
    const GRANT: usize = 1 << 20;
    for addresses in [1, 64, 2048, 4096] {
        let peer = |slot: u32| Peer(u64::from(slot) % addresses);
        let mut room = Room::new(16 * GRANT);
        let ask = |room: &mut Room, slot| {
            if !room.take(GRANT, conn(slot), peer(slot)) {
                room.wait(GRANT, conn(slot), peer(slot));
            }
        };
        (0..CONNECTIONS).for_each(|slot| ask(&mut room, slot));
        let mut holding: Vec<u32> = (0..16).collect();
        let mut served = 0;
        while let Some(slot) = holding.pop() {
            room.give_back(conn(slot), peer(slot));
            served += 1;
            if let Some(next) = room.longest_waiting() {
                assert!(room.take(GRANT, next, peer(next.slot)));
                holding.push(next.slot);
            }
        }
        assert_eq!(served, CONNECTIONS);
        assert!(room.take(16 * GRANT, conn(CONNECTIONS), peer(0)));
        (0..CONNECTIONS).for_each(|slot| ask(&mut room, slot));
        (0..CONNECTIONS)
            .rev()
            .for_each(|slot| _ = room.budget.forget(conn(slot)));
        assert_eq!(room.longest_waiting(), None);
        let steps = room.budget.queue.steps;
        let operations = 5 * u64::from(CONNECTIONS);
        assert!(steps <= 8 * operations, "{addresses} addresses: {steps}");
    }
}

const KIB: usize = 1024;

/// A request that turns out to be this long, byte by byte as far as its connection may tell.
#[derive(Clone, Copy, Debug)]
struct Growing {
    bytes: usize,
    come_bytes: usize,
}

impl Growing {
    fn need(&self, bytes_max: usize) -> Need {
        let steps = [64 * KIB, 256 * KIB, bytes_max];
        let step = steps.into_iter().find(|&step| self.come_bytes < step);
        Need {
            bytes: step.unwrap_or(bytes_max).min(bytes_max),
            bytes_max,
        }
    }
}

proptest! {
    /// Requests of unknown length come in, each as far as its grant goes, in any order: the bounds hold, and all become whole.
    #[test]
    fn grants_that_grow_stay_within_their_bounds_and_never_wait_for_each_other(
        lengths in proptest::collection::vec((1usize..1_000 * KIB, 0u64..4, any::<bool>()), 1..40),
        room_kib in 1_000usize..4_000,
        order in any::<u64>(),
    ) {
        let (max_bytes, bytes_max) = (room_kib * KIB, 1_000 * KIB);
        let mut budget = Budget::new(max_bytes, bytes_max);
        let mut grants = vec![Grant::default(); lengths.len()];
        let mut asks: Vec<(usize, Growing)> = lengths
            .iter()
            .map(|&(bytes, _, _)| Growing { bytes, come_bytes: 0 })
            .enumerate()
            .collect();
        let mut dice = order | 1;
        let mut idle = 0;
        while !asks.is_empty() {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // The one whose turn it is asks again when something was given back; others ask when they like.
            let next = budget.longest_waiting().map(|next| next.slot as usize);
            let at = match next.and_then(|next| asks.iter().position(|ask| ask.0 == next)) {
                Some(at) if dice >> 62 == 0 => at,
                _ => (dice >> 33) as usize % asks.len(),
            };
            let (slot, ask) = &mut asks[at];
            let (_, peer, is_known) = lengths[*slot];
            let need = if is_known { Need::known(ask.bytes) } else { ask.need(bytes_max) };
            let grant = &mut grants[*slot];
            let before = *grant;
            let settled = budget.settle(grant, need, conn(*slot as u32), Peer(peer));
            let is_held = settled.standing == Standing::Held;
            prop_assert_eq!(is_held, grant.bytes >= need.bytes);
            prop_assert!(grant.bytes == 0 || grant.bytes >= before.bytes);
            let held: usize = grants.iter().map(|grant| grant.bytes).sum();
            let growing = grants.iter().filter(|grant| grant.may_grow);
            let growing: usize = growing.map(|grant| grant.bytes).sum();
            prop_assert_eq!((budget.held_bytes(), budget.growing_bytes), (held, growing));
            prop_assert!(held <= max_bytes && growing <= max_bytes - bytes_max);
            idle += 1;
            let grant = &mut grants[asks[at].0];
            if grant.bytes >= need.bytes {
                let (slot, ask) = &mut asks[at];
                ask.come_bytes = ask.bytes.min(grant.bytes);
                if ask.come_bytes == ask.bytes {
                    _ = budget.settle(grant, Need::known(ask.bytes), conn(*slot as u32), Peer(peer));
                    prop_assert!(!grant.may_grow);
                    _ = budget.settle(grant, Need::default(), conn(*slot as u32), Peer(peer));
                    asks.swap_remove(at);
                    idle = 0;
                } else if before.bytes < grant.bytes {
                    idle = 0;
                }
            }
            prop_assert!(idle < 2_000, "all wait for each other: {asks:?}");
        }
        prop_assert_eq!((budget.held_bytes(), budget.growing_bytes), (0, 0));
        prop_assert_eq!(budget.queue.addresses_count(), 0);
    }
}
