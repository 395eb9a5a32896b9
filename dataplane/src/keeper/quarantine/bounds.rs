//! Where a damaged segment begins and ends in its log, by the best evidence that is left. Each kind of evidence is a case
//! with a name; what it means is in one place.

use super::held::{FIRST_BATCH_AT, FirstLeft, Held, Seen, named};
use crate::keeper::halt::Halt;
use crate::keeper::read_logs::made_lengths;
use crate::keeper::store::ManifestStore;
use crate::wal::lost_header;
use crate::wal::manifest::{Extent, LogEntry, SegmentEntry, SegmentState};
use crate::wal::name::Sequence;
use crate::wal::scan::MadeBytes;
use crate::wal::segment::{Predecessor, SegmentHeader};

/// A segment in its log, with what is left of its file.
#[derive(Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) store: &'a ManifestStore,
    pub(super) log: &'a LogEntry,
    /// Its index in the log.
    pub(super) index: usize,
    pub(super) held: &'a Held,
}

/// The evidence for where the log stands before a segment.
enum StandsBy {
    /// The nearest segment before it is closed: the manifest states where that ends.
    Closed(Extent),
    /// The last whole batch of the nearest segment before it that holds one which may count.
    Batch(Seen),
    /// No batch of that segment may count. Its header states where the log stood before it.
    Header(Predecessor),
    /// Nothing is known of the segments before it. The manifest states the segment's own first sequence.
    Stated(Sequence),
    /// Nothing was ever before it.
    Nothing(Sequence),
    /// What was before it is deleted, so it was durable at least up to here.
    Deleted(Sequence),
}

impl StandsBy {
    fn predecessor(self) -> Predecessor {
        let at = |ends_after, checksum| Predecessor {
            ends_after,
            checksum,
        };
        match self {
            StandsBy::Closed(extent) => at(extent.last, extent.last_checksum),
            StandsBy::Batch(seen) => at(seen.header.fields.sequence, seen.header.checksum),
            StandsBy::Header(predecessor) => predecessor,
            StandsBy::Stated(first) => at(Sequence(first.0 - 1), 0),
            StandsBy::Nothing(sequence) | StandsBy::Deleted(sequence) => at(sequence, 0),
        }
    }
}

/// How the header of the segment is known.
enum Lead {
    /// It is left.
    Left(SegmentHeader),
    /// The header of its first batch is left, which follows from the predecessor and repeats the header's checksum.
    FirstBatch(Seen),
    /// The segment is the log's first: there is nothing before it to be stated.
    FirstOfLog,
    /// Nothing of it is left. It is made from where the log stands before the segment, at the latest here.
    Anew { at_most: Option<Sequence> },
}

/// The evidence for up to where a segment must hold the log.
enum End {
    /// The manifest states it.
    Stated(Sequence),
    /// A segment behind it has its header, which states where this one ends.
    NextHeader(Sequence),
    /// The first batch of a segment behind it is left: this one ends just before.
    NextBatch(Sequence),
    /// A later batch of a segment behind it is left. What is missing before that may have been there as well as here: what
    /// this one is not known to have held is given up with that segment.
    NextLater { first: Sequence, known: Sequence },
    /// No segment behind it holds anything. It ends with what it is known to have held.
    Known(Sequence),
}

impl End {
    fn upto(self) -> Sequence {
        match self {
            End::Stated(sequence) | End::NextHeader(sequence) | End::Known(sequence) => sequence,
            End::NextBatch(first) => Sequence(first.0 - 1),
            End::NextLater { first, known } => known.min(Sequence(first.0 - 1)),
        }
    }
}

