//! The manifest in force and the files that it names: replacing it durably, making files ready to be named by it.
//! Every change of what is durable goes through [`ManifestStore::replace`]; nothing else renames anything.

use crate::io::{FileId, Now, SyncMode};
use crate::keeper::clock::Reading;
use crate::keeper::config::KeeperConfig;
use crate::keeper::files::{File, Files, IO_BYTES_MAX, MAKE, READ_WRITE_CREATE};
use crate::keeper::halt::Halt;
use crate::keeper::port::{OpenHow, Port};
use crate::mesh::keeper::ExpiryClock;
use crate::planted::{Bug, planted};
use crate::wal::files::{MANIFEST, MANIFEST_NEW, NumberedFile};
use crate::wal::manifest::{
    CLOSED_SEGMENT_BYTES, COVER_BYTES, ClockMark, FIRST_PACKED_BYTES, Manifest, ManifestFault,
    SLICE_BYTES, SegmentEntry, SegmentState,
};
use crate::wal::name::LogId;
use crate::wal::name::NamedSegment;
use crate::wal::segment::SegmentLabels;
use std::collections::BTreeMap;

/// Why the manifest was not replaced.
#[derive(Debug)]
pub(crate) enum NotReplaced {
    /// The old one is in force: nothing was renamed. It may be tried again.
    Before(Halt),
    /// Either of the two is in force, or the draft was our mistake: the process must end.
    Unknown(Halt),
}

impl From<NotReplaced> for Halt {
    fn from(not: NotReplaced) -> Halt {
        match not {
            NotReplaced::Before(halt) | NotReplaced::Unknown(halt) => halt,
        }
    }
}

/// The manifest in force, and what belongs to handling it.
pub(crate) struct ManifestStore {
    pub(crate) port: Port,
    pub(crate) files: Files,
    pub(crate) config: KeeperConfig,
    /// The manifest that is durable. Clone it, change the clone, [`ManifestStore::replace`].
    pub(crate) manifest: Manifest,
    /// The expiry clock of this run.
    pub(crate) clock: ExpiryClock,
    /// Segment files open for shards to write.
    pub(crate) open: BTreeMap<(LogId, u32), FileId>,
    /// Preallocated segments that are durable but that no manifest names yet.
    ready: Vec<u64>,
    /// The next file number, ahead of the manifest's by what was made since.
    next_file: u64,
    orphans: Vec<Orphan>,
}

/// A file that no manifest names and that could not be removed.
#[derive(Debug)]
struct Orphan {
    name: String,
    /// Bytes that it takes, at most.
    bytes: u64,
}

/// This part of the longest manifest is kept for a start: one sixteenth.
const START_SHARE: usize = 16;

/// This part is kept for it when slices are published as well. A stop and the start behind it may have used all that serving
/// leaves, and only a slice lets segments be deleted and the manifest become shorter again. The rest is many times what a start
/// adds: 512 KiB of 16 MiB.
const START_SHARE_AT_LEAST: usize = 32;

/// So many segments are named at most for a log once its shard admits no more. It enters them with a batch whose write failed, with
/// the open batch behind it, with the first batch of a seal epoch that was asked for, and with the last dispositions and the
/// mark; the one behind is asked for as ever, and not used.
const STOP_SEGMENTS: usize = 5;

/// What the manifest grows for, which decides how much of it must stay free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// Serving: what a stop and the start behind it add stays free.
    Serving,
    /// The end of a log in a stop: what a start adds stays free.
    Stopping,
    /// A slice, or how far a hold is done: what lets segments be deleted.
    Publishing,
}

impl ManifestStore {
    pub(crate) fn new(port: Port, config: KeeperConfig, manifest: Manifest) -> ManifestStore {
        let clock = ExpiryClock {
            base_s: manifest.clock.expiry_s,
            base_mono_us: port.now().mono_us,
        };
        ManifestStore {
            files: Files::new(port.clone()),
            port,
            config,
            clock,
            open: BTreeMap::new(),
            ready: Vec::new(),
            next_file: manifest.next_file,
            orphans: Vec::new(),
            manifest,
        }
    }

    /// The labels of the segments that are written here.
    pub(crate) fn labels(&self) -> SegmentLabels {
        SegmentLabels {
            node: Some(self.manifest.node),
            group: Some(self.manifest.installation),
            region: self.config.region,
        }
    }

