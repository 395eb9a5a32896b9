//! A judge that never finds anything proves nothing: here are bugs, planted one at a time, that simulated lives must find
//! soon. `make sim-bugs` finds all of them. One test only, since what is planted is planted for the whole process.

use flk_dataplane::planted::{Bug, plant};
use flk_dataplane::sim::runner::run;
use flk_dataplane::sim::trace::Keep;
use std::panic::catch_unwind;

/// Whether a life breaks something. An assertion of the gateway itself finds a bug as well.
fn is_broken(seed: u64) -> bool {
    catch_unwind(|| run(seed, Keep::Nothing).1.is_err()).unwrap_or(true)
}

#[test]
fn planted_bugs_are_found_within_five_hundred_lives_and_without_one_nothing_is() {
    for bug in [
        Bug::AckBeforeSync,
        Bug::SyncBeforeWriteCompleted,
        Bug::ShortWriteTakenAsFull,
        Bug::FailedSegmentWrittenAgain,
        Bug::DedupBeforeSignature,
        Bug::DamageTakenForTornTail,
        Bug::WrongOwnerAfterShardChange,
        Bug::WithheldTimeDrained,
        Bug::SealedDroppedBeforeFilter,
        Bug::StaleManifestAccepted,
        Bug::ReplyOrderSwapped,
        Bug::AckBeforeWrite,
        Bug::RetentionOneSegmentEarly,
        Bug::LinkedSegmentReused,
        Bug::ResolvedBeforeDurable,
        Bug::MovedLastBatchCut,
        Bug::MisplacedSegmentRead,
        Bug::SnapshotOfTheHead,
        Bug::LookUpSeesUndurable,
        Bug::LookUpWithoutSlices,
        Bug::LookUpOfDefaultTenant,
        Bug::HoldMissedByDeletion,
        Bug::HoldFreesItsSegment,
        Bug::BatchLinesSwapped,
        Bug::BatchWaitsForFirstLine,
    ] {
        plant(Some(bug));
        assert!((1..=500).any(is_broken), "{bug:?} is not found");
    }
    plant(None);
    assert!(!(1..=50).any(is_broken));
}
