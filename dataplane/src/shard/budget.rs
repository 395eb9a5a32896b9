//! A bounded amount of memory that connections hold while a request of theirs is incomplete. Grants are whole: what a
//! request needs it gets at once or waits for, so that no two wait for each other. First come, first served, but a client
//! address that holds more than its share stands back behind those that do not.

mod queue;
#[cfg(test)]
mod tests;

use self::queue::Queue;
pub(super) use self::queue::WAITER_BYTES;
use crate::event::{ConnId, Peer};

/// Bytes that may be held, who holds them, and who waits for some.
#[derive(Debug)]
pub(super) struct Budget {
    held_bytes: usize,
    max_bytes: usize,
    grants_count: usize,
    queue: Queue,
}

impl Budget {
    /// Nothing is held.
    pub(super) fn new(max_bytes: usize) -> Budget {
        Budget {
            held_bytes: 0,
            max_bytes,
            grants_count: 0,
            queue: Queue::new(max_bytes),
        }
    }

    /// Holds `bytes` for a connection if they are free and it is its turn.
    pub(super) fn take(&mut self, bytes: usize, conn: ConnId, peer: Peer) -> bool {
        let is_next = self.longest_waiting().is_none_or(|first| first == conn);
        let granted = is_next && self.held_bytes + bytes <= self.max_bytes;
        if granted {
            self.held_bytes += bytes;
            self.grants_count += 1;
            self.queue.hold(bytes, peer);
            self.forget(conn);
        }
        granted
    }

    /// Waits for room, behind those that wait already. `true`: another one's turn came by that, as a further address makes
    /// the shares smaller; it should ask again.
    pub(super) fn wait(&mut self, bytes: usize, conn: ConnId, peer: Peer) -> bool {
        let next_before = self.longest_waiting();
        self.queue.join(bytes, conn, peer);
        // Where nobody waited it was refused for want of room alone.
        next_before.is_some() && self.longest_waiting() != next_before
    }

    /// Waits no longer. `true`: it was its turn, or another one's came by that, so that who is next may try.
    pub(super) fn forget(&mut self, conn: ConnId) -> bool {
        if !self.queue.waits(conn) {
            return false;
        }
        let next_before = self.longest_waiting();
        self.queue.leave(conn);
        self.longest_waiting() != next_before
    }

    /// Notes that a connection holds so many bytes more or fewer, asked for or not.
    pub(super) fn note(&mut self, was_bytes: usize, is_bytes: usize, peer: Peer) {
        self.give_back(was_bytes, peer);
        if is_bytes > 0 {
            self.held_bytes += is_bytes;
            self.grants_count += 1;
            self.queue.hold(is_bytes, peer);
        }
    }

    /// Whether more is held than may be.
    pub(super) fn is_over(&self) -> bool {
        self.held_bytes > self.max_bytes
    }

    /// Whether an address holds more than its share, or there is no other.
    pub(super) fn is_over_share(&self, peer: Peer) -> bool {
        self.queue.addresses_count() <= 1 || self.queue.held_bytes(peer) > self.queue.share_bytes()
    }

    /// Gives back what [`Budget::take`] granted.
    pub(super) fn give_back(&mut self, bytes: usize, peer: Peer) {
        if bytes == 0 {
            return;
        }
        debug_assert!(self.held_bytes >= bytes && self.grants_count > 0);
        self.held_bytes -= bytes;
        self.grants_count -= 1;
        self.queue.release(bytes, peer);
    }

    /// Gives back a part of what [`Budget::take`] granted; the rest stays held.
    pub(super) fn shrink(&mut self, bytes: usize, peer: Peer) {
        debug_assert!(
            self.queue.held_bytes(peer) > bytes,
            "some of the grant stays"
        );
        self.held_bytes -= bytes;
        self.queue.release(bytes, peer);
    }

    /// The connection whose turn it is: when something was given back, it should ask again.
    pub(super) fn longest_waiting(&mut self) -> Option<ConnId> {
        self.queue.next()
    }

    /// Bytes of a grant beyond which it is more than a fair share, while others wait; `None` if nobody does.
    pub(super) fn fair_grant_bytes(&self) -> Option<usize> {
        let waiting_count = self.queue.waiting_count();
        let wanting = self.grants_count + waiting_count;
        (waiting_count > 0).then(|| self.max_bytes / wanting)
    }

    /// Bytes that are held.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}
