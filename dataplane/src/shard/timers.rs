//! Time: deadlines of requests, patience with slow clients, background work, and when the shard wants to be called again.
//! Clocks arrive with each turn; nothing on a record's path waits for any of these.

use super::answer::{Addressee, Answer};
use super::connection::{Phase, Reading};
use super::owed::{Owed, Reply};
use super::{Core, Deadline, Ingress};
use crate::dedup::claims::MemoryUse;
use crate::dedup::protocol::{Ticket, ToOwner};
use crate::event::{ConnId, Next, Op, Outbox};
use crate::http::{Problem, ResponsePart};
use crate::io::{Now, ShardId};
use crate::mesh::keeper::ToKeeper;
use crate::mesh::{Message, ToPeers};
use crate::wal::name::Sequence;
use crate::wal::record::Entry;

/// Slow and idle connections are looked for this often.
const SWEEP_US: u64 = 100_000;
/// While the table is nearly full, turns are at most this far apart.
const PRESSURE_TURN_US: u64 = 2_000;

impl Ingress {
    /// Requests that waited too long: 503 now, and their claims are withdrawn.
    pub(super) fn expire_deadlines(&mut self, core: &mut Core, now: Now, outbox: &mut Outbox) {
        while let Some(deadline) = self
            .deadlines
            .pop_front_if(|deadline| deadline.due_us <= now.mono_us)
        {
            self.withdraw(core, deadline.ticket, now, outbox);
            if self.is_unanswerable(Some(core), &deadline) {
                let answer = Answer::refusal(Problem::DeadlineExceeded);
                let needs = Sequence::default();
                let trace = self.flights.get(deadline.ticket);
                let trace = trace.and_then(|flight| flight.request.trace);
                self.trace_answer(trace, needs, needs);
                self.answer(core, deadline.to, answer, needs);
            }
        }
    }

    /// Drops deadlines of answered requests before the queue would grow: otherwise one request that waits long would keep
    /// those of all requests behind it. At most half of the queue is in use afterwards, so this happens rarely.
    pub(super) fn forget_answered(&mut self, core: &Core) {
        if self.deadlines.len() < self.deadlines.capacity() {
            return;
        }
        let mut open = std::mem::take(&mut self.deadlines);
        open.retain(|deadline| self.is_open(Some(core), deadline));
        if open.len() > open.capacity() / 2 {
            open.reserve(open.capacity());
        }
        self.deadlines = open;
    }

    /// Whether something happens to the request at its deadline.
    fn is_open(&mut self, core: Option<&Core>, deadline: &Deadline) -> bool {
        self.flights.get(deadline.ticket).is_some() || self.is_unanswerable(core, deadline)
    }

    /// Gives up the claim of a request, if it has one that is not granted.
    fn withdraw(&mut self, core: &mut Core, ticket: Ticket, now: Now, outbox: &mut Outbox) {
        let Some((request, claim)) = self.flights.withdraw(ticket) else {
            return;
        };
        let entry = Entry::Unanswered(request.body);
        core.log
            .push_disposition(request.body, request.line.into(), &entry);
        self.trace_answer(request.trace, Sequence::default(), core.log.durable());
        let key = claim.candidate.key;
        let message = ToOwner::Withdraw { ticket, key };
        core.notify_owner(key, &message, now, outbox);
    }

    /// Whether the request has no answer that may leave: none at all, or one that waits for the log.
    fn is_unanswerable(&mut self, core: Option<&Core>, deadline: &Deadline) -> bool {
        let durable = core.map(|core| core.log.durable());
        let Addressee { conn, reply, line } = deadline.to;
        let Some(connection) = self.connections.get(conn) else {
            return false;
        };
        match connection.owed.get_mut(reply).map(|owed| &owed.reply) {
            Some(Reply::Pending) => true,
            Some(Reply::Ready { needs, .. }) => durable.is_none_or(|durable| *needs > durable),
            Some(Reply::Batch(batch)) => batch.is_unanswerable(line, durable),
            None => false,
        }
    }

