//! Bugs planted on purpose, to prove that the simulator and the crash tests can fail. Without the feature
//! `planted-bugs` every question below is the constant `false` and costs nothing; no release is built with it.

#[cfg(feature = "planted-bugs")]
mod death;
#[cfg(any(feature = "planted-bugs", feature = "sim"))]
mod names;
#[cfg(feature = "planted-bugs")]
mod selected;

#[cfg(feature = "planted-bugs")]
pub use self::death::{InjectedFault, inject_at, pass};
#[cfg(feature = "planted-bugs")]
pub use self::selected::{plant, planted};

/// One way to be wrong. Each is a mistake that somebody could make in good faith at the place that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the names are the documentation; names.rs says them in words
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
    SnapshotOfTheHead,
    LookUpSeesUndurable,
    LookUpWithoutSlices,
    LookUpOfDefaultTenant,
    HoldMissedByDeletion,
    HoldFreesItsSegment,
    BatchLinesSwapped,
    BatchWaitsForFirstLine,
}

/// A place where a process may die, as if it had been killed just there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A log batch is about to be written.
    LogWrite,
    /// The write of a log batch has ended; the shard does not know yet.
    LogWritten,
    /// An answer is about to be sent.
    Answer,
    /// A shard hands a log batch over, on its own thread.
    BatchHandedOver,
    /// The keeper is about to do something to a file.
    KeeperFile,
    /// It has done it, and does not know yet.
    KeeperFileDone,
}

/// Dies here if that was asked for: never, in this build.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn pass(_point: Point) {}

/// Whether this bug is planted: never, in this build.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn planted(_bug: Bug) -> bool {
    false
}
