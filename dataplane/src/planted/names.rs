//! Names and words of bugs and points, for the programs that plant them.

use super::{Bug, Point};

impl Bug {
    /// All of them, in the order of the table in docs/testing.md.
    pub const ALL: [Bug; 49] = [
        Bug::AckBeforeSync,
        Bug::SyncBeforeWriteCompleted,
        Bug::TwoBatchesInFlight,
        Bug::ShortWriteTakenAsFull,
        Bug::FailedSegmentWrittenAgain,
        Bug::IdRemovedAfterFailedFlush,
        Bug::AdoptedTailNotSyncedAgain,
        Bug::DedupBeforeSignature,
        Bug::DuplicateAnsweredTooEarly,
        Bug::TwoSuspendedLookUps,
        Bug::ScanStopsAtFirstBadHeader,
        Bug::ZerosTakenForEnd,
        Bug::IdleMarkMissing,
        Bug::DamageTakenForTornTail,
        Bug::RecycledBatchReplayed,
        Bug::WrongOwnerAfterShardChange,
        Bug::SliceNewerThanLog,
        Bug::ExpiryOnClockJump,
        Bug::ReadErrorTakenForMiss,
        Bug::DecidedAtByReceiver,
        Bug::WithheldTimeDrained,
        Bug::SegmentNotYetNamed,
        Bug::LastSegmentRewrittenAlways,
        Bug::LateWonNotLogged,
        Bug::SealedDroppedBeforeFilter,
        Bug::StaleManifestAccepted,
        Bug::UnlinkBeforeManifest,
        Bug::ReplyOrderSwapped,
        Bug::DriverSyncSkipped,
        Bug::DriverSyncEarly,
        Bug::AckBeforeWrite,
        Bug::RetentionOneSegmentEarly,
        Bug::SliceDroppedEarly,
        Bug::LinkedSegmentReused,
        Bug::ResolvedBeforeDurable,
        Bug::MovedLastBatchCut,
        Bug::OpenSegmentNoEvidence,
        Bug::ShortSegmentRead,
        Bug::MisplacedSegmentRead,
        Bug::PressureNeverEnds,
        Bug::EpochComparedAsNumber,
        Bug::SnapshotOfTheHead,
        Bug::LookUpSeesUndurable,
        Bug::LookUpWithoutSlices,
        Bug::LookUpOfDefaultTenant,
        Bug::HoldMissedByDeletion,
        Bug::HoldFreesItsSegment,
        Bug::BatchLinesSwapped,
        Bug::BatchWaitsForFirstLine,
    ];

    /// The bug in words.
    pub fn describe(self) -> &'static str {
        match self {
            Bug::AckBeforeSync => "ack before sync",
            Bug::SyncBeforeWriteCompleted => "sync submitted before its write completed",
            Bug::TwoBatchesInFlight => "two batches in flight acknowledged out of prefix",
            Bug::ShortWriteTakenAsFull => "short write taken as full",
            Bug::FailedSegmentWrittenAgain => "failed segment written again",
            Bug::IdRemovedAfterFailedFlush => "id removed after a failed flush",
            Bug::AdoptedTailNotSyncedAgain => "adopted tail served before it was synced again",
            Bug::DedupBeforeSignature => "dedup before signature",
            Bug::DuplicateAnsweredTooEarly => "duplicate answered while the first is not durable",
            Bug::TwoSuspendedLookUps => "two suspended look-ups of one key",
            Bug::ScanStopsAtFirstBadHeader => "scan stops at the first bad header",
            Bug::ZerosTakenForEnd => "zeros taken for the end of the log",
            Bug::IdleMarkMissing => "idle mark missing",
            Bug::DamageTakenForTornTail => "damage taken for a torn tail",
            Bug::RecycledBatchReplayed => "recycled segment's old batch replayed",
            Bug::WrongOwnerAfterShardChange => {
                "record routed to the wrong owner after a shard-count change"
            }
            Bug::SliceNewerThanLog => "slice newer than its log",
            Bug::ExpiryOnClockJump => "TTL expiring on a clock jump",
            Bug::ReadErrorTakenForMiss => "read error taken for a miss",
            Bug::DecidedAtByReceiver => "decided-at stamped by the receiver",
            Bug::WithheldTimeDrained => "withheld time drained by restarts",
            Bug::SegmentNotYetNamed => "batch acknowledged in a segment not yet named",
            Bug::LastSegmentRewrittenAlways => "last segment rewritten at every start",
            Bug::LateWonNotLogged => "late Won not logged",
            Bug::SealedDroppedBeforeFilter => "sealed entries dropped before the filter is loaded",
            Bug::StaleManifestAccepted => "stale manifest accepted",
            Bug::UnlinkBeforeManifest => "file unlinked before the manifest",
            Bug::ReplyOrderSwapped => "reply order swapped",
            Bug::DriverSyncSkipped => "driver: sync skipped",
            Bug::DriverSyncEarly => "driver: sync submitted early",
            Bug::AckBeforeWrite => "ack before write",
            Bug::RetentionOneSegmentEarly => "retention one segment early",
            Bug::SliceDroppedEarly => "slice dropped one second early",
            Bug::LinkedSegmentReused => "unused segment used again although a backup has linked it",
            Bug::ResolvedBeforeDurable => {
                "bodies called resolved before their dispositions are durable"
            }
            Bug::MovedLastBatchCut => "batch that moved into a last segment cut off where it was",
            Bug::OpenSegmentNoEvidence => {
                "what the manifest calls an open segment taken for one that was never used"
            }
            Bug::ShortSegmentRead => {
                "a segment in use that is shorter than it was made is read as if it were whole"
            }
            Bug::MisplacedSegmentRead => {
                "a segment under another one's name taken for its own earlier life"
            }
            Bug::PressureNeverEnds => "admission that stopped for memory never begins again",
            Bug::SnapshotOfTheHead => {
                "a body enters under the snapshot that was in force when its head came"
            }
            Bug::LookUpSeesUndurable => "look-up answered with a decision that is not durable",
            Bug::LookUpWithoutSlices => "look-up that asks no slice",
            Bug::LookUpOfDefaultTenant => "look-up in the default tenant, whatever its header says",
            Bug::HoldMissedByDeletion => {
                "a hold that was acknowledged while a deletion looked at segments is missed by it"
            }
            Bug::HoldFreesItsSegment => {
                "a hold frees the segment that it stands in, as if it were done with all of it"
            }
            Bug::BatchLinesSwapped => "two answers of a batch change places",
            Bug::BatchWaitsForFirstLine => "a batch answered when its first record is durable",
            Bug::EpochComparedAsNumber => "seal epochs compared as numbers that never wrap",
        }
    }

    /// Finds a bug by its name in code, e.g. `AckBeforeSync`.
    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name)
    }
}

impl Point {
    /// All of them.
    pub const ALL: [Point; 6] = [
        Point::LogWrite,
        Point::LogWritten,
        Point::Answer,
        Point::BatchHandedOver,
        Point::KeeperFile,
        Point::KeeperFileDone,
    ];

    /// Finds a point by its name in code, e.g. `LogWrite`.
    pub fn named(name: &str) -> Option<Point> {
        Point::ALL
            .into_iter()
            .find(|point| format!("{point:?}") == name)
    }
}
