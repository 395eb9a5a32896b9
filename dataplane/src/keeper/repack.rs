//! Packing: sealed segments that are mostly padding and zeros are written again as packed files, which the manifest names in their
//! place. It changes no batch and hides none: what was packed is read back as a start would read it before the original goes.
//!
//! The file is made and synced under its name, then the manifest names it, then the original is removed. Cut short anywhere, one
//! of the two is named and whole, and the other one is an orphan.

use crate::keeper::Service;
use crate::keeper::due::Due;
use crate::keeper::ended_early::EndedEarly;
use crate::keeper::files::{File, MAKE};
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::port::OpenHow;
use crate::keeper::reading::{NotRead, Readable};
use crate::keeper::store::{Growth, NotReplaced};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Extent, LogEntry, Manifest, PackedFile, SegmentEntry, SegmentState};
use crate::wal::packed::{PackFault, PackedHeader, Packer, SegmentFile, frame_bytes, packed_bytes};
use crate::wal::scan::LogVerdict;
use std::collections::{BTreeMap, BTreeSet};

/// A segment is packed where its file becomes at most this part of what it was: one half. A log of batches of one record, each with a
/// mark behind it, becomes an eighth, one of batches of four just less than a half, and of those of a hundred a twentieth is padding.
const KEPT_SHARE: u64 = 2;

/// So many bytes of segments are read in a second on average, so that a directory full of them is no load.
const PACE_BYTES_PER_S: u64 = 16 << 20;

/// After an attempt that failed or had no room the next one follows after this time, in microseconds: one minute.
const PACK_AGAIN_US: u64 = 60_000_000;

/// What packing remembers between its runs.
#[derive(Debug, Default)]
pub(crate) struct Repacking {
    due: Due,
    /// Files of segments that gain too little, or are damaged.
    left: BTreeSet<u64>,
    /// Files of segments that could not be read, and when each is tried again.
    unreadable: BTreeMap<u64, Due>,
}

impl Repacking {
    fn is_set_aside(&self, file: u64, now_us: u64) -> bool {
        let unreadable = self.unreadable.get(&file);
        self.left.contains(&file) || unreadable.is_some_and(|again| !again.is_over(now_us))
    }
}

/// What packing did, or would do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Repacked {
    pub(crate) segments: u32,
    /// Bytes that their files take less.
    pub(crate) saved_bytes: u64,
}

impl Repacked {
    fn add(&mut self, segment: &Segment, packed: &Measured) {
        self.segments += 1;
        self.saved_bytes += segment.extent.bytes - packed.file_bytes;
    }
}

/// A segment that is to be packed: the last one of this part of its log.
struct Segment {
    part: LogEntry,
    entry: SegmentEntry,
    extent: Extent,
}

/// What a segment holds, as it was read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Measured {
    batches: u64,
    /// Bytes of its file once it is packed.
    file_bytes: u64,
    /// Expiry clock of its last batch.
    newest_s: u32,
}

/// How an attempt ended.
enum Attempt {
    Packed(Measured),
    /// It is not worth it.
    Left,
    /// There is no room for a second file now, or no place in the manifest for its name.
    NoRoom,
}

impl Service {
    /// Packs one segment if one is due; true if the manifest names it now.
    pub(crate) async fn repack_due(&mut self) -> Result<bool, Halt> {
        let now_us = self.store.now().mono_us;
        if !self.repacking.due.is_over(now_us) || !self.may_replace_segments() {
            return Ok(false);
        }
        let Some(segment) = self.next_packable() else {
            return Ok(false);
        };
        let packed = self.repack(&segment).await?;
        let wait_us = match packed {
            Some(Attempt::Packed(_) | Attempt::Left) => {
                segment.extent.bytes * 1_000_000 / PACE_BYTES_PER_S
            }
            Some(Attempt::NoRoom) | None => PACK_AGAIN_US,
        };
        self.repacking.due = Due::At(now_us + wait_us);
        Ok(matches!(packed, Some(Attempt::Packed(_))))
    }

    /// Packs all that is worth it, as far as there is room.
    pub(crate) async fn repack_all(&mut self) -> Result<Repacked, Halt> {
        let mut sum = Repacked::default();
        while self.may_replace_segments()
            && !self.stop.is_asked()
            && let Some(segment) = self.next_packable()
        {
            match self.repack(&segment).await? {
                Some(Attempt::Packed(measured)) => sum.add(&segment, &measured),
                Some(Attempt::Left) => {}
                Some(Attempt::NoRoom) | None => break,
            }
            self.work_between().await?;
        }
        Ok(sum)
    }

