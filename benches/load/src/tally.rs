//! What was counted: records and their answers by kind, status and dedup, and latencies. Each thread has one tally a second; their sum
//! is that of the run. It only counts, and judges nothing.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::answer::Dedup;
use crate::expected::{Worth, worth};
use crate::mix::Kind;
use crate::supply::Source;

/// Latencies up to an hour.
pub const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
/// Significant digits of a latency.
pub const DIGITS: u8 = 3;

/// Latencies in nanoseconds.
pub type Latencies = Histogram<u64>;

/// No latency yet.
pub fn latencies() -> io::Result<Latencies> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS).map_err(io::Error::other)
}

/// Nanoseconds of a time, at most an hour.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).map_or(LATENCY_NS_MAX, |it| it.min(LATENCY_NS_MAX))
}

/// Records of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfKind {
    /// Sent.
    pub sent: u64,
    /// Answered as the contract says.
    pub as_expected: u64,
    /// Answered without a judgement: over a rate, or something was unavailable.
    pub unjudged: u64,
    /// Answered as the contract does not allow.
    pub wrong: u64,
}

/// Records that got no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unanswered {
    /// The connection ended before the answer.
    pub lost: u64,
    /// What came back is not what a gateway sends.
    pub foreign: u64,
    /// No answer within the time-out, or at the end of the run.
    pub timed_out: u64,
    /// Due, and never sent: no connection became free in time.
    pub unsent: u64,
}

impl Unanswered {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.lost + self.foreign + self.timed_out + self.unsent
    }
}

/// What was counted of some records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of each kind, in the order of [`Kind::ALL`].
    pub kinds: [OfKind; 4],
    /// Answers by kind, status and dedup.
    pub answers: BTreeMap<(Kind, u16, Dedup), u64>,
    /// Records without an answer.
    pub unanswered: Unanswered,
    /// Answers as expected that came within the measurement, whatever part of the run asked for them.
    pub expected_in_time: u64,
    /// Attempts to connect that failed.
    pub unconnected: u64,
    /// Records that were due while all connections were busy.
    pub waited_for_connection: u64,
    /// Records that were signed before the run.
    pub signed_ahead: u64,
    /// Records that were signed when they were due.
    pub signed_on_the_fly: u64,
}

impl Counts {
    /// Records sent.
    pub fn sent(&self) -> u64 {
        self.kinds.iter().map(|it| it.sent).sum()
    }

    /// Answers.
    pub fn answered(&self) -> u64 {
        self.answers.values().sum()
    }

    /// Answers that the contract does not allow.
    pub fn wrong(&self) -> u64 {
        self.kinds.iter().map(|it| it.wrong).sum()
    }

    /// Answers without a judgement.
    pub fn unjudged(&self) -> u64 {
        self.kinds.iter().map(|it| it.unjudged).sum()
    }

    /// Records that were not judged or got no answer.
    pub fn errors(&self) -> u64 {
        self.unjudged() + self.unanswered.sum()
    }

    /// Records that were due, sent or not.
    pub fn due(&self) -> u64 {
        self.sent() + self.unanswered.unsent
    }

    /// Answers by status.
    pub fn statuses(&self) -> BTreeMap<u16, u64> {
        self.answers_by(|(_, status, _)| *status)
    }

    /// Answers by what they say of a duplicate.
    pub fn dedups(&self) -> BTreeMap<Dedup, u64> {
        self.answers_by(|(.., dedup)| *dedup)
    }

    fn answers_by<T: Ord>(&self, part: impl Fn(&(Kind, u16, Dedup)) -> T) -> BTreeMap<T, u64> {
        let mut sums = BTreeMap::new();
        for (answer, count) in &self.answers {
            *sums.entry(part(answer)).or_insert(0) += count;
        }
        sums
    }

    /// Counts a record that is sent.
    pub(crate) fn send(&mut self, kind: Kind, source: Source) {
        self.kinds[kind as usize].sent += 1;
        match source {
            Source::Ahead => self.signed_ahead += 1,
            Source::OnTheFly => self.signed_on_the_fly += 1,
            Source::Unsigned => {}
        }
    }

