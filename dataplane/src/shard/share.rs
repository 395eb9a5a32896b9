//! Shares of the log: how much of a batch that waits for its turn a tenant may fill, so that one that sends more than the disk
//! takes leaves room for the others. What is over a share waits for a later batch, and others pass it. What is left of a
//! batch when it goes to the disk is given to those that wait: room that no other wants is not kept. Nothing here refuses a
//! request but one whose time is over.

#[cfg(debug_assertions)]
mod audit;
mod fill;
mod turns;

use self::fill::Room;
use self::turns::Candidates;
pub(super) use self::turns::ShareLeft;
pub(super) use self::turns::Shares;
use super::connection::{Admitted, Reading};
use super::waiters::{Awaited, Waiter};
use super::{Core, Framed, Ingress};
use crate::dedup::context::TenantId;
use crate::http::Problem;
use crate::io::Now;
use crate::snapshot::Snapshot;

/// What is left of the log is given away while more than one of so many parts of the table of flights is free: what comes
/// while that batch is on its way needs some.
const FLIGHTS_KEPT: usize = 4;

/// What a body in the open batch is on account of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// Its tenant has no share, or has what others left.
    Nothing,
    /// The share of its tenant.
    Share,
}

/// The open batch.
fn room(core: &Core) -> Room {
    Room {
        batch: core.log.open_sequence(),
        bytes: core.log.bodies_bytes_max(),
    }
}

impl Ingress {
    /// A snapshot says what tenants share.
    pub(super) fn configure_shares(&mut self, snapshot: &Snapshot) {
        let freed = self.shares.configure(snapshot);
        let tenants_count = self.shares.is_on().then(|| snapshot.all().len());
        self.flights.count_by_tenant(tenants_count);
        for slot in freed {
            let Reading::Whole(admitted, _, place) = self.connections.at(slot).reading else {
                unreachable!("a connection that waits for a share has a whole request");
            };
            self.for_share.leave(place);
            self.wait(slot, &admitted, Awaited::Room, place.due_us);
        }
    }

    /// Whether a request is of a tenant that may fill only a part of a batch.
    #[inline]
    pub(super) fn has_share(&self, admitted: &Admitted) -> bool {
        self.shares.is_on() && self.shares.limits(admitted.context.tenant)
    }

    /// A whole request of such a tenant: taken, or kept waiting behind those of its tenant that were complete before.
    pub(super) fn admit_sharer(
        &mut self,
        core: Option<&Core>,
        slot: u32,
        admitted: &Admitted,
        complete_us: u64,
    ) {
        let tenant = admitted.context.tenant;
        let body_bytes = admitted.incoming.head.body_len as usize;
        match self.take_share(core, tenant, body_bytes) {
            Ok(()) => self.cut(slot, admitted, complete_us, Account::Share),
            Err(left) => {
                let due_us = complete_us + self.config.limits.deadline_us;
                self.wait(slot, admitted, Awaited::Share, due_us);
                self.shares.join(tenant, slot, left);
            }
        }
    }

    /// Takes a part of a tenant's share for a body that would enter the open batch now. An error: it waits, and something may
    /// be left of the share.
    pub(super) fn take_share(
        &mut self,
        core: Option<&Core>,
        tenant: TenantId,
        body_bytes: usize,
    ) -> Result<(), ShareLeft> {
        let Some(core) = core else {
            unreachable!("no submission is admitted before the log has begun");
        };
        let room = room(core);
        let is_first = !self.shares.waits(tenant);
        let may_take = self.is_within_share(tenant, &room, body_bytes);
        if is_first && may_take && self.has_room_for(Some(core), body_bytes) {
            self.shares.take(tenant, &room, body_bytes);
            return Ok(());
        }
        Err(match may_take {
            true => ShareLeft::Some,
            false => ShareLeft::Nothing,
        })
    }

    /// Whether a tenant may have one more body in the open batch, and one more request in flight.
    fn is_within_share(&self, tenant: TenantId, room: &Room, body_bytes: usize) -> bool {
        let flights_max = self.config.limits.flights_max as usize;
        let percent = usize::from(self.shares.percent(tenant));
        self.flights.of(tenant) < (flights_max * percent / 100).max(1)
            && self.shares.may_take(tenant, room, body_bytes)
    }

    /// A request that was cut out in this turn is refused: others of its tenant may have its part.
    pub(super) fn give_back_share(&mut self, core: &Core, request: &Framed) {
        let tenant = request.context.tenant;
        self.flights.release(tenant);
        if request.account == Account::Share {
            let body_bytes = request.body.len_bytes();
            self.shares.give_back(tenant, &room(core), body_bytes);
        }
    }

