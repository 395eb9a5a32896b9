//! How the expiry clock resumes at a start. Pure arithmetic: what was read from disk and the wall clock come in.

use crate::planted::{Bug, planted};

/// Seconds of wall-clock time that a start may add to the expiry clock without being told: one hour.
pub(crate) const RESUME_S_MAX: u32 = 3_600;

/// A reading of both clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Expiry clock, seconds since installation.
    pub(crate) expiry_s: u32,
    /// Wall clock, microseconds since the Unix epoch.
    pub(crate) wall_us: u64,
}

impl Reading {
    /// The reading from which time resumes: the later one by the expiry clock; of equals the one that adds less.
    pub(crate) fn later(self, other: Reading) -> Reading {
        let key = |reading: Reading| (reading.expiry_s, reading.wall_us);
        if key(other) > key(self) { other } else { self }
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
pub(crate) fn resume(newest: Reading, decided_at_max: u32, wall_now_us: u64) -> Resumed {
    let passed_us = wall_now_us.saturating_sub(newest.wall_us);
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

    const HOUR_US: u64 = 3_600_000_000;

    #[test]
    fn adds_what_the_wall_clock_says_up_to_an_hour_and_withholds_the_rest() {
        let newest = Reading {
            expiry_s: 1_000,
            wall_us: 50 * HOUR_US,
        };
        let half = resume(newest, 0, 50 * HOUR_US + HOUR_US / 2);
        assert_eq!((half.expiry_s, half.withheld_s), (2_800, 0));
        let three = resume(newest, 0, 53 * HOUR_US);
        assert_eq!((three.expiry_s, three.withheld_s), (4_600, 7_200));
    }

    #[test]
    fn a_wall_clock_that_went_back_adds_nothing() {
        let newest = Reading {
            expiry_s: 1_000,
            wall_us: 50 * HOUR_US,
        };
        let resumed = resume(newest, 0, 0);
        assert_eq!((resumed.expiry_s, resumed.withheld_s), (1_000, 0));
    }

    #[test]
    fn never_resumes_before_a_durable_decision() {
        assert_eq!(resume(Reading::default(), 77, 0).expiry_s, 77);
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
