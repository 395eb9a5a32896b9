//! Merging slices: neighbours in time become one, without what is expired. Large ones of about the same size are merged as soon as
//! there are two, or four of one hour, so that their number grows with the logarithm of what is in them: a look-up asks each of
//! them, and their filters are in no cache. Small ones cost nothing, and are merged where there are more than configured.

use crate::keeper::Service;
use crate::keeper::due::Due;
use crate::keeper::halt::Halt;
use crate::keeper::slices::{Merge, Slice};
use crate::wal::manifest::{Cover, SliceEntry};
use crate::wal::name::{LogId, Sequence};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// Whether two neighbours of so many entries should be one although there are not too many slices. A younger one of less than three
/// fifths of the older waits until its own neighbours have made it as large: so an entry is written again only when what it is
/// in has about doubled.
fn is_pair_worth_it(older: u64, younger: u64, entries_min: u64) -> bool {
    older.saturating_add(younger) >= entries_min && younger >= older / 5 * 3
}

/// The same of four: together they have at least twice as many as the largest of them. So uneven ones, as seals under load are,
/// do not keep each other from being merged.
fn are_worth_it(entries: impl Iterator<Item = u64>, entries_min: u64) -> bool {
    let (sum, largest) = entries.fold((0_u64, 0), |(sum, largest), count| {
        (sum.saturating_add(count), count.max(largest))
    });
    sum >= entries_min && largest <= sum / 2
}

/// A pair that spans more than this part of the TTL is merged at once: four slices of its size would span more than the tenth
/// that a slice may.
const PAIRS_TTL_PART: u32 = 40;

/// How many neighbours may become one.
const TOGETHER: [usize; 2] = [2, 4];

/// After a merge that failed the next one is tried after this time, in microseconds. It doubles with each that fails, up to a
/// minute: a merge may read and write for long before it fails.
const MERGE_AGAIN_US: u64 = 10_000_000;
const MERGE_AGAIN_US_MAX: u64 = 60_000_000;

