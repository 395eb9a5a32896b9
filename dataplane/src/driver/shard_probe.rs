//! The probe of a shard that serves: what its thread says of itself at the borders of turns and stages becomes statistics, and
//! its pulse. It runs on the shard's thread and reads a clock; nothing of it reaches the shard.

use super::pulse::Pulse;
use super::{StageProbe, clock};
use crate::event::Stage;
use crate::io::ShardId;
use crate::stats::trace::{Moment, Trace};
use crate::stats::traces::Exemplar;
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
    /// The slot of the traced record that is being judged.
    judging: Option<usize>,
    /// When each traced record began to be parsed, its signature to be checked, to be verified, and to claim.
    judged: Vec<Judged>,
}

/// By the places of [`JUDGING`]; 0: it did not come that far.
type Judged = [u64; JUDGING.len()];

/// The stages of judging one record, and the border of its trace where each begins.
const JUDGING: [(Stage, Moment); 4] = [
    (Stage::Parse, Moment::Parse),
    (Stage::Signature, Moment::Signature),
    (Stage::Verify, Moment::Verify),
    (Stage::Claim, Moment::Judged),
];

impl ShardProbe {
    /// That of one shard.
    pub fn new(shard: ShardId, stats: Arc<Stats>, pulses: Arc<[Pulse]>) -> ShardProbe {
        ShardProbe {
            stats,
            pulses,
            shard: usize::from(shard.0),
            times: Times::default(),
            turns_left: 0,
            judging: None,
            judged: Vec::new(),
        }
    }

    fn page(&self) -> &ShardStats {
        &self.stats.shards[self.shard]
    }

    fn pulse(&self) -> &Pulse {
        &self.pulses[self.shard]
    }

    /// The traced record that is being judged enters a stage.
    fn judge(&mut self, slot: usize, stage: Stage, now_ns: u64) {
        if let Some(at) = JUDGING.iter().position(|(of, _)| *of == stage) {
            self.judged[slot][at] = now_ns;
        }
        if stage == Stage::Claim {
            self.judging = None;
        }
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

    fn entered(&mut self, count: u64) {
        self.page().ring_entered.add(count);
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
        if self.turns_left == 0 || self.judging.is_some() {
            let now_ns = clock::mono_ns();
            if self.turns_left == 0 {
                self.times.enter(Some(stage), now_ns);
            }
            if let Some(slot) = self.judging {
                self.judge(slot, stage, now_ns);
            }
        }
    }

    fn judges_traced(&mut self, slot: u16) {
        let slot = usize::from(slot);
        if self.judged.len() <= slot {
            self.judged.resize(slot + 1, Judged::default());
        }
        self.judged[slot] = Judged::default();
        self.judging = Some(slot);
    }

    fn traced(&mut self, slot: u16, trace: &Trace) {
        let mut trace = *trace;
        let judged = self.judged.get(usize::from(slot)).copied();
        for ((_, moment), at_ns) in JUDGING.into_iter().zip(judged.unwrap_or_default()) {
            trace.pass(moment, at_ns);
        }
        let now = clock::now();
        let traces = &self.stats.traces[self.shard];
        if let Some(latency_us) = trace.latency_us() {
            traces.note(&Exemplar {
                trace_id: trace.trace_id,
                value_us: latency_us,
                wall_us: now.wall_us,
            });
            // The turn began some time before the answer was written.
            trace.moments[Moment::Replied as usize] = now.mono_us * 1000;
        }
        let epoch_us = now.wall_us.saturating_sub(now.mono_us);
        traces.push(&trace, epoch_us * 1000);
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
    fn a_trace_gets_the_times_of_its_own_stages_and_is_written_with_its_exemplar() {
        let (mut probe, stats) = probe();
        let stages = [Stage::Parse, Stage::Signature, Stage::Verify, Stage::Claim];
        let judge = |probe: &mut ShardProbe, stages: &[Stage]| {
            stages.iter().for_each(|stage| probe.border(*stage));
        };
        probe.turn_ends();
        let begun_ns = clock::mono_ns();
        // Slot 3 is judged wholly, slot 0 is malformed, and a record that is not traced follows.
        probe.judges_traced(3);
        judge(&mut probe, &stages);
        probe.judges_traced(0);
        judge(&mut probe, &[Stage::Parse, Stage::Claim]);
        judge(&mut probe, &stages);
        let mut trace = Trace {
            trace_id: [5; 16],
            ..Trace::default()
        };
        trace.pass(Moment::Begun, begun_ns);
        trace.pass(Moment::Whole, begun_ns);
        trace.pass(Moment::Framed, begun_ns);
        probe.traced(0, &trace);
        trace.pass(Moment::Replied, begun_ns + 2_000_000);
        probe.traced(3, &trace);
        let mut position = 0;
        let taken = stats.traces[1].take(&mut position).traces;
        let names =
            |at: usize| -> Vec<&str> { taken[at].0.spans().map(|it| it.span.name).collect() };
        assert_eq!(names(0)[2..], ["flk.parse"]);
        assert_eq!(names(1)[2..], ["flk.parse", "flk.signature", "flk.verify"]);
        let whole = &taken[1].0;
        let times = [
            Moment::Framed,
            Moment::Parse,
            Moment::Signature,
            Moment::Verify,
            Moment::Judged,
        ];
        assert!(times.map(|it| whole.at(it).unwrap()).is_sorted());
        let wall_ns = clock::now().wall_us * 1000;
        let began_ns = taken[1].1 + begun_ns;
        assert!(
            wall_ns.abs_diff(began_ns) < 60_000_000_000,
            "{began_ns} is today"
        );
        let exemplar = stats.traces[1].exemplar(4).unwrap();
        assert_eq!((exemplar.trace_id, exemplar.value_us), ([5; 16], 2_000));
        assert_eq!(
            stats.traces[1].exemplar(0),
            None,
            "no answer left of the other"
        );
        assert_eq!(stats.traces[0].take(&mut position).traces, []);
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
