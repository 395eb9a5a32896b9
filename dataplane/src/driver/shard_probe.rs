//! The probe of a shard that serves: what its thread says of itself at the borders of turns and stages becomes statistics, and
//! its pulse. It runs on the shard's thread and reads a clock; nothing of it reaches the shard.

use super::pulse::Pulse;
use super::{StageProbe, clock};
use crate::event::Stage;
use crate::io::ShardId;
use crate::stats::{ShardStats, Stats};
use std::sync::Arc;

/// One turn of so many is measured: reading the clock at every border would cost more than some stages. It is a prime, for a
/// steady client makes turns of the same kinds come in short cycles.
const TURNS_PER_MEASURED: u32 = 17;

/// Times of the stages of a turn.
#[derive(Debug, Default)]
struct Times {
    /// The stage that the thread is in, and since when.
    stage: Option<(Stage, u64)>,
    /// Nanoseconds by stage.
    spent_ns: [u64; Stage::ALL.len()],
}

impl Times {
    /// The thread leaves its stage, for another one or none.
    fn enter(&mut self, stage: Option<Stage>, now_ns: u64) {
        if let Some((left, since_ns)) = self.stage {
            // At least one: 0 is a stage that was not entered.
            self.spent_ns[left as usize] += now_ns.saturating_sub(since_ns).max(1);
        }
        self.stage = stage.map(|stage| (stage, now_ns));
    }

    /// Counts the turn and forgets it.
    fn count(&mut self, page: &ShardStats) {
        let shown = [
            (Stage::Frame, &page.frame_s),
            (Stage::Parse, &page.parse_s),
            (Stage::Signature, &page.signature_s),
            (Stage::Verify, &page.verify_s),
            (Stage::Reply, &page.reply_s),
        ];
        for (stage, histogram) in shown {
            let spent_ns = self.spent_ns[stage as usize];
            if spent_ns > 0 {
                histogram.observe(spent_ns as f64 / 1e9);
            }
        }
        *self = Times::default();
    }
}

/// See the module.
#[derive(Debug)]
pub struct ShardProbe {
    stats: Arc<Stats>,
    pulses: Arc<[Pulse]>,
    shard: usize,
    times: Times,
    /// Turns until one is measured; 0: this one is.
    turns_left: u32,
}

impl ShardProbe {
    /// That of one shard.
    pub fn new(shard: ShardId, stats: Arc<Stats>, pulses: Arc<[Pulse]>) -> ShardProbe {
        ShardProbe {
            stats,
            pulses,
            shard: usize::from(shard.0),
            times: Times::default(),
            turns_left: 0,
        }
    }

    fn page(&self) -> &ShardStats {
        &self.stats.shards[self.shard]
    }

    fn pulse(&self) -> &Pulse {
        &self.pulses[self.shard]
    }
}

impl StageProbe for ShardProbe {
    fn begins(&mut self) {
        self.pulse().begin();
    }

    fn sleeps(&mut self, until_us: u64) {
        self.pulse().set_due(until_us);
    }

    fn wakes(&mut self, now_us: u64) {
        self.pulse().set_due(now_us);
    }

    fn messages(&mut self, count: usize) {
        let page = self.page();
        page.mailbox.set(count as u64);
        if count as u64 > page.mailbox_max.get() {
            page.mailbox_max.set(count as u64);
        }
    }

    fn border(&mut self, stage: Stage) {
        self.pulse().enter(stage);
        if self.turns_left == 0 {
            self.times.enter(Some(stage), clock::mono_ns());
        }
    }

    fn turn_ends(&mut self) {
        match self.turns_left {
            0 => {
                self.times.enter(None, clock::mono_ns());
                self.times.count(&self.stats.shards[self.shard]);
                self.turns_left = TURNS_PER_MEASURED - 1;
            }
            left => self.turns_left = left - 1,
        }
    }

    fn overflows(&mut self) {
        self.page().completions_overflowed.add(1);
    }
}

impl Drop for ShardProbe {
    /// The thread ends: no turn is due any more.
    fn drop(&mut self) {
        self.pulse().set_due(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> (ShardProbe, Arc<Stats>) {
        let stats = Arc::new(Stats::new(2));
        let pulses = (0..2).map(|_| Pulse::default()).collect();
        let probe = ShardProbe::new(ShardId(1), Arc::clone(&stats), pulses);
        (probe, stats)
    }

    fn count(of: &crate::stats::cell::Histogram<crate::stats::shard::StageTime>) -> u64 {
        of.view().counts().sum()
    }

    #[test]
    fn one_turn_of_seventeen_is_measured_once_for_each_stage_that_it_entered() {
        let (mut probe, stats) = probe();
        for _ in 0..3 * TURNS_PER_MEASURED {
            let stages = [Stage::Collect, Stage::Parse, Stage::Signature];
            for stage in stages.into_iter().chain(stages) {
                probe.border(stage);
            }
            probe.turn_ends();
        }
        let page = &stats.shards[1];
        assert_eq!((count(&page.parse_s), count(&page.signature_s)), (3, 3));
        assert_eq!((count(&page.frame_s), count(&page.verify_s)), (0, 0));
        assert_eq!(count(&stats.shards[0].parse_s), 0);
    }

    #[test]
    fn times_of_one_stage_are_added_up_within_a_turn() {
        let stats = Stats::new(1);
        let mut times = Times::default();
        let stages = [
            (Stage::Parse, 100),
            (Stage::Signature, 1_100),
            (Stage::Parse, 4_100),
        ];
        for (stage, at_ns) in stages {
            times.enter(Some(stage), at_ns);
        }
        times.enter(None, 6_100);
        times.count(&stats.shards[0]);
        let sum = |of: &crate::stats::cell::Histogram<_>| of.view().sum_parts();
        let page = &stats.shards[0];
        assert_eq!((sum(&page.parse_s), sum(&page.signature_s)), (3_000, 3_000));
    }

    #[test]
    fn a_pulse_says_by_when_a_turn_is_due_and_none_once_the_thread_has_ended() {
        let (mut probe, stats) = probe();
        probe.begins();
        let pulses = Arc::clone(&probe.pulses);
        assert!(pulses[1].thread().is_some() && pulses[0].thread().is_none());
        probe.sleeps(70);
        assert_eq!(pulses[1].due_us(), 70);
        probe.wakes(60);
        probe.border(Stage::Decide);
        assert_eq!(
            (pulses[1].due_us(), pulses[1].stage()),
            (60, Some(Stage::Decide))
        );
        for messages in [3, 7, 2] {
            probe.messages(messages);
        }
        let page = &stats.shards[1];
        assert_eq!((page.mailbox.get(), page.mailbox_max.get()), (2, 7));
        drop(probe);
        assert_eq!(pulses[1].due_us(), u64::MAX);
    }
}
