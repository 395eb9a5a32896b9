//! The connections of one shard: received bytes not yet cut into requests, answers not yet due, and their clocks.
//! It never parses a byte and never decides an answer; the stages do.

use super::answer::Answer;
use super::arrivals::Arrivals;
use super::budget::Grant;
use super::config::Limits;
use super::skip::Skip;
use crate::dedup::context::Context;
use crate::event::{ConnId, Peer};
use crate::http::{Decoder, Head, begins_with_post};
use crate::io::Now;
use crate::wal::name::Sequence;
use std::collections::VecDeque;
use std::ops::Range;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The slot is free.
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

/// An answer owed to a connection, in the order of its requests.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Not known yet.
    Pending,
    /// Leaves as soon as the log is durable up to `needs` and every answer before it has left.
    Ready {
        /// What it says.
        answer: Answer,
        /// The log position that it waits for.
        needs: Sequence,
    },
}

/// A reply with what is the same for every answer to its request.
#[derive(Clone, Debug)]
pub struct Owed {
    /// The answer, when it is known.
    pub reply: Reply,
    /// When the request was complete, for the latency histogram.
    pub since_us: u64,
    /// The connection ends with this answer.
    pub last: bool,
    /// The request was HEAD.
    pub head_only: bool,
    /// The request was HTTP/1.0 and asked to keep the connection.
    pub repeats_keep_alive: bool,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Its name at the driver.
    pub id: ConnId,
    /// Where its client is.
    pub peer: Peer,
    /// Where it is in its life.
    pub phase: Phase,
    /// Bytes kept from earlier turns; those before `kept_start` are consumed.
    pub kept: Vec<u8>,
    /// First byte of `kept` that counts.
    pub kept_start: usize,
    /// Bytes of this turn, in the inbox. Not empty only while `kept` is empty.
    pub fresh: Range<usize>,
    /// The rest of a refused body, while it is thrown away.
    pub skip: Option<Skip>,
    /// The head of the request whose body is awaited.
    pub head: Option<Head>,
    /// What the request of that head was admitted under.
    pub context: Option<Context>,
    /// How far the chunks of that body are decoded, or those of a refused one skipped.
    pub decoder: Decoder,
    /// Bytes of framing behind that body, once its chunks are whole.
    pub framing_bytes: usize,
    /// That request is charged to the rate: its client was sent `100 Continue`.
    pub paid: bool,
    /// When the first byte of the request in progress arrived (moved by the time for which the client is not to blame).
    pub request_since_us: Option<u64>,
    /// When the last thing happened here.
    pub active_us: u64,
    /// Until then its first bytes may still be on their way; 0 when some have come.
    pub first_byte_deadline_us: u64,
    /// Since when reading is paused.
    pub paused_us: Option<u64>,
    /// The client sent FIN.
    pub ended: bool,
    /// Answers owed, oldest first.
    pub owed: VecDeque<Owed>,
    /// Number of the oldest answer owed; numbers grow by one per request.
    pub oldest_owed: u64,
    /// Bytes given to the driver and not yet gone.
    pub unsent_bytes: u32,
    /// Queued for the framing stage.
    pub queued: bool,
    /// The head-of-line request is whole and waits for room in batch and flights: when it is refused.
    pub room_due_us: Option<u64>,
    /// The head-of-line request waits for memory for the rest of it: when it is refused.
    pub memory_due_us: Option<u64>,
    /// Bytes consumed since the connection was accepted.
    pub consumed_bytes: u64,
    /// When what is received and must wait arrived.
    pub arrivals: Arrivals,
    /// Part of the shard's budget for partial heads held by this connection.
    pub head_grant: Grant,
    /// Part of the shard's budget for partial bodies held by this connection.
    pub body_grant: Grant,
    /// Memory of `kept` beyond those two.
    pub unread_bytes_held: usize,
}

