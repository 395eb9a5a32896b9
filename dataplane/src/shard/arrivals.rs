//! When the bytes that a connection's requests wait in arrived: what a request's deadline counts from if it was received
//! behind another one. It never sees a byte, only positions in the stream of the connection.

use std::collections::VecDeque;

/// All bytes below this position that are not below an earlier mark's arrived at this time, or a little later.
#[derive(Clone, Copy, Debug)]
struct Mark {
    upto: u64,
    at_us: u64,
}

/// Arrivals on one connection. Empty, and without memory, for a connection that never kept whole requests waiting.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    marks: VecDeque<Mark>,
}

/// A connection has at most this many marks; bytes that arrive later count as arrived with the last one. Waiting ends
/// after a deadline, so with eight grains to a deadline there are never as many.
const MARKS_MAX: usize = 16;

impl Arrivals {
    /// All bytes below `upto` are there, and those that were not before came now. Times less than `grain_us` apart count
    /// as the earlier one.
    pub(super) fn note(&mut self, upto: u64, now_us: u64, grain_us: u64) {
        let full = self.marks.len() >= MARKS_MAX;
        match self.marks.back_mut() {
            Some(last) if upto <= last.upto => {}
            Some(last) if full || now_us < last.at_us + grain_us => last.upto = upto,
            _ => self.marks.push_back(Mark {
                upto,
                at_us: now_us,
            }),
        }
    }

    /// When the bytes below `upto` were complete; `None` if they were not before this turn, or no mark was made.
    pub(super) fn complete_us(&self, upto: u64) -> Option<u64> {
        let mark = self.marks.iter().find(|mark| mark.upto >= upto)?;
        Some(mark.at_us)
    }

    /// Forgets what is below a position.
    pub(super) fn forget_below(&mut self, position: u64) {
        while self
            .marks
            .pop_front_if(|mark| mark.upto <= position)
            .is_some()
        {}
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.marks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GRAIN_US: u64 = 10;

    proptest! {
        #[test]
        fn the_time_given_is_at_most_a_grain_before_the_true_one(
            steps in proptest::collection::vec((0u64..100, 0u64..8, 0u64..120), 1..80),
        ) {
            let mut arrivals = Arrivals::default();
            // The naive twin: the time of every single byte.
            let mut exact: Vec<u64> = Vec::new();
            let (mut now_us, mut consumed) = (0, 0);
            for (bytes, passed_us, eaten) in steps {
                now_us += passed_us;
                exact.resize(exact.len() + bytes as usize, now_us);
                arrivals.note(exact.len() as u64, now_us, GRAIN_US);
                consumed = (consumed + eaten).min(exact.len() as u64);
                // What has waited longer than fits the marks is refused before: the deadline.
                let old = exact.partition_point(|at_us| *at_us + 8 * GRAIN_US <= now_us) as u64;
                consumed = consumed.max(old);
                arrivals.forget_below(consumed);
                for upto in consumed + 1..=exact.len() as u64 {
                    let true_us = exact[upto as usize - 1];
                    let given_us = arrivals.complete_us(upto).unwrap();
                    prop_assert!(given_us <= true_us && true_us < given_us + GRAIN_US);
                }
                prop_assert_eq!(arrivals.complete_us(exact.len() as u64 + 1), None);
                prop_assert!(arrivals.marks.len() <= 10);
            }
        }
    }

    #[test]
    fn however_long_bytes_trickle_in_the_marks_stay_few() {
        let mut arrivals = Arrivals::default();
        for at in 1..1_000 {
            arrivals.note(at, at * 1_000, GRAIN_US);
        }
        assert_eq!(arrivals.marks.len(), MARKS_MAX);
        assert_eq!(arrivals.complete_us(999), Some(16_000));
    }
}
