//! Retention: which closed segments may go, and which do. A segment may go once its decisions are in slices that all shards
//! use and its bodies are resolved, and all holds are done with it or let it go; the manifest forgets it before its file is removed.

use crate::keeper::config::HoldLimit;
use crate::keeper::due::Due;
use crate::keeper::halt::Halt;
use crate::keeper::holds::keep::{
    HeldSegment, HoldEffect, LetGo, Released, always, at_limits, forget_positions, free_of_holds,
    joined, note_released, released,
};
#[cfg(feature = "planted-bugs")]
use crate::keeper::mistakes;
use crate::keeper::notice::Notice;
use crate::keeper::store::NotReplaced;
use crate::keeper::{LOOK_EVERY_US, Service};
use crate::planted::{Bug, planted};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{CLOSED_SEGMENT_BYTES, Hold, LogEntry, Manifest, SegmentEntry};
use crate::wal::name::{LogId, Sequence};
use std::collections::{BTreeMap, BTreeSet};

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

/// What a deletion would take, and what holds make of it.
#[derive(Debug, Default)]
struct Picked {
    candidates: Vec<DeletionCandidate>,
    /// The sum of the candidates.
    sum: Deleted,
    /// What holds lose with them.
    released: Vec<Released>,
    /// What stays for holds although it is wanted.
    kept: Deleted,
    /// The same for each hold by its name.
    kept_bytes: BTreeMap<String, u64>,
}

impl Picked {
    fn take(&mut self, log: LogId, entry: &SegmentEntry) {
        let bytes = entry.state.file_bytes().unwrap_or(0);
        self.sum.add(bytes);
        self.candidates.push(DeletionCandidate {
            log,
            ordinal: entry.ordinal,
            file: entry.file,
            bytes,
        });
    }
}

/// What a deletion did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deleted {
    pub(crate) segments: u32,
    pub(crate) bytes: u64,
}

impl Deleted {
    fn add(&mut self, bytes: u64) {
        self.segments += 1;
        self.bytes += bytes;
    }
}

/// What a deletion would do.
#[derive(Debug)]
pub(crate) struct Foreseen {
    pub(crate) deleted: Deleted,
    /// What would stay for holds although it is wanted.
    pub(crate) kept: Deleted,
    /// The files that would go.
    pub(crate) files: BTreeSet<u64>,
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
    /// How many segments of a log, from its first, may go but for holds.
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

    /// How many of them all holds are done with.
    fn free(&self, log: &LogEntry, seals: Seals) -> usize {
        let deletable = &log.segments[..self.deletable(log, seals)];
        free_of_holds(&self.store.manifest.sections.holds, log.id, deletable)
    }

    /// How many segments of a log, from its first, are needed for their bodies only: sealed and resolved.
    pub(crate) fn sealed_count(&self, log: &LogEntry) -> usize {
        self.deletable(log, Seals::Done)
    }

    /// The same once all that is closed now is sealed.
    pub(crate) fn sealable_count(&self, log: &LogEntry) -> usize {
        self.deletable(log, Seals::ToCome)
    }

    /// The oldest segments that may go, as many as are wanted.
    async fn pick(&mut self, wanted: Deletion, seals: Seals) -> Result<Picked, Halt> {
        let mut picked = Picked::default();
        if let Some(picked_counts) = self.pick_free(wanted, seals, &mut picked).await? {
            let held = self.held(wanted, seals, &picked_counts).await?;
            self.pick_held(wanted, &held, &mut picked);
        }
        Ok(picked)
    }

