//! Room on the disk: what the next start will need, what may be taken besides, and when submits have to wait. It frees early
//! what may go, lets a shard wait for its next segment rather than take what a start needs, and has submits answered 503
//! only where nothing can be freed.

use crate::keeper::Service;
use crate::keeper::config::{CAP_PERCENT, KeeperConfig};
use crate::keeper::due::Due;
use crate::keeper::halt::Halt;
use crate::keeper::notice::{Cap, Notice};
use crate::keeper::retain::Deletion;
use crate::mesh::keeper::{Shortage, ToShard};
use crate::wal::batch::BATCH_BYTES_MAX;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::{Manifest, SegmentEntry};

#[cfg(test)]
mod tests;

/// A decision takes at least this many times as much in the log as in a slice: 66 bytes there; here a record with all its
/// fields, which is longer than 400 bytes, and the decision behind it.
const LOG_PER_SLICE_BYTES: u64 = 8;

/// What a slice takes whatever is in it: first and last block, directory, one filter line for each partition, padding.
const SLICE_FIXED_BYTES: u64 = 192 << 10;

/// What a start adds to the manifest for each log that it ends and each that it begins.
const MANIFEST_BYTES_PER_LOG: u64 = 512;

/// What a file system takes besides for names, extents and the lock file, for the process and for each shard.
const META_BYTES: u64 = 64 << 10;
const META_BYTES_PER_SHARD: u64 = 16 << 10;

/// Sealing and deleting keep this much time ahead of the log's growth, in seconds.
const AHEAD_S: u64 = 10;

/// Shards use a new set of slices within this time, or are not waited for any more, in microseconds.
const SWITCH_WAIT_US: u64 = 10_000_000;

/// A seal that gave nothing is not hoped for again during this time, in microseconds.
const SEAL_AGAIN_US: u64 = 10_000_000;

/// Room on the disk as it was last looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SpaceReport {
    pub(crate) total_bytes: u64,
    /// The file system cannot be asked now: `free_bytes` is its last answer.
    pub(crate) free_is_stale: bool,
    pub(crate) free_bytes: u64,
    /// Bytes that WAL_DIR takes.
    pub(crate) used_bytes: u64,
    /// Bytes without which the next start fails; not even a segment that a shard waits for may take them.
    pub(crate) start_bytes: u64,
    /// Bytes of the slice of all that is in none yet: without it nothing could be deleted any more.
    pub(crate) slice_bytes: u64,
    /// Bytes that must stay free: the two above, and the next segment of each log.
    pub(crate) reserve_bytes: u64,
    /// Bytes that WAL_DIR may take.
    pub(crate) cap_bytes: u64,
    /// Bytes by which the log grows while something is freed, or that the next merge of slices writes.
    ahead_bytes: u64,
}

impl SpaceReport {
    /// Bytes that should be freed now, so that nothing is short later.
    fn wanting_bytes(&self) -> u64 {
        let over_cap = (self.used_bytes + self.ahead_bytes).saturating_sub(self.cap_bytes);
        if self.free_is_stale {
            // Deleting would not show in a figure of before: each look would delete as much again.
            return over_cap;
        }
        let kept_bytes = self.reserve_bytes + self.ahead_bytes;
        over_cap.max(kept_bytes.saturating_sub(self.free_bytes))
    }

    /// What is short already.
    fn shortage(&self) -> Option<Shortage> {
        if self.free_bytes < self.reserve_bytes {
            Some(Shortage::Disk)
        } else if self.used_bytes > self.cap_bytes {
            Some(Shortage::Cap)
        } else {
            None
        }
    }

    /// What would be short after `new_bytes` more were taken, where the next start needs `start_bytes` then.
    fn shortage_with(&self, new_bytes: u64, start_bytes: u64) -> Option<Shortage> {
        if self.free_bytes < new_bytes + start_bytes + self.slice_bytes {
            Some(Shortage::Disk)
        } else if new_bytes > 0 && self.used_bytes + new_bytes > self.cap_bytes {
            Some(Shortage::Cap)
        } else {
            None
        }
    }
}

