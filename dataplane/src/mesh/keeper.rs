//! Messages between the keeper and a shard. Large things travel by pointer; a message never carries a payload.

use crate::dedup::claims::{MemoryUse, UnusableBlock};
use crate::dedup::slice::SliceSet;
use crate::dedup::{Decided, PARTITIONS};
use crate::http::{Problem, ProxyFault};
use crate::io::{ShardId, SyncMode};
use crate::snapshot::Snapshot;
use crate::wal::Epoch;
use crate::wal::name::{ClosedSegment, LogId, NamedSegment, Sequence};
use crate::wal::segment::SegmentLabels;
use crate::wal::writer::{Entered, EpochBegun, LogStart};
use flk_contract::params::ParamsVersion;
use std::sync::Arc;

/// The expiry clock: seconds since 2026-01-01 UTC, advancing with monotonic time while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiryClock {
    /// Reading at `base_mono_us`.
    pub base_s: u32,
    /// Monotonic time at which `base_s` was read.
    pub base_mono_us: u64,
}

impl ExpiryClock {
    /// The reading at a monotonic time, seconds since 2026-01-01 UTC.
    pub fn at(self, mono_us: u64) -> u32 {
        let elapsed_s = mono_us.saturating_sub(self.base_mono_us) / 1_000_000;
        self.base_s
            .saturating_add(u32::try_from(elapsed_s).unwrap_or(u32::MAX))
    }
}

/// All that a shard needs before it can log and claim.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Random id of this installation; in every segment header.
    pub installation: [u8; 16],
    /// Random id of this incarnation of the directory (a restore writes a new one).
    pub incarnation: [u8; 16],
    /// Labels of the log's segments.
    pub labels: SegmentLabels,
    /// Key of the keyed hash.
    pub secret: [u8; 16],
    /// The log that this shard writes in this run.
    pub log: LogId,
    /// Owner of each partition.
    pub owners: Arc<[ShardId; PARTITIONS as usize]>,
    /// The expiry clock.
    pub clock: ExpiryClock,
    /// The log's first segment.
    pub first: NamedSegment,
    /// How writes become durable.
    pub sync: SyncMode,
    /// Parameter-set versions by their index in [`Decided::params`]; those of the first snapshot are among them.
    pub params: Arc<[ParamsVersion]>,
    /// Most bytes of this shard's dedup tables, where slices leave less than was configured.
    pub dedup_bytes_max: Option<u64>,
    /// The slices in force, with filters and index of this shard's partitions.
    pub slices: Arc<SliceSet>,
}

/// Why there is no room. What an operator can do about it differs, so each has an answer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The file system is nearly full.
    Disk,
    /// The files of WAL_DIR take all that they may.
    Cap,
    /// The file system refuses to make files: read-only, immutable, or another owner's.
    Refused,
    /// The process may not open another file.
    Descriptors,
    /// So many segments are kept that the manifest has no room for another.
    Segments,
}

/// Keeper to shard.
#[derive(Debug)]
pub enum ToShard {
    /// Sent once, before any `Load`.
    Begin(Box<Begin>),
    /// Live decisions of one of this shard's partitions that a start found and no slice has: all of them, in key order. Many
    /// times.
    Load(Vec<Decided>),
    /// Recovery is over: admit requests. `admit` is false where what no slice has does not fit the declared memory, and was
    /// not loaded; a second one follows when the shards answer it from slices.
    Serve {
        /// Whether submits may be admitted.
        admit: bool,
    },
    /// The next segment, named in the durable manifest.
    Segment(NamedSegment),
    /// Begin this seal epoch: the next batch opens the next segment if the current one holds records. Answered by
    /// [`ToKeeper::Entered`], or by [`ToKeeper::Epoch`] where no roll was needed.
    Roll(Epoch),
    /// Withheld time was released: the expiry clock goes on from this reading (never an earlier one).
    Clock(ExpiryClock),
    /// There is no room for the next segments, for this reason, and nothing may be deleted; or there is room again.
    SpaceLow(Option<Shortage>),
    /// A numbered set of sealed slices is durable in the manifest: switch to it and acknowledge that.
    Slices(Arc<SliceSet>),
    /// Stop taking new work: the first message of a graceful stop.
    Drain,
    /// The parameter-set versions by number are these, those of before first.
    Params(Arc<[ParamsVersion]>),
    /// Judge under this snapshot from now on. Its number in [`crate::stats::ShardStats::snapshot`] says that the shard does.
    Configure(Arc<Snapshot>),
    /// All shards are idle: write the clean-stop mark and end.
    Finish,
}

/// Shard to keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToKeeper {
    /// A segment is in use: asks for the one after it.
    Entered(Entered),
    /// A seal epoch began without a roll.
    Epoch(EpochBegun),
    /// Every body up to this sequence has its disposition in the durable log.
    Resolved {
        /// The log.
        log: LogId,
        /// The last resolved sequence.
        upto: Sequence,
    },
    /// The shard uses this set of slices and has no read outstanding on an older one.
    Switched {
        /// [`SliceSet::version`].
        version: u64,
    },
    /// How full the declared memory of this shard's table is, whenever that changes: what is sealed leaves it.
    Memory(MemoryUse),
    /// A look-up met a block of a slice that cannot answer: the ids that may be in it are answered 503. For the operator: the
    /// keeper only logs it. At most once a minute.
    SliceUnusable(UnusableBlock),
    /// So many connections were closed to make room for new ones. For the operator: the keeper only logs it.
    Crowded {
        /// Since the last such message.
        closed_count: u32,
    },
    /// So many connections spoke another protocol than HTTP/1. For the operator: the keeper only logs it.
    Foreign {
        /// The answer, which names the protocol: one of [`Problem::FOREIGN`].
        problem: Problem,
        /// Since the last such message.
        connections_count: u32,
    },
    /// So many connections ended because of what their proxy said of their clients. For the operator: the keeper only logs it.
    ProxyFault {
        /// What was wrong.
        fault: ProxyFault,
        /// Since the last such message.
        connections_count: u32,
    },
    /// Draining: nothing is in flight here, no connection waits for an answer (`false` if that changed).
    Idle(bool),
    /// The clean-stop mark is durable: the log ends here.
    Finished {
        /// The log.
        log: LogId,
        /// The segment that was in use (none if nothing was ever written): it is closed by this.
        closed: Option<ClosedSegment>,
    },
}

impl Begin {
    /// What the log's writing end needs of it.
    pub fn log_start(&self) -> LogStart {
        LogStart {
            installation: self.installation,
            incarnation: self.incarnation,
            labels: self.labels,
            log: self.log,
            first: self.first,
            sync: self.sync,
        }
    }
}
