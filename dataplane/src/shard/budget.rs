//! A bounded amount of memory that connections hold while a request of theirs is incomplete. A request gets all that it
//! needs at once or waits for it, so that no two requests wait for each other. Where its length is not known yet, its grant
//! grows with it, as long as the largest grant is still left for the connection whose turn it is. First come, first served,
//! but a client address that holds more than its share comes after those that do not.

mod queue;
#[cfg(test)]
mod tests;

pub(super) use self::queue::WAITER_BYTES;
use self::queue::{Queue, Wanted};
use crate::event::{ConnId, Peer};

/// What a connection holds of a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grant {
    /// How much.
    pub bytes: usize,
    /// It is not all that the request may come to need.
    may_grow: bool,
}

/// What a connection's request needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// Now.
    pub bytes: usize,
    /// At most, until it is whole; the same where that is known.
    pub bytes_max: usize,
}

impl Need {
    /// What a request needs whose length is known.
    pub(super) fn known(bytes: usize) -> Need {
        Need {
            bytes,
            bytes_max: bytes,
        }
    }
}

/// What became of a connection's need, and of the queue by that.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(super) struct Settlement {
    pub standing: Standing,
    pub turn: Turn,
}

/// What became of a connection's need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The connection holds what it needs.
    Held,
    /// It waits for it.
    Waits,
}

/// Whether something changed for the connections that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// What is free, and whose turn it is, are as before.
    Unchanged,
    /// The connection whose turn it is should ask again.
    Next,
}

impl Settlement {
    fn held(changed: bool) -> Settlement {
        Settlement {
            standing: Standing::Held,
            turn: Turn::after(changed),
        }
    }
}

impl Turn {
    fn after(changed: bool) -> Turn {
        if changed { Turn::Next } else { Turn::Unchanged }
    }
}

/// What connections may hold fairly while others wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scarcity {
    /// An equal part of all for each connection that holds or wants some.
    grant_bytes: usize,
    /// The same of what grants that may grow can come to: the rest of the budget is not for them.
    growing_grant_bytes: usize,
    /// Where the connection comes from whose turn it is.
    next_peer: Peer,
}

/// Bytes that may be held, bytes that are held, and the connections that wait for some.
#[derive(Debug)]
pub(super) struct Budget {
    held_bytes: usize,
    max_bytes: usize,
    /// Bytes of grants that may grow, and how many there may be of them. A connection with such a grant needs more before it
    /// gives anything back; what is above this bound is for that: enough for one of them to become whole, sooner or later.
    growing_bytes: usize,
    growing_bytes_max: usize,
    grants_count: usize,
    queue: Queue,
}

impl Budget {
    /// Nothing is held. `need_bytes_max` is the most that a request of unknown length may come to need.
    pub(super) fn new(max_bytes: usize, need_bytes_max: usize) -> Budget {
        Budget {
            held_bytes: 0,
            max_bytes,
            growing_bytes: 0,
            growing_bytes_max: max_bytes.saturating_sub(need_bytes_max),
            grants_count: 0,
            queue: Queue::new(max_bytes),
        }
    }

    /// Moves what a connection holds to what it needs, or lets it wait.
    pub(super) fn settle(
        &mut self,
        grant: &mut Grant,
        need: Need,
        conn: ConnId,
        peer: Peer,
    ) -> Settlement {
        let need_grows = need.bytes < need.bytes_max;
        // A whole grant below what this request may come to need was made for one of known length before it.
        let is_of_another_request = need_grows && !grant.may_grow && grant.bytes < need.bytes_max;
        let is_enough = grant.bytes >= need.bytes && !is_of_another_request;
        let mut changed = false;
        if is_enough && need_grows {
            return Settlement::held(self.forget(conn));
        }
        // Only a grant that may grow is kept while more is waited for: budget is left for one of those to become whole, but
        // two whole grants that both want more would wait for each other.
        if need.bytes == 0 || is_of_another_request || !(is_enough || grant.may_grow) {
            changed = grant.bytes > 0;
            self.give_back_all(grant, peer);
        }
        if grant.bytes >= need.bytes {
            changed |= self.shrink(grant, need.bytes, peer);
            return Settlement::held(self.forget(conn) || changed);
        }
        if need_grows && self.take_part(grant, need.bytes, conn, peer) {
            return Settlement::held(true);
        }
        if self.take(grant, need.bytes_max, conn, peer) {
            return Settlement::held(true);
        }
        let changed = self.wait(*grant, need.bytes_max, conn, peer) || changed;
        Settlement {
            standing: Standing::Waits,
            turn: Turn::after(changed),
        }
    }

    /// The same for a request that is whole and waits for something else: it holds its own bytes if they are free and no
    /// other waits for them, and never waits for them itself.
    pub(super) fn keep(
        &mut self,
        grant: &mut Grant,
        bytes: usize,
        conn: ConnId,
        peer: Peer,
    ) -> Turn {
        let mut changed = self.forget(conn);
        if bytes == 0 {
            changed |= grant.bytes > 0;
            self.give_back_all(grant, peer);
        } else if grant.bytes >= bytes {
            changed |= self.shrink(grant, bytes, peer);
        } else {
            self.take(grant, bytes, conn, peer);
        }
        Turn::after(changed)
    }

