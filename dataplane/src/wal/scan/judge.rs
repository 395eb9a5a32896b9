//! Torn tail or damage: what it means that a position does not hold the expected batch. A position proves nothing by being
//! empty. What lies ahead of it does ([`super::ahead`]), and so does what the manifest knows: how far bodies were resolved,
//! what slices hold, which segments were entered. This file only concludes; it reads nothing itself.

use super::ahead::Ahead;
use super::reader::lacks_header;
use super::reading::{Halt, LogReader};
use super::report::{BatchAt, Damage, LogVerdict};
use super::walk::WalkEnd;
use super::window::ReadAt;
use crate::wal::batch::Batch;
use crate::wal::manifest::SegmentEntry;
use crate::wal::name::Sequence;

impl<R: ReadAt, V: FnMut(&BatchAt, &Batch<'_>)> LogReader<'_, R, V> {
    /// What a stop in a segment that is not closed means.
    pub(super) async fn judge(
        &self,
        index: usize,
        entry: &SegmentEntry,
        stop: WalkEnd,
    ) -> Result<LogVerdict, Halt> {
        let Some(expected) = self.cursor.expected() else {
            // The counter is full: nothing can be missing behind it.
            return Ok(LogVerdict::Whole);
        };
        let ahead = self.look_ahead(index, stop.offset, expected).await?;
        self.conclude(entry, stop, expected, &ahead)
    }

    /// Decided by the largest sequence that anything says was durable, and by headers that must be there.
    fn conclude(
        &self,
        entry: &SegmentEntry,
        stop: WalkEnd,
        expected: Sequence,
        ahead: &Ahead,
    ) -> Result<LogVerdict, Halt> {
        let durable_upto = ahead.durable_upto.max(self.cursor.floor());
        let proven = durable_upto >= expected;
        // Whatever else is missing, a segment that was in use and lacks its header is damaged for certain, and the one before
        // it perhaps not at all. After a failed write that one may even hold a whole batch behind its end, so that nothing
        // seems to be missing before the later batches; only the lost header said where it ends.
        if let Some(lost) = &ahead.lost_header {
            let (expected, durable_upto) = match proven {
                true => (expected, durable_upto),
                false => (lost.durable_upto, lost.durable_upto),
            };
            return Err(Halt(LogVerdict::Damage(Damage {
                ordinal: lost.ordinal,
                offset: 0,
                expected,
                durable_upto,
                why: lost.why,
            })));
        }
        // An entered segment had its header, even where its first batches were given up.
        if proven || lacks_header(entry, &stop) {
            return Err(self.damage(entry.ordinal, stop.offset, durable_upto, stop.why));
        }
        Ok(match ahead.torn_bytes {
            0 => LogVerdict::Whole,
            bytes => LogVerdict::TornTail {
                ordinal: entry.ordinal,
                offset: stop.offset,
                bytes,
            },
        })
    }
}
