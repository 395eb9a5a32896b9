//! Loading: the replay of slices and logs, streamed in key order to the shards that own the keys. Memory is bounded by what
//! the logs gave, a few blocks per slice, and one partition; beyond the declared memory nothing is sent, only counted.

use crate::dedup::table::BYTES_PER_KEY;
use crate::dedup::{Decided, PARTITIONS};
use crate::io::ShardId;
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::port::Port;
use crate::keeper::progress::{Progress, Unit};
use crate::keeper::replay::Replay;
use crate::keeper::slices::{Merge, Slice};
use crate::keeper::store::ManifestStore;
use crate::mesh::keeper::ToShard;
use std::rc::Rc;

/// How many decisions are merged before the clock is looked at.
const LOOK_COUNT: u64 = 1 << 16;

/// Decisions on their way to shards, a partition at a time: an owner lays a whole partition out in one pass.
struct Loader<'a> {
    store: &'a ManifestStore,
    owners: &'a [ShardId; PARTITIONS as usize],
    now_s: u32,
    partition: Vec<Decided>,
    /// Live decisions of each shard, sent or not.
    found: Vec<u64>,
    /// How many one shard has memory for.
    room: u64,
}

impl Loader<'_> {
    /// Takes a decision for its owner if it is alive.
    fn send(&mut self, decided: Decided) {
        if !decided.live_at(self.now_s) {
            return;
        }
        let first = self.partition.first();
        if first.is_some_and(|first| first.key.partition() != decided.key.partition()) {
            self.flush();
        }
        self.partition.push(decided);
    }

    /// Sends the partition if its owner has memory for all of it. The next one is about as large.
    fn flush(&mut self) {
        let Some(first) = self.partition.first() else {
            return;
        };
        let owner = self.owners[usize::from(first.key.partition())];
        let found = &mut self.found[usize::from(owner.0)];
        *found += self.partition.len() as u64;
        if *found > self.room {
            return self.partition.clear();
        }
        let expected = self.partition.len() + self.partition.len() / 16;
        let full = std::mem::replace(&mut self.partition, Vec::with_capacity(expected));
        self.store.port.send(owner, ToShard::Load(full));
    }
}

/// How many live decisions the declared memory holds with shards still admitting: a little less than all of it, as they
/// refuse from 98 % on until below 97 %.
pub(crate) fn decisions_max(memory_bytes: u64) -> u64 {
    (u128::from(memory_bytes) * 97 / (100 * u128::from(BYTES_PER_KEY))) as u64
}

/// The memory to declare for so many decisions, in whole MiB.
pub(crate) fn memory_for(decisions: u64) -> u64 {
    let bytes = u128::from(decisions) * 100 * u128::from(BYTES_PER_KEY) / 97 + 1;
    u64::try_from(bytes)
        .unwrap_or(u64::MAX)
        .checked_next_multiple_of(1 << 20)
        .unwrap_or(u64::MAX)
}

/// What a load found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    /// Live decisions.
    pub(crate) decisions: u64,
    /// The memory to declare, if it is more than is declared: then some were not sent.
    pub(crate) short_of_bytes: Option<u64>,
}

impl Loaded {
    /// Counts decisions that are in logs alone and were too many to be held: they are answered from slices as soon as they
    /// are in some.
    pub(crate) fn leave_out(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        self.decisions += count;
        // Held at a time is what takes a quarter of the memory declared.
        let held =
            memory_for(count.saturating_mul(4 * size_of::<Decided>() as u64 / BYTES_PER_KEY + 1));
        let all = memory_for(self.decisions);
        self.short_of_bytes = Some(held.max(all).max(self.short_of_bytes.unwrap_or(0)));
    }
}

/// Replays everything and loads the owners as far as there is memory.
pub(crate) async fn load(
    store: &ManifestStore,
    slices: &[Rc<Slice>],
    from_logs: Vec<Decided>,
    owners: &[ShardId; PARTITIONS as usize],
) -> Result<Loaded, Halt> {
    let in_slices = store.manifest.slices.iter().map(|slice| slice.entries);
    let of = in_slices.sum::<u64>() + from_logs.len() as u64;
    let mut merge = Merge::of(slices, from_logs).await?;
    let mut replay = Replay::default();
    let limit_bytes = store.config.dedup_memory_bytes_max;
    let shards = u64::from(store.config.shards.max(1));
    let mut loader = Loader {
        store,
        owners,
        now_s: store.expiry_now_s(),
        partition: Vec::new(),
        found: vec![0; usize::from(store.config.shards)],
        room: decisions_max(limit_bytes) / shards,
    };
    let mut progress = Progress::of(&store.port, "decisions loaded", of, Unit::One);
    let mut done = 0;
    while let Some(decided) = merge.next().await? {
        if let Some(outcome) = replay.push(decided) {
            loader.send(outcome);
        }
        done += 1;
        if done % LOOK_COUNT == 0 {
            progress.add(LOOK_COUNT);
        }
    }
    if let Some(outcome) = replay.finish() {
        loader.send(outcome);
    }
    loader.flush();
    report_conflicts(&store.port, &mut replay);
    // Shards have equal shares of the memory, and the fullest one decides.
    let fullest = loader.found.iter().copied().max().unwrap_or(0);
    let short = fullest > loader.room;
    Ok(Loaded {
        decisions: loader.found.iter().sum(),
        short_of_bytes: short.then(|| memory_for(fullest * shards)),
    })
}

/// Reports keys with two outcomes to the operator.
pub(crate) fn report_conflicts(port: &Port, replay: &mut Replay) {
    for two in replay.take_conflicts() {
        port.notify(Notice::TwoOutcomes {
            key_high: two.first.key.high,
            first_decided_at: two.first.decided_at,
            second_decided_at: two.second.decided_at,
        });
    }
}
