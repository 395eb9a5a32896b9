//! Whether the log stands still: something waits to become durable, or for the next segment, and nothing has become durable
//! for too long. The peers are notified, so that readiness is one answer for the process. It never changes what is admitted:
//! a request that waits has its own deadline.

use super::{Core, Ingress};
use crate::event::{Op, Outbox};
use crate::io::{Now, ShardId};
use crate::mesh::{Message, ToPeers};
use crate::wal::name::Sequence;

/// What this shard knows of its log's progress.
#[derive(Debug)]
pub(super) struct Stall {
    /// The durable position when it was looked at last.
    durable: Sequence,
    /// Since when something waits and nothing became durable.
    since_us: Option<u64>,
    /// Shards, this one included, whose log stands still.
    shards: Vec<bool>,
}

impl Stall {
    pub(super) fn new(shards: u16) -> Stall {
        Stall {
            durable: Sequence::default(),
            since_us: None,
            shards: vec![false; usize::from(shards)],
        }
    }

    /// Whether the log of any shard stands still.
    pub(super) fn any(&self) -> bool {
        self.shards.contains(&true)
    }

    /// A peer's log stands still, or moves again.
    pub(super) fn on_message(&mut self, from: ShardId, stalled: bool) {
        self.shards[usize::from(from.0)] = stalled;
    }
}

impl Ingress {
    /// Looks whether the durable prefix moved, and notifies the peers when the state of this log changed.
    pub(super) fn watch_log(&mut self, core: &Core, now: Now, outbox: &mut Outbox) {
        let me = self.id();
        let stall = &mut self.stall;
        let durable = core.log.durable();
        assert!(
            durable >= stall.durable,
            "durable is a prefix that only grows"
        );
        let moved = durable > stall.durable;
        stall.durable = durable;
        let waits = !core.log.is_quiet() || core.log.awaits_segment();
        stall.since_us = match (waits, moved) {
            (false, _) => None,
            (true, true) => Some(now.mono_us),
            (true, false) => stall.since_us.or(Some(now.mono_us)),
        };
        let stalled = self
            .stalls_at_us()
            .is_some_and(|at_us| at_us <= now.mono_us);
        let mine = &mut self.stall.shards[usize::from(me.0)];
        if *mine == stalled {
            return;
        }
        *mine = stalled;
        for peer in (0..self.config.shards).map(ShardId).filter(|it| *it != me) {
            let message = Message::ToPeers(ToPeers::Stalled(stalled));
            outbox.ops.push(Op::Message(peer, message));
        }
    }

    /// When the log counts as standing still, if nothing becomes durable before.
    fn stalls_at_us(&self) -> Option<u64> {
        let since_us = self.stall.since_us?;
        Some(since_us + self.config.limits.stall_us)
    }

    /// When the peers must be notified that it does.
    pub(super) fn stall_due_us(&self) -> Option<u64> {
        let known = self.stall.shards[usize::from(self.id().0)];
        self.stalls_at_us().filter(|_| !known)
    }
}