    /// The clocks of this step.
    pub(crate) fn now(&self) -> Now {
        self.port.now()
    }

    /// The expiry clock now, in seconds since 2026-01-01 UTC.
    pub(crate) fn expiry_now_s(&self) -> u32 {
        self.clock.at(self.now().mono_us)
    }

    /// How segments are opened: one method for all of a segment's life.
    pub(crate) fn segment_how(&self) -> OpenHow {
        OpenHow {
            create: false,
            direct: self.config.direct,
            dsync: self.config.sync == SyncMode::Dsync,
            ..READ_WRITE_CREATE
        }
    }

    /// A manifest to change: the one in force, one generation on, with the clock of now and all preallocated segments named.
    pub(crate) fn draft(&self) -> Manifest {
        let mut next = self.manifest.clone();
        next.generation += 1;
        next.next_file = self.next_file;
        next.preallocated.extend(&self.ready);
        let expiry_s = self.expiry_now_s().max(next.clock.expiry_s);
        next.clock = match planted(Bug::WithheldTimeDrained) {
            true => ClockMark {
                expiry_s,
                wall_us: next.clock.wall_us,
            },
            false => Reading::from(next.clock)
                .next_mark(expiry_s, self.now().wall_us)
                .into(),
        };
        next
    }

    /// Bytes that the manifest may grow to. The rest is for a stop, whose logs may need segments to end in, and for the start
    /// behind it, which ends all logs and begins new ones.
    pub(crate) fn growth_bytes_max(&self, what: Growth) -> usize {
        let bytes_max = self.config.manifest_bytes_max;
        let without_start = bytes_max - bytes_max / START_SHARE;
        match what {
            Growth::Serving => without_start.saturating_sub(self.stop_bytes()),
            Growth::Stopping => without_start,
            Growth::Publishing => bytes_max - bytes_max / START_SHARE_AT_LEAST,
        }
    }

    /// Bytes that the ends of all logs add to the manifest in a stop.
    fn stop_bytes(&self) -> usize {
        usize::from(self.config.shards) * STOP_SEGMENTS * CLOSED_SEGMENT_BYTES
    }

    /// Bytes by which the manifest is longer than it should be: half of what can be read back. Most of a manifest is closed
    /// segments, so some of those should go. That segments are packed does not count: none is deleted for it.
    pub(crate) fn surplus_bytes(&self) -> usize {
        let wanted_bytes = self.config.manifest_bytes_max / 2;
        let manifest = &self.manifest;
        let counted_bytes = manifest.encoded_bytes() - manifest.packed_section_bytes();
        counted_bytes.saturating_sub(wanted_bytes)
    }

    /// Whether one more packed segment can be named: the last quarter of the manifest is for what shards and slices need.
    pub(crate) fn has_place_for_packed(&self) -> bool {
        let bytes = self.manifest.encoded_bytes() + FIRST_PACKED_BYTES;
        let bytes_max = self.config.manifest_bytes_max / 4 * 3;
        bytes <= bytes_max.min(self.growth_bytes_max(Growth::Serving))
    }

    /// Replaces the manifest by one with more in it: refused where it would leave too little for what comes after.
    pub(crate) async fn grow(&mut self, next: Manifest, what: Growth) -> Result<(), NotReplaced> {
        let bytes = next.encoded_bytes();
        let bytes_max = self.growth_bytes_max(what);
        if bytes > bytes_max && bytes > self.manifest.encoded_bytes() {
            return Err(NotReplaced::Before(Halt::ManifestFull { bytes, bytes_max }));
        }
        self.replace(next).await
    }

    /// Whether a slice with so many covers can be named.
    pub(crate) fn has_place_for_slice(&self, covers: usize) -> Result<(), Halt> {
        let bytes = self.manifest.encoded_bytes() + SLICE_BYTES + covers * COVER_BYTES;
        let bytes_max = self.growth_bytes_max(Growth::Publishing);
        match bytes > bytes_max {
            true => Err(Halt::ManifestFull { bytes, bytes_max }),
            false => Ok(()),
        }
    }

