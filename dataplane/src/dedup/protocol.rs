//! Messages between the receiver of a record and the owner of its key. Local and remote claims use the same messages; the
//! mesh only carries them.

use super::context::Context;
use super::{Decided, Key};
use crate::wal::Epoch;

/// A request in flight at its receiving shard. The generation makes a late answer harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Slot in the receiver's table of requests in flight.
    pub slot: u32,
    /// Changes each time the slot is used.
    pub generation: u32,
}

/// From the receiver of a record to the owner of its key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ToOwner {
    /// This validly signed record asks for its key. `candidate` is what will be the outcome if it wins; its `decided_at`
    /// and `expiry` are stamped by the owner.
    Claim {
        /// The request at the receiver.
        ticket: Ticket,
        /// What the record was admitted under.
        context: Context,
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
        /// Stamp on the expiry clock, seconds since 2026-01-01 UTC.
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
