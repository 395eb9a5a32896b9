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

/// A look-up in progress at the shard that was asked for an outcome. It is no [`Ticket`]: look-ups have slots of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookTicket {
    /// Slot in that shard's table of look-ups.
    pub slot: u32,
    /// Changes each time the slot is used.
    pub generation: u32,
}

/// From the receiver of a record, or of a look-up, to the owner of its key.
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
    /// A client asks for the stored outcome. It claims nothing and leaves nothing: a key without a claim stays unknown.
    /// Answered by one [`Looked`].
    Look {
        /// The look-up at the shard that was asked.
        ticket: LookTicket,
        /// Its key.
        key: Key,
    },
    /// The look-up gave up. Answered by [`Stored::Withdrawn`] unless another answer is under way, or comes with the read
    /// that the look-up alone waits for.
    LookNoMore {
        /// The look-up at the shard that was asked.
        ticket: LookTicket,
        /// Its key.
        key: Key,
    },
}

/// From the owner of a key to the shard that was asked for its outcome. Each look-up gets exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Looked {
    /// The look-up at the shard that was asked.
    pub ticket: LookTicket,
    /// What the owner has.
    pub stored: Stored,
}

/// What an owner has of a key that is looked up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stored {
    /// A durable outcome.
    Outcome(Decided),
    /// None that is alive.
    Absent,
    /// A slice could not be read; the client may ask again.
    Unavailable,
    /// The look-up is no longer queued.
    Withdrawn,
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
