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
    /// Receiver to owner: this validly signed record asks for its key. `candidate` is what will be the outcome if it
    /// wins; its `decided_at` and `expiry` are stamped by the owner.
    Claim {
        /// The request at the receiver.
        ticket: Ticket,
        /// The outcome if the claim wins.
        candidate: Decided,
    },
    /// Receiver to owner: the request gave up. Answered by [`Message::Withdrawn`] unless an answer is under way.
    Withdraw {
        /// The request at the receiver.
        ticket: Ticket,
        /// Its key.
        key: Key,
    },
    /// Receiver to owner: the winner's decision is durable.
    Durable {
        /// The request that won.
        ticket: Ticket,
        /// Its key.
        key: Key,
        /// Seal epoch of the segment that holds the decision.
        epoch: Epoch,
    },
    /// Owner to receiver: the claim won; log this decision.
    Won {
        /// The request at the receiver.
        ticket: Ticket,
        /// Stamp on the expiry clock, seconds since installation.
        decided_at: u32,
        /// The key answers nothing any more from this second on.
        expiry: u32,
    },
    /// Owner to receiver: the key has a durable outcome.
    Existing {
        /// The request at the receiver.
        ticket: Ticket,
        /// The stored outcome.
        outcome: Decided,
        /// The record's signing digest differs from the stored one's.
        conflict: bool,
    },
    /// Owner to receiver: the key could not be looked up; the client may retry.
    Unavailable {
        /// The request at the receiver.
        ticket: Ticket,
    },
    /// To every peer: this shard's share of the dedup table is nearly full (`true`), or has room again.
    Pressure(bool),
    /// To every peer: nothing of this shard's log has become durable for too long although something waits (`true`), or
    /// it moves again.
    Stalled(bool),
    /// Owner to receiver: the claim is no longer queued and never wins.
    Withdrawn {
        /// The request at the receiver.
        ticket: Ticket,
    },
}

const _: () = assert!(
    size_of::<Message>() <= 192,
    "a message is at most 192 bytes"
);
