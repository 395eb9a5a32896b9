//! Retention and room on the disk: which closed segments may go, which must, and when submits have to wait. A segment
//! may go once its decisions are in slices that all shards use and its bodies are settled; the manifest forgets it before
//! its file is removed.

use crate::event::ShardId;
use crate::keeper::halt::Halt;
use crate::keeper::ledger::NotReplaced;
use crate::keeper::messages::ToShard;
use crate::keeper::notice::Notice;
use crate::keeper::reading::Readable;
use crate::keeper::recover::{covered_upto, first_uncovered};
use crate::keeper::serve::Service;
use crate::planted::{Bug, planted};
use crate::wal::batch::{BATCH_BYTES_MAX, BatchHeader};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{LogEntry, SegmentEntry, SegmentState};
use crate::wal::name::LogId;
use crate::wal::scan::ReadAt;
use std::collections::BTreeMap;

/// Without a cap of its own the log may take this share of the file system, in percent.
const CAP_PERCENT: u64 = 80;

/// A segment that may go.
#[derive(Clone, Copy, Debug)]
struct Victim {
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

/// Room on the disk as it was last looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    pub(crate) total_bytes: u64,
    pub(crate) free_bytes: u64,
    /// Bytes that WAL_DIR takes.
    pub(crate) used_bytes: u64,
    /// Bytes without which the next start fails; not even a segment that a shard waits for may take them.
    pub(crate) start_bytes: u64,
    /// Bytes that must stay free.
    pub(crate) reserve_bytes: u64,
    /// Bytes that WAL_DIR may take.
    pub(crate) cap_bytes: u64,
}

impl Room {
    /// Bytes that should be freed.
    fn wanting_bytes(&self) -> u64 {
        let over_cap = self.used_bytes.saturating_sub(self.cap_bytes);
        let into_reserve = self.reserve_bytes.saturating_sub(self.free_bytes);
        over_cap.max(into_reserve)
    }
}

