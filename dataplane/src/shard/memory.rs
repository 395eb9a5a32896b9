//! Memory that connections hold between turns: that it stays within its bounds, and who goes first when others wait for
//! it. Grants themselves are given in the framing stage; nothing here reads a request.

use super::Ingress;
use super::connections::{Connection, Phase};
use crate::event::ConnId;
use crate::http::Problem;
use crate::io::Now;

/// While others wait for memory, a request that holds some has this long before its pace is looked at.
const PRESSURE_GRACE_US: u64 = 1_000_000;

/// The slowest request seen that holds memory for which others wait.
#[derive(Debug, Default)]
pub(super) struct Slowest {
    head: Option<(u64, ConnId)>,
    body: Option<(u64, ConnId)>,
}

/// Received so far of the request in progress, per second, if it is the client that is waited for.
fn pace(connection: &Connection, now: Now) -> Option<u64> {
    let since_us = connection.request_since_us?;
    let taken_us = now.mono_us.saturating_sub(since_us);
    let is_clients = connection.phase == Phase::Open
        && connection.paused_us.is_none()
        && !connection.waits_for_us();
    if !is_clients || taken_us < PRESSURE_GRACE_US {
        return None;
    }
    Some(connection.pending_bytes() as u64 * 1_000_000 / taken_us)
}

/// Whether at this pace a request would hold its grant for longer than others wait for theirs.
fn is_slow(pace: u64, granted_bytes: usize, deadline_us: u64) -> bool {
    let granted_bytes = granted_bytes as u64;
    granted_bytes > 0 && pace.saturating_mul(deadline_us) < granted_bytes * 1_000_000
}

impl Ingress {
    /// Looks at a connection of a sweep: is it the slowest so far of those that hold others up?
    pub(super) fn compare_pace(&mut self, slot: u32, now: Now, slowest: &mut Slowest) {
        let (heads, bodies) = (
            self.heads.fair_grant_bytes(),
            self.bodies.fair_grant_bytes(),
        );
        if heads.is_none() && bodies.is_none() {
            return;
        }
        let deadline_us = self.config.limits.deadline_us;
        let connection = self.connections.at(slot);
        let Some(pace) = pace(connection, now) else {
            return;
        };
        let compare =
            |fair_bytes: Option<usize>, held_bytes, slowest: &mut Option<(u64, ConnId)>| {
                let is_over = fair_bytes.is_some_and(|fair_bytes| held_bytes > fair_bytes);
                let is_slower = slowest.is_none_or(|(other, _)| pace < other);
                if is_over && is_slower && is_slow(pace, held_bytes, deadline_us) {
                    *slowest = Some((pace, connection.id));
                }
            };
        compare(heads, connection.head_grant.bytes, &mut slowest.head);
        compare(bodies, connection.body_grant.bytes, &mut slowest.body);
    }

    /// Cuts the slowest that the sweep found, one for each budget: what it held goes to who waits.
    pub(super) fn cut_slowest(&mut self, slowest: &Slowest, now: Now) {
        for (_, conn) in [slowest.head, slowest.body].into_iter().flatten() {
            let Some(connection) = self.connections.get(conn) else {
                continue;
            };
            let problem = match connection.head {
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
        while self.unread.is_over() && self.connections.at(slot).unread_bytes_held > 0 {
            let gives_way = self.gives_way_to(slot);
            if !self.refuse_unread(gives_way, now) {
                return;
            }
        }
    }

    /// Which connection's bytes are thrown away for those of another: those of the newest request that waits for memory and
    /// comes from an address above its share, or, where its own address is, its own.
    fn gives_way_to(&mut self, slot: u32) -> u32 {
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
        let gives_way = |conn: &ConnId| {
            let connection = connections.at(conn.slot);
            connection.unread_bytes_held > 0 && unread.is_over_share(connection.peer)
        };
        let mut newest_first = for_memory.newest_first();
        newest_first.find(gives_way).map_or(slot, |conn| conn.slot)
    }

    /// `false`: the connection is on its end already, and keeps nothing when its bytes are consumed.
    fn refuse_unread(&mut self, slot: u32, now: Now) -> bool {
        if self.connections.at(slot).phase != Phase::Open {
            return false;
        }
        self.leave_queues(slot);
        self.refuse(slot, Problem::DeadlineExceeded, None, now.mono_us, now);
        let connection = self.connections.at(slot);
        let pending_bytes = connection.pending_bytes();
        connection.consume(pending_bytes);
        self.connections.keep(slot, &[]);
        self.hold_memory(slot, now);
        self.count_unread(slot);
        // Reading goes on when it is looked at next.
        self.queue(slot);
        true
    }

    fn count_unread(&mut self, slot: u32) {
        let connection = self.connections.at(slot);
        let granted_bytes = connection.head_grant.bytes + connection.body_grant.bytes;
        connection.fit_kept(granted_bytes);
        let is_bytes = connection.kept.capacity().saturating_sub(granted_bytes);
        let was_bytes = std::mem::replace(&mut connection.unread_bytes_held, is_bytes);
        self.unread.note(was_bytes, is_bytes, connection.peer);
    }

    /// Forgets what a connection held, in every account; it is about to be freed.
    pub(super) fn release_memory(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        let peer = connection.peer;
        let unread_bytes = std::mem::take(&mut connection.unread_bytes_held);
        self.unsent_bytes -= std::mem::take(&mut connection.unsent_bytes) as usize;
        self.unread.note(unread_bytes, 0, peer);
        self.heads.give_back_all(&mut connection.head_grant, peer);
        self.bodies.give_back_all(&mut connection.body_grant, peer);
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