/// What a start that follows a crash of this run writes at most before any file that the manifest names may go, with as
/// many shards as now:
///
/// - the last segment of each log: its last batch, once more;
/// - a first segment for each new log. A preallocated segment serves as one, and so would a next segment that is still unused when the crash
///   comes; but all of them may be entered by then without the keeper having done anything, so only preallocated segments are counted;
/// - the manifest beside the one in force, with the ends of the old logs and the beginnings of the new ones;
/// - what the file system takes for their names.
///
/// Preallocated segments that no manifest names yet, a file in the making and a slice without a name are not counted: a start removes them
/// before it writes.
pub(crate) fn start_bytes(manifest: &Manifest, config: &KeeperConfig, preallocated: usize) -> u64 {
    let shards = u64::from(config.shards);
    let live = manifest.logs.iter().filter(|log| log.ended_at.is_none());
    let live = (live.count() as u64).max(shards);
    let batch_bytes = (BATCH_BYTES_MAX as u64).min(config.segment_bytes);
    let last_bytes = batch_bytes + 2 * BLOCK_BYTES as u64;
    let first_segments = shards.saturating_sub(preallocated as u64);
    let manifest_bytes =
        2 * manifest.encoded_bytes() as u64 + (live + shards) * MANIFEST_BYTES_PER_LOG;
    live * last_bytes
        + first_segments * config.segment_bytes
        + manifest_bytes
        + META_BYTES
        + shards * META_BYTES_PER_SHARD
}

/// How fast the log grows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    named_bytes: u64,
    since_us: u64,
    bytes_per_s: u64,
}

impl Pace {
    /// A segment was given to a shard.
    pub(crate) fn named(&mut self, bytes: u64) {
        self.named_bytes += bytes;
    }

    /// The rate, at the latest look. A peak is forgotten slowly, for segments are large steps.
    fn look(&mut self, now_us: u64) {
        let passed_us = now_us.saturating_sub(self.since_us);
        if passed_us < 1_000_000 {
            return;
        }
        let bytes_per_s = self.named_bytes.saturating_mul(1_000_000) / passed_us;
        self.bytes_per_s = bytes_per_s.max(self.bytes_per_s / 8 * 7);
        self.named_bytes = 0;
        self.since_us = now_us;
    }
}

/// Why a shard waits for its next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// By the sum of what is free and what must stay free: reckoned anew at every look.
    Reckoned(Shortage),
    /// The file system or the manifest refused it: only another attempt shows whether that is over.
    Met(Shortage),
}

impl Lack {
    pub(crate) fn shortage(self) -> Shortage {
        match self {
            Lack::Reckoned(why) | Lack::Met(why) => why,
        }
    }
}

/// What the keeper remembers of room between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Space {
    /// What submits are refused for, as it was sent to shards.
    pub(crate) low: Option<Shortage>,
    /// A shard waits for a segment that could not be made, for this reason.
    pub(crate) naming: Option<Lack>,
    /// More should be freed as soon as shards use the new slices.
    pub(crate) more_wanted: bool,
    /// The next seal is for room: segments in use need not be closed for it.
    pub(crate) seal_wanted: bool,
    pub(crate) pace: Pace,
    /// The last answer of the file system: its size and what is free, in bytes.
    measured: Option<(u64, u64)>,
    /// It could not be asked since.
    unmeasured: bool,
    /// Until then shards are expected to use the newest slices.
    switch_due_us: u64,
    /// Deleting has failed: when it is tried again.
    pub(crate) delete_due: Option<Due>,
    /// A seal for room gave nothing: not hoped for before this time.
    seal_again_us: u64,
}

/// Why a file is not made, where room is not what is missing.
pub(crate) fn refusal(halt: &Halt) -> Shortage {
    match halt {
        Halt::Io { error, .. } if error.is_refusal() => Shortage::Refused,
        Halt::Io { error, .. } if error.is_out_of_descriptors() => Shortage::Descriptors,
        _ => Shortage::Disk,
    }
}

