//! The probe of a shard that serves: what its thread says of itself at the borders of turns and stages becomes statistics, and
//! its pulse. It runs on the shard's thread and reads a clock; nothing of it reaches the shard.

use super::StageProbe;
use super::pulse::Pulse;
use crate::event::Stage;
use crate::io::ShardId;
use crate::stats::{ShardStats, Stats};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct ShardProbe {
    stats: Arc<Stats>,
    pulses: Arc<[Pulse]>,
    shard: usize,
}

impl ShardProbe {
    /// That of one shard.
    pub fn new(shard: ShardId, stats: Arc<Stats>, pulses: Arc<[Pulse]>) -> ShardProbe {
        ShardProbe {
            stats,
            pulses,
            shard: usize::from(shard.0),
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

    fn border(&mut self, stage: Stage) {
        self.pulse().enter(stage);
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
