//! What the keeper is told at start, as plain checked data. Reading environment variables is done elsewhere.

use crate::dedup::Decided;
use crate::event::SyncMode;
use flk_contract::verify::ParamsVersion;

/// Settings of one run of the keeper.
#[derive(Clone, Debug)]
pub struct KeeperConfig {
    /// Shards of this run, 1 … 1,024.
    pub shards: u16,
    /// Length of a new log segment in bytes, a multiple of 4 KiB.
    pub segment_bytes: u64,
    /// Zero-filled spare segments kept ready.
    pub spares_count: u32,
    /// How long a decision lives, in seconds; only bounds slice merging here, `expiry` in each decision decides.
    pub ttl_s: u32,
    /// Seal when closed segments not yet sealed hold more than this many bytes.
    pub seal_bytes_max: u64,
    /// Seal when that much monotonic time passed since the last seal and anything is unsealed, in microseconds.
    pub seal_every_us: u64,
    /// Number of slices above which time-adjacent ones are merged.
    pub slices_count_max: u32,
    /// Log segments are deleted, oldest first, while the logs take more than this; nothing: 80 % of the file system.
    pub wal_bytes_max: Option<u64>,
    /// Log segments older than this many seconds (expiry clock) are deleted.
    pub body_age_max_s: u32,
    /// Memory declared for live decisions, in bytes.
    pub dedup_memory_bytes_max: u64,
    /// How the shards' writes become durable, decided by a probe of the file system.
    pub sync: SyncMode,
    /// Whether segments bypass the page cache (the file system allows it).
    pub direct: bool,
    /// The parameter-set version in force.
    pub params: ParamsVersion,
    /// Id of this process, written into the lock file for whoever finds it locked.
    pub pid: u32,
}

/// Decisions that may be held beside the tables however small those are: about 90 KiB.
const HELD_COUNT_MIN: usize = 1024;

impl KeeperConfig {
    /// How many decisions from logs are held at a time, at a start and for a seal: so many that they take a quarter of the
    /// memory of the tables.
    pub(crate) fn held_count_max(&self) -> usize {
        let count = self.dedup_memory_bytes_max / 4 / size_of::<Decided>() as u64;
        usize::try_from(count)
            .unwrap_or(usize::MAX)
            .max(HELD_COUNT_MIN)
    }
}
