//! A bounded amount of memory that connections hold while a request of theirs is incomplete. Grants are whole: what a
//! request needs it gets at once or waits for, so that no two wait for each other. First come, first served, but a client
//! address that holds more than its share stands back behind those that do not.

use crate::event::{ConnId, Peer};
use std::collections::VecDeque;

/// A connection that waits, and for how much.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    conn: ConnId,
    peer: Peer,
    bytes: usize,
}

/// What a client address holds, and how many of its connections wait.
#[derive(Clone, Copy, Debug)]
struct Account {
    peer: Peer,
    held_bytes: usize,
    waiting_count: usize,
}

/// Bytes that may be held, who holds them, and who waits for some.
#[derive(Debug)]
pub(super) struct Budget {
    held_bytes: usize,
    max_bytes: usize,
    grants_count: usize,
    waiting: VecDeque<Waiter>,
    /// Addresses that hold something or wait, sorted.
    accounts: Vec<Account>,
}

impl Budget {
    /// Nothing is held.
    pub(super) fn new(max_bytes: usize) -> Budget {
        Budget {
            held_bytes: 0,
            max_bytes,
            grants_count: 0,
            waiting: VecDeque::new(),
            accounts: Vec::new(),
        }
    }

    /// Holds `bytes` for a connection if they are free and it is its turn.
    pub(super) fn take(&mut self, bytes: usize, conn: ConnId, peer: Peer) -> bool {
        let is_next = self.longest_waiting().is_none_or(|first| first == conn);
        let granted = is_next && self.held_bytes + bytes <= self.max_bytes;
        if granted {
            self.held_bytes += bytes;
            self.grants_count += 1;
            self.account(peer).held_bytes += bytes;
            self.forget(conn);
        }
        granted
    }

    /// Waits for room, behind those that wait already. `true`: another one's turn came by that, as a further address makes
    /// the shares smaller; it should ask again.
    pub(super) fn wait(&mut self, bytes: usize, conn: ConnId, peer: Peer) -> bool {
        let next_before = self.longest_waiting();
        match self.waiting.iter_mut().find(|waiter| waiter.conn == conn) {
            Some(waiter) => waiter.bytes = bytes,
            None => {
                self.waiting.push_back(Waiter { conn, peer, bytes });
                self.account(peer).waiting_count += 1;
            }
        }
        // Where nobody waited it was refused for want of room alone.
        next_before.is_some() && self.longest_waiting() != next_before
    }

    /// Waits no longer. `true`: it was its turn, or another one's came by that, so that who is next may try.
    pub(super) fn forget(&mut self, conn: ConnId) -> bool {
        let Some(at) = self.waiting.iter().position(|waiter| waiter.conn == conn) else {
            return false;
        };
        let next_before = self.longest_waiting();
        if let Some(Waiter { peer, .. }) = self.waiting.remove(at) {
            self.account(peer).waiting_count -= 1;
            self.close_account(peer);
        }
        self.longest_waiting() != next_before
    }

    /// Notes that a connection holds so many bytes more or fewer, asked for or not.
    pub(super) fn note(&mut self, was_bytes: usize, is_bytes: usize, peer: Peer) {
        self.give_back(was_bytes, peer);
        if is_bytes > 0 {
            self.held_bytes += is_bytes;
            self.grants_count += 1;
            self.account(peer).held_bytes += is_bytes;
        }
    }

    /// Whether more is held than may be.
    pub(super) fn is_over(&self) -> bool {
        self.held_bytes > self.max_bytes
    }

    /// Whether an address holds more than its share, or there is no other.
    pub(super) fn is_over_share(&self, peer: Peer) -> bool {
        let held_bytes = self.find(peer).map_or(0, |at| self.accounts[at].held_bytes);
        self.accounts.len() <= 1 || held_bytes > self.max_bytes / self.accounts.len()
    }

    /// Gives back what [`Budget::take`] granted.
    pub(super) fn give_back(&mut self, bytes: usize, peer: Peer) {
        if bytes == 0 {
            return;
        }
        debug_assert!(self.held_bytes >= bytes && self.grants_count > 0);
        self.held_bytes -= bytes;
        self.grants_count -= 1;
        self.account(peer).held_bytes -= bytes;
        self.close_account(peer);
    }

