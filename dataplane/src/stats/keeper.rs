//! What the keeper and the process as a whole count. The first page is written by the keeper's thread, the second by the
//! thread that observes the process. Their layout is part of the layout version of the page.

use super::cell::Cell;

/// The keeper's page.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct KeeperStats {
    /// Log segments that the manifest names.
    pub segments: Cell,
    /// Segments deleted before `WAL_MAX_AGE` because there were too many.
    pub segments_crowded_out: Cell,
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
}

/// The page of the process.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct ProcessStats {
    /// Log lines that could not be written.
    pub log_lines_dropped: Cell,
}
