//! The only place of the data plane that reads clocks. It owns nothing.

use crate::io::Now;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Both clocks, as they stand.
pub fn now() -> Now {
    Now {
        mono_us: us(clock_gettime(ClockId::Monotonic)),
        wall_us: us(clock_gettime(ClockId::Realtime)),
    }
}

/// Neither clock reads below zero on a host that can run this: a wall clock before 1970 counts as 1970.
fn us(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1_000_000 + nanoseconds / 1_000
}

#[cfg(test)]
mod tests {
    #[test]
    fn monotonic_time_does_not_step_back_and_wall_time_is_after_2020() {
        let first = super::now();
        let second = super::now();
        assert!(second.mono_us >= first.mono_us);
        assert!(first.wall_us > 1_577_836_800_000_000);
    }
}
