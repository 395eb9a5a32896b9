//! What a crash, a lying device and an operator's giving up have taken of what was confirmed, and what on the disk tells a
//! later start of it. It compares bytes, and never asks the gateway.

use super::count::Count;
use super::disk::{Inode, SECTOR_BYTES};
use super::oracle::Property;
use super::truth::LogWrite;
use super::world::World;
use crate::sim_trace;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::{MANIFEST, NumberedFile};
use crate::wal::manifest::{Manifest, SegmentEntry, SegmentState};

/// The start whose clean stop a manifest tells of.
fn start_stopped(manifest: &[u8]) -> Option<u32> {
    let fields = manifest.get(96..104)?;
    let start = u32::from_le_bytes(fields[..4].try_into().ok()?);
    (fields[4] & 1 == 1).then_some(start)
}

/// What there is on the disk that tells of a lost batch before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Proof {
    /// Nothing: a start cannot know of the loss.
    None,
    /// Something that a power cut may still take away: a start may know of it.
    Fleeting,
    /// Something on the medium: a start must know of it.
    Durable,
}

/// What the manifests that may be in force say of a batch: it is resolved, a slice holds its decisions, or it begins a segment
/// that is called open, which it is only once its first batch was durable.
fn known_to(manifests: &[Manifest], write: &LogWrite, name: &str) -> Proof {
    let id = write.log_id();
    let tells = |manifest: &Manifest| {
        let mut logs = manifest.logs.iter();
        let Some(log) = logs.find(|log| log.id == id && log.ended_at.is_none()) else {
            return false;
        };
        let covered = manifest
            .covered_upto(id)
            .is_some_and(|upto| upto.0 >= write.sequence);
        let begins = |it: &SegmentEntry| {
            let is_it = NumberedFile::Segment(it.file).to_string() == name;
            is_it && it.salt == write.salt && !matches!(it.state, SegmentState::Next)
        };
        let first = write.begins_segment();
        covered || log.resolved_upto.0 >= write.sequence || first && log.segments.iter().any(begins)
    };
    match manifests.iter().filter(|it| tells(it)).count() {
        0 => Proof::None,
        all if all == manifests.len() => Proof::Durable,
        _ => Proof::Fleeting,
    }
}

impl World {
    /// Compares what was confirmed with what is there, after a crash. `false`: the seed ends here.
    pub fn note_losses(&mut self) -> bool {
        self.note_keeper_losses();
        let undo = self.truth.undo.as_ref();
        let tampered = undo.and_then(|undo| self.disk.find(&undo.name));
        let is_lost = |at: &usize| {
            let write = &self.truth.writes[*at];
            let judged = write.is_there() && tampered != Some(write.inode);
            judged && self.disk.exists(write.inode) && !self.is_intact(write)
        };
        let lost: Vec<usize> = (0..self.truth.writes.len()).filter(is_lost).collect();
        if lost.is_empty() {
            return true;
        }
        let versions = self.disk.versions_of(MANIFEST);
        let manifests: Vec<Manifest> = versions
            .filter_map(|bytes| Manifest::decode(bytes).ok())
            .collect();
        let proof_of = |at: usize| (at, self.proof_of(&self.truth.writes[at], &manifests));
        let verdicts: Vec<(usize, Proof)> = lost.into_iter().map(proof_of).collect();
        verdicts
            .into_iter()
            .all(|(at, proof)| self.note_loss(at, proof))
    }

    /// What there is that tells of a lost batch: a later header of its log, or the manifest. That of a clean stop knows how
    /// far the logs of its start go.
    fn proof_of(&self, write: &LogWrite, manifests: &[Manifest]) -> Proof {
        let manifest = self.disk.find(MANIFEST).map(|it| self.disk.seen(it));
        if manifest.and_then(start_stopped) == Some(write.log.0) {
            return Proof::Durable;
        }
        let is_later = |later: &&LogWrite| {
            later.log == write.log && later.sequence > write.sequence && !later.gone
        };
        let later = self.truth.writes.iter().filter(is_later);
        let later = later.map(|it| self.proof_by(it)).max();
        let mut names = self.disk.names();
        let name = names.find(|(_, named)| *named == write.inode);
        let name = name.map_or("", |(name, _)| name);
        let known = known_to(manifests, write, name);
        later.map_or(known, |later| later.max(known))
    }

