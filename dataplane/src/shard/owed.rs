//! Answers that a connection owes, in the order of its requests. This file never decides an answer, and never when one
//! may leave.

use super::answer::Answer;
use super::batch_lines::Batch;
use super::trace_ref::TraceRef;
use crate::http::ResponsePart;
use crate::wal::name::Sequence;
use std::collections::VecDeque;

/// An answer owed to a connection.
#[derive(Debug)]
pub(super) enum Reply {
    /// Not known yet.
    Pending,
    /// Leaves as soon as the log is durable up to `needs` and every answer before it has left.
    Ready {
        /// Its content.
        answer: Answer,
        /// The log position that it waits for.
        needs: Sequence,
    },
    /// That to a batch: it leaves as one, when all of its lines may.
    Batch(Box<Batch>),
}

impl Reply {
    /// An answer that promises nothing of the log.
    pub(super) fn at_once(answer: Answer) -> Reply {
        Reply::Ready {
            answer,
            needs: Sequence::default(),
        }
    }
}

/// A reply with what is the same for every answer to its request.
#[derive(Debug)]
pub(super) struct Owed {
    /// The answer, when it is known.
    pub reply: Reply,
    /// When the request was complete, for the latency histogram.
    pub since_us: u64,
    /// The connection ends with this answer.
    pub last: bool,
    /// What of the response its request wants.
    pub part: ResponsePart,
    /// The request was HTTP/1.0 and asked to keep the connection.
    pub repeats_keep_alive: bool,
    /// Its trace, if it is traced.
    pub trace: Option<TraceRef>,
}

/// The answers that a connection owes, oldest first, numbered from 0 since the connection was accepted.
#[derive(Debug, Default)]
pub(super) struct OwedAnswers {
    queue: VecDeque<Owed>,
    /// Number of the oldest.
    oldest: u64,
}

impl OwedAnswers {
    /// Owes one more answer and gives its number.
    pub(super) fn owe(&mut self, owed: Owed) -> u64 {
        self.queue.push_back(owed);
        self.oldest + self.queue.len() as u64 - 1
    }

    /// The answer with this number, if it has not left.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Owed> {
        let at = number.checked_sub(self.oldest)?;
        self.queue.get_mut(usize::try_from(at).ok()?)
    }

    /// The same, only to look at.
    #[cfg(debug_assertions)]
    pub(super) fn get(&self, number: u64) -> Option<&Owed> {
        let at = number.checked_sub(self.oldest)?;
        self.queue.get(usize::try_from(at).ok()?)
    }

    /// The next one to leave.
    pub(super) fn oldest(&self) -> Option<&Owed> {
        self.queue.front()
    }

    /// The same, to be changed.
    pub(super) fn oldest_mut(&mut self) -> Option<&mut Owed> {
        self.queue.front_mut()
    }

    /// Number of the one that was owed last.
    pub(super) fn newest_number(&self) -> u64 {
        self.oldest + self.queue.len() as u64 - 1
    }

    /// All of them, the next one to leave first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Owed> {
        self.queue.iter()
    }

    /// The one that was owed last.
    pub(super) fn newest_mut(&mut self) -> Option<&mut Owed> {
        self.queue.back_mut()
    }

    /// The oldest leaves.
    pub(super) fn pop(&mut self) -> Option<Owed> {
        let owed = self.queue.pop_front()?;
        self.oldest += 1;
        Some(owed)
    }

    /// How many are owed.
    pub(super) fn count(&self) -> usize {
        self.queue.len()
    }

    /// Whether none is owed.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// For a planted bug, which changes the order.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn queue_mut(&mut self) -> &mut VecDeque<Owed> {
        &mut self.queue
    }

    /// Empty and numbered from 0 again, with the memory that it has.
    pub(super) fn renewed(mut self) -> OwedAnswers {
        self.queue.clear();
        OwedAnswers {
            queue: self.queue,
            oldest: 0,
        }
    }
}