impl Service {
    /// Measures the file system and what WAL_DIR takes of it.
    pub(crate) async fn room(&mut self) -> Result<SpaceReport, Halt> {
        let (total_bytes, free_bytes) = self.measure().await?;
        let config = &self.store.config;
        let manifest = &self.store.manifest;
        let segment_bytes = |entry: &SegmentEntry| {
            let closed = entry.state.file_bytes();
            closed.unwrap_or(config.segment_bytes)
        };
        let segments = manifest.logs.iter().flat_map(|log| &log.segments);
        let slices_bytes: u64 = manifest.slices.iter().map(|slice| slice.bytes).sum();
        let preallocated = self.store.preallocated_count();
        let next_bytes = u64::from(config.shards) * config.segment_bytes;
        let start_bytes = start_bytes(manifest, config, preallocated);
        let slice_bytes = match self.unsealed_bytes() {
            0 => 0,
            unsealed_bytes => unsealed_bytes / LOG_PER_SLICE_BYTES + SLICE_FIXED_BYTES,
        };
        let cap_bytes = match config.wal_bytes_max {
            Some(cap_bytes) => cap_bytes,
            None => total_bytes / 100 * CAP_PERCENT,
        };
        let grown_bytes = self.space.pace.bytes_per_s.saturating_mul(AHEAD_S);
        Ok(SpaceReport {
            total_bytes,
            free_is_stale: self.space.unmeasured,
            free_bytes,
            used_bytes: segments.map(segment_bytes).sum::<u64>()
                + slices_bytes
                + preallocated as u64 * config.segment_bytes,
            start_bytes,
            slice_bytes,
            reserve_bytes: start_bytes + slice_bytes + next_bytes,
            cap_bytes,
            ahead_bytes: grown_bytes
                .max(next_bytes)
                .max(self.next_merge_bytes().unwrap_or(0))
                .min(cap_bytes / 4),
        })
    }

    /// The size of the file system and what is free. Its last answer counts on while it cannot be asked; a start needs an
    /// answer.
    async fn measure(&mut self) -> Result<(u64, u64), Halt> {
        match (self.store.files.space().await, self.space.measured) {
            (Ok(measured), _) => {
                self.space.measured = Some(measured);
                self.space.unmeasured = false;
                Ok(measured)
            }
            (Err(halt), None) => Err(halt),
            (Err(halt), Some(measured)) => {
                self.store.config.stats.keeper.space_errors.add(1);
                if !std::mem::replace(&mut self.space.unmeasured, true) {
                    self.trouble("measuring the file system of", &halt);
                }
                Ok(measured)
            }
        }
    }

    /// What would be short if one more segment were made and kept as a preallocated segment.
    pub(crate) async fn shortage_of_preallocation(&mut self) -> Result<Option<Shortage>, Halt> {
        let room = self.room().await?;
        let segment_bytes = self.store.config.segment_bytes;
        let preallocated = self.store.preallocated_count() + 1;
        let start_bytes = start_bytes(&self.store.manifest, &self.store.config, preallocated);
        Ok(room.shortage_with(segment_bytes, start_bytes))
    }

    /// What would be short if the next segment of a log were named: made now, or one preallocated segment fewer for the next start.
    pub(crate) async fn shortage_of_next(&mut self) -> Result<Option<Shortage>, Halt> {
        let room = self.room().await?;
        let (manifest, config) = (&self.store.manifest, &self.store.config);
        Ok(match self.store.preallocated_count() {
            0 => room.shortage_with(config.segment_bytes, room.start_bytes),
            preallocated => room.shortage_with(0, start_bytes(manifest, config, preallocated - 1)),
        })
    }

    /// Before the first record is admitted: where the start has left too little and nothing may go, shards know it from the
    /// beginning. What may go does so at the first look, which follows at once.
    pub(crate) async fn look_before_serving(&mut self) -> Result<(), Halt> {
        let room = self.room().await?;
        let bytes = self.segment_bytes();
        if let Some(why) = room.shortage()
            && bytes.deletable + bytes.unsealed == 0
        {
            self.set_space_low(Some(why), &room);
        }
        Ok(())
    }

