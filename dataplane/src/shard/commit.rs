//! Commit stage: the open batch goes to the log, and the keeper learns how far bodies are resolved.

use super::{Core, Ingress};
use crate::event::{Op, Outbox};
use crate::io::Now;
use crate::mesh::keeper::ToKeeper;

/// The keeper is notified each time that many more batches are resolved, and when the log is idle.
const RESOLVED_STEP: u64 = 64;

impl Ingress {
    /// Hands the open batch to the log.
    pub(super) fn commit(&mut self, core: &mut Core, now: Now, outbox: &mut Outbox) {
        core.log
            .commit(now, core.begin.clock.at(now.mono_us), &mut outbox.ops);
        let resolved = core.log.resolved_durably();
        // So it is by an idle log: where the disk is full, nothing else may ever let its segments go.
        let idle = core.log.is_quiet() && core.log.is_marked();
        // And by one that waits for its next segment: with few large batches to a segment, the step would keep segments
        // that may go, and there may be no room for the next one until they do.
        let waits = core.log.awaits_segment();
        let worth_notifying =
            resolved.0 >= core.resolved_notified.0 + RESOLVED_STEP || idle || waits;
        if resolved > core.resolved_notified && worth_notifying {
            core.resolved_notified = resolved;
            outbox.ops.push(Op::Keeper(ToKeeper::Resolved {
                log: core.begin.log,
                upto: resolved,
            }));
        }
    }
}
