//! Every replacement of the manifest and every removal of a file, judged on the spot from the two manifests, the slices'
//! covers and the world's own knowledge of which dispositions are durable. It shares the decoding of bytes with the gateway, and
//! none of its judgement.

use super::count::Count;
use super::disk::Inode;
use super::oracle::Property;
use super::truth::{BodyAt, LogWrite};
use super::world::World;
use crate::sim_trace;
use crate::wal::files::{MANIFEST, NumberedFile};
use crate::wal::manifest::{LogEntry, Manifest, SegmentEntry, SegmentState, SliceEntry};
use crate::wal::name::LogId;
use std::collections::BTreeSet;

/// A broken rule: the property, and how.
type Fault = (Property, String);

/// Up to which sequence slices hold a log's decisions; nothing: no slice covers any of it.
fn cover_of(slices: &[SliceEntry], log: LogId) -> Option<u64> {
    let covers = slices.iter().flat_map(|slice| &slice.covers);
    let of_log = covers.filter(|cover| cover.log == log);
    of_log.map(|cover| cover.upto.0).max()
}

/// What only ever grows.
fn grows(before: &Manifest, after: &Manifest) -> Result<(), Fault> {
    let (old, new) = (before.clock.expiry_s, after.clock.expiry_s);
    let what = if after.generation <= before.generation {
        format!(
            "generation {} after {}",
            after.generation, before.generation
        )
    } else if new < old {
        format!("expiry clock {new} s after {old} s")
    } else if after.start < before.start || after.start > before.start + 1 {
        format!("start {} after {}", after.start, before.start)
    } else if after.next_file < before.next_file {
        format!("next file {} after {}", after.next_file, before.next_file)
    } else {
        return Ok(());
    };
    Err((
        Property::OneOutcome,
        format!("the manifest steps back: {what}"),
    ))
}

/// A slice may go when all in it has expired by the clock that goes with it, or when it is part of a new one.
fn slices_go_when_expired(before: &Manifest, after: &Manifest) -> Result<(), Fault> {
    let is_in = |all: &Manifest, file: u64| all.slices.iter().any(|slice| slice.file == file);
    let merged = |old: &SliceEntry| {
        let mut new = after.slices.iter().filter(|it| !is_in(before, it.file));
        new.any(|it| it.expiry_max >= old.expiry_max)
    };
    for slice in before.slices.iter().filter(|it| !is_in(after, it.file)) {
        if slice.expiry_max > after.clock.expiry_s && !merged(slice) {
            let how = format!(
                "slice {} goes at {} s and holds a decision that lives until {} s",
                slice.file, after.clock.expiry_s, slice.expiry_max
            );
            return Err((Property::AcknowledgedLost, how));
        }
    }
    for log in after.logs.iter().map(|log| log.id) {
        if cover_of(&after.slices, log) < cover_of(&before.slices, log) {
            let how = format!("slices cover less of log {log} than before");
            return Err((Property::AcknowledgedLost, how));
        }
    }
    Ok(())
}

/// Closed segments of `before` that `after` does not name any more.
pub(super) fn retired<'a>(
    before: &'a Manifest,
    after: &'a Manifest,
) -> impl Iterator<Item = (&'a LogEntry, &'a SegmentEntry)> {
    let named = |log: LogId, ordinal: u32| {
        let of_log = after.logs.iter().filter(move |it| it.id == log);
        of_log
            .flat_map(|it| &it.segments)
            .any(|it| it.ordinal == ordinal)
    };
    let all = before
        .logs
        .iter()
        .flat_map(|log| log.segments.iter().map(move |segment| (log, segment)));
    all.filter(move |(log, segment)| {
        segment.state.extent().is_some() && !named(log.id, segment.ordinal)
    })
}

fn number_of(file: NumberedFile) -> u64 {
    match file {
        NumberedFile::Segment(number) | NumberedFile::Slice(number) => number,
    }
}

