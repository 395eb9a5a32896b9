//! The life of slices: written, published, merged, dropped when expired, removed. A slice is durable under its name and
//! all that shards need of it is in memory before the manifest names it; an old one is removed only when no shard reads it
//! any more, and one that no manifest came to name at once.

use crate::dedup::slice::SliceSet;
use crate::dedup::slice::{SliceError, SliceMeta, SliceView, SliceWriter};
use crate::io::ShardId;
use crate::keeper::files::{File, MAKE};
use crate::keeper::halt::Halt;
use crate::keeper::load::report_conflicts;
use crate::keeper::port::KeeperOp;
use crate::keeper::replay::Replay;
use crate::keeper::seal::ROLL_WAIT_US;
use crate::keeper::serve::{Service, Stop};
use crate::keeper::slice_memory::partitions_of_all;
use crate::keeper::slices::{Merge, Slice, part, pieces};
use crate::keeper::store::{Growth, NotReplaced};
use crate::mesh::keeper::ToShard;
use crate::planted::{Bug, planted};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Cover, Manifest, SliceEntry};
use crate::wal::name::{LogId, Sequence};
use crate::wal::scan::ReadAt;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// A slice is written in pieces of about this many bytes.
const PIECE_BYTES: usize = 1 << 20;

/// A slice is read and written for at most so many entries between two looks at what shards ask for: about a piece.
const ENTRIES_MAX: u32 = 16 * 1024;

/// A merge that failed is tried again after this time, in microseconds: one minute.
const MERGE_AGAIN_US: u64 = 60_000_000;

/// Files that could not be removed are tried again after this time, in microseconds.
const ORPHANS_AGAIN_US: u64 = 10_000_000;

/// A slice of the set in force.
pub(crate) struct InUse {
    pub(crate) slice: Rc<Slice>,
    /// What each shard keeps of it, once that was read.
    views: Vec<SliceView>,
}

impl InUse {
    /// A slice of which no view was read.
    pub(crate) fn of(slice: Rc<Slice>) -> InUse {
        InUse {
            slice,
            views: Vec::new(),
        }
    }
}

/// A slice that no manifest names any more.
pub(crate) struct Retired(Rc<Slice>);

impl Retired {
    fn bytes(&self) -> u64 {
        self.0.readable.bytes()
    }
}

/// A slice that is durable under its name and that no manifest names yet.
pub(crate) struct Made {
    /// What the manifest is to say of it.
    pub(crate) entry: SliceEntry,
    in_use: InUse,
}

/// Why work on a slice ended early.
enum Cut {
    /// Something about the slice failed: it may be tried again.
    Trouble(Halt),
    /// The process must end.
    End(Halt),
    /// The process was asked to end, which has a bound: the next start can do it.
    Stopping,
}

impl Service {
    /// Writes a slice, makes it durable under its name, and reads what shards will need of it. Nothing if there was trouble
    /// that may pass; then no file of it is left, or it is an orphan.
    pub(crate) async fn write_slice(
        &mut self,
        merge: Merge,
        covers: Vec<Cover>,
    ) -> Result<Option<Made>, Halt> {
        if !self.views_ready().await? {
            return Ok(None);
        }
        let number = self.store.number();
        let name = NumberedFile::Slice(number).to_string();
        let mut bytes = 0;
        match self
            .make_slice(&name, number, merge, covers, &mut bytes)
            .await
        {
            Ok(made) => Ok(Some(made)),
            Err(Cut::End(halt)) => Err(halt),
            Err(cut) => {
                if let Cut::Trouble(halt) = cut {
                    self.slice_trouble("writing a slice to", &halt);
                }
                self.discard(name, bytes).await;
                Ok(None)
            }
        }
    }

    /// Names segments and answers between the steps of work on a slice, and looks whether it is to go on.
    async fn poll_requests_between(&mut self) -> Result<(), Cut> {
        self.poll_requests().await.map_err(Cut::End)?;
        match self.stop {
            Stop::No => Ok(()),
            Stop::Draining | Stop::Finishing => Err(Cut::Stopping),
        }
    }

