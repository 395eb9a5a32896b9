//! What becomes of a damaged segment: which batches are kept, what is missing, and what the manifest will state. It is made
//! from what is left of the segment and of its neighbours, and writes nothing.

use super::bounds::{Segment, begin_of};
use super::held::{Held, Seen};
use super::read_as;
use crate::keeper::halt::Halt;
use crate::keeper::read_logs::made_lengths;
use crate::keeper::store::ManifestStore;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::{
    Extent, Gap, LogEndMark, LogEntry, Manifest, SegmentEntry, SegmentState,
};
use crate::wal::name::{LogId, Sequence};
use crate::wal::scan::{MadeBytes, TooShort};
use crate::wal::segment::{Predecessor, SegmentHeader};
use std::collections::{BTreeMap, BTreeSet};

/// What is to become of a segment.
pub(super) struct Plan {
    pub(super) log: LogEntry,
    index: usize,
    pub(super) entry: SegmentEntry,
    pub(super) held: Held,
    /// How long the segment was made: as its header states, else as others show it.
    made: MadeBytes,
    /// The new segment's header.
    lead: SegmentHeader,
    /// Batches that go into it.
    pub(super) kept: BTreeMap<Sequence, Seen>,
    /// What the manifest will state of it, where it states anything.
    pub(super) extent: Extent,
    /// What is given up.
    pub(super) gaps: Vec<Gap>,
}

impl Plan {
    pub(super) async fn make(
        store: &ManifestStore,
        log: &LogEntry,
        index: usize,
    ) -> Result<Plan, Halt> {
        let entry = log.segments[index];
        let held = Held::read(store, log, &entry).await?;
        let segment = Segment {
            store,
            log,
            index,
            held: &held,
        };
        let lead = segment.header().await?;
        let made = match lead.made_bytes {
            Some(bytes) => MadeBytes::stated(bytes),
            None => MadeBytes::longest(made_lengths(store).await?),
        };
        let begin = begin_of(&lead);
        let upto = segment.upto(begin).await?;
        let mut kept = held.whole();
        kept.retain(|sequence, _| *sequence > begin && *sequence <= upto);
        let gaps = missing(&store.manifest, log.id, begin, upto, &kept);
        let extent = match extent_of(&kept) {
            Some(extent) => extent,
            None => nothing_behind(segment.stands_before(None).await?),
        };
        Ok(Plan {
            log: log.clone(),
            index,
            entry,
            held,
            made,
            lead,
            kept,
            extent,
            gaps,
        })
    }

    /// Whether the new segment would be another one than the old.
    pub(super) fn changes_anything(&self) -> bool {
        match self.entry.state.extent() {
            // Nothing of it is ever read.
            Some(stated) if stated.first > stated.last => {
                self.held.contents.missing || *stated != self.extent
            }
            Some(stated) => self.is_harmed() || *stated != self.extent,
            None => self.is_harmed(),
        }
    }

    fn is_harmed(&self) -> bool {
        let headless = self.held.lead.is_none() && self.was_used();
        headless
            || self.held.misplaced
            || self.too_short().is_some()
            || !self.gaps.is_empty()
            || self.held.contents.unreadable_bytes > 0
    }

    /// A next segment has no header until it is used.
    fn was_used(&self) -> bool {
        self.held.contents.missing
            || !self.held.seen.is_empty()
            || self.entry.state != SegmentState::Next
    }

    /// Whether the file lost its end. A closed segment is compared with its extent.
    pub(super) fn too_short(&self) -> Option<TooShort> {
        let unfinished = self.entry.state.extent().is_none() && !self.held.contents.missing;
        let bytes = self.held.contents.bytes.len() as u64;
        self.made.fault(bytes).filter(|_| unfinished)
    }

    /// Whether more batches may be lost than the gaps name: the log ends in this segment, and a part of the file is gone. A batch
    /// that nothing else mentions leaves no trace then.
    pub(super) fn may_lose_more(&self) -> bool {
        let is_unfinished = self.entry.state.extent().is_none();
        let lost_a_part = self.too_short().is_some()
            || self.held.contents.missing
            || self.held.contents.unreadable_bytes > 0;
        is_unfinished && lost_a_part
    }

    /// The bytes of the new segment: its header and the whole batches, one behind the other. One that is not closed is as
    /// long as it was made.
    pub(super) fn copy(&self, segment_bytes: u64) -> Result<Vec<u8>, Halt> {
        let mut copy = self.header_block();
        for seen in self.kept.values() {
            let start = seen.offset as usize;
            let batch = self
                .held
                .contents
                .bytes
                .get(start..start + seen.header.bytes());
            let batch = batch.ok_or_else(|| refused("the segment changed meanwhile"))?;
            copy.extend_from_slice(batch);
        }
        if self.entry.state.extent().is_none() {
            let made_bytes = self.made.bytes().unwrap_or(segment_bytes) as usize;
            copy.resize(copy.len().max(made_bytes), 0);
        }
        Ok(copy)
    }

