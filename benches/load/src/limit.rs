//! The rule that says whether the generator itself was the limit of a run. It is a pure function of what was measured, so that the
//! same figures always get the same verdict.

use std::fmt;
use std::time::Duration;

/// A thread that was on a CPU for so much of the time may have been late for anything else.
pub const CPU_SHARE_MAX: f64 = 0.9;
/// A lag below this is that of timers and of the scheduler, on any machine.
pub const LAG_FLOOR: Duration = Duration::from_micros(250);
/// A lag above this part of the latency is a visible part of it.
pub const LAG_PART_MAX: f64 = 0.1;

/// What the rule looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Symptoms {
    /// The largest part of a CPU that one sending thread used, 0 to 1.
    pub cpu_share_max: f64,
    /// The 99th percentile of how late requests left although a connection was free.
    pub lag_p99: Duration,
    /// The 99th percentile of the latency.
    pub latency_p99: Duration,
}

/// Why the generator was the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// A thread had no more time.
    Cpu(f64),
    /// Requests left late.
    Lag {
        /// How late, at the 99th percentile.
        lag_p99: Duration,
        /// The latency beside it.
        latency_p99: Duration,
    },
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Cpu(share) => write!(
                out,
                "a sending thread used {:.0} % of a CPU (limit {:.0} %): give it more --threads, or sign before the run",
                share * 100.0,
                CPU_SHARE_MAX * 100.0
            ),
            Limit::Lag {
                lag_p99,
                latency_p99,
            } => write!(
                out,
                "1 of 100 requests left {lag_p99:.0?} late or more, beside a p99 of {latency_p99:.0?} (limits {LAG_FLOOR:?} and {:.0} % of it): give it CPUs of its own (--cpus), or more --threads",
                LAG_PART_MAX * 100.0
            ),
        }
    }
}

/// All reasons for which the generator was the limit; none: it was not.
pub fn limits(symptoms: &Symptoms) -> Vec<Limit> {
    let Symptoms {
        cpu_share_max,
        lag_p99,
        latency_p99,
    } = *symptoms;
    let mut limits = Vec::new();
    if cpu_share_max >= CPU_SHARE_MAX {
        limits.push(Limit::Cpu(cpu_share_max));
    }
    if lag_p99 >= LAG_FLOOR && lag_p99 >= latency_p99.mul_f64(LAG_PART_MAX) {
        limits.push(Limit::Lag {
            lag_p99,
            latency_p99,
        });
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cpu_share_max: f64, lag_us: u64, latency_us: u64, expect: &[&str]) {
        let found = limits(&Symptoms {
            cpu_share_max,
            lag_p99: Duration::from_micros(lag_us),
            latency_p99: Duration::from_micros(latency_us),
        });
        let found: Vec<String> = found.iter().map(Limit::to_string).collect();
        assert_eq!(found.len(), expect.len(), "{found:?}");
        for (said, part) in found.iter().zip(expect) {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_thread_without_time_is_the_limit_whatever_its_lag() {
        check(0.89, 0, 100, &[]);
        check(0.9, 0, 100, &["used 90 % of a CPU"]);
        check(1.0, 0, 1_000_000, &["used 100 % of a CPU"]);
    }

    #[test]
    fn a_lag_is_the_limit_where_it_is_a_visible_part_of_the_latency() {
        check(0.1, 249, 300, &[]);
        check(
            0.1,
            250,
            300,
            &["left 250µs late or more, beside a p99 of 300µs"],
        );
        check(0.1, 250, 2_500, &["left 250µs late"]);
        check(0.1, 250, 2_600, &[]);
        check(0.1, 50_000, 1_000_000, &[]);
    }

    #[test]
    fn both_are_said() {
        check(0.95, 9_000, 10_000, &["95 %", "left 9ms late"]);
    }
}
