//! What becomes of a damaged segment: which batches are kept, what is missing, and what the manifest will say. It is made
//! from what is left of the segment and of its neighbours, and writes nothing.

use super::held::{FIRST_BATCH_AT, Held, Seen, named};
use super::read_as;
use crate::keeper::halt::Halt;
use crate::keeper::recover::{covered_upto, made_lengths};
use crate::keeper::store::ManifestStore;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::NumberedFile;
use crate::wal::lost_header::{self, Before};
use crate::wal::manifest::{
    Extent, Gap, LogEndMark, LogEntry, Manifest, SegmentEntry, SegmentState,
};
use crate::wal::name::{LogId, Sequence};
use crate::wal::scan::{MadeBytes, TooShort};
use crate::wal::segment::{Predecessor, SegmentHeader};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Where the log stands before a segment, not counting what lies behind `limit`.
async fn stands_before(
    store: &ManifestStore,
    log: &LogEntry,
    index: usize,
    limit: Option<Sequence>,
) -> Result<Predecessor, Halt> {
    let before_first = Sequence::before_first(log.id.start);
    let limit_or_end = limit.unwrap_or(Sequence(u64::MAX));
    for entry in log.segments[..index].iter().rev() {
        if let Some(extent) = entry.state.extent() {
            return Ok(Predecessor {
                ends_after: extent.last,
                checksum: extent.last_checksum,
            });
        }
        let held = Held::read(store, log, entry).await?;
        let own = held.lead.and_then(|lead| lead.predecessor);
        let whole = held.whole();
        let last = whole.range(..=limit_or_end).next_back();
        let last = last.map(|(sequence, seen)| Predecessor {
            ends_after: *sequence,
            checksum: seen.header.checksum,
        });
        if let Some(stands) = last.or(own.filter(|own| own.ends_after <= limit_or_end)) {
            return Ok(stands);
        }
    }
    // What was before is deleted, or there was nothing.
    let stated = log.segments[index].state.extent();
    if let Some(stated) = stated.filter(|extent| extent.first <= extent.last) {
        return Ok(Predecessor {
            ends_after: Sequence(stated.first.0 - 1),
            checksum: 0,
        });
    }
    let deleted = log.segments.first().is_some_and(|entry| entry.ordinal > 0);
    let covered = covered_upto(&store.manifest, log.id).filter(|_| deleted);
    let ends_after = match (covered, limit) {
        _ if !deleted => before_first,
        (Some(covered), limit) => covered.min(limit.unwrap_or(covered)),
        (None, Some(limit)) => limit,
        (None, None) => log.resolved_upto.max(before_first),
    };
    Ok(Predecessor {
        ends_after,
        checksum: 0,
    })
}

/// What is to become of a segment.
pub(super) struct Plan {
    log: LogEntry,
    index: usize,
    entry: SegmentEntry,
    pub(super) held: Held,
    /// How long the segment was made: as its header states, else as others show it.
    made: MadeBytes,
    /// The new segment's header.
    lead: SegmentHeader,
    /// Batches that go into it.
    kept: BTreeMap<Sequence, Seen>,
    /// What the manifest will state of it, where it states anything.
    extent: Extent,
    /// What is given up.
    gaps: Vec<Gap>,
}

