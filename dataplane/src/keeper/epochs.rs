//! Seal epochs: when one begins, and which is the newest of which everything is in slices. Shards drop from memory what
//! belongs to a sealed epoch, so none is reported as sealed too early, and none that was reported is taken back.

use crate::keeper::Service;
use crate::keeper::halt::Halt;
use crate::keeper::port::KeeperOp;
use crate::keeper::shards::ShardState;
use crate::mesh::keeper::ToShard;
use crate::wal::Epoch;

/// How long a seal waits for shards to roll, in microseconds. One that writes nothing in that time keeps its segment.
pub(crate) const ROLL_WAIT_US: u64 = 2_000_000;

impl Service {
    /// Begins the next seal epoch and waits a while for all shards.
    pub(crate) async fn roll_all(&mut self) -> Result<(), Halt> {
        // Where nothing that was begun could be published, to divide the logs further would bring nothing; where there are too
        // many segments already, it would do harm.
        let lead = self.sealing.epoch.ahead_of(self.sealing.sealed_epoch);
        if lead >= Epoch::LEAD_MAX || self.store.surplus_bytes() > 0 {
            return Ok(());
        }
        self.sealing.epoch = self.sealing.epoch.next();
        let epoch = self.sealing.epoch;
        self.send_all(|| ToShard::Roll(epoch));
        let until_us = self.store.now().mono_us + ROLL_WAIT_US;
        loop {
            self.poll_requests().await?;
            let rolled = |shard: &ShardState| epoch.is_at_or_before(shard.epoch);
            let waited = self.store.now().mono_us >= until_us;
            if waited || self.stop.is_asked() || self.shards.iter().all(rolled) {
                return Ok(());
            }
            self.store.port.put(KeeperOp::Wake(until_us));
            let event = self.store.port.event().await;
            self.note(event);
        }
    }

    /// Sends shards short of memory a later epoch that is sealed although nothing new was. They hold what is in slices until
    /// they get it; and while they admit nothing, no further seal would send it.
    pub(crate) fn send_later_epoch(&mut self) {
        let is_sent = self
            .sealed_epoch()
            .is_at_or_before(self.sealing.sealed_epoch);
        if self.is_under_pressure() && !is_sent {
            self.sealing.version += 1;
            self.send_slices();
        }
    }

    /// The newest epoch of which everything is in slices: one before the oldest of which something may not be.
    pub(crate) fn sealed_epoch(&self) -> Epoch {
        let start = self.store.manifest.start;
        let mut oldest = self.sealing.epoch;
        for shard in &self.shards {
            if shard.epoch.is_at_or_before(oldest) {
                oldest = shard.epoch;
            }
        }
        for log in &self.store.manifest.logs {
            let from = self.store.manifest.first_uncovered(log);
            let rest = log.segments[from..].iter();
            for segment in rest.filter(|it| it.state.extent().is_some()) {
                if log.id.start != start {
                    // Something of an earlier run is in no slice: shards drop nothing that they had not dropped.
                    return self.sealing.sealed_epoch;
                }
                let epoch = self.epochs.get(&(log.id, segment.ordinal)).copied();
                match epoch {
                    Some(epoch) if epoch.is_at_or_before(oldest) => oldest = epoch,
                    Some(_) => {}
                    None => return self.sealing.sealed_epoch,
                }
            }
        }
        let sealed = oldest.previous();
        assert!(
            self.sealing.sealed_epoch.is_at_or_before(sealed),
            "what is sealed stays sealed"
        );
        sealed
    }
}
