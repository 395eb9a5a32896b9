//! What was written to logs and confirmed, and what became of it: the world's own knowledge of damage. It decodes writes
//! with the oracle's reader, and judges the gateway only by comparing bytes.

use super::bodies::GoneBodies;
use super::count::Count;
use super::disk::Inode;
use super::logbook::{self, Disposition, Item};
use super::oracle::Property;
use super::records;
use super::world::World;
use crate::sim_trace;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::NumberedFile;
use crate::wal::name::LogId;
use std::collections::{BTreeMap, BTreeSet};

/// How a damaged file was before.
#[derive(Clone, Debug)]
pub(super) struct Undo {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// What a start that serves all the same has overlooked; nothing: it need not look there.
    pub(super) must_refuse: Option<String>,
    /// Look-ups alone meet it, in this file, which is as before again when faults end. One that was made since under the name is
    /// another.
    pub(super) passes: Option<Inode>,
    /// The log writes that an operator gives up with what was damaged; none where the tool cannot help.
    pub(super) writes: Vec<usize>,
}

/// A clock reading that was written down.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockReading {
    pub(super) fast_us: i64,
    pub(super) wall_us: u64,
}

/// A write to a log, as the shard asked for it.
#[derive(Clone, Debug)]
pub struct LogWrite {
    /// The segment.
    pub inode: Inode,
    /// Salt of the batch: another one means that the file was used again.
    pub(super) salt: u64,
    /// Where in it.
    pub offset: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Run of the process that wrote it.
    pub(super) run: u32,
    /// Start number and number of the log.
    pub log: (u32, u16),
    /// Its position.
    pub sequence: u64,
    /// Bodies in it, by request.
    pub bodies: Vec<u64>,
    /// Requests that are decided in it.
    pub decided: Vec<u64>,
    /// Places of the bodies whose disposition is in it.
    pub(super) dispositions: Vec<BodyAt>,
    pub(super) fast_us: i64,
    pub(super) slow_us: i64,
    pub(super) wall_us: u64,
    /// Applied to the file in full, at this moment of the disk.
    pub applied: Option<u64>,
    /// The shard was told that it is durable.
    pub confirmed: bool,
    /// When that was.
    pub(super) confirmed_us: u64,
    /// Acknowledged by a device that did not keep it.
    pub lied: bool,
    /// Written into a segment that has failed before: it is not kept, and nobody may rely on it.
    pub sick: bool,
    /// The keeper gave its file up, or used it for something else.
    pub gone: bool,
    /// Found missing.
    pub lost: bool,
}

impl LogWrite {
    /// Its log, as the manifest names it.
    pub(super) fn log_id(&self) -> LogId {
        let (start, number) = self.log;
        LogId { start, number }
    }

    /// Whether it begins its segment: the segment's header is in front of the batch.
    pub(super) fn begins_segment(&self) -> bool {
        self.bytes.starts_with(b"flk-segm")
    }

    /// Bytes in front of the batch.
    pub(super) fn lead_bytes(&self) -> usize {
        match self.begins_segment() {
            true => BLOCK_BYTES,
            false => 0,
        }
    }

    /// Durable by what the shard was told, and in a file that still holds it by all that is known.
    pub(super) fn is_there(&self) -> bool {
        self.confirmed && !self.gone && !self.lost
    }

    /// Whether a body or a decision is in it.
    pub(super) fn holds_records(&self) -> bool {
        !self.bodies.is_empty() || !self.decided.is_empty()
    }

    /// Whether it only marks that all before it was durable.
    pub(super) fn is_mark(&self) -> bool {
        self.bodies.is_empty() && self.dispositions.is_empty()
    }
}

/// The request of an empty body, which bears no number.
const NO_REQUEST: u64 = u64::MAX;

/// Place of a body: start and number of its log, sequence, index.
pub type BodyAt = ((u32, u16), u64, u32);