/// Whether a manifest names a file: a number that was given out and never named is given out again.
fn names(manifest: &Manifest, file: NumberedFile) -> bool {
    let slice = |number| manifest.slices.iter().any(|it| it.file == number);
    match file {
        NumberedFile::Segment(number) => manifest.files().contains(&number) && !slice(number),
        NumberedFile::Slice(number) => slice(number),
    }
}

impl World {
    /// The manifest is about to be replaced by these bytes.
    pub fn judge_replacement(&mut self, bytes: &[u8]) {
        if self.truth.is_in_doubt() {
            return;
        }
        let Ok(after) = Manifest::decode(bytes) else {
            let how = "a manifest is put in force that cannot be read".to_string();
            return self.fail(Property::AcknowledgedLost, how);
        };
        let before = self
            .disk
            .find(MANIFEST)
            .and_then(|inode| Manifest::decode(self.disk.seen(inode)).ok());
        let Some(before) = before else {
            return;
        };
        self.counts.one(Count::Replacements);
        let files = retired(&before, &after).map(|(_, segment)| segment.file);
        let files: Vec<u64> = files.collect();
        let judged = grows(&before, &after)
            .and_then(|()| slices_go_when_expired(&before, &after))
            .and_then(|()| self.resolved_is_durable(&after))
            .and_then(|()| self.segments_go_when_resolved(&before, &after))
            .and_then(|()| self.holds_are_kept(&before, &after));
        self.count_slices(&before, &after);
        self.truth.retired.extend(files);
        self.note_packed(&before, &after);
        let now_us = self.now_us();
        let known: BTreeSet<u64> = before.segments().map(|(_, it)| it.file).collect();
        let named = after.segments().map(|(_, it)| it.file);
        let new = named.filter(|file| !known.contains(file));
        self.truth.named_us.extend(new.map(|file| (file, now_us)));
        let is_in = |file: u64| after.slices.iter().any(|it| it.file == file);
        let gone = before.slices.iter().map(|slice| slice.file);
        let gone: Vec<u64> = gone.filter(|file| !is_in(*file)).collect();
        self.truth.replaced_slices.extend(gone);
        if let Err((property, how)) = judged {
            sim_trace!(self.now_us(), "from {before:?}\nto {after:?}");
            self.fail(property, how);
        }
    }

    /// Segments that stand in packed files now, and did not before.
    fn note_packed(&mut self, before: &Manifest, after: &Manifest) {
        for (log, segment) in after.segments() {
            let was = before
                .log(log.id)
                .and_then(|it| it.segment(segment.ordinal));
            if let (SegmentState::Packed(..), Some(was)) = (segment.state, was)
                && was.file != segment.file
            {
                self.truth.replaced_segments.insert(was.file);
                self.counts.one(Count::SegmentsPacked);
            }
        }
    }

    fn count_slices(&mut self, before: &Manifest, after: &Manifest) {
        let (old, new) = (before.slices.len(), after.slices.len());
        let is_new = |slice: &SliceEntry| !before.slices.iter().any(|it| it.file == slice.file);
        if new < old {
            let count = match after.slices.iter().any(is_new) {
                true => Count::Merges,
                false => Count::SlicesExpired,
            };
            self.counts.one(count);
        }
    }

    /// What a manifest calls resolved has a durable disposition.
    fn resolved_is_durable(&self, after: &Manifest) -> Result<(), Fault> {
        for log in after.logs.iter().filter(|log| log.ended_at.is_none()) {
            if let Some((sequence, index)) = self.open_bodies(log.id, 0, log.resolved_upto.0) {
                let how = format!(
                    "log {} is called resolved up to {:?}, and body {index} of {sequence:x} has no durable disposition",
                    log.id, log.resolved_upto
                );
                return Err((Property::BodiesKept, how));
            }
        }
        Ok(())
    }

