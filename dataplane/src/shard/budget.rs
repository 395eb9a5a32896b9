//! A bounded amount of memory that connections hold while a request of theirs is incomplete. Grants are whole: what a
//! request needs it gets at once or waits for, first come first served, so that no two wait for each other.

use crate::event::ConnId;
use std::collections::VecDeque;

/// Bytes that may be held, and who waits for some.
#[derive(Debug)]
pub(super) struct Budget {
    held_bytes: usize,
    max_bytes: usize,
    waiting: VecDeque<ConnId>,
}

impl Budget {
    /// Nothing is held.
    pub(super) fn new(max_bytes: usize) -> Budget {
        Budget {
            held_bytes: 0,
            max_bytes,
            waiting: VecDeque::new(),
        }
    }

    /// Holds `bytes` for a connection if they are free and nobody has waited longer.
    pub(super) fn take(&mut self, bytes: usize, conn: ConnId) -> bool {
        let is_next = self.waiting.front().is_none_or(|first| *first == conn);
        let granted = is_next && self.held_bytes + bytes <= self.max_bytes;
        if granted {
            self.held_bytes += bytes;
            self.waiting.pop_front();
        }
        granted
    }

    /// Waits for room, behind those that wait already.
    pub(super) fn wait(&mut self, conn: ConnId) {
        if !self.waiting.contains(&conn) {
            self.waiting.push_back(conn);
        }
    }

    /// Waits no longer. `true`: it waited longest, so that who is behind it may try.
    pub(super) fn forget(&mut self, conn: ConnId) -> bool {
        let was_first = self.longest_waiting() == Some(conn);
        self.waiting.retain(|waiting| *waiting != conn);
        was_first
    }

    /// Gives back what [`Budget::take`] granted.
    pub(super) fn give_back(&mut self, bytes: usize) {
        debug_assert!(self.held_bytes >= bytes);
        self.held_bytes -= bytes;
    }

    /// The connection that waits longest: when something was given back, it should ask again.
    pub(super) fn longest_waiting(&self) -> Option<ConnId> {
        self.waiting.front().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_whole_and_first_come_first_served() {
        let conn = |slot| ConnId {
            slot,
            generation: 0,
        };
        let mut budget = Budget::new(100);
        assert!(budget.take(60, conn(0)));
        assert!(!budget.take(60, conn(1)));
        budget.wait(conn(1));
        budget.wait(conn(1));
        assert!(!budget.take(10, conn(2)), "nobody overtakes who waits");
        budget.wait(conn(2));
        budget.give_back(60);
        assert_eq!(budget.longest_waiting(), Some(conn(1)));
        assert!(budget.take(60, conn(1)));
        assert_eq!(budget.longest_waiting(), Some(conn(2)), "it waited once");
        assert!(budget.forget(conn(2)), "it was first in the queue");
        assert!(!budget.forget(conn(2)));
        assert_eq!(budget.longest_waiting(), None);
    }
}