impl Service {
    /// The merge that is due: which slices become one.
    fn next_merge(&self) -> Option<Range<usize>> {
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

    /// The smallest run of time-adjacent slices that spans no more than a tenth of the TTL: any two where there are too many slices,
    /// else one that is worth it. One whose merge failed comes behind all others, for a slice that cannot be read must not
    /// keep the rest from being merged.
    fn wanted_merge(&self) -> Option<Range<usize>> {
        let slices = &self.store.manifest.slices;
        let runs = TOGETHER.into_iter().flat_map(|count| {
            let last = slices.len().saturating_sub(count - 1);
            (0..last).map(move |at| at..at + count)
        });
        runs.filter(|run| self.may_merge(&slices[run.clone()]))
            .min_by_key(|run| {
                let entries: u64 = slices[run.clone()].iter().map(|it| it.entries).sum();
                (self.merge_failed_us(&slices[run.clone()]), entries)
            })
    }

    fn may_merge(&self, run: &[SliceEntry]) -> bool {
        let config = &self.store.config;
        let (rule, ttl_s) = (config.merges, config.ttl_s);
        let first = run.iter().map(|it| it.decided_first).min();
        let last = run.iter().map(|it| it.decided_last).max();
        let span_s = last.unwrap_or(0) - first.unwrap_or(0);
        let is_wanted = match run {
            [older, younger] => {
                let spans_enough = span_s > rule.pairs_span_s.min(ttl_s / PAIRS_TTL_PART);
                let (older, younger) = (older.entries, younger.entries);
                self.has_too_many_slices()
                    || spans_enough && is_pair_worth_it(older, younger, rule.entries_min)
            }
            more => are_worth_it(more.iter().map(|it| it.entries), rule.entries_min),
        };
        let unreadable = &self.sealing.unmergeable;
        is_wanted && span_s <= ttl_s / 10 && !run.iter().any(|it| unreadable.contains(&it.file))
    }

    /// When the merge of these failed last; 0 if it never did.
    fn merge_failed_us(&self, run: &[SliceEntry]) -> u64 {
        let failed = ends(run).and_then(|ends| self.sealing.merges_failed.get(&ends));
        failed.copied().unwrap_or(0)
    }

    /// The merge of these failed.
    fn note_merge_failed(&mut self, run: &Range<usize>) {
        let now_us = self.store.now().mono_us;
        let slices = &self.store.manifest.slices;
        let failed = &mut self.sealing.merges_failed;
        let is_there = |file: u64| slices.iter().any(|slice| slice.file == file);
        failed.retain(|(first, last), _| is_there(*first) && is_there(*last));
        if let Some(ends) = ends(&slices[run.clone()]) {
            failed.insert(ends, now_us);
        }
        let wait_us = MERGE_AGAIN_US << self.sealing.merges_failed_count.min(8);
        self.sealing.merges_failed_count += 1;
        self.sealing.merge_due = Due::At(now_us + wait_us.min(MERGE_AGAIN_US_MAX));
    }

    /// Bytes that the next merge writes before it frees as many, if one is due. They are room that should be made, not room
    /// that submits have to wait for: a merge that has none is postponed.
    pub(crate) fn next_merge_bytes(&self) -> Option<u64> {
        let run = self.next_merge()?;
        Some(bytes_of(&self.store.manifest.slices[run]))
    }

    /// Makes one slice of some, if that is due and there is room for it.
    pub(crate) async fn merge_adjacent(&mut self) -> Result<bool, Halt> {
        let Some(run) = self.next_merge() else {
            return Ok(false);
        };
        let room = self.room().await?;
        if room.free_bytes < room.reserve_bytes + bytes_of(&self.store.manifest.slices[run.clone()])
        {
            return Ok(false);
        }
        let merged = &self.store.manifest.slices[run.clone()];
        let covers = joined(merged.iter().map(|slice| &slice.covers));
        let files: Vec<u64> = merged.iter().map(|slice| slice.file).collect();
        let slices = self.sealing.slices[run.clone()].iter();
        let slices: Vec<Rc<Slice>> = slices.map(|it| it.slice.clone()).collect();
        let entries: u64 = merged.iter().map(|slice| slice.entries).sum();
        assert!(
            slices
                .iter()
                .map(|slice| slice.number)
                .eq(files.iter().copied()),
            "slices in force stand in the order of the manifest"
        );
        let made = match Merge::of(&slices, Vec::new()).await {
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
            self.note_merge_failed(&run);
            return Ok(false);
        };
        assert!(
            made.entry.entries <= entries,
            "a merge leaves out what is expired and adds nothing"
        );
        // Seals that came between only added slices behind these.
        let mut next = self.store.draft();
        let named = next.slices[run.clone()].iter().map(|slice| slice.file);
        assert!(named.eq(files), "a slice that is merged keeps its place");
        next.slices.splice(run.clone(), [made.entry.clone()]);
        let published = self.publish(next, Some(made)).await?;
        match published {
            true => self.sealing.merges_failed_count = 0,
            false => self.note_merge_failed(&run),
        }
        Ok(published)
    }
}

fn bytes_of(run: &[SliceEntry]) -> u64 {
    run.iter().map(|slice| slice.bytes).sum()
}

/// The files of the oldest and of the youngest one.
fn ends(run: &[SliceEntry]) -> Option<(u64, u64)> {
    Some((run.first()?.file, run.last()?.file))
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
    use super::{are_worth_it, is_pair_worth_it};

    #[test]
    fn two_of_one_size_are_worth_a_merge_and_a_small_one_behind_a_large_one_is_not() {
        let worth = |older, younger| is_pair_worth_it(older, younger, 1000);
        assert!(worth(500, 500) && worth(1000, 600) && worth(5, 5000));
        assert!(!worth(1000, 599) && !worth(499, 500));
        assert!(is_pair_worth_it(0, 0, 0) && is_pair_worth_it(u64::MAX, u64::MAX, u64::MAX));
    }

    #[test]
    fn four_are_worth_a_merge_where_that_doubles_the_largest_of_them() {
        let worth = |entries: [u64; 4]| are_worth_it(entries.into_iter(), 1000);
        assert!(worth([250; 4]) && worth([500, 5, 500, 5]) && worth([5, 100, 500, 400]));
        assert!(!worth([249; 4]) && !worth([600, 200, 200, 199]) && !worth([1, 1, 1, 1000]));
        assert!(are_worth_it([0; 4].into_iter(), 0));
        assert!(are_worth_it([u64::MAX / 2; 4].into_iter(), u64::MAX));
    }
}
