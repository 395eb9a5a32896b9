//! Bytes that a connection has received and that no stage has consumed. During a turn they lie in the inbox or in the
//! connection's own buffer; between turns only in the buffer. This file never parses a byte.

use super::arrivals::Arrivals;
use std::ops::Range;

/// Received bytes of one connection.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// Bytes kept from earlier turns; those before `kept_start` are consumed.
    kept: Vec<u8>,
    kept_start: usize,
    /// Bytes of this turn, in the inbox. Not empty only while `kept` is empty.
    fresh: Range<usize>,
    /// Bytes consumed since the connection was accepted.
    consumed_bytes: u64,
    /// When bytes that must wait arrived.
    arrivals: Arrivals,
}

/// Where bytes of a connection are during a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In the inbox.
    Inbox(Range<usize>),
    /// In the connection's own buffer.
    Kept(Range<usize>),
}

impl Source {
    /// Length in bytes.
    pub(super) fn len_bytes(&self) -> usize {
        match self {
            Source::Inbox(range) | Source::Kept(range) => range.len(),
        }
    }
}

/// A receive buffer larger than this is given back to the allocator instead of kept for the next connection: every
/// connection with part of a request has a grant for as much.
pub(super) const BUFFER_KEPT_BYTES_MAX: usize = 16 * 1024;
/// Receive buffers kept for reuse.
pub(super) const BUFFERS_KEPT_MAX: usize = 256;