    /// Counts an answer and says what it is worth.
    pub(crate) fn answer(&mut self, kind: Kind, status: u16, dedup: Dedup) -> Worth {
        *self.answers.entry((kind, status, dedup)).or_insert(0) += 1;
        let (of_kind, worth) = (&mut self.kinds[kind as usize], worth(kind, status, dedup));
        match worth {
            Worth::AsExpected => of_kind.as_expected += 1,
            Worth::Unjudged => of_kind.unjudged += 1,
            Worth::Wrong => of_kind.wrong += 1,
        }
        worth
    }

    /// Takes those of others to these.
    pub fn add(&mut self, other: &Counts) {
        for (one, other) in self.kinds.iter_mut().zip(&other.kinds) {
            one.sent += other.sent;
            one.as_expected += other.as_expected;
            one.unjudged += other.unjudged;
            one.wrong += other.wrong;
        }
        for (answer, count) in &other.answers {
            *self.answers.entry(*answer).or_insert(0) += count;
        }
        let (one, none) = (&mut self.unanswered, &other.unanswered);
        one.lost += none.lost;
        one.foreign += none.foreign;
        one.timed_out += none.timed_out;
        one.unsent += none.unsent;
        self.expected_in_time += other.expected_in_time;
        self.unconnected += other.unconnected;
        self.waited_for_connection += other.waited_for_connection;
        self.signed_ahead += other.signed_ahead;
        self.signed_on_the_fly += other.signed_on_the_fly;
    }
}

/// One second of one thread, or the sum of several.
pub struct Tally {
    /// Of records that were due while the run warmed up.
    pub warm_up: Counts,
    /// Of the others.
    pub measured: Counts,
    /// From when a request was due to its answer; in a closed loop from when it was sent.
    pub from_due: Latencies,
    /// From when a request was sent to its answer.
    pub from_sent: Latencies,
    /// From when a request could be sent to when it was: what the generator itself took.
    pub lag: Latencies,
}

impl Tally {
    /// Nothing is counted.
    pub fn new() -> io::Result<Tally> {
        Ok(Tally {
            warm_up: Counts::default(),
            measured: Counts::default(),
            from_due: latencies()?,
            from_sent: latencies()?,
            lag: latencies()?,
        })
    }

    /// Takes another one to this.
    pub fn add(&mut self, other: &Tally) {
        self.warm_up.add(&other.warm_up);
        self.measured.add(&other.measured);
        for (one, other) in [
            (&mut self.from_due, &other.from_due),
            (&mut self.from_sent, &other.from_sent),
            (&mut self.lag, &other.lag),
        ] {
            // The bounds of all are the same, so nothing can be out of them.
            for value in other.iter_recorded() {
                one.saturating_record_n(value.value_iterated_to(), value.count_at_value());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> Counts {
        let mut counts = Counts::default();
        for _ in 0..3 {
            counts.send(Kind::New, Source::Ahead);
        }
        counts.send(Kind::Duplicate, Source::Unsigned);
        counts.answer(Kind::New, 200, Dedup::Miss);
        counts.answer(Kind::New, 503, Dedup::Absent);
        counts.answer(Kind::Duplicate, 200, Dedup::Miss);
        counts.unanswered.lost += 1;
        counts.unanswered.unsent += 2;
        counts
    }

    #[test]
    fn answers_are_counted_by_their_worth() {
        let counts = counted();
        assert_eq!((counts.sent(), counts.answered(), counts.due()), (4, 3, 6));
        assert_eq!((counts.wrong(), counts.errors()), (1, 4));
        assert_eq!(counts.statuses(), BTreeMap::from([(200, 2), (503, 1)]));
        assert_eq!(
            counts.dedups(),
            BTreeMap::from([(Dedup::Absent, 1), (Dedup::Miss, 2)])
        );
    }

    #[test]
    fn a_sum_counts_everything_of_both() {
        let mut sum = counted();
        sum.add(&counted());
        assert_eq!((sum.sent(), sum.answered(), sum.due()), (8, 6, 12));
        assert_eq!((sum.wrong(), sum.errors(), sum.signed_ahead), (2, 8, 6));
        let mut tallies = [Tally::new().unwrap(), Tally::new().unwrap()];
        tallies[0].from_due.record(1_000).unwrap();
        tallies[1].from_due.record_n(2_000_000, 3).unwrap();
        let [one, other] = &mut tallies;
        one.add(other);
        assert_eq!((one.from_due.len(), one.from_due.min()), (4, 1_000));
        assert!(one.from_due.max().abs_diff(2_000_000) < 2_000);
    }
}
