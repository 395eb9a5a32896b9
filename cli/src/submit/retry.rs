//! When to retry and when to give up: a pure function of the response and a random number.

use std::time::Duration;

/// How often and when a record is retried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    attempts_max: u32,
    base: Duration,
    cap: Duration,
    /// A gateway that asks for more patience than this gets no further attempt.
    retry_after_max: Duration,
}

impl Retry {
    /// The usual pauses with another number of attempts.
    pub(crate) const fn with_attempts(attempts_max: u32) -> Self {
        Self {
            attempts_max,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(300),
        }
    }

    /// Whether a retry after this status may succeed.
    pub(crate) const fn may_change(status: u16) -> bool {
        matches!(status, 408 | 502 | 503 | 504)
    }

    /// How long to pause after attempt number `attempt` (from 1); none to give up. `random` is from 0 up to 1.
    pub(crate) fn pause(
        &self,
        attempt: u32,
        retry_after_s: Option<u64>,
        random: f64,
    ) -> Option<Duration> {
        if attempt >= self.attempts_max {
            return None;
        }
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let pause = self.base.saturating_mul(doubled).min(self.cap);
        let pause = pause.mul_f64(0.75 + random * 0.5);
        let asked = Duration::from_secs(retry_after_s.unwrap_or(0));
        if asked > self.retry_after_max {
            return None;
        }
        // behind what was asked for, jitter only adds: never too early, and not all at once
        Some(pause.max(asked + asked.mul_f64(random * 0.25)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry::with_attempts(100);

    fn ms(attempt: u32, random: f64) -> u128 {
        RETRY.pause(attempt, None, random).unwrap().as_millis()
    }

    #[test]
    fn pauses_double_up_to_the_cap() {
        let pauses: Vec<u128> = (1..=11).map(|attempt| ms(attempt, 0.5)).collect();
        assert_eq!(pauses[..5], [100, 200, 400, 800, 1600]);
        assert_eq!(pauses[8..], [25_600, 30_000, 30_000]);
        assert_eq!(ms(99, 0.5), 30_000);
    }

    #[test]
    fn jitter_is_a_quarter_either_way() {
        assert_eq!((ms(1, 0.0), ms(1, 1.0)), (75, 125));
        assert_eq!((ms(50, 0.0), ms(50, 1.0)), (22_500, 37_500));
    }

    #[test]
    fn nothing_is_sent_before_retry_after() {
        let pause = |asked, random| RETRY.pause(1, Some(asked), random).map(|it| it.as_millis());
        assert_eq!(pause(2, 0.0), Some(2_000));
        assert_eq!(pause(2, 1.0), Some(2_500));
        assert_eq!(pause(0, 0.5), Some(100));
        assert_eq!(pause(300, 0.0), Some(300_000));
        assert_eq!(pause(301, 0.0), None);
        assert_eq!(pause(u64::MAX, 0.0), None);
    }

    #[test]
    fn the_last_attempt_is_the_last() {
        let retry = Retry::with_attempts(3);
        assert!(retry.pause(2, None, 0.5).is_some());
        assert!(retry.pause(3, None, 0.5).is_none());
        assert!(Retry::with_attempts(1).pause(1, None, 0.5).is_none());
    }

    #[test]
    fn only_answers_about_the_moment_are_asked_for_again() {
        let again: Vec<u16> = (100..600).filter(|&it| Retry::may_change(it)).collect();
        assert_eq!(again, [408, 502, 503, 504]);
    }
}