    /// Looks for connections that are too slow, idle, or whose client does not take its answers.
    pub(super) fn sweep(&mut self, now: Now, outbox: &mut Outbox) {
        if now.mono_us < self.swept_us + SWEEP_US || self.connections.open_count() == 0 {
            return;
        }
        let swept_for_us = now.mono_us - self.swept_us;
        self.swept_us = now.mono_us;
        let mut slowest = self.begin_slowest();
        for slot in 0..self.connections.slots() {
            let conn = self.connections.at(slot).id;
            self.connections.at(slot).excuse(now.mono_us, swept_for_us);
            self.compare_pace(slot, now, &mut slowest);
            match self.patience(slot, now) {
                Patience::Lasts => {}
                Patience::Refuse(problem) => self.time_out(conn, problem, now),
                Patience::Finish => {
                    self.connections.at(slot).phase = Phase::Closing;
                    self.due.push(conn);
                }
                Patience::Cut => self.drop_connection(conn, outbox),
                Patience::SkipNoMore => _ = self.end_skip(slot),
            }
        }
        self.cut_slowest(&slowest, now);
    }

    fn patience(&mut self, slot: u32, now: Now) -> Patience {
        let limits = self.config.limits;
        let skips_too_long = self.skips_too_long(slot, now);
        let connection = self.connections.at(slot);
        let quiet_us = now.mono_us.saturating_sub(connection.active_us);
        match connection.phase {
            Phase::Free => return Patience::Lasts,
            Phase::Lingering { until_us }
                if now.mono_us >= until_us && connection.unsent_bytes == 0 =>
            {
                return Patience::Cut;
            }
            Phase::Closing | Phase::Lingering { .. } => {
                let stalled = connection.unsent_bytes > 0 && quiet_us >= limits.stalled_timeout_us;
                return if stalled {
                    Patience::Cut
                } else {
                    Patience::Lasts
                };
            }
            Phase::Open => {}
        }
        if connection.unsent_bytes > 0 && quiet_us >= limits.stalled_timeout_us {
            return Patience::Cut;
        }
        if connection.is_at_rest() && quiet_us >= limits.idle_timeout_us {
            return Patience::Finish;
        }
        if skips_too_long {
            return Patience::SkipNoMore;
        }
        let Some(taken_us) = connection.taken_us(now) else {
            return Patience::Lasts;
        };
        match &connection.reading {
            Reading::Preface | Reading::Head if taken_us >= limits.head_timeout_us => {
                Patience::Refuse(Problem::HeadTimeout)
            }
            Reading::Body(admitted) if taken_us > limits.body_grace_us => {
                let pending_bytes = connection.received.pending_bytes();
                let body_bytes = pending_bytes.saturating_sub(admitted.incoming.head.head_len);
                let slow_us = taken_us - limits.body_grace_us;
                let owed_bytes = slow_us.saturating_mul(limits.body_bytes_per_s_min) / 1_000_000;
                if (body_bytes as u64) < owed_bytes {
                    Patience::Refuse(Problem::BodyTimeout)
                } else {
                    Patience::Lasts
                }
            }
            _ => Patience::Lasts,
        }
    }

    pub(super) fn time_out(&mut self, conn: ConnId, problem: Problem, now: Now) {
        if self.connections.get(conn).is_none() || self.end_skip(conn.slot) {
            return; // it has its answer
        }
        let connection = self.connections.at(conn.slot);
        let is_post = connection.holds_part_of_a_post();
        connection.owed.owe(Owed {
            reply: Reply::at_once(Answer::refusal(problem)),
            since_us: now.mono_us,
            last: true,
            part: ResponsePart::Whole,
            repeats_keep_alive: false,
            trace: None,
        });
        connection.end_request();
        connection.phase = Phase::Closing;
        self.stats().ingest.add(u64::from(is_post));
        self.due.push(conn);
        self.touched.push(conn.slot);
        self.queue(conn.slot);
    }