    /// Makes a drafted manifest the one in force: write, sync, rename, sync the directory. One that could not be read back
    /// is never written.
    pub(crate) async fn replace(&mut self, next: Manifest) -> Result<(), NotReplaced> {
        assert_eq!(
            next.generation,
            self.manifest.generation + 1,
            "a draft is of the manifest in force"
        );
        assert!(
            next.clock.expiry_s >= self.manifest.clock.expiry_s
                && next.start >= self.manifest.start
        );
        assert!(
            next.next_file >= self.manifest.next_file,
            "no number of a file is given out twice"
        );
        let bytes = match next.encode_within(self.config.manifest_bytes_max) {
            Ok(bytes) => bytes,
            Err(ManifestFault::TooLong { bytes, bytes_max }) => {
                return Err(NotReplaced::Before(Halt::ManifestFull { bytes, bytes_max }));
            }
            // Our mistake. Nothing was written; to go on would build on what cannot be kept.
            Err(fault) => return Err(NotReplaced::Unknown(Halt::Refused(fault.to_string()))),
        };
        // The pair of the check at the next start: what is written is what was meant.
        debug_assert_eq!(
            Manifest::decode(&bytes).as_ref(),
            Ok(&next),
            "too slow for a manifest of 16 MiB"
        );
        self.write_new(&bytes).await.map_err(NotReplaced::Before)?;
        let renamed = self.files.rename(MANIFEST_NEW, MANIFEST).await;
        renamed.map_err(not_renamed)?;
        self.files.sync_dir().await.map_err(NotReplaced::Unknown)?;
        self.ready.clear();
        self.manifest = next;
        self.show_counts();
        Ok(())
    }

    /// What metrics show of the manifest in force.
    fn show_counts(&self) {
        let shown = &self.config.stats.keeper;
        let manifest = &self.manifest;
        shown.segments.set(manifest.segments_count() as u64);
        shown.slices.set(manifest.slices.len() as u64);
        shown.manifest_bytes.set(manifest.encoded_bytes() as u64);
        let bytes_max = self.config.manifest_bytes_max as u64;
        shown.manifest_bytes_max.set(bytes_max);
        let withheld_us = manifest.withheld_s.saturating_mul(1_000_000);
        shown.withheld_us.set(withheld_us);
    }

    async fn write_new(&self, bytes: &[u8]) -> Result<(), Halt> {
        let file = self.files.open(MANIFEST_NEW, READ_WRITE_CREATE).await?;
        let written = self.fill(&file, bytes).await;
        self.files.close(&file).await;
        written
    }

    async fn fill(&self, file: &File, bytes: &[u8]) -> Result<(), Halt> {
        self.files.truncate(file, 0).await?;
        self.files.write(file, 0, bytes).await?;
        self.files.sync(file).await
    }

    /// Gives out a file number.
    pub(crate) fn number(&mut self) -> u64 {
        self.next_file += 1;
        self.next_file - 1
    }

    /// Gives out no number of a file that is kept although no manifest names it.
    pub(crate) fn leave_out(&mut self, name: &str) {
        let Some(NumberedFile::Segment(number) | NumberedFile::Slice(number)) =
            NumberedFile::parse(name)
        else {
            return;
        };
        // Numbers near the end of the space are never reached.
        if number < u64::MAX / 2 {
            self.next_file = self.next_file.max(number + 1);
        }
    }

    /// Preallocated segments at hand, named by the manifest or not yet.
    pub(crate) fn preallocated_count(&self) -> usize {
        self.manifest.preallocated.len() + self.ready.len()
    }

    /// Begins a new segment file; [`ManifestStore::zero_some`] goes on with it.
    pub(crate) async fn begin_preallocation(&mut self) -> Result<Preallocation, Halt> {
        let number = self.number();
        let how = OpenHow {
            direct: self.config.direct,
            ..MAKE
        };
        let name = NumberedFile::Segment(number).to_string();
        let file = self.files.open(&name, how).await?;
        Ok(Preallocation {
            number,
            file,
            zeroed_bytes: 0,
        })
    }

    /// Writes the next zeros of a preallocated segment. Once it is whole it is durable and may be named.
    pub(crate) async fn zero_some(
        &mut self,
        preallocated: &mut Preallocation,
    ) -> Result<Zeroed, Halt> {
        let segment_bytes = self.config.segment_bytes;
        assert!(
            preallocated.zeroed_bytes <= segment_bytes,
            "zeros end where the segment does"
        );
        let left = segment_bytes - preallocated.zeroed_bytes;
        if left > 0 {
            let zeros = left.min(IO_BYTES_MAX as u64) as u32;
            self.files
                .zero(&preallocated.file, preallocated.zeroed_bytes, zeros)
                .await?;
            preallocated.zeroed_bytes += u64::from(zeros);
            return Ok(Zeroed::Part);
        }
        self.files.sync(&preallocated.file).await?;
        self.files.close(&preallocated.file).await;
        self.files.sync_dir().await?;
        self.ready.push(preallocated.number);
        Ok(Zeroed::Whole)
    }

