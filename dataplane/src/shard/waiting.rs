//! Requests that lack something only the gateway can give: room in the open batch or in the table of flights, or memory
//! for the rest of them. They wait in the order in which they were complete, and none waits past its deadline. Nothing of
//! a request that waits is in the log.

use super::connections::{Owed, Phase, Reply};
use super::flights::DISPOSITIONS_MAX;
use super::{Core, Framed, Ingress};
use crate::event::ConnId;
use crate::http::{Head, Problem};
use crate::io::Now;
use crate::wal::batch::Ahead;
use std::collections::VecDeque;

/// A connection whose head-of-line request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    /// When it is refused at the latest.
    pub due_us: u64,
    pub conn: ConnId,
}

/// Who waits, the earliest deadline first; equal ones in the order in which they came.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: VecDeque<Waiter>,
}

impl Waiting {
    /// Nobody waits; there is memory for all that may.
    pub(super) fn new(connections_max: u32) -> Waiting {
        Waiting {
            queue: VecDeque::with_capacity(connections_max as usize),
        }
    }

    /// One more waits.
    pub(super) fn join(&mut self, waiter: Waiter) {
        let at = self
            .queue
            .partition_point(|other| other.due_us <= waiter.due_us);
        self.queue.insert(at, waiter);
    }

    /// It waits no longer.
    pub(super) fn leave(&mut self, waiter: Waiter) {
        let from = self
            .queue
            .partition_point(|other| other.due_us < waiter.due_us);
        let at = (from..self.queue.len()).find(|at| self.queue[*at] == waiter);
        debug_assert!(at.is_some(), "{waiter:?} did not wait");
        if let Some(at) = at {
            self.queue.remove(at);
        }
    }

    /// All that wait, the latest deadline first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.queue.iter().rev().map(|waiter| waiter.conn)
    }

    /// Whose deadline comes first.
    pub(super) fn first(&self) -> Option<Waiter> {
        self.queue.front().copied()
    }
}

impl Ingress {
    /// Whether the open batch and the table of flights take one more body behind those framed in this turn, with room left
    /// for whatever all requests in flight may still say: a batch stays open for as long as the disk is stuck.
    fn has_room_for(&self, core: Option<&Core>, body_len: usize) -> bool {
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
        let head = self.connections.at(waiter.conn.slot).head;
        head.is_some_and(|head| self.has_room_for(core, head.body_len as usize))
    }

    /// A whole request, complete since `complete_us`: taken, or kept waiting behind those that were complete before, or
    /// refused where its time is over.
    pub(super) fn admit_whole(
        &mut self,
        core: Option<&Core>,
        slot: u32,
        head: Head,
        complete_us: u64,
        now: Now,
    ) {
        let due_us = complete_us + self.config.limits.deadline_us;
        let is_later = self
            .for_room
            .first()
            .is_some_and(|first| first.due_us <= due_us);
        if due_us <= now.mono_us {
            self.refuse(slot, Problem::WalUnavailable, Some(&head), complete_us, now);
        } else if is_later || !self.has_room_for(core, head.body_len as usize) {
            let connection = self.connections.at(slot);
            connection.head = Some(head);
            connection.room_due_us = Some(due_us);
            let conn = connection.id;
            self.for_room.join(Waiter { due_us, conn });
        } else {
            self.cut(slot, head, complete_us);
        }
    }

    /// Takes those that waited, in their order and while there is room, and refuses whose time is over.
    pub(super) fn admit_waiting(&mut self, core: Option<&Core>, now: Now) {
        while let Some(Waiter { due_us, conn }) = self.for_room.first() {
            let is_over = due_us <= now.mono_us;
            if !is_over && !self.has_room_for_the_first(core) {
                return;
            }
            self.leave_room_queue(conn.slot);
            let complete_us = due_us.saturating_sub(self.config.limits.deadline_us);
            match self.connections.at(conn.slot).head {
                Some(head) if !is_over => self.cut(conn.slot, head, complete_us),
                head => {
                    self.refuse(
                        conn.slot,
                        Problem::WalUnavailable,
                        head.as_ref(),
                        complete_us,
                        now,
                    );
                }
            }
            self.touched.push(conn.slot);
            self.queue(conn.slot);
        }
    }