    /// What packing would do once all that is closed now is sealed and these files are deleted. It changes nothing.
    pub(crate) async fn would_repack(&mut self, deleted: &BTreeSet<u64>) -> Result<Repacked, Halt> {
        let mut sum = Repacked::default();
        let manifest = self.store.manifest.clone();
        let logs = manifest.logs.iter();
        let all = logs.flat_map(|log| self.packable_of(log, self.sealable_count(log)));
        let all: Vec<Segment> = all.filter(|it| !deleted.contains(&it.entry.file)).collect();
        for segment in all {
            match self.read_whole_segment(&manifest, &segment).await {
                Ok(measured) if self.is_worth_it(&segment.extent, measured.file_bytes) => {
                    sum.add(&segment, &measured);
                }
                Ok(_) | Err(EndedEarly::Trouble(_)) => {}
                Err(EndedEarly::Stopping) => break,
                Err(EndedEarly::End(halt)) => return Err(halt),
            }
            self.work_between().await?;
        }
        Ok(sum)
    }

    /// The rules of deletion: nothing is pinned, and all shards use the slices that hold what was sealed.
    fn may_replace_segments(&self) -> bool {
        self.all_switched() && !self.pins.any()
    }

    /// The first segment that may be worth packing, by what the manifest states: sealed and resolved, so that nothing but its
    /// bodies is still needed of it.
    fn next_packable(&self) -> Option<Segment> {
        let mut logs = self.store.manifest.logs.iter();
        logs.find_map(|log| {
            let covered = self.store.manifest.covered_upto(log.id);
            let mut sealed = self.packable_of(log, self.sealed_count(log));
            // With a planted bug, deletion takes one that is not sealed.
            sealed.find(|segment| covered >= Some(segment.extent.last))
        })
    }

    /// Those among the first `count` segments of a log.
    fn packable_of(&self, log: &LogEntry, count: usize) -> impl Iterator<Item = Segment> {
        let now_us = self.store.now().mono_us;
        let segments = log.segments[..count].iter().enumerate();
        segments.filter_map(move |(index, entry)| {
            let SegmentState::Closed(extent) = entry.state else {
                return None;
            };
            let may_be_worth_it = extent.first <= extent.last
                && self.is_worth_it(&extent, least_bytes(&extent))
                && !self.repacking.is_set_aside(entry.file, now_us);
            may_be_worth_it.then(|| Segment {
                part: log.alone(index),
                entry: *entry,
                extent,
            })
        })
    }

    /// Whether a segment is packed whose file becomes so long.
    fn is_worth_it(&self, extent: &Extent, file_bytes: u64) -> bool {
        let saved_bytes = extent.bytes.saturating_sub(file_bytes);
        file_bytes <= extent.bytes / KEPT_SHARE && saved_bytes >= self.store.config.repack_bytes_min
    }

    /// Packs a segment; nothing if there was trouble, which is logged.
    async fn repack(&mut self, segment: &Segment) -> Result<Option<Attempt>, Halt> {
        self.sealing.is_merging = true;
        let outcome = self.try_repack(segment).await;
        self.sealing.is_merging = false;
        match outcome {
            Ok(outcome) => {
                if let Attempt::Left = outcome {
                    self.repacking.left.insert(segment.entry.file);
                }
                Ok(Some(outcome))
            }
            Err(EndedEarly::End(halt)) => Err(halt),
            Err(EndedEarly::Stopping) => Ok(None),
            Err(EndedEarly::Trouble(halt)) => {
                self.trouble("packing", &halt);
                let original = NumberedFile::Segment(segment.entry.file).to_string();
                // One that cannot be read must not keep the others from being packed.
                match &halt {
                    Halt::Damage { .. } => {
                        self.repacking.left.insert(segment.entry.file);
                    }
                    Halt::Io { file, .. } if *file == original => {
                        let again = Due::At(self.store.now().mono_us + PACK_AGAIN_US);
                        self.repacking.unreadable.insert(segment.entry.file, again);
                    }
                    _ => return Ok(None),
                }
                Ok(Some(Attempt::Left))
            }
        }
    }

