//! The mistakes that can be planted in the keeper and need more than one wrong condition. Compiled with the feature
//! `planted-bugs` only: a release holds neither this code nor anything that it needs.

#![cfg(feature = "planted-bugs")]

use crate::dedup::PARTITIONS;
use crate::io::ShardId;
use crate::keeper::Service;
use crate::keeper::end_logs::rewritten;
use crate::keeper::halt::Halt;
use crate::keeper::partition;
use crate::keeper::store::ManifestStore;
use crate::planted::{Bug, planted};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{LogEntry, Manifest, SegmentEntry, SegmentState};
use crate::wal::name::LogId;
use crate::wal::scan::{Ending, LogEnd};
use crate::wal::segment::SegmentHeader;

/// The mistake of [`Bug::WrongOwnerAfterShardChange`]: the owner of each partition in the last run.
pub(super) fn owners_of_last_run_if_planted(
    store: &ManifestStore,
) -> Option<[ShardId; PARTITIONS as usize]> {
    let shards = store.config.shards;
    let previous_shards = shards_of(&store.manifest, store.manifest.start);
    if !planted(Bug::WrongOwnerAfterShardChange) || previous_shards == 0 {
        return None;
    }
    let owners = partition::owners(previous_shards);
    Some(owners.map(|ShardId(shard)| ShardId(shard % shards)))
}

/// How many logs a start began.
fn shards_of(manifest: &Manifest, start: u32) -> u16 {
    manifest
        .logs
        .iter()
        .filter(|log| log.id.start == start)
        .map(|log| log.id.number + 1)
        .max()
        .unwrap_or(0)
}

/// The mistake of [`Bug::AdoptedTailNotSyncedAgain`]: the last batch stays where it is, perhaps not durable.
pub(super) fn adopted_if_planted(mut ending: Ending, end: &LogEnd) -> Ending {
    if !planted(Bug::AdoptedTailNotSyncedAgain) {
        return ending;
    }
    ending.batch = None;
    ending.end.sequence = end.last;
    ending.end.checksum = end.checksum.unwrap_or(0);
    let holds = end.segments.iter().filter(|it| it.holds_batches());
    ending.closed = holds.map(|it| (it.ordinal, it.extent)).collect();
    ending
}

/// The mistake of [`Bug::LastSegmentRewrittenAlways`]: last segments of logs that ended long ago are written again, in
/// place and under a new salt.
pub(super) async fn rewrite_last_segments_if_planted(
    store: &ManifestStore,
    next: &mut Manifest,
) -> Result<(), Halt> {
    if !planted(Bug::LastSegmentRewrittenAlways) {
        return Ok(());
    }
    for log in &mut next.logs {
        let Some(mark) = log.ended_at.as_mut() else {
            continue;
        };
        let Some(entry) = log.segments.last_mut() else {
            continue;
        };
        let SegmentState::Last(extent) = &mut entry.state else {
            continue;
        };
        let name = NumberedFile::Segment(entry.file).to_string();
        let file = store.files.open(&name, store.segment_how()).await?;
        let read = store.files.read(&file, 0, extent.bytes as usize).await;
        let bytes = read.unwrap_or_default();
        if let Ok((header, _)) = SegmentHeader::decode(&bytes) {
            let salt = u64::from_le_bytes(store.files.random().await?);
            let (blocks, assembled) = rewritten(&bytes, &SegmentHeader { salt, ..header })?;
            store.files.write(&file, 0, blocks.bytes()).await?;
            store.files.sync(&file).await?;
            entry.salt = salt;
            extent.last_checksum = assembled.checksum;
            mark.checksum = assembled.checksum;
        }
        store.files.close(&file).await;
    }
    Ok(())
}

/// The mistake of [`Bug::RetentionOneSegmentEarly`]: where some segments may go, one closed segment more.
pub(super) fn one_too_many_if_planted(log: &LogEntry, count: usize) -> usize {
    let next = log.segments.get(count);
    let is_closed = next.is_some_and(|entry| entry.state.extent().is_some());
    usize::from(planted(Bug::RetentionOneSegmentEarly) && count > 0 && is_closed)
}

impl Service {
    /// The mistake of [`Bug::SegmentNotYetNamed`]: a shard gets its next segment before the manifest names it.
    pub(super) async fn give_before_naming(
        &mut self,
        shard: ShardId,
        log: LogId,
        next: Manifest,
        named: &SegmentEntry,
    ) -> Result<(), Halt> {
        let segment = self.store.open_for_shard(named).await?;
        self.give_segment(shard, log, segment);
        Ok(self.store.grow(next, self.growth()).await?)
    }
}
