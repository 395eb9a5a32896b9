//! Why bytes are not a slice, in words for an operator.

use super::block::Damaged;
use std::fmt;

/// Why a slice cannot be used. Everything but a version is damage: the file is not what was written and synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SliceError {
    /// The file is too short or does not begin like a slice.
    NotASlice,
    /// The file is of another format version.
    Version {
        /// The version found.
        found: u32,
    },
    /// A checksum does not match.
    Checksum {
        /// The part of the file.
        part: &'static str,
    },
    /// Parts of the file contradict each other.
    Inconsistent {
        /// What is wrong.
        what: &'static str,
    },
    /// A section that must be understood is of a kind that this version does not know.
    UnknownSection {
        /// The kind found.
        kind: u16,
    },
    /// An entry block is damaged.
    Block(Damaged),
}

impl fmt::Display for SliceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SliceError::NotASlice => {
                out.write_str("not a slice: too short, or another kind of file")
            }
            SliceError::Version { found } => write!(
                out,
                "slice format {found}, where this flk reads {}: use the flk that wrote it or a later one",
                super::SLICE_VERSION
            ),
            SliceError::Checksum { part } => write!(out, "damaged: checksum of the {part}"),
            SliceError::Inconsistent { what } => write!(out, "damaged: {what}"),
            SliceError::UnknownSection { kind } => write!(
                out,
                "section of unknown kind {kind} that may not be skipped: use the flk that wrote it or a later one"
            ),
            SliceError::Block(damaged) => damaged.fmt(out),
        }
    }
}

impl std::error::Error for SliceError {}

impl From<Damaged> for SliceError {
    fn from(damaged: Damaged) -> SliceError {
        SliceError::Block(damaged)
    }
}