    /// Picks what no hold needs. Nothing comes back if no more is wanted; else, of each log of which all that no hold needs is
    /// picked, how many segments that is. Of another log nothing more may go: segments of a log go in order.
    async fn pick_free(
        &mut self,
        wanted: Deletion,
        seals: Seals,
        picked: &mut Picked,
    ) -> Result<Option<BTreeMap<LogId, usize>>, Halt> {
        // The oldest segment of each log stands last, to be taken off.
        let mut queues: BTreeMap<LogId, Vec<SegmentEntry>> = BTreeMap::new();
        let mut free_counts: BTreeMap<LogId, usize> = BTreeMap::new();
        for log in &self.store.manifest.logs {
            let mut queue = log.segments[..self.free(log, seals)].to_vec();
            queue.reverse();
            free_counts.insert(log.id, queue.len());
            queues.insert(log.id, queue);
        }
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
                return Ok(Some(free_counts));
            };
            if wanted.spares(closed_at_s, &picked.sum) {
                // Of what is older than an age, holds may have more.
                free_counts.retain(|log, _| queues.get(log).is_some_and(Vec::is_empty));
                return Ok(matches!(wanted, Deletion::OlderThan(_)).then_some(free_counts));
            }
            let Some(entry) = queues.get_mut(&log).and_then(Vec::pop) else {
                unreachable!("the oldest segment is the front of a queue")
            };
            picked.take(log, &entry);
        }
    }

    /// Picks of what holds need, as far as they let it go.
    fn pick_held(&self, wanted: Deletion, held: &[HeldSegment], picked: &mut Picked) {
        let holds = &self.store.manifest.sections.holds;
        let now_s = self.store.expiry_now_s();
        let is_by_age = matches!(wanted, Deletion::OlderThan(_));
        let effects = holds.iter().map(|hold| match self.store.config.hold_limit {
            HoldLimit::Refuse => always(hold, held, HoldEffect::Keeps),
            HoldLimit::Release if is_by_age => at_limits(hold, held, now_s),
            HoldLimit::Release => always(hold, held, HoldEffect::LetsGo(LetGo::Room)),
        });
        let effects: Vec<Vec<Option<HoldEffect>>> = effects.collect();
        // Segments of a log go in order: behind one that stays, all stay.
        let mut stays: BTreeSet<LogId> = BTreeSet::new();
        for (index, segment) in held.iter().enumerate() {
            let of_holds = || {
                holds
                    .iter()
                    .zip(effects.iter().map(|of_hold| of_hold[index]))
            };
            let is_kept = of_holds().any(|(_, effect)| effect == Some(HoldEffect::Keeps));
            let is_enough = !is_by_age && wanted.spares(segment.closed_at_s, &picked.sum);
            if !is_kept && !is_enough && !stays.contains(&segment.log) {
                for (hold, effect) in of_holds() {
                    if let Some(HoldEffect::LetsGo(why)) = effect {
                        picked.released.extend(released(hold, segment, why, now_s));
                    }
                }
                picked.take(segment.log, &segment.entry);
                continue;
            }
            stays.insert(segment.log);
            picked.kept.add(segment.file_bytes());
            for hold in holds.iter().filter(|hold| segment.is_needed_by(hold)) {
                let kept_bytes = picked.kept_bytes.entry(hold.name.clone()).or_default();
                *kept_bytes += segment.file_bytes();
            }
        }
        picked.released = joined(std::mem::take(&mut picked.released));
    }

    /// What is wanted and could go but for holds, oldest first. It begins right behind what is picked of each log: bodies may
    /// have been resolved since.
    async fn held(
        &mut self,
        wanted: Deletion,
        seals: Seals,
        picked_counts: &BTreeMap<LogId, usize>,
    ) -> Result<Vec<HeldSegment>, Halt> {
        if self.store.manifest.sections.holds.is_empty() {
            return Ok(Vec::new());
        }
        let of_log = |log: &LogEntry| {
            let deletable = &log.segments[..self.deletable(log, seals)];
            let picked_count = picked_counts.get(&log.id).copied();
            let segments = deletable.iter();
            let segments = segments.skip(picked_count.unwrap_or(deletable.len()));
            let with_extent = segments.filter_map(|entry| Some((*entry, *entry.state.extent()?)));
            (log.id, with_extent.collect::<Vec<_>>())
        };
        let logs: Vec<_> = self.store.manifest.logs.iter().map(of_log).collect();
        let mut held = Vec::new();
        for (log, segments) in logs {
            let mut closed_at_s = 0;
            for (entry, extent) in segments {
                self.poll_requests().await?;
                closed_at_s = self.newest_s(log, &entry).await.max(closed_at_s);
                if matches!(wanted, Deletion::OlderThan(second) if closed_at_s >= second) {
                    break;
                }
                held.push(HeldSegment {
                    log,
                    entry,
                    extent,
                    closed_at_s,
                });
            }
        }
        held.sort_by_key(|it| (it.closed_at_s, it.log));
        Ok(held)
    }

    /// What a deletion would do once all that is closed now is sealed. It changes nothing.
    pub(crate) async fn would_delete(&mut self, wanted: Deletion) -> Result<Foreseen, Halt> {
        let picked = self.pick(wanted, Seals::ToCome).await?;
        Ok(Foreseen {
            deleted: picked.sum,
            kept: picked.kept,
            files: picked.candidates.iter().map(|it| it.file).collect(),
        })
    }

    /// Deletes the oldest segments that may go, as many as are wanted. Nothing while something is pinned, or while a shard
    /// does not use the slices that hold their decisions, or soon after an attempt that failed: the next ones are made once a
    /// second, although a shard that waits for room asks ten times as often. What stays for holds although it is wanted comes
    /// back as well.
    pub(crate) async fn delete(&mut self, wanted: Deletion) -> Result<(Deleted, Deleted), Halt> {
        let now_us = self.store.now().mono_us;
        let waits = self
            .space
            .delete_due
            .is_some_and(|due| !due.is_over(now_us));
        if waits || !self.all_switched() || self.pins.any() {
            return Ok(Default::default());
        }
        let picked = loop {
            let changes = self.holds.changes;
            let picked = self.pick(wanted, Seals::Done).await?;
            // A hold that was acknowledged meanwhile keeps what it is not done with.
            if self.holds.changes == changes || planted(Bug::HoldMissedByDeletion) {
                break picked;
            }
        };
        if matches!(wanted, Deletion::OlderThan(_)) {
            self.holds.kept_bytes = picked.kept_bytes;
            self.holds.held_bytes = picked.kept.bytes;
        }
        let (candidates, sum) = (picked.candidates, picked.sum);
        if candidates.is_empty() {
            return Ok((sum, picked.kept));
        }
        if planted(Bug::UnlinkBeforeManifest) {
            self.remove_files(&candidates).await;
        }
        let mut next = self.store.draft();
        forget(&mut next, &candidates);
        note_released(&mut next.sections, &picked.released);
        self.note_resolved(&mut next);
        match self.store.replace(next).await {
            Ok(()) => self.space.delete_due = None,
            Err(NotReplaced::Before(halt)) => {
                let again = Due::At(self.store.now().mono_us + LOOK_EVERY_US);
                if self.space.delete_due.replace(again).is_none() {
                    self.trouble("forgetting segments in", &halt); // once, not at each attempt
                }
                return Ok(Default::default());
            }
            Err(not) => return Err(not.into()),
        }
        self.remove_files(&candidates).await;
        for it in &candidates {
            self.closed_at_s.remove(&(it.log, it.ordinal));
            self.epochs.remove(&(it.log, it.ordinal));
            self.horizon.forget(it.log, it.ordinal);
        }
        self.tell_released(picked.released);
        self.store.port.notify(Notice::Deleted {
            segments: sum.segments,
            bytes: sum.bytes,
        });
        Ok((sum, picked.kept))
    }

    /// Says what holds lost.
    fn tell_released(&self, released: Vec<Released>) {
        let stats = &self.store.config.stats.keeper;
        stats.hold_releases.add(released.len() as u64);
        for Released { range, why } in released {
            self.store.port.notify(Notice::HoldReleased {
                hold: range.hold,
                log: range.log,
                from: range.from,
                to: range.to,
                why,
            });
        }
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
        let (deleted, _) = self.delete(Deletion::Segments(count)).await?;
        let crowded_out = &self.store.config.stats.keeper.segments_crowded_out;
        crowded_out.add(u64::from(deleted.segments));
        Ok(deleted.segments > 0)
    }

    /// Deletes segments that are older than configured.
    pub(crate) async fn delete_aged(&mut self) -> Result<bool, Halt> {
        let age_s = self.store.config.body_age_max_s;
        let second = self.store.expiry_now_s().saturating_sub(age_s);
        let (deleted, _) = self.delete(Deletion::OlderThan(second)).await?;
        Ok(deleted.segments > 0)
    }

    /// Bytes of closed segments, by what may become of them.
    pub(crate) fn segment_bytes(&self) -> SegmentBytes {
        let bytes = |entries: &[SegmentEntry]| -> u64 {
            let closed = entries.iter().filter_map(|it| it.state.file_bytes());
            closed.sum()
        };
        let manifest = &self.store.manifest;
        let mut sum = SegmentBytes::default();
        for log in &manifest.logs {
            let deletable = match self.store.config.hold_limit {
                // What holds need goes, too, before submits are refused.
                HoldLimit::Release => self.deletable(log, Seals::Done),
                HoldLimit::Refuse => self.free(log, Seals::Done),
            };
            sum.deletable += bytes(&log.segments[..deletable]);
            sum.unsealed += bytes(&log.segments[manifest.first_uncovered(log)..]);
        }
        sum
    }

    /// The hold that keeps most of what could go but for holds, where holds do not give way.
    pub(crate) fn hold_in_the_way(&self) -> Option<String> {
        if self.store.config.hold_limit == HoldLimit::Release {
            return None;
        }
        let manifest = &self.store.manifest;
        let kept_bytes = |hold: &Hold| -> u64 {
            let needed = manifest.logs.iter().flat_map(|log| {
                let deletable = &log.segments[..self.deletable(log, Seals::Done)];
                let free = free_of_holds(std::slice::from_ref(hold), log.id, deletable);
                deletable[free..].iter()
            });
            needed.filter_map(|entry| entry.state.file_bytes()).sum()
        };
        let holds = manifest.sections.holds.iter();
        let most = holds
            .map(|hold| (kept_bytes(hold), hold))
            .max_by_key(|it| it.0);
        most.filter(|(bytes, _)| *bytes > 0)
            .map(|(_, hold)| hold.name.clone())
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
    forget_positions(next);
}