    async fn make_slice(
        &mut self,
        name: &str,
        number: u64,
        merge: Merge,
        covers: Vec<Cover>,
        bytes: &mut u64,
    ) -> Result<Made, Cut> {
        let opened = self.store.files.open(name, MAKE).await;
        let file = opened.map_err(Cut::Trouble)?;
        let filled = self.fill_slice(&file, number, merge, covers, bytes).await;
        self.store.files.close(&file).await;
        let entry = filled?;
        let slice = Slice::open(&self.store, &entry, &mut self.dictionary).await;
        let slice = Rc::new(slice.map_err(Cut::Trouble)?);
        match self.read_views(&slice).await {
            Ok(views) => Ok(Made {
                entry,
                in_use: InUse { slice, views },
            }),
            Err(cut) => {
                self.store.files.close(&slice.readable.file).await;
                Err(cut)
            }
        }
    }

    /// Writes and syncs the file; `bytes` is how long it is at least.
    async fn fill_slice(
        &mut self,
        file: &File,
        number: u64,
        mut merge: Merge,
        covers: Vec<Cover>,
        bytes: &mut u64,
    ) -> Result<SliceEntry, Cut> {
        let id = self.store.files.random().await.map_err(Cut::Trouble)?;
        let id = u64::from_le_bytes(id);
        let manifest = &self.store.manifest;
        let mut writer = SliceWriter::new(SliceMeta {
            slice_id: id,
            generation: manifest.generation,
            installation: manifest.installation,
            incarnation: manifest.incarnation,
            secret: manifest.secret,
        });
        let refused =
            |fault: SliceError| Cut::End(Halt::Refused(format!("{}: {fault}", file.name)));
        // The manifest that will name this slice carries a clock at least as late: what is left out here stays expired.
        let now_s = self.store.expiry_now_s();
        let mut replay = Replay::default();
        let mut entries = 0;
        loop {
            let next = merge.next().await.map_err(Cut::Trouble)?;
            let outcome = match next {
                Some(decided) => replay.push(decided),
                None => replay.finish(),
            };
            if let Some(outcome) = outcome.filter(|it| it.live_at(now_s)) {
                writer.push(&outcome).map_err(refused)?;
            }
            if writer.ready_bytes() >= PIECE_BYTES {
                self.put(file, bytes, &writer.take_ready()).await?;
                entries = ENTRIES_MAX;
            }
            entries += 1;
            if entries > ENTRIES_MAX {
                entries = 0;
                self.poll_requests_between().await?;
            }
            if next.is_none() {
                break;
            }
        }
        report_conflicts(&self.store.port, &mut replay);
        let sealed = writer
            .finish(self.dictionary.versions(), &covers)
            .map_err(refused)?;
        for piece in sealed.bytes.chunks(PIECE_BYTES) {
            self.put(file, bytes, piece).await?;
            self.poll_requests_between().await?;
        }
        let files = &self.store.files;
        files.sync(file).await.map_err(Cut::Trouble)?;
        files.sync_dir().await.map_err(Cut::Trouble)?;
        Ok(sealed.summary.entry(number, id, covers))
    }

    async fn put(&self, file: &File, offset: &mut u64, bytes: &[u8]) -> Result<(), Cut> {
        let written = self.store.files.write(file, *offset, bytes).await;
        *offset += bytes.len() as u64;
        written.map_err(Cut::Trouble)
    }

    /// Says what failed. A slice that is damaged is merged no more; look-ups go on saying what they find.
    fn slice_trouble(&mut self, doing: &'static str, halt: &Halt) {
        self.trouble(doing, halt);
        if let Halt::Damage { file, .. } = halt
            && let Some(NumberedFile::Slice(number)) = NumberedFile::parse(file)
        {
            self.sealing.unmergeable.insert(number);
        }
    }

    /// Removes a file that no manifest names, now or later.
    async fn discard(&mut self, name: String, bytes: u64) {
        if let Err(halt) = self.store.discard(name, bytes).await {
            self.trouble("removing", &halt);
        }
    }

    /// Reads what each shard keeps of a slice, naming segments and answering in between.
    async fn read_views(&mut self, slice: &Rc<Slice>) -> Result<Vec<SliceView>, Cut> {
        let mut views = Vec::new();
        for partitions in partitions_of_all(&self.store) {
            let parts = slice.view_parts(partitions.clone()).map_err(Cut::Trouble)?;
            let index = self.read_range(slice, parts.index).await?;
            let filters = self.read_range(slice, parts.filters).await?;
            let view = slice.view(partitions, &index, &filters);
            views.push(view.map_err(Cut::Trouble)?);
        }
        slice.assert_counted(&views);
        Ok(views)
    }

    async fn read_range(&mut self, slice: &Slice, range: Range<u64>) -> Result<Vec<u8>, Cut> {
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        for piece in pieces(range) {
            let piece = part(&slice.readable, piece).await;
            bytes.extend_from_slice(&piece.map_err(Cut::Trouble)?);
            self.poll_requests_between().await?;
        }
        Ok(bytes)
    }

