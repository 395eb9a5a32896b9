//! Shares of the log: how much of a batch the bodies of a tenant may fill, so that one that sends more than the disk takes
//! leaves room for the others. What is over a share waits for a later batch, and others pass it; nothing here refuses a
//! request but one whose time is over.

use super::connection::Admitted;
use super::waiting::Waiter;
use super::{Core, Framed, Ingress};
use crate::io::Now;
use crate::wal::name::Sequence;

/// What a tenant fills of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    percent: u8,
    /// The batch that `bytes` are in: of another one it has filled nothing.
    batch: Sequence,
    bytes: usize,
}

impl Share {
    /// Nothing is filled yet.
    pub(super) fn of(percent: u8) -> Share {
        Share {
            percent,
            batch: Sequence::default(),
            bytes: 0,
        }
    }

    /// Whether so many bytes more would be too many in this batch, of which bodies may fill `room_bytes`. A body above the
    /// share goes with no other of its tenant.
    fn is_over(&self, batch: Sequence, more_bytes: usize, room_bytes: usize) -> bool {
        let bytes = if self.batch == batch { self.bytes } else { 0 };
        let bytes_max = room_bytes * usize::from(self.percent) / 100;
        self.percent < 100 && bytes > 0 && bytes + more_bytes > bytes_max
    }

    fn take(&mut self, batch: Sequence, bytes: usize) {
        let filled = if self.batch == batch { self.bytes } else { 0 };
        (self.batch, self.bytes) = (batch, filled + bytes);
    }

    fn give_back(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Ingress {
    /// Whether a request has to wait until its tenant may fill more of the log.
    pub(super) fn is_over_share(&self, core: Option<&Core>, admitted: &Admitted) -> bool {
        let Some(core) = core.filter(|_| self.in_force.has_shares) else {
            return false;
        };
        let share = &self.in_force.of(admitted.context.tenant).share;
        let body_bytes = admitted.incoming.head.body_len as usize;
        let room_bytes = core.log.bodies_bytes_max();
        share.is_over(core.log.open_sequence(), body_bytes, room_bytes)
    }

    /// A request goes into the open batch, unless it is refused in this turn.
    pub(super) fn take_share(&mut self, core: Option<&Core>, admitted: &Admitted) {
        if let Some(core) = core.filter(|_| self.in_force.has_shares) {
            let body_bytes = admitted.incoming.head.body_len as usize;
            let share = self.in_force.share(admitted.context.tenant);
            share.take(core.log.open_sequence(), body_bytes);
        }
    }

    /// It was refused: others of its tenant may have its part.
    pub(super) fn give_back_share(&mut self, request: &Framed) {
        if self.in_force.has_shares {
            let share = self.in_force.share(request.context.tenant);
            share.give_back(request.body.len_bytes());
            self.in_force.shares_of = Sequence::default();
        }
    }

    /// Whether requests that waited for a share may be taken: there is another batch, another snapshot, or one of them was
    /// refused behind this stage.
    pub(super) fn has_new_shares(&self, core: Option<&Core>) -> bool {
        let is_new = |core: &Core| core.log.open_sequence() != self.in_force.shares_of;
        self.for_share.count() > 0 && core.is_some_and(is_new)
    }

    /// Takes requests that waited for a share, each in its turn if its tenant may fill more by now, and refuses those whose
    /// time is over.
    pub(super) fn admit_for_share(&mut self, core: Option<&Core>, now: Now) {
        while let Some(waiter) = self.for_share.first()
            && waiter.place.due_us <= now.mono_us
        {
            self.admit_from_share(core, waiter, now);
        }
        if !self.has_new_shares(core) {
            return;
        }
        self.in_force.shares_of = core.map_or(Sequence::default(), |core| core.log.open_sequence());
        let mut passed = 0;
        while let Some(waiter) = self.for_share.nth(passed) {
            let admitted = self.connections.at(waiter.conn.slot).admitted().copied();
            match admitted.is_some_and(|admitted| self.is_over_share(core, &admitted)) {
                true => passed += 1,
                false => self.admit_from_share(core, waiter, now),
            }
        }
    }

    fn admit_from_share(&mut self, core: Option<&Core>, waiter: Waiter, now: Now) {
        let slot = waiter.conn.slot;
        let Some(admitted) = self.leave_room_queue(slot) else {
            unreachable!("a connection in the queue for a share has a whole request");
        };
        let deadline_us = self.config.limits.deadline_us;
        let complete_us = waiter.place.due_us.saturating_sub(deadline_us);
        self.admit_whole(core, slot, &admitted, complete_us, now);
        self.touched.push(slot);
        self.queue(slot);
    }
}