impl Connection {
    fn new(slot: u32) -> Connection {
        Connection {
            id: ConnId {
                slot,
                generation: 0,
            },
            peer: Peer::default(),
            phase: Phase::Free,
            kept: Vec::new(),
            kept_start: 0,
            fresh: 0..0,
            skip: None,
            head: None,
            context: None,
            decoder: Decoder::default(),
            framing_bytes: 0,
            paid: false,
            request_since_us: None,
            active_us: 0,
            first_byte_deadline_us: 0,
            paused_us: None,
            ended: false,
            owed: VecDeque::new(),
            oldest_owed: 0,
            unsent_bytes: 0,
            queued: false,
            room_due_us: None,
            memory_due_us: None,
            consumed_bytes: 0,
            arrivals: Arrivals::default(),
            head_grant: Grant::default(),
            body_grant: Grant::default(),
            unread_bytes_held: 0,
        }
    }

    /// The bytes received and not consumed.
    pub fn pending<'a>(&'a self, inbox: &'a [u8]) -> &'a [u8] {
        if self.kept.is_empty() {
            &inbox[self.fresh.clone()]
        } else {
            &self.kept[self.kept_start..]
        }
    }

    /// How many bytes are received and not consumed.
    pub fn pending_bytes(&self) -> usize {
        if self.kept.is_empty() {
            self.fresh.len()
        } else {
            self.kept.len() - self.kept_start
        }
    }

    /// The bytes received and not consumed, to be decoded in place.
    pub fn pending_mut<'a>(&'a mut self, inbox: &'a mut [u8]) -> &'a mut [u8] {
        if self.kept.is_empty() {
            &mut inbox[self.fresh.clone()]
        } else {
            &mut self.kept[self.kept_start..]
        }
    }

    /// What was kept of a request without a whole head begins like a POST.
    pub fn holds_part_of_a_post(&self) -> bool {
        self.head.is_none()
            && self.skip.is_none()
            && begins_with_post(&self.kept[self.kept_start..])
    }

    /// Only the first `bytes` pending bytes count from now on: those behind them were framing and are consumed.
    pub fn shorten(&mut self, bytes: usize) {
        let gone_bytes = self.pending_bytes() - bytes;
        self.consumed_bytes += gone_bytes as u64;
        if self.kept.is_empty() {
            self.fresh.end -= gone_bytes;
        } else {
            self.kept.truncate(self.kept_start + bytes);
        }
    }

    /// Bytes of the request whose head this is, as they lie in what is pending: head, body, and the framing behind it.
    pub fn whole_bytes(&self, head: &Head) -> usize {
        head.head_len + head.body_len as usize + self.framing_bytes
    }

    /// A head whose body is awaited from now on.
    pub fn await_body(&mut self, head: Head, context: Context) {
        self.head = Some(head);
        self.context = Some(context);
        self.decoder = Decoder::default();
        self.framing_bytes = 0;
    }

    /// Where the pending byte at `offset` is: in `kept`, else in the inbox.
    pub fn locate(&self, offset: usize, len: usize) -> Source {
        if self.kept.is_empty() {
            let start = self.fresh.start + offset;
            Source::Inbox(start..start + len)
        } else {
            let start = self.kept_start + offset;
            Source::Kept(start..start + len)
        }
    }

    /// Consumes pending bytes. They stay where they are until the end of the turn.
    pub fn consume(&mut self, bytes: usize) {
        self.consumed_bytes += bytes as u64;
        if self.kept.is_empty() {
            self.fresh.start += bytes;
            debug_assert!(self.fresh.start <= self.fresh.end);
        } else {
            self.kept_start += bytes;
            debug_assert!(self.kept_start <= self.kept.len());
        }
    }

    /// Makes the buffer as large as what is granted, at once, and not much larger than what it holds beyond that. Only
    /// between turns: what is consumed is forgotten.
    pub fn fit_kept(&mut self, granted_bytes: usize) {
        let needed_bytes = self.kept.len().max(granted_bytes);
        if self.body_grant.bytes > 0 {
            let more_bytes = self.body_grant.bytes.saturating_sub(self.kept.len());
            self.kept.reserve_exact(more_bytes);
        }
        if self.kept.capacity() > needed_bytes + BUFFER_KEPT_BYTES_MAX {
            self.kept.shrink_to(needed_bytes);
        }
    }

