//! One connection: what its received bytes are, which answers it owes, what memory it holds, and its clocks. This file never
//! parses a byte and never decides an answer; the stages do.

use super::budget::Grant;
use super::config::ShardLimits;
use super::owed::OwedAnswers;
use super::received::Received;
use super::skipped::Skip;
use super::waiters::{Awaited, WaitingPlace};
use crate::dedup::context::Context;
use crate::event::{ConnId, Peer};
use crate::http::{Decoder, Head, begins_with_post};
use crate::io::Now;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The slot is free.
    #[default]
    Free,
    /// Requests are read.
    Open,
    /// The last answer is queued or on its way; what still arrives is thrown away.
    Closing,
    /// FIN was sent; waiting for the client's until `until_us`.
    Lingering {
        /// When patience ends.
        until_us: u64,
    },
}

/// What the pending bytes of an open connection begin with.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::large_enum_variant)] // stands in a table that is made once; a box would be an allocation per request
pub(super) enum Reading {
    /// What a proxy says of the client, or a part of it, or nothing yet.
    Preface,
    /// The next head, or a part of it, or nothing yet.
    #[default]
    Head,
    /// An admitted request of which a part of the body is missing.
    Body(Admitted),
    /// An admitted request that is whole and waits for room in the open batch.
    Whole(Admitted, Awaited, WaitingPlace),
    /// The rest of a refused body, which is thrown away.
    Skipped(Skip),
}

/// What to do with a connection after a step of framing.
pub(super) enum FrameStep {
    /// Look for another request.
    Again,
    /// It waits for bytes, for room, or for its answers to leave.
    Enough,
}

/// Whether it counts what the other end of a connection says of the address of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Word {
    /// It is a client, or a proxy that is not trusted.
    #[default]
    Ignored,
    /// It is a trusted proxy.
    Counts,
}

/// A request whose head is whole: where its parts are in the pending bytes, which begin with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming {
    /// Its head.
    pub head: Head,
    /// How far the chunks of its body are decoded.
    pub decoder: Decoder,
    /// Bytes of framing behind its body, once its chunks are whole.
    pub framing_bytes: usize,
}

/// An incoming request whose body is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted {
    pub incoming: Incoming,
    /// What it was admitted under.
    pub context: Context,
    /// Where its client is: behind a proxy, another address than that of the connection.
    pub client: Peer,
    /// What it was charged for when its client was sent `100 Continue`.
    pub paid_bytes: Option<u64>,
}

impl Incoming {
    /// A request of which nothing behind the head has been looked at.
    pub(super) fn new(head: Head) -> Incoming {
        Incoming {
            head,
            decoder: Decoder::default(),
            framing_bytes: 0,
        }
    }

    /// Its bytes as they lie in what is pending: head, body, and the framing behind it.
    pub(super) fn whole_bytes(&self) -> usize {
        self.head.head_len + self.head.body_len as usize + self.framing_bytes
    }
}

/// Memory that a connection holds, by the budget that it belongs to.
#[derive(Debug, Default)]
pub(super) struct HeldMemory {
    /// For a partial head.
    pub head: Grant,
    /// For a partial body.
    pub body: Grant,
    /// Of its receive buffer beyond those two.
    pub unread_bytes: usize,
    /// The connection waits for one of those grants: it may do so whatever it is reading, for bytes that had arrived before
    /// reading was paused still come.
    pub place: Option<WaitingPlace>,
}

/// One connection. All of it belongs to one life of its slot but `queued`.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// Its name at the driver.
    pub id: ConnId,
    /// Where its client is.
    pub peer: Peer,
    /// Whether its requests may name clients at other addresses.
    pub word: Word,
    pub phase: Phase,
    pub received: Received,
    pub reading: Reading,
    pub owed: OwedAnswers,
    /// Bytes given to the driver and not yet gone.
    pub unsent_bytes: u32,
    /// Memory that its answers to batches may take.
    pub batch_reply_bytes: usize,
    pub memory: HeldMemory,
    /// When the first byte of the request in progress arrived, moved by the time for which its client is not to blame;
    /// `None` while the client is not to blame at all.
    request_since_us: Option<u64>,
    /// When the last thing happened here.
    pub active_us: u64,
    /// Until then its first bytes may still be on their way; 0 when some have come.
    pub first_byte_deadline_us: u64,
    /// Since when reading is paused.
    pub paused_us: Option<u64>,
    /// The client sent FIN.
    pub ended: bool,
    /// The slot is queued for the framing stage, whatever connection is in it.
    pub queued: bool,
}

impl HeldMemory {
    /// Nothing is held or waited for.
    pub(super) fn holds_nothing(&self) -> bool {
        let granted_bytes = self.head.bytes + self.body.bytes;
        granted_bytes == 0 && self.unread_bytes == 0 && self.place.is_none()
    }
}