impl Plan {
    pub(super) async fn make(
        store: &ManifestStore,
        log: &LogEntry,
        index: usize,
    ) -> Result<Plan, Halt> {
        let entry = log.segments[index];
        let held = Held::read(store, log, &entry).await?;
        let lead = match held.lead {
            Some(lead) => lead,
            None => rebuilt(store, log, index, &held).await?,
        };
        let made = match lead.made_bytes {
            Some(bytes) => MadeBytes::stated(bytes),
            None => MadeBytes::longest(made_lengths(store).await?),
        };
        let begin = begin_of(&lead);
        let upto = upto(store, log, index, &held, begin).await?;
        let mut kept = held.whole();
        kept.retain(|sequence, _| *sequence > begin && *sequence <= upto);
        let gaps = missing(&store.manifest, log.id, begin, upto, &kept);
        let extent = match extent_of(&kept) {
            Some(extent) => extent,
            None => nothing_behind(stands_before(store, log, index, None).await?),
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

    pub(super) fn lost_count(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.to.0 - gap.from.0 + 1).sum()
    }

    /// Which decisions are lost, one id a line, and of how many batches that cannot be known.
    pub(super) fn lost_ids(&self) -> String {
        let lost = |seen: &&Seen| {
            let sequence = seen.header.fields.sequence;
            let given_up = |gap: &Gap| (gap.from..=gap.to).contains(&sequence);
            !seen.whole && self.gaps.iter().any(given_up)
        };
        let known = self.held.seen.iter().filter(lost);
        let known: BTreeMap<Sequence, Vec<[u8; 32]>> = known
            .filter_map(|seen| Some((seen.header.fields.sequence, self.held.ids_of(seen)?)))
            .collect();
        let unknown = self.lost_count() - known.len() as u64;
        let ids: Vec<&[u8; 32]> = known.values().flatten().collect();
        let mut text = match unknown {
            0 => String::new(),
            _ => format!(". Of {unknown} batches nothing is left that says which ids were in them"),
        };
        if !ids.is_empty() {
            text.push_str(&format!(". The decisions of {} ids are lost:", ids.len()));
        }
        for id in ids {
            text.push('\n');
            text.extend(id.iter().map(|byte| format!("{byte:02x}")));
        }
        text
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
    fn too_short(&self) -> Option<TooShort> {
        let unfinished = self.entry.state.extent().is_none() && !self.held.contents.missing;
        let bytes = self.held.contents.bytes.len() as u64;
        self.made.fault(bytes).filter(|_| unfinished)
    }

    /// The bytes of the new segment: its header and the whole batches, one behind the other. One that is not closed is as
    /// long as it was made.
    pub(super) fn copy(&self, segment_bytes: u64) -> Result<Vec<u8>, Halt> {
        let mut block = [0; BLOCK_BYTES];
        self.lead.encode(&mut block);
        let mut copy = block.to_vec();
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

    /// The manifest that names the new segment in the place of the old one. No time passes by it: its clock stays.
    pub(super) fn manifest(&self, store: &ManifestStore, number: u64) -> Manifest {
        let mut next = store.draft();
        next.clock = store.manifest.clock;
        next.gaps.extend(&self.gaps);
        let Some(log) = next.logs.iter_mut().find(|it| it.id == self.log.id) else {
            return next;
        };
        let entry = &mut log.segments[self.index];
        entry.file = number;
        entry.state = match entry.state {
            SegmentState::Closed(_) => SegmentState::Closed(self.extent),
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
        let Some(log) = next.logs.iter().find(|it| it.id == self.log.id) else {
            return Ok(());
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

/// The header that a segment had, as far as it can be known: exactly, wherever the header of its first batch is left.
async fn rebuilt(
    store: &ManifestStore,
    log: &LogEntry,
    index: usize,
    held: &Held,
) -> Result<SegmentHeader, Halt> {
    let entry = &log.segments[index];
    let made = MadeBytes::longest(made_lengths(store).await?);
    let likely = SegmentHeader {
        made_bytes: made.bytes().or(Some(store.config.segment_bytes)),
        ..named(store, log, entry)
    };
    if let Some(first) = held.seen.first().filter(|it| it.offset == FIRST_BATCH_AT) {
        let begins_after = Sequence(first.header.fields.sequence.0 - 1);
        let (predecessor, before) = match entry.ordinal {
            0 => (None, Before::Known),
            _ => {
                let (predecessor, before) = ends_at(store, log, index, begins_after).await?;
                (Some(predecessor), before)
            }
        };
        let likely = SegmentHeader {
            predecessor,
            ..likely
        };
        let checksum = first.header.fields.previous_checksum;
        return Ok(lost_header::with_checksum(likely, before, checksum));
    }
    if entry.ordinal == 0 {
        return Ok(likely);
    }
    let mut limit = held.may_begin_after();
    if limit.is_none() && entry.state == SegmentState::Open {
        // It held at least one batch.
        let stated = stated_end(store, log, index).await?;
        limit = stated.map(|end| Sequence(end.0 - 1));
    }
    let stands = stands_before(store, log, index, limit).await?;
    Ok(SegmentHeader {
        predecessor: Some(stands),
        ..likely
    })
}

/// The end of the log before a segment, which is known to be at this sequence; its checksum, if the batch is left that has it.
async fn ends_at(
    store: &ManifestStore,
    log: &LogEntry,
    index: usize,
    ends_after: Sequence,
) -> Result<(Predecessor, Before), Halt> {
    let stands = stands_before(store, log, index, Some(ends_after)).await?;
    let has_checksum = stands.checksum != 0 || ends_after == Sequence::before_first(log.id.start);
    Ok(match stands.ends_after == ends_after && has_checksum {
        true => (stands, Before::Known),
        false => {
            let lost = Predecessor {
                ends_after,
                checksum: 0,
            };
            (lost, Before::ChecksumLost)
        }
    })
}

/// Where the header of the segment behind says that this one ends.
async fn stated_end(
    store: &ManifestStore,
    log: &LogEntry,
    index: usize,
) -> Result<Option<Sequence>, Halt> {
    let Some(later) = log.segments.get(index + 1) else {
        return Ok(None);
    };
    let later = Held::read(store, log, later).await?;
    let before = later.lead.and_then(|lead| lead.predecessor);
    Ok(before.map(|before| before.ends_after))
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

/// The sequence that a segment goes on from.
fn begin_of(lead: &SegmentHeader) -> Sequence {
    let before = lead.predecessor.map(|before| before.ends_after);
    before.unwrap_or(Sequence::before_first(lead.log.start))
}

/// The last sequence that a segment must hold.
async fn upto(
    store: &ManifestStore,
    log: &LogEntry,
    index: usize,
    held: &Held,
    begin: Sequence,
) -> Result<Sequence, Halt> {
    let state = log.segments[index].state;
    if let Some(extent) = state.extent() {
        return Ok(extent.last);
    }
    // What the manifest knows to have been durable, wherever it was; an open segment held at least one batch.
    let covered = covered_upto(&store.manifest, log.id).unwrap_or_default();
    let mut known = log.resolved_upto.max(covered);
    if state == SegmentState::Open {
        known = known.max(Sequence(begin.0 + 1));
    }
    let fields = |seen: &Seen| seen.header.fields;
    let durable = held.seen.iter().map(|seen| fields(seen).durable_upto);
    let whole = held.seen.iter().filter(|seen| seen.whole);
    let own = durable.chain(whole.map(|seen| fields(seen).sequence)).max();
    let own = own.unwrap_or_default().max(known);
    for later in &log.segments[index + 1..] {
        let later = Held::read(store, log, later).await?;
        if let Some(before) = later.lead.and_then(|lead| lead.predecessor) {
            return Ok(before.ends_after);
        }
        match later.first() {
            Some((first, true)) => return Ok(Sequence(first.0 - 1)),
            // What is missing before it may have been there as well as here: it is given up with that segment.
            Some((first, false)) => return Ok(own.min(Sequence(first.0 - 1))),
            None => {}
        }
    }
    Ok(own)
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

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NumberedFile::Segment(self.entry.file);
        write!(
            out,
            "{name}: log {}, {} batches whole",
            self.log.id,
            self.kept.len()
        )?;
        match (self.held.contents.missing, &self.held.lead) {
            (true, _) => out.write_str("; the file is not there")?,
            (_, None) => out.write_str("; its header is damaged and is made anew")?,
            _ => {}
        }
        if self.held.misplaced {
            out.write_str("; it holds another segment")?;
        }
        if let Some(short) = self.too_short() {
            write!(out, "; {short}")?;
        }
        if self.held.contents.unreadable_bytes > 0 {
            let bytes = self.held.contents.unreadable_bytes;
            write!(out, "; the device refuses to read {bytes} bytes of it")?;
        }
        if self.gaps.is_empty() {
            out.write_str("; no batch is lost")?;
        }
        for gap in &self.gaps {
            write!(out, "; missing {} to {}", gap.from, gap.to)?;
        }
        Ok(())
    }
}
