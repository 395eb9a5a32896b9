//! Whole requests and the room that they need in the open batch and in the table of flights: they are taken, or wait in the
//! order in which they were complete. None waits past its deadline, and nothing of a request that waits is in the log.

use super::connection::{Admitted, Incoming, Reading};
use super::flights::DISPOSITIONS_MAX;
use super::share::Account;
use super::waiters::{Awaited, Waiter, WaitingPlace};
use super::{Core, Ingress};
use crate::http::{Head, Problem};
use crate::io::Now;
use crate::wal::batch::Ahead;

impl Ingress {
    /// Whether the open batch and the table of flights take one more body behind those framed in this turn, with room left
    /// for all records that requests in flight may still add: a batch stays open for as long as the disk is stuck.
    pub(super) fn has_room_for(&self, core: Option<&Core>, body_len: usize) -> bool {
        let Some(core) = core else {
            unreachable!("no submission is admitted before the log has begun");
        };
        let ahead = Ahead {
            bodies: self.framed.len(),
            bodies_bytes: self.framed_bytes,
            dispositions: self.flights.dispositions_owed(),
            dispositions_per_body: DISPOSITIONS_MAX,
        };
        core.log.fits_behind(ahead, body_len) && self.flights.room() > ahead.bodies
    }

    /// Whether the request that has waited longest could be taken.
    pub(super) fn has_room_for_the_first(&mut self, core: Option<&Core>) -> bool {
        let Some(waiter) = self.for_room.first() else {
            return false;
        };
        let body_bytes = self.next_body_bytes(waiter.conn.slot);
        self.has_room_for(core, body_bytes)
    }

    /// Length of the body that comes next out of the whole request of a connection.
    pub(super) fn next_body_bytes(&mut self, slot: u32) -> usize {
        match self.connections.at(slot).admitted() {
            Some(admitted) if admitted.is_batch() => self.next_record_bytes(slot),
            Some(admitted) => admitted.incoming.head.body_len as usize,
            None => unreachable!("a connection in the queue for room has a whole request"),
        }
    }

    /// Whether the request that has waited longest is a part of a batch.
    pub(super) fn first_is_batch(&mut self) -> bool {
        let first = self.for_room.first().map(|first| first.conn.slot);
        first.is_some_and(|slot| {
            let admitted = self.connections.at(slot).admitted();
            admitted.is_some_and(Admitted::is_batch)
        })
    }

    /// Queues a connection for the framing stage, unless what was taken from it was not all of its request.
    pub(super) fn queue_on(&mut self, slot: u32) {
        if !self.connections.at(slot).waits_for_room() {
            self.queue(slot);
        }
    }

    /// A whole request, complete since `complete_us`: taken, or kept waiting behind those that were complete before, or
    /// refused where its time is over.
    pub(super) fn admit_whole(
        &mut self,
        core: Option<&Core>,
        slot: u32,
        admitted: &Admitted,
        complete_us: u64,
        now: Now,
    ) {
        let incoming = &admitted.incoming;
        let due_us = complete_us + self.config.limits.deadline_us;
        let first = self.for_room.first();
        let is_later = first.is_some_and(|first| first.place.due_us <= due_us);
        if due_us <= now.mono_us {
            let problem = Problem::WalUnavailable;
            self.refuse(slot, problem, Some(incoming), complete_us, now);
        } else if self.has_share(admitted) {
            self.admit_sharer(core, slot, admitted, complete_us);
        } else if is_later || !self.has_room_for(core, incoming.head.body_len as usize) {
            self.wait(slot, admitted, Awaited::Room, due_us);
        } else {
            self.cut(slot, admitted, complete_us, Account::Nothing);
        }
    }

    pub(super) fn wait(&mut self, slot: u32, admitted: &Admitted, awaited: Awaited, due_us: u64) {
        let connection = self.connections.at(slot);
        let queue = match awaited {
            Awaited::Room => &mut self.for_room,
            Awaited::Share => &mut self.for_share,
        };
        let place = queue.join(due_us, connection.id);
        connection.reading = Reading::Whole(*admitted, awaited, place);
    }

