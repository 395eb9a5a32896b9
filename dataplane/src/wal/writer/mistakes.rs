//! The mistakes that can be planted in a log writer, each beside what is right. Without the feature `planted-bugs` all of
//! this is what is right.

use super::LogOp;
use super::LogWriter;
use super::in_flight::InFlight;
use crate::io::{Errno, SyncMode};
use crate::planted::{Bug, planted};
use crate::wal::name::Sequence;

/// When the sync of a write is submitted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SyncAt {
    /// Together with the write: the mistake of [`Bug::SyncBeforeWriteCompleted`].
    Submitted,
    /// Once the write is complete.
    Written,
}

pub(super) fn sync_at() -> SyncAt {
    match planted(Bug::SyncBeforeWriteCompleted) {
        true => SyncAt::Submitted,
        false => SyncAt::Written,
    }
}

/// What a complete write still needs to be durable.
pub(super) fn sync_mode(configured: SyncMode) -> SyncMode {
    match planted(Bug::AckBeforeSync) {
        true => SyncMode::Dsync,
        false => configured,
    }
}

/// Whether a write took all its bytes.
pub(super) fn is_whole(result: Result<u32, Errno>, bytes: usize) -> bool {
    match planted(Bug::ShortWriteTakenAsFull) {
        true => result.is_ok(),
        false => result.is_ok_and(|written| written as usize == bytes),
    }
}

/// Whether a batch whose write failed is written again where it was.
pub(super) fn trusts_failed_segment() -> bool {
    planted(Bug::FailedSegmentWrittenAgain)
}

/// Whether completions may come that the log does not wait for.
pub(super) fn has_two_in_flight() -> bool {
    planted(Bug::TwoBatchesInFlight) || planted(Bug::SyncBeforeWriteCompleted)
}

impl LogWriter {
    /// The mistake of [`Bug::TwoBatchesInFlight`]: what is not synced yet counts as durable when the next batch is there.
    pub(super) fn skip_sync_if_planted<O: From<LogOp>>(&mut self, ops: &mut Vec<O>) {
        if !planted(Bug::TwoBatchesInFlight) || self.open.is_empty() {
            return;
        }
        match self.in_flight.take() {
            InFlight::Syncing(batch, blocks) => self.became_durable(&batch, blocks, ops),
            other => self.in_flight = other,
        }
    }

    /// Up to where bodies are called resolved.
    pub(super) fn resolved(&self) -> Sequence {
        match planted(Bug::ResolvedBeforeDurable) {
            true => self.watermark.upto(),
            false => self.watermark.upto().min(self.durable_resolved),
        }
    }

    /// Whether an idle log is marked at all.
    pub(super) fn marks_when_idle(&self) -> bool {
        !planted(Bug::IdleMarkMissing)
    }
}