    /// One header is enough to know what was before it, however torn the rest is: that of a later batch, or of the segment that
    /// begins with one and says where the segment before ends.
    fn proof_by(&self, write: &LogWrite) -> Proof {
        let at_least = |at: usize, bytes: usize| {
            let start = write.offset as usize + at;
            let seen = self.disk.seen(write.inode).get(start..start + bytes);
            match seen == write.bytes.get(at..at + bytes) {
                true if self.disk.is_on_medium(write.inode, start, bytes) => Proof::Durable,
                true => Proof::Fleeting,
                false => Proof::None,
            }
        };
        match write.begins_segment() {
            true => at_least(0, SECTOR_BYTES).max(at_least(BLOCK_BYTES, 96)),
            false => at_least(0, 96),
        }
    }

    /// A confirmed batch is not there any more. `false`: that breaks a promise.
    fn note_loss(&mut self, at: usize, proof: Proof) -> bool {
        self.truth.any_loss = true;
        self.truth.writes[at].lost = true;
        let write = self.truth.writes[at].clone();
        // What a device lied about is lost to a start that served over damage as to any other.
        if self.truth.damaged_and_served && !write.lied {
            return true;
        }
        if !write.lied {
            let how = format!(
                "log write {at}, confirmed, is not on the disk any more and no fault of the disk was planned"
            );
            self.fail(Property::AcknowledgedLost, how);
            return false;
        }
        sim_trace!(
            self.now_us(),
            "log write {at} was acknowledged by a lying disk and is lost; proof on the disk: {proof:?}"
        );
        self.truth.excused.extend(write.bodies.iter().copied());
        // A start that has seen it since may have written down where the log ends.
        let seen_since = write.run != self.run;
        if proof > Proof::None || seen_since {
            self.truth.lost_for_good = true;
        }
        if proof == Proof::Durable {
            return true;
        }
        for serial in write.decided {
            let key = self.oracle.requests[serial as usize].key;
            if self.oracle.forgive(key) {
                self.counts.one(Count::ExemptNewestBatch);
            }
        }
        true
    }

    /// The batches of a file that a lying device acknowledged and that are not there any more: whoever gives up what was
    /// damaged in the file gives them up too.
    pub fn lied_away(&self, inode: Inode) -> Vec<usize> {
        let is_lost = |at: &usize| {
            let write = &self.truth.writes[*at];
            let judged = write.inode == inode && write.confirmed && write.lied;
            judged && !write.gone && !write.lost && !self.is_intact(write)
        };
        (0..self.truth.writes.len()).filter(is_lost).collect()
    }

    fn is_intact(&self, write: &LogWrite) -> bool {
        let start = write.offset as usize;
        let seen = self.disk.seen(write.inode);
        seen.get(start..start + write.bytes.len()) == Some(&write.bytes[..])
    }

    /// An operator has given up what was damaged in a file: nothing is promised any more of these batches.
    pub fn note_given_up(&mut self, batches: &[usize]) {
        self.truth.undo = None;
        self.truth.any_loss = true;
        for at in batches {
            self.give_up(*at);
        }
    }

    fn give_up(&mut self, at: usize) {
        let inode = self.truth.writes[at].inode;
        for write in self.truth.writes.iter_mut().filter(|it| it.inode == inode) {
            write.gone = true;
        }
        let write = self.truth.writes[at].clone();
        let disposed = write
            .dispositions
            .iter()
            .filter_map(|place| self.truth.places.get(place));
        let disposed: Vec<u64> = disposed.copied().collect();
        self.truth.excused.extend(disposed);
        self.truth.excused.extend(write.bodies.iter().copied());
        for serial in write.decided {
            let key = self.oracle.requests[serial as usize].key;
            self.oracle.forgive(key);
        }
    }

    /// What a device acknowledged to the keeper and did not keep may be missed by any later start.
    fn note_keeper_losses(&mut self) {
        let lies = std::mem::take(&mut self.truth.keeper_lies);
        let (kept, lost): (Vec<_>, Vec<_>) = lies.into_iter().partition(|(inode, at, bytes)| {
            self.disk.exists(*inode) && !self.disk.is_on_medium(*inode, *at, *bytes)
        });
        self.truth.lost_for_good |= !lost.is_empty();
        self.truth.keeper_lies = kept;
    }
}