    /// Holds all that a connection may come to need, if that is free and it is its turn.
    fn take(&mut self, grant: &mut Grant, bytes: usize, conn: ConnId, peer: Peer) -> bool {
        let more_bytes = bytes - grant.bytes;
        let granted = self.is_next(conn) && self.held_bytes + more_bytes <= self.max_bytes;
        if granted {
            self.stop_growing(grant);
            self.hold(grant, more_bytes, conn, peer);
        }
        granted
    }

    /// Holds as much as a connection needs now, if so much may be held of what may grow, and it is its turn.
    fn take_part(&mut self, grant: &mut Grant, bytes: usize, conn: ConnId, peer: Peer) -> bool {
        let more_bytes = bytes - grant.bytes;
        let granted = self.is_next(conn)
            && self.held_bytes + more_bytes <= self.max_bytes
            && self.growing_bytes + more_bytes <= self.growing_bytes_max;
        if granted {
            self.hold(grant, more_bytes, conn, peer);
            self.growing_bytes += more_bytes;
            grant.may_grow = true;
        }
        granted
    }

    fn is_next(&mut self, conn: ConnId) -> bool {
        self.longest_waiting().is_none_or(|first| first == conn)
    }

    fn hold(&mut self, grant: &mut Grant, more_bytes: usize, conn: ConnId, peer: Peer) {
        self.grants_count += usize::from(grant.bytes == 0);
        self.held_bytes += more_bytes;
        grant.bytes += more_bytes;
        self.queue.hold(more_bytes, peer);
        self.queue.leave(conn);
    }

    fn stop_growing(&mut self, grant: &mut Grant) {
        if std::mem::take(&mut grant.may_grow) {
            self.growing_bytes -= grant.bytes;
        }
    }

    /// Waits for room, behind those that wait already. `true`: another one's turn came by that, as a further address makes
    /// the shares smaller; it should ask again.
    fn wait(&mut self, grant: Grant, bytes: usize, conn: ConnId, peer: Peer) -> bool {
        let next_before = self.longest_waiting();
        let wanted = Wanted {
            more_bytes: bytes - grant.bytes,
            own_bytes: grant.bytes,
        };
        self.queue.join(wanted, conn, peer);
        // Where no other waited it was refused for want of room alone.
        next_before.is_some() && self.longest_waiting() != next_before
    }

    /// Waits no longer. `true`: it was its turn, or another one's came by that, so that the next one may try.
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

    /// Gives back all that a connection holds.
    pub(super) fn give_back_all(&mut self, grant: &mut Grant, peer: Peer) {
        self.stop_growing(grant);
        self.give_back(std::mem::take(&mut grant.bytes), peer);
    }

    fn give_back(&mut self, bytes: usize, peer: Peer) {
        if bytes == 0 {
            return;
        }
        debug_assert!(self.held_bytes >= bytes && self.grants_count > 0);
        self.held_bytes -= bytes;
        self.grants_count -= 1;
        self.queue.release(bytes, peer);
    }

    /// Gives back what a connection holds beyond what is needed, now that this is known. `true`: there was some.
    fn shrink(&mut self, grant: &mut Grant, bytes: usize, peer: Peer) -> bool {
        // Room to grow is wanted by others as well.
        let was_growing = grant.may_grow;
        self.stop_growing(grant);
        let freed_bytes = grant.bytes - bytes;
        if freed_bytes > 0 {
            debug_assert!(bytes > 0, "some of the grant stays");
            grant.bytes = bytes;
            self.held_bytes -= freed_bytes;
            self.queue.release(freed_bytes, peer);
        }
        freed_bytes > 0 || was_growing
    }

    /// The connection whose turn it is: when something was given back, it should ask again.
    pub(super) fn longest_waiting(&mut self) -> Option<ConnId> {
        self.queue.next()
    }

    /// What may be held fairly while others wait; `None` if no connection waits.
    pub(super) fn scarcity(&mut self) -> Option<Scarcity> {
        let next_peer = self.queue.next_peer()?;
        let wanting_count = self.grants_count + self.queue.newcomers_count();
        Some(Scarcity {
            grant_bytes: self.max_bytes / wanting_count,
            growing_grant_bytes: self.growing_bytes_max / wanting_count,
            next_peer,
        })
    }

    /// Whether a grant is more than its fair part of what there is, or belongs to an address that holds more than its share
    /// while it is another one's turn. Each grant of such an address may be small.
    pub(super) fn is_unfair(&self, scarcity: &Scarcity, grant: Grant, peer: Peer) -> bool {
        let fair_bytes = match grant.may_grow {
            true => scarcity.growing_grant_bytes,
            false => scarcity.grant_bytes,
        };
        let is_over_its_share = || self.queue.held_bytes(peer) > self.queue.share_bytes();
        grant.bytes > fair_bytes
            || (grant.bytes > 0 && peer != scarcity.next_peer && is_over_its_share())
    }

    /// Bytes of a grant beyond which it is more than a fair share, while others wait; `None` if no connection waits.
    #[cfg(test)]
    pub(super) fn fair_grant_bytes(&mut self) -> Option<usize> {
        self.scarcity().map(|scarcity| scarcity.grant_bytes)
    }

    /// Bytes that are held.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}