    /// Refuses requests that waited too long for a share.
    pub(super) fn refuse_late_sharers(&mut self, now: Now) {
        while let Some(Waiter { place, conn }) = self.for_share.first()
            && place.due_us <= now.mono_us
        {
            let (admitted, complete_us) = self.leave_share(conn.slot);
            if admitted.is_batch() {
                let problem = Problem::DeadlineExceeded;
                self.give_up_batch(conn.slot, &admitted, problem.into());
                continue;
            }
            let (problem, request) = (Problem::WalUnavailable, &admitted.incoming);
            self.refuse(conn.slot, problem, Some(request), complete_us, now);
            self.touched.push(conn.slot);
            self.queue(conn.slot);
        }
    }

    /// Takes requests that waited for a share, of each tenant in its turn as many as it may fill by now.
    pub(super) fn admit_by_share(&mut self, core: &Core) {
        let room = room(core);
        self.shares.open(room.batch);
        while let Some((tenant, slot)) = self.shares.next() {
            let body_bytes = self.next_body_bytes(slot);
            if !self.is_within_share(tenant, &room, body_bytes) {
                self.shares.spend(tenant);
                continue;
            }
            if !self.has_room_for(Some(core), body_bytes) {
                return; // it stays the next one
            }
            self.shares.take(tenant, &room, body_bytes);
            self.admit_from_share(slot, Account::Share);
        }
    }

    /// Whatever comes from now on goes into another batch: what is left of this one is for those that wait, in turns of a share
    /// each, or of one body above it. It is on no account, so that a tenant does not pay later for what no other wanted.
    pub(super) fn give_rest(&mut self, core: &Core) {
        // Without flights to spare nothing is given away: those that have no share left need no look.
        if self.for_share.count() == 0 || !core.log.goes_next() || !self.has_spare_flights() {
            return;
        }
        let room = room(core);
        self.shares.look_at_all();
        let mut turn_bytes = 0;
        while self.has_spare_flights()
            && let Some((tenant, slot)) = self.shares.next()
        {
            let body_bytes = self.next_body_bytes(slot);
            let cost = room.cost(body_bytes);
            let quota = room.quota(self.shares.percent(tenant));
            if turn_bytes > 0 && turn_bytes + cost > quota {
                self.shares.rotate(tenant);
                turn_bytes = 0;
                continue;
            }
            if !self.has_room_for(Some(core), body_bytes) {
                return self.shares.rotate(tenant); // what is behind it is first another time
            }
            self.admit_from_share(slot, Account::Nothing);
            turn_bytes = match self.shares.waits(tenant) {
                true => turn_bytes + cost,
                false => 0,
            };
        }
    }

    /// Whether requests that wait for a share may be taken now.
    pub(super) fn may_admit_by_share(&mut self, core: Option<&Core>) -> bool {
        let Some(core) = core.filter(|_| self.for_share.count() > 0) else {
            return false;
        };
        let room = room(core);
        if self.shares.is_new(room.batch) {
            return true;
        }
        let may_have_rest = core.log.goes_next() && self.has_spare_flights();
        let among = match may_have_rest {
            true => Candidates::All,
            false => Candidates::WithShareLeft,
        };
        let Some((tenant, slot)) = self.shares.first(among) else {
            return false;
        };
        let body_bytes = self.next_body_bytes(slot);
        (may_have_rest || self.is_within_share(tenant, &room, body_bytes))
            && self.has_room_for(Some(core), body_bytes)
    }

    fn has_spare_flights(&self) -> bool {
        let flights_max = self.config.limits.flights_max as usize;
        self.flights.room() > self.framed.len() + flights_max / FLIGHTS_KEPT
    }

    fn admit_from_share(&mut self, slot: u32, account: Account) {
        let (admitted, complete_us) = self.leave_share(slot);
        match admitted.is_batch() {
            true => self.enter_one_from_share(slot, &admitted, account),
            false => self.cut(slot, &admitted, complete_us, account),
        }
        self.touched.push(slot);
        self.queue_on(slot);
    }

    /// Takes a request out of the queue for a share, with the time since when it was complete.
    fn leave_share(&mut self, slot: u32) -> (Admitted, u64) {
        let Some((admitted, place)) = self.leave_room_queue(slot) else {
            unreachable!("a connection in the queue for a share has a whole request");
        };
        let deadline_us = self.config.limits.deadline_us;
        (admitted, place.since_us(deadline_us))
    }
}
