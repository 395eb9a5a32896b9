//! Retention: which closed segments may go, and which do. A segment may go once its decisions are in slices that all shards
//! use and its bodies are resolved; the manifest forgets it before its file is removed.

use crate::keeper::due::Due;
use crate::keeper::halt::Halt;
#[cfg(feature = "planted-bugs")]
use crate::keeper::mistakes;
use crate::keeper::notice::Notice;
use crate::keeper::serve::{LOOK_EVERY_US, Service};
use crate::keeper::store::NotReplaced;
use crate::planted::{Bug, planted};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{CLOSED_SEGMENT_BYTES, LogEntry, Manifest, SegmentEntry};
use crate::wal::name::{LogId, Sequence};
use std::collections::BTreeMap;

/// Which of the segments that may go are wanted, oldest first.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deletion {
    /// All that were closed before this second of the expiry clock.
    OlderThan(u32),
    /// So many that their files hold at least this many bytes.
    Bytes(u64),
    /// So many.
    Segments(usize),
}

impl Deletion {
    /// Whether the next oldest segment, closed at this second, stays, given what is deleted already.
    fn spares(self, closed_at_s: u32, deleted: &Deleted) -> bool {
        match self {
            Deletion::OlderThan(second) => closed_at_s >= second,
            Deletion::Bytes(bytes) => deleted.bytes >= bytes,
            Deletion::Segments(count) => deleted.segments as usize >= count,
        }
    }
}

/// Which slices count where it is asked what may go.
#[derive(Clone, Copy, Debug)]
enum Seals {
    /// Those that there are.
    Done,
    /// One more, of all that is closed now.
    ToCome,
}

/// A segment that is to be deleted.
#[derive(Clone, Copy, Debug)]
struct DeletionCandidate {
    log: LogId,
    ordinal: u32,
    file: u64,
    bytes: u64,
}

/// What a deletion did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deleted {
    pub(crate) segments: u32,
    pub(crate) bytes: u64,
}

/// Bytes of closed segments, by what may become of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SegmentBytes {
    /// Of those that may be deleted at once.
    pub(crate) deletable: u64,
    /// Of those whose decisions are in no slice yet.
    pub(crate) unsealed: u64,
}

impl Service {
    /// How many segments of a log, from its first, may go.
    fn deletable(&self, log: &LogEntry, seals: Seals) -> usize {
        let covered = match seals {
            Seals::Done => self.store.manifest.covered_upto(log.id),
            Seals::ToCome => log.segments.iter().filter_map(last_closed).max(),
        };
        let resolved = match self.shards.iter().find(|shard| shard.log == log.id) {
            Some(shard) => Some(shard.resolved),
            None => log.ended_at.map(|end| end.sequence),
        };
        let (Some(covered), Some(resolved)) = (covered, resolved) else {
            return 0;
        };
        let blocked = self.sealing.blocked.get(&log.id);
        let may_go = |entry: &&SegmentEntry| {
            let is_done = |last| last <= covered && last <= resolved;
            let extent = entry.state.extent();
            extent.is_some_and(|extent| is_done(extent.last))
                && blocked.is_none_or(|blocked| entry.ordinal < blocked.from)
        };
        let count = log.segments.iter().take_while(may_go).count();
        #[cfg(feature = "planted-bugs")]
        let count = count + mistakes::one_too_many_if_planted(log, count);
        count
    }

    /// The oldest segments that may go, as many as are wanted.
    async fn candidates(
        &mut self,
        wanted: Deletion,
        seals: Seals,
    ) -> Result<(Vec<DeletionCandidate>, Deleted), Halt> {
        // The oldest segment of each log stands last, to be taken off.
        let mut queues: BTreeMap<LogId, Vec<SegmentEntry>> = BTreeMap::new();
        for log in &self.store.manifest.logs {
            let mut queue = log.segments[..self.deletable(log, seals)].to_vec();
            queue.reverse();
            queues.insert(log.id, queue);
        }
        let mut candidates = Vec::new();
        let mut sum = Deleted::default();
        loop {
            self.poll_requests().await?;
            let fronts = queues.iter().map(|(log, queue)| (*log, queue.last()));
            let fronts: Vec<(LogId, SegmentEntry)> = fronts
                .filter_map(|(log, entry)| Some((log, *entry?)))
                .collect();
            let mut oldest: Option<(u32, LogId)> = None;
            for (log, entry) in fronts {
                let at = (self.newest_s(log, &entry).await, log);
                oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
            }
            let Some((closed_at_s, log)) = oldest else {
                return Ok((candidates, sum));
            };
            if wanted.spares(closed_at_s, &sum) {
                return Ok((candidates, sum));
            }
            let Some(entry) = queues.get_mut(&log).and_then(Vec::pop) else {
                unreachable!("the oldest segment is the front of a queue")
            };
            let bytes = entry.state.extent().map_or(0, |extent| extent.bytes);
            sum.segments += 1;
            sum.bytes += bytes;
            candidates.push(DeletionCandidate {
                log,
                ordinal: entry.ordinal,
                file: entry.file,
                bytes,
            });
        }
    }