    /// Gives up a preallocated segment that could not be finished.
    pub(crate) async fn drop_preallocation(&mut self, preallocated: Preallocation) {
        self.files.close(&preallocated.file).await;
        let _ = self
            .discard(preallocated.file.name, preallocated.zeroed_bytes)
            .await;
    }

    /// Removes a file that no manifest names. Where that fails it is an orphan: [`ManifestStore::discard_orphans`] tries again, and
    /// so does the next start.
    pub(crate) async fn discard(&mut self, name: String, bytes: u64) -> Result<(), Halt> {
        let unlinked = self.files.unlink(&name).await;
        if unlinked.is_err() {
            self.orphans.push(Orphan { name, bytes });
        }
        unlinked
    }

    /// Tries to remove all orphans; true if it removed any.
    pub(crate) async fn discard_orphans(&mut self) -> bool {
        let count = self.orphans.len();
        for orphan in std::mem::take(&mut self.orphans) {
            let _ = self.discard(orphan.name, orphan.bytes).await;
        }
        self.orphans.len() < count
    }

    /// Bytes of files that no manifest names and that could not be removed.
    pub(crate) fn orphans_bytes(&self) -> u64 {
        self.orphans.iter().map(|orphan| orphan.bytes).sum()
    }

    /// Makes one preallocated segment without a pause.
    pub(crate) async fn preallocate(&mut self) -> Result<(), Halt> {
        let mut preallocated = self.begin_preallocation().await?;
        loop {
            match self.zero_some(&mut preallocated).await {
                Ok(Zeroed::Whole) => return Ok(()),
                Ok(Zeroed::Part) => {}
                Err(halt) => {
                    self.drop_preallocation(preallocated).await;
                    return Err(halt);
                }
            }
        }
    }

    /// Takes a preallocated segment out of a drafted manifest and names it there as a next segment.
    pub(crate) async fn name_next(
        &mut self,
        draft: &mut Manifest,
        ordinal: u32,
    ) -> Result<Option<SegmentEntry>, Halt> {
        if draft.preallocated.is_empty() {
            return Ok(None);
        }
        let entry = SegmentEntry {
            ordinal,
            file: draft.preallocated.remove(0),
            salt: u64::from_le_bytes(self.files.random().await?),
            generation: draft.generation,
            state: SegmentState::Next,
        };
        Ok(Some(entry))
    }

    /// Opens a segment for its shard, which may have it once the manifest names it.
    pub(crate) async fn open_for_shard(&self, entry: &SegmentEntry) -> Result<NamedSegment, Halt> {
        let name = NumberedFile::Segment(entry.file).to_string();
        let file = self.files.open(&name, self.segment_how()).await?;
        let bytes = match self.files.len(&file).await {
            Ok(bytes) => bytes,
            Err(halt) => {
                self.files.close(&file).await;
                return Err(halt);
            }
        };
        Ok(NamedSegment {
            file: file.id,
            ordinal: entry.ordinal,
            salt: entry.salt,
            generation: entry.generation,
            bytes,
        })
    }

    /// An open segment is given to its shard.
    pub(crate) fn note_open(&mut self, log: LogId, segment: &NamedSegment) {
        self.open.insert((log, segment.ordinal), segment.file);
    }
}

/// What a rename that failed means. One that the file system refuses, or has no room for, is not carried out; behind any other
/// error it may have been.
fn not_renamed(halt: Halt) -> NotReplaced {
    match &halt {
        Halt::Io { error, .. } if error.is_refusal() || error.is_full() => {
            NotReplaced::Before(halt)
        }
        _ => NotReplaced::Unknown(halt),
    }
}

/// How far a preallocated segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zeroed {
    /// More zeros are missing.
    Part,
    Whole,
}

/// A segment file in the making.
#[derive(Debug)]
pub(crate) struct Preallocation {
    pub(crate) number: u64,
    pub(crate) file: File,
    zeroed_bytes: u64,
}

#[cfg(test)]
mod tests;
