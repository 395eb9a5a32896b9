//! What connections hold between turns: received bytes that stay, the memory that is granted for them, and whether reading
//! goes on. A request whose memory is not granted waits, and is refused at its deadline. Nothing here parses a byte.

use super::Ingress;
use super::budget::{Need, Standing, Turn};
use super::config::ShardLimits;
use super::connection::{Admitted, Connection, Phase};
use super::waiters::Waiter;
use crate::event::{Op, Outbox};
use crate::http::Problem;
use crate::io::Now;

/// Every connection may buffer this much of one request without asking; larger bodies take a grant.
const HEAD_ALLOWANCE_BYTES: usize = 16 * 1024;

/// What a chunked body takes while so much of it has not come; beyond, it takes what the largest one needs.
pub(super) const CHUNKED_STEPS_BYTES: [usize; 2] = [64 * 1024, 256 * 1024];

impl Ingress {
    /// Ends the turn for received bytes: what is left moves into the connection's own memory, and reading is paused or
    /// resumed by what that memory may grow to.
    pub(super) fn keep_unread(&mut self, inbox: &[u8], now: Now, outbox: &mut Outbox) {
        // By index: refusing a connection's bytes may touch others.
        for at in 0..self.touched.len() {
            let slot = self.touched[at];
            self.connections.keep(slot, inbox);
            let limits = self.config.limits;
            self.connections.at(slot).note_arrivals(&limits, now);
            self.hold_memory(slot, now);
            self.bound_unread(slot, now);
            self.govern_reading(slot, now, outbox);
            self.note_rank(slot, now);
        }
        self.touched.clear();
    }

    /// Takes, keeps or gives back the memory that the connection's incomplete request needs.
    pub(super) fn hold_memory(&mut self, slot: u32, now: Now) {
        let limits = self.config.limits;
        let connection = self.connections.at(slot);
        if connection.phase == Phase::Free {
            return;
        }
        let (conn, peer) = (connection.id, connection.peer);
        if connection.waits_for_room() {
            return self.hold_whole(slot);
        }
        let partial = connection.phase == Phase::Open && connection.received.pending_bytes() > 0;
        let head_need = Need::known(if partial { HEAD_ALLOWANCE_BYTES } else { 0 });
        let body_need = match body_need(connection, &limits) {
            need if partial && need.bytes > HEAD_ALLOWANCE_BYTES => need,
            _ => Need::default(),
        };
        let memory = &mut connection.memory;
        let head = self.heads.settle(&mut memory.head, head_need, conn, peer);
        let body = self.bodies.settle(&mut memory.body, body_need, conn, peer);
        // The grant for a body is enough for its head as well.
        let decisive = if body_need.bytes > 0 { &body } else { &head };
        // What is behind answers is looked at when they have left.
        if decisive.standing == Standing::Waits && !connection.is_too_far_ahead(&limits) {
            self.wait_for_memory(slot, now);
        } else {
            self.leave_memory_queue(slot);
        }
        if head.turn == Turn::Next || body.turn == Turn::Next {
            self.wake_budget_waiters();
        }
    }

    /// The same for a connection whose request is whole and waits for room: it needs what it has received and no more, and
    /// is not in the way of those that wait for memory.
    fn hold_whole(&mut self, slot: u32) {
        let connection = self.connections.at(slot);
        let (conn, peer) = (connection.id, connection.peer);
        let body_bytes = match connection.admitted() {
            Some(Admitted { incoming, .. }) if incoming.whole_bytes() > HEAD_ALLOWANCE_BYTES => {
                incoming.whole_bytes()
            }
            _ => 0,
        };
        let head_bytes = match body_bytes {
            0 => connection
                .received
                .pending_bytes()
                .min(HEAD_ALLOWANCE_BYTES),
            _ => 0,
        };
        let memory = &mut connection.memory;
        let head = self.heads.keep(&mut memory.head, head_bytes, conn, peer);
        let body = self.bodies.keep(&mut memory.body, body_bytes, conn, peer);
        self.leave_memory_queue(slot);
        if head == Turn::Next || body == Turn::Next {
            self.wake_budget_waiters();
        }
    }

    /// Lets the connections that wait longest for memory ask again.
    pub(super) fn wake_budget_waiters(&mut self) {
        for conn in [self.heads.longest_waiting(), self.bodies.longest_waiting()]
            .into_iter()
            .flatten()
        {
            self.queue(conn.slot);
        }
    }

