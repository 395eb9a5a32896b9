//! First stage: every event of the turn is applied to the state that it concerns, and nothing is acted upon yet.

use super::config::BATCH_BLOCKS_BYTES;
use super::connections::Phase;
use super::{Core, Shard};
use crate::dedup::claims::{Owner, OwnerConfig};
use crate::dedup::key::KeyHash;
use crate::event::{ConnId, Event, Inbox, Now, Op, Outbox, Peer, ShardId};
use crate::keeper::messages::{Begin, ToShard};
use crate::mesh::Message;
use crate::wal::batch::{self, OpenBatch};
use crate::wal::buffer::Blocks;
use crate::wal::writer::LogWriter;

impl Shard {
    pub(super) fn collect(&mut self, inbox: &mut Inbox, now: Now, outbox: &mut Outbox) {
        let Inbox { events, bytes } = inbox;
        for event in events.drain(..) {
            match event {
                Event::Accepted(conn, peer) => self.accepted(conn, peer, now, outbox),
                Event::Received(conn, range) => {
                    let Some(connection) = self.connections.get(conn) else {
                        continue;
                    };
                    connection.active_us = now.mono_us;
                    connection.speaks_by_us = 0;
                    if connection.phase == Phase::Open {
                        self.connections.receive(conn.slot, bytes, range);
                        self.touched.push(conn.slot);
                        self.queue(conn.slot);
                    }
                }
                Event::Ended(conn) => {
                    let Some(connection) = self.connections.get(conn) else {
                        continue;
                    };
                    connection.ended = true;
                    self.touched.push(conn.slot);
                    self.queue(conn.slot);
                    self.due.push(conn);
                }
                Event::Broken(conn) => self.drop_connection(conn, outbox),
                Event::Sent(conn, sent_bytes) => {
                    let Some(connection) = self.connections.get(conn) else {
                        continue;
                    };
                    let sent_bytes = sent_bytes.min(connection.unsent_bytes);
                    connection.unsent_bytes -= sent_bytes;
                    self.unsent_bytes -= sent_bytes as usize;
                    connection.active_us = now.mono_us;
                    if connection.pending_bytes() > 0 {
                        self.queue(conn.slot);
                    }
                    self.due.push(conn);
                }
                Event::Written(blocks, result) => {
                    let Some(core) = self.core.as_mut() else {
                        continue;
                    };
                    core.log.written(blocks, result, &mut outbox.ops);
                }
                Event::Synced(result) => {
                    let Some(core) = self.core.as_mut() else {
                        continue;
                    };
                    core.log.synced(result, &mut outbox.ops);
                }
                Event::ReadDone(id, result) => {
                    let Some(core) = self.core.as_mut() else {
                        continue;
                    };
                    let now_s = core.begin.clock.at(now.mono_us);
                    let block = result.map(|range| &bytes[range]);
                    core.owner
                        .read_done(id, block, now_s, &mut self.answers, &mut self.reads);
                }
                Event::ListenerClosed => self.listener_closed(),
                Event::Message(from, message) => self.heard(from, message, now),
                Event::Keeper(message) => self.told(message, now, outbox),
            }
        }
    }

    fn accepted(&mut self, conn: ConnId, peer: Peer, now: Now, outbox: &mut Outbox) {
        self.connections.accept(conn, peer, now.mono_us);
        self.note_rank(conn.slot, now);
        if self.accepting && self.connections.open_count() >= self.config.limits.connections_table()
        {
            self.accepting = false;
            outbox.ops.push(Op::PauseAccept);
        }
        self.stats()
            .connections
            .set(u64::from(self.connections.open_count()));
    }

