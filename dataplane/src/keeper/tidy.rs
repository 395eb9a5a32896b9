//! Tidying slices while serving: what nothing names and nothing reads is removed, what is expired is dropped, and neighbours are
//! merged.

use crate::keeper::Service;
use crate::keeper::due::Due;
use crate::keeper::halt::Halt;
use crate::keeper::merge::joined;
use crate::keeper::slices::Slice;
use crate::planted::{Bug, planted};
use crate::wal::scan::ReadAt;
use std::rc::Rc;

/// Files that could not be removed are tried again after this time, in microseconds.
const ORPHANS_AGAIN_US: u64 = 10_000_000;

/// A slice that no manifest names any more, until all shards use the set without it.
pub(crate) struct Retired(pub(crate) Rc<Slice>);

impl Retired {
    fn bytes(&self) -> u64 {
        self.0.readable.bytes()
    }
}

impl Service {
    /// Removes what no manifest names and nothing reads, drops expired slices from the manifest, merges where there are too
    /// many; true if the manifest has other slices now.
    pub(crate) async fn tidy_slices(&mut self) -> Result<bool, Halt> {
        if self.pins.any() {
            return Ok(false);
        }
        let now_us = self.store.now().mono_us;
        if self.sealing.orphans_due.is_over(now_us) {
            self.sealing.orphans_due = Due::At(now_us + ORPHANS_AGAIN_US);
            self.store.discard_orphans().await;
        }
        // A shard may still read a slice that is retired, and must have the set in force before there is another one.
        if !self.all_switched() {
            return Ok(false);
        }
        self.remove_retired().await;
        Ok(self.drop_expired().await? || self.merge_adjacent().await?)
    }

    async fn remove_retired(&mut self) {
        for retired in std::mem::take(&mut self.sealing.retired) {
            let file = retired.0.readable.file.clone();
            self.store.files.close(&file).await;
            self.discard(file.name, retired.bytes()).await;
        }
    }

    /// Bytes of files that no manifest names and that are not removed yet.
    pub(crate) fn orphan_bytes(&self) -> u64 {
        let retired = self.sealing.retired.iter().map(Retired::bytes);
        self.store.orphans_bytes() + retired.sum::<u64>()
    }

    /// A slice goes when all in it is expired. A slice beside it takes over its covers, so the last one stays.
    async fn drop_expired(&mut self) -> Result<bool, Halt> {
        let now_s = self.store.expiry_now_s() + u32::from(planted(Bug::SliceDroppedEarly));
        let slices = &self.store.manifest.slices;
        let expired = slices.iter().position(|slice| slice.expiry_max <= now_s);
        let Some(index) = expired.filter(|_| slices.len() > 1) else {
            return Ok(false);
        };
        let mut next = self.store.draft();
        let gone = next.slices.remove(index);
        let neighbour = index.min(next.slices.len() - 1);
        next.slices[neighbour].covers =
            joined([&gone.covers, &next.slices[neighbour].covers].into_iter());
        self.publish(next, None).await
    }
}
