//! Settings of the keeper, as plain checked data. Reading environment variables is done elsewhere.

use crate::dedup::Decided;
use crate::io::SyncMode;
use crate::keeper::memory_room::MemoryRoom;
use crate::stats::Stats;
use crate::wal::secret::Secret;
use crate::wal::segment::Region;
use flk_contract::params::ParamsVersion;
use std::sync::Arc;

/// Without a cap of its own the log may take this share of the file system, in percent.
pub(crate) const CAP_PERCENT: u64 = 80;

/// What becomes of segments at the limits of a hold that is not done with them, or when their room is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldLimit {
    /// They are deleted all the same, and what the hold lost is written down.
    Release,
    /// They stay, and submits are refused when room is short.
    Refuse,
}

impl HoldLimit {
    /// As the setting names it.
    pub fn name(self) -> &'static str {
        match self {
            HoldLimit::Release => "release",
            HoldLimit::Refuse => "refuse",
        }
    }
}

/// Settings of one run of the keeper.
#[derive(Clone, Debug)]
pub struct KeeperConfig {
    /// Shards of this run, 1 … 1,024.
    pub shards: u16,
    /// Length of a new log segment in bytes, a multiple of 4 KiB.
    pub segment_bytes: u64,
    /// Zero-filled preallocated segments kept ready.
    pub preallocated_count: u32,
    /// How long a decision lives, in seconds; only bounds slice merging here, `expiry` in each decision decides.
    pub ttl_s: u32,
    /// Seal when closed segments not yet sealed hold more than this many bytes.
    pub seal_bytes_max: u64,
    /// Seal when that much monotonic time passed since the last seal and anything is unsealed, in microseconds.
    pub seal_every_us: u64,
    /// Number of slices above which time-adjacent ones are merged, whatever their size.
    pub slices_count_max: u32,
    /// Which neighbours are merged although there are not too many slices. Other than the default for tests only.
    pub merges: MergeRule,
    /// Log segments are deleted, oldest first, while the logs take more than this; nothing: 80 % of the file system.
    pub wal_bytes_max: Option<u64>,
    /// Log segments older than this many seconds (expiry clock) are deleted.
    pub body_age_max_s: u32,
    /// What holds do at their limits.
    pub hold_limit: HoldLimit,
    /// A segment is packed where that saves at least so many bytes: [`REPACK_BYTES_MIN`]. Other numbers for tests only.
    pub repack_bytes_min: u64,
    /// Memory declared for live decisions, in bytes.
    pub dedup_memory_bytes_max: u64,
    /// What the process may use; nothing where no limit is known or none counts.
    pub memory: Option<MemoryRoom>,
    /// Shards serve on for this long after a stop was asked for, in microseconds; its bound is counted from then on.
    pub drain_delay_us: u64,
    /// A graceful stop ends within this time after that delay, in microseconds:
    /// [`STOP_US`](crate::keeper::stop::STOP_US). Less for tests only.
    pub stop_us: u64,
    /// How the shards' writes become durable, decided by a probe of the file system.
    pub sync: SyncMode,
    /// Whether segments bypass the page cache (the file system allows it).
    pub direct: bool,
    /// The parameter-set versions that the first snapshot judges under.
    pub params: Vec<ParamsVersion>,
    /// Bytes that the manifest may take, at most what can be read back. Less for tests only.
    pub manifest_bytes_max: usize,
    /// Where the keeper shows its counts.
    pub stats: Arc<Stats>,
    /// Where this process runs; in the header of every segment that is written.
    pub region: Option<Region>,
    /// A secret to begin with; what the directory has already must be the same.
    pub secret: Option<Secret>,
    /// Id of this process, written into the lock file for a process that finds it locked.
    pub pid: u32,
}

/// Which slices of about the same size are merged as soon as there are enough of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeRule {
    /// Fewer entries than this in all of them are left alone: their filters are in a cache.
    pub entries_min: u64,
    /// Two are merged if they span more seconds than this, or more than a fortieth of the TTL; four of any span that a slice may have,
    /// a tenth of the TTL.
    pub pairs_span_s: u32,
}