impl Connection {
    /// Makes the slot one of a connection that has not done anything yet, and gives what was in it. All state is replaced at
    /// once, so that a field that is added later cannot be forgotten; what is named here stays.
    pub(super) fn begin_life(&mut self, id: ConnId) -> Connection {
        let mut ended = std::mem::take(self);
        let owed = std::mem::take(&mut ended.owed);
        *self = Connection {
            id,
            owed: owed.renewed(), // its memory is used again
            queued: ended.queued,
            ..Connection::default()
        };
        ended
    }

    /// The head-of-line request is over, taken or refused: the next begins with the next byte.
    pub(super) fn end_request(&mut self) {
        debug_assert!(
            !matches!(self.reading, Reading::Whole(..)),
            "a request leaves the queue for room before it ends"
        );
        self.reading = Reading::Head;
        self.request_since_us = None;
    }

    /// The head-of-line request, if it is admitted.
    pub(super) fn admitted(&self) -> Option<&Admitted> {
        match &self.reading {
            Reading::Body(admitted) | Reading::Whole(admitted, ..) => Some(admitted),
            Reading::Preface | Reading::Head | Reading::Skipped(_) => None,
        }
    }

    /// The head-of-line request is whole and waits for room.
    pub(super) fn waits_for_room(&self) -> bool {
        matches!(self.reading, Reading::Whole(..))
    }

    /// What was kept of a request without a whole head begins like a POST.
    pub(super) fn holds_part_of_a_post(&self) -> bool {
        matches!(self.reading, Reading::Head) && begins_with_post(self.received.kept())
    }

    /// Bytes of the head-of-line request have come: its clock runs from now on, if it did not before.
    pub(super) fn start_clock(&mut self, now: Now) {
        self.request_since_us.get_or_insert(now.mono_us);
    }

    /// The client is not to blame for what is not here.
    pub(super) fn stop_clock(&mut self) {
        self.request_since_us = None;
    }

    /// When the first bytes of the request in progress were looked at, if its clock runs; else `otherwise`.
    pub(super) fn begun_us(&self, otherwise: u64) -> u64 {
        self.request_since_us.unwrap_or(otherwise)
    }

    /// For how long the client has owed the rest of its request; `None` if it does not, or if another is waited for.
    pub(super) fn taken_us(&self, now: Now) -> Option<u64> {
        let is_clients =
            self.phase == Phase::Open && self.paused_us.is_none() && !self.waits_for_us();
        let since_us = self.request_since_us.filter(|_| is_clients)?;
        Some(now.mono_us.saturating_sub(since_us))
    }

    /// Reading goes on: the client is not charged for the time in which it was paused.
    pub(super) fn resume_clock(&mut self, paused_us: u64, now: Now) {
        self.request_since_us = self
            .request_since_us
            .map(|since_us| since_us + (now.mono_us - paused_us.max(since_us)));
    }

    /// Moves the clock of the request in progress by the time since the last look, if that is not the client's. (Paused
    /// time is added when reading goes on.)
    pub(super) fn excuse(&mut self, now_us: u64, looked_ago_us: u64) {
        if self.paused_us.is_none() && self.waits_for_us() {
            self.request_since_us = self
                .request_since_us
                .map(|since_us| (since_us + looked_ago_us).min(now_us));
        }
    }

    /// Notes at the end of a turn when the bytes that stay arrived, if whole requests may be among them: the head-of-line
    /// request waits for room, or answers to earlier ones do not leave. An incomplete request is complete when its last
    /// byte comes, and a client that takes no answers holds itself up.
    pub(super) fn note_arrivals(&mut self, limits: &ShardLimits, now: Now) {
        let held_up_by_us = self.waits_for_room()
            || ((self.owed.count() >= limits.pipeline_max
                || self.batch_reply_bytes >= limits.batch_reply_bytes_max)
                && self.unsent_bytes < limits.unsent_bytes_max);
        if held_up_by_us && self.received.pending_bytes() > 0 {
            self.received
                .note_arrivals(now.mono_us, limits.deadline_us / 8);
        } else {
            self.received.forget_arrivals();
        }
    }

    /// What was received waits for its turn or for room, or an earlier answer has not left: a request in progress may be
    /// whole already, or its client may wait for `100 Continue`. It is not slow.
    pub(super) fn waits_for_us(&self) -> bool {
        self.queued || self.waits_for_room() || !self.owed.is_empty()
    }

    /// The client asks faster than it takes answers: nothing more is framed until some have left.
    pub(super) fn is_too_far_ahead(&self, limits: &ShardLimits) -> bool {
        self.owed.count() >= limits.pipeline_max
            || self.unsent_bytes >= limits.unsent_bytes_max
            || self.batch_reply_bytes >= limits.batch_reply_bytes_max
    }

    /// Nothing is received, owed or unsent.
    pub(super) fn is_at_rest(&self) -> bool {
        self.owed.is_empty()
            && self.received.pending_bytes() == 0
            && matches!(self.reading, Reading::Preface | Reading::Head)
    }
}
