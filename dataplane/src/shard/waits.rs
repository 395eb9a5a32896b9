//! How long things wait for the log, for other shards and in queues, for the statistics. It measures with the times of turns, and
//! nothing that it knows changes what is done.

use super::{Core, Ingress};
use crate::dedup::protocol::ToReceiver;
use crate::io::Now;
use crate::wal::name::Sequence;
use crate::wal::writer::LogCounters;

/// When what is in a batch began to wait.
#[derive(Clone, Copy, Debug, Default)]
struct Oldest {
    body_us: Option<u64>,
    decision_us: Option<u64>,
}

/// What is measured across turns.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The time of this turn.
    turn_us: u64,
    /// The oldest in the open batch.
    open: Oldest,
    /// The batch on its way: its sequence, when it was handed over, and the oldest in it.
    on_its_way: Option<(Sequence, u64, Oldest)>,
    /// What the log had counted when a batch became durable last.
    counted: LogCounters,
    /// Records of that batch.
    batch_records: u64,
}

impl Waits {
    /// A turn begins.
    pub(super) fn begin(&mut self, now: Now) {
        self.turn_us = now.mono_us;
    }

    /// A body was appended to the open batch.
    pub(super) fn body(&mut self) {
        self.open.body_us.get_or_insert(self.turn_us);
    }

    /// A decision was appended to the open batch.
    pub(super) fn decision(&mut self) {
        self.open.decision_us.get_or_insert(self.turn_us);
    }

    /// The time of this turn.
    pub(super) fn now_us(&self) -> u64 {
        self.turn_us
    }

    /// For how long something has waited that began then.
    pub(super) fn since(&self, began_us: u64) -> u64 {
        self.turn_us.saturating_sub(began_us)
    }
}

impl Ingress {
    /// The owner answered a claim.
    pub(super) fn measure_hop(&mut self, answer: &ToReceiver) {
        let (ToReceiver::Won { ticket, .. }
        | ToReceiver::Existing { ticket, .. }
        | ToReceiver::Unavailable { ticket }
        | ToReceiver::Withdrawn { ticket }) = answer;
        let flight = self.flights.expect(*ticket);
        let (claimed_us, trace) = (flight.claimed_us, flight.request.trace);
        let hop_us = self.waits.since(claimed_us);
        self.stats().owner_hop_s.observe_us(hop_us);
        if let Some(trace) = trace {
            self.trace_hop(trace);
        }
    }

    /// The open batch may have been handed over in this turn.
    pub(super) fn measure_commit(&mut self, core: &Core) {
        let sequence = core.log.submitted();
        let waits = &mut self.waits;
        let known = waits.on_its_way.map(|(sequence, ..)| sequence);
        if sequence > core.log.durable() && known != Some(sequence) {
            let oldest = std::mem::take(&mut waits.open);
            waits.on_its_way = Some((sequence, waits.turn_us, oldest));
        }
    }

    /// The batch on its way may have become durable.
    pub(super) fn measure_durable(&mut self, core: &Core) {
        let durable = core.log.durable();
        let batch = self.waits.on_its_way;
        let Some((_, submitted_us, oldest)) = batch.filter(|(sequence, ..)| *sequence <= durable)
        else {
            return;
        };
        self.waits.on_its_way = None;
        let counters = core.log.counters;
        let before = std::mem::replace(&mut self.waits.counted, counters);
        let (waits, stats) = (&self.waits, self.stats());
        stats.flush_s.observe_us(waits.since(submitted_us));
        if let Some(body_us) = oldest.body_us {
            stats.wal_wait_s.observe_us(waits.since(body_us));
        }
        if let Some(decision_us) = oldest.decision_us {
            stats.decision_wait_s.observe_us(waits.since(decision_us));
        }
        let records = counters.records - before.records;
        stats.batch_records.observe(records as f64);
        stats
            .batch_bytes
            .observe((counters.bytes - before.bytes) as f64);
        self.waits.batch_records = records;
    }

    /// Records of the batch that became durable last.
    pub(super) fn batch_records(&self) -> u64 {
        self.waits.batch_records
    }

    /// Lengths of queues, at the end of a turn.
    pub(super) fn show_queues(&self) {
        let stats = self.stats();
        stats.log_waiting.set(self.waiting.len() as u64);
        stats.look_ups.waiting.set(self.looks.count() as u64);
        stats.room_waiting.set(self.waiting_for_room_count() as u64);
        stats.share_waiting.set(self.for_share.count() as u64);
        stats.memory_waiting.set(self.for_memory.count() as u64);
        let held_bytes = self.heads.held_bytes() + self.bodies.held_bytes();
        stats.request_bytes.set(held_bytes as u64);
        stats.unsent_bytes.set(self.unsent_bytes as u64);
    }
}