    /// Bounded work that no answer waits for.
    pub(super) fn background(&mut self, core: &mut Core, now: Now, outbox: &mut Outbox) {
        let me = self.id();
        let shards = self.config.shards;
        core.owner.step(core.clock_s(now));
        if let Some(version) = core.owner.take_switched() {
            outbox.ops.push(Op::Keeper(ToKeeper::Switched { version }));
        }
        let memory_use = core.owner.memory_use();
        if self.memory_use != memory_use {
            self.memory_use = memory_use;
            outbox.ops.push(Op::Keeper(ToKeeper::Memory(memory_use)));
        }
        let under_pressure = memory_use == MemoryUse::Full;
        let mine = &mut self.under_pressure[usize::from(me.0)];
        if *mine != under_pressure {
            *mine = under_pressure;
            for peer in (0..shards).map(ShardId).filter(|peer| *peer != me) {
                let message = Message::ToPeers(ToPeers::Pressure(under_pressure));
                outbox.ops.push(Op::Message(peer, message));
            }
        }
        let stats = &self.config.stats.shards[usize::from(me.0)];
        stats.wal_syncs.set(core.log.counters.syncs);
        stats.wal_bytes.set(core.log.counters.bytes);
        stats.wal_records.set(core.log.counters.records);
        stats.wal_errors.set(core.log.counters.errors);
        stats.flights.set(self.flights.count() as u64);
        stats.dedup_keys.set(core.owner.table().len());
        stats.dedup_bytes.set(core.owner.table().memory_bytes());
        stats.dedup_bytes_max.set(self.config.dedup_bytes_max);
        let claims = core.owner.counters();
        stats.slice_reads.set(claims.reads);
        stats.slice_read_errors.set(claims.read_errors);
        stats.slice_blocks_damaged.set(claims.blocks_damaged);
        stats.claim_faults.set(claims.overflows + claims.misrouted);
    }

    /// When to take the next turn if nothing happens before.
    pub(super) fn next(&mut self, core: Option<&Core>, now: Now) -> Next {
        while let Some(deadline) = self.deadlines.front().copied() {
            if self.is_open(core, &deadline) {
                break;
            }
            self.deadlines.pop_front();
        }
        // A full batch or a full table of flights empties by an event; the batch just handed over has done so already.
        let may_frame = !self.ready.is_empty()
            || self.has_room_for_the_first(core)
            || self.may_admit_by_share(core);
        let answers = core.is_some_and(|core| {
            !core.effects.answers.is_empty() || !core.effects.looked.is_empty()
        });
        if may_frame || answers || !self.due.is_empty() || self.renders_on() {
            return Next::Now;
        }
        let far_us = now.mono_us + 10_000_000;
        let mut at_us = far_us;
        let mut sooner =
            |candidate_us: Option<u64>| at_us = at_us.min(candidate_us.unwrap_or(far_us));
        sooner(core.and_then(|core| core.log.mark_due_us()));
        sooner(self.deadlines.front().map(|deadline| deadline.due_us));
        sooner(self.looks.due_us());
        sooner(self.for_room.first().map(|waiter| waiter.place.due_us));
        sooner(self.for_share.first().map(|waiter| waiter.place.due_us));
        sooner(self.for_memory.first().map(|waiter| waiter.place.due_us));
        sooner((self.connections.open_count() > 0).then_some(self.swept_us + SWEEP_US));
        sooner(self.drain.next_us());
        sooner(self.make_room_again_us(now));
        sooner(self.stall_due_us());
        sooner(self.evicted_due_us());
        sooner(self.foreign_due_us());
        sooner(self.keys_change_us(now));
        // What may leave the table leaves it a piece per turn.
        let waits = self.memory_use == MemoryUse::Full;
        sooner(waits.then_some(now.mono_us + PRESSURE_TURN_US));
        // What is due and could not be done in this turn waits for an event; to ask again and again would only burn a core.
        if at_us <= now.mono_us {
            Next::At(now.mono_us + 1_000)
        } else {
            Next::At(at_us)
        }
    }
}

/// What to do with a slow connection.
enum Patience {
    Lasts,
    /// Answer, then close.
    Refuse(Problem),
    /// Close politely.
    Finish,
    /// Close now.
    Cut,
    /// Close behind the refusal whose body does not end.
    SkipNoMore,
}
