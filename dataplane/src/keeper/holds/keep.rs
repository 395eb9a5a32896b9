//! What holds keep, and what they let go of at their limits. Pure functions of the manifest and the clock: which segments go is
//! the retention's to say.

use super::RELEASED_COUNT_MAX;
use crate::planted::{Bug, planted};
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
        extent.is_some_and(|extent| match planted(Bug::HoldFreesItsSegment) {
            true => extent.first <= done,
            false => extent.last <= done,
        })
    };
    segments.iter().take_while(is_free).count()
}

/// What a hold does about one of the segments that it is not done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldEffect {
    Keeps,
    LetsGo(LetGo),
}

/// A hold that does the same about each of the segments that it is not done with.
pub(crate) fn always(
    hold: &Hold,
    held: &[HeldSegment],
    effect: HoldEffect,
) -> Vec<Option<HoldEffect>> {
    let of_segment = |it: &HeldSegment| it.is_needed_by(hold).then_some(effect);
    held.iter().map(of_segment).collect()
}

/// Of segments that would be deleted by age, oldest first: what a hold that lets go at its limits does about each. Nothing
/// where it is done with it.
pub(crate) fn at_limits(hold: &Hold, held: &[HeldSegment], now_s: u32) -> Vec<Option<HoldEffect>> {
    let kept = held.iter().filter(|it| it.is_needed_by(hold));
    let kept_bytes: u64 = kept.map(|it| it.file_bytes()).sum();
    let is_old = now_s.saturating_sub(hold.moved_at_s) > hold.age_max_s;
    let mut excess_bytes = kept_bytes.saturating_sub(hold.bytes_max);
    let effect = |it: &HeldSegment| {
        if !it.is_needed_by(hold) {
            return None;
        }
        if is_old {
            return Some(HoldEffect::LetsGo(LetGo::Age));
        }
        let is_excess = excess_bytes > 0;
        excess_bytes = excess_bytes.saturating_sub(it.file_bytes());
        Some(match is_excess {
            true => HoldEffect::LetsGo(LetGo::Bytes),
            false => HoldEffect::Keeps,
        })
    };
    held.iter().map(effect).collect()
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

/// Writes down what holds let go of. A range that grows is the newest again.
pub(crate) fn note_released(sections: &mut Sections, released: &[Released]) {
    for Released { range, .. } in released {
        let known = &mut sections.released;
        let before = known.iter().position(|it| follows(it, range));
        let from = before.map_or(range.from, |at| known.remove(at).from);
        known.push(ReleasedRange {
            from,
            ..range.clone()
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn released(name: &str, from: u64, to: u64, at_s: u32) -> Released {
        let log = LogId {
            start: 1,
            number: 0,
        };
        let of = |counter| Sequence(Sequence::before_first(log.start).0 + counter);
        Released {
            range: ReleasedRange {
                hold: name.to_string(),
                log,
                from: of(from),
                to: of(to),
                at_s,
            },
            why: LetGo::Room,
        }
    }

    fn noted(sections: &Sections) -> Vec<(&str, u64, u64, u32)> {
        let ranges = sections.released.iter();
        let shown = ranges.map(|it| (&*it.hold, it.from.counter(), it.to.counter(), it.at_s));
        shown.collect()
    }

    #[test]
    fn a_range_that_grows_is_the_newest_again_and_the_oldest_are_forgotten() {
        let mut sections = Sections::default();
        note_released(&mut sections, &[released("a", 1, 2, 7)]);
        note_released(&mut sections, &[released("b", 1, 2, 8)]);
        note_released(&mut sections, &[released("a", 3, 4, 9)]);
        assert_eq!(noted(&sections), [("b", 1, 2, 8), ("a", 1, 4, 9)]);
        for apart in 1..RELEASED_COUNT_MAX as u64 {
            note_released(&mut sections, &[released("b", 10 * apart, 10 * apart, 10)]);
        }
        assert_eq!(sections.released.len(), RELEASED_COUNT_MAX);
        assert_eq!(noted(&sections)[..2], [("a", 1, 4, 9), ("b", 10, 10, 10)]);
    }

    #[test]
    fn what_was_deleted_is_joined_with_what_comes_right_behind_it_in_the_same_log_for_the_same_reason()
     {
        let other_log = |mut it: Released| {
            it.range.log.number = 1;
            it
        };
        let other_why = Released {
            why: LetGo::Age,
            ..released("a", 7, 8, 5)
        };
        let all = vec![
            released("a", 1, 2, 5),
            released("b", 3, 4, 5),
            other_log(released("a", 3, 4, 5)),
            released("a", 3, 4, 5),
            released("a", 6, 6, 5),
            other_why.clone(),
        ];
        let expected = [
            released("a", 1, 4, 5),
            released("b", 3, 4, 5),
            other_log(released("a", 3, 4, 5)),
            released("a", 6, 6, 5),
            other_why,
        ];
        assert_eq!(joined(all), expected);
    }
}