    /// Pauses reading while there is no memory for what may arrive, and resumes it when there is. The clock of a request
    /// stands still meanwhile.
    fn govern_reading(&mut self, slot: u32, now: Now, outbox: &mut Outbox) {
        let limits = self.config.limits;
        let connection = self.connections.at(slot);
        if connection.phase == Phase::Free {
            return;
        }
        let may_read = may_read(connection, &limits);
        match (may_read, connection.paused_us) {
            (false, None) => {
                connection.paused_us = Some(now.mono_us);
                outbox.ops.push(Op::PauseRead(connection.id));
            }
            (true, Some(paused_us)) => {
                connection.paused_us = None;
                connection.resume_clock(paused_us, now);
                outbox.ops.push(Op::ResumeRead(connection.id));
            }
            (true, None) | (false, Some(_)) => {}
        }
    }

    /// The connection's head-of-line request lacks memory: it has until its deadline.
    fn wait_for_memory(&mut self, slot: u32, now: Now) {
        let due_us = now.mono_us + self.config.limits.deadline_us;
        let connection = self.connections.at(slot);
        if connection.memory.place.is_none() {
            let place = self.for_memory.join(due_us, connection.id);
            connection.memory.place = Some(place);
        }
    }

    /// Refuses requests that waited too long for memory. What of them has not been read yet is skipped, or the connection
    /// ends, as with every refusal.
    pub(super) fn refuse_short_of_memory(&mut self, now: Now) {
        while let Some(Waiter { place, conn }) = self
            .for_memory
            .first()
            .filter(|waiter| waiter.place.due_us <= now.mono_us)
        {
            self.leave_memory_queue(conn.slot);
            let connection = self.connections.at(conn.slot);
            if connection.phase != Phase::Open {
                continue; // its last answer is owed already
            }
            let request = connection.admitted().map(|admitted| admitted.incoming);
            let is_post = connection.holds_part_of_a_post();
            self.stats().ingest.add(u64::from(is_post));
            let since_us = place.since_us(self.config.limits.deadline_us);
            let problem = Problem::DeadlineExceeded;
            self.refuse(conn.slot, problem, request.as_ref(), since_us, now);
            self.touched.push(conn.slot);
            self.queue(conn.slot);
        }
    }

    pub(super) fn leave_memory_queue(&mut self, slot: u32) {
        if let Some(place) = self.connections.at(slot).memory.place.take() {
            self.for_memory.leave(place);
        }
    }
}

/// Whether more may be read from a connection.
fn may_read(connection: &Connection, limits: &ShardLimits) -> bool {
    let need_bytes = body_need(connection, limits).bytes;
    let pending_bytes = connection.received.pending_bytes();
    let memory = &connection.memory;
    match connection.phase {
        Phase::Open if pending_bytes == 0 => true,
        Phase::Open if need_bytes > HEAD_ALLOWANCE_BYTES => {
            memory.body.bytes >= need_bytes && pending_bytes < need_bytes
        }
        // What is whole and waits for room is read behind only as far as there is memory that no other waits for.
        Phase::Open if connection.waits_for_room() => {
            memory.head.bytes >= pending_bytes && pending_bytes < HEAD_ALLOWANCE_BYTES
        }
        Phase::Open => memory.head.bytes > 0 && pending_bytes < HEAD_ALLOWANCE_BYTES,
        Phase::Closing | Phase::Lingering { .. } | Phase::Free => true,
    }
}

/// Memory for the head-of-line request of a connection, if it takes more than every connection may hold. The length of an
/// unfinished chunked body is not known: it begins with little, and needs more when that is full.
fn body_need(connection: &Connection, limits: &ShardLimits) -> Need {
    let pending_bytes = connection.received.pending_bytes();
    let Some(admitted) = connection.admitted() else {
        return Need::default();
    };
    let incoming = &admitted.incoming;
    if !incoming.head.chunked {
        return Need::known(incoming.whole_bytes());
    }
    if pending_bytes < HEAD_ALLOWANCE_BYTES {
        return Need::default();
    }
    let bytes_max = limits.chunked_bytes_max_behind(&incoming.head);
    if admitted.is_batch() {
        // Memory is left for one record that grows to become whole, and not for a batch.
        return Need::known(bytes_max);
    }
    let mut steps = CHUNKED_STEPS_BYTES.into_iter();
    let step = steps.find(|&step| pending_bytes < step);
    let bytes = step.map_or(bytes_max, |step| step.min(bytes_max));
    Need { bytes, bytes_max }
}
