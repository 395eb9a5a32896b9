//! Bounds of the memory that connections hold between turns: while others wait for memory, the slowest request that holds
//! some unfairly is ended, and bytes beyond all grants are thrown away. Grants are given in `grants`; nothing here reads a
//! request.

use super::Ingress;
use super::budget::{Budget, Grant, Scarcity};
use super::connection::{Admitted, Connection, Phase};
use crate::event::ConnId;
use crate::http::Problem;
use crate::io::Now;

/// While others wait for memory, a request that holds some has this long before its pace is looked at.
const PRESSURE_GRACE_US: u64 = 1_000_000;

/// The slowest requests that a sweep has seen so far, one of each budget, among those that hold memory unfairly.
#[derive(Debug)]
pub(super) struct Slowest {
    heads: Candidate,
    bodies: Candidate,
}

/// The slowest request of one budget.
#[derive(Debug)]
struct Candidate {
    /// What is unfair; `None` if no connection waits for this budget.
    scarcity: Option<Scarcity>,
    found: Option<(u64, ConnId)>,
}

impl Candidate {
    fn of(budget: &mut Budget) -> Candidate {
        Candidate {
            scarcity: budget.scarcity(),
            found: None,
        }
    }
}

/// Bytes received so far of the request in progress, per second, if its client is to blame for the rest.
fn pace(connection: &Connection, now: Now) -> Option<u64> {
    let taken_us = connection.taken_us(now)?;
    let pending_bytes = connection.received.pending_bytes() as u64;
    (taken_us >= PRESSURE_GRACE_US).then(|| pending_bytes * 1_000_000 / taken_us)
}

/// Whether at this pace a request would hold its grant for longer than others wait for theirs.
fn is_slow(pace: u64, granted_bytes: usize, deadline_us: u64) -> bool {
    let granted_bytes = granted_bytes as u64;
    granted_bytes > 0 && pace.saturating_mul(deadline_us) < granted_bytes * 1_000_000
}

impl Ingress {
    /// Begins to look for the slowest.
    pub(super) fn begin_slowest(&mut self) -> Slowest {
        Slowest {
            heads: Candidate::of(&mut self.heads),
            bodies: Candidate::of(&mut self.bodies),
        }
    }

    /// Compares a connection of a sweep with the slowest so far of those that hold memory unfairly.
    pub(super) fn compare_pace(&mut self, slot: u32, now: Now, slowest: &mut Slowest) {
        if slowest.heads.scarcity.is_none() && slowest.bodies.scarcity.is_none() {
            return;
        }
        let deadline_us = self.config.limits.deadline_us;
        let connection = self.connections.at(slot);
        let Some(pace) = pace(connection, now) else {
            return;
        };
        let compare = |budget: &Budget, grant: Grant, candidate: &mut Candidate| {
            let Some(scarcity) = &candidate.scarcity else {
                return;
            };
            let is_slower = candidate.found.is_none_or(|(other, _)| pace < other);
            if is_slower
                && is_slow(pace, grant.bytes, deadline_us)
                && budget.is_unfair(scarcity, grant, connection.peer)
            {
                candidate.found = Some((pace, connection.id));
            }
        };
        compare(&self.heads, connection.memory.head, &mut slowest.heads);
        compare(&self.bodies, connection.memory.body, &mut slowest.bodies);
    }

    /// Ends the slowest that the sweep found, one for each budget: what it held goes to the connections that wait.
    pub(super) fn cut_slowest(&mut self, slowest: &Slowest, now: Now) {
        for (_, conn) in [slowest.heads.found, slowest.bodies.found]
            .into_iter()
            .flatten()
        {
            let Some(connection) = self.connections.get(conn) else {
                continue;
            };
            let problem = match connection.admitted() {
                None => Problem::HeadTimeout,
                Some(_) => Problem::BodyTimeout,
            };
            if connection.phase == Phase::Open {
                self.time_out(conn, problem, now);
            }
        }
    }

    /// Counts what a connection keeps beyond its grants, and refuses requests while all of that is above its bound: what of
    /// them has come is thrown away.
    pub(super) fn bound_unread(&mut self, slot: u32, now: Now) {
        self.count_unread(slot);
        while self.unread.is_over() && self.connections.at(slot).memory.unread_bytes > 0 {
            let loser = self.loses_bytes_to(slot);
            if !self.refuse_unread(loser, now) {
                return;
            }
        }
    }

