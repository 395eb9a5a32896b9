//! Names of the files of a log directory. A file gets its final name when it is made; only the manifest is renamed.

use std::fmt;

/// The manifest: which of all files count.
pub const MANIFEST: &str = "manifest";
/// The manifest while it is being replaced.
pub const MANIFEST_NEW: &str = "manifest.new";
/// The installation's hash key.
pub const SECRET: &str = "secret";
/// There while a restore is not complete: what it restores from. No start takes a directory that has it.
pub const RESTORING: &str = "restoring";
/// Locked for the life of the process; says who holds it.
pub const LOCK: &str = "lock";
/// Where a serving gateway takes commands.
pub const SOCKET: &str = "keeper.sock";
/// Where a serving gateway takes configuration snapshots.
pub const CONTROL_SOCKET: &str = "control.sock";
/// The directory of stored configuration snapshots. The keeper never looks into it.
pub const SNAPSHOTS: &str = "snapshots";

/// A file with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NumberedFile {
    /// Part of a log, or a preallocated segment.
    Segment(u64),
    /// Sealed decisions.
    Slice(u64),
}

impl fmt::Display for NumberedFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NumberedFile::Segment(number) => write!(out, "segment-{number:016x}.wal"),
            NumberedFile::Slice(number) => write!(out, "slice-{number:016x}.flk"),
        }
    }
}

impl NumberedFile {
    /// Whether this is the name of a segment.
    pub fn is_segment(name: &str) -> bool {
        matches!(NumberedFile::parse(name), Some(NumberedFile::Segment(_)))
    }

    /// Reads a name back; anything that [`fmt::Display`] would not write is not such a file.
    pub fn parse(name: &str) -> Option<NumberedFile> {
        let (make, digits): (fn(u64) -> NumberedFile, &str) = match name
            .strip_prefix("segment-")
            .and_then(|rest| rest.strip_suffix(".wal"))
        {
            Some(digits) => (NumberedFile::Segment, digits),
            None => (
                NumberedFile::Slice,
                name.strip_prefix("slice-")
                    .and_then(|rest| rest.strip_suffix(".flk"))?,
            ),
        };
        let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 16 || !digits.bytes().all(lower_hex) {
            return None;
        }
        u64::from_str_radix(digits, 16).ok().map(make)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_nothing_else_does() {
        for file in [
            NumberedFile::Segment(0),
            NumberedFile::Segment(u64::MAX),
            NumberedFile::Slice(26),
        ] {
            assert_eq!(NumberedFile::parse(&file.to_string()), Some(file));
        }
        assert_eq!(
            NumberedFile::Slice(26).to_string(),
            "slice-000000000000001a.flk"
        );
        for name in [
            "segment-1.wal",
            "segment-000000000000001A.wal",
            "slice-000000000000001a.wal",
            "manifest",
        ] {
            assert_eq!(NumberedFile::parse(name), None, "{name}");
        }
    }
}
