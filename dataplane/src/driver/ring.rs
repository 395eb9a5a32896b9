//! The mesh: one single-producer single-consumer ring for each ordered pair of shards. Its size covers all messages that can
//! be in flight, so a send neither fails nor waits. It owns messages between the sender's turn and the receiver's next one.

use super::doorbell::Doorbell;
use crate::event::{Event, Inbox};
use crate::io::ShardId;
use crate::mesh::Message;
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;

/// One shard's ends of all its rings.
#[derive(Debug)]
pub struct MeshEnd {
    shard: ShardId,
    to: Vec<Option<Outward>>,
    from: Vec<Option<Consumer<Message>>>,
}

/// The direction to one peer: the messages of this turn, and the ring.
#[derive(Debug)]
struct Outward {
    staged: Vec<Message>,
    ring: Producer<Message>,
    bell: Arc<Doorbell>,
}

/// Makes the rings between all shards, one end per shard; `bells` in the order of the shards.
pub fn mesh(bells: &[Arc<Doorbell>], messages_max: usize) -> Vec<MeshEnd> {
    let shards = bells.len();
    let mut ends: Vec<MeshEnd> = (0..shards)
        .map(|shard| MeshEnd {
            shard: shard_id(shard),
            to: Vec::with_capacity(shards),
            from: (0..shards).map(|_| None).collect(),
        })
        .collect();
    for sender in 0..shards {
        for (receiver, bell) in bells.iter().enumerate() {
            if sender == receiver {
                ends[sender].to.push(None);
                continue;
            }
            let (producer, consumer) = RingBuffer::new(messages_max);
            ends[sender].to.push(Some(Outward {
                staged: Vec::with_capacity(messages_max.min(1024)),
                ring: producer,
                bell: Arc::clone(bell),
            }));
            ends[receiver].from[sender] = Some(consumer);
        }
    }
    ends
}

fn shard_id(index: usize) -> ShardId {
    match u16::try_from(index) {
        Ok(index) => ShardId(index),
        Err(_) => unreachable!("there are at most 65,536 shards: their ids have 16 bits"),
    }
}

impl MeshEnd {
    /// Keeps a message for the end of the turn.
    pub(crate) fn stage(&mut self, to: ShardId, message: Message) {
        assert!(
            to != self.shard,
            "a shard delivers to itself within the turn"
        );
        match self.to.get_mut(usize::from(to.0)) {
            Some(Some(outward)) => outward.staged.push(message),
            _ => unreachable!("shard {} is not in the mesh", to.0),
        }
    }

    /// At the end of a turn: sends each peer its messages as one batch, and calls `ring` for each peer that must be woken.
    pub(crate) fn flush(&mut self, mut ring: impl FnMut(ShardId, &Doorbell)) {
        for (index, outward) in self.to.iter_mut().enumerate() {
            let Some(outward) = outward else { continue };
            if outward.staged.is_empty() {
                continue;
            }
            let pushed = outward.ring.push_entire_slice(&outward.staged);
            assert!(
                pushed.is_ok(),
                "the ring to shard {index} is full: it was sized for all that can be in flight"
            );
            outward.staged.clear();
            if outward.bell.must_ring() {
                ring(shard_id(index), &outward.bell);
            }
        }
    }

    /// Receives all messages of peers.
    pub(crate) fn collect(&mut self, inbox: &mut Inbox) {
        for (index, ring) in self.from.iter_mut().enumerate() {
            let Some(ring) = ring else { continue };
            let from = shard_id(index);
            if let Ok(messages) = ring.read_chunk(ring.slots()) {
                inbox
                    .events
                    .extend(messages.into_iter().map(|m| Event::Message(from, m)));
            }
        }
    }

    /// The bell of a peer.
    pub(crate) fn bell(&self, of: ShardId) -> Option<&Doorbell> {
        let outward = self.to.get(usize::from(of.0))?.as_ref()?;
        Some(&outward.bell)
    }

    /// Whether there is no message to collect.
    pub(crate) fn is_empty(&self) -> bool {
        self.from.iter().flatten().all(Consumer::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::protocol::{Ticket, ToReceiver};

    fn bells(count: usize) -> Vec<Arc<Doorbell>> {
        (0..count)
            .map(|_| Arc::new(Doorbell::new().unwrap()))
            .collect()
    }

    fn message(slot: u32) -> Message {
        let ticket = Ticket {
            slot,
            generation: 0,
        };
        Message::ToReceiver(ToReceiver::Withdrawn { ticket })
    }

    fn collected(end: &mut MeshEnd) -> Vec<(u16, Message)> {
        let mut inbox = Inbox::default();
        end.collect(&mut inbox);
        let plain = |event| match event {
            Event::Message(from, message) => (from.0, message),
            other => panic!("unexpected {other:?}"),
        };
        inbox.events.into_iter().map(plain).collect()
    }

    #[test]
    fn messages_arrive_in_order_from_each_peer_and_only_after_the_flush() {
        let mut ends = mesh(&bells(3), 8);
        ends[0].stage(ShardId(2), message(1));
        ends[0].stage(ShardId(2), message(2));
        ends[1].stage(ShardId(2), message(3));
        assert!(ends[2].is_empty());
        for end in &mut ends {
            end.flush(|_, _| {});
        }
        assert!(!ends[2].is_empty());
        let expected = vec![(0, message(1)), (0, message(2)), (1, message(3))];
        assert_eq!(collected(&mut ends[2]), expected);
        assert!(ends[2].is_empty() && ends[0].is_empty() && ends[1].is_empty());
    }

    #[test]
    fn only_a_sleeping_peer_is_woken_and_once_per_flush() {
        let bells = bells(2);
        let mut ends = mesh(&bells, 8);
        let mut woken = Vec::new();
        ends[0].stage(ShardId(1), message(1));
        ends[0].flush(|shard, _| woken.push(shard));
        assert!(woken.is_empty());
        assert!(bells[1].may_sleep(|| true));
        ends[0].stage(ShardId(1), message(2));
        ends[0].stage(ShardId(1), message(3));
        ends[0].flush(|shard, _| woken.push(shard));
        assert_eq!(woken, vec![ShardId(1)]);
    }

    #[test]
    #[should_panic(expected = "sized for all that can be in flight")]
    fn a_full_ring_is_our_mistake() {
        let mut ends = mesh(&bells(2), 1);
        ends[0].stage(ShardId(1), message(1));
        ends[0].stage(ShardId(1), message(2));
        ends[0].flush(|_, _| {});
    }
}
