//! Time limits that no setting changes. A gateway has those that the documentation promises; only the build for tests
//! has others, so that no test waits for minutes.

use crate::keeper::stop::{STOP_MORE_US, STOP_US};
use crate::shard::config::ShardLimits;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimits {
    /// A request head arrives within this time.
    pub head_us: u64,
    /// A body may be slow for this long.
    pub body_grace_us: u64,
    /// A whole request is answered 503 after this time.
    pub deadline_us: u64,
    /// A graceful stop ends within this time after its drain delay.
    pub stop_us: u64,
    /// Where the keeper cannot end the process itself, the driver does so this much later.
    pub stop_more_us: u64,
    /// Control looks at the answers of the gateway this often.
    pub observe_us: u64,
}

/// How often control looks at answers: often enough for a verdict within the first minute under a snapshot.
const OBSERVE_US: u64 = 5_000_000;

impl Default for TimeLimits {
    fn default() -> TimeLimits {
        let limits = ShardLimits::default();
        TimeLimits {
            head_us: limits.head_timeout_us,
            body_grace_us: limits.body_grace_us,
            deadline_us: limits.deadline_us,
            stop_us: STOP_US,
            stop_more_us: STOP_MORE_US,
            observe_us: OBSERVE_US,
        }
    }
}

impl TimeLimits {
    /// The limits of a shard with these times.
    pub(super) fn of_shard(&self, limits: ShardLimits) -> ShardLimits {
        ShardLimits {
            head_timeout_us: self.head_us,
            body_grace_us: self.body_grace_us,
            deadline_us: self.deadline_us,
            ..limits
        }
    }

    /// Those of a process without arguments of its own for them: the defaults, but in the build for tests what the variable
    /// FLK_TEST_LIMITS says.
    pub fn of_process() -> TimeLimits {
        #[cfg(feature = "planted-bugs")]
        if let Ok(text) = std::env::var("FLK_TEST_LIMITS") {
            return TimeLimits::parse(&text).unwrap_or_else(|wrong| panic!("{wrong}"));
        }
        TimeLimits::default()
    }

    /// The defaults, but for those that a text such as `deadline=500ms,stop=2s` names.
    ///
    /// # Errors
    /// The part that names no limit or gives no time, with what is allowed.
    #[cfg(feature = "planted-bugs")]
    pub fn parse(text: &str) -> Result<TimeLimits, String> {
        let mut limits = TimeLimits::default();
        for part in text.split(',') {
            let wrong = || {
                format!(
                    "`{part}`: allowed is NAME=TIME, a name being one of head, body_grace, deadline, stop, stop_more, observe, a time such as 500ms or 2s"
                )
            };
            let (name, time) = part.split_once('=').ok_or_else(wrong)?;
            let limit = match name {
                "head" => &mut limits.head_us,
                "body_grace" => &mut limits.body_grace_us,
                "deadline" => &mut limits.deadline_us,
                "stop" => &mut limits.stop_us,
                "stop_more" => &mut limits.stop_more_us,
                "observe" => &mut limits.observe_us,
                _ => return Err(wrong()),
            };
            *limit = micros(time).ok_or_else(wrong)?;
        }
        Ok(limits)
    }
}

/// Reads `500ms` and `2s` as microseconds, one hour at most.
#[cfg(feature = "planted-bugs")]
fn micros(time: &str) -> Option<u64> {
    let (number, unit_us) = match time.strip_suffix("ms") {
        Some(number) => (number, 1_000),
        None => (time.strip_suffix('s')?, 1_000_000),
    };
    let micros = number.parse::<u64>().ok()?.checked_mul(unit_us)?;
    (1..=3_600_000_000).contains(&micros).then_some(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_without_a_test_are_those_that_the_documentation_promises() {
        let limits = TimeLimits::default();
        let seconds =
            [limits.head_us, limits.body_grace_us, limits.deadline_us].map(|it| it / 1_000_000);
        assert_eq!(seconds, [5, 3, 5]);
        assert_eq!(
            [limits.stop_us, limits.stop_more_us],
            [15_000_000, 5_000_000]
        );
        assert_eq!(limits.observe_us, 5_000_000);
        let shard = ShardLimits::default();
        assert_eq!(
            format!("{:?}", limits.of_shard(shard)),
            format!("{shard:?}")
        );
    }

    #[cfg(feature = "planted-bugs")]
    #[test]
    fn the_build_for_tests_reads_each_time_by_its_name() {
        let text = "head=1s,body_grace=2ms,deadline=3ms,stop=4s,stop_more=5ms,observe=6ms";
        let limits = TimeLimits {
            head_us: 1_000_000,
            body_grace_us: 2_000,
            deadline_us: 3_000,
            stop_us: 4_000_000,
            stop_more_us: 5_000,
            observe_us: 6_000,
        };
        assert_eq!(TimeLimits::parse(text), Ok(limits));
        let stop = TimeLimits {
            stop_us: 2_000_000,
            ..TimeLimits::default()
        };
        assert_eq!(TimeLimits::parse("stop=2s"), Ok(stop));
    }

    #[cfg(feature = "planted-bugs")]
    #[test]
    fn what_is_no_time_of_a_limit_is_named() {
        for text in [
            "",
            "stop",
            "stop=",
            "stop=0s",
            "stop=2",
            "stop=-1s",
            "stop=2h",
            "stop=3601s",
            "stop=18446744073709551615s",
            "halt=2s",
            "stop=2s,",
            "stop= 2s",
        ] {
            let error = TimeLimits::parse(text).unwrap_err();
            assert!(error.contains("allowed is NAME=TIME"), "{text}: {error}");
        }
    }
}
