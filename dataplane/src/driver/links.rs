//! A shard's links to the rest of the process: its ends of the mesh, its mailboxes with the keeper, its doorbell. It carries
//! messages and wakes sleeping threads; it never interprets a message.

use super::doorbell::Doorbell;
use super::ring::{MeshEnd, mesh};
use crate::event::{Event, Inbox};
use crate::io::ShardId;
use crate::keeper::port::KeeperEvent;
use crate::mesh::Message;
use crate::mesh::keeper::{ToKeeper, ToShard};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// A shard's side.
///
/// The mailboxes with the keeper are unbounded channels. The protocol bounds their content: a few messages per segment and
/// one `Resolved` per batch; decisions are loaded before the shard serves.
#[derive(Debug)]
pub struct Links {
    shard: ShardId,
    mesh: MeshEnd,
    from_keeper: Receiver<ToShard>,
    peeked: VecDeque<ToShard>,
    to_keeper: Sender<(ShardId, ToKeeper)>,
    keeper_bell: Arc<Doorbell>,
    keeper_has_news: bool,
    bell: Arc<Doorbell>,
}

/// The keeper's side.
#[derive(Debug)]
pub struct KeeperLinks {
    from_shards: Receiver<(ShardId, ToKeeper)>,
    peeked: VecDeque<(ShardId, ToKeeper)>,
    from_agent: Receiver<KeeperEvent>,
    from_agent_peeked: VecDeque<KeeperEvent>,
    to_keeper: Sender<KeeperEvent>,
    mail: ShardMail,
    bell: Arc<Doorbell>,
}

/// Sends to shards from another thread than the keeper's.
#[derive(Clone, Debug)]
pub(crate) struct ShardMail {
    to_shards: Vec<Sender<ToShard>>,
    shard_bells: Vec<Arc<Doorbell>>,
}

/// Sends to the keeper from another thread than the shards'.
#[derive(Clone, Debug)]
pub(crate) struct KeeperMail {
    to_keeper: Sender<KeeperEvent>,
    bell: Arc<Doorbell>,
}

/// Links `bells.len()` shards with each other and with the keeper.
pub fn link(
    shard_bells: &[Arc<Doorbell>],
    keeper_bell: &Arc<Doorbell>,
    messages_max: usize,
) -> (Vec<Links>, KeeperLinks) {
    let (to_keeper, from_shards) = channel();
    let mut to_shards = Vec::with_capacity(shard_bells.len());
    let links = mesh(shard_bells, messages_max)
        .into_iter()
        .zip(shard_bells)
        .zip(0..)
        .map(|((mesh, bell), shard)| {
            let (to_shard, from_keeper) = channel();
            to_shards.push(to_shard);
            Links {
                shard: ShardId(shard),
                mesh,
                from_keeper,
                peeked: VecDeque::new(),
                to_keeper: to_keeper.clone(),
                keeper_bell: Arc::clone(keeper_bell),
                keeper_has_news: false,
                bell: Arc::clone(bell),
            }
        })
        .collect();
    let (agent_to_keeper, from_agent) = channel();
    let keeper = KeeperLinks {
        from_shards,
        peeked: VecDeque::new(),
        from_agent,
        from_agent_peeked: VecDeque::new(),
        to_keeper: agent_to_keeper,
        mail: ShardMail {
            to_shards,
            shard_bells: shard_bells.to_vec(),
        },
        bell: Arc::clone(keeper_bell),
    };
    (links, keeper)
}

impl Links {
    /// The shard's own bell.
    pub(crate) fn bell(&self) -> &Arc<Doorbell> {
        &self.bell
    }

    /// Keeps a message for a peer until the end of the turn.
    pub(crate) fn stage(&mut self, to: ShardId, message: Message) {
        self.mesh.stage(to, message);
    }

    /// Sends to the keeper; it is woken at the end of the turn.
    pub(crate) fn tell_keeper(&mut self, message: ToKeeper) {
        // The keeper's end is dropped only when the process ends; then the message is not needed.
        let _ = self.to_keeper.send((self.shard, message));
        self.keeper_has_news = true;
    }

    /// At the end of a turn: delivers what was staged, and calls `ring` for each peer that must be woken.
    pub(crate) fn flush(&mut self, ring: impl FnMut(ShardId, &Doorbell)) {
        self.mesh.flush(ring);
        if std::mem::take(&mut self.keeper_has_news) {
            self.keeper_bell.ring_if_asleep();
        }
    }

    /// Receives all messages of peers and keeper; returns how many were of peers.
    pub(crate) fn collect(&mut self, inbox: &mut Inbox) -> usize {
        let others = inbox.events.len();
        self.mesh.collect(inbox);
        let of_peers = inbox.events.len() - others;
        let peeked = self.peeked.drain(..);
        let all = peeked.chain(self.from_keeper.try_iter());
        inbox.events.extend(all.map(Event::Keeper));
        of_peers
    }

    /// Sets the "asleep" flag if there is nothing to collect; returns whether the caller may sleep.
    pub(crate) fn may_sleep(&mut self) -> bool {
        self.may_sleep_if(|| true)
    }