/// What is on disk and what was acknowledged of it.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Every log write of the seed.
    pub writes: Vec<LogWrite>,
    /// Failed operations of the keeper in this run.
    pub keeper_errors: u64,
    /// Failed log operations in this run.
    pub log_errors: u64,
    /// Manifests that are or were in force, oldest first; none that a power cut has undone.
    pub manifests: Vec<Vec<u8>>,
    /// How many of them there were when this run began.
    pub(super) manifests_before_run: usize,
    /// A start with so many shards was refused for want of memory, which was allowed since; none has served behind it.
    pub(super) memory_allowed_for: Option<u16>,
    pub(super) marks: Vec<ClockReading>,
    /// Request of each body, by the place of the body.
    pub(super) places: BTreeMap<BodyAt, u64>,
    /// Bodies of this run whose disposition is not known to be durable.
    pub open_bodies: BTreeSet<BodyAt>,
    /// Numbers of closed segments that a manifest named, and the next one named no more.
    pub retired: BTreeSet<u64>,
    /// Numbers of closed segments in the place of which a manifest named another file.
    pub replaced_segments: BTreeSet<u64>,
    /// Files that the start of this run said it keeps although no manifest names them.
    pub strays_kept: BTreeSet<String>,
    /// Slices that a manifest of this run named, and a later one does not.
    pub replaced_slices: BTreeSet<u64>,
    /// Files that a backup has linked, and the run before which it did.
    pub linked: BTreeMap<Inode, u32>,
    /// Writes of the keeper that a device acknowledged and did not keep.
    pub keeper_lies: Vec<(Inode, usize, usize)>,
    /// When a manifest named each segment of a log that the one before did not, by the number of its file.
    pub named_us: BTreeMap<u64, u64>,
    given_up: BTreeSet<u64>,
    /// Segments that failed, by file and salt: what is written into them behind that is lost.
    pub(super) sick: BTreeSet<(Inode, u64)>,
    /// When and how the run before ended: no operation failed in it.
    pub(super) ended_us: u64,
    pub(super) ended_healthy: bool,
    /// Requests whose body need not be found any more.
    pub excused: BTreeSet<u64>,
    pub(super) undo: Option<Undo>,
    /// A shard read a damaged block of a slice.
    pub(super) damaged_block_read: bool,
    /// The run before ended with code 0.
    pub stopped_cleanly: bool,
    pub(super) lost_for_good: bool,
    pub(super) damaged_and_served: bool,
    pub(super) any_loss: bool,
}

impl Truth {
    /// Whether refusing to start is right.
    pub fn may_refuse(&self) -> bool {
        self.undo.is_some() || self.is_in_doubt()
    }

    /// Whether what a start finds may be other than what was acknowledged.
    pub fn is_in_doubt(&self) -> bool {
        let spoiled = self.undo.as_ref().is_some_and(|undo| undo.passes.is_none());
        spoiled || self.lost_for_good || self.damaged_and_served
    }

    /// A power cut has undone replacements of the manifest: this one is in force again. What was renamed behind it never was
    /// in force for good, and its generation is given out once more. No copy of it can be put back.
    pub fn forget_manifests_behind(&mut self, left: Option<&[u8]>) {
        let at = self.manifests.iter().rposition(|it| left == Some(it));
        self.manifests.truncate(at.map_or(0, |at| at + 1));
    }
}

