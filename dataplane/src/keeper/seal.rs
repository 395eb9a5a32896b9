//! Sealing: when it is due, which closed segments it takes, and the way of their decisions into a slice of their own. It
//! never changes what a log holds.

use crate::dedup::table::BYTES_PER_KEY;
use crate::keeper::Service;
use crate::keeper::due::Due;
use crate::keeper::extract::Extract;
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::seal_read::Blocked;
use crate::keeper::slices::Merge;
use crate::keeper::tidy::Retired;
use crate::keeper::views::{FIRST_VERSION, InUse};
use crate::planted::{Bug, planted};
use crate::wal::Epoch;
use crate::wal::manifest::{Cover, SegmentEntry, SegmentState};
use crate::wal::name::{LogId, Sequence};
use std::collections::{BTreeMap, BTreeSet};

/// What is sealed leaves the shards' memory. While that of one of them fills up, a seal follows the last one after this time, in
/// microseconds: what it took has left by then, and if what has come meanwhile is too little to help, the table is far from full
/// when the next one comes.
const SEAL_WHILE_FILLING_US: u64 = 1_000_000;

/// Where a seal can change nothing, the next one follows after this time, in microseconds. It doubles with each that cannot have
/// helped.
const SEAL_WITHOUT_HELP_US: u64 = 5_000_000;

/// A seal that failed, in whole or in part, is repeated after this time, in microseconds: what was in its way may be gone.
const SEAL_AFTER_FAILURE_US: u64 = 10_000_000;

/// It doubles at most so often: to five minutes.
const UNHELPFUL_MAX: u32 = 6;

/// A seal helps against full memory if it moves this part of it into a slice: about what admission waits for.
const HELPFUL_SHARE: u64 = 64;

/// What sealing remembers between its runs.
pub(crate) struct Sealing {
    /// Version of the newest set that was sent to shards.
    pub(crate) version: u64,
    /// The slices in force.
    pub(crate) slices: Vec<InUse>,
    /// Logs that something could not be read of.
    pub(crate) blocked: BTreeMap<LogId, Blocked>,
    /// Room is short: seal soon, so that segments may be deleted.
    pub(crate) wanted: bool,
    /// Monotonic time of the last seal.
    last_us: u64,
    /// The last seal was urgent, and nothing else had its turn since.
    pub(crate) was_urgent: bool,
    /// A merge is under way, or the packing of a segment, between whose steps an urgent seal may come.
    pub(crate) is_merging: bool,
    /// When a seal that failed is repeated. No other one comes before, but where room is short.
    pub(crate) repeat_at_us: Option<u64>,
    /// Seals since the last one that can have helped against full memory.
    unhelpful: u32,
    /// When slices may be merged. Later than at once where merging has failed.
    pub(crate) merge_due: Due,
    /// Merges since the last one that went well.
    pub(crate) merges_failed_count: u32,
    /// First and last files of those whose merge failed, and when it did last.
    pub(crate) merges_failed: BTreeMap<(u64, u64), u64>,
    /// Files of slices that could not be read whole: they are merged no more.
    pub(crate) unmergeable: BTreeSet<u64>,
    /// When the removal of orphans is tried again.
    pub(crate) orphans_due: Due,
    /// It was logged that there are too many segments.
    pub(crate) crowded: bool,
    /// It was logged that slices take more memory than there is for them.
    pub(crate) short_of_memory: bool,
    /// The newest seal epoch that shards were asked to begin.
    pub(crate) epoch: Epoch,
    /// The newest epoch that was reported to shards as sealed.
    pub(crate) sealed_epoch: Epoch,
    /// Slices that no manifest names any more, until all shards use the set without them.
    pub(crate) retired: Vec<Retired>,
}