    async fn try_repack(&mut self, segment: &Segment) -> Result<Attempt, EndedEarly> {
        if !self.store.has_place_for_packed() {
            return Ok(Attempt::NoRoom);
        }
        let manifest = self.store.manifest.clone();
        let measured = self.read_whole_segment(&manifest, segment).await?;
        if !self.is_worth_it(&segment.extent, measured.file_bytes) {
            return Ok(Attempt::Left);
        }
        let room = self.room().await.map_err(EndedEarly::Trouble)?;
        let fits = |used_bytes, bytes_max| used_bytes + measured.file_bytes <= bytes_max;
        if !fits(room.reserve_bytes, room.free_bytes) || !fits(room.used_bytes, room.cap_bytes) {
            return Ok(Attempt::NoRoom);
        }
        let number = self.store.number();
        let name = NumberedFile::Segment(number).to_string();
        let made = match self.make_packed(segment, &measured, number, &name).await {
            Ok(packed) => self.name_packed(segment, number, packed).await,
            Err(ended) => Err(ended),
        };
        match made {
            Ok(()) => {}
            Err(end @ EndedEarly::End(_)) => return Err(end),
            Err(ended) => {
                self.discard(name, measured.file_bytes).await;
                return Err(ended);
            }
        }
        self.remove_original(segment).await;
        let saved_bytes = segment.extent.bytes - measured.file_bytes;
        let stats = &self.store.config.stats.keeper;
        stats.segments_packed.add(1);
        stats.packed_saved_bytes.add(saved_bytes);
        self.store.port.notify(Notice::Packed {
            bytes: segment.extent.bytes,
            packed_bytes: measured.file_bytes,
        });
        Ok(Attempt::Packed(measured))
    }

    /// Reads a segment whole, as a start would. What is not as the manifest states is damage.
    async fn read_whole_segment(
        &mut self,
        manifest: &Manifest,
        segment: &Segment,
    ) -> Result<Measured, EndedEarly> {
        let part = &segment.part;
        let (mut frames_bytes, mut newest_s) = (0, 0);
        let read = self.read_last_segment(manifest, part, |_, batch| {
            frames_bytes += frame_bytes(batch) as u64;
            newest_s = batch.header.fields.expiry_clock_s;
        });
        let end = read.await.map_err(|not_read| match not_read {
            NotRead::Unopened(halt) => EndedEarly::Trouble(halt),
            NotRead::Interrupted(interrupted) => interrupted.into(),
        })?;
        let file = part.file_name(segment.entry.ordinal);
        match end.verdict {
            LogVerdict::Whole => Ok(Measured {
                batches: end.batches,
                file_bytes: packed_bytes(frames_bytes),
                newest_s,
            }),
            LogVerdict::Unreadable { errno, .. } => Err(EndedEarly::Trouble(Halt::Io {
                doing: "reading",
                file,
                error: errno,
            })),
            verdict => Err(EndedEarly::Trouble(Halt::Damage {
                file,
                what: verdict.to_string(),
            })),
        }
    }

    /// Makes the packed file durable under its name, and reads it back.
    async fn make_packed(
        &mut self,
        segment: &Segment,
        measured: &Measured,
        number: u64,
        name: &str,
    ) -> Result<PackedFile, EndedEarly> {
        let salt = self.store.files.random().await;
        let packed = PackedFile {
            salt: u64::from_le_bytes(salt.map_err(EndedEarly::Trouble)?),
            bytes: measured.file_bytes,
        };
        let how = OpenHow {
            direct: self.store.config.direct,
            ..MAKE
        };
        let file = self.store.files.open(name, how).await;
        let file = file.map_err(EndedEarly::Trouble)?;
        let header = self.packed_header(segment, measured, packed);
        let filled = self.fill_packed(segment, header, &file).await;
        self.store.files.close(&file).await;
        filled?;
        let synced = self.store.files.sync_dir().await;
        synced.map_err(EndedEarly::Trouble)?;
        let mut manifest = self.store.manifest.clone();
        put_in_place(&mut manifest, segment, number, packed);
        let mut part = segment.part.clone();
        let Some(entry) = part.segments.last_mut() else {
            unreachable!("a segment stands last in its part of the log")
        };
        *entry = named(&segment.entry, segment.extent, number, packed);
        let again = Segment {
            entry: *entry,
            extent: segment.extent,
            part,
        };
        match self.read_whole_segment(&manifest, &again).await? == *measured {
            true => Ok(packed),
            false => Err(EndedEarly::Trouble(Halt::Damage {
                file: name.to_string(),
                what: "it does not hold what was written".to_string(),
            })),
        }
    }

