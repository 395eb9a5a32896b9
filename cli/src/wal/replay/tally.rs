//! What bodies were and what they would be, counted by tenant. It knows which of these pairs are differences.

use crate::wal::stored::disposed::{DecidedAs, Disposed};
use std::collections::BTreeMap;

/// What a body would be now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Would {
    /// The first of its key, with this outcome.
    Decided(DecidedAs),
    /// Refused, with this status and number of a problem code.
    Refused(u16, u8),
    /// A duplicate, whose first has the outcome that it had.
    Duplicate,
    /// A conflict.
    Conflict,
    /// It was erased, so it cannot be judged.
    Erased,
}

/// What a body was. A duplicate is listed with the outcome of its first where that would be another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Was {
    pub(super) disposed: Disposed,
    pub(super) first: Option<DecidedAs>,
}

impl Was {
    /// A body that stands for itself.
    pub(super) const fn alone(disposed: Disposed) -> Self {
        let first = None;
        Self { disposed, first }
    }
}

/// Bodies of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) count: u64,
    /// Those whose recomputed numbers would be others.
    pub(super) other_numbers: u64,
    /// Ids of some of them.
    pub(super) examples: Vec<String>,
}

impl Cell {
    /// Adds more bodies of the kind; at most so many examples are kept.
    pub(super) fn add(&mut self, other: Cell, examples_max: usize) {
        self.count += other.count;
        self.other_numbers += other.other_numbers;
        let room = examples_max.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }
}

/// How a body that was stored so and would be that now is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Same,
    Differs,
    /// There is nothing to compare: it had no outcome, or it cannot be judged.
    Nothing,
}

/// Compares.
pub(super) fn compare(was: Was, would: Would) -> Comparison {
    let is_same = match (was.disposed, would) {
        (Disposed::Unanswered | Disposed::Pending, _) | (_, Would::Erased) => {
            return Comparison::Nothing;
        }
        (Disposed::Decided(was), Would::Decided(would)) => was == would,
        (Disposed::Refused(_, was), Would::Refused(_, would)) => was == would,
        (Disposed::Duplicate, Would::Duplicate) | (Disposed::Conflict, Would::Conflict) => true,
        _ => false,
    };
    match is_same {
        true => Comparison::Same,
        false => Comparison::Differs,
    }
}

/// All bodies, by tenant, what they were and what they would be.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) cells: BTreeMap<(String, Was, Would), Cell>,
}

/// Sums over a tally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) bodies: u64,
    pub(super) same: u64,
    pub(super) differ: u64,
    pub(super) unanswered: u64,
    pub(super) erased: u64,
    pub(super) other_numbers: u64,
}

impl Tally {
    /// Sums.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for ((_, was, would), cell) in &self.cells {
            totals.bodies += cell.count;
            totals.other_numbers += cell.other_numbers;
            match (compare(*was, *would), would) {
                (Comparison::Same, _) => totals.same += cell.count,
                (Comparison::Differs, _) => totals.differ += cell.count,
                (Comparison::Nothing, Would::Erased) => totals.erased += cell.count,
                (Comparison::Nothing, _) => totals.unanswered += cell.count,
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTED: DecidedAs = DecidedAs {
        reason: 0,
        regime: 2,
    };
    const ESCALATED: DecidedAs = DecidedAs {
        reason: 4,
        regime: 2,
    };

    #[test]
    fn reason_regime_and_problem_make_a_difference_and_what_had_no_outcome_makes_none() {
        let decided = Was::alone(Disposed::Decided(ACCEPTED));
        let other_regime = DecidedAs {
            regime: 1,
            ..ACCEPTED
        };
        let refused = Was::alone(Disposed::Refused(401, 60));
        let duplicate = Was::alone(Disposed::Duplicate);
        for (was, would, expect) in [
            (decided, Would::Decided(ACCEPTED), Comparison::Same),
            (decided, Would::Decided(ESCALATED), Comparison::Differs),
            (decided, Would::Decided(other_regime), Comparison::Differs),
            (decided, Would::Refused(401, 60), Comparison::Differs),
            (decided, Would::Erased, Comparison::Nothing),
            (refused, Would::Refused(401, 60), Comparison::Same),
            (refused, Would::Refused(400, 85), Comparison::Differs),
            (refused, Would::Decided(ACCEPTED), Comparison::Differs),
            (duplicate, Would::Duplicate, Comparison::Same),
            (duplicate, Would::Decided(ESCALATED), Comparison::Differs),
            (
                Was::alone(Disposed::Unanswered),
                Would::Decided(ACCEPTED),
                Comparison::Nothing,
            ),
        ] {
            assert_eq!(compare(was, would), expect, "{was:?} {would:?}");
        }
    }
}
