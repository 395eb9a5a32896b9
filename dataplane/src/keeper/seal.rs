//! Sealing: when it is due, which closed segments it takes, and their decisions out of them. It never changes what a log
//! holds; slices are written, published and removed in `publish`.

use crate::dedup::table::BYTES_PER_KEY;
use crate::io::{Errno, ShardId};
use crate::keeper::extract::Extract;
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::port::KeeperOp;
use crate::keeper::publish::{InUse, Retired};
use crate::keeper::reading::{Attended, Interrupted, Readable};
use crate::keeper::recover::{file_name, first_uncovered};
use crate::keeper::serve::{Service, ShardState, Stop};
use crate::keeper::slices::{Merge, Slice};
use crate::mesh::keeper::ToShard;
use crate::planted::{Bug, planted};
use crate::wal::Epoch;
use crate::wal::manifest::{Cover, LogEntry, SegmentState};
use crate::wal::name::{LogId, Place, Sequence};
use crate::wal::scan::{LogSource, Verdict, read_log};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How long a seal waits for shards to roll, in microseconds. One that writes nothing in that time keeps its segment.
pub(crate) const ROLL_WAIT_US: u64 = 2_000_000;

/// What is sealed leaves the shards' memory. While one of them has nearly none left, a seal follows the last one after this
/// time, in microseconds. It doubles with each seal that cannot have helped.
const SEAL_UNDER_PRESSURE_US: u64 = 5_000_000;

/// It doubles at most so often: to five minutes.
const UNHELPFUL_MAX: u32 = 6;

/// A seal helps against full memory if it moves this part of it into a slice: about what admission waits for.
const HELPFUL_SHARE: u64 = 64;

/// A log of which something could not be read for a reason that may pass is tried again after this time, in microseconds.
const READ_AGAIN_US: u64 = 10_000_000;

/// A log that is not sealed further.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocked {
    /// The first ordinal that is neither sealed nor deleted.
    pub(crate) from: u32,
    /// Until this monotonic time; without one it is damaged, and nothing but an operator helps.
    until_us: Option<u64>,
}

impl Blocked {
    pub(crate) fn is_damage(&self) -> bool {
        self.until_us.is_none()
    }

    fn is_over(&self, now_us: u64) -> bool {
        self.until_us.is_some_and(|until_us| until_us <= now_us)
    }
}

/// Why a segment was not sealed.
enum Unsealed {
    /// A file operation failed: it may succeed another time.
    Trouble(Halt),
    /// What is there cannot be right.
    Damage(String),
    /// Something else came first.
    Interrupted(Interrupted),
}

/// What sealing remembers between its runs.
pub(crate) struct Sealing {
    /// Version of the newest set that shards were told of.
    pub(crate) version: u64,
    /// The slices in force.
    pub(crate) slices: Vec<InUse>,
    /// Logs that something could not be read of.
    pub(crate) blocked: BTreeMap<LogId, Blocked>,
    /// Room is short: seal soon, so that segments may be deleted.
    pub(crate) wanted: bool,
    /// Monotonic time of the last seal.
    last_us: u64,
    /// Seals since the last one that can have helped against full memory.
    unhelpful: u32,
    /// Merging failed: not before this monotonic time again.
    pub(crate) merge_again_us: u64,
    /// Files of slices that could not be read whole: they are merged no more.
    pub(crate) unmergeable: BTreeSet<u64>,
    /// Orphans are tried again at this monotonic time.
    pub(crate) orphans_again_us: u64,
    /// It was said that there are too many segments.
    pub(crate) crowded: bool,
    /// It was said that slices take more memory than there is for them.
    pub(crate) short_of_memory: bool,
    /// Seal epoch that shards were last told to begin.
    epoch: Epoch,
    /// What shards were last told as sealed.
    pub(crate) sealed_epoch: Epoch,
    /// Slices that no manifest names any more, until all shards use the set without them.
    pub(crate) retired: Vec<Retired>,
}

