//! What stands of the decisions that no slice covers: those of the logs behind the slices, replayed together with what slices
//! have of the same keys. It reads a block of a slice only where a filter lets a key pass, and changes nothing.

use crate::dedup::order::order;
use crate::dedup::slice::{Candidate, Found};
use crate::dedup::{Decided, Key};
use crate::io::ShardId;
use crate::keeper::halt::Halt;
use crate::keeper::partition;
use crate::keeper::port::Port;
use crate::keeper::progress::{Progress, Unit};
use crate::keeper::replay::{Replay, report_conflicts};
use crate::keeper::store::ManifestStore;
use crate::keeper::views::InUse;
use crate::wal::buffer::BLOCK_BYTES;

/// Blocks that stand side by side are read at once, at most so many: 256 KiB.
const BLOCKS_MAX: usize = 64;

/// Leaves of the decisions found in logs those that stand, one of a key and in key order. Where look-ups in slices find the
/// same outcome with the same expiry, none is left: shards look there.
///
/// Memory is bounded by the keys of one partition and what slices have of them; each slice is read from front to back.
pub(crate) async fn replay(
    store: &ManifestStore,
    slices: &[InUse],
    decisions: &mut Vec<Decided>,
) -> Result<(), Halt> {
    decisions.sort_unstable_by_key(order);
    let owners = partition::owners(store.config.shards);
    let what = "decisions of the log looked up in slices";
    let mut progress = Progress::of(&store.port, what, decisions.len() as u64, Unit::One);
    let (mut from, mut left) = (0, 0);
    while let Some(first) = decisions.get(from) {
        let partition = first.key.partition();
        let rest = &decisions[from..];
        let in_logs = &rest[..rest.partition_point(|it| it.key.partition() == partition)];
        let count = in_logs.len();
        let in_slices = look_up(slices, owners[usize::from(partition)], in_logs).await?;
        let standing = standing(&store.port, in_slices, in_logs);
        decisions[left..left + standing.len()].copy_from_slice(&standing);
        left += standing.len();
        from += count;
        progress.add(count as u64);
    }
    decisions.truncate(left);
    Ok(())
}

/// Of the decisions of some keys those that stand and that look-ups in slices do not find, or not for as long.
fn standing(port: &Port, mut in_slices: Vec<Decided>, in_logs: &[Decided]) -> Vec<Decided> {
    in_slices.sort_by_key(order);
    let found = Replay::default().outcomes(in_slices.iter().copied());
    let mut all = [&in_slices, in_logs].concat();
    // Of one decision that is in both, that of the slice comes first: the sort is stable.
    all.sort_by_key(order);
    let mut replay = Replay::default();
    let mut standing = replay.outcomes(all.into_iter());
    report_conflicts(port, &mut replay);
    let as_found = |it: &Decided| (order(it), it.expiry);
    standing.retain(|it| {
        let answered = found.binary_search_by_key(&as_found(it), as_found);
        answered.is_err()
    });
    standing
}

/// All that slices have of these keys of a shard's partition, which ascend.
async fn look_up(slices: &[InUse], owner: ShardId, keys: &[Decided]) -> Result<Vec<Decided>, Halt> {
    let mut found = Vec::new();
    for it in slices {
        let view = &it.views[usize::from(owner.0)];
        let different = keys.chunk_by(|a, b| a.key == b.key);
        let candidates = different.filter_map(|same| match view.candidate(same[0].key) {
            Candidate::Absent => None,
            Candidate::Block(block) => Some((same[0].key, block)),
            Candidate::NotCovered => unreachable!("a shard has a view of its own partitions"),
        });
        let candidates: Vec<(Key, u32)> = candidates.collect();
        let adjacent = candidates.chunk_by(|(_, block), (_, next)| next - block <= 1);
        for candidates in adjacent.flat_map(|adjacent| adjacent.chunks(BLOCKS_MAX)) {
            read_blocks(it, owner, candidates, &mut found).await?;
        }
    }
    Ok(found)
}

/// Looks keys up in the blocks that may hold them, which stand side by side.
async fn read_blocks(
    it: &InUse,
    owner: ShardId,
    candidates: &[(Key, u32)],
    found: &mut Vec<Decided>,
) -> Result<(), Halt> {
    let [(_, first), ..] = *candidates else {
        return Ok(());
    };
    let end = candidates.last().map_or(first, |(_, last)| last + 1);
    let bytes = it.slice.blocks(first..end).await?;
    for &(key, mut block) in candidates {
        let at = (block - first) as usize * BLOCK_BYTES;
        let mut in_block = it.search(owner, block, &bytes[at..at + BLOCK_BYTES], key)?;
        // The index has the upper halves of keys only: this one may lie before the block that it names.
        while in_block == Found::Before {
            block -= 1;
            let before = it.slice.blocks(block..block + 1).await?;
            in_block = it.search(owner, block, &before, key)?;
        }
        if let Found::Entry(decided) = in_block {
            found.push(decided);
        }
    }
    Ok(())
}
