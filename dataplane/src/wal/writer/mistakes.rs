//! The mistakes that can be planted in a log writer and need more than one wrong condition. Compiled with the feature
//! `planted-bugs` only: a release holds neither this code nor anything that it needs.

#![cfg(feature = "planted-bugs")]

use super::LogOp;
use super::LogWriter;
use super::in_flight::InFlight;
use crate::io::{FileId, SyncMode};
use crate::planted::{Bug, planted};

/// Whether completions may come that the log does not wait for.
pub(super) fn has_two_in_flight() -> bool {
    planted(Bug::TwoBatchesInFlight) || planted(Bug::SyncBeforeWriteCompleted)
}

impl LogWriter {
    /// The mistake of [`Bug::SyncBeforeWriteCompleted`]: the sync is submitted together with its write.
    pub(super) fn sync_early_if_planted<O: From<LogOp>>(&self, file: FileId, ops: &mut Vec<O>) {
        if self.sync == SyncMode::WriteThenSync && planted(Bug::SyncBeforeWriteCompleted) {
            ops.push(LogOp::Sync(file).into());
        }
    }

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
}
