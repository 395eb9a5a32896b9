//! Why bytes are not a slice, in words for an operator.

use super::block::Damaged;
use std::fmt;

/// Why a slice cannot be used. It is damage, the file not being what was written and synced, unless a newer flk wrote it.
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
    /// An entry has a part whose number this version does not know.
    UnknownPart {
        /// The part.
        part: &'static str,
        /// Its number.
        number: u8,
    },
    /// An entry block is damaged.
    Block(Damaged),
}

impl SliceError {
    /// Whether a newer flk wrote the file, so that nothing is wrong with it.
    pub fn is_newer(&self) -> bool {
        matches!(
            self,
            SliceError::Version { .. }
                | SliceError::UnknownSection { .. }
                | SliceError::UnknownPart { .. }
        )
    }
}

impl fmt::Display for SliceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SliceError::NotASlice => {
                out.write_str("not a slice: too short, or another kind of file")
            }
            SliceError::Version { found } => write!(
                out,
                "slice format {found}, where this flk reads {} to {}: use the flk that wrote it or a later one",
                super::SLICE_VERSION_MIN,
                super::SLICE_VERSION
            ),
            SliceError::Checksum { part } => write!(out, "damaged: checksum of the {part}"),
            SliceError::Inconsistent { what } => write!(out, "damaged: {what}"),
            SliceError::UnknownSection { kind } => write!(
                out,
                "section of unknown kind {kind} that may not be skipped: use the flk that wrote it or a later one"
            ),
            SliceError::UnknownPart { part, number } => write!(
                out,
                "an entry has {part} {number}, which this flk does not know: use the flk that wrote it or a later one"
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
