//! A bounded amount of memory that connections hold while a request of theirs is incomplete. Grants are whole: what a
//! request needs it gets at once or waits for, first come first served, so that no two wait for each other.

use crate::event::ConnId;
use std::collections::VecDeque;

/// Bytes that may be held, and who waits for some.
#[derive(Debug)]
pub struct Budget {
    held_bytes: usize,
    max_bytes: usize,
    waiting: VecDeque<ConnId>,
}

impl Budget {
    /// Nothing is held.
    pub fn new(max_bytes: usize) -> Budget {
        Budget { held_bytes: 0, max_bytes, waiting: VecDeque::new() }
    }

    /// Holds `bytes` if they are free, and nobody waits already.
    pub fn take(&mut self, bytes: usize) -> bool {
        let granted = self.waiting.is_empty() && self.held_bytes + bytes <= self.max_bytes;
        if granted {
            self.held_bytes += bytes;
        }
        granted
    }

    /// Waits for room; [`Budget::next_waiting`] gives the connection back.
    pub fn wait(&mut self, conn: ConnId) {
        if !self.waiting.contains(&conn) {
            self.waiting.push_back(conn);
        }
    }

    /// Gives back what [`Budget::take`] granted.
    pub fn give_back(&mut self, bytes: usize) {
        debug_assert!(self.held_bytes >= bytes);
        self.held_bytes -= bytes;
    }

    /// The connection that waits longest, if `bytes` are free; it must ask again.
    pub fn next_waiting(&mut self, bytes: usize) -> Option<ConnId> {
        if self.held_bytes + bytes > self.max_bytes { None } else { self.waiting.pop_front() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_whole_and_first_come_first_served() {
        let conn = |slot| ConnId { slot, generation: 0 };
        let mut budget = Budget::new(100);
        assert!(budget.take(60));
        assert!(!budget.take(60));
        budget.wait(conn(1));
        budget.wait(conn(1));
        assert!(!budget.take(10), "nobody overtakes who waits");
        assert_eq!(budget.next_waiting(60), None);
        budget.give_back(60);
        assert_eq!(budget.next_waiting(60), Some(conn(1)));
        assert_eq!(budget.next_waiting(60), None, "it waited once");
        assert!(budget.take(60));
    }
}
