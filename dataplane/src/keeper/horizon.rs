//! How far back the log reaches: the age of its oldest batch, as metrics and the status show it. A segment entered in this
//! run is as old as that moment; for one of an earlier run the clock in the header of its first batch is read, once. It
//! decides nothing: what is deleted follows from when segments were closed.

use crate::keeper::Service;
use crate::keeper::halt::Halt;
use crate::keeper::reading::Readable;
use crate::wal::batch::BatchHeader;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::{LogEntry, SegmentEntry, SegmentState};
use crate::wal::name::LogId;
use crate::wal::scan::ReadAt;
use std::collections::BTreeMap;

/// What is known of the beginnings of segments, by the expiry clock.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    /// When each segment got its first batch; `None` where that cannot be read.
    begun_at_s: BTreeMap<(LogId, u32), Option<u32>>,
    /// That of the oldest batch which is kept. `None` while there is no batch.
    oldest_s: Option<u32>,
}

impl Horizon {
    /// A shard of this run wrote its first batch into a segment.
    pub(crate) fn note_begun(&mut self, log: LogId, ordinal: u32, now_s: u32) {
        self.begun_at_s.insert((log, ordinal), Some(now_s));
    }

    /// A segment is no longer kept.
    pub(crate) fn forget(&mut self, log: LogId, ordinal: u32) {
        self.begun_at_s.remove(&(log, ordinal));
    }

    /// Age of the oldest batch in seconds.
    pub(crate) fn age_s(&self, now_s: u32) -> Option<u32> {
        self.oldest_s.map(|oldest| now_s.saturating_sub(oldest))
    }
}

impl Service {
    /// Looks how far back the log reaches, and shows it.
    pub(crate) async fn show_horizon(&mut self) -> Result<(), Halt> {
        let mut oldest_s: Option<u32> = None;
        for (log, entry) in self.first_segments() {
            let begun_s = self.begun_s(log, &entry).await?;
            oldest_s = [oldest_s, begun_s].into_iter().flatten().min();
        }
        self.horizon.oldest_s = oldest_s;
        let age_s = self.horizon.age_s(self.store.expiry_now_s()).unwrap_or(0);
        let stats = &self.store.config.stats.keeper;
        stats.horizon_us.set(u64::from(age_s) * 1_000_000);
        let age_max_s = self.store.config.body_age_max_s;
        stats.horizon_us_max.set(u64::from(age_max_s) * 1_000_000);
        Ok(())
    }

    /// The oldest segment of each log that has batches. One that could not be read is passed over, for so are its bodies.
    fn first_segments(&self) -> Vec<(LogId, SegmentEntry)> {
        let known = &self.horizon.begun_at_s;
        let first = |log: &LogEntry| {
            let mut segments = log.segments.iter();
            let first = segments.find(|entry| {
                has_batches(entry) && known.get(&(log.id, entry.ordinal)) != Some(&None)
            });
            first.map(|entry| (log.id, *entry))
        };
        self.store.manifest.logs.iter().filter_map(first).collect()
    }

    /// When a segment got its first batch, as far as that is known or can be read.
    async fn begun_s(&mut self, log: LogId, entry: &SegmentEntry) -> Result<Option<u32>, Halt> {
        let key = (log, entry.ordinal);
        if let Some(known) = self.horizon.begun_at_s.get(&key) {
            return Ok(*known);
        }
        self.poll_requests().await?;
        let read = self.read_first_s(entry).await;
        self.horizon.begun_at_s.insert(key, read);
        Ok(read)
    }

    /// Expiry clock of the first batch of a segment that is written no more.
    async fn read_first_s(&self, entry: &SegmentEntry) -> Option<u32> {
        let readable = Readable::segment(&self.store, entry).await.ok()?;
        let read = readable.read_at(BLOCK_BYTES as u64, BLOCK_BYTES).await;
        readable.close().await;
        let header = BatchHeader::decode(&read.ok()?).ok()?;
        (header.fields.salt == entry.salt).then_some(header.fields.expiry_clock_s)
    }
}

/// Whether the manifest says that there are batches in a segment.
fn has_batches(entry: &SegmentEntry) -> bool {
    match &entry.state {
        SegmentState::Next => false,
        SegmentState::Open => true,
        SegmentState::Closed(extent)
        | SegmentState::Packed(extent, _)
        | SegmentState::Last(extent) => extent.first <= extent.last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_takes_no_memory() {
        let mut horizon = Horizon::default();
        let log = LogId {
            start: 3,
            number: 0,
        };
        (0..2).for_each(|ordinal| horizon.note_begun(log, ordinal, 70));
        horizon.forget(log, 0);
        assert_eq!(horizon.begun_at_s, BTreeMap::from([((log, 1), Some(70))]));
    }
}