    /// A closed segment may go when slices hold its decisions and its bodies have their dispositions.
    fn segments_go_when_resolved(&self, before: &Manifest, after: &Manifest) -> Result<(), Fault> {
        for (log, segment) in retired(before, after) {
            let Some(extent) = segment.state.extent() else {
                continue;
            };
            let covered = cover_of(&after.slices, log.id).max(cover_of(&before.slices, log.id));
            if covered.is_none_or(|covered| covered < extent.last.0) {
                let how = format!(
                    "segment {} of log {} goes with decisions that are in no slice",
                    segment.ordinal, log.id
                );
                return Err((Property::AcknowledgedLost, how));
            }
            let open = self.open_bodies(log.id, extent.first.0, extent.last.0);
            if let Some((sequence, index)) = open.filter(|_| log.ended_at.is_none()) {
                let how = format!(
                    "segment {} of log {} goes, and body {index} of {sequence:x} has no durable disposition",
                    segment.ordinal, log.id
                );
                return Err((Property::BodiesKept, how));
            }
        }
        Ok(())
    }

    /// The first body of a live log, from one sequence to another, that has no durable disposition.
    fn open_bodies(&self, log: LogId, from: u64, to: u64) -> Option<(u64, u32)> {
        let at =
            |sequence: u64, index: u32| -> BodyAt { ((log.start, log.number), sequence, index) };
        if to < from {
            return None;
        }
        let open = self.truth.open_bodies.range(at(from, 0)..=at(to, u32::MAX));
        open.map(|(_, sequence, index)| (*sequence, *index)).next()
    }

    /// A file is about to be cut: a durable batch with anything in it stays where it was written for as long as its file is
    /// there, even where a last segment holds it as well. The manifest before may be put back, and looks for it there.
    pub fn judge_cut(&mut self, inode: Inode, bytes: u64) {
        let shorter = self.disk.seen(inode).len() as u64 > bytes;
        if self.truth.is_in_doubt() || !shorter {
            return;
        }
        let is_it = |(name, named): (&str, Inode)| named == inode && NumberedFile::is_segment(name);
        if self.disk.names().any(is_it) {
            self.counts.one(Count::Cuts);
        }
        let reaches = |write: &LogWrite| write.offset + write.bytes.len() as u64 > bytes;
        let stands =
            |write: &LogWrite| write.confirmed && !write.gone && !write.lost && !write.lied;
        let mut writes = self.truth.writes.iter();
        let cut_off = writes.find(|write| {
            write.inode == inode && !write.is_mark() && stands(write) && reaches(write)
        });
        if let Some(write) = cut_off {
            let how = format!(
                "batch {:x} of log {:?} was durable, and its file is cut at {bytes}, which is before its end",
                write.sequence, write.log
            );
            self.fail(Property::AcknowledgedLost, how);
        }
    }

    /// A file is about to lose its name: no manifest that a power cut could leave may name it.
    pub fn judge_removal(&mut self, name: &str) {
        let numbered = NumberedFile::parse(name);
        let (Some(file), Some(number)) = (numbered, numbered.map(number_of)) else {
            return;
        };
        let was_named = match file {
            NumberedFile::Segment(_) => {
                self.truth.retired.contains(&number)
                    || self.truth.replaced_segments.contains(&number)
            }
            NumberedFile::Slice(_) => self.truth.replaced_slices.contains(&number),
        };
        if self.operator.pins() && self.is_recovered() && was_named {
            let how = format!("{name} is removed although a pin is held");
            return self.fail(Property::BodiesKept, how);
        }
        if self.truth.is_in_doubt() {
            return;
        }
        let names_it = |bytes: &[u8]| Manifest::decode(bytes).is_ok_and(|it| names(&it, file));
        if self.disk.versions_of(MANIFEST).any(names_it) {
            let how = format!("{name} is removed, and a manifest that may come back names it");
            self.fail(Property::AcknowledgedLost, how);
        }
    }
}
