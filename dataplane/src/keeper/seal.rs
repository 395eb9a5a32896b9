//! Sealing and the life of slices: decisions of closed segments move into an immutable slice; adjacent slices merge;
//! expired ones go. A slice is durable under its name before the manifest names it, and an old one is removed only when no
//! shard reads it any more.

use crate::dedup::Epoch;
use crate::dedup::slice::{SliceError, SliceMeta, SliceWriter};
use crate::event::{Errno, ShardId};
use crate::keeper::files::{File, MAKE};
use crate::keeper::fold::Fold;
use crate::keeper::halt::Halt;
use crate::keeper::harvest::Harvest;
use crate::keeper::ledger::NotReplaced;
use crate::keeper::load::report_conflicts;
use crate::keeper::messages::{SliceSet, ToShard};
use crate::keeper::notice::Notice;
use crate::keeper::partition;
use crate::keeper::port::KeeperOp;
use crate::keeper::reading::Readable;
use crate::keeper::recover::{file_name, first_uncovered};
use crate::keeper::serve::{Service, ShardState, Stop};
use crate::keeper::slices::{Merge, Slice, partitions_of};
use crate::planted::{Bug, planted};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Cover, LogEntry, SegmentState, SliceEntry};
use crate::wal::name::{LogId, Place, Sequence};
use crate::wal::scan::{LogSource, Verdict, read_log};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// How long a seal waits for shards to roll, in microseconds. One that writes nothing in that time keeps its segment.
const ROLL_WAIT_US: u64 = 2_000_000;

/// A slice is written in pieces of about this many bytes.
const PIECE_BYTES: usize = 1 << 20;

/// A merge that failed is tried again after this time, in microseconds: one hour.
const MERGE_AGAIN_US: u64 = 3_600_000_000;

/// What is sealed leaves the shards' memory. While one of them has nearly none left, a seal follows the last one after this
/// time, in microseconds.
const SEAL_PRESSED_US: u64 = 5_000_000;

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
}

/// What sealing remembers between its runs.
pub(crate) struct Sealing {
    /// Version of the newest set that shards were told of.
    pub(crate) version: u64,
    /// The slices in force.
    pub(crate) slices: Vec<Rc<Slice>>,
    /// Logs that something could not be read of.
    pub(crate) blocked: BTreeMap<LogId, Blocked>,
    /// Room is short: seal soon, so that segments may be deleted.
    pub(crate) wanted: bool,
    /// That is why: segments in use need not be closed for it.
    pub(crate) for_room: bool,
    /// Monotonic time of the last seal.
    last_us: u64,
    /// Merging failed: not before this monotonic time again.
    merge_again_us: u64,
    /// Seal epoch that shards were last told to begin.
    epoch: Epoch,
    /// What shards were last told as sealed.
    sealed_epoch: Epoch,
    /// Slices that no manifest names any more, until all shards use this version.
    retired: Vec<(u64, Rc<Slice>)>,
}

impl Sealing {
    pub(crate) fn new(slices: Vec<Rc<Slice>>, now_us: u64) -> Sealing {
        Sealing {
            version: 0,
            slices,
            blocked: BTreeMap::new(),
            wanted: false,
            for_room: false,
            last_us: now_us,
            merge_again_us: 0,
            epoch: Epoch::FIRST,
            sealed_epoch: Epoch::EARLIER_RUNS.previous(),
            retired: Vec::new(),
        }
    }
}