impl MergeRule {
    /// None.
    pub const NEVER: MergeRule = MergeRule {
        entries_min: u64::MAX,
        pairs_span_s: u32::MAX,
    };
}

impl Default for MergeRule {
    /// Filters of 256 KiB, and an hour: seals that follow each other faster are those of a full table under load, and writing their ids
    /// again takes CPU from ingest. Four at a time, an id is written a third less often, into about as many slices.
    fn default() -> MergeRule {
        MergeRule {
            entries_min: 1 << 17,
            pairs_span_s: 3600,
        }
    }
}

/// Less than this is not worth two more blocks to read and the line that says it.
pub const REPACK_BYTES_MIN: u64 = 64 << 10;

/// Decisions that may be held beside the tables however small those are: 72 KiB.
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

/// Shortest and longest segment that is chosen where none is asked for.
const SEGMENT_BYTES_LEAST: u64 = 4 << 20;
const SEGMENT_BYTES_MOST: u64 = 64 << 20;

/// So many segments of each shard fit into what the log may take: of sixteen, three at most are in use, named or preallocated segment, and
/// what is sealed and deleted at a time is a small part of the rest.
const SEGMENTS_PER_SHARD: u64 = 16;

/// Segments of a shard without which a steady load would wait for its own deletions: the open one, the next one, one that
/// was just closed, and one that is being sealed and deleted.
const SEGMENTS_PER_SHARD_LEAST: u64 = 4;

/// What slices of a young log take besides, until they are merged.
const SLICES_BYTES_LEAST: u64 = 8 << 20;

/// Length of a segment where none is asked for, by what the log may take.
pub fn segment_bytes_for(log_bytes: u64, shards: u16) -> u64 {
    let share_bytes = log_bytes / (SEGMENTS_PER_SHARD * u64::from(shards.max(1)));
    let whole_bytes = share_bytes / SEGMENT_BYTES_LEAST * SEGMENT_BYTES_LEAST;
    whole_bytes.clamp(SEGMENT_BYTES_LEAST, SEGMENT_BYTES_MOST)
}

/// The smallest cap on WAL_DIR under which this many shards with segments of this length are never refused a record while
/// something may be deleted.
pub fn wal_bytes_min(shards: u16, segment_bytes: u64) -> u64 {
    SEGMENTS_PER_SHARD_LEAST * u64::from(shards) * segment_bytes + SLICES_BYTES_LEAST
}

/// What the log may take of a file system of this size where no cap is set.
pub fn log_bytes_of(volume_bytes: u64) -> u64 {
    volume_bytes / 100 * CAP_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_what_the_log_may_take_and_the_number_of_shards() {
        let (mib, gib) = (1 << 20, 1 << 30);
        for (log_bytes, shards, segment_bytes) in [
            (64 * mib, 1, 4 * mib),
            (64 * mib, 16, 4 * mib),
            (512 * mib, 2, 16 * mib),
            (819 * mib, 2, 24 * mib),
            (8 * gib, 2, 64 * mib),
            (8 * gib, 64, 8 * mib),
            (1 << 44, 1_024, 64 * mib),
        ] {
            assert_eq!(
                segment_bytes_for(log_bytes, shards),
                segment_bytes,
                "{log_bytes} {shards}"
            );
        }
    }

    #[test]
    fn where_the_length_is_chosen_the_cap_is_too_small_only_for_the_shortest_segments() {
        for shards in 1..200 {
            for log_mib in 64..2_000 {
                let log_bytes = log_mib << 20;
                let segment_bytes = segment_bytes_for(log_bytes, shards);
                let fits = wal_bytes_min(shards, segment_bytes) <= log_bytes;
                assert!(
                    fits || segment_bytes == SEGMENT_BYTES_LEAST,
                    "{log_mib} MiB, {shards}"
                );
            }
        }
    }
}