    /// A message of a peer, or an answer to a claim of ours.
    ///
    /// A peer may serve before this shard has its partitions loaded. What it asks then waits: answered from a table that is
    /// not complete, an id with a live outcome would be granted a second time.
    fn heard(&mut self, from: ShardId, message: Message, now: Now) {
        if !self.loaded {
            self.early.push((from, message));
            return;
        }
        let Some(core) = self.core.as_mut() else {
            return;
        };
        let now_s = core.begin.clock.at(now.mono_us);
        let (answers, reads) = (&mut self.answers, &mut self.reads);
        match message {
            Message::Claim { ticket, candidate } => core
                .owner
                .claim(from, ticket, &candidate, now_s, answers, reads),
            Message::Withdraw { ticket, key } => core.owner.withdraw(from, ticket, key, answers),
            Message::Durable { ticket, key, epoch } => {
                core.owner.durable(from, ticket, key, epoch, answers)
            }
            Message::Stalled(stalled) => self.stall.heard(from, stalled),
            Message::Pressure(pressed) => self.pressed[usize::from(from.0)] = pressed,
            Message::Won { .. }
            | Message::Existing { .. }
            | Message::Unavailable { .. }
            | Message::Withdrawn { .. } => {
                self.claims_abroad = self.claims_abroad.saturating_sub(1);
                let to = self.id();
                self.answers
                    .push(crate::dedup::claims::Answer { to, message });
            }
        }
    }

    /// A message of the keeper.
    fn told(&mut self, message: ToShard, now: Now, outbox: &mut Outbox) {
        match message {
            ToShard::Begin(begin) => self.begin(begin),
            ToShard::Load(entries) => {
                if let Some(core) = self.core.as_mut() {
                    core.owner.load(&entries);
                }
            }
            ToShard::Serve { admit } => {
                self.serving = admit;
                self.loaded = true;
                for (from, message) in std::mem::take(&mut self.early) {
                    self.heard(from, message, now);
                }
            }
            ToShard::Segment(segment) => {
                if let Some(core) = self.core.as_mut() {
                    core.log.offer(segment);
                }
            }
            ToShard::Roll(epoch) => {
                if let Some(core) = self.core.as_mut() {
                    core.log.roll(epoch, &mut outbox.ops);
                }
            }
            ToShard::Clock(clock) => {
                if let Some(core) = self.core.as_mut() {
                    core.begin.clock = clock;
                }
            }
            ToShard::SpaceLow(why) => self.space_low = why,
            ToShard::Slices(set) => {
                if let Some(core) = self.core.as_mut() {
                    core.owner.switch_slices(set);
                }
            }
            ToShard::Drain => self.begin_drain(now),
            ToShard::Finish => self.finish(),
        }
    }

    fn begin(&mut self, begin: Box<Begin>) {
        let limits = self.config.limits;
        let partitions = begin
            .owners
            .iter()
            .enumerate()
            .filter(|&(_, owner)| *owner == self.id());
        let mut mine = partitions.map(|(partition, _)| partition as u16);
        let first = mine.next().unwrap_or(0);
        let range = first..mine.next_back().map_or(first + 1, |last| last + 1);
        let owner = Owner::new(OwnerConfig {
            partitions: range,
            table_bytes_max: self.config.dedup_bytes_max,
            claims_max: limits.flights_max * u32::from(self.config.shards),
            ttl_s: self.config.ttl_s,
        });
        let open = OpenBatch::new(batch::Limits::default());
        let log = LogWriter::new(
            &begin,
            open,
            Box::new(Blocks::with_capacity(BATCH_BLOCKS_BYTES)),
        );
        self.settled_told = log.durable();
        let params = begin.params.len().saturating_sub(1) as u16;
        let hash = KeyHash::new(begin.secret);
        self.core = Some(Core {
            begin,
            log,
            owner,
            hash,
            params,
        });
    }

    /// Forgets a connection and releases it at the driver. Its requests in flight go on without it.
    pub(super) fn drop_connection(&mut self, conn: ConnId, outbox: &mut Outbox) {
        if self.connections.get(conn).is_none() {
            return;
        }
        self.release_memory(conn);
        self.leave_queues(conn.slot);
        self.connections.free(conn.slot);
        self.order.place(conn.slot, None, 0);
        outbox.ops.push(Op::Close(conn));
        self.wake_budget_waiters();
        if !self.accepting && !self.drain.listener_closed {
            self.accepting = true;
            outbox.ops.push(Op::ResumeAccept);
        }
        self.stats()
            .connections
            .set(u64::from(self.connections.open_count()));
    }
}