    /// Reads the views that are missing of the slices in force: after a start, all of them. False if that has to be tried
    /// again.
    pub(crate) async fn views_ready(&mut self) -> Result<bool, Halt> {
        for at in 0..self.sealing.slices.len() {
            let known = &self.sealing.slices[at];
            if known.views.len() == usize::from(self.store.config.shards) {
                continue;
            }
            let slice = known.slice.clone();
            match self.read_views(&slice).await {
                Ok(views) => self.sealing.slices[at].views = views,
                Err(Cut::End(halt)) => return Err(halt),
                Err(Cut::Stopping) => return Ok(false),
                Err(Cut::Trouble(halt)) => {
                    self.trouble("reading", &halt);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Makes a drafted manifest with other slices the one in force and tells the shards. Nothing was awaited since it was
    /// drafted. False if it has to be tried again; then what was made for it is gone.
    pub(crate) async fn publish(
        &mut self,
        mut next: Manifest,
        made: Option<Made>,
    ) -> Result<bool, Halt> {
        self.note_resolved(&mut next);
        forget_covers(&mut next);
        match self.store.grow(next, Growth::Serving).await {
            Ok(()) => {}
            Err(NotReplaced::Before(halt)) => {
                self.trouble("replacing", &halt);
                if let Some(Made { entry, in_use }) = made {
                    let file = &in_use.slice.readable.file;
                    self.store.files.close(file).await;
                    self.discard(file.name.clone(), entry.bytes).await;
                }
                return Ok(false);
            }
            Err(not) => return Err(not.into()),
        }
        let mut known = std::mem::take(&mut self.sealing.slices);
        known.extend(made.map(|made| made.in_use));
        for entry in &self.store.manifest.slices {
            let named = known.iter().position(|it| it.slice.number == entry.file);
            let Some(at) = named else {
                unreachable!("a slice is opened before the manifest names it");
            };
            self.sealing.slices.push(known.swap_remove(at));
        }
        let retired = known.into_iter().map(|it| Retired(it.slice));
        self.sealing.retired.extend(retired);
        self.sealing.version += 1;
        self.note_slices_memory();
        self.tell_slices();
        Ok(true)
    }

    /// Tells all shards to use the slices in force, whose views are all there.
    pub(crate) fn tell_slices(&mut self) {
        self.sealing.sealed_epoch = self.sealed_epoch();
        for shard in 0..self.store.config.shards {
            let views = self.sealing.slices.iter();
            let set = SliceSet {
                version: self.sealing.version,
                sealed_epoch: self.sealing.sealed_epoch,
                slices: views
                    .map(|it| it.views[usize::from(shard)].clone())
                    .collect(),
            };
            self.store
                .port
                .tell(ShardId(shard), ToShard::Slices(Arc::new(set)));
        }
    }

    /// Whether all shards use the newest set of slices.
    pub(crate) fn all_switched(&self) -> bool {
        let version = self.sealing.version;
        self.shards.iter().all(|shard| shard.switched >= version)
    }

    /// Waits a while until all shards use the newest set of slices.
    pub(crate) async fn await_switched(&mut self) -> Result<(), Halt> {
        let until_us = self.store.now().mono_us + ROLL_WAIT_US;
        loop {
            self.poll_requests().await?;
            if self.all_switched() || self.store.now().mono_us >= until_us {
                return Ok(());
            }
            self.store.port.put(KeeperOp::Wake(until_us));
            let event = self.store.port.event().await;
            self.note(event);
        }
    }

    /// Removes what no manifest names and nothing reads, drops expired slices from the manifest, merges where there are too
    /// many.
    pub(crate) async fn tidy_slices(&mut self) -> Result<bool, Halt> {
        if self.pins.any() {
            return Ok(false);
        }
        let now_us = self.store.now().mono_us;
        if now_us >= self.sealing.orphans_again_us {
            self.sealing.orphans_again_us = now_us + ORPHANS_AGAIN_US;
            self.store.discard_orphans().await;
        }
        if !self.all_switched() {
            return Ok(false);
        }
        for retired in std::mem::take(&mut self.sealing.retired) {
            let file = retired.0.readable.file.clone();
            self.store.files.close(&file).await;
            self.discard(file.name, retired.bytes()).await;
        }
        if self.drop_expired().await? {
            return Ok(true);
        }
        self.merge_adjacent().await
    }

    /// Bytes of files that no manifest names and that are not removed yet.
    pub(crate) fn orphan_bytes(&self) -> u64 {
        let retired = self.sealing.retired.iter().map(Retired::bytes);
        self.store.orphans_bytes() + retired.sum::<u64>()
    }

    /// A slice goes when all in it is expired. What it covered is said by a slice beside it from then on, so the last
    /// one stays.
    async fn drop_expired(&mut self) -> Result<bool, Halt> {
        let now_s = self.store.expiry_now_s() + u32::from(planted(Bug::SliceDroppedEarly));
        let slices = &self.store.manifest.slices;
        let expired = slices.iter().position(|slice| slice.expiry_max <= now_s);
        let Some(index) = expired.filter(|_| slices.len() > 1) else {
            return Ok(false);
        };
        if !self.views_ready().await? {
            return Ok(false);
        }
        let mut next = self.store.draft();
        let gone = next.slices.remove(index);
        let heir = index.min(next.slices.len() - 1);
        next.slices[heir].covers = joined([&gone.covers, &next.slices[heir].covers].into_iter());
        self.publish(next, None).await
    }

    /// The smallest pair of time-adjacent slices that spans no more than a tenth of the TTL, where there are too many.
    fn next_merge(&self) -> Option<usize> {
        let slices = &self.store.manifest.slices;
        let few = slices.len() <= self.store.config.slices_count_max as usize;
        if few || self.store.now().mono_us < self.sealing.merge_again_us {
            return None;
        }
        let may_merge = |a: &SliceEntry, b: &SliceEntry| {
            let span_s = a.decided_last.max(b.decided_last) - a.decided_first.min(b.decided_first);
            let unreadable = &self.sealing.unmergeable;
            span_s <= self.store.config.ttl_s / 10
                && ![a.file, b.file].iter().any(|it| unreadable.contains(it))
        };
        let pairs = slices.iter().zip(slices.iter().skip(1)).enumerate();
        let best = pairs
            .filter(|(_, (a, b))| may_merge(a, b))
            .min_by_key(|(_, (a, b))| a.entries + b.entries);
        best.map(|(index, _)| index)
    }

    /// Bytes that the next merge writes before it frees as many; 0 if none is due. They are room that should be made, not
    /// room that submits have to wait for: a merge that has none is postponed.
    pub(crate) fn merge_bytes_wanted(&self) -> u64 {
        let pair = |at: usize| &self.store.manifest.slices[at..at + 2];
        self.next_merge()
            .map_or(0, |at| pair(at).iter().map(|slice| slice.bytes).sum())
    }

    async fn merge_adjacent(&mut self) -> Result<bool, Halt> {
        let Some(index) = self.next_merge() else {
            return Ok(false);
        };
        let room = self.room().await?;
        if room.free_bytes < room.reserve_bytes + self.merge_bytes_wanted() {
            return Ok(false);
        }
        let slices = &self.store.manifest.slices;
        let covers = joined(slices[index..index + 2].iter().map(|slice| &slice.covers));
        let pair = self.sealing.slices[index..index + 2].iter();
        let pair: Vec<Rc<Slice>> = pair.map(|it| it.slice.clone()).collect();
        let made = match Merge::of(&pair, Vec::new()).await {
            Ok(merge) => self.write_slice(merge, covers).await?,
            Err(halt) => {
                self.slice_trouble("reading", &halt);
                None
            }
        };
        let Some(made) = made else {
            self.sealing.merge_again_us = self.store.now().mono_us + MERGE_AGAIN_US;
            return Ok(false);
        };
        let mut next = self.store.draft();
        next.slices[index] = made.entry.clone();
        next.slices.remove(index + 1);
        self.publish(next, Some(made)).await
    }
}

/// The furthest cover of each log.
fn joined<'a>(all: impl Iterator<Item = &'a Vec<Cover>>) -> Vec<Cover> {
    let mut upto: BTreeMap<LogId, Sequence> = BTreeMap::new();
    for cover in all.flatten() {
        let at = upto.entry(cover.log).or_default();
        *at = (*at).max(cover.upto);
    }
    let covers = upto.into_iter().map(|(log, upto)| Cover { log, upto });
    covers.collect()
}

/// Logs that are named no more are covered by nothing.
fn forget_covers(next: &mut Manifest) {
    let logs: BTreeSet<LogId> = next.logs.iter().map(|log| log.id).collect();
    for slice in &mut next.slices {
        slice.covers.retain(|cover| logs.contains(&cover.log));
    }
}