    /// The header that is left, byte for byte: it may have fields that only a later flk knows. Else the one that was made anew.
    fn header_block(&self) -> Vec<u8> {
        if self.held.lead.is_some() {
            return self.held.contents.bytes[..BLOCK_BYTES].to_vec();
        }
        let mut block = [0; BLOCK_BYTES];
        self.lead.encode(&mut block);
        block.to_vec()
    }

    /// The manifest that names the new segment in the place of the old one. No time passes by it: its clock stays.
    pub(super) fn manifest(&self, store: &ManifestStore, number: u64) -> Manifest {
        let mut next = store.draft();
        next.clock = store.manifest.clock;
        next.gaps.extend(&self.gaps);
        let Some(log) = next.log_mut(self.log.id) else {
            unreachable!("a plan is of a log that the manifest names")
        };
        let entry = &mut log.segments[self.index];
        entry.file = number;
        entry.state = match entry.state {
            // The new file holds its batches as they were written first, whatever the old one was.
            SegmentState::Closed(_) | SegmentState::Packed(..) => SegmentState::Closed(self.extent),
            // A last segment holds exactly one batch.
            SegmentState::Last(_) if self.kept.is_empty() => SegmentState::Closed(self.extent),
            SegmentState::Last(_) => SegmentState::Last(self.extent),
            open => open,
        };
        self.move_end(log);
        next
    }

    /// Segments behind this one that hold nothing, and the end of the log behind them, stand where this one ends now.
    fn move_end(&self, log: &mut LogEntry) {
        if self.entry.state.extent().is_none() {
            return;
        }
        for entry in &mut log.segments[self.index + 1..] {
            match &mut entry.state {
                SegmentState::Closed(extent) if extent.first > extent.last => {
                    extent.first = Sequence(self.extent.last.0 + 1);
                    extent.last = self.extent.last;
                    extent.last_checksum = self.extent.last_checksum;
                }
                _ => return,
            }
        }
        if let Some(mark) = &mut log.ended_at {
            *mark = LogEndMark {
                sequence: self.extent.last,
                checksum: self.extent.last_checksum,
            };
        }
    }

    /// Reads the new segment as the next start will: every batch that was kept must count.
    pub(super) async fn read_back(
        &self,
        store: &ManifestStore,
        next: &Manifest,
    ) -> Result<(), Halt> {
        let Some(log) = next.log(self.log.id) else {
            unreachable!("a plan is of a log that the manifest names")
        };
        // What is behind it may be damaged too, or missing; that is for later.
        let log = LogEntry {
            segments: log.segments[..=self.index].to_vec(),
            ended_at: None,
            resolved_upto: Sequence::before_first(log.id.start),
            ..log.clone()
        };
        let mut read = BTreeSet::new();
        let verdict = read_as(store, next, &log, self.index, |sequence| {
            read.insert(sequence);
        })
        .await?;
        if verdict.is_sound() && self.kept.keys().all(|sequence| read.contains(sequence)) {
            return Ok(());
        }
        Err(refused(&format!(
            "the new segment would not read as it must ({verdict}; {} of {} batches): please report this",
            read.len(),
            self.kept.len()
        )))
    }
}

fn refused(why: &str) -> Halt {
    Halt::Refused(format!("{why}. The log was not changed"))
}

/// What the manifest states of a segment with these batches; nothing if there are none.
fn extent_of(kept: &BTreeMap<Sequence, Seen>) -> Option<Extent> {
    let (first, last) = (kept.first_key_value()?, kept.last_key_value()?);
    let batches: usize = kept.values().map(|seen| seen.header.bytes()).sum();
    Some(Extent {
        first: *first.0,
        last: *last.0,
        bytes: (BLOCK_BYTES + batches) as u64,
        last_checksum: last.1.header.checksum,
    })
}

/// What the manifest states of a segment without batches: it ends where it begins.
fn nothing_behind(stands: Predecessor) -> Extent {
    Extent {
        first: Sequence(stands.ends_after.0 + 1),
        last: stands.ends_after,
        bytes: 0,
        last_checksum: stands.checksum,
    }
}

/// The sequences behind `begin` and up to `upto` that are neither kept nor given up already.
fn missing(
    manifest: &Manifest,
    log: LogId,
    begin: Sequence,
    upto: Sequence,
    kept: &BTreeMap<Sequence, Seen>,
) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = Vec::new();
    let mut at = Sequence(begin.0 + 1);
    while at <= upto {
        if let Some(known) = manifest.gap(log, at) {
            at = Sequence(known.to.0 + 1);
            continue;
        }
        if !kept.contains_key(&at) {
            match gaps.last_mut() {
                Some(gap) if gap.to.0 + 1 == at.0 => gap.to = at,
                _ => gaps.push(Gap {
                    log,
                    from: at,
                    to: at,
                }),
            }
        }
        at = Sequence(at.0 + 1);
    }
    gaps
}
