//! Publishing: a manifest with other slices becomes the one in force, and shards get the set. All that shards need of a slice
//! is in memory before the manifest names it.

use crate::io::ShardId;
use crate::keeper::Service;
use crate::keeper::epochs::ROLL_WAIT_US;
use crate::keeper::halt::Halt;
use crate::keeper::merge::joined;
use crate::keeper::port::KeeperOp;
use crate::keeper::slice_write::Made;
use crate::keeper::store::{Growth, NotReplaced};
use crate::keeper::tidy::Retired;
use crate::keeper::views::set_of;
use crate::mesh::keeper::ToShard;
use crate::wal::manifest::Manifest;
use crate::wal::name::{LogId, Sequence};
use std::collections::{BTreeMap, BTreeSet};

impl Service {
    /// Makes a drafted manifest with other slices the one in force and sends the set to the shards. Nothing was awaited since it was
    /// drafted. False if it has to be tried again; then what was made for it is gone.
    pub(crate) async fn publish(
        &mut self,
        mut next: Manifest,
        made: Option<Made>,
    ) -> Result<bool, Halt> {
        self.note_resolved(&mut next);
        forget_covers(&mut next);
        assert_stays_covered(&self.store.manifest, &next);
        match self.store.grow(next, Growth::Publishing).await {
            Ok(()) => {}
            Err(NotReplaced::Before(halt)) => {
                self.trouble("replacing", &halt);
                if let Some(Made { entry, in_use }) = made {
                    let file = &in_use.slice.readable.file;
                    self.store.files.close(file).await;
                    self.discard(file.name.clone(), entry.bytes).await;
                }
                return Ok(false);
            }
            Err(not) => return Err(not.into()),
        }
        // By its number: covers of logs that are gone were left out of its entry.
        let named = |file: u64| self.store.manifest.slices.iter().any(|it| it.file == file);
        assert!(
            made.iter().all(|it| named(it.entry.file)),
            "a slice is made to be named"
        );
        let mut known = std::mem::take(&mut self.sealing.slices);
        known.extend(made.map(|made| made.in_use));
        for entry in &self.store.manifest.slices {
            let named = known.iter().position(|it| it.slice.number == entry.file);
            let Some(at) = named else {
                unreachable!("a slice is opened before the manifest names it");
            };
            self.sealing.slices.push(known.swap_remove(at));
        }
        let retired = known.into_iter().map(|it| Retired(it.slice));
        self.sealing.retired.extend(retired);
        self.sealing.version += 1;
        self.note_slices_memory();
        self.send_slices();
        Ok(true)
    }

    /// Sends all shards the slices in force.
    pub(crate) fn send_slices(&mut self) {
        self.sealing.sealed_epoch = self.sealed_epoch();
        let (version, sealed_epoch) = (self.sealing.version, self.sealing.sealed_epoch);
        for shard in (0..self.store.config.shards).map(ShardId) {
            let set = set_of(&self.sealing.slices, shard, version, sealed_epoch);
            self.store.port.send(shard, ToShard::Slices(set));
        }
    }

    /// Waits a while until all shards use the newest set of slices.
    pub(crate) async fn await_switched(&mut self) -> Result<(), Halt> {
        let until_us = self.store.now().mono_us + ROLL_WAIT_US;
        loop {
            self.poll_requests().await?;
            if self.all_switched() || self.store.now().mono_us >= until_us {
                return Ok(());
            }
            self.store.port.put(KeeperOp::Wake(until_us));
            let event = self.store.port.event().await;
            self.note(event);
        }
    }
}

/// Logs that are named no more are covered by nothing.
fn forget_covers(next: &mut Manifest) {
    let logs: BTreeSet<LogId> = next.logs.iter().map(|log| log.id).collect();
    for slice in &mut next.slices {
        slice.covers.retain(|cover| logs.contains(&cover.log));
    }
}

/// What is in slices is never given up: segments may have been deleted for it.
fn assert_stays_covered(in_force: &Manifest, next: &Manifest) {
    let covers = |manifest: &Manifest| -> BTreeMap<LogId, Sequence> {
        let covers = joined(manifest.slices.iter().map(|slice| &slice.covers)).into_iter();
        covers.map(|cover| (cover.log, cover.upto)).collect()
    };
    let (before, after) = (covers(in_force), covers(next));
    for log in &next.logs {
        let (before, after) = (before.get(&log.id), after.get(&log.id));
        assert!(
            before <= after,
            "log {} is covered less than before",
            log.id
        );
    }
}
