//! Retention: which closed segments may go, and which do. A segment may go once its decisions are in slices that all shards
//! use and its bodies are resolved; the manifest forgets it before its file is removed.

use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::reading::Readable;
use crate::keeper::recover::{covered_upto, first_uncovered};
use crate::keeper::serve::Service;
use crate::keeper::store::NotReplaced;
use crate::planted::{Bug, planted};
use crate::wal::batch::{BATCH_BYTES_MAX, BatchHeader};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{CLOSED_SEGMENT_BYTES, LogEntry, SegmentEntry};
use crate::wal::name::LogId;
use crate::wal::scan::ReadAt;
use std::collections::BTreeMap;

/// A segment that may go.
#[derive(Clone, Copy, Debug)]
struct DeletionCandidate {
    log: LogId,
    ordinal: u32,
    file: u64,
    bytes: u64,
}

/// How much is to be deleted: all that was closed before a time, and more until so many bytes and segments are gone.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    older_than_s: u32,
    bytes: u64,
    segments: usize,
}

impl Wanted {
    /// Whether nothing more need go, given when the next one was closed and what is going.
    fn is_met(&self, closed_at_s: u32, freed_bytes: u64, segments: usize) -> bool {
        closed_at_s >= self.older_than_s && freed_bytes >= self.bytes && segments >= self.segments
    }
}

/// What a deletion did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deleted {
    pub(crate) segments: u32,
    pub(crate) bytes: u64,
}

impl Service {
    /// How many segments of a log, from its first, may go.
    fn deletable(&self, log: &LogEntry) -> usize {
        let covered = covered_upto(&self.store.manifest, log.id);
        let resolved = match self.shards.iter().find(|shard| shard.log == log.id) {
            Some(shard) => Some(shard.resolved),
            None => log.ended_at.map(|end| end.sequence),
        };
        let blocked = self.sealing.blocked.get(&log.id);
        let may_go = |entry: &&SegmentEntry| match (entry.state.extent(), covered, resolved) {
            (Some(extent), Some(covered), Some(resolved)) => {
                extent.last <= covered
                    && extent.last <= resolved
                    && blocked.is_none_or(|blocked| entry.ordinal < blocked.from)
            }
            _ => false,
        };
        let count = log.segments.iter().take_while(may_go).count();
        let closed = |entry: &SegmentEntry| entry.state.extent().is_some();
        let one_more = planted(Bug::RetentionOneSegmentEarly) && count > 0;
        count + usize::from(one_more && log.segments.get(count).is_some_and(closed))
    }

    /// Expiry clock of the newest batch of a closed segment. What cannot be read counts as new, this time.
    async fn newest_s(&mut self, log: LogId, entry: &SegmentEntry) -> u32 {
        let key = (log, entry.ordinal);
        if let Some(known) = self.closed_at_s.get(&key) {
            return *known;
        }
        let Some(newest) = self.read_newest_s(entry).await else {
            return self.store.expiry_now_s();
        };
        self.closed_at_s.insert(key, newest);
        newest
    }

    /// Looks for the last batch header from the end of a segment backwards.
    async fn read_newest_s(&self, entry: &SegmentEntry) -> Option<u32> {
        let extent = entry.state.extent()?;
        let readable = Readable::segment(&self.store, entry).await.ok()?;
        let mut found = None;
        let mut end = extent.bytes;
        let until = extent.bytes.saturating_sub(BATCH_BYTES_MAX as u64);
        while found.is_none() && end > until {
            let start =
                end.saturating_sub(1 << 20).max(until) / BLOCK_BYTES as u64 * BLOCK_BYTES as u64;
            let Ok(bytes) = readable.read_at(start, (end - start) as usize).await else {
                break;
            };
            let headers = bytes.chunks(BLOCK_BYTES).rev().map(BatchHeader::decode);
            found = headers
                .flatten()
                .find(|it| it.fields.salt == entry.salt && it.fields.sequence == extent.last)
                .map(|it| it.fields.expiry_clock_s);
            end = start;
        }
        readable.close().await;
        found
    }

    /// The oldest segments that may go, as many as are wanted.
    async fn candidates(&mut self, wanted: Wanted) -> Result<Vec<DeletionCandidate>, Halt> {
        let mut queues: BTreeMap<LogId, Vec<SegmentEntry>> = BTreeMap::new();
        for log in &self.store.manifest.logs {
            let mut queue = log.segments[..self.deletable(log)].to_vec();
            queue.reverse();
            queues.insert(log.id, queue);
        }
        let mut candidates = Vec::new();
        let mut freed_bytes = 0;
        loop {
            self.poll_requests().await?;
            let mut oldest: Option<(u32, LogId)> = None;
            let fronts: Vec<(LogId, SegmentEntry)> = queues
                .iter()
                .filter_map(|(log, queue)| queue.last().map(|entry| (*log, *entry)))
                .collect();
            for (log, entry) in fronts {
                let at = (self.newest_s(log, &entry).await, log);
                oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
            }
            let Some((at_s, log)) = oldest else {
                return Ok(candidates);
            };
            if wanted.is_met(at_s, freed_bytes, candidates.len()) {
                return Ok(candidates);
            }
            let entry = queues.get_mut(&log).and_then(Vec::pop);
            if let Some(entry) = entry {
                let bytes = entry.state.extent().map_or(0, |extent| extent.bytes);
                freed_bytes += bytes;
                candidates.push(DeletionCandidate {
                    log,
                    ordinal: entry.ordinal,
                    file: entry.file,
                    bytes,
                });
            }
        }
    }

