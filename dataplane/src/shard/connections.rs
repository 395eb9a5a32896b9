//! The table of a shard's connections, by the driver's slot, and the receive buffers that they share. It never looks into a
//! request.

use super::connection::{Connection, Phase};
use super::received::Buffers;
use crate::event::{ConnId, Peer};
use std::ops::Range;

/// All connections of a shard, by the driver's slot.
#[derive(Debug)]
pub(super) struct Connections {
    slots: Vec<Connection>,
    buffers: Buffers,
    open: u32,
}

/// A client sends its first request right behind its connection: a stop waits this long for it before it takes the
/// connection for an idle one.
pub(super) const FIRST_BYTES_US: u64 = 200_000;

impl Connections {
    /// No connection yet.
    pub(super) fn new(connections_max: u32) -> Connections {
        Connections {
            slots: Vec::with_capacity(connections_max as usize),
            buffers: Buffers::new(),
            open: 0,
        }
    }

    /// Bytes of all receive buffers, those kept for reuse included.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        let used = self.slots.iter().map(|it| it.received.capacity_bytes());
        used.sum::<usize>() + self.buffers.capacity_bytes()
    }

    /// All slots ever used, free ones included.
    #[cfg(debug_assertions)]
    pub(super) fn all(&self) -> &[Connection] {
        &self.slots
    }

    /// How many are not free.
    pub(super) fn open_count(&self) -> u32 {
        self.open
    }

    /// One behind the highest slot ever used.
    pub(super) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// A new connection in the driver's slot.
    pub(super) fn accept(&mut self, id: ConnId, peer: Peer, now_us: u64) {
        while self.slots.len() <= id.slot as usize {
            self.slots.push(Connection::default());
        }
        let slot = &mut self.slots[id.slot as usize];
        assert_eq!(
            slot.phase,
            Phase::Free,
            "the driver gives out a slot only after it was closed"
        );
        slot.begin_life(id);
        slot.peer = peer;
        slot.phase = Phase::Open;
        slot.active_us = now_us;
        slot.first_byte_deadline_us = now_us + FIRST_BYTES_US;
        self.open += 1;
    }

    /// The connection in a slot, whatever its phase.
    pub(super) fn at(&mut self, slot: u32) -> &mut Connection {
        &mut self.slots[slot as usize]
    }

    /// The connection of this id, unless it is gone.
    pub(super) fn get(&mut self, id: ConnId) -> Option<&mut Connection> {
        let connection = self.slots.get_mut(id.slot as usize)?;
        (connection.id == id && connection.phase != Phase::Free).then_some(connection)
    }

    /// Frees a slot; its memory is kept for the next connection. What it held in budgets and queues was given back before.
    pub(super) fn free(&mut self, slot: u32) {
        let slot = &mut self.slots[slot as usize];
        assert_ne!(slot.phase, Phase::Free, "a connection is freed once");
        let ended = slot.begin_life(slot.id);
        assert!(!ended.waits_for_room() && ended.memory.holds_nothing());
        assert_eq!((ended.unsent_bytes, ended.batch_reply_bytes), (0, 0));
        self.open -= 1;
        self.buffers.give_back(ended.received.into_buffer());
    }

    /// Notes bytes that arrived on a connection in this turn.
    pub(super) fn receive(&mut self, slot: u32, inbox: &[u8], range: Range<usize>) {
        let received = &mut self.slots[slot as usize].received;
        received.receive(inbox, range, &mut self.buffers);
    }

    /// Ends a turn for a connection: consumed bytes are forgotten, the rest moves from the inbox into its buffer.
    pub(super) fn keep(&mut self, slot: u32, inbox: &[u8]) {
        let received = &mut self.slots[slot as usize].received;
        received.keep(inbox, &mut self.buffers);
    }
}
