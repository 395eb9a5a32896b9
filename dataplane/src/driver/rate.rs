//! The process-wide request rate: one atomic word, charged once per shard and turn. It is the only shared mutable state of
//! the record path. It never reads a clock.

use std::sync::atomic::{AtomicU64, Ordering};

/// A generic cell rate algorithm (GCRA): each request advances a "theoretical arrival time" by one interval, and is granted
/// if that time is at most the burst ahead of now. The burst is two seconds of the rate.
#[derive(Debug)]
pub struct Rate {
    /// Interval between two requests in nanoseconds; 0 = no limit.
    interval_ns: u64,
    /// Theoretical arrival time of the next request, in nanoseconds of monotonic time.
    next_ns: AtomicU64,
}

/// How far the theoretical arrival time may be ahead: two seconds, because the burst is twice the rate.
const BURST_NS: u64 = 2_000_000_000;

impl Rate {
    /// So many requests per second, and a burst of twice that; 0 = no limit.
    pub fn new(requests_per_s: u32) -> Rate {
        Rate {
            interval_ns: 1_000_000_000u64
                .checked_div(u64::from(requests_per_s))
                .map_or(0, |ns| ns.max(1)),
            next_ns: AtomicU64::new(0),
        }
    }

    /// Charges up to `wanted` requests and returns how many are granted. The clocks of shards may differ a little.
    pub fn charge(&self, wanted: u32, now_mono_us: u64) -> u32 {
        if self.interval_ns == 0 || wanted == 0 {
            return wanted;
        }
        let now_ns = now_mono_us.saturating_mul(1_000);
        let mut next_ns = self.next_ns.load(Ordering::Relaxed);
        loop {
            let from_ns = next_ns.max(now_ns);
            let room_ns = (now_ns + BURST_NS).saturating_sub(from_ns);
            let fit = room_ns / self.interval_ns;
            let granted = u32::try_from(fit).unwrap_or(u32::MAX).min(wanted);
            if granted == 0 {
                return 0;
            }
            let after_ns = from_ns + u64::from(granted) * self.interval_ns;
            // The word publishes no other memory, so relaxed ordering is enough.
            match self.next_ns.compare_exchange_weak(
                next_ns,
                after_ns,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return granted,
                Err(seen) => next_ns = seen,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One request at a time, in plain words.
    struct Naive {
        interval_ns: u64,
        next_ns: u64,
    }

    impl Naive {
        fn grant_one(&mut self, now_ns: u64) -> bool {
            let starts_ns = self.next_ns.max(now_ns);
            let ends_ns = starts_ns + self.interval_ns;
            let fits = ends_ns <= now_ns + BURST_NS;
            if fits {
                self.next_ns = ends_ns;
            }
            fits
        }
    }

    proptest! {
        #[test]
        fn charging_many_at_once_grants_what_charging_one_by_one_does(
            rate in 1u32..5_000,
            steps in prop::collection::vec((0u64..700_000, 0u32..6_000), 1..40),
        ) {
            let fast = Rate::new(rate);
            let mut naive = Naive { interval_ns: fast.interval_ns, next_ns: 0 };
            let mut now_us = 1_000_000_000;
            for (later_us, wanted) in steps {
                now_us += later_us;
                let granted = fast.charge(wanted, now_us);
                let expected = (0..wanted).filter(|_| naive.grant_one(now_us * 1_000)).count();
                prop_assert_eq!(granted as usize, expected);
            }
        }
    }

    #[test]
    fn grants_a_burst_of_twice_the_rate_and_then_the_rate() {
        let rate = Rate::new(100);
        assert_eq!(rate.charge(1_000, 5_000_000), 200);
        assert_eq!(rate.charge(1_000, 5_000_000), 0);
        assert_eq!(rate.charge(1_000, 6_000_000), 100);
        assert_eq!(rate.charge(1_000, 60_000_000), 200);
    }

    #[test]
    fn zero_means_no_limit() {
        assert_eq!(Rate::new(0).charge(u32::MAX, 0), u32::MAX);
    }

    #[test]
    fn shards_that_charge_at_once_never_get_more_than_the_burst_together() {
        let rate = Rate::new(1_000);
        let granted: u32 = std::thread::scope(|scope| {
            let charge = || (0..1_000).map(|_| rate.charge(3, 7_000_000)).sum::<u32>();
            let shards: Vec<_> = (0..4).map(|_| scope.spawn(charge)).collect();
            shards.into_iter().map(|shard| shard.join().unwrap()).sum()
        });
        assert_eq!(granted, 2_000);
    }
}