    /// Deletes what is old enough, and more until enough bytes are free. Only counts where `dry`.
    pub(crate) async fn delete(
        &mut self,
        older_than_s: u32,
        bytes: u64,
        dry: bool,
    ) -> Result<Deleted, Halt> {
        let wanted = Wanted {
            older_than_s,
            bytes,
            segments: 0,
        };
        self.delete_wanted(wanted, dry).await
    }

    async fn delete_wanted(&mut self, wanted: Wanted, dry: bool) -> Result<Deleted, Halt> {
        if !dry && (!self.all_switched() || self.pins.any()) {
            return Ok(Deleted::default());
        }
        let candidates = self.candidates(wanted).await?;
        let deleted = Deleted {
            segments: candidates.len() as u32,
            bytes: candidates.iter().map(|candidate| candidate.bytes).sum(),
        };
        if dry || candidates.is_empty() {
            return Ok(deleted);
        }
        if planted(Bug::UnlinkBeforeManifest) {
            self.remove_files(&candidates).await;
        }
        let mut next = self.store.draft();
        for log in &mut next.logs {
            log.segments.retain(|entry| {
                let goes = |candidate: &DeletionCandidate| {
                    (candidate.log, candidate.ordinal) == (log.id, entry.ordinal)
                };
                !candidates.iter().any(goes)
            });
        }
        next.logs
            .retain(|log| log.ended_at.is_none() || !log.segments.is_empty());
        self.note_resolved(&mut next);
        match self.store.replace(next).await {
            Ok(()) => {}
            Err(NotReplaced::Before(halt)) => {
                self.trouble("forgetting segments in", &halt);
                return Ok(Deleted::default());
            }
            Err(not) => return Err(not.into()),
        }
        self.remove_files(&candidates).await;
        for candidate in &candidates {
            self.closed_at_s.remove(&(candidate.log, candidate.ordinal));
            self.epochs.remove(&(candidate.log, candidate.ordinal));
        }
        self.store.port.say(Notice::Deleted {
            segments: deleted.segments,
            bytes: deleted.bytes,
        });
        Ok(deleted)
    }

    async fn remove_files(&mut self, candidates: &[DeletionCandidate]) {
        for candidate in candidates {
            let name = NumberedFile::Segment(candidate.file).to_string();
            if let Err(halt) = self.store.discard(name, candidate.bytes).await {
                self.trouble("removing", &halt);
            }
        }
        if let Err(halt) = self.store.files.sync_dir().await {
            self.trouble("syncing", &halt);
        }
    }

    /// Deletes the oldest segments before their time where so many are kept that the manifest grows too long. What is not
    /// sealed is sealed soon then.
    pub(crate) async fn delete_surplus(&mut self) -> Result<bool, Halt> {
        let surplus_bytes = self.store.surplus_bytes();
        if surplus_bytes == 0 {
            self.sealing.crowded = false;
            return Ok(false);
        }
        if !self.sealing.crowded {
            self.sealing.crowded = true;
            self.store.port.say(Notice::TooManySegments {
                segments: self.store.manifest.segments_count() as u64,
            });
        }
        // Some more, so that not each further segment costs a deletion of its own.
        let more_bytes = self.store.config.manifest_bytes_max / 32;
        let wanted = Wanted {
            older_than_s: 0,
            bytes: 0,
            segments: (surplus_bytes + more_bytes).div_ceil(CLOSED_SEGMENT_BYTES),
        };
        let deleted = self.delete_wanted(wanted, false).await?;
        let crowded_out = &self.store.config.stats.keeper.segments_crowded_out;
        crowded_out.add(u64::from(deleted.segments));
        Ok(deleted.segments > 0)
    }

    /// Deletes segments that are older than configured.
    pub(crate) async fn delete_aged(&mut self) -> Result<bool, Halt> {
        let age_s = self.store.config.body_age_max_s;
        let older_than_s = self.store.expiry_now_s().saturating_sub(age_s);
        Ok(self.delete(older_than_s, 0, false).await?.segments > 0)
    }

    /// Bytes of segments that could be deleted at once, and of those whose decisions are in no slice yet.
    pub(crate) fn bytes_by_disposition(&self) -> (u64, u64) {
        let bytes = |entries: &[SegmentEntry]| -> u64 {
            let extents = entries.iter().filter_map(|it| it.state.extent());
            extents.map(|extent| extent.bytes).sum()
        };
        let manifest = &self.store.manifest;
        let logs = manifest.logs.iter();
        logs.map(|log| {
            let deletable = bytes(&log.segments[..self.deletable(log)]);
            let unsealed = bytes(&log.segments[first_uncovered(manifest, log)..]);
            (deletable, unsealed)
        })
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}
