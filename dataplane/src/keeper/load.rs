//! Loading: what stands of the decisions that no slice covers goes to the shards that own the keys, a partition at a time.
//! What their tables do not hold is not sent but counted, and then none is: a part of it would be of no use.

use crate::dedup::table::BYTES_PER_KEY;
use crate::dedup::{Decided, PARTITIONS};
use crate::io::ShardId;
use crate::keeper::store::ManifestStore;
use crate::mesh::keeper::ToShard;
use crate::wal::Epoch;

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

/// The memory to declare so that a start holds so many decisions at a time: they take a quarter of it.
fn memory_to_hold(decisions: u64) -> u64 {
    memory_for(decisions.saturating_mul(4 * size_of::<Decided>() as u64 / BYTES_PER_KEY + 1))
}

/// What a load found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    /// Live decisions that no slice covers.
    pub(crate) decisions: u64,
    /// The memory to declare, if it is more than is declared: then none was sent.
    pub(crate) short_of_bytes: Option<u64>,
}

/// Sends the owners what of these decisions is alive, if all of it fits. They are in key order; so many were too many to be
/// held, and are not among them.
pub(crate) fn load(
    store: &ManifestStore,
    mut decisions: Vec<Decided>,
    left_out: u64,
    owners: &[ShardId; PARTITIONS as usize],
) -> Loaded {
    let now_s = store.expiry_now_s();
    // Not in a release: there may be a hundred million of them.
    debug_assert!(
        decisions.is_sorted_by(|a, b| a.key < b.key),
        "the outcome of each key, in the order of keys"
    );
    decisions.retain_mut(|decided| {
        decided.epoch = Epoch::earlier_runs();
        decided.live_at(now_s)
    });
    let owner = |decided: &Decided| owners[usize::from(decided.key.partition())];
    let shards = u64::from(store.config.shards);
    let room = decisions_max(store.config.dedup_memory_bytes_max) / shards;
    // Shards have equal shares of the memory, and the fullest one decides.
    let mut counts = vec![0; usize::from(store.config.shards)];
    for decided in &decisions {
        counts[usize::from(owner(decided).0)] += 1;
    }
    let fullest = counts.into_iter().max().unwrap_or(0);
    let short_of_bytes = match left_out {
        0 => (fullest > room).then(|| memory_for(fullest * shards)),
        _ => Some(memory_to_hold(left_out)),
    };
    if short_of_bytes.is_none() {
        let partitions = decisions.chunk_by(|a, b| a.key.partition() == b.key.partition());
        for partition in partitions {
            let message = ToShard::Load(partition.to_vec());
            store.port.send(owner(&partition[0]), message);
        }
    }
    Loaded {
        decisions: decisions.len() as u64 + left_out,
        short_of_bytes,
    }
}