impl Service {
    /// How many segments of a log, from its first, may go.
    fn deletable(&self, log: &LogEntry) -> usize {
        let covered = covered_upto(&self.ledger.manifest, log.id);
        let settled = match self.shards.iter().find(|shard| shard.log == log.id) {
            Some(shard) => Some(shard.settled),
            None => log.ended_at.map(|end| end.sequence),
        };
        let blocked = self.sealing.blocked.get(&log.id);
        let may_go = |entry: &&SegmentEntry| match (entry.state.extent(), covered, settled) {
            (Some(extent), Some(covered), Some(settled)) => {
                extent.last <= covered
                    && extent.last <= settled
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
            return self.ledger.expiry_now_s();
        };
        self.closed_at_s.insert(key, newest);
        newest
    }

    /// Looks for the last batch header from the end of a segment backwards.
    async fn read_newest_s(&self, entry: &SegmentEntry) -> Option<u32> {
        let extent = entry.state.extent()?;
        let readable = Readable::segment(&self.ledger, entry).await.ok()?;
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

    /// The oldest segments that may go: all closed before `older_than_s`, and more until `wanted_bytes` are freed.
    async fn victims(&mut self, older_than_s: u32, wanted_bytes: u64) -> Result<Vec<Victim>, Halt> {
        let mut queues: BTreeMap<LogId, Vec<SegmentEntry>> = BTreeMap::new();
        for log in &self.ledger.manifest.logs {
            let mut queue = log.segments[..self.deletable(log)].to_vec();
            queue.reverse();
            queues.insert(log.id, queue);
        }
        let mut victims = Vec::new();
        let mut freed_bytes = 0;
        loop {
            self.attend().await?;
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
                return Ok(victims);
            };
            if at_s >= older_than_s && freed_bytes >= wanted_bytes {
                return Ok(victims);
            }
            let entry = queues.get_mut(&log).and_then(Vec::pop);
            if let Some(entry) = entry {
                let bytes = entry.state.extent().map_or(0, |extent| extent.bytes);
                freed_bytes += bytes;
                victims.push(Victim {
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
        wanted_bytes: u64,
        dry: bool,
    ) -> Result<Deleted, Halt> {
        if !dry && (!self.all_switched() || self.pins.any()) {
            return Ok(Deleted::default());
        }
        let victims = self.victims(older_than_s, wanted_bytes).await?;
        let deleted = Deleted {
            segments: victims.len() as u32,
            bytes: victims.iter().map(|victim| victim.bytes).sum(),
        };
        if dry || victims.is_empty() {
            return Ok(deleted);
        }
        if planted(Bug::UnlinkBeforeManifest) {
            self.remove_files(&victims).await;
        }
        let mut next = self.ledger.draft();
        for log in &mut next.logs {
            log.segments.retain(|entry| {
                let goes =
                    |victim: &Victim| (victim.log, victim.ordinal) == (log.id, entry.ordinal);
                !victims.iter().any(goes)
            });
        }
        next.logs
            .retain(|log| log.ended_at.is_none() || !log.segments.is_empty());
        self.note_settled(&mut next);
        match self.ledger.replace(next).await {
            Ok(()) => {}
            Err(NotReplaced::Before(halt)) => {
                self.trouble("forgetting segments in", &halt);
                return Ok(Deleted::default());
            }
            Err(not) => return Err(not.into()),
        }
        self.remove_files(&victims).await;
        for victim in &victims {
            self.closed_at_s.remove(&(victim.log, victim.ordinal));
            self.epochs.remove(&(victim.log, victim.ordinal));
        }
        self.ledger.port.say(Notice::Deleted {
            segments: deleted.segments,
            bytes: deleted.bytes,
        });
        Ok(deleted)
    }

    async fn remove_files(&mut self, victims: &[Victim]) {
        for victim in victims {
            let name = NumberedFile::Segment(victim.file).to_string();
            if let Err(halt) = self.ledger.files.unlink(&name).await {
                self.trouble("removing", &halt);
            }
        }
        if let Err(halt) = self.ledger.files.sync_dir().await {
            self.trouble("syncing", &halt);
        }
    }

    /// Deletes segments that are older than configured.
    pub(crate) async fn delete_aged(&mut self) -> Result<bool, Halt> {
        let age_s = self.ledger.config.body_age_max_s;
        let older_than_s = self.ledger.expiry_now_s().saturating_sub(age_s);
        Ok(self.delete(older_than_s, 0, false).await?.segments > 0)
    }

    /// Measures the file system and what WAL_DIR takes of it.
    pub(crate) async fn room(&self) -> Result<Room, Halt> {
        let (total_bytes, free_bytes) = self.ledger.files.space().await?;
        let config = &self.ledger.config;
        let manifest = &self.ledger.manifest;
        let segment_bytes = |entry: &SegmentEntry| match &entry.state {
            SegmentState::Closed(extent) | SegmentState::Last(extent) => extent.bytes,
            SegmentState::Open | SegmentState::Next => config.segment_bytes,
        };
        let segments = manifest.logs.iter().flat_map(|log| &log.segments);
        let slices_bytes: u64 = manifest.slices.iter().map(|slice| slice.bytes).sum();
        let spares_bytes = self.ledger.spares_count() as u64 * config.segment_bytes;
        // A start writes the last segment of every log and a manifest beside the one in force. On top come the next
        // segment of every log, and the slice of all that is not sealed (a decision takes at least three times as much
        // in the log as in a slice).
        let shards = u64::from(config.shards);
        let last_bytes = (BATCH_BYTES_MAX + 2 * BLOCK_BYTES) as u64;
        let start_bytes =
            shards * last_bytes.min(2 * config.segment_bytes) + 2 * manifest.encode().len() as u64;
        let slice_bytes = self.unsealed_bytes() / 3;
        Ok(Room {
            total_bytes,
            free_bytes,
            used_bytes: segments.map(segment_bytes).sum::<u64>() + slices_bytes + spares_bytes,
            start_bytes,
            reserve_bytes: start_bytes + shards * config.segment_bytes + slice_bytes,
            cap_bytes: config
                .wal_bytes_max
                .unwrap_or(total_bytes / 100 * CAP_PERCENT),
        })
    }

    /// Frees what must be freed; seals if that lets more go; lets submits wait only when nothing may go.
    pub(crate) async fn look_at_space(&mut self) -> Result<(), Halt> {
        let mut room = self.room().await?;
        if room.wanting_bytes() > 0 {
            self.delete(0, room.wanting_bytes(), false).await?;
            room = self.room().await?;
        }
        let short = room.wanting_bytes() > 0;
        if !short {
            self.sealed_for_room = false;
        } else if !self.sealed_for_room || self.unsealed_bytes() > 0 {
            // Also what was closed since the last seal for room may go only when it is sealed.
            self.sealed_for_room = true;
            self.sealing.wanted = true;
        }
        let in_reserve = room.free_bytes < room.reserve_bytes;
        let low = self.naming_failed
            || in_reserve
            || short && self.sealed_for_room && !self.sealing.wanted;
        if low != self.space_low {
            self.set_space_low(low, &room);
        }
        Ok(())
    }

    fn set_space_low(&mut self, low: bool, room: &Room) {
        self.space_low = low;
        for shard in 0..self.ledger.config.shards {
            self.ledger
                .port
                .tell(ShardId(shard), ToShard::SpaceLow(low));
        }
        self.ledger.port.say(Notice::SpaceLow {
            low,
            free_bytes: room.free_bytes,
            reserve_bytes: room.reserve_bytes,
        });
    }

    /// A segment could not be made: submits wait until there is room again.
    pub(crate) async fn no_room(&mut self) -> Result<(), Halt> {
        if !self.space_low {
            let room = self.room().await?;
            self.set_space_low(true, &room);
        }
        Ok(())
    }

    /// Bytes of segments that could be deleted at once, and of those whose decisions are in no slice yet.
    pub(crate) fn bytes_by_fate(&self) -> (u64, u64) {
        let bytes = |entries: &[SegmentEntry]| -> u64 {
            let extents = entries.iter().filter_map(|it| it.state.extent());
            extents.map(|extent| extent.bytes).sum()
        };
        let manifest = &self.ledger.manifest;
        let logs = manifest.logs.iter();
        logs.map(|log| {
            let deletable = bytes(&log.segments[..self.deletable(log)]);
            let unsealed = bytes(&log.segments[first_uncovered(manifest, log)..]);
            (deletable, unsealed)
        })
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}
