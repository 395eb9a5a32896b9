//! How the expiry clock resumes at a start. Pure arithmetic: what was read from disk and the wall clock come in.

use crate::planted::{Bug, planted};
use crate::wal::manifest::{ClockMark, seconds_of};

/// Seconds of wall-clock time that a start may add to the expiry clock without an operator: one hour.
pub(crate) const RESUME_S_MAX: u32 = 3_600;

/// A reading of both clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Expiry clock, seconds since 2026-01-01 UTC.
    pub(crate) expiry_s: u32,
    /// Wall clock, microseconds since the Unix epoch.
    pub(crate) wall_us: u64,
}

impl Reading {
    /// The reading with which the clock of an installation begins. A wall clock that shows a time before 2026 is wrong.
    pub(crate) fn first(wall_us: u64) -> Reading {
        Reading {
            expiry_s: seconds_of(wall_us).unwrap_or(1),
            wall_us,
        }
    }

    /// The reading from which time resumes: the later one by the expiry clock; of equals the one that adds less.
    pub(crate) fn later(self, other: Reading) -> Reading {
        let key = |reading: Reading| (reading.expiry_s, reading.wall_us);
        if key(other) > key(self) { other } else { self }
    }

    /// What the wall clock shows at a later reading of the expiry clock, if both go on alike.
    fn wall_at(self, expiry_s: u32) -> u64 {
        let later_s = expiry_s.saturating_sub(self.expiry_s);
        self.wall_us.saturating_add(u64::from(later_s) * 1_000_000)
    }

    /// The mark to write down behind this one. While the gateway runs the wall clock goes on at least as the expiry clock
    /// does, so one that shows less was set back: the mark shows what it would show had it not been.
    pub(crate) fn next_mark(self, expiry_s: u32, wall_us: u64) -> Reading {
        Reading {
            expiry_s,
            wall_us: wall_us.max(self.wall_at(expiry_s)),
        }
    }
}

impl From<ClockMark> for Reading {
    fn from(mark: ClockMark) -> Reading {
        Reading {
            expiry_s: mark.expiry_s,
            wall_us: mark.wall_us,
        }
    }
}

impl From<Reading> for ClockMark {
    fn from(reading: Reading) -> ClockMark {
        ClockMark {
            expiry_s: reading.expiry_s,
            wall_us: reading.wall_us,
        }
    }
}

/// Where the expiry clock goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resumed {
    /// Expiry clock now.
    pub(crate) expiry_s: u32,
    /// Seconds that the wall clock claims and that were not added.
    pub(crate) withheld_s: u32,
}

/// Resumes from the newest reading on disk. The result never lies before it, nor before any durable `decided_at`.
///
/// The newest reading may be of a wall clock that was set back. The manifest's mark is not: no more has passed than it
/// allows. So a clock that is corrected again neither adds nor withholds what it was wrong by.
pub(crate) fn resume(
    newest: Reading,
    mark: Reading,
    decided_at_max: u32,
    wall_now_us: u64,
) -> Resumed {
    let wall_then_us = newest.wall_us.max(mark.wall_at(newest.expiry_s));
    let passed_us = wall_now_us.saturating_sub(wall_then_us);
    let passed_s = u32::try_from(passed_us / 1_000_000).unwrap_or(u32::MAX);
    let added_s = if planted(Bug::ExpiryOnClockJump) {
        passed_s
    } else {
        passed_s.min(RESUME_S_MAX)
    };
    Resumed {
        expiry_s: newest.expiry_s.saturating_add(added_s).max(decided_at_max),
        withheld_s: passed_s - added_s,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::manifest::CLOCK_BEGIN_US;

    const HOUR_US: u64 = 3_600_000_000;

    #[test]
    fn adds_what_the_wall_clock_says_up_to_an_hour_and_withholds_the_rest() {
        let newest = Reading {
            expiry_s: 1_000,
            wall_us: 50 * HOUR_US,
        };
        let half = resume(newest, newest, 0, 50 * HOUR_US + HOUR_US / 2);
        assert_eq!((half.expiry_s, half.withheld_s), (2_800, 0));
        let three = resume(newest, newest, 0, 53 * HOUR_US);
        assert_eq!((three.expiry_s, three.withheld_s), (4_600, 7_200));
    }

    #[test]
    fn a_wall_clock_that_went_back_adds_nothing() {
        let newest = Reading {
            expiry_s: 1_000,
            wall_us: 50 * HOUR_US,
        };
        let resumed = resume(newest, newest, 0, 0);
        assert_eq!((resumed.expiry_s, resumed.withheld_s), (1_000, 0));
    }

    #[test]
    fn never_resumes_before_a_durable_decision() {
        let nothing = Reading::default();
        assert_eq!(resume(nothing, nothing, 77, 0).expiry_s, 77);
    }

    #[test]
    fn a_wall_clock_that_was_set_back_and_corrected_adds_and_withholds_what_passed() {
        let mark = Reading {
            expiry_s: 1_000,
            wall_us: 50 * HOUR_US,
        };
        // It was set back by a day; then a minute of service was written down.
        let newest = Reading {
            expiry_s: 1_060,
            wall_us: 26 * HOUR_US + 60_000_000,
        };
        let corrected = resume(newest, mark, 0, 50 * HOUR_US + 65_000_000);
        assert_eq!((corrected.expiry_s, corrected.withheld_s), (1_065, 0));
        let later = resume(newest, mark, 0, 53 * HOUR_US + 60_000_000);
        assert_eq!((later.expiry_s, later.withheld_s), (4_660, 7_200));
        let still_wrong = resume(newest, mark, 0, 26 * HOUR_US + 65_000_000);
        assert_eq!((still_wrong.expiry_s, still_wrong.withheld_s), (1_060, 0));
    }

    #[test]
    fn a_mark_keeps_what_the_wall_clock_showed_before_it_was_set_back() {
        let mark = Reading {
            expiry_s: 1_000,
            wall_us: 50 * HOUR_US,
        };
        assert_eq!(
            mark.next_mark(1_010, 50 * HOUR_US + 10_000_000).wall_us,
            50 * HOUR_US + 10_000_000
        );
        assert_eq!(mark.next_mark(1_010, 51 * HOUR_US).wall_us, 51 * HOUR_US);
        assert_eq!(
            mark.next_mark(1_010, HOUR_US).wall_us,
            50 * HOUR_US + 10_000_000
        );
    }

    #[test]
    fn an_installation_begins_with_the_wall_clock_of_2026_and_after() {
        let first = |wall_us| Reading::first(wall_us).expiry_s;
        assert_eq!(first(CLOCK_BEGIN_US + 28_800_000_000_000), 28_800_000);
        assert_eq!(first(CLOCK_BEGIN_US - 1), 1);
        assert_eq!(first(0), 1);
    }

    #[test]
    fn the_later_reading_is_the_one_that_lets_ids_live_longer() {
        let a = Reading {
            expiry_s: 5,
            wall_us: 10,
        };
        let b = Reading {
            expiry_s: 5,
            wall_us: 20,
        };
        assert_eq!(a.later(b), b);
        assert_eq!(b.later(a), b);
    }
}
