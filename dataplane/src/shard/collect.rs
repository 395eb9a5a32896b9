//! First stage: every event of the turn is applied to the state that it concerns, and nothing is acted upon yet.

use super::connection::Phase;
use super::tenants::InForce;
use super::{Core, Ingress};
use crate::dedup::claims::{ClaimAnswer, LookAnswer};
use crate::event::{ConnId, Event, Inbox, Op, Outbox, Peer};
use crate::io::{Now, ShardId};
use crate::mesh::keeper::ToShard;
use crate::mesh::{Message, ToPeers};
use crate::snapshot::Snapshot;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

impl Ingress {
    pub(super) fn collect(
        &mut self,
        core: &mut Option<Box<Core>>,
        inbox: &mut Inbox,
        now: Now,
        outbox: &mut Outbox,
    ) {
        let Inbox { events, bytes } = inbox;
        for event in events.drain(..) {
            match event {
                Event::Accepted(conn, address) => self.accepted(conn, address, now, outbox),
                Event::Received(conn, range) => self.received(conn, bytes, range, now),
                Event::Ended(conn) => self.ended(conn),
                Event::Broken(conn) => self.drop_connection(conn, outbox),
                Event::Sent(conn, sent_bytes) => self.sent(conn, sent_bytes, now),
                Event::Written(blocks, result) => {
                    begun(core).log.written(blocks, result, &mut outbox.ops);
                }
                Event::Synced(result) => begun(core).log.synced(result, &mut outbox.ops),
                Event::ReadDone(id, result) => {
                    let core = begun(core);
                    let now_s = core.clock_s(now);
                    let block = result.map(|range| &bytes[range]);
                    core.owner.read_done(id, block, now_s, &mut core.effects);
                    core.tell_damage(now, outbox);
                }
                Event::ListenerClosed => self.listener_closed(),
                Event::Message(from, message) if self.loaded => {
                    self.on_message(begun(core), from, message, now);
                }
                // A peer may serve before this shard has its partitions loaded. What it asks then waits: answered from a
                // table that is not complete, an id with a live outcome would be granted a second time.
                Event::Message(from, message) => self.early.push((from, message)),
                Event::Keeper(message) => self.on_keeper_message(core, message, now, outbox),
            }
        }
    }

