//! How often something is said that may happen at any rate. It reads no clock and counts nothing.

/// Lets something pass at most once in so many microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    every_us: u64,
    passed_us: Option<u64>,
}

impl Throttle {
    /// The first may pass at any time.
    pub const fn every_us(every_us: u64) -> Throttle {
        Throttle {
            every_us,
            passed_us: None,
        }
    }

    /// When the next may pass; none: at any time.
    pub fn next_us(&self) -> Option<u64> {
        self.passed_us.map(|passed_us| passed_us + self.every_us)
    }

    /// Whether one may pass at this monotonic time; if so, it has.
    pub fn pass(&mut self, now_us: u64) -> bool {
        let may_pass = self.next_us().is_none_or(|next_us| now_us >= next_us);
        if may_pass {
            self.passed_us = Some(now_us);
        }
        may_pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_passes_and_the_next_when_the_time_is_over() {
        let mut throttle = Throttle::every_us(10);
        assert_eq!(throttle.next_us(), None);
        assert!(throttle.pass(3));
        assert_eq!(throttle.next_us(), Some(13));
        assert!(!throttle.pass(12));
        assert!(throttle.pass(13));
        assert!(!throttle.pass(22), "it counts from the one that passed");
    }
}