impl Sealing {
    pub(crate) fn new(slices: Vec<InUse>, now_us: u64) -> Sealing {
        Sealing {
            version: FIRST_VERSION,
            slices,
            blocked: BTreeMap::new(),
            wanted: false,
            last_us: now_us,
            was_urgent: false,
            is_merging: false,
            repeat_at_us: None,
            unhelpful: 0,
            merge_due: Due::AtOnce,
            merges_failed_count: 0,
            merges_failed: BTreeMap::new(),
            unmergeable: BTreeSet::new(),
            orphans_due: Due::AtOnce,
            crowded: false,
            short_of_memory: false,
            epoch: Epoch::first(),
            sealed_epoch: Epoch::nothing_sealed(),
            retired: Vec::new(),
        }
    }
}

impl Service {
    /// Segments that are closed and not in a slice, as (log, index in its segments), oldest first within a log.
    fn unsealed(&self) -> Vec<(LogId, usize)> {
        let now_us = self.store.now().mono_us;
        let mut all = Vec::new();
        for log in &self.store.manifest.logs {
            let blocked = self.sealing.blocked.get(&log.id);
            let blocked = blocked.filter(|it| !it.is_over(now_us));
            let from = self.store.manifest.first_uncovered(log);
            let rest = log.segments.iter().enumerate().skip(from);
            let closed = rest
                .take_while(|(_, it)| may_be_sealed(it))
                .take_while(|(_, it)| blocked.is_none_or(|blocked| it.ordinal < blocked.from));
            all.extend(closed.map(|(index, _)| (log.id, index)));
        }
        all
    }

    /// Bytes of closed segments that are not in a slice.
    pub(crate) fn unsealed_bytes(&self) -> u64 {
        let unsealed: BTreeSet<(LogId, usize)> = self.unsealed().into_iter().collect();
        let logs = self.store.manifest.logs.iter();
        logs.flat_map(|log| {
            let segments = log.segments.iter().enumerate();
            segments.map(move |(index, it)| ((log.id, index), it))
        })
        .filter(|(at, _)| unsealed.contains(at))
        .filter_map(|(_, it)| it.state.extent().map(|extent| extent.bytes))
        .sum()
    }

    pub(crate) fn seal_is_due(&self) -> bool {
        let config = &self.store.config;
        let now_us = self.store.now().mono_us;
        if let Some(at_us) = self.sealing.repeat_at_us {
            return self.sealing.wanted || at_us <= now_us;
        }
        let waited_us = now_us - self.sealing.last_us;
        // What is too much in the manifest goes once it is sealed.
        let crowded = self.store.surplus_bytes() > 0 && self.unsealed_bytes() > 0;
        self.sealing.wanted
            || waited_us >= config.seal_every_us
            || crowded && waited_us >= SEAL_WITHOUT_HELP_US
            || self.unsealed_bytes() > config.seal_bytes_max
    }

    /// When decisions should leave the memory of a shard, so that it need not refuse any; nothing while it has plenty. Other work on
    /// slices waits for that.
    pub(crate) fn urgent_seal_us(&self) -> Option<u64> {
        let interval_us = match self.sealing.unhelpful {
            0 => SEAL_WHILE_FILLING_US,
            times => SEAL_WITHOUT_HELP_US << times,
        };
        let at_us = self.sealing.repeat_at_us;
        self.is_filling()
            .then_some(at_us.unwrap_or(self.sealing.last_us + interval_us))
    }

    /// Whether that time has come.
    pub(crate) fn seal_is_urgent(&self) -> bool {
        let now_us = self.store.now().mono_us;
        self.urgent_seal_us().is_some_and(|at_us| at_us <= now_us)
    }

    /// An urgent seal between two steps of a merge. However long it takes, the merge goes on for a while behind it.
    pub(crate) async fn seal_while_merging(&mut self) -> Result<(), Halt> {
        self.sealing.is_merging = false;
        let sealed = Box::pin(self.seal()).await;
        self.sealing.is_merging = true;
        self.sealing.last_us = self.store.now().mono_us;
        sealed
    }

    /// Counts seals for the sake of memory that cannot have helped: they come at ever longer intervals, as each closes a
    /// segment of every log.
    fn note_help(&mut self, decisions: u64) {
        let keys = self.store.config.dedup_memory_bytes_max / BYTES_PER_KEY;
        self.sealing.unhelpful =
            match !self.is_filling() || decisions >= (keys / HELPFUL_SHARE).max(1) {
                true => 0,
                false => UNHELPFUL_MAX.min(self.sealing.unhelpful + 1),
            };
    }