    /// The same with one more condition, checked after the flag was set.
    pub(crate) fn may_sleep_if(&mut self, nothing_else_waits: impl FnOnce() -> bool) -> bool {
        let Links {
            bell,
            mesh,
            from_keeper,
            peeked,
            ..
        } = self;
        bell.may_sleep(|| {
            // A channel has no check for emptiness, so a received message is kept for `collect`.
            peeked.extend(from_keeper.try_recv());
            peeked.is_empty() && mesh.is_empty() && nothing_else_waits()
        })
    }

    /// Wakes a peer by its eventfd, if its ring could not be used.
    pub(crate) fn ring_by_eventfd(&self, peer: ShardId) {
        if let Some(bell) = self.mesh.bell(peer) {
            bell.ring_eventfd();
        }
    }
}

impl KeeperLinks {
    /// The keeper's own bell.
    pub(crate) fn bell(&self) -> &Arc<Doorbell> {
        &self.bell
    }

    /// The next message of any shard, if there is one.
    pub fn try_take(&mut self) -> Option<(ShardId, ToKeeper)> {
        let peeked = self.peeked.pop_front();
        peeked.or_else(|| self.from_shards.try_recv().ok())
    }

    /// Whether there is no message to take.
    pub(crate) fn is_empty(&mut self) -> bool {
        self.peeked.extend(self.from_shards.try_recv());
        self.from_agent_peeked.extend(self.from_agent.try_recv());
        self.peeked.is_empty() && self.from_agent_peeked.is_empty()
    }

    /// The next event from the configuration agent, if there is one.
    pub(crate) fn try_take_from_agent(&mut self) -> Option<KeeperEvent> {
        let peeked = self.from_agent_peeked.pop_front();
        peeked.or_else(|| self.from_agent.try_recv().ok())
    }

    /// Sends to this keeper from another thread.
    pub(crate) fn keeper_mail(&self) -> KeeperMail {
        KeeperMail {
            to_keeper: self.to_keeper.clone(),
            bell: Arc::clone(&self.bell),
        }
    }

    /// Waits at most this long for the next message of any shard. For callers that wait for nothing else.
    pub fn take_within(&self, wait: Duration) -> Option<(ShardId, ToKeeper)> {
        self.from_shards.recv_timeout(wait).ok()
    }

    /// Sends to a shard and wakes it.
    pub fn tell(&self, shard: ShardId, message: ToShard) {
        self.mail.send(shard, message);
    }

    /// The same for another thread.
    pub(crate) fn mail(&self) -> ShardMail {
        self.mail.clone()
    }

    /// Asks all shards to leave their loops.
    pub(crate) fn tell_all_to_end(&self) {
        for bell in &self.mail.shard_bells {
            bell.tell_to_end();
        }
    }
}

impl KeeperMail {
    /// Sends to the keeper and wakes it.
    pub(crate) fn send(&self, event: KeeperEvent) {
        // The keeper's end is dropped only when the process ends.
        let _ = self.to_keeper.send(event);
        self.bell.ring_if_asleep();
    }
}

impl ShardMail {
    /// Sends to a shard and wakes it.
    pub(crate) fn send(&self, shard: ShardId, message: ToShard) {
        let index = usize::from(shard.0);
        let (Some(to_shard), Some(bell)) = (self.to_shards.get(index), self.shard_bells.get(index))
        else {
            unreachable!("shard {} does not exist", shard.0)
        };
        // A shard's end is dropped only when the process ends.
        let _ = to_shard.send(message);
        bell.ring_if_asleep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::Epoch;

    #[test]
    fn what_was_seen_on_the_way_to_sleep_is_still_delivered_first() {
        let bell = || Arc::new(Doorbell::new().unwrap());
        let (mut shards, keeper) = link(&[bell()], &bell(), 1);
        keeper.tell(ShardId(0), ToShard::Roll(Epoch::first()));
        assert!(!shards[0].may_sleep());
        keeper.tell(ShardId(0), ToShard::Drain);
        let mut inbox = Inbox::default();
        shards[0].collect(&mut inbox);
        let events = &inbox.events[..];
        assert!(matches!(
            events,
            [
                Event::Keeper(ToShard::Roll(epoch)),
                Event::Keeper(ToShard::Drain)
            ] if *epoch == Epoch::first()
        ));
        assert!(shards[0].may_sleep());
    }

    #[test]
    fn the_keeper_learns_who_speaks() {
        let bell = || Arc::new(Doorbell::new().unwrap());
        let (mut shards, mut keeper) = link(&[bell(), bell()], &bell(), 1);
        assert!(keeper.bell().may_sleep(|| true));
        shards[1].tell_keeper(ToKeeper::Idle(true));
        shards[1].flush(|_, _| {});
        assert!(!keeper.bell().must_ring(), "the flush has rung already");
        assert_eq!(keeper.try_take(), Some((ShardId(1), ToKeeper::Idle(true))));
        assert_eq!(keeper.try_take(), None);
    }
}
