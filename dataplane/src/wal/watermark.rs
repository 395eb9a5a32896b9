//! Which bodies of a log still owe their disposition. It counts per batch, in order, and knows up to where everything is resolved;
//! it knows neither bodies nor dispositions themselves.

use super::name::Sequence;
use std::collections::VecDeque;

/// Open dispositions per batch of one log.
#[derive(Debug)]
pub struct ResolvedWatermark {
    /// Batches with bodies, oldest first: sequence and number of bodies without a disposition.
    owed: VecDeque<(Sequence, u32)>,
    newest: Sequence,
}

impl ResolvedWatermark {
    /// Nothing is owed up to and including `upto`.
    pub fn new(upto: Sequence) -> ResolvedWatermark {
        ResolvedWatermark {
            owed: VecDeque::with_capacity(64),
            newest: upto,
        }
    }

    /// This batch is written, whatever is in it: without bodies of its own it owes nothing, and is resolved once all before
    /// it are.
    pub fn batch(&mut self, sequence: Sequence) {
        self.newest = self.newest.max(sequence);
    }

    /// A body was appended to this batch, the newest one.
    pub fn body(&mut self, sequence: Sequence) {
        self.newest = self.newest.max(sequence);
        match self.owed.back_mut() {
            Some((last, owed)) if *last == sequence => *owed += 1,
            _ => self.owed.push_back((sequence, 1)),
        }
    }

    /// A body of this batch got its first disposition.
    pub fn disposition(&mut self, sequence: Sequence) {
        let found = self
            .owed
            .binary_search_by_key(&sequence, |&(sequence, _)| sequence);
        let Ok(at) = found else {
            unreachable!("a disposition belongs to a body that owes one")
        };
        self.owed[at].1 -= 1;
        while self.owed.front().is_some_and(|&(_, owed)| owed == 0) {
            self.owed.pop_front();
        }
    }

    /// Every body up to this batch has its disposition (in this batch or a later one).
    pub fn upto(&self) -> Sequence {
        self.owed
            .front()
            .map_or(self.newest, |&(sequence, _)| Sequence(sequence.0 - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settles_in_order_whatever_the_order_of_dispositions() {
        let at = |counter| Sequence(counter);
        let mut watermark = ResolvedWatermark::new(at(10));
        assert_eq!(watermark.upto(), at(10));
        for sequence in [11, 11, 12, 14] {
            watermark.body(at(sequence));
        }
        watermark.disposition(at(12));
        assert_eq!(watermark.upto(), at(10), "batch 11 owes two");
        watermark.disposition(at(11));
        watermark.disposition(at(11));
        assert_eq!(
            watermark.upto(),
            at(13),
            "batch 14 owes one, 13 had no bodies"
        );
        watermark.disposition(at(14));
        assert_eq!(watermark.upto(), at(14));
    }

    #[test]
    fn a_batch_without_bodies_is_resolved_with_those_before_it() {
        let at = |counter| Sequence(counter);
        let mut watermark = ResolvedWatermark::new(at(10));
        watermark.body(at(11));
        watermark.batch(at(11));
        watermark.batch(at(12));
        assert_eq!(watermark.upto(), at(10), "batch 11 owes one");
        watermark.disposition(at(11));
        assert_eq!(watermark.upto(), at(12));
        watermark.batch(at(13));
        assert_eq!(watermark.upto(), at(13));
    }
}
