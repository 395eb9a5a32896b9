//! When rows are due: at each whole second of the wall clock, each second once. Seconds in which this process did not run are
//! rows without numbers, and a clock that was set begins a new history. It reads no clock.

/// Milliseconds between rows.
pub const STEP_MS: u64 = 1000;
/// A wall clock may go back so far without a new history: rows wait meanwhile.
const BACK_MS_MAX: u64 = 2 * STEP_MS;
/// So many rows may be missing in a row.
const MISSED_MAX: u64 = 3600;
/// Histories begin at multiples of this, so that their coarser rows are at round times.
const ROUND_MS: u64 = 10 * STEP_MS;

/// The times of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// When row 0 would have been, in milliseconds since 1970.
    start_ms: u64,
    /// Number of the next row.
    next: u64,
}

/// What a time means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The next row is due in so many milliseconds.
    In(u64),
    /// A row is due, behind so many that were missed.
    Row {
        /// Rows that nothing was taken for.
        missed: u64,
    },
    /// The clock was set: nothing before and behind can be compared.
    NewHistory,
}

impl Clock {
    /// A history that begins now.
    pub fn begin(now_ms: u64) -> Clock {
        let start_ms = now_ms / ROUND_MS * ROUND_MS;
        Clock {
            start_ms,
            next: (now_ms - start_ms).div_ceil(STEP_MS),
        }
    }

    /// The number of the next row.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// When a row is, in milliseconds since 1970.
    pub fn at_ms(&self, row: u64) -> u64 {
        self.start_ms + row * STEP_MS
    }

    /// What is to be done at this time; rows that are due count as taken.
    pub fn due(&mut self, now_ms: u64) -> Due {
        let next_ms = self.at_ms(self.next);
        if now_ms < next_ms {
            return match next_ms - now_ms {
                wait_ms if wait_ms <= BACK_MS_MAX => Due::In(wait_ms),
                _ => Due::NewHistory,
            };
        }
        let missed = (now_ms - next_ms) / STEP_MS;
        if missed > MISSED_MAX {
            return Due::NewHistory;
        }
        self.next += missed + 1;
        Due::Row { missed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_one_row_at_its_beginning() {
        let mut clock = Clock::begin(1_000_000_003_400);
        assert_eq!(clock.next(), 4);
        assert_eq!(clock.due(1_000_000_003_400), Due::In(600));
        assert_eq!(clock.due(1_000_000_004_001), Due::Row { missed: 0 });
        assert_eq!(clock.due(1_000_000_004_002), Due::In(998));
        assert_eq!(clock.due(1_000_000_005_900), Due::Row { missed: 0 });
        assert_eq!(clock.at_ms(10), 1_000_000_010_000, "a round time");
    }

    #[test]
    fn seconds_without_a_look_are_missed_rows() {
        let mut clock = Clock::begin(20_000);
        assert_eq!(clock.due(20_000), Due::Row { missed: 0 });
        assert_eq!(clock.due(25_500), Due::Row { missed: 4 });
        assert_eq!((clock.next(), clock.due(25_500)), (6, Due::In(500)));
    }

    #[test]
    fn a_clock_that_is_set_begins_a_new_history_and_a_small_step_back_waits() {
        let mut clock = Clock::begin(100_000);
        clock.due(100_000);
        assert_eq!(clock.due(99_500), Due::In(1500));
        assert_eq!(clock.due(99_000), Due::In(2000));
        assert_eq!(clock.due(98_999), Due::NewHistory);
        assert_eq!(clock.due(101_000 + 3600 * 1000), Due::Row { missed: 3600 });
        let mut clock = Clock::begin(100_000);
        assert_eq!(clock.due(100_000 + 3601 * 1000), Due::NewHistory);
    }
}
