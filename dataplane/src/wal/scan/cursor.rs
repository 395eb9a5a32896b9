//! How far a log was read, and which batch must come next: behind the last one that counts and behind all gaps that an
//! operator accepted. It knows what the manifest states of the log; it never looks into a file.

use crate::wal::manifest::{Extent, Gap, LogEntry, Manifest};
use crate::wal::name::Sequence;
use crate::wal::segment::Predecessor;

/// Where reading stands in a log.
pub(super) struct Cursor<'a> {
    manifest: &'a Manifest,
    log: &'a LogEntry,
    stands: Stands,
    /// Everything up to here was durable, whatever the segments hold.
    floor: Sequence,
}

/// Where a log stands, as far as it is known.
#[derive(Clone, Copy)]
enum Stands {
    /// Behind this batch, which counts. Its header's checksum is 0 before the first batch of the log.
    Behind(Predecessor),
    /// Behind this sequence, by what the manifest states. The beginning of the log was deleted, and the checksum with it.
    After(Sequence),
    /// Where a segment header will state it: the manifest does not.
    Unstated,
}

impl<'a> Cursor<'a> {
    /// Before the segment of this index.
    pub(super) fn new(manifest: &'a Manifest, log: &'a LogEntry, from: usize) -> Cursor<'a> {
        Cursor {
            manifest,
            log,
            stands: stands_before(manifest, log, from),
            floor: floor(manifest, log),
        }
    }

    /// The last batch that counts, where it is known.
    pub(super) fn end(&self) -> Option<Predecessor> {
        match self.stands {
            Stands::Behind(end) => Some(end),
            Stands::After(_) | Stands::Unstated => None,
        }
    }

    /// The last sequence that counts, as far as it is known: else where the log must at least have been.
    pub(super) fn last(&self) -> Sequence {
        match (self.stands, self.log.ended_at) {
            (Stands::Behind(end), _) => end.ends_after,
            (Stands::After(sequence), _) => sequence,
            (Stands::Unstated, Some(mark)) => mark.sequence,
            (Stands::Unstated, None) => {
                floor(self.manifest, self.log).max(Sequence::before_first(self.log.id.start))
            }
        }
    }

    /// The sequence that must come next, behind all gaps; none if the counter is full.
    pub(super) fn expected(&self) -> Option<Sequence> {
        let mut next = self.last().next()?;
        while let Some(gap) = self.gap(next) {
            next = gap.to.next()?;
        }
        Some(next)
    }

    /// What was durable for certain.
    pub(super) fn floor(&self) -> Sequence {
        self.floor
    }

    /// Something else says that all up to here was durable.
    pub(super) fn raise_floor(&mut self, durable_upto: Sequence) {
        self.floor = self.floor.max(durable_upto);
    }

    /// Whether what was read ends where a header or the manifest states: with that batch and nothing else, or an operator gave
    /// up all that lies between. What is not known agrees with everything.
    pub(super) fn agrees(&self, stated: Predecessor) -> bool {
        self.end().is_none_or(|end| {
            end == stated || self.only_gaps_between(end.ends_after, stated.ends_after)
        })
    }

    /// Whether the log may go on behind a header's statement with nothing in the segment between. Where the manifest does not
    /// state where that segment begins, the header alone does, as long as it skips nothing: the floor may lie further on,
    /// in the segments behind.
    pub(super) fn is_at(&self, stated: Predecessor) -> bool {
        let last = self.last();
        match self.stands {
            Stands::Behind(_) => self.agrees(stated),
            Stands::After(_) => {
                last == stated.ends_after || self.only_gaps_between(last, stated.ends_after)
            }
            Stands::Unstated => stated.ends_after <= last,
        }
    }

    /// Goes on behind a batch that counts, or behind what a header or the manifest states.
    pub(super) fn move_to(&mut self, end: Predecessor) {
        assert!(
            self.end()
                .is_none_or(|now| now.ends_after <= end.ends_after),
            "a log is read forward"
        );
        self.stands = Stands::Behind(end);
    }

    /// Whether the batch that must come next directly follows the last one. Behind a gap the header before is not known.
    pub(super) fn is_chained(&self, expected: Sequence) -> bool {
        self.last().next() == Some(expected)
    }

    /// Whether all that is missing between two sequences was given up by an operator.
    fn only_gaps_between(&self, last: Sequence, stated: Sequence) -> bool {
        let mut at = last;
        while at < stated {
            match at.next().and_then(|next| self.gap(next)) {
                Some(gap) => at = gap.to.min(stated),
                None => return false,
            }
        }
        at == stated && last < stated
    }

    /// The gap that holds a sequence.
    fn gap(&self, sequence: Sequence) -> Option<&'a Gap> {
        self.manifest.gap(self.log.id, sequence)
    }
}

/// Where the log stands behind a segment that the manifest calls closed.
pub(super) fn end_of(extent: &Extent) -> Predecessor {
    Predecessor {
        ends_after: extent.last,
        checksum: extent.last_checksum,
    }
}

/// Up to where a log that has not ended was durable for certain: its bodies had their dispositions in it, or slices hold its
/// decisions. An ended log has an end mark instead.
fn floor(manifest: &Manifest, log: &LogEntry) -> Sequence {
    match log.ended_at {
        Some(_) => Sequence::default(),
        None => log
            .resolved_upto
            .max(manifest.covered_upto(log.id).unwrap_or_default()),
    }
}

/// What the manifest knows of the end of the log before a segment.
fn stands_before(manifest: &Manifest, log: &LogEntry, from: usize) -> Stands {
    let before = from
        .checked_sub(1)
        .and_then(|index| log.segments.get(index));
    if let Some(extent) = before.and_then(|entry| entry.state.extent()) {
        return Stands::Behind(end_of(extent));
    }
    let Some(first) = log.segments.get(from) else {
        return Stands::Unstated;
    };
    if first.ordinal == 0 {
        return Stands::Behind(Predecessor {
            ends_after: Sequence::before_first(log.id.start),
            checksum: 0,
        });
    }
    // Slices cover whole closed segments, and all that was deleted. So where no segment is left that is closed, they end
    // where the deleted ones did.
    let is_bare = before.is_none() && first.state.extent().is_none();
    let covered = manifest.covered_upto(log.id).filter(|_| is_bare);
    covered.map_or(Stands::Unstated, Stands::After)
}
