//! Messages between shards. A message is plain data of at most 192 bytes; one request in flight sends a bounded
//! number of them, so the rings between shards are sized once and a send can neither fail nor wait.

pub mod keeper;

use crate::dedup::protocol::{Looked, ToOwner, ToReceiver};

/// One message between shards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message {
    /// To the owner of a key.
    ToOwner(ToOwner),
    /// To the shard that a record arrived at.
    ToReceiver(ToReceiver),
    /// To the shard that was asked for an outcome.
    Looked(Looked),
    /// To every other shard.
    ToPeers(ToPeers),
}

/// A shard's state that every other shard's answers depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ToPeers {
    /// This shard's share of the dedup table is nearly full (`true`), or has room again.
    Pressure(bool),
    /// Nothing of this shard's log has become durable for too long although something waits (`true`), or it moves again.
    Stalled(bool),
}

const _: () = assert!(
    size_of::<Message>() <= 192,
    "a message is at most 192 bytes"
);

/// Messages that one ring must hold, given how many requests each of the two shards may have in flight, and how many look-ups.
///
/// A request's slot at its receiver sends its owner at most three messages (claim, withdraw, durable) and is not used for
/// another claim at that owner before the answer to this one was read; the `durable` of the request before may still lie
/// in the ring. That is four. The owner answers each claim and each withdrawal once: two per slot of the other shard.
///
/// A look-up sends its owner two messages (look, and look no more), the second of the look-up before in its slot may still lie
/// in the ring, and the owner answers once: four per slot.
///
/// Messages to peers belong to no request. A log stands still at most once in two seconds, and a table leaves its pressure
/// only after much was sealed: a peer that has left so many of them unread is not running any more.
pub fn ring_messages(in_flight_max: usize, looks_max: usize) -> usize {
    (4 + 2) * in_flight_max + (3 + 1) * looks_max + PEER_MESSAGES
}

/// Room in each ring for [`ToPeers`].
const PEER_MESSAGES: usize = 64;