impl World {
    /// Notes a log write and counts what is in it.
    pub fn note_log_write(&mut self, shard: u16, inode: Inode, offset: u64, bytes: &[u8]) -> usize {
        let found = logbook::read(bytes);
        let batch = found.batches.first();
        let sequence = batch.map_or(0, |batch| batch.sequence);
        let lead_bytes = found.header.map_or(0, |_| BLOCK_BYTES);
        let wall_us = bytes.get(lead_bytes + 40..);
        let wall_us = wall_us.and_then(|rest| rest.first_chunk::<8>());
        let reading = self.oracle.now();
        let salt = batch.map_or(0, |batch| batch.salt);
        self.note_life(inode, salt);
        self.judge_reuse(inode, found.header.is_some());
        let mut write = LogWrite {
            inode,
            salt,
            run: self.run,
            offset,
            bytes: bytes.to_vec(),
            log: ((sequence >> 40) as u32, shard),
            sequence,
            bodies: Vec::new(),
            decided: Vec::new(),
            dispositions: Vec::new(),
            fast_us: self.oracle.furthest_us(),
            slow_us: reading.slow_us,
            wall_us: wall_us.map_or(self.wall_us(), |bytes| u64::from_le_bytes(*bytes)),
            applied: None,
            confirmed: false,
            confirmed_us: 0,
            sick: self.truth.sick.contains(&(inode, salt)),
            lied: false,
            gone: false,
            lost: false,
        };
        let is_it = |it: &&LogWrite| it.log == write.log && it.sequence == sequence;
        if let Some(before) = self.truth.writes.iter().rev().find(is_it) {
            self.counts.one(Count::TakeOvers);
            write.fast_us = before.fast_us;
            write.slow_us = before.slow_us;
        } else if found.header.is_some_and(|header| header.ordinal > 0) {
            self.counts.one(Count::Rolls);
        }
        if let Some(batch) = batch {
            if batch.items.is_empty() {
                self.counts.one(Count::IdleMarks);
            }
            for item in &batch.items {
                self.note_item(&mut write, item);
            }
        }
        sim_trace!(
            self.now_us(),
            "log write {} of {} bytes at {offset} of file {}: log {:?} sequence {}, bodies {:?}, decided {:?}",
            self.truth.writes.len(),
            bytes.len(),
            inode.0,
            write.log,
            sequence & 0xff_ffff_ffff,
            write.bodies,
            write.decided
        );
        self.truth.writes.push(write);
        self.truth.writes.len() - 1
    }

    /// A file is written under a salt: what it held under another one is gone.
    fn note_life(&mut self, inode: Inode, salt: u64) {
        let other = |write: &LogWrite| write.inode == inode && write.salt != salt && !write.gone;
        if self.truth.writes.iter().any(other) {
            self.counts.one(Count::Recycled);
            self.note_gone(inode, GoneBodies::Elsewhere);
        }
    }

    fn note_item(&mut self, write: &mut LogWrite, item: &Item) {
        match item {
            Item::Body { index, bytes, .. } if bytes.is_empty() => {
                let place = (write.log, write.sequence, *index);
                self.truth.places.insert(place, NO_REQUEST);
                self.truth.open_bodies.insert(place);
            }
            Item::Body { index, bytes, .. } => {
                let serial = logbook::serial_of(bytes);
                let request =
                    serial.and_then(|serial| self.oracle.requests.get(serial as usize).cloned());
                let known = serial.zip(request).is_some_and(|(serial, request)| {
                    records::body(request.key, request.kind, request.shape, serial) == *bytes
                });
                if !known {
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    return self.fail(
                        Property::NothingInvented,
                        format!("the log holds a body that no client sent: {text}"),
                    );
                }
                let serial = serial.unwrap_or(0);
                let place = (write.log, write.sequence, *index);
                self.truth.places.insert(place, serial);
                self.truth.open_bodies.insert(place);
                write.bodies.push(serial);
            }
            Item::Disposition {
                sequence,
                index,
                disposition,
            } => {
                let place = (write.log, *sequence, *index);
                let Some(serial) = self.truth.places.get(&place).copied() else {
                    return self.fail(Property::BodiesKept, format!("a disposition {disposition:?} for a body that is not in the log, at {sequence} index {index}"));
                };
                write.dispositions.push(place);
                match disposition {
                    Disposition::Refused(400) => {}
                    _ if serial == NO_REQUEST => {
                        let how = format!("an empty body has the disposition {disposition:?}");
                        self.fail(Property::NothingInvented, how);
                    }
                    Disposition::Decision => {
                        write.decided.push(serial);
                        if self.truth.given_up.contains(&serial) {
                            self.counts.one(Count::LateWon);
                        }
                    }
                    Disposition::Unanswered => {
                        self.truth.given_up.insert(serial);
                        self.counts.one(Count::Unanswered);
                    }
                    Disposition::Duplicate | Disposition::Conflict => {
                        self.counts.one(Count::DuplicateDispositions)
                    }
                    Disposition::Refused(_) => {}
                }
            }
        }
    }

