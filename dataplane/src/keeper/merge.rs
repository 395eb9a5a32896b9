//! Merging slices: two that are neighbours in time become one, without what is expired. Large ones of about the same size are merged as
//! soon as there are two, so that their number grows with the logarithm of what is in them: a look-up asks each of them, and their
//! filters are in no cache. Small ones cost nothing, and are merged where there are more than configured.

use crate::keeper::Service;
use crate::keeper::due::Due;
use crate::keeper::halt::Halt;
use crate::keeper::slices::{Merge, Slice};
use crate::wal::manifest::{Cover, SliceEntry};
use crate::wal::name::{LogId, Sequence};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Whether two neighbours of so many entries, the older one first, should be one although there are not too many slices. A younger one of
/// less than three fifths of the older waits until its own neighbours have made it as large: so an entry is written again only
/// when what it is in has about doubled.
fn is_worth_it(older: u64, younger: u64, entries_min: u64) -> bool {
    older.saturating_add(younger) >= entries_min && younger >= older / 5 * 3
}

/// After a merge that failed the next one is tried after this time, in microseconds. It doubles with each that fails, up to a
/// minute: a merge may read and write for long before it fails.
const MERGE_AGAIN_US: u64 = 10_000_000;
const MERGE_AGAIN_US_MAX: u64 = 60_000_000;

impl Service {
    /// The merge that is due.
    fn next_merge(&self) -> Option<usize> {
        let is_due = self.sealing.merge_due.is_over(self.store.now().mono_us);
        is_due.then(|| self.wanted_merge()).flatten()
    }

    /// Whether two slices should become one, now or later, or at least there are too many.
    pub(crate) fn wants_merge(&self) -> bool {
        self.has_too_many_slices() || self.wanted_merge().is_some()
    }

    fn has_too_many_slices(&self) -> bool {
        self.store.manifest.slices.len() > self.store.config.slices_count_max as usize
    }

    /// The smallest pair of time-adjacent slices that spans no more than a tenth of the TTL: any where there are too many slices, else
    /// one that is worth it. One whose merge failed comes behind all others, for a slice that cannot be read must not keep the rest
    /// from being merged.
    fn wanted_merge(&self) -> Option<usize> {
        let slices = &self.store.manifest.slices;
        let config = &self.store.config;
        let too_many = self.has_too_many_slices();
        let may_merge = |a: &SliceEntry, b: &SliceEntry| {
            if !too_many && !is_worth_it(a.entries, b.entries, config.merge_entries_min) {
                return false;
            }
            let span_s = a.decided_last.max(b.decided_last) - a.decided_first.min(b.decided_first);
            let unreadable = &self.sealing.unmergeable;
            span_s <= config.ttl_s / 10
                && ![a.file, b.file].iter().any(|it| unreadable.contains(it))
        };
        let pairs = slices.iter().zip(slices.iter().skip(1)).enumerate();
        let best = pairs
            .filter(|(_, (a, b))| may_merge(a, b))
            .min_by_key(|(_, (a, b))| (self.merge_failed_us(a, b), a.entries + b.entries));
        best.map(|(index, _)| index)
    }

    /// When the merge of a pair failed last; 0 if it never did.
    fn merge_failed_us(&self, a: &SliceEntry, b: &SliceEntry) -> u64 {
        let failed = self.sealing.merges_failed.get(&(a.file, b.file));
        failed.copied().unwrap_or(0)
    }

    /// The merge of the pair at this index failed.
    fn note_merge_failed(&mut self, index: usize) {
        let now_us = self.store.now().mono_us;
        let slices = &self.store.manifest.slices;
        let pairs = slices.iter().zip(slices.iter().skip(1));
        let pairs: Vec<(u64, u64)> = pairs.map(|(a, b)| (a.file, b.file)).collect();
        let failed = &mut self.sealing.merges_failed;
        failed.retain(|pair, _| pairs.contains(pair));
        failed.insert(pairs[index], now_us);
        let wait_us = MERGE_AGAIN_US << self.sealing.merges_failed_count.min(8);
        self.sealing.merges_failed_count += 1;
        self.sealing.merge_due = Due::At(now_us + wait_us.min(MERGE_AGAIN_US_MAX));
    }