    fn packed_header(
        &self,
        segment: &Segment,
        measured: &Measured,
        packed: PackedFile,
    ) -> PackedHeader {
        let manifest = &self.store.manifest;
        PackedHeader {
            installation: manifest.installation,
            node: manifest.node,
            incarnation: segment.part.incarnation,
            log: segment.part.id,
            ordinal: segment.entry.ordinal,
            salt: packed.salt,
            generation: manifest.generation,
            first: segment.extent.first,
            last: segment.extent.last,
            segment_bytes: segment.extent.bytes,
            bytes: packed.bytes,
            newest_s: measured.newest_s,
        }
    }

    /// Writes and syncs the file.
    async fn fill_packed(
        &mut self,
        segment: &Segment,
        header: PackedHeader,
        file: &File,
    ) -> Result<(), EndedEarly> {
        let readable = Readable::segment(&self.store, &segment.entry).await;
        let readable = readable.map_err(EndedEarly::Trouble)?;
        let written = self.write_pieces(segment, header, &readable, file).await;
        readable.close().await;
        written?;
        let synced = self.store.files.sync(file).await;
        synced.map_err(EndedEarly::Trouble)
    }

    async fn write_pieces(
        &mut self,
        segment: &Segment,
        header: PackedHeader,
        readable: &SegmentFile<Readable>,
        file: &File,
    ) -> Result<(), EndedEarly> {
        let mut packer = Packer::new(header, readable);
        let mut offset = 0;
        loop {
            let piece = packer.next().await.map_err(|fault| {
                let file = segment.part.file_name(segment.entry.ordinal);
                EndedEarly::Trouble(match fault {
                    PackFault::Unreadable(error) => Halt::Io {
                        doing: "reading",
                        file,
                        error,
                    },
                    PackFault::Changed => Halt::Damage {
                        file,
                        what: "it changed while it was read".to_string(),
                    },
                })
            })?;
            let Some(piece) = piece else {
                return Ok(());
            };
            let written = self.store.files.write(file, offset, &piece).await;
            written.map_err(EndedEarly::Trouble)?;
            offset += piece.len() as u64;
            self.poll_requests_between().await?;
        }
    }

    /// Puts the packed file into the manifest in the place of the original.
    async fn name_packed(
        &mut self,
        segment: &Segment,
        number: u64,
        packed: PackedFile,
    ) -> Result<(), EndedEarly> {
        let covered = self.store.manifest.covered_upto(segment.part.id);
        assert!(
            covered >= Some(segment.extent.last),
            "what is packed is in slices: no seal and no start reads it"
        );
        let mut next = self.store.draft();
        put_in_place(&mut next, segment, number, packed);
        match self.store.grow(next, Growth::Serving).await {
            Ok(()) => Ok(()),
            Err(NotReplaced::Before(halt)) => Err(EndedEarly::Trouble(halt)),
            Err(NotReplaced::Unknown(halt)) => Err(EndedEarly::End(halt)),
        }
    }

    /// Readers that have it open go on in it, and find the packed one when they look again.
    async fn remove_original(&mut self, segment: &Segment) {
        let name = NumberedFile::Segment(segment.entry.file).to_string();
        self.discard(name, segment.extent.bytes).await;
        if let Err(halt) = self.store.files.sync_dir().await {
            self.trouble("syncing", &halt);
        }
    }
}

/// The least that a file can become: at most one block less one byte of each batch is padding.
fn least_bytes(extent: &Extent) -> u64 {
    let batches = extent.last.0 - extent.first.0 + 1;
    let padding = batches.saturating_mul(BLOCK_BYTES as u64 - 1);
    packed_bytes(extent.bytes.saturating_sub(padding + BLOCK_BYTES as u64))
}

/// A segment as it is named once it is packed.
fn named(entry: &SegmentEntry, extent: Extent, number: u64, packed: PackedFile) -> SegmentEntry {
    SegmentEntry {
        file: number,
        state: SegmentState::Packed(extent, packed),
        ..*entry
    }
}

fn put_in_place(manifest: &mut Manifest, segment: &Segment, number: u64, packed: PackedFile) {
    let log = manifest.log_mut(segment.part.id);
    let Some(entry) = log.and_then(|log| log.segment_mut(segment.entry.ordinal)) else {
        unreachable!("nothing is deleted while a segment is packed")
    };
    assert_eq!(*entry, segment.entry, "a closed segment stays what it is");
    *entry = named(&segment.entry, segment.extent, number, packed);
}