    /// Cuts a whole request out of its connection: it goes into the log in this turn, unless the rate forbids it.
    fn cut(&mut self, slot: u32, head: Head, complete_us: u64) {
        let body_len = head.body_len as usize;
        let connection = self.connections.at(slot);
        let body = connection.locate(head.head_len, body_len);
        let last = !head.keep_alive;
        let reply = connection.owe(Owed {
            reply: Reply::Pending,
            since_us: complete_us,
            last,
            head_only: false,
            repeats_keep_alive: head.repeats_keep_alive,
        });
        connection.consume(connection.whole_bytes(&head));
        connection.head = None;
        connection.framing_bytes = 0;
        connection.request_since_us = None;
        if last {
            connection.phase = Phase::Closing;
        }
        let conn = connection.id;
        let paid = std::mem::take(&mut connection.paid);
        self.framed_bytes += body_len;
        self.framed.push(Framed {
            conn,
            reply,
            body,
            complete_us,
            paid,
        });
    }

    /// Notes whether what is missing of the connection's head-of-line request is memory.
    pub(super) fn note_short_of_memory(&mut self, slot: u32, is_short: bool, now: Now) {
        if !is_short {
            self.leave_memory_queue(slot);
            return;
        }
        let due_us = now.mono_us + self.config.limits.deadline_us;
        let connection = self.connections.at(slot);
        let conn = connection.id;
        if connection.memory_due_us.is_none() {
            connection.memory_due_us = Some(due_us);
            self.for_memory.join(Waiter { due_us, conn });
        }
    }

    /// Refuses who waited too long for memory. What of the request has not been read yet is skipped, or the connection
    /// ends, as with every refusal.
    pub(super) fn refuse_short_of_memory(&mut self, now: Now) {
        while let Some(Waiter { due_us, conn }) = self
            .for_memory
            .first()
            .filter(|waiter| waiter.due_us <= now.mono_us)
        {
            self.leave_memory_queue(conn.slot);
            if self.connections.at(conn.slot).phase != Phase::Open {
                continue; // its last answer is owed already
            }
            let connection = self.connections.at(conn.slot);
            let head = connection.head;
            let is_post = connection.holds_part_of_a_post();
            self.stats().ingest.add(u64::from(is_post));
            let since_us = due_us.saturating_sub(self.config.limits.deadline_us);
            self.refuse(
                conn.slot,
                Problem::DeadlineExceeded,
                head.as_ref(),
                since_us,
                now,
            );
            self.touched.push(conn.slot);
            self.queue(conn.slot);
        }
    }

    /// The stop waits no longer: a whole request that still waits for room is the last of its connection.
    pub(super) fn refuse_at_drain(&mut self, slot: u32, now: Now) {
        self.leave_room_queue(slot);
        let head = self.connections.at(slot).head.map(|head| Head {
            keep_alive: false,
            ..head
        });
        self.refuse(slot, Problem::Draining, head.as_ref(), now.mono_us, now);
        self.touched.push(slot);
        self.queue(slot);
    }

    /// Takes a connection out of both queues.
    pub(super) fn leave_queues(&mut self, slot: u32) {
        self.leave_room_queue(slot);
        self.leave_memory_queue(slot);
    }

    fn leave_room_queue(&mut self, slot: u32) {
        let connection = self.connections.at(slot);
        let conn = connection.id;
        if let Some(due_us) = connection.room_due_us.take() {
            self.for_room.leave(Waiter { due_us, conn });
        }
    }

    pub(super) fn leave_memory_queue(&mut self, slot: u32) {
        let connection = self.connections.at(slot);
        let conn = connection.id;
        if let Some(due_us) = connection.memory_due_us.take() {
            self.for_memory.leave(Waiter { due_us, conn });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn waiter(due_us: u64, slot: u32) -> Waiter {
        let generation = 0;
        Waiter {
            due_us,
            conn: ConnId { slot, generation },
        }
    }

    proptest! {
        #[test]
        fn who_waits_comes_out_like_out_of_a_list_that_is_sorted_anew_each_time(
            steps in proptest::collection::vec((0u64..5, any::<proptest::sample::Index>(), any::<bool>()), 1..60),
        ) {
            let mut queue = Waiting::new(8);
            let mut naive: Vec<Waiter> = Vec::new();
            for (slot, (due_us, which, joins)) in (0..).zip(steps) {
                if joins || naive.is_empty() {
                    queue.join(waiter(due_us, slot));
                    naive.push(waiter(due_us, slot));
                } else {
                    let gone = naive.remove(which.index(naive.len()));
                    queue.leave(gone);
                }
                let mut sorted = naive.clone();
                sorted.sort_by_key(|waiter| waiter.due_us);
                prop_assert_eq!(&sorted, &Vec::from(queue.queue.clone()));
                prop_assert_eq!(queue.first(), sorted.first().copied());
            }
        }
    }
}