    /// Bytes that the next merge writes before it frees as many, if one is due. They are room that should be made, not room
    /// that submits have to wait for: a merge that has none is postponed.
    pub(crate) fn next_merge_bytes(&self) -> Option<u64> {
        let at = self.next_merge()?;
        Some(self.pair_bytes(at))
    }

    fn pair_bytes(&self, at: usize) -> u64 {
        let pair = &self.store.manifest.slices[at..at + 2];
        pair.iter().map(|slice| slice.bytes).sum()
    }

    /// Merges one pair, if one is due and there is room for it.
    pub(crate) async fn merge_adjacent(&mut self) -> Result<bool, Halt> {
        let Some(index) = self.next_merge() else {
            return Ok(false);
        };
        let room = self.room().await?;
        if room.free_bytes < room.reserve_bytes + self.pair_bytes(index) {
            return Ok(false);
        }
        let slices = &self.store.manifest.slices;
        let covers = joined(slices[index..index + 2].iter().map(|slice| &slice.covers));
        let pair = self.sealing.slices[index..index + 2].iter();
        let pair: Vec<Rc<Slice>> = pair.map(|it| it.slice.clone()).collect();
        let pair_files = [slices[index].file, slices[index + 1].file];
        let entries = slices[index].entries + slices[index + 1].entries;
        assert!(
            pair.iter().map(|slice| slice.number).eq(pair_files),
            "slices in force stand in the order of the manifest"
        );
        let made = match Merge::of(&pair, Vec::new()).await {
            Ok(merge) => {
                self.sealing.is_merging = true;
                let written = self.write_slice(merge, covers).await;
                self.sealing.is_merging = false;
                written?
            }
            Err(halt) => {
                self.slice_trouble("reading", &halt);
                None
            }
        };
        let Some(made) = made else {
            self.note_merge_failed(index);
            return Ok(false);
        };
        assert!(
            made.entry.entries <= entries,
            "a merge leaves out what is expired and adds nothing"
        );
        // Seals that came between only added slices behind these.
        let mut next = self.store.draft();
        let named = next.slices[index..index + 2].iter().map(|slice| slice.file);
        assert!(
            pair_files.into_iter().eq(named),
            "a slice that is merged keeps its place"
        );
        next.slices[index] = made.entry.clone();
        next.slices.remove(index + 1);
        let published = self.publish(next, Some(made)).await?;
        match published {
            true => self.sealing.merges_failed_count = 0,
            false => self.note_merge_failed(index),
        }
        Ok(published)
    }
}

/// The furthest cover of each log.
pub(crate) fn joined<'a>(all: impl Iterator<Item = &'a Vec<Cover>>) -> Vec<Cover> {
    let mut upto: BTreeMap<LogId, Sequence> = BTreeMap::new();
    for cover in all.flatten() {
        let at = upto.entry(cover.log).or_default();
        *at = (*at).max(cover.upto);
    }
    let covers = upto.into_iter().map(|(log, upto)| Cover { log, upto });
    covers.collect()
}

#[cfg(test)]
mod tests {
    use super::is_worth_it;

    #[test]
    fn two_of_one_size_are_worth_a_merge_and_a_small_one_behind_a_large_one_is_not() {
        let worth = |older, younger| is_worth_it(older, younger, 1000);
        assert!(worth(500, 500) && worth(1000, 600) && worth(5, 5000));
        assert!(!worth(1000, 599) && !worth(499, 500));
        assert!(is_worth_it(0, 0, 0) && is_worth_it(u64::MAX, u64::MAX, u64::MAX));
    }
}
