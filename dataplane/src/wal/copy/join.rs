//! Logs of a copy, continued by what later copies of the same incarnation have of them. Slices stay those of the earlier copy: so the
//! logs can be cut at a point that the slices of the later copies are behind.

use crate::wal::manifest::{LogEntry, Manifest, SegmentEntry};
use crate::wal::name::LogId;
use std::fmt;

/// A part of a log is in neither copy: it was sealed and deleted between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The log.
    pub log: LogId,
}

impl fmt::Display for Hole {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "a part of log {} was sealed and deleted between two backups",
            self.log
        )
    }
}

impl std::error::Error for Hole {}

/// The earlier copy with the logs of the later one.
///
/// # Errors
/// There is a hole in a log.
pub fn join(earlier: &Manifest, later: &Manifest) -> Result<Manifest, Hole> {
    let mut joined = earlier.clone();
    for log in &later.logs {
        let segments = match joined.log(log.id) {
            Some(known) => continued(known, log),
            None => from_beginning(earlier, log),
        };
        let segments = segments.ok_or(Hole { log: log.id })?;
        joined.logs.retain(|it| it.id != log.id);
        joined.logs.push(LogEntry {
            segments,
            ..log.clone()
        });
    }
    joined.logs.sort_by_key(|log| log.id);
    // Only what slices cover is ever deleted, and what they cover is never forgotten.
    for cover in later.slices.iter().flat_map(|slice| &slice.covers) {
        let log = joined.log(cover.log).and_then(|log| log.ended_at);
        let end = log.map(|end| end.sequence);
        if end.max(earlier.covered_upto(cover.log)) < Some(cover.upto) {
            return Err(Hole { log: cover.log });
        }
    }
    let new_gaps = later.gaps.iter().filter(|gap| !earlier.gaps.contains(gap));
    joined.gaps.extend(new_gaps);
    joined.start = later.start;
    joined.generation = later.generation;
    joined.next_file = later.next_file;
    joined.clean_stop = later.clean_stop;
    Ok(joined)
}

/// The segments of a log that both copies have.
fn continued(known: &LogEntry, log: &LogEntry) -> Option<Vec<SegmentEntry>> {
    let next = log.segments.first()?;
    let first = next.ordinal;
    let before = known.segments.iter().filter(|it| it.ordinal < first);
    let mut segments: Vec<SegmentEntry> = before.copied().collect();
    // The earlier copy may have only a part of its last segment.
    let follows = |last: &SegmentEntry| {
        let end = last.state.extent().and_then(|it| it.last.next());
        let begin = next.state.extent().map(|it| it.first);
        last.ordinal.checked_add(1) == Some(first) && end.is_some() && end == begin
    };
    let begins = || known.segments.first().is_some_and(|it| it.ordinal >= first);
    if !segments.last().map_or_else(begins, follows) {
        return None;
    }
    segments.extend(&log.segments);
    Some(segments)
}

/// The segments of a log that only the later copy has: from its beginning, or from where the slices of the earlier one end.
fn from_beginning(earlier: &Manifest, log: &LogEntry) -> Option<Vec<SegmentEntry>> {
    let first = log.segments.first()?;
    let covered = earlier.covered_upto(log.id).and_then(|upto| upto.next());
    let goes_on = covered.is_some() && covered == first.state.extent().map(|it| it.first);
    (first.ordinal == 0 || goes_on).then(|| log.segments.clone())
}
