//! What shards say to each other. A message is plain data of at most 192 bytes; one request in flight sends a bounded
//! number of them, so the rings between shards are sized once and a send can neither fail nor wait.

use crate::dedup::{Decided, Epoch, Key};

/// A request in flight at its receiving shard. The generation makes a late answer harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Slot in the receiver's table of requests in flight.
    pub slot: u32,
    /// Changes each time the slot is used.
    pub generation: u32,
}

/// One message between shards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message {
    /// To the owner of a key.
    ToOwner(ToOwner),
    /// To the shard that a record arrived at.
    ToReceiver(ToReceiver),
    /// To every other shard.
    ToPeers(ToPeers),
}

/// From the receiver of a record to the owner of its key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ToOwner {
    /// This validly signed record asks for its key. `candidate` is what will be the outcome if it wins; its `decided_at`
    /// and `expiry` are stamped by the owner.
    Claim {
        /// The request at the receiver.
        ticket: Ticket,
        /// The outcome if the claim wins.
        candidate: Decided,
    },
    /// The request gave up. Answered by [`ToReceiver::Withdrawn`] unless an answer is under way.
    Withdraw {
        /// The request at the receiver.
        ticket: Ticket,
        /// Its key.
        key: Key,
    },
    /// The winner's decision is durable.
    Durable {
        /// The request that won.
        ticket: Ticket,
        /// Its key.
        key: Key,
        /// Seal epoch of the segment that holds the decision.
        epoch: Epoch,
    },
}

/// From the owner of a key to the receiver of a record that claimed it. Each claim gets exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ToReceiver {
    /// The claim won; log this decision.
    Won {
        /// The request at the receiver.
        ticket: Ticket,
        /// Stamp on the expiry clock, seconds since installation.
        decided_at: u32,
        /// The key answers nothing any more from this second on.
        expiry: u32,
    },
    /// The key has a durable outcome.
    Existing {
        /// The request at the receiver.
        ticket: Ticket,
        /// The stored outcome.
        outcome: Decided,
        /// The record's signing digest differs from the stored one's.
        conflict: bool,
    },
    /// The key could not be looked up; the client may retry.
    Unavailable {
        /// The request at the receiver.
        ticket: Ticket,
    },
    /// The claim is no longer queued and never wins.
    Withdrawn {
        /// The request at the receiver.
        ticket: Ticket,
    },
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