/// Empty receive buffers, kept for the next connections.
#[derive(Debug)]
pub(super) struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    /// No buffer yet, and room for all that may be kept.
    pub(super) fn new() -> Buffers {
        Buffers(Vec::with_capacity(BUFFERS_KEPT_MAX))
    }

    /// Memory that they take.
    #[cfg(test)]
    pub(super) fn capacity_bytes(&self) -> usize {
        self.0.iter().map(Vec::capacity).sum()
    }

    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// Keeps a buffer that no connection needs any more, if it is worth it.
    pub(super) fn give_back(&mut self, mut buffer: Vec<u8>) {
        let worth_keeping = (1..=BUFFER_KEPT_BYTES_MAX).contains(&buffer.capacity());
        if worth_keeping && self.0.len() < BUFFERS_KEPT_MAX {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

impl Received {
    /// The bytes received and not consumed.
    pub(super) fn pending<'a>(&'a self, inbox: &'a [u8]) -> &'a [u8] {
        if self.kept.is_empty() {
            &inbox[self.fresh.clone()]
        } else {
            &self.kept[self.kept_start..]
        }
    }

    /// How many bytes are received and not consumed.
    pub(super) fn pending_bytes(&self) -> usize {
        if self.kept.is_empty() {
            self.fresh.len()
        } else {
            self.kept.len() - self.kept_start
        }
    }

    /// The bytes received and not consumed, to be decoded in place.
    pub(super) fn pending_mut<'a>(&'a mut self, inbox: &'a mut [u8]) -> &'a mut [u8] {
        if self.kept.is_empty() {
            &mut inbox[self.fresh.clone()]
        } else {
            &mut self.kept[self.kept_start..]
        }
    }

    /// Bytes that were kept from earlier turns and are not consumed.
    pub(super) fn kept(&self) -> &[u8] {
        &self.kept[self.kept_start..]
    }

    /// Memory of the connection's own buffer.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.kept.capacity()
    }

    /// Only the first `bytes` pending bytes count from now on: those behind them were framing and are consumed.
    pub(super) fn shorten(&mut self, bytes: usize) {
        let gone_bytes = self.pending_bytes() - bytes;
        self.consumed_bytes += gone_bytes as u64;
        if self.kept.is_empty() {
            self.fresh.end -= gone_bytes;
        } else {
            self.kept.truncate(self.kept_start + bytes);
        }
    }

    /// Where the pending byte at `offset` is, and `len` from there on.
    pub(super) fn locate(&self, offset: usize, len: usize) -> Source {
        debug_assert!(offset + len <= self.pending_bytes());
        if self.kept.is_empty() {
            let start = self.fresh.start + offset;
            Source::Inbox(start..start + len)
        } else {
            let start = self.kept_start + offset;
            Source::Kept(start..start + len)
        }
    }

    /// The bytes at a place of this turn, consumed or not.
    pub(super) fn bytes_at<'a>(&'a self, source: &Source, inbox: &'a [u8]) -> &'a [u8] {
        match source {
            Source::Inbox(range) => &inbox[range.clone()],
            Source::Kept(range) => &self.kept[range.clone()],
        }
    }

    /// Consumes pending bytes. They stay where they are until the end of the turn.
    pub(super) fn consume(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.pending_bytes());
        self.consumed_bytes += bytes as u64;
        if self.kept.is_empty() {
            self.fresh.start += bytes;
        } else {
            self.kept_start += bytes;
        }
    }

    /// Consumes all that is pending.
    pub(super) fn consume_all(&mut self) {
        self.consume(self.pending_bytes());
    }

    /// Notes bytes that arrived in this turn, behind all others.
    pub(super) fn receive(&mut self, inbox: &[u8], range: Range<usize>, buffers: &mut Buffers) {
        if !self.kept.is_empty() {
            self.kept.extend_from_slice(&inbox[range]);
        } else if self.fresh.is_empty() {
            self.fresh = range;
        } else if self.fresh.end == range.start {
            self.fresh.end = range.end;
        } else {
            // Two pieces of the inbox that do not touch are one only in the connection's own buffer.
            self.keep(inbox, buffers);
            self.kept.extend_from_slice(&inbox[range]);
        }
    }

    /// Ends a turn: forgets consumed bytes and moves the rest from the inbox into the connection's own buffer.
    pub(super) fn keep(&mut self, inbox: &[u8], buffers: &mut Buffers) {
        if self.kept_start > 0 {
            self.kept.drain(..self.kept_start);
            self.kept_start = 0;
        }
        let fresh = std::mem::replace(&mut self.fresh, 0..0);
        if !fresh.is_empty() {
            if self.kept.capacity() == 0 {
                self.kept = buffers.take();
            }
            self.kept.extend_from_slice(&inbox[fresh]);
        } else if self.kept.is_empty() && self.kept.capacity() > 0 {
            buffers.give_back(std::mem::take(&mut self.kept));
        }
    }

    /// Makes the buffer as large as what its body was granted, at once, and not much larger than the larger of all grants
    /// and what it holds. Only between turns: what is consumed is forgotten.
    pub(super) fn fit(&mut self, body_granted_bytes: usize, granted_bytes: usize) {
        let needed_bytes = self.kept.len().max(granted_bytes);
        if body_granted_bytes > 0 {
            let more_bytes = body_granted_bytes.saturating_sub(self.kept.len());
            self.kept.reserve_exact(more_bytes);
        }
        if self.kept.capacity() > needed_bytes + BUFFER_KEPT_BYTES_MAX {
            self.kept.shrink_to(needed_bytes);
        }
    }

    /// Notes that all pending bytes are there now. Times less than `grain_us` apart count as the earlier one.
    pub(super) fn note_arrivals(&mut self, now_us: u64, grain_us: u64) {
        let upto = self.consumed_bytes + self.pending_bytes() as u64;
        self.arrivals.forget_below(self.consumed_bytes);
        self.arrivals.note(upto, now_us, grain_us);
    }

    /// Forgets when bytes arrived.
    pub(super) fn forget_arrivals(&mut self) {
        self.arrivals.clear();
    }

    /// When the first `bytes` pending bytes were all there, if that was noted in an earlier turn.
    pub(super) fn complete_us(&self, bytes: usize) -> Option<u64> {
        self.arrivals
            .complete_us(self.consumed_bytes + bytes as u64)
    }

    /// Takes the buffer of a connection that ends.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.kept
    }
}