    /// Seals what is closed, having asked shards to close what they have.
    pub(crate) async fn seal(&mut self) -> Result<(), Halt> {
        self.sealing.wanted = false;
        // What was closed for a seal that failed is enough for the next one.
        let is_repeated = self.sealing.repeat_at_us.take().is_some();
        if !is_repeated && !self.space.seal_wanted {
            self.roll_all().await?;
        }
        let now_us = self.store.now().mono_us;
        self.sealing.blocked.retain(|_, it| !it.is_over(now_us));
        let segments = self.unsealed();
        self.sealing.last_us = now_us;
        let mut taken = Taken::nothing(Extract::new(self.hash.clone()));
        for (log, index) in segments {
            self.poll_requests().await?;
            if self.stop.is_asked() {
                return Ok(()); // A stop has a bound.
            }
            if self.sealing.blocked.contains_key(&log) {
                continue;
            }
            if let Some(last) = self.extract_segment(log, index, &mut taken.extract).await? {
                taken.note(log, last);
            }
        }
        let segments = taken.segments;
        let sealed = match segments {
            0 => None,
            _ => self.publish_sealed(taken).await?,
        };
        let is_blocked = self.sealing.blocked.values().any(|it| !it.is_damage());
        let has_failed = match segments {
            0 => self.space.naming.is_some(), // what a shard has closed, the manifest cannot state yet
            _ => sealed.is_none(),
        };
        if has_failed || is_blocked {
            self.sealing.repeat_at_us = Some(self.store.now().mono_us + SEAL_AFTER_FAILURE_US);
        } else {
            self.note_help(sealed.unwrap_or(0));
        }
        match sealed {
            None => self.send_later_epoch(),
            Some(decisions) => self.store.port.notify(Notice::Sealed {
                decisions,
                segments,
            }),
        }
        Ok(())
    }

    /// Puts decisions into a slice of their own and publishes it: how many they are, if that went well.
    async fn publish_sealed(&mut self, taken: Taken) -> Result<Option<u64>, Halt> {
        let covers = taken.covers.into_iter();
        let covers: Vec<Cover> = covers.map(|(log, upto)| Cover { log, upto }).collect();
        if let Err(halt) = self.store.has_place_for_slice(covers.len()) {
            self.trouble("sealing", &halt);
            return Ok(None);
        }
        let taken_count = taken.extract.decisions.len() as u64;
        let merge = Merge::of(&[], taken.extract.decisions).await?;
        let Some(made) = self.write_slice(merge, covers).await? else {
            return Ok(None);
        };
        let decisions = made.entry.entries;
        assert!(
            decisions <= taken_count,
            "a slice has what was taken out of segments, each key once"
        );
        let mut next = self.store.draft();
        next.slices.push(made.entry.clone());
        let published = self.publish(next, Some(made)).await?;
        Ok(published.then_some(decisions))
    }
}

/// What a seal has taken out of segments so far.
struct Taken {
    extract: Extract,
    /// Up to where the decisions of each log were taken.
    covers: BTreeMap<LogId, Sequence>,
    segments: u32,
}

impl Taken {
    fn nothing(extract: Extract) -> Taken {
        Taken {
            extract,
            covers: BTreeMap::new(),
            segments: 0,
        }
    }

    /// The next segment of a log was taken whole, up to this sequence.
    fn note(&mut self, log: LogId, last: Sequence) {
        let before = self.covers.insert(log, last);
        assert!(before <= Some(last), "segments of a log are taken in order");
        self.segments += 1;
    }
}

/// Whether a segment is closed, so that nothing is added to it any more.
fn may_be_sealed(entry: &SegmentEntry) -> bool {
    let is_open = entry.state == SegmentState::Open;
    entry.state.extent().is_some() || planted(Bug::SliceNewerThanLog) && is_open
}