impl Segment<'_> {
    fn entry(&self) -> &SegmentEntry {
        &self.log.segments[self.index]
    }

    /// The header that the segment had, as far as it can be known: exactly, wherever the header of its first batch is left.
    pub(super) async fn header(&self) -> Result<SegmentHeader, Halt> {
        let lead = self.lead().await?;
        if let Lead::Left(header) = lead {
            return Ok(header);
        }
        let made = MadeBytes::longest(made_lengths(self.store).await?);
        let likely = SegmentHeader {
            made_bytes: made.bytes().or(Some(self.store.config.segment_bytes)),
            ..named(self.store, self.log, self.entry())
        };
        Ok(match lead {
            Lead::Left(header) => header,
            Lead::FirstOfLog => likely,
            Lead::FirstBatch(first) => self.header_by_first_batch(likely, &first).await?,
            Lead::Anew { at_most } => SegmentHeader {
                predecessor: Some(self.stands_before(at_most).await?),
                ..likely
            },
        })
    }

    /// The header whose checksum the first batch repeats.
    async fn header_by_first_batch(
        &self,
        likely: SegmentHeader,
        first: &Seen,
    ) -> Result<SegmentHeader, Halt> {
        let begins_after = Sequence(first.header.fields.sequence.0 - 1);
        let (predecessor, known) = match self.entry().ordinal {
            0 => (None, lost_header::Before::Known),
            _ => {
                let (predecessor, known) = self.ends_at(begins_after).await?;
                (Some(predecessor), known)
            }
        };
        let likely = SegmentHeader {
            predecessor,
            ..likely
        };
        let checksum = first.header.fields.previous_checksum;
        Ok(lost_header::with_checksum(likely, known, checksum))
    }

    /// The end of the log before the segment, which is known to be at this sequence; its checksum, if the batch is left that
    /// has it.
    async fn ends_at(
        &self,
        ends_after: Sequence,
    ) -> Result<(Predecessor, lost_header::Before), Halt> {
        let stands = self.stands_before(Some(ends_after)).await?;
        let is_first = ends_after == Sequence::before_first(self.log.id.start);
        let has_checksum = stands.checksum != 0 || is_first;
        Ok(match stands.ends_after == ends_after && has_checksum {
            true => (stands, lost_header::Before::Known),
            false => {
                let lost = Predecessor {
                    ends_after,
                    checksum: 0,
                };
                (lost, lost_header::Before::ChecksumLost)
            }
        })
    }

    async fn lead(&self) -> Result<Lead, Halt> {
        if let Some(header) = self.held.lead {
            return Ok(Lead::Left(header));
        }
        let first = self.held.seen.first();
        if let Some(first) = first.filter(|it| it.offset == FIRST_BATCH_AT) {
            return Ok(Lead::FirstBatch(*first));
        }
        if self.entry().ordinal == 0 {
            return Ok(Lead::FirstOfLog);
        }
        let mut at_most = self.held.may_begin_after();
        if at_most.is_none() && self.entry().state == SegmentState::Open {
            // It held at least one batch.
            let stated = self.end_stated_behind().await?;
            at_most = stated.map(|end| Sequence(end.0 - 1));
        }
        Ok(Lead::Anew { at_most })
    }

    /// Where this segment ends by the header of the one behind.
    async fn end_stated_behind(&self) -> Result<Option<Sequence>, Halt> {
        let Some(later) = self.log.segments.get(self.index + 1) else {
            return Ok(None);
        };
        let later = Held::read(self.store, self.log, later).await?;
        let before = later.lead.and_then(|lead| lead.predecessor);
        Ok(before.map(|before| before.ends_after))
    }

    /// Where the log stands before the segment, not counting what lies behind `at_most`.
    pub(super) async fn stands_before(
        &self,
        at_most: Option<Sequence>,
    ) -> Result<Predecessor, Halt> {
        let before = match self.left_before(at_most).await? {
            Some(before) => before,
            None => self.nothing_left_before(at_most),
        };
        Ok(before.predecessor())
    }

    /// What is left of the segments before it, the nearest first.
    async fn left_before(&self, at_most: Option<Sequence>) -> Result<Option<StandsBy>, Halt> {
        let may_count = |sequence| at_most.is_none_or(|at_most| sequence <= at_most);
        for entry in self.log.segments[..self.index].iter().rev() {
            if let Some(extent) = entry.state.extent() {
                return Ok(Some(StandsBy::Closed(*extent)));
            }
            let held = Held::read(self.store, self.log, entry).await?;
            let whole = held.whole().into_iter();
            let mut counting = whole.filter(|(sequence, _)| may_count(*sequence));
            if let Some((_, seen)) = counting.next_back() {
                return Ok(Some(StandsBy::Batch(seen)));
            }
            let stated = held.lead.and_then(|lead| lead.predecessor);
            if let Some(stated) = stated.filter(|stated| may_count(stated.ends_after)) {
                return Ok(Some(StandsBy::Header(stated)));
            }
        }
        Ok(None)
    }

    /// No segment before it is left: what was before is deleted, or there was nothing.
    fn nothing_left_before(&self, at_most: Option<Sequence>) -> StandsBy {
        let stated = self.entry().state.extent();
        if let Some(stated) = stated.filter(|extent| extent.first <= extent.last) {
            return StandsBy::Stated(stated.first);
        }
        let before_first = Sequence::before_first(self.log.id.start);
        let is_deleted = self.log.segments.first().is_some_and(|it| it.ordinal > 0);
        if !is_deleted {
            return StandsBy::Nothing(before_first);
        }
        // A segment is deleted only once slices cover it and its bodies are resolved: it reached at least as far as either.
        let covered = self.store.manifest.covered_upto(self.log.id);
        StandsBy::Deleted(match (covered, at_most) {
            (Some(covered), Some(at_most)) => covered.min(at_most),
            (Some(covered), None) => covered,
            (None, Some(at_most)) => at_most,
            (None, None) => self.log.resolved_upto.max(before_first),
        })
    }

    /// The last sequence that the segment must hold, where it goes on behind `begin`.
    pub(super) async fn upto(&self, begin: Sequence) -> Result<Sequence, Halt> {
        Ok(self.end(begin).await?.upto())
    }

    async fn end(&self, begin: Sequence) -> Result<End, Halt> {
        if let Some(extent) = self.entry().state.extent() {
            return Ok(End::Stated(extent.last));
        }
        let known = self.known_held(begin);
        for later in &self.log.segments[self.index + 1..] {
            let later = Held::read(self.store, self.log, later).await?;
            if let Some(before) = later.lead.and_then(|lead| lead.predecessor) {
                return Ok(End::NextHeader(before.ends_after));
            }
            match later.first() {
                Some(FirstLeft::First(first)) => return Ok(End::NextBatch(first)),
                Some(FirstLeft::Later(first)) => return Ok(End::NextLater { first, known }),
                None => {}
            }
        }
        Ok(End::Known(known))
    }

    /// The last sequence that the segment is known to have held, or that was durable wherever it was.
    fn known_held(&self, begin: Sequence) -> Sequence {
        let covered = self.store.manifest.covered_upto(self.log.id);
        let mut known = self.log.resolved_upto.max(covered.unwrap_or_default());
        if self.entry().state == SegmentState::Open {
            // An open segment held at least one batch.
            known = known.max(Sequence(begin.0 + 1));
        }
        for seen in &self.held.seen {
            known = known.max(seen.header.fields.durable_upto);
            if seen.whole {
                known = known.max(seen.header.fields.sequence);
            }
        }
        known
    }
}

/// The sequence that a segment goes on from.
pub(super) fn begin_of(lead: &SegmentHeader) -> Sequence {
    let before = lead.predecessor.map(|before| before.ends_after);
    before.unwrap_or(Sequence::before_first(lead.log.start))
}
