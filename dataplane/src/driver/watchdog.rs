//! Tells a shard that stands still from one that sleeps: every thread says by when its next turn is due. It reads no clock and
//! says no line; it looks at times that it is given.

/// A turn that is late by more than this stands still.
pub(super) const STUCK_AFTER_US: u64 = 1_000_000;

/// What has changed of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It has made no turn since then.
    Stuck { since_us: u64 },
    /// It makes turns again; it did not since then.
    Moves { since_us: u64 },
}

/// What is known of all shards.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Looks that are further apart than this were late themselves.
    apart_us_max: u64,
    looked_us: Option<u64>,
    /// Before this nothing is held against a shard.
    fair_from_us: u64,
    /// Since when each shard has been stuck.
    stuck: Box<[Option<u64>]>,
}

impl Watchdog {
    /// Looks will be so far apart, or up to four times that on a busy machine.
    pub(super) fn new(shards: usize, look_every_us: u64) -> Watchdog {
        Watchdog {
            apart_us_max: 4 * look_every_us,
            looked_us: None,
            fair_from_us: 0,
            stuck: vec![None; shards].into_boxed_slice(),
        }
    }

    /// Begins a look. One that comes late shows that the whole process stood still, or the machine: shards get their time
    /// again.
    pub(super) fn begin(&mut self, now_us: u64) {
        let on_time = self
            .looked_us
            .is_some_and(|looked_us| now_us <= looked_us + self.apart_us_max);
        if !on_time {
            self.fair_from_us = now_us;
        }
        self.looked_us = Some(now_us);
    }

    /// Looks at one shard, whose next turn is or was due then.
    pub(super) fn look(&mut self, shard: usize, due_us: u64, now_us: u64) -> Option<Change> {
        let stuck = self.stuck.get_mut(shard)?;
        let late_us = now_us.saturating_sub(due_us.max(self.fair_from_us));
        match *stuck {
            None if late_us > STUCK_AFTER_US => {
                *stuck = Some(due_us);
                Some(Change::Stuck { since_us: due_us })
            }
            Some(since_us) if due_us != since_us => {
                *stuck = None;
                Some(Change::Moves { since_us })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK_US: u64 = 250_000;

    fn looked_at_steadily(
        watchdog: &mut Watchdog,
        from_us: u64,
        looks: u64,
        due_us: u64,
    ) -> Vec<(u64, Change)> {
        let times = (0..looks).map(|look| from_us + look * LOOK_US);
        let seen = times.filter_map(|now_us| {
            watchdog.begin(now_us);
            watchdog
                .look(0, due_us, now_us)
                .map(|change| (now_us, change))
        });
        seen.collect()
    }

    #[test]
    fn a_turn_that_is_due_for_more_than_the_budget_is_reported_once_and_its_end_once() {
        let mut watchdog = Watchdog::new(1, LOOK_US);
        let seen = looked_at_steadily(&mut watchdog, 0, 20, 1_000_000);
        assert_eq!(
            seen,
            [(
                2_250_000,
                Change::Stuck {
                    since_us: 1_000_000
                }
            )]
        );
        let seen = looked_at_steadily(&mut watchdog, 5_000_000, 4, 4_900_000);
        assert_eq!(
            seen,
            [(
                5_000_000,
                Change::Moves {
                    since_us: 1_000_000
                }
            )]
        );
    }

    #[test]
    fn a_shard_that_sleeps_or_does_not_run_yet_is_not_stuck() {
        for due_us in [3_600_000_000, u64::MAX] {
            let mut watchdog = Watchdog::new(1, LOOK_US);
            assert_eq!(looked_at_steadily(&mut watchdog, 0, 100, due_us), []);
        }
    }

    #[test]
    fn after_a_pause_of_the_whole_process_shards_get_their_time_again() {
        let mut watchdog = Watchdog::new(1, LOOK_US);
        assert_eq!(looked_at_steadily(&mut watchdog, 0, 4, 700_000), []);
        let paused_us = 60_000_000;
        assert_eq!(looked_at_steadily(&mut watchdog, paused_us, 5, 700_000), []);
        let seen = looked_at_steadily(&mut watchdog, paused_us + 5 * LOOK_US, 1, 700_000);
        assert_eq!(seen.len(), 1, "it does not move afterwards either");
    }
}