    /// Gives back a part of what [`Budget::take`] granted; the rest stays held.
    pub(super) fn shrink(&mut self, bytes: usize, peer: Peer) {
        let account = self.account(peer);
        debug_assert!(account.held_bytes > bytes, "some of the grant stays");
        account.held_bytes -= bytes;
        self.held_bytes -= bytes;
    }

    /// The connection whose turn it is: when something was given back, it should ask again. It is the one that waits
    /// longest of those whose address would hold no more than its share, or, if there is none, the one that waits longest.
    pub(super) fn longest_waiting(&self) -> Option<ConnId> {
        let first = self.waiting.front()?;
        if self.accounts.len() == 1 {
            return Some(first.conn);
        }
        let share_bytes = self.max_bytes / self.accounts.len();
        let has_share_left = |waiter: &&Waiter| {
            let at = self.find(waiter.peer);
            let held_bytes = at.map_or(0, |at| self.accounts[at].held_bytes);
            // What is larger than a share by itself may still be the only one of its address.
            held_bytes == 0 || held_bytes + waiter.bytes <= share_bytes
        };
        let next = self.waiting.iter().find(has_share_left).unwrap_or(first);
        Some(next.conn)
    }

    /// Bytes of a grant beyond which it is more than a fair share, while others wait; `None` if nobody does.
    pub(super) fn fair_grant_bytes(&self) -> Option<usize> {
        let wanting = self.grants_count + self.waiting.len();
        (!self.waiting.is_empty()).then(|| self.max_bytes / wanting)
    }

    /// Bytes that are held.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn find(&self, peer: Peer) -> Option<usize> {
        self.accounts
            .binary_search_by_key(&peer, |account| account.peer)
            .ok()
    }

    fn account(&mut self, peer: Peer) -> &mut Account {
        let at = self
            .accounts
            .binary_search_by_key(&peer, |account| account.peer);
        let at = at.unwrap_or_else(|at| {
            let account = Account {
                peer,
                held_bytes: 0,
                waiting_count: 0,
            };
            self.accounts.insert(at, account);
            at
        });
        &mut self.accounts[at]
    }

    fn close_account(&mut self, peer: Peer) {
        if let Some(at) = self.find(peer) {
            let Account {
                held_bytes,
                waiting_count,
                ..
            } = self.accounts[at];
            if held_bytes == 0 && waiting_count == 0 {
                self.accounts.remove(at);
            }
        }
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
    fn a_part_of_a_grant_that_is_given_back_is_free_for_others() {
        let (peer, other) = (Peer(1), Peer(2));
        let mut budget = Budget::new(100);
        assert!(budget.take(100, conn(0), peer));
        budget.shrink(40, peer);
        assert_eq!(budget.held_bytes(), 60);
        assert!(!budget.take(41, conn(1), other));
        assert!(budget.take(40, conn(1), other));
        budget.give_back(60, peer);
        assert!(budget.take(60, conn(2), other), "the rest came back whole");
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

    proptest! {
        #[test]
        fn never_more_than_the_maximum_and_all_accounts_close(
            steps in proptest::collection::vec((0u32..12, 1usize..60, any::<bool>()), 1..200),
        ) {
            let mut budget = Budget::new(100);
            let mut held: Vec<usize> = vec![0; 12];
            let peer = |slot: u32| Peer(u64::from(slot / 4));
            for (slot, bytes, asks) in steps {
                let mine = &mut held[slot as usize];
                if asks && *mine == 0 {
                    if budget.take(bytes, conn(slot), peer(slot)) {
                        *mine = bytes;
                    } else {
                        budget.wait(bytes, conn(slot), peer(slot));
                    }
                } else {
                    budget.give_back(*mine, peer(slot));
                    *mine = 0;
                    budget.forget(conn(slot));
                }
                prop_assert_eq!(budget.held_bytes(), held.iter().sum::<usize>());
                prop_assert!(budget.held_bytes() <= 100);
                // Somebody may go on whenever all is given back.
                prop_assert_eq!(budget.longest_waiting().is_some(), !budget.waiting.is_empty());
            }
            for slot in 0..12 {
                budget.give_back(held[slot as usize], peer(slot));
                budget.forget(conn(slot));
            }
            prop_assert!(budget.accounts.is_empty() && budget.waiting.is_empty());
        }
    }
}