    fn accepted(&mut self, conn: ConnId, address: IpAddr, now: Now, outbox: &mut Outbox) {
        self.connections
            .accept(conn, Peer::from(address), now.mono_us);
        self.meet(conn.slot, address);
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

    // An event may concern a connection that the shard has closed in the meantime: it changes nothing then.

    fn received(&mut self, conn: ConnId, bytes: &[u8], range: Range<usize>, now: Now) {
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        if connection.unsent_bytes == 0 {
            // Else the client must take what it was sent, whatever it sends itself.
            connection.active_us = now.mono_us;
        }
        connection.first_byte_deadline_us = 0;
        if connection.phase == Phase::Open {
            self.connections.receive(conn.slot, bytes, range);
            self.touched.push(conn.slot);
            self.queue(conn.slot);
        }
    }

    fn ended(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        connection.ended = true;
        self.touched.push(conn.slot);
        self.queue(conn.slot);
        self.due.push(conn);
    }

    fn sent(&mut self, conn: ConnId, sent_bytes: u32, now: Now) {
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        let sent_bytes = sent_bytes.min(connection.unsent_bytes);
        connection.unsent_bytes -= sent_bytes;
        self.unsent_bytes -= sent_bytes as usize;
        connection.active_us = now.mono_us;
        if connection.received.pending_bytes() > 0 {
            self.queue(conn.slot);
        }
        self.due.push(conn);
    }

    fn on_message(&mut self, core: &mut Core, from: ShardId, message: Message, now: Now) {
        match message {
            Message::ToOwner(message) => core.on_owner_message(from, &message, now),
            Message::ToReceiver(message) => {
                let to = core.me;
                core.effects.answers.push(ClaimAnswer { to, message });
            }
            Message::Looked(message) => {
                let to = core.me;
                core.effects.looked.push(LookAnswer { to, message });
            }
            Message::ToPeers(ToPeers::Stalled(stalled)) => self.stall.on_message(from, stalled),
            Message::ToPeers(ToPeers::Pressure(under_pressure)) => {
                self.under_pressure[usize::from(from.0)] = under_pressure;
            }
        }
    }

    fn on_keeper_message(
        &mut self,
        core: &mut Option<Box<Core>>,
        message: ToShard,
        now: Now,
        outbox: &mut Outbox,
    ) {
        match message {
            ToShard::Begin(begin) => {
                assert!(core.is_none(), "a log begins once");
                if let Some(bytes_max) = begin.dedup_bytes_max {
                    self.config.dedup_bytes_max = bytes_max;
                }
                self.in_force.number(&begin.params);
                let snapshot = self.in_force.snapshot();
                *core = Some(Box::new(Core::new(&self.config, begin, snapshot)));
            }
            ToShard::Load(entries) => begun(core).owner.load(&entries),
            ToShard::Serve { admit } => {
                self.serving = admit;
                self.loaded = true;
                if admit {
                    self.accept(outbox);
                }
                let core = begun(core);
                for (from, message) in std::mem::take(&mut self.early) {
                    self.on_message(core, from, message, now);
                }
            }
            ToShard::Segment(segment) => begun(core).log.offer(segment),
            ToShard::Roll(epoch) => begun(core).log.roll(epoch, &mut outbox.ops),
            ToShard::Clock(clock) => begun(core).begin.clock = clock,
            ToShard::SpaceLow(why) => self.space_low = why,
            ToShard::Slices(set) => begun(core).owner.switch_slices(set),
            ToShard::Drain => self.begin_drain(now),
            ToShard::Params(versions) => {
                self.in_force.number(&versions);
                begun(core).begin.params = versions;
            }
            ToShard::Configure(snapshot) => self.configure(core.as_deref_mut(), snapshot, now),
            ToShard::Finish => self.finish(begun(core)),
        }
    }

    /// From here on this turn and those behind it judge under another snapshot.
    fn configure(&mut self, core: Option<&mut Core>, snapshot: Arc<Snapshot>, now: Now) {
        let versions = match core {
            Some(core) => {
                core.hash.know(snapshot.names());
                Arc::clone(&core.begin.params)
            }
            None => Arc::default(),
        };
        let number = u64::from(snapshot.number);
        let wall_s = now.wall_us / 1_000_000;
        let (page, before) = (&self.stats().tenants, Some(&self.in_force));
        self.in_force = InForce::new(Arc::clone(&snapshot), &versions, wall_s, page, before);
        self.stats().snapshot.set(number);
        self.configure_shares(&snapshot);
    }

    /// Accepts clients, from now on or still.
    fn accept(&mut self, outbox: &mut Outbox) {
        if !self.accepting && !self.drain.listener_closed {
            self.accepting = true;
            outbox.ops.push(Op::ResumeAccept);
        }
    }

    /// Forgets a connection and releases it at the driver. Its requests in flight go on without it.
    pub(super) fn drop_connection(&mut self, conn: ConnId, outbox: &mut Outbox) {
        if self.connections.get(conn).is_none() {
            return;
        }
        if self.traces_any() {
            self.trace_gone(conn);
        }
        self.release_memory(conn);
        self.leave_queues(conn.slot);
        self.looks.abandon(conn);
        self.connections.free(conn.slot);
        self.order.place(conn.slot, None, 0);
        outbox.ops.push(Op::Close(conn));
        self.wake_budget_waiters();
        self.accept(outbox);
        self.stats()
            .connections
            .set(u64::from(self.connections.open_count()));
    }
}

/// The shard's log, where what happened can only happen once it has begun.
fn begun(core: &mut Option<Box<Core>>) -> &mut Core {
    match core {
        Some(core) => core,
        None => unreachable!("an event of a log before the log has begun"),
    }
}