impl Service {
    /// Segments that are closed and not in a slice, as (log, index in its segments), oldest first within a log.
    fn unsealed(&self) -> Vec<(LogId, usize)> {
        let now_us = self.ledger.now().mono_us;
        let mut all = Vec::new();
        for log in &self.ledger.manifest.logs {
            let blocked = self.sealing.blocked.get(&log.id);
            let blocked = blocked.filter(|it| !it.is_over(now_us));
            let from = first_uncovered(&self.ledger.manifest, log);
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
        let logs = self.ledger.manifest.logs.iter();
        logs.flat_map(|log| {
            let segments = log.segments.iter().enumerate();
            segments.map(move |(index, it)| ((log.id, index), it))
        })
        .filter(|(at, _)| unsealed.contains(at))
        .filter_map(|(_, it)| it.state.extent().map(|extent| extent.bytes))
        .sum()
    }

    pub(crate) fn seal_is_due(&self) -> bool {
        let config = &self.ledger.config;
        let waited_us = self.ledger.now().mono_us - self.sealing.last_us;
        let pressed = self.shards.iter().any(|shard| shard.pressed);
        self.sealing.wanted
            || waited_us >= config.seal_every_us
            || pressed && waited_us >= SEAL_PRESSED_US
            || self.unsealed_bytes() > config.seal_bytes_max
    }

    /// Seals what is closed, having asked shards to close what they have.
    pub(crate) async fn seal(&mut self) -> Result<(), Halt> {
        self.sealing.wanted = false;
        if !self.sealing.for_room {
            self.roll_all().await?;
        }
        let now_us = self.ledger.now().mono_us;
        self.sealing.blocked.retain(|_, it| !it.is_over(now_us));
        let segments = self.unsealed();
        self.sealing.last_us = now_us;
        let mut harvest = Harvest::new(self.hash.clone());
        let mut covers: BTreeMap<LogId, Sequence> = BTreeMap::new();
        let mut count = 0;
        for (log, index) in segments {
            self.attend().await?;
            if self.sealing.blocked.contains_key(&log) {
                continue;
            }
            if harvest.decisions.len() >= self.ledger.config.held_count_max() {
                // The rest is for the next seal, and it needs no shard to close anything.
                self.sealing.wanted = true;
                break;
            }
            if let Some(last) = self.harvest_segment(log, index, &mut harvest).await? {
                covers.insert(log, last);
                count += 1;
            }
        }
        if covers.is_empty() {
            return Ok(());
        }
        let covers = covers.into_iter().map(|(log, upto)| Cover { log, upto });
        let merge = Merge::of(&[], harvest.decisions).await?;
        let Some(entry) = self.write_slice(merge, covers.collect()).await? else {
            return Ok(());
        };
        let decisions = entry.entries;
        let mut next = self.ledger.draft();
        next.slices.push(entry);
        if self.publish(next).await? {
            self.ledger.port.say(Notice::Sealed {
                decisions,
                segments: count,
            });
        }
        Ok(())
    }

    /// Begins the next seal epoch and waits a while for all shards.
    async fn roll_all(&mut self) -> Result<(), Halt> {
        if self.sealing.epoch.ahead_of(self.sealing.sealed_epoch) >= Epoch::LEAD_MAX {
            // Nothing that was begun could be published: to divide the logs further would bring nothing.
            return Ok(());
        }
        self.sealing.epoch = self.sealing.epoch.next();
        let epoch = self.sealing.epoch;
        for shard in 0..self.ledger.config.shards {
            self.ledger.port.tell(ShardId(shard), ToShard::Roll(epoch));
        }
        let until_us = self.ledger.now().mono_us + ROLL_WAIT_US;
        loop {
            self.attend().await?;
            let rolled = |shard: &ShardState| epoch.is_at_or_before(shard.epoch);
            let waited = self.ledger.now().mono_us >= until_us;
            if waited || self.stop != Stop::No || self.shards.iter().all(rolled) {
                return Ok(());
            }
            self.ledger.port.put(KeeperOp::Wake(until_us));
            let event = self.ledger.port.event().await;
            self.note(event);
        }
    }

    /// Takes the decisions of one segment. What cannot be read blocks the log from there on, damage for good and trouble
    /// for a while; service goes on.
    async fn harvest_segment(
        &mut self,
        id: LogId,
        index: usize,
        harvest: &mut Harvest,
    ) -> Result<Option<Sequence>, Halt> {
        let log = self.ledger.manifest.logs.iter().find(|log| log.id == id);
        let Some(log) = log.cloned() else {
            return Ok(None);
        };
        let ordinal = log.segments[index].ordinal;
        let part = LogEntry {
            ended_at: None,
            segments: log.segments[..=index].to_vec(),
            ..log.clone()
        };
        match self.read_part(&part, index, harvest).await {
            Ok(last) => Ok(Some(last)),
            Err(unsealed) => {
                let until_us = match unsealed {
                    Unsealed::Trouble(halt) => {
                        self.trouble("sealing", &halt);
                        Some(self.ledger.now().mono_us + READ_AGAIN_US)
                    }
                    Unsealed::Damage(what) => {
                        let file = file_name(&log, ordinal);
                        let notice = Notice::DamageWhileSealing { file, what };
                        self.ledger.port.say(notice);
                        None
                    }
                };
                let from = ordinal;
                self.sealing.blocked.insert(id, Blocked { from, until_us });
                Ok(None)
            }
        }
    }

    /// Reads the last segment of a part of a log.
    async fn read_part(
        &mut self,
        part: &LogEntry,
        index: usize,
        harvest: &mut Harvest,
    ) -> Result<Sequence, Unsealed> {
        let readable = Readable::segment(&self.ledger, &part.segments[index]).await;
        let readable = readable.map_err(|halt| match halt {
            // A name that is gone does not come back.
            Halt::Io { error, .. } if error != Errno::ENOENT => Unsealed::Trouble(halt),
            other => Unsealed::Damage(other.to_string()),
        })?;
        let files = [readable];
        let erased = |_: LogId, _: Place| false;
        let source = LogSource {
            manifest: &self.ledger.manifest,
            log: part,
            from: index,
            files: &files,
            erased: &erased,
        };
        let taken_before = harvest.decisions.len();
        let mut misfit = None;
        let dictionary = &mut self.dictionary;
        let end = read_log(&source, |_, batch| {
            if let Err(what) = harvest.take(part.id, batch, dictionary) {
                misfit = Some(what);
            }
        })
        .await;
        let [readable] = files;
        readable.close().await;
        let sound = end.verdict.is_sound() && misfit.is_none();
        if !sound {
            harvest.decisions.truncate(taken_before);
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

    /// Writes a slice and makes it durable under its name. Nothing if there was trouble that may pass.
    async fn write_slice(
        &mut self,
        merge: Merge,
        covers: Vec<Cover>,
    ) -> Result<Option<SliceEntry>, Halt> {
        let number = self.ledger.number();
        let name = NumberedFile::Slice(number).to_string();
        let file = match self.ledger.files.open(&name, MAKE).await {
            Ok(file) => file,
            Err(halt) => {
                self.trouble("making", &halt);
                return Ok(None);
            }
        };
        let written = self.fill_slice(&file, number, merge, covers).await;
        self.ledger.files.close(&file).await;
        match written {
            Ok(entry) => Ok(Some(entry)),
            Err(halt @ (Halt::Io { .. } | Halt::Damage { .. })) => {
                self.trouble("writing", &halt);
                // What stays is void: the next start removes it.
                let _ = self.ledger.files.unlink(&name).await;
                Ok(None)
            }
            Err(halt) => Err(halt),
        }
    }

    async fn fill_slice(
        &mut self,
        file: &File,
        number: u64,
        mut merge: Merge,
        covers: Vec<Cover>,
    ) -> Result<SliceEntry, Halt> {
        let id = u64::from_le_bytes(self.ledger.files.random().await?);
        let manifest = &self.ledger.manifest;
        let mut writer = SliceWriter::new(SliceMeta {
            slice_id: id,
            generation: manifest.generation,
            installation: manifest.installation,
            incarnation: manifest.incarnation,
            secret: manifest.secret,
        });
        let refused = |fault: SliceError| Halt::Refused(format!("{}: {fault}", file.name));
        // The manifest that will name this slice carries a clock at least as late: what is left out here stays expired.
        let now_s = self.ledger.expiry_now_s();
        let mut fold = Fold::default();
        let mut offset = 0;
        loop {
            let next = merge.next().await?;
            let outcome = match next {
                Some(decided) => fold.push(decided),
                None => fold.finish(),
            };
            if let Some(outcome) = outcome.filter(|it| it.live_at(now_s)) {
                writer.push(&outcome).map_err(refused)?;
            }
            if writer.ready_bytes() >= PIECE_BYTES {
                offset += self.put(file, offset, &writer.take_ready()).await?;
                self.attend().await?;
            }
            if next.is_none() {
                break;
            }
        }
        report_conflicts(&self.ledger.port, &mut fold);
        let sealed = writer
            .finish(self.dictionary.versions(), &covers)
            .map_err(refused)?;
        self.put(file, offset, &sealed.bytes).await?;
        self.ledger.files.sync(file).await?;
        self.ledger.files.sync_dir().await?;
        Ok(sealed.summary.entry(number, id, covers))
    }

    async fn put(&self, file: &File, offset: u64, bytes: &[u8]) -> Result<u64, Halt> {
        self.ledger.files.write(file, offset, bytes).await?;
        Ok(bytes.len() as u64)
    }

    /// Makes a drafted manifest with other slices the one in force and tells the shards. False if it has to be tried
    /// again.
    async fn publish(&mut self, mut next: crate::wal::manifest::Manifest) -> Result<bool, Halt> {
        self.note_settled(&mut next);
        match self.ledger.replace(next).await {
            Ok(()) => {}
            Err(NotReplaced::Before(halt)) => {
                self.trouble("replacing", &halt);
                return Ok(false);
            }
            Err(not) => return Err(not.into()),
        }
        let mut slices = Vec::new();
        for entry in self.ledger.manifest.slices.clone() {
            let known = self
                .sealing
                .slices
                .iter()
                .find(|it| it.number == entry.file);
            slices.push(match known {
                Some(slice) => slice.clone(),
                None => Rc::new(Slice::open(&self.ledger, &entry, &mut self.dictionary).await?),
            });
        }
        self.sealing.version += 1;
        for slice in std::mem::replace(&mut self.sealing.slices, slices) {
            let kept = self
                .sealing
                .slices
                .iter()
                .any(|it| it.number == slice.number);
            if !kept {
                self.sealing.retired.push((self.sealing.version, slice));
            }
        }
        self.tell_slices().await?;
        Ok(true)
    }

    /// Tells all shards to use the slices in force.
    pub(crate) async fn tell_slices(&mut self) -> Result<(), Halt> {
        let owners = partition::owners(self.ledger.config.shards);
        self.sealing.sealed_epoch = self.sealed_epoch();
        for shard in 0..self.ledger.config.shards {
            let partitions = partitions_of(&owners, ShardId(shard));
            let mut views = Vec::new();
            for slice in self.sealing.slices.clone() {
                views.push(slice.view(partitions.clone()).await?);
            }
            let set = SliceSet {
                version: self.sealing.version,
                sealed_epoch: self.sealing.sealed_epoch,
                slices: views,
            };
            self.ledger
                .port
                .tell(ShardId(shard), ToShard::Slices(Arc::new(set)));
        }
        Ok(())
    }

    /// The newest epoch of which everything is in slices: one before the oldest of which something may not be.
    fn sealed_epoch(&self) -> Epoch {
        let start = self.ledger.manifest.start;
        let mut oldest = self.sealing.epoch;
        for shard in &self.shards {
            if shard.epoch.is_at_or_before(oldest) {
                oldest = shard.epoch;
            }
        }
        for log in &self.ledger.manifest.logs {
            let from = first_uncovered(&self.ledger.manifest, log);
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

    /// Whether all shards use the newest set of slices.
    pub(crate) fn all_switched(&self) -> bool {
        let version = self.sealing.version;
        self.shards.iter().all(|shard| shard.switched >= version)
    }

    /// Waits a while until all shards use the newest set of slices.
    pub(crate) async fn await_switched(&mut self) -> Result<(), Halt> {
        let until_us = self.ledger.now().mono_us + ROLL_WAIT_US;
        loop {
            self.attend().await?;
            if self.all_switched() || self.ledger.now().mono_us >= until_us {
                return Ok(());
            }
            self.ledger.port.put(KeeperOp::Wake(until_us));
            let event = self.ledger.port.event().await;
            self.note(event);
        }
    }

    /// Removes retired slices that nobody reads, drops expired ones from the manifest, merges where there are too many.
    pub(crate) async fn tidy_slices(&mut self) -> Result<bool, Halt> {
        if !self.all_switched() || self.pins.any() {
            return Ok(false);
        }
        for (_, slice) in std::mem::take(&mut self.sealing.retired) {
            let name = slice.readable.file.name.clone();
            self.ledger.files.close_id(slice.readable.file.id).await;
            if let Err(halt) = self.ledger.files.unlink(&name).await {
                self.trouble("removing", &halt);
            }
        }
        if self.drop_expired().await? {
            return Ok(true);
        }
        self.merge_adjacent().await
    }

    /// A slice goes when all in it is expired. What it covered is said by a slice beside it from then on, so the last
    /// one stays.
    async fn drop_expired(&mut self) -> Result<bool, Halt> {
        let now_s = self.ledger.expiry_now_s() + u32::from(planted(Bug::SliceDroppedEarly));
        let slices = &self.ledger.manifest.slices;
        let expired = slices.iter().position(|slice| slice.expiry_max <= now_s);
        let Some(index) = expired.filter(|_| slices.len() > 1) else {
            return Ok(false);
        };
        let mut next = self.ledger.draft();
        let gone = next.slices.remove(index);
        let heir = index.min(next.slices.len() - 1);
        next.slices[heir].covers =
            self.joined_covers([&gone.covers, &next.slices[heir].covers].into_iter());
        self.publish(next).await
    }

    /// The furthest cover of each log that still has segments.
    fn joined_covers<'a>(&self, all: impl Iterator<Item = &'a Vec<Cover>>) -> Vec<Cover> {
        let mut upto: BTreeMap<LogId, Sequence> = BTreeMap::new();
        for cover in all.flatten() {
            let at = upto.entry(cover.log).or_default();
            *at = (*at).max(cover.upto);
        }
        let logs = &self.ledger.manifest.logs;
        upto.retain(|id, _| logs.iter().any(|log| log.id == *id));
        upto.into_iter()
            .map(|(log, upto)| Cover { log, upto })
            .collect()
    }

    /// Merges the smallest pair of time-adjacent slices that spans no more than a tenth of the TTL.
    async fn merge_adjacent(&mut self) -> Result<bool, Halt> {
        let slices = &self.ledger.manifest.slices;
        let few = slices.len() <= self.ledger.config.slices_count_max as usize;
        if few || self.ledger.now().mono_us < self.sealing.merge_again_us {
            return Ok(false);
        }
        let span_s = |a: &SliceEntry, b: &SliceEntry| {
            a.decided_last.max(b.decided_last) - a.decided_first.min(b.decided_first)
        };
        let pairs = slices.iter().zip(slices.iter().skip(1)).enumerate();
        let best = pairs
            .filter(|(_, (a, b))| span_s(a, b) <= self.ledger.config.ttl_s / 10)
            .min_by_key(|(_, (a, b))| a.entries + b.entries)
            .map(|(index, (a, b))| (index, vec![a.covers.clone(), b.covers.clone()]));
        let Some((index, covers)) = best else {
            return Ok(false);
        };
        let covers = self.joined_covers(covers.iter());
        let pair: Vec<Rc<Slice>> = self.sealing.slices[index..index + 2].to_vec();
        let entry = match Merge::of(&pair, Vec::new()).await {
            Ok(merge) => self.write_slice(merge, covers).await?,
            Err(halt) => {
                self.trouble("reading", &halt);
                None
            }
        };
        let Some(entry) = entry else {
            self.sealing.merge_again_us = self.ledger.now().mono_us + MERGE_AGAIN_US;
            return Ok(false);
        };
        let mut next = self.ledger.draft();
        next.slices[index] = entry;
        next.slices.remove(index + 1);
        self.publish(next).await
    }
}
