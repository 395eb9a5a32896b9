//! Bugs planted on purpose, to prove that the simulator and the crash tests can fail. Without the feature
//! `planted-bugs` every question below is the constant `false` and costs nothing; no release is built with it.

/// One way to be wrong. Each is a mistake that somebody could make in good faith at the place that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the names are the documentation; `Bug::describe` says them in words
pub enum Bug {
    AckBeforeSync = 1,
    SyncBeforeWriteCompleted,
    TwoBatchesInFlight,
    ShortWriteTakenAsFull,
    FailedSegmentWrittenAgain,
    IdRemovedAfterFailedFlush,
    AdoptedTailNotSyncedAgain,
    DedupBeforeSignature,
    DuplicateAnsweredTooEarly,
    TwoSuspendedLookUps,
    ScanStopsAtFirstBadHeader,
    ZerosTakenForEnd,
    IdleMarkMissing,
    DamageTakenForTornTail,
    RecycledBatchReplayed,
    WrongOwnerAfterShardChange,
    SliceNewerThanLog,
    ExpiryOnClockJump,
    ReadErrorTakenForMiss,
    DecidedAtByReceiver,
    WithheldTimeDrained,
    SegmentNotYetNamed,
    LastSegmentRewrittenAlways,
    LateWonNotLogged,
    SealedDroppedBeforeFilter,
    StaleManifestAccepted,
    UnlinkBeforeManifest,
    ReplyOrderSwapped,
    /// Found only by the driver proof: kill -9 and the simulator cannot see it.
    DriverSyncSkipped,
    /// Found only by the driver proof.
    DriverSyncEarly,
    /// What `kill -9` of the real binary is bound to see.
    AckBeforeWrite,
    RetentionOneSegmentEarly,
    SliceDroppedEarly,
    LinkedSegmentReused,
    ResolvedBeforeDurable,
    MovedLastBatchCut,
    OpenSegmentNoEvidence,
    ShortSegmentRead,
    MisplacedSegmentRead,
    PressureNeverEnds,
    EpochComparedAsNumber,
}

impl Bug {
    /// All of them, in the order of the table in docs/testing.md.
    pub const ALL: [Bug; 41] = [
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
            Bug::EpochComparedAsNumber => "seal epochs compared as numbers that never wrap",
        }
    }

    /// Finds a bug by its name in code, e.g. `AckBeforeSync`.
    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name)
    }
}

/// A place where a process may be told to die, as if it had been killed just there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A log batch is about to be written.
    LogWrite,
    /// The write of a log batch has ended; the shard does not know yet.
    LogWritten,
    /// An answer is about to be sent.
    Answer,
    /// The keeper is about to do something to a file.
    KeeperFile,
    /// It has done it, and does not know yet.
    KeeperFileDone,
}

impl Point {
    /// All of them.
    pub const ALL: [Point; 5] = [
        Point::LogWrite,
        Point::LogWritten,
        Point::Answer,
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

#[cfg(feature = "planted-bugs")]
mod death {
    use super::Point;
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static POINT: OnceLock<Point> = OnceLock::new();
    static LEFT: AtomicU64 = AtomicU64::new(0);

    /// The process dies when it passes `point` for the `times`-th time. Said once, before anything starts.
    pub fn die_at(point: Point, times: u64) {
        LEFT.store(times, Ordering::Relaxed);
        // A second point would be a mistake of the test; the first one stands.
        let _ = POINT.set(point);
    }

    /// Dies here if told to: by SIGKILL, which nothing in the process can see coming.
    pub fn pass(point: Point) {
        if POINT.get() == Some(&point) && LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Where even this fails the test sees a process that lives on.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}

#[cfg(feature = "planted-bugs")]
pub use death::{die_at, pass};

/// Dies here if told to: never, in this build.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn pass(_point: Point) {}

#[cfg(feature = "planted-bugs")]
mod selected {
    use super::Bug;
    use std::sync::atomic::{AtomicU8, Ordering};

    static SELECTED: AtomicU8 = AtomicU8::new(0);

    /// Plants one bug in this process, or none.
    pub fn plant(bug: Option<Bug>) {
        SELECTED.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
    }

    /// Whether this bug is planted.
    pub fn planted(bug: Bug) -> bool {
        SELECTED.load(Ordering::Relaxed) == bug as u8
    }
}

#[cfg(feature = "planted-bugs")]
pub use selected::{plant, planted};

/// Whether this bug is planted: never, in this build.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn planted(_bug: Bug) -> bool {
    false
}