    /// How many wait for room, or for a share of it.
    pub(super) fn waiting_for_room_count(&self) -> usize {
        self.for_room.count() + self.for_share.count()
    }

    /// Takes requests that waited, in their order and while there is room, and refuses those whose time is over. Those that
    /// wait for a share are first in every other batch, so that neither can take all room of each.
    pub(super) fn admit_waiting(&mut self, core: Option<&Core>, now: Now) {
        let Some(sharing) = core.filter(|_| self.for_share.count() > 0) else {
            return self.admit_for_room(core, now);
        };
        self.refuse_late_sharers(now);
        let are_first = sharing.log.open_sequence().counter().is_multiple_of(2);
        if are_first {
            self.admit_by_share(sharing);
        }
        self.admit_for_room(core, now);
        if !are_first {
            self.admit_by_share(sharing);
        }
    }

    pub(super) fn admit_for_room(&mut self, core: Option<&Core>, now: Now) {
        let mut stood_back = None;
        while let Some(Waiter { place, conn }) = self.for_room.first() {
            // Of all that wait some has been taken by now: what comes in this turn is next.
            if stood_back == Some(conn) && !self.ready.is_empty() {
                return;
            }
            let is_over = place.due_us <= now.mono_us;
            if !is_over && !self.has_room_for_the_first(core) {
                return;
            }
            let Some((admitted, _)) = self.leave_room_queue(conn.slot) else {
                unreachable!("a connection in the queue for room has a whole request");
            };
            let complete_us = place.since_us(self.config.limits.deadline_us);
            if admitted.is_batch() {
                match is_over {
                    true => {
                        let problem = Problem::DeadlineExceeded;
                        self.give_up_batch(conn.slot, &admitted, problem.into());
                    }
                    false => {
                        self.enter(core, conn.slot, &admitted);
                        if self.connections.at(conn.slot).waits_for_room() {
                            stood_back.get_or_insert(conn);
                        }
                    }
                }
            } else if is_over {
                let (problem, request) = (Problem::WalUnavailable, &admitted.incoming);
                self.refuse(conn.slot, problem, Some(request), complete_us, now);
            } else if self.has_share(&admitted) {
                // Its tenant has got a share while it waited.
                self.admit_sharer(core, conn.slot, &admitted, complete_us);
            } else {
                self.cut(conn.slot, &admitted, complete_us, Account::Nothing);
            }
            self.touched.push(conn.slot);
            self.queue_on(conn.slot);
        }
    }

    /// The stop waits no longer: a whole request that still waits for room is the last of its connection.
    pub(super) fn refuse_at_drain(&mut self, slot: u32, now: Now) {
        let waited = self.leave_room_queue(slot);
        if let Some((batch, _)) = waited.filter(|(admitted, _)| admitted.is_batch()) {
            return self.give_up_batch_and_close(slot, &batch, Problem::Draining);
        }
        let request = waited.map(|(admitted, _)| Incoming {
            head: Head {
                keep_alive: false,
                ..admitted.incoming.head
            },
            ..admitted.incoming
        });
        self.refuse(slot, Problem::Draining, request.as_ref(), now.mono_us, now);
        self.touched.push(slot);
        self.queue(slot);
    }

    /// Takes a connection out of both queues. What it waited with is given up.
    pub(super) fn leave_queues(&mut self, slot: u32) {
        self.leave_room_queue(slot);
        self.leave_memory_queue(slot);
    }

    /// Takes a whole request out of the queue that it waits in, if the connection has one.
    pub(super) fn leave_room_queue(&mut self, slot: u32) -> Option<(Admitted, WaitingPlace)> {
        let connection = self.connections.at(slot);
        let Reading::Whole(admitted, awaited, place) = connection.reading else {
            return None;
        };
        connection.reading = Reading::Head;
        match awaited {
            Awaited::Room => self.for_room.leave(place),
            Awaited::Share => {
                self.for_share.leave(place);
                self.shares.leave(admitted.context.tenant, slot);
            }
        }
        Some((admitted, place))
    }
}
