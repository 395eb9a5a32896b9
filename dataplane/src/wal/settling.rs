//! Which bodies of a log still owe their fate. It counts per batch, in order, and says up to where everything is settled;
//! it knows neither bodies nor fates themselves.

use super::name::Sequence;
use std::collections::VecDeque;

/// Open fates per batch of one log.
#[derive(Debug)]
pub struct Settling {
    /// Batches with bodies, oldest first: sequence and number of bodies without a fate.
    owed: VecDeque<(Sequence, u32)>,
    newest: Sequence,
}

impl Settling {
    /// Nothing is owed up to and including `upto`.
    pub fn new(upto: Sequence) -> Settling {
        Settling {
            owed: VecDeque::with_capacity(64),
            newest: upto,
        }
    }

    /// This batch is written, whatever is in it: without bodies of its own it owes nothing, and is settled once all before
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

    /// A body of this batch got its first fate.
    pub fn fate(&mut self, sequence: Sequence) {
        let found = self
            .owed
            .binary_search_by_key(&sequence, |&(sequence, _)| sequence);
        let Ok(at) = found else {
            unreachable!("a fate belongs to a body that owes one")
        };
        self.owed[at].1 -= 1;
        while self.owed.front().is_some_and(|&(_, owed)| owed == 0) {
            self.owed.pop_front();
        }
    }

    /// Every body up to this batch has its fate (in this batch or a later one).
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
    fn settles_in_order_whatever_the_order_of_fates() {
        let at = |counter| Sequence(counter);
        let mut settling = Settling::new(at(10));
        assert_eq!(settling.upto(), at(10));
        for sequence in [11, 11, 12, 14] {
            settling.body(at(sequence));
        }
        settling.fate(at(12));
        assert_eq!(settling.upto(), at(10), "batch 11 owes two");
        settling.fate(at(11));
        settling.fate(at(11));
        assert_eq!(
            settling.upto(),
            at(13),
            "batch 14 owes one, 13 had no bodies"
        );
        settling.fate(at(14));
        assert_eq!(settling.upto(), at(14));
    }

    #[test]
    fn a_batch_without_bodies_is_settled_with_those_before_it() {
        let at = |counter| Sequence(counter);
        let mut settling = Settling::new(at(10));
        settling.body(at(11));
        settling.batch(at(11));
        settling.batch(at(12));
        assert_eq!(settling.upto(), at(10), "batch 11 owes one");
        settling.fate(at(11));
        assert_eq!(settling.upto(), at(12));
        settling.batch(at(13));
        assert_eq!(settling.upto(), at(13));
    }
}