    /// Notes at the end of a turn when the bytes that stay arrived, if whole requests may be among them: the head-of-line waits
    /// for room, or answers to earlier ones do not leave. An incomplete request is complete when its last byte comes, and
    /// a client that takes no answers holds itself up.
    pub fn note_arrivals(&mut self, limits: &Limits, now: Now) {
        let held_up_by_us = self.room_due_us.is_some()
            || (self.owed.len() >= limits.pipeline_max
                && self.unsent_bytes < limits.unsent_bytes_max);
        if held_up_by_us && self.pending_bytes() > 0 {
            let upto = self.consumed_bytes + self.pending_bytes() as u64;
            self.arrivals.forget_below(self.consumed_bytes);
            self.arrivals
                .note(upto, now.mono_us, limits.deadline_us / 8);
        } else {
            self.arrivals.clear();
        }
    }

    /// When the first `bytes` pending bytes were all there, if that was noted in an earlier turn.
    pub fn complete_us(&self, bytes: usize) -> Option<u64> {
        self.arrivals
            .complete_us(self.consumed_bytes + bytes as u64)
    }

    /// Owes one more answer and gives its number.
    pub fn owe(&mut self, owed: Owed) -> u64 {
        self.owed.push_back(owed);
        self.oldest_owed + self.owed.len() as u64 - 1
    }

    /// The owed answer with this number, if it has not left.
    pub fn owed_mut(&mut self, number: u64) -> Option<&mut Owed> {
        let at = number.checked_sub(self.oldest_owed)?;
        self.owed.get_mut(usize::try_from(at).ok()?)
    }

    /// What was received waits for its turn or for room, or an earlier answer has not left: a request in progress may be
    /// whole already, or its client may wait for `100 Continue`. It is not slow.
    pub fn waits_for_us(&self) -> bool {
        self.queued || self.room_due_us.is_some() || !self.owed.is_empty()
    }

    /// Moves the clock of the request in progress by the time since the last look, if that is not the client's. (Paused
    /// time is added when reading goes on.)
    pub fn excuse(&mut self, now_us: u64, looked_ago_us: u64) {
        if self.paused_us.is_none() && self.waits_for_us() {
            self.request_since_us = self
                .request_since_us
                .map(|since_us| (since_us + looked_ago_us).min(now_us));
        }
    }

    /// The client asks faster than it takes answers: nothing more is framed until some have left.
    pub fn is_too_far_ahead(&self, limits: &Limits) -> bool {
        self.owed.len() >= limits.pipeline_max || self.unsent_bytes >= limits.unsent_bytes_max
    }

    /// Nothing is received, owed or unsent.
    pub fn is_at_rest(&self) -> bool {
        self.owed.is_empty()
            && self.pending_bytes() == 0
            && self.head.is_none()
            && self.skip.is_none()
    }
}

/// Where bytes of a connection are during a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the inbox.
    Inbox(Range<usize>),
    /// In the connection's own buffer.
    Kept(Range<usize>),
}

impl Source {
    /// Length in bytes.
    pub fn len_bytes(&self) -> usize {
        match self {
            Source::Inbox(range) | Source::Kept(range) => range.len(),
        }
    }
}

/// All connections of a shard, by the driver's slot.
#[derive(Debug)]
pub struct Connections {
    slots: Vec<Connection>,
    buffers: Vec<Vec<u8>>,
    open: u32,
}

/// A client sends its first request right behind its connection: a stop waits this long for it before it takes the
/// connection for an idle one.
const FIRST_BYTES_US: u64 = 200_000;
/// A receive buffer larger than this is given back to the allocator instead of kept for the next connection: every
/// connection with part of a request has a grant for as much.
pub const BUFFER_KEPT_BYTES_MAX: usize = 16 * 1024;
/// Receive buffers kept for reuse.
pub const BUFFERS_KEPT_MAX: usize = 256;

impl Connections {
    /// No connection yet.
    pub fn new(connections_max: u32) -> Connections {
        Connections {
            slots: Vec::with_capacity(connections_max as usize),
            buffers: Vec::with_capacity(BUFFERS_KEPT_MAX),
            open: 0,
        }
    }

