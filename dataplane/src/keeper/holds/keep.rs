//! What holds keep, and what they let go of at their limits. Pure functions of the manifest and the clock: which segments go is
//! the retention's to say.

use super::RELEASED_COUNT_MAX;
use crate::wal::manifest::{Extent, Hold, Manifest, ReleasedRange, Sections, SegmentEntry};
use crate::wal::name::{LogId, Sequence};
use std::collections::BTreeSet;

/// Why a hold let go of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetGo {
    /// It kept more bytes from being deleted than it may.
    Bytes,
    /// It has not moved for longer than it may.
    Age,
    /// The room was needed.
    Room,
}

/// A segment that retention would take, and that a hold is not done with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldSegment {
    pub(crate) log: LogId,
    pub(crate) entry: SegmentEntry,
    pub(crate) extent: Extent,
    /// Expiry clock of its newest batch, and no less than that of segments before it.
    pub(crate) closed_at_s: u32,
}

impl HeldSegment {
    /// Whether a hold is not done with it.
    pub(crate) fn is_needed_by(&self, hold: &Hold) -> bool {
        !is_done_with(hold, self.log, &self.extent)
    }

    /// What its deletion would free.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.entry.state.file_bytes().unwrap_or(0)
    }
}

/// A range that a hold let go of, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Released {
    pub(crate) range: ReleasedRange,
    pub(crate) why: LetGo,
}

/// How far a hold is done with a log.
pub(crate) fn done_with(hold: &Hold, log: LogId) -> Sequence {
    let position = hold.done.iter().find(|it| it.log == log);
    position.map_or(Sequence::before_first(log.start), |it| it.upto)
}

/// Whether a hold needs nothing of a segment any more.
pub(crate) fn is_done_with(hold: &Hold, log: LogId, extent: &Extent) -> bool {
    extent.last <= done_with(hold, log)
}

/// How many of these segments of a log, from the first, all holds are done with.
pub(crate) fn free_of_holds(holds: &[Hold], log: LogId, segments: &[SegmentEntry]) -> usize {
    let Some(done) = holds.iter().map(|hold| done_with(hold, log)).min() else {
        return segments.len();
    };
    let is_free = |entry: &&SegmentEntry| {
        let extent = entry.state.extent();
        extent.is_some_and(|extent| extent.last <= done)
    };
    segments.iter().take_while(is_free).count()
}

/// What a hold does about one of the segments that it is not done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keeps,
    LetsGo(LetGo),
}

/// Of segments that would be deleted by age, oldest first: what a hold that lets go at its limits does about each. Nothing
/// where it is done with it.
pub(crate) fn at_limits(hold: &Hold, held: &[HeldSegment], now_s: u32) -> Vec<Option<Verdict>> {
    let kept = held.iter().filter(|it| it.is_needed_by(hold));
    let kept_bytes: u64 = kept.map(|it| it.file_bytes()).sum();
    let is_old = now_s.saturating_sub(hold.moved_at_s) > hold.age_max_s;
    let mut excess_bytes = kept_bytes.saturating_sub(hold.bytes_max);
    let verdict = |it: &HeldSegment| {
        if !it.is_needed_by(hold) {
            return None;
        }
        if is_old {
            return Some(Verdict::LetsGo(LetGo::Age));
        }
        let is_excess = excess_bytes > 0;
        excess_bytes = excess_bytes.saturating_sub(it.file_bytes());
        Some(match is_excess {
            true => Verdict::LetsGo(LetGo::Bytes),
            false => Verdict::Keeps,
        })
    };
    held.iter().map(verdict).collect()
}

/// What a hold loses with a segment, if it is not done with it.
pub(crate) fn released(
    hold: &Hold,
    lost: &HeldSegment,
    why: LetGo,
    now_s: u32,
) -> Option<Released> {
    let after_done = Sequence(done_with(hold, lost.log).0 + 1);
    let (from, to) = (after_done.max(lost.extent.first), lost.extent.last);
    // A segment without a batch ends before it begins.
    (from <= to).then(|| Released {
        range: ReleasedRange {
            hold: hold.name.clone(),
            log: lost.log,
            from,
            to,
            at_s: now_s,
        },
        why,
    })
}

/// Puts what one deletion lets go of into as few ranges as possible.
pub(crate) fn joined(released: Vec<Released>) -> Vec<Released> {
    let mut all: Vec<Released> = Vec::new();
    for one in released {
        let same = |it: &&mut Released| it.why == one.why && follows(&it.range, &one.range);
        match all.iter_mut().find(same) {
            Some(before) => before.range.to = one.range.to,
            None => all.push(one),
        }
    }
    all
}

fn follows(before: &ReleasedRange, after: &ReleasedRange) -> bool {
    before.hold == after.hold && before.log == after.log && before.to.0 + 1 == after.from.0
}

/// Writes down what holds let go of.
pub(crate) fn note_released(sections: &mut Sections, released: &[Released]) {
    for Released { range, .. } in released {
        let mut known = sections.released.iter_mut();
        match known.find(|it| follows(it, range)) {
            Some(before) => (before.to, before.at_s) = (range.to, range.at_s),
            None => sections.released.push(range.clone()),
        }
    }
    let surplus = sections.released.len().saturating_sub(RELEASED_COUNT_MAX);
    sections.released.drain(..surplus);
}

/// Takes positions out of a drafted manifest in logs of which nothing is left.
pub(crate) fn forget_positions(next: &mut Manifest) {
    let logs: BTreeSet<LogId> = next.logs.iter().map(|log| log.id).collect();
    for hold in &mut next.sections.holds {
        hold.done.retain(|it| logs.contains(&it.log));
    }
}
