//! Token buckets of the process: one atomic word each, for the rates and quotas of tenants and of all together, and for
//! addresses. They are the only shared mutable state of the record path. Nothing here reads a clock or knows a tenant.

use crate::event::{Ask, Granted};
use crate::io::Now;
use crate::snapshot::Limit;
use crate::wal::batch::BODY_BYTES_MAX;
use std::sync::atomic::{AtomicU64, Ordering};

/// Generic cell rate algorithm (GCRA): each unit advances a "theoretical arrival time" by one interval, and is granted if that
/// time is at most the burst ahead of now. Since a word holds a time and no units, another rate goes on from where the last
/// one was.
#[derive(Debug)]
pub struct Buckets {
    /// Theoretical arrival times in ticks of monotonic time, by [`Limit::word`].
    words: Box<[AtomicU64]>,
}

/// Sixteenths of a nanosecond: fine enough for hundreds of millions of units per second, and 36 years of them fit into a word.
const TICKS_PER_US: u64 = 16_000;
const TICKS_PER_S: u128 = TICKS_PER_US as u128 * 1_000_000;

/// What is owed for [`Ask::Owed`] is forgotten beyond this, so that what came at once does not close a bucket for hours.
const OWED_TICKS_MAX: u64 = 60 * TICKS_PER_US * 1_000_000;

/// The clocks of shards differ by less.
const CLOCKS_TICKS: u64 = TICKS_PER_US * 1_000_000;

/// Times of units at a rate.
#[derive(Clone, Copy)]
struct Pace {
    per_s: u64,
}

