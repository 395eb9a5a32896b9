//! What the keeper counts, and what is observed of the process and of each shard from outside. The first part is written by the
//! keeper's thread, the others by the thread that observes the process. Their layout is part of the layout version of the page.

use super::cell::Cell;
use super::holds::HoldRows;

/// The keeper's page.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct KeeperStats {
    /// Log segments that the manifest names.
    pub segments: Cell,
    /// Segments deleted before `WAL_MAX_AGE` because there were too many.
    pub segments_crowded_out: Cell,
    /// Segments that were packed.
    pub segments_packed: Cell,
    /// Bytes that their files take less.
    pub packed_saved_bytes: Cell,
    /// Times that the file system could not be measured.
    pub space_errors: Cell,
    /// Slices that the manifest names.
    pub slices: Cell,
    /// Bytes of filters and indexes of slices.
    pub slice_memory_bytes: Cell,
    /// Memory for them; 0 if no limit is known.
    pub slice_memory_bytes_max: Cell,
    /// Slice sets that needed more than that.
    pub slice_memory_exceeded: Cell,
    /// Bytes of the manifest.
    pub manifest_bytes: Cell,
    /// Bytes that it may take.
    pub manifest_bytes_max: Cell,
    /// Age of the oldest batch in the log, in microseconds of the expiry clock; 0 while there is none.
    pub horizon_us: Cell,
    /// `WAL_MAX_AGE` in microseconds.
    pub horizon_us_max: Cell,
    /// Time that is withheld from the expiry clock, in microseconds.
    pub withheld_us: Cell,
    /// Holds.
    pub holds: Cell,
    /// Ranges of sequences that were deleted although a hold was not done with them.
    pub hold_releases: Cell,
    /// What is shown of each hold.
    pub hold_rows: HoldRows,
    /// Number of the configuration snapshot in force. This cell and the next two are the configuration agent's.
    pub snapshot: Cell,
    /// Since when it is in force, in microseconds since the Unix epoch.
    pub snapshot_since_us: Cell,
    /// Tenants that admit nothing because a key is missing.
    pub tenants_closed: Cell,
    /// Number of the last question for parameter sets that was answered.
    pub params_known: Cell,
}

/// The page of the process.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct ProcessStats {
    /// Log lines that could not be written.
    pub log_lines_dropped: Cell,
    /// Log lines that were left out because there were too many of their kind.
    pub log_lines_left_out: Cell,
    /// CPU time of all threads, in microseconds.
    pub cpu_us: Cell,
    /// Resident memory.
    pub resident_bytes: Cell,
    /// Address space.
    pub virtual_bytes: Cell,
    /// Open descriptors.
    pub open_fds: Cell,
    /// Limit of them.
    pub max_fds: Cell,
    /// 1 where the portable driver runs although it was not asked for. It is written once, at the start.
    pub driver_is_fallback: Cell,
}

/// What is observed of one shard from outside.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct ObservedStats {
    /// CPU time of the thread, in microseconds.
    pub cpu_us: Cell,
    /// Times that the kernel gave its CPU to another thread.
    pub involuntary_switches: Cell,
    /// 1 while it makes no turn although one is due.
    pub stuck: Cell,
    /// How often that began.
    pub stuck_times: Cell,
    /// Time that the hypervisor gave its CPU to others, in microseconds since the host started.
    pub steal_us: Cell,
    /// The CPU that the shard is pinned to, from 1; 0 while that is not known.
    pub cpu_from_one: Cell,
}