    /// The connection that loses its bytes when those of this one are too many: the newest that waits for memory and comes
    /// from an address above its share; where its own address is above it, this connection itself.
    fn loses_bytes_to(&mut self, slot: u32) -> u32 {
        let peer = self.connections.at(slot).peer;
        if self.unread.is_over_share(peer) {
            return slot;
        }
        let Ingress {
            for_memory,
            connections,
            unread,
            ..
        } = self;
        let loser = |conn: &ConnId| {
            let connection = connections.at(conn.slot);
            connection.memory.unread_bytes > 0 && unread.is_over_share(connection.peer)
        };
        let mut newest_first = for_memory.newest_first();
        newest_first.find(loser).map_or(slot, |conn| conn.slot)
    }

    /// `false`: the connection is on its end already, and keeps nothing when its bytes are consumed.
    fn refuse_unread(&mut self, slot: u32, now: Now) -> bool {
        if self.connections.at(slot).phase != Phase::Open {
            return false;
        }
        let waited = self.leave_room_queue(slot).map(|(admitted, _)| admitted);
        let batch = waited.filter(Admitted::is_batch);
        self.leave_memory_queue(slot);
        match batch {
            Some(batch) => self.give_up_batch_and_close(slot, &batch, Problem::DeadlineExceeded),
            None => {
                self.refuse(slot, Problem::DeadlineExceeded, None, now.mono_us, now);
            }
        }
        let connection = self.connections.at(slot);
        connection.received.consume_all();
        self.connections.keep(slot, &[]);
        self.hold_memory(slot, now);
        self.count_unread(slot);
        // Reading goes on when it is looked at next.
        self.queue(slot);
        true
    }

    fn count_unread(&mut self, slot: u32) {
        let connection = self.connections.at(slot);
        let memory = &mut connection.memory;
        let granted_bytes = memory.head.bytes + memory.body.bytes;
        connection.received.fit(memory.body.bytes, granted_bytes);
        let capacity_bytes = connection.received.capacity_bytes();
        let is_bytes = capacity_bytes.saturating_sub(granted_bytes);
        let was_bytes = std::mem::replace(&mut memory.unread_bytes, is_bytes);
        self.unread.note(was_bytes, is_bytes, connection.peer);
    }

    /// Forgets what a connection held, in every account; it is about to be freed.
    pub(super) fn release_memory(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get(conn) {
            self.unsent_bytes -= std::mem::take(&mut connection.unsent_bytes) as usize;
            self.release_batches(conn.slot);
        }
        self.give_back_memory(conn);
    }

    /// Gives back the memory of what a connection has received, and its places in the queues for more.
    pub(super) fn give_back_memory(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        let peer = connection.peer;
        let unread_bytes = std::mem::take(&mut connection.memory.unread_bytes);
        self.unread.note(unread_bytes, 0, peer);
        self.heads.give_back_all(&mut connection.memory.head, peer);
        self.bodies.give_back_all(&mut connection.memory.body, peer);
        self.heads.forget(conn);
        self.bodies.forget(conn);
    }

    /// Whether a connection's next answer must wait until its client took some of those before it; `queued_bytes` are on
    /// their way to the driver.
    pub(super) fn must_hold_back(&mut self, conn: ConnId, queued_bytes: usize) -> bool {
        let limits = self.config.limits;
        let all_bytes = self.unsent_bytes + queued_bytes;
        let Some(connection) = self.connections.get(conn) else {
            return false;
        };
        let own_bytes = connection.unsent_bytes as usize + queued_bytes;
        own_bytes >= limits.unsent_bytes_max as usize
            || (own_bytes > 0 && all_bytes >= limits.unsent_bytes_total_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_is_what_would_hold_its_grant_for_longer_than_others_wait() {
        // 5,000 bytes in five seconds are a thousand a second.
        assert!(!is_slow(1000, 5000, 5_000_000));
        assert!(is_slow(999, 5000, 5_000_000));
        assert!(is_slow(0, 1, 5_000_000));
        assert!(!is_slow(0, 0, 5_000_000), "it holds nothing");
    }
}