    /// Bytes of all receive buffers, those kept for reuse included.
    #[cfg(test)]
    pub fn kept_bytes(&self) -> usize {
        let used = self
            .slots
            .iter()
            .map(|connection| connection.kept.capacity());
        let free = self.buffers.iter().map(Vec::capacity);
        used.chain(free).sum()
    }

    /// How many are not free.
    pub fn open_count(&self) -> u32 {
        self.open
    }

    /// One behind the highest slot ever used.
    pub fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// A new connection in the driver's slot.
    pub fn accept(&mut self, id: ConnId, peer: Peer, now_us: u64) {
        while self.slots.len() <= id.slot as usize {
            self.slots.push(Connection::new(self.slots.len() as u32));
        }
        let connection = &mut self.slots[id.slot as usize];
        assert_eq!(
            connection.phase,
            Phase::Free,
            "the driver gives out a slot only after it was closed"
        );
        connection.id = id;
        connection.peer = peer;
        connection.phase = Phase::Open;
        connection.active_us = now_us;
        connection.first_byte_deadline_us = now_us + FIRST_BYTES_US;
        self.open += 1;
    }

    /// The connection in a slot, whatever its phase.
    pub fn at(&mut self, slot: u32) -> &mut Connection {
        &mut self.slots[slot as usize]
    }

    /// The connection of this id, unless it is gone.
    pub fn get(&mut self, id: ConnId) -> Option<&mut Connection> {
        let connection = self.slots.get_mut(id.slot as usize)?;
        (connection.id == id && connection.phase != Phase::Free).then_some(connection)
    }

    /// Frees a slot; its memory is kept for the next connection.
    pub fn free(&mut self, slot: u32) {
        let connection = &mut self.slots[slot as usize];
        if connection.phase == Phase::Free {
            return;
        }
        debug_assert!(connection.room_due_us.is_none() && connection.memory_due_us.is_none());
        debug_assert!(connection.unread_bytes_held == 0 && connection.unsent_bytes == 0);
        connection.phase = Phase::Free;
        connection.owed.clear();
        connection.oldest_owed = 0;
        connection.fresh = 0..0;
        connection.skip = None;
        connection.head = None;
        connection.framing_bytes = 0;
        connection.paid = false;
        connection.request_since_us = None;
        connection.paused_us = None;
        connection.ended = false;
        connection.kept_start = 0;
        connection.consumed_bytes = 0;
        connection.arrivals.clear();
        let kept = std::mem::take(&mut connection.kept);
        self.open -= 1;
        self.give_back(kept);
    }

    fn give_back(&mut self, mut buffer: Vec<u8>) {
        let worth_keeping = (1..=BUFFER_KEPT_BYTES_MAX).contains(&buffer.capacity());
        if worth_keeping && self.buffers.len() < BUFFERS_KEPT_MAX {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// Notes bytes that arrived on a connection in this turn.
    pub fn receive(&mut self, slot: u32, inbox: &[u8], range: Range<usize>) {
        let connection = &mut self.slots[slot as usize];
        if !connection.kept.is_empty() {
            connection.kept.extend_from_slice(&inbox[range]);
        } else if connection.fresh.is_empty() {
            connection.fresh = range;
        } else if connection.fresh.end == range.start {
            connection.fresh.end = range.end;
        } else {
            self.keep(slot, inbox);
            self.slots[slot as usize]
                .kept
                .extend_from_slice(&inbox[range]);
        }
    }

    /// Ends a turn for a connection: consumed bytes are forgotten, the rest moves from the inbox into its buffer.
    pub fn keep(&mut self, slot: u32, inbox: &[u8]) {
        let preallocated = &mut self.buffers;
        let connection = &mut self.slots[slot as usize];
        if connection.kept_start > 0 {
            connection.kept.drain(..connection.kept_start);
            connection.kept_start = 0;
        }
        let fresh = std::mem::replace(&mut connection.fresh, 0..0);
        if !fresh.is_empty() {
            if connection.kept.capacity() == 0 {
                connection.kept = preallocated.pop().unwrap_or_default();
            }
            connection.kept.extend_from_slice(&inbox[fresh]);
        } else if connection.kept.is_empty() && connection.kept.capacity() > 0 {
            let buffer = std::mem::take(&mut connection.kept);
            self.give_back(buffer);
        }
    }
}