    /// The shard is told that what was written to a file up to a moment is durable.
    pub fn note_confirmed(&mut self, inode: Inode, moment: u64) {
        let now_us = self.now_us();
        let mut disposed = Vec::new();
        for write in self
            .truth
            .writes
            .iter_mut()
            .rev()
            .filter(|write| write.inode == inode && !write.gone)
        {
            if write.applied.is_some_and(|applied| applied <= moment) {
                if !write.confirmed {
                    write.confirmed_us = now_us;
                    disposed.extend(write.dispositions.iter().copied());
                }
                write.confirmed = true;
            }
        }
        for place in disposed {
            self.truth.open_bodies.remove(&place);
        }
    }

    /// A write or sync of a segment failed: often nothing that is written into it is kept from here on.
    pub fn note_sick(&mut self, inode: Inode) {
        let newest = self
            .truth
            .writes
            .iter()
            .rev()
            .find(|write| write.inode == inode);
        let salt = newest.map_or(0, |write| write.salt);
        if self.dice.chance(7000) {
            self.truth.sick.insert((inode, salt));
        }
    }

    /// The run is over.
    pub fn note_end(&mut self) {
        self.truth.ended_us = self.now_us();
        self.oracle.released(0);
        let truth = &self.truth;
        self.truth.ended_healthy = truth.keeper_errors == 0 && truth.log_errors == 0;
    }

    /// The keeper gives a file up or writes it anew. Its bodies are excused only where it was closed, and the manifest had
    /// stopped to name it: whether that was right is judged there. The bodies of any other file must lie somewhere else.
    pub fn note_gone(&mut self, inode: Inode, bodies: GoneBodies) {
        let mut serials = Vec::new();
        for write in self
            .truth
            .writes
            .iter_mut()
            .filter(|write| write.inode == inode && !write.gone)
        {
            write.gone = true;
            serials.extend(write.bodies.iter().copied());
        }
        if bodies == GoneBodies::Elsewhere {
            return;
        }
        self.truth.excused.extend(serials);
        for batch in logbook::read(self.disk.seen(inode)).batches {
            for item in batch.items {
                if let Item::Body { bytes, .. } = item {
                    self.truth.excused.extend(logbook::serial_of(&bytes));
                }
            }
        }
    }

    /// A file loses its name.
    pub fn note_removed(&mut self, name: &str, inode: Inode) {
        self.judge_removal(name);
        let bodies = match NumberedFile::parse(name) {
            Some(NumberedFile::Segment(number)) if self.truth.retired.contains(&number) => {
                GoneBodies::Excused
            }
            _ => GoneBodies::Elsewhere,
        };
        self.note_gone(inode, bodies);
    }

    /// A segment that a backup has linked before this run is not written under another header.
    fn judge_reuse(&mut self, inode: Inode, begins: bool) {
        let linked = self.truth.linked.get(&inode);
        if begins && linked.is_some_and(|run| *run < self.run) && self.disk.links(inode) > 1 {
            let how = "a segment that a backup has linked is used again".to_string();
            self.fail(Property::BodiesKept, how);
        }
    }

    /// The keeper cuts a file: what lies behind the cut must be somewhere else.
    pub fn note_cut(&mut self, inode: Inode, bytes: u64) {
        self.judge_cut(inode, bytes);
        for write in self
            .truth
            .writes
            .iter_mut()
            .filter(|write| write.inode == inode && write.offset >= bytes)
        {
            write.gone = true;
        }
    }

    /// The gateway serves: whatever was damaged stays as it is from here on, or until faults end.
    pub fn note_serving(&mut self) {
        let Some(undo) = self.truth.undo.take_if(|undo| undo.passes.is_none()) else {
            let damaged = u64::from(self.truth.undo.is_some());
            return self.counts.add(Count::ServedOverDamage, damaged);
        };
        self.truth.damaged_and_served = true;
        if let Some(what) = undo.must_refuse {
            self.fail(
                Property::DamageOrTornTail,
                format!("a start serves over damage: {what} of {}", undo.name),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_whose_rename_was_lost_cannot_be_put_back() {
        let mut truth = Truth {
            manifests: vec![vec![1], vec![2], vec![3]],
            ..Truth::default()
        };
        truth.forget_manifests_behind(Some(&[2]));
        assert_eq!(truth.manifests, [vec![1], vec![2]]);
        truth.forget_manifests_behind(None);
        assert!(truth.manifests.is_empty());
    }
}