    /// What a deletion would do once all that is closed now is sealed. It changes nothing.
    pub(crate) async fn would_delete(&mut self, wanted: Deletion) -> Result<Deleted, Halt> {
        let (_, sum) = self.candidates(wanted, Seals::ToCome).await?;
        Ok(sum)
    }

    /// Deletes the oldest segments that may go, as many as are wanted. Nothing while something is pinned, or while a shard
    /// does not use the slices that hold their decisions, or soon after an attempt that failed: the next ones are made once a
    /// second, although a shard that waits for room asks ten times as often.
    pub(crate) async fn delete(&mut self, wanted: Deletion) -> Result<Deleted, Halt> {
        let now_us = self.store.now().mono_us;
        let waits = self
            .space
            .delete_due
            .is_some_and(|due| !due.is_over(now_us));
        if waits || !self.all_switched() || self.pins.any() {
            return Ok(Deleted::default());
        }
        let (candidates, sum) = self.candidates(wanted, Seals::Done).await?;
        if candidates.is_empty() {
            return Ok(sum);
        }
        if planted(Bug::UnlinkBeforeManifest) {
            self.remove_files(&candidates).await;
        }
        let mut next = self.store.draft();
        forget(&mut next, &candidates);
        self.note_resolved(&mut next);
        match self.store.replace(next).await {
            Ok(()) => self.space.delete_due = None,
            Err(NotReplaced::Before(halt)) => {
                let again = Due::At(self.store.now().mono_us + LOOK_EVERY_US);
                if self.space.delete_due.replace(again).is_none() {
                    self.trouble("forgetting segments in", &halt); // once, not at each attempt
                }
                return Ok(Deleted::default());
            }
            Err(not) => return Err(not.into()),
        }
        self.remove_files(&candidates).await;
        for it in &candidates {
            self.closed_at_s.remove(&(it.log, it.ordinal));
            self.epochs.remove(&(it.log, it.ordinal));
            self.horizon.forget(it.log, it.ordinal);
        }
        self.store.port.notify(Notice::Deleted {
            segments: sum.segments,
            bytes: sum.bytes,
        });
        Ok(sum)
    }

    async fn remove_files(&mut self, candidates: &[DeletionCandidate]) {
        for it in candidates {
            let name = NumberedFile::Segment(it.file).to_string();
            if let Err(halt) = self.store.discard(name, it.bytes).await {
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
            self.store.port.notify(Notice::TooManySegments {
                segments: self.store.manifest.segments_count() as u64,
            });
        }
        // Some more, so that not each further segment costs a deletion of its own.
        let more_bytes = self.store.config.manifest_bytes_max / 32;
        let count = (surplus_bytes + more_bytes).div_ceil(CLOSED_SEGMENT_BYTES);
        let deleted = self.delete(Deletion::Segments(count)).await?;
        let crowded_out = &self.store.config.stats.keeper.segments_crowded_out;
        crowded_out.add(u64::from(deleted.segments));
        Ok(deleted.segments > 0)
    }

    /// Deletes segments that are older than configured.
    pub(crate) async fn delete_aged(&mut self) -> Result<bool, Halt> {
        let age_s = self.store.config.body_age_max_s;
        let second = self.store.expiry_now_s().saturating_sub(age_s);
        let deleted = self.delete(Deletion::OlderThan(second)).await?;
        Ok(deleted.segments > 0)
    }

    /// Bytes of closed segments, by what may become of them.
    pub(crate) fn segment_bytes(&self) -> SegmentBytes {
        let bytes = |entries: &[SegmentEntry]| -> u64 {
            let extents = entries.iter().filter_map(|it| it.state.extent());
            extents.map(|extent| extent.bytes).sum()
        };
        let manifest = &self.store.manifest;
        let mut sum = SegmentBytes::default();
        for log in &manifest.logs {
            sum.deletable += bytes(&log.segments[..self.deletable(log, Seals::Done)]);
            sum.unsealed += bytes(&log.segments[manifest.first_uncovered(log)..]);
        }
        sum
    }
}

/// Last sequence of a segment that is written no more.
fn last_closed(entry: &SegmentEntry) -> Option<Sequence> {
    entry.state.extent().map(|extent| extent.last)
}

/// Takes segments out of a drafted manifest, and with them the ended logs of which nothing is left.
fn forget(next: &mut Manifest, candidates: &[DeletionCandidate]) {
    let count_before = next.segments_count();
    for log in &mut next.logs {
        let goes = |ordinal| {
            let mut of_log = candidates.iter().filter(|it| it.log == log.id);
            of_log.any(|it| it.ordinal == ordinal)
        };
        log.segments.retain(|entry| !goes(entry.ordinal));
    }
    // Their files are removed next: the manifest names none of them any more, and every other one.
    assert_eq!(next.segments_count() + candidates.len(), count_before);
    next.logs
        .retain(|log| log.ended_at.is_none() || !log.segments.is_empty());
}
