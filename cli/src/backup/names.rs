//! Names of objects. Each says what the object is: the incarnation, then log, ordinal, sequences and content of a segment, or file
//! and id of a slice; and the SHA-256 of its own bytes, so that a name never stands for two contents.

use flk_dataplane::wal::manifest::{Extent, LogEntry, SliceEntry};

/// The object that says whose backups are in a place.
pub(crate) const OWNER: &str = "flk-backup.json";

/// Hex digits of a digest in a name.
const DIGITS: usize = 32;

fn short(digest: &str) -> &str {
    digest.get(..DIGITS).unwrap_or(digest)
}

/// A part of a segment.
pub(crate) fn segment(
    incarnation: &str,
    log: &LogEntry,
    ordinal: u32,
    extent: &Extent,
    content: &str,
) -> String {
    let (first, last) = (extent.first.counter(), extent.last.counter());
    let (log, content) = (log.id, short(content));
    format!("{incarnation}/log-{log}-{ordinal:08}-{first}-{last}-{content}")
}

/// A part of a slice.
pub(crate) fn slice(incarnation: &str, slice: &SliceEntry) -> String {
    format!("{incarnation}/slice-{:016x}-{:016x}", slice.file, slice.id)
}

/// A part of that, by its place and its bytes.
pub(crate) fn part(of: &str, number: usize, sha256: &str) -> String {
    format!("{of}-{number:04}-{}", short(sha256))
}

/// An object that is there as a whole.
pub(crate) fn whole(incarnation: &str, what: &str, sha256: &str) -> String {
    format!("{incarnation}/{what}-{}", short(sha256))
}

/// Whether objects of an incarnation have names that begin like this.
pub(crate) fn is_incarnation(name: &str) -> bool {
    name.len() == 32
        && name
            .bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

/// The index of a backup.
pub(crate) fn index(incarnation: &str, number: u64) -> String {
    format!("{incarnation}/backup-{number:08}.json")
}

/// Incarnation and number of the backup whose index has this name.
pub(crate) fn read_index(name: &str) -> Option<(&str, u64)> {
    let (incarnation, rest) = name.split_once('/')?;
    let digits = rest.strip_prefix("backup-")?.strip_suffix(".json")?;
    let number = digits.parse().ok()?;
    (index(incarnation, number) == name).then_some((incarnation, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_index_reads_back_and_no_other_does() {
        assert_eq!(read_index(&index("ab", 12)), Some(("ab", 12)));
        for other in [
            "ab/backup-12.json",
            "ab/backup-00000012",
            "backup-00000012.json",
            "ab/c/backup-00000012.json",
            "ab/backup-+0000012.json",
        ] {
            assert_eq!(read_index(other), None, "{other}");
        }
    }
}
