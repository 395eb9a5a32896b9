//! Why a log cannot be read on, with the file and the sequence where that was found. Each case is one thing that an operator
//! can do.

use crate::io::Errno;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::ManifestFault;
use crate::wal::name::{LogId, Sequence};
use crate::wal::scan::{Unsupported, Why};
use std::fmt;

/// Why a log cannot be read on. The cursor stays where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailError {
    /// The manifest is damaged, or of a newer format.
    Manifest(ManifestFault),
    /// A file cannot be read; which one.
    Unreadable(String, Errno),
    /// A segment that the manifest names is not there.
    Lost(NumberedFile),
    /// Acknowledged data is damaged.
    Damage(TailDamage),
    /// A newer flk wrote the log.
    Newer(NumberedFile, Unsupported),
    /// A segment was named by a later manifest than the one that is there: it is an old copy.
    StaleManifest(NumberedFile),
    /// The directory was changed each time while it was read.
    Changing,
}

/// Where a log is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailDamage {
    /// The file.
    pub file: NumberedFile,
    /// Byte offset in it.
    pub offset: u64,
    /// The log.
    pub log: LogId,
    /// The first sequence that cannot be read.
    pub sequence: Sequence,
    /// What is there instead.
    pub why: Why,
}

impl TailError {
    /// Whether a newer flk wrote what cannot be read, so that nothing is wrong with it.
    pub fn is_newer(&self) -> bool {
        let newer_manifest = matches!(self, TailError::Manifest(ManifestFault::Newer { .. }));
        newer_manifest || matches!(self, TailError::Newer(..))
    }
}

impl fmt::Display for TailError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TailError::Manifest(fault) => write!(out, "the manifest: {fault}"),
            TailError::Unreadable(file, errno) => write!(out, "cannot read {file}: {errno}"),
            TailError::Lost(file) => write!(out, "{file} is missing, and the manifest names it"),
            TailError::Damage(it) => write!(
                out,
                "{} is damaged at byte {}: {}; batch {} of log {} cannot be read",
                it.file, it.offset, it.why, it.sequence, it.log
            ),
            TailError::Newer(file, what) => write!(out, "{file}: {what}"),
            TailError::StaleManifest(file) => write!(
                out,
                "{file} was named by a later manifest than the one that is there: it is an old copy"
            ),
            TailError::Changing => out.write_str(
                "the gateway changes its directory faster than it can be read; try again",
            ),
        }
    }
}

impl std::error::Error for TailError {}
