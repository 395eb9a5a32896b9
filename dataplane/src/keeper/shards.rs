//! What the keeper knows of the shards of this run, as they report it. Events are noted here; what follows from them is
//! done by the loop of [`serve`](crate::keeper::serve).

use crate::dedup::claims::{BlockFault, MemoryUse, UnusableBlock};
use crate::io::ShardId;
use crate::keeper::Service;
use crate::keeper::due::Due;
use crate::keeper::notice::Notice;
use crate::keeper::port::KeeperEvent;
use crate::keeper::views::FIRST_VERSION;
use crate::mesh::keeper::ToKeeper;
use crate::wal::Epoch;
use crate::wal::manifest::Manifest;
use crate::wal::name::{ClosedSegment, LogId, Sequence};
use crate::wal::writer::{Entered, EpochBegun};

/// What the keeper knows of a shard of this run.
#[derive(Clone, Debug)]
pub(crate) struct ShardState {
    /// The log that it writes.
    pub(crate) log: LogId,
    /// Every body up to this sequence has its disposition in the durable log.
    pub(crate) resolved: Sequence,
    /// Nothing of a seal epoch before this one is in a segment that is still open.
    pub(crate) epoch: Epoch,
    /// The newest set of slices that it uses.
    pub(crate) switched: u64,
    /// How full its table is.
    pub(crate) memory: MemoryUse,
    pub(crate) idle: bool,
    pub(crate) finished: bool,
    /// The segment that its log ended in.
    pub(crate) ended_in: Option<ClosedSegment>,
}

/// What a log reports of its segments, dealt with in the order of arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogReport {
    /// Name the segment after this one.
    Entered(ShardId, Entered),
    /// It counts only once all that was closed before is in the manifest.
    Epoch(ShardId, EpochBegun),
}

impl ShardState {
    /// A shard whose log has no batch yet.
    pub(crate) fn of(log: LogId) -> ShardState {
        ShardState {
            log,
            resolved: Sequence::before_first(log.start),
            epoch: Epoch::earlier_runs(),
            switched: FIRST_VERSION,
            memory: MemoryUse::default(),
            idle: false,
            finished: false,
            ended_in: None,
        }
    }
}

impl Service {
    /// Remembers what happened; does nothing about it yet.
    pub(crate) fn note(&mut self, event: KeeperEvent) {
        match event {
            KeeperEvent::FromShard(shard, message) => self.note_shard(shard, message),
            KeeperEvent::Command { id, line } => self.commands.push_back((id, line)),
            KeeperEvent::Params { asked, versions } => {
                self.params_asked.push_back((asked, versions));
            }
            KeeperEvent::Terminate => self.note_terminate(),
            KeeperEvent::Tick | KeeperEvent::FileDone(_) => {}
        }
    }

    fn note_shard(&mut self, id: ShardId, message: ToKeeper) {
        if let ToKeeper::SliceUnusable(unusable) = message {
            return self.note_unusable_block(unusable);
        }
        let newest_version = self.sealing.version;
        let shard = self.shard(id);
        match message {
            ToKeeper::Entered(entered) => {
                assert_eq!(entered.log, shard.log, "a shard writes its own log");
                let segment = (entered.log, entered.ordinal);
                self.epochs.insert(segment, entered.epoch);
                let now_s = self.store.expiry_now_s();
                self.horizon.note_begun(entered.log, entered.ordinal, now_s);
                self.log_reports.push_back(LogReport::Entered(id, entered));
            }
            ToKeeper::Epoch(begun) => self.log_reports.push_back(LogReport::Epoch(id, begun)),
            ToKeeper::Resolved { upto, .. } => shard.resolved = shard.resolved.max(upto),
            ToKeeper::Switched { version } => {
                assert!(
                    version <= newest_version,
                    "a shard uses a set of slices that it was sent"
                );
                shard.switched = shard.switched.max(version);
                let room_wanted = self.space.more_wanted || self.space.naming.is_some();
                // A merge waits for this; where seals come every second, another look may find the next one due.
                if room_wanted || self.wants_merge() {
                    self.look_due = Due::AtOnce;
                }
            }
            ToKeeper::Memory(memory) => {
                shard.memory = memory;
                if memory != MemoryUse::Plenty {
                    self.look_due = Due::AtOnce;
                }
            }
            ToKeeper::Idle(idle) => shard.idle = idle,
            ToKeeper::Finished { closed, .. } => {
                assert!(!shard.finished, "a log ends once");
                shard.finished = true;
                shard.ended_in = closed;
            }
            // Those are for the operator alone, and were taken before.
            ToKeeper::SliceUnusable(_)
            | ToKeeper::Crowded { .. }
            | ToKeeper::Foreign { .. }
            | ToKeeper::ProxyFault { .. } => {}
        }
    }

    /// Says which block of which file a look-up could not trust. A slice that is used no more is of no interest.
    fn note_unusable_block(&self, unusable: UnusableBlock) {
        let UnusableBlock { file, block, fault } = unusable;
        let mut slices = self.sealing.slices.iter().map(|it| &it.slice.readable);
        let Some(slice) = slices.find(|it| it.file.id == file) else {
            return;
        };
        let file = slice.file.name.clone();
        self.store.port.notify(match fault {
            BlockFault::Damaged => Notice::SliceDamaged { file, block },
            BlockFault::Newer { part, number } => Notice::SliceNewer {
                file,
                block,
                part,
                number,
            },
        });
    }

    /// A shard of this run: no other one has a mailbox to the keeper.
    pub(crate) fn shard(&mut self, shard: ShardId) -> &mut ShardState {
        &mut self.shards[usize::from(shard.0)]
    }

    /// Writes into a drafted manifest how far the bodies of this run's logs are resolved.
    pub(crate) fn note_resolved(&self, next: &mut Manifest) {
        for shard in &self.shards {
            if let Some(log) = next.log_mut(shard.log) {
                log.resolved_upto = log.resolved_upto.max(shard.resolved);
            }
        }
    }

    /// Whether all shards use the newest set of slices.
    pub(crate) fn all_switched(&self) -> bool {
        let version = self.sealing.version;
        self.shards.iter().all(|shard| shard.switched >= version)
    }

    /// Whether the memory of a shard is nearly full.
    pub(crate) fn is_under_pressure(&self) -> bool {
        let mut shards = self.shards.iter();
        shards.any(|shard| shard.memory == MemoryUse::Full)
    }

    /// Whether the memory of a shard fills up: what is in it should be sealed.
    pub(crate) fn is_filling(&self) -> bool {
        let mut shards = self.shards.iter();
        shards.any(|shard| shard.memory != MemoryUse::Plenty)
    }
}
