//! The only place of the data plane that reads clocks. It owns nothing.

use crate::io::Now;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Reads both clocks.
pub fn now() -> Now {
    Now {
        mono_us: us(clock_gettime(ClockId::Monotonic)),
        wall_us: us(clock_gettime(ClockId::Realtime)),
    }
}

/// The monotonic clock in nanoseconds, for durations within a turn.
pub(super) fn mono_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A span of so many microseconds, as the system takes it.
pub(super) fn timespec(span_us: u64) -> Timespec {
    Timespec {
        tv_sec: (span_us / 1_000_000) as i64,
        tv_nsec: (span_us % 1_000_000 * 1_000) as i64,
    }
}

/// Whether a time source (NTP, PTP) disciplines the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// A source does.
    Follows {
        /// The kernel's estimate of the largest error, in microseconds.
        error_max_us: u64,
    },
    /// No source does.
    Free,
    /// The kernel does not say: the call is filtered.
    Unknown,
}

/// Asks the kernel whether a time source disciplines the wall clock.
#[allow(unsafe_code)]
pub fn sync() -> Sync {
    // SAFETY: all zeros are a valid `timex`, whose fields are integers; `modes` = 0 changes nothing.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes into this one structure, which outlives it.
    let answer = unsafe { libc::adjtimex(&raw mut state) };
    match answer {
        -1 => Sync::Unknown,
        libc::TIME_ERROR => Sync::Free,
        _ if state.status & libc::STA_UNSYNC != 0 => Sync::Free,
        _ => Sync::Follows {
            error_max_us: u64::try_from(state.maxerror).unwrap_or(0),
        },
    }
}

/// Converts a reading. A wall clock before 1970 counts as 1970; the monotonic clock is never negative.
fn us(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1_000_000 + nanoseconds / 1_000
}

#[cfg(test)]
mod tests {
    #[test]
    fn whether_the_clock_follows_a_source_can_be_asked_for() {
        if let super::Sync::Follows { error_max_us } = super::sync() {
            assert!(error_max_us < 60_000_000, "{error_max_us}");
        }
    }

    #[test]
    fn monotonic_time_does_not_step_back_and_wall_time_is_after_2020() {
        let first = super::now();
        let second = super::now();
        assert!(second.mono_us >= first.mono_us);
        assert!(first.wall_us > 1_577_836_800_000_000);
    }
}