impl Pace {
    /// How long so many units take, rounded up: a rate is never exceeded.
    fn ticks(self, units: u64) -> u64 {
        let ticks = (u128::from(units) * TICKS_PER_S).div_ceil(u128::from(self.per_s));
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// How many whole units fit into this time.
    fn units(self, ticks: u64) -> u64 {
        let units = u128::from(ticks) * u128::from(self.per_s) / TICKS_PER_S;
        u64::try_from(units).unwrap_or(u64::MAX)
    }
}

impl Default for Buckets {
    /// All that any snapshot may name, each full.
    fn default() -> Buckets {
        Buckets {
            words: (0..Limit::WORDS_COUNT).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Buckets {
    /// Takes units from a bucket. The clocks of shards may differ a little.
    pub fn charge(&self, limit: Limit, ask: Ask, now: Now) -> Granted {
        if limit.per_s == 0 {
            return Granted::all(ask);
        }
        let pace = Pace { per_s: limit.per_s };
        let now_ticks = now.mono_us.saturating_mul(TICKS_PER_US);
        let latest = now_ticks.saturating_add(pace.ticks(limit.burst));
        let word = &self.words[limit.word as usize];
        let mut next = word.load(Ordering::Relaxed);
        loop {
            // What is further ahead was left by a slower rate, which would close this one for as long as it took.
            let own = next.min(ahead_max(ask, pace, latest));
            let from = own.max(now_ticks);
            let fit = pace.units(latest.saturating_sub(from));
            let (count, after) = match ask {
                Ask::UpTo(wanted) => {
                    let count = fit.min(wanted);
                    (count, from.saturating_add(pace.ticks(count)))
                }
                Ask::Whole(_) if fit == 0 => (0, from),
                Ask::Whole(wanted) => (wanted, from.saturating_add(pace.ticks(wanted))),
                Ask::Owed(wanted) => {
                    let after = from.saturating_add(pace.ticks(wanted));
                    let most = latest.saturating_add(OWED_TICKS_MAX).max(from);
                    (wanted, after.min(most))
                }
            };
            let granted = Granted {
                count,
                retry_after_us: match ask {
                    Ask::UpTo(wanted) if count < wanted => wait_us(after, pace, latest),
                    Ask::Whole(_) if fit == 0 => wait_us(after, pace, latest),
                    Ask::UpTo(_) | Ask::Whole(_) | Ask::Owed(_) => 0,
                },
            };
            if count == 0 && own == next {
                return granted;
            }
            // The word publishes no other memory, so relaxed ordering is enough.
            let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
            match word.compare_exchange_weak(next, after, set, get) {
                Ok(_) => return granted,
                Err(seen) => next = seen,
            }
        }
    }
}

/// How far ahead a bucket of this kind can be under its own rate.
fn ahead_max(ask: Ask, pace: Pace, latest: u64) -> u64 {
    let owed = match ask {
        Ask::UpTo(_) => 0,
        Ask::Whole(_) | Ask::Owed(_) => pace.ticks(BODY_BYTES_MAX as u64).max(OWED_TICKS_MAX),
    };
    latest.saturating_add(owed).saturating_add(CLOCKS_TICKS)
}

/// How long until one more unit is granted.
fn wait_us(after: u64, pace: Pace, latest: u64) -> u64 {
    let fits_at = after.saturating_add(pace.ticks(1));
    fits_at.saturating_sub(latest).div_ceil(TICKS_PER_US)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(per_s: u64, burst: u64) -> Limit {
        Limit {
            word: 3,
            per_s,
            burst,
        }
    }

    fn at(mono_us: u64) -> Now {
        Now {
            mono_us,
            wall_us: 0,
        }
    }

    /// One unit at a time, by exact fractions of a tick: a numerator over the rate.
    struct Naive {
        next: u128,
    }

    impl Naive {
        /// Whether one more unit fits, if so many were granted at this moment already.
        fn fits(&self, granted: u64, limit: Limit, now_us: u64) -> bool {
            let rate = u128::from(limit.per_s);
            let now = u128::from(now_us) * u128::from(TICKS_PER_US) * rate;
            let ends = self.next.max(now) + u128::from(granted + 1) * TICKS_PER_S;
            let burst = (u128::from(limit.burst) * TICKS_PER_S).div_ceil(rate) * rate;
            ends <= now + burst
        }

        /// Takes what was granted, rounded up to a tick.
        fn take(&mut self, granted: u64, limit: Limit, now_us: u64) {
            let rate = u128::from(limit.per_s);
            let now = u128::from(now_us) * u128::from(TICKS_PER_US) * rate;
            if granted > 0 {
                let ends = self.next.max(now) + u128::from(granted) * TICKS_PER_S;
                self.next = ends.div_ceil(rate) * rate;
            }
        }
    }

    proptest! {
        #[test]
        fn charging_many_at_once_grants_what_charging_one_by_one_does(
            per_s in 1u64..50_000,
            burst in 1u64..20_000,
            steps in prop::collection::vec((0u64..700_000, 0u64..6_000), 1..40),
        ) {
            let buckets = Buckets::default();
            let limit = limit(per_s, burst);
            let mut naive = Naive { next: 0 };
            let mut now_us = 1_000_000_000;
            for (later_us, wanted) in steps {
                now_us += later_us;
                let granted = buckets.charge(limit, Ask::UpTo(wanted), at(now_us));
                let mut expected = 0;
                while expected < wanted && naive.fits(expected, limit, now_us) {
                    expected += 1;
                }
                naive.take(expected, limit, now_us);
                prop_assert_eq!(granted.count, expected);
                prop_assert_eq!(granted.retry_after_us > 0, expected < wanted);
                if expected < wanted {
                    // Exact to a microsecond: at that time one more fits, and none before.
                    let then_us = now_us + granted.retry_after_us;
                    prop_assert!(naive.fits(0, limit, then_us));
                    prop_assert!(granted.retry_after_us == 1 || !naive.fits(0, limit, then_us - 1));
                }
            }
        }

        #[test]
        fn over_time_a_rate_is_what_it_says_for_ones_and_for_many(
            per_s in prop::sample::select(vec![1u64, 7, 999, 100_000, 3_000_000, 700_000_000]),
            part in 1u64..2_000,
        ) {
            let buckets = Buckets::default();
            let limit = limit(per_s, per_s);
            buckets.charge(limit, Ask::UpTo(per_s), at(1_000_000));
            let mut count = 0;
            for step in 1..=10_000 {
                let now = at(1_000_000 + step * 1_000);
                for wanted in [part, 1, per_s] {
                    count += buckets.charge(limit, Ask::UpTo(wanted), now).count;
                }
            }
            let expected = per_s * 10;
            prop_assert!(count <= expected, "{} of {}", count, expected);
            // The last one may end a tick later.
            prop_assert!((count + 1) * 100 >= expected * 99, "{} of {}", count, expected);
        }
    }

    #[test]
    fn grants_a_burst_and_then_the_rate() {
        let buckets = Buckets::default();
        let limit = limit(100, 200);
        let charge = |at_us| buckets.charge(limit, Ask::UpTo(1_000), at(at_us));
        assert_eq!(charge(5_000_000).count, 200);
        let none = Granted {
            count: 0,
            retry_after_us: 10_000,
        };
        assert_eq!(charge(5_000_000), none);
        assert_eq!(charge(6_000_000).count, 100);
        assert_eq!(charge(60_000_000).count, 200);
    }

    #[test]
    fn zero_means_no_limit() {
        let buckets = Buckets::default();
        for ask in [Ask::UpTo(u64::MAX), Ask::Whole(7), Ask::Owed(0)] {
            assert_eq!(buckets.charge(limit(0, 0), ask, at(0)), Granted::all(ask));
        }
    }

    #[test]
    fn what_is_asked_for_as_a_whole_may_be_more_than_there_is_and_is_paid_off() {
        let buckets = Buckets::default();
        let limit = limit(1_000, 2_000);
        let ask = |bytes, at_us| buckets.charge(limit, Ask::Whole(bytes), at(at_us));
        assert_eq!(ask(1_500, 1_000_000), Granted::all(Ask::Whole(1_500)));
        assert_eq!(ask(10_500, 1_000_000).count, 10_500, "some was left");
        // 10,000 are owed: one more byte fits after 10,001 of them.
        let refused = ask(1, 1_000_000);
        assert_eq!((refused.count, refused.retry_after_us), (0, 10_001_000));
        assert_eq!(ask(0, 1_000_000).retry_after_us, 10_001_000);
        assert_eq!(ask(1, 11_001_000), Granted::all(Ask::Whole(1)));
    }

    #[test]
    fn what_is_charged_afterwards_closes_the_bucket_for_a_minute_at_most() {
        let buckets = Buckets::default();
        let limit = limit(1_000, 2_000);
        for _ in 0..3 {
            let charged = buckets.charge(limit, Ask::Owed(1 << 30), at(1_000_000));
            assert_eq!(charged.count, 1 << 30);
        }
        let refused = buckets.charge(limit, Ask::Whole(0), at(1_000_000));
        assert_eq!(refused.retry_after_us, 60_001_000);
        let later = buckets.charge(limit, Ask::Whole(0), at(61_001_000));
        assert_eq!(later.retry_after_us, 0);
    }

    #[test]
    fn another_rate_goes_on_from_where_the_last_one_was() {
        let buckets = Buckets::default();
        let charge = |limit, at_us| buckets.charge(limit, Ask::UpTo(10_000), at(at_us)).count;
        assert_eq!(charge(limit(100, 200), 5_000_000), 200);
        assert_eq!(
            charge(limit(1_000, 2_000), 5_000_000),
            0,
            "the burst was had"
        );
        assert_eq!(charge(limit(1_000, 2_000), 6_000_000), 1_000);
    }

    #[test]
    fn what_a_slower_rate_left_behind_does_not_close_a_faster_one() {
        let buckets = Buckets::default();
        let charge = |limit, ask, at_us| buckets.charge(limit, ask, at(at_us)).count;
        // A day of a slow rate was had at once.
        assert_eq!(
            charge(limit(1, 86_400), Ask::UpTo(86_400), 5_000_000),
            86_400
        );
        let faster = limit(1_000, 2_000);
        assert_eq!(charge(faster, Ask::UpTo(1), 5_000_000), 0);
        assert_eq!(charge(faster, Ask::UpTo(1_000), 7_000_000), 1_000);
        // So were many bytes, where a day would pay them.
        let buckets = Buckets::default();
        let charge = |limit, ask, at_us| buckets.charge(limit, ask, at(at_us)).count;
        assert_eq!(charge(limit(1, 2), Ask::Whole(1 << 20), 5_000_000), 1 << 20);
        let faster = limit(1 << 20, 2 << 20);
        assert_eq!(charge(faster, Ask::Whole(1), 5_000_000), 0);
        assert_eq!(charge(faster, Ask::Whole(1), 67_000_000), 1);
        // Under the same rate they are paid off in full.
        let slow = limit(1_000, 2_000);
        let buckets = Buckets::default();
        let charge = |ask, at_us| buckets.charge(slow, ask, at(at_us)).count;
        assert_eq!(charge(Ask::Whole(1 << 20), 5_000_000), 1 << 20);
        assert_eq!(charge(Ask::Whole(1), 1_000_000_000), 0);
        assert_eq!(charge(Ask::Whole(1), 1_060_000_000), 1);
    }

    #[test]
    fn shards_that_charge_at_once_get_the_rate_together_whatever_each_asks_for() {
        for spread in [[1u64, 1, 1, 1], [1, 100, 1, 3], [0, 0, 0, 7]] {
            let buckets = Buckets::default();
            let limit = limit(1_000_000, 1_000);
            let granted: u64 = std::thread::scope(|scope| {
                let charge = |part: u64| {
                    let buckets = &buckets;
                    move || {
                        let steps = (0..20_000u64).map(|step| at(7_000_000 + step * 10));
                        let each = steps.map(|now| {
                            let ask = Ask::UpTo(part * 10);
                            buckets.charge(limit, ask, now).count
                        });
                        each.sum::<u64>()
                    }
                };
                let shards: Vec<_> = spread.map(|part| scope.spawn(charge(part))).into();
                shards.into_iter().map(|shard| shard.join().unwrap()).sum()
            });
            // 0.2 s of the rate, and the burst. Threads may run one after the other: then all is granted by the first.
            let most = 200_000 + 1_000;
            assert!(
                granted <= most && granted * 100 >= 200_000 * 99,
                "{granted} of {most}"
            );
        }
    }
}