    /// Frees what should be freed; seals if that lets more go; lets submits wait only when nothing may go.
    pub(crate) async fn look_at_space(&mut self) -> Result<(), Halt> {
        let now_us = self.store.now().mono_us;
        self.space.pace.look(now_us);
        let mut room = self.room().await?;
        let mut freed = false;
        if room.wanting_bytes() > 0 || self.space.naming.is_some() {
            let wanted_bytes = room.wanting_bytes().max(1);
            let (deleted, _) = self.delete(Deletion::Bytes(wanted_bytes)).await?;
            freed = deleted.segments > 0;
            room = self.room().await?;
        }
        self.space.more_wanted = room.wanting_bytes() > 0;
        let wanting = self.space.more_wanted || self.space.naming.is_some();
        // A stop seals nothing.
        let can_seal = !self.stop.is_asked()
            && !self.pins.any()
            && now_us >= self.space.seal_again_us
            && self.unsealed_bytes() > 0
            && self.segment_bytes().deletable == 0;
        if wanting && can_seal {
            self.sealing.wanted = true;
            self.space.seal_wanted = true;
        }
        let switching = !self.all_switched() && now_us < self.space.switch_due_us;
        let hopeful = !self.pins.any() && (freed || can_seal || switching);
        if self.naming_lack_is_over(&room).await? {
            self.space.naming = None;
            self.name_due = Due::AtOnce;
        }
        let naming = self.space.naming.map(Lack::shortage);
        let short = naming.or(room.shortage());
        // Where files are refused, freeing does not help.
        let helpless = [Shortage::Refused, Shortage::Descriptors];
        let why = short.filter(|why| !hopeful || helpless.contains(why));
        if why != self.space.low {
            self.set_space_low(why, &room);
        }
        Ok(())
    }

    /// Whether the segment that a shard waits for lacked room only by a sum that is right again, with the whole reserve
    /// beside it. Where just the segment itself would fit, the next attempt is waited for: a disk that stays nearly full
    /// would have submits refused and taken by turns.
    async fn naming_lack_is_over(&mut self, room: &SpaceReport) -> Result<bool, Halt> {
        let reckoned = matches!(self.space.naming, Some(Lack::Reckoned(_)));
        Ok(reckoned && room.shortage().is_none() && self.shortage_of_next().await?.is_none())
    }

    /// Seals what is closed, so that it may be deleted. Open segments stay: to close them would need new ones.
    pub(crate) async fn seal_for_room(&mut self) -> Result<(), Halt> {
        let version_before = self.sealing.version;
        self.seal().await?;
        self.space.seal_wanted = false;
        self.note_seal_for_room(version_before);
        self.look_due = Due::AtOnce;
        Ok(())
    }

    /// A seal for room is over: whether it gave anything, and until when shards should use what it made.
    fn note_seal_for_room(&mut self, version_before: u64) {
        let now_us = self.store.now().mono_us;
        if self.sealing.version == version_before {
            self.space.seal_again_us = now_us + SEAL_AGAIN_US;
        } else {
            self.space.switch_due_us = now_us + SWITCH_WAIT_US;
        }
    }

    fn set_space_low(&mut self, why: Option<Shortage>, room: &SpaceReport) {
        self.space.low = why;
        self.send_all(|| ToShard::SpaceLow(why));
        let (limit_bytes, taken_bytes) = match why {
            Some(Shortage::Cap) => (room.cap_bytes, room.used_bytes),
            _ => (room.reserve_bytes, room.free_bytes),
        };
        let cap = match self.store.config.wal_bytes_max {
            Some(_) => Cap::Configured,
            None => Cap::Share,
        };
        self.store.port.notify(Notice::SpaceLow {
            why,
            bytes: taken_bytes,
            limit_bytes,
            cap,
            hold: why.and_then(|_| self.hold_in_the_way()),
        });
    }
}
