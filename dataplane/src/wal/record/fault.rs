//! Why the index part of a batch cannot be read on.

use super::numbers::reserved_kind;
use std::fmt;

/// Why the index part of a batch cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// The record at this index leaves the index part.
    Cut(u32),
    /// The record at this index has a form that no writer gives it; what is wrong.
    Form(u32, &'static str),
    /// The record at this index is of a kind that this version neither knows nor may skip.
    UnknownKind(u32, u8),
    /// The record at this index has a part, named first, whose number this version does not know.
    UnknownPart(u32, &'static str, u8),
}

impl RecordFault {
    /// Whether a newer flk wrote the record, so that nothing is wrong with it.
    pub fn is_newer(&self) -> bool {
        matches!(
            self,
            RecordFault::UnknownKind(..) | RecordFault::UnknownPart(..)
        )
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordFault::Cut(index) => write!(out, "record {index} leaves the index part"),
            RecordFault::Form(index, what) => {
                write!(out, "record {index} has an impossible {what}")
            }
            RecordFault::UnknownKind(index, kind) => {
                let name = reserved_kind(*kind).map_or(String::new(), |name| format!(" ({name})"));
                write!(
                    out,
                    "record {index} was written by a newer flk: this one does not know its kind {kind}{name}. Use that flk or a later one"
                )
            }
            RecordFault::UnknownPart(index, part, number) => write!(
                out,
                "record {index} was written by a newer flk: this one does not know its {part} {number}. Use that flk or a later one"
            ),
        }
    }
}

impl std::error::Error for RecordFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_version_does_not_know_is_of_a_newer_flk() {
        for (fault, is_newer) in [
            (RecordFault::Cut(1), false),
            (RecordFault::Form(1, "a length"), false),
            (RecordFault::UnknownKind(1, 200), true),
            (RecordFault::UnknownPart(1, "reason", 9), true),
        ] {
            assert_eq!(fault.is_newer(), is_newer, "{fault}");
        }
    }
}