impl Sealing {
    pub(crate) fn new(slices: Vec<Rc<Slice>>, now_us: u64) -> Sealing {
        Sealing {
            version: 0,
            slices: slices.into_iter().map(InUse::of).collect(),
            blocked: BTreeMap::new(),
            wanted: false,
            last_us: now_us,
            unhelpful: 0,
            merge_again_us: 0,
            unmergeable: BTreeSet::new(),
            orphans_again_us: 0,
            crowded: false,
            short_of_memory: false,
            epoch: Epoch::first(),
            sealed_epoch: Epoch::earlier_runs().previous(),
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
            let from = first_uncovered(&self.store.manifest, log);
            let rest = log.segments.iter().enumerate().skip(from);
            let closed = rest
                .take_while(|(_, it)| {
                    it.state.extent().is_some()
                        || planted(Bug::SliceNewerThanLog) && it.state == SegmentState::Open
                })
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
        let waited_us = self.store.now().mono_us - self.sealing.last_us;
        let under_pressure = self.shards.iter().any(|shard| shard.under_pressure);
        // What is too much in the manifest goes once it is sealed.
        let crowded = self.store.surplus_bytes() > 0 && self.unsealed_bytes() > 0;
        self.sealing.wanted
            || waited_us >= config.seal_every_us
            || under_pressure && waited_us >= SEAL_UNDER_PRESSURE_US << self.sealing.unhelpful
            || crowded && waited_us >= SEAL_UNDER_PRESSURE_US
            || self.unsealed_bytes() > config.seal_bytes_max
    }

    /// Counts seals under pressure on memory that cannot have ended it: they come at ever longer intervals, as each closes a
    /// segment of every log.
    fn note_help(&mut self, decisions: u64) {
        let keys = self.store.config.dedup_memory_bytes_max / BYTES_PER_KEY;
        let under_pressure = self.shards.iter().any(|shard| shard.under_pressure);
        self.sealing.unhelpful = match !under_pressure || decisions >= keys / HELPFUL_SHARE {
            true => 0,
            false => UNHELPFUL_MAX.min(self.sealing.unhelpful + 1),
        };
    }

    /// Seals what is closed, having asked shards to close what they have.
    pub(crate) async fn seal(&mut self) -> Result<(), Halt> {
        self.sealing.wanted = false;
        if !self.space.seals {
            self.roll_all().await?;
        }
        let now_us = self.store.now().mono_us;
        self.sealing.blocked.retain(|_, it| !it.is_over(now_us));
        let segments = self.unsealed();
        self.sealing.last_us = now_us;
        let mut extract = Extract::new(self.hash.clone());
        let mut covers: BTreeMap<LogId, Sequence> = BTreeMap::new();
        let mut count = 0;
        for (log, index) in segments {
            self.poll_requests().await?;
            if self.stop != Stop::No {
                return Ok(()); // A stop has a bound.
            }
            if self.sealing.blocked.contains_key(&log) {
                continue;
            }
            if let Some(last) = self.extract_segment(log, index, &mut extract).await? {
                covers.insert(log, last);
                count += 1;
            }
        }
        let sealed = match covers.is_empty() {
            true => None,
            false => self.publish_sealed(covers, extract).await?,
        };
        self.note_help(sealed.unwrap_or(0));
        if sealed.is_none() {
            self.tell_later_epoch().await?;
        }
        if let Some(decisions) = sealed {
            self.store.port.say(Notice::Sealed {
                decisions,
                segments: count,
            });
        }
        Ok(())
    }

    /// Tells shards short of memory of a later epoch that is sealed although nothing new was: they hold what is in slices
    /// until they are told, and while they admit nothing nothing will ever be sealed that would tell them.
    async fn tell_later_epoch(&mut self) -> Result<(), Halt> {
        let under_pressure = self.shards.iter().any(|shard| shard.under_pressure);
        let is_told = self
            .sealed_epoch()
            .is_at_or_before(self.sealing.sealed_epoch);
        if under_pressure && !is_told && self.views_ready().await? {
            self.sealing.version += 1;
            self.tell_slices();
        }
        Ok(())
    }

    /// Puts decisions into a slice of their own and publishes it: how many they are, if that went well.
    async fn publish_sealed(
        &mut self,
        covers: BTreeMap<LogId, Sequence>,
        extract: Extract,
    ) -> Result<Option<u64>, Halt> {
        let covers = covers.into_iter().map(|(log, upto)| Cover { log, upto });
        let covers: Vec<Cover> = covers.collect();
        if let Err(halt) = self.store.has_place_for_slice(covers.len()) {
            self.trouble("sealing", &halt);
            return Ok(None);
        }
        let merge = Merge::of(&[], extract.decisions).await?;
        let Some(made) = self.write_slice(merge, covers).await? else {
            return Ok(None);
        };
        let decisions = made.entry.entries;
        let mut next = self.store.draft();
        next.slices.push(made.entry.clone());
        let published = self.publish(next, Some(made)).await?;
        Ok(published.then_some(decisions))
    }

    /// Begins the next seal epoch and waits a while for all shards.
    async fn roll_all(&mut self) -> Result<(), Halt> {
        // Where nothing that was begun could be published, to divide the logs further would bring nothing; where there are too
        // many segments already, it would do harm.
        let lead = self.sealing.epoch.ahead_of(self.sealing.sealed_epoch);
        if lead >= Epoch::LEAD_MAX || self.store.surplus_bytes() > 0 {
            return Ok(());
        }
        self.sealing.epoch = self.sealing.epoch.next();
        let epoch = self.sealing.epoch;
        for shard in 0..self.store.config.shards {
            self.store.port.tell(ShardId(shard), ToShard::Roll(epoch));
        }
        let until_us = self.store.now().mono_us + ROLL_WAIT_US;
        loop {
            self.poll_requests().await?;
            let rolled = |shard: &ShardState| epoch.is_at_or_before(shard.epoch);
            let waited = self.store.now().mono_us >= until_us;
            if waited || self.stop != Stop::No || self.shards.iter().all(rolled) {
                return Ok(());
            }
            self.store.port.put(KeeperOp::Wake(until_us));
            let event = self.store.port.event().await;
            self.note(event);
        }
    }

    /// Takes the decisions of one segment. What cannot be read blocks the log from there on, damage for good and trouble
    /// for a while; service goes on.
    async fn extract_segment(
        &mut self,
        id: LogId,
        index: usize,
        extract: &mut Extract,
    ) -> Result<Option<Sequence>, Halt> {
        // Where no more may be held, the rest is for the next seal.
        let is_full = extract.decisions.len() >= self.store.config.held_count_max();
        self.sealing.wanted |= is_full;
        let log = self.store.manifest.logs.iter().find(|log| log.id == id);
        let Some(log) = log.filter(|_| !is_full).cloned() else {
            return Ok(None);
        };
        let ordinal = log.segments[index].ordinal;
        let part = LogEntry {
            ended_at: None,
            segments: log.segments[..=index].to_vec(),
            ..log.clone()
        };
        match self.read_part(&part, index, extract).await {
            Ok(last) => Ok(Some(last)),
            Err(unsealed) => {
                let until_us = match unsealed {
                    Unsealed::Interrupted(Interrupted::End(halt)) => return Err(halt),
                    Unsealed::Interrupted(Interrupted::Stopping) => return Ok(None),
                    Unsealed::Trouble(halt) => {
                        self.trouble("sealing", &halt);
                        Some(self.store.now().mono_us + READ_AGAIN_US)
                    }
                    Unsealed::Damage(what) => {
                        let file = file_name(&log, ordinal);
                        let notice = Notice::DamageWhileSealing { file, what };
                        self.store.port.say(notice);
                        None
                    }
                };
                let from = ordinal;
                self.sealing.blocked.insert(id, Blocked { from, until_us });
                Ok(None)
            }
        }
    }

    /// Reads the last segment of a part of a log, serving shards in between.
    async fn read_part(
        &mut self,
        part: &LogEntry,
        index: usize,
        extract: &mut Extract,
    ) -> Result<Sequence, Unsealed> {
        let readable = Readable::segment(&self.store, &part.segments[index]).await;
        let readable = readable.map_err(|halt| match halt {
            // A name that is gone does not come back.
            Halt::Io { error, .. } if error != Errno::ENOENT => Unsealed::Trouble(halt),
            other => Unsealed::Damage(other.to_string()),
        })?;
        // Another manifest may be put in force meanwhile; what it says of closed segments stays as it is.
        let manifest = self.store.manifest.clone();
        let mut dictionary = std::mem::take(&mut self.dictionary);
        let files = [Attended::of(readable, self)];
        let erased = |_: LogId, _: Place| false;
        let source = LogSource {
            manifest: &manifest,
            log: part,
            from: index,
            files: &files,
            erased: &erased,
        };
        let taken_before = extract.decisions.len();
        let mut misfit = None;
        let end = read_log(&source, |_, batch| {
            if let Err(what) = extract.take(part.id, batch, &mut dictionary) {
                misfit = Some(what);
            }
        })
        .await;
        let [file] = files;
        let (readable, interrupted) = file.into_parts();
        self.dictionary = dictionary;
        readable.close().await;
        if let Some(interrupted) = interrupted {
            extract.decisions.truncate(taken_before);
            return Err(Unsealed::Interrupted(interrupted));
        }
        let sound = end.verdict.is_sound() && misfit.is_none();
        if !sound {
            extract.decisions.truncate(taken_before);
            return Err(match (misfit, end.verdict) {
                (Some(what), _) => Unsealed::Damage(what.to_string()),
                (None, Verdict::Unreadable { ordinal, errno }) => Unsealed::Trouble(Halt::Io {
                    doing: "reading",
                    file: file_name(part, ordinal),
                    error: errno,
                }),
                (None, verdict) => Unsealed::Damage(verdict.to_string()),
            });
        }
        Ok(end.last)
    }

    /// The newest epoch of which everything is in slices: one before the oldest of which something may not be.
    pub(crate) fn sealed_epoch(&self) -> Epoch {
        let start = self.store.manifest.start;
        let mut oldest = self.sealing.epoch;
        for shard in &self.shards {
            if shard.epoch.is_at_or_before(oldest) {
                oldest = shard.epoch;
            }
        }
        for log in &self.store.manifest.logs {
            let from = first_uncovered(&self.store.manifest, log);
            let rest = log.segments[from..].iter();
            for segment in rest.filter(|it| it.state.extent().is_some()) {
                if log.id.start != start {
                    // Something of an earlier run is in no slice: shards drop nothing that they had not dropped.
                    return self.sealing.sealed_epoch;
                }
                let epoch = self.epochs.get(&(log.id, segment.ordinal)).copied();
                match epoch {
                    Some(epoch) if epoch.is_at_or_before(oldest) => oldest = epoch,
                    Some(_) => {}
                    None => return self.sealing.sealed_epoch,
                }
            }
        }
        let sealed = oldest.previous();
        assert!(
            self.sealing.sealed_epoch.is_at_or_before(sealed),
            "what is sealed stays sealed"
        );
        sealed
    }
}
