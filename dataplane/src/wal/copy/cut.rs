//! A copy that ends earlier: one of its logs is cut behind a batch. A decision that is behind the cut must be in no slice, else
//! the copy would answer with an outcome whose record it does not have; such a cut is refused.

use super::content::read_alone;
use crate::wal::manifest::{
    CLOCK_BEGIN_US, Cover, Extent, LogEndMark, LogEntry, Manifest, SegmentState,
};
use crate::wal::name::{LogId, Sequence};
use crate::wal::scan::{LogVerdict, ReadAt};
use std::fmt;

/// Where a log is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutAt {
    /// Behind this sequence.
    Sequence(Sequence),
    /// Before the first batch whose wall clock shows a later time, in microseconds since the Unix epoch.
    Time(u64),
}

impl CutAt {
    /// Whether a batch is behind the cut.
    fn is_before(self, sequence: Sequence, wall_us: u64) -> bool {
        match self {
            CutAt::Sequence(last) => sequence > last,
            CutAt::Time(last_us) => wall_us > last_us,
        }
    }
}

/// Why a log cannot be cut there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCut {
    /// Slices hold decisions of the log from behind the cut.
    Sealed {
        /// The log.
        log: LogId,
        /// The earliest end that it can have.
        upto: Sequence,
    },
    /// Slices may hold decisions that are later than the cut, of a log whose segments are deleted: nothing says when they were made.
    Deleted(LogId),
    /// The copy does not have the log.
    Unknown(LogId),
}

impl fmt::Display for NoCut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoCut::Sealed { log, upto } => write!(
                out,
                "slices hold the decisions of log {log} up to {upto}, so it cannot end before that"
            ),
            NoCut::Deleted(log) => write!(
                out,
                "slices may hold later decisions of log {log}, whose segments are deleted"
            ),
            NoCut::Unknown(log) => write!(out, "there is no log {log}"),
        }
    }
}

impl std::error::Error for NoCut {}

/// What is left of the closed segment of this index; none if its first batch is behind the cut already.
///
/// # Errors
/// The segment does not hold what the manifest states.
pub async fn part_of<R: ReadAt>(
    manifest: &Manifest,
    log: &LogEntry,
    index: usize,
    file: &R,
    at: CutAt,
) -> Result<Option<Extent>, LogVerdict> {
    let first = log.segments.get(index).and_then(|it| it.state.extent());
    let (mut part, mut is_behind) = (None, false);
    read_alone(manifest, log, index, file, |place, batch| {
        let fields = &batch.header.fields;
        is_behind |= at.is_before(fields.sequence, fields.wall_us);
        if !is_behind {
            part = first.map(|extent| Extent {
                first: extent.first,
                last: fields.sequence,
                bytes: place.offset + place.bytes as u64,
                last_checksum: batch.header.checksum,
            });
        }
    })
    .await?;
    Ok(part)
}

/// Refuses to cut all logs at a time where slices may reach behind it by logs that the copy does not have any more: what they cover
/// of those is compared with nothing else.
///
/// # Errors
/// A slice that covers such a log may hold a later decision.
pub fn refuse_deleted(manifest: &Manifest, time_us: u64) -> Result<(), NoCut> {
    let clock = manifest.clock;
    // Time that was withheld from the expiry clock since a decision was made is at most all of it.
    let behind_us = clock.wall_us.saturating_sub(wall_us(clock.expiry_s));
    for slice in &manifest.slices {
        let until_us = wall_us(slice.decided_last.saturating_add(1)).saturating_add(behind_us);
        let deleted = |cover: &&Cover| manifest.log(cover.log).is_none();
        if let Some(cover) = slice.covers.iter().find(deleted)
            && until_us > time_us
        {
            return Err(NoCut::Deleted(cover.log));
        }
    }
    Ok(())
}

/// The wall clock at a second of the expiry clock from which nothing is withheld.
fn wall_us(expiry_s: u32) -> u64 {
    CLOCK_BEGIN_US + u64::from(expiry_s) * 1_000_000
}

/// Ends a log in its segment of this index: with that part of it, or before it.
///
/// # Errors
/// Slices hold decisions from behind the cut.
pub fn cut(
    manifest: &mut Manifest,
    id: LogId,
    index: usize,
    part: Option<Extent>,
) -> Result<(), NoCut> {
    let covered = manifest.covered_upto(id);
    let log = manifest.log_mut(id).ok_or(NoCut::Unknown(id))?;
    let mut segments = log.segments.clone();
    segments.truncate(index + usize::from(part.is_some()));
    if let (Some(part), Some(last)) = (part, segments.last_mut()) {
        last.state = SegmentState::Closed(part);
    }
    let extent = segments.last().and_then(|it| it.state.extent());
    let end = extent.map_or_else(
        || LogEndMark {
            sequence: Sequence::before_first(id.start),
            checksum: 0,
        },
        |extent| LogEndMark {
            sequence: extent.last,
            checksum: extent.last_checksum,
        },
    );
    if let Some(upto) = covered.filter(|upto| *upto > end.sequence) {
        return Err(NoCut::Sealed { log: id, upto });
    }
    log.segments = segments;
    log.resolved_upto = end.sequence;
    log.ended_at = Some(end);
    manifest.logs.retain(|log| !log.segments.is_empty());
    manifest.clean_stop = false;
    Ok(())
}
