//! How long segment files were made. The header of a segment states it. Where no header does, files show each other's
//! length: all segments of a run are made with one, so that those which are not closed and the preallocated segments agree.
//! It compares lengths; it never judges what a file holds.

use super::window::ReadAt;
use crate::io::Errno;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::segment::{SegmentHeader, is_segment_length};
use std::collections::BTreeMap;
use std::fmt;

/// The length that segments were made with, as far as it can be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MadeBytes(Option<u64>);

/// A segment file is shorter than it was made: what stood behind its end cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooShort {
    /// Bytes that it has.
    pub bytes: u64,
    /// Bytes that it was made with, where its header or other files show it.
    pub made_bytes: Option<u64>,
}

/// The length that a segment's own header states: the one with this salt. A header that cannot be read states none, nor does
/// one from before headers held the length.
pub async fn stated_bytes<R: ReadAt>(file: &R, salt: u64) -> Result<Option<u64>, Errno> {
    let block = file.read_at(0, BLOCK_BYTES).await?;
    let header = SegmentHeader::decode(&block).ok().map(|(header, _)| header);
    let own = header.filter(|header| header.salt == salt);
    Ok(own.and_then(|header| header.made_bytes))
}

impl MadeBytes {
    /// The length that the header of a segment states.
    pub fn stated(made_bytes: u64) -> MadeBytes {
        MadeBytes(Some(made_bytes))
    }

    /// The length that most files have, of segments that are not closed and of preallocated segments. The length that is
    /// configured now, where it is known, counts as one more file. One alone shows nothing.
    pub fn agreed(lengths: impl IntoIterator<Item = u64>) -> MadeBytes {
        let mut counts = BTreeMap::<u64, u32>::new();
        for bytes in lengths
            .into_iter()
            .filter(|&bytes| is_segment_length(bytes))
        {
            *counts.entry(bytes).or_default() += 1;
        }
        let most = counts
            .into_iter()
            .max_by_key(|&(bytes, count)| (count, bytes));
        MadeBytes(most.filter(|&(_, count)| count > 1).map(|(bytes, _)| bytes))
    }

    /// The length of the longest of these files, for a repair: that may make a file longer and never shorter.
    pub fn longest(lengths: impl IntoIterator<Item = u64>) -> MadeBytes {
        MadeBytes(
            lengths
                .into_iter()
                .filter(|&bytes| is_segment_length(bytes))
                .max(),
        )
    }

    /// The length, if it is known.
    pub fn bytes(self) -> Option<u64> {
        self.0
    }

    /// What is wrong with the length of a segment that is not closed, if anything is.
    pub fn fault(self, bytes: u64) -> Option<TooShort> {
        let short =
            !is_segment_length(bytes) || self.0.is_some_and(|made_bytes| bytes < made_bytes);
        short.then_some(TooShort {
            bytes,
            made_bytes: self.0,
        })
    }
}

impl fmt::Display for TooShort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes;
        match self.made_bytes {
            Some(made_bytes) => write!(
                out,
                "the file has {bytes} bytes and was made with {made_bytes}: what stood in the rest cannot be known"
            ),
            None => write!(
                out,
                "the file has {bytes} bytes, which is no length that a segment is made with: what stood behind its end cannot be known"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_that_most_files_have_is_the_one_they_were_made_with() {
        let of = |lengths: &[u64]| MadeBytes::agreed(lengths.iter().copied()).bytes();
        let (long, short) = (64 << 20, 4 << 20);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[long]), None, "one alone shows nothing");
        assert_eq!(of(&[long, short]), None);
        assert_eq!(of(&[long, long, short]), Some(long));
        assert_eq!(of(&[long, short, short]), Some(short));
        assert_eq!(of(&[long, long, short, short]), Some(long));
        assert_eq!(
            of(&[0, 0, 0, 4096, 4096, 9_000, 9_000]),
            None,
            "nothing is made so"
        );
    }

    #[test]
    fn a_file_that_was_cut_anywhere_is_too_short_and_a_longer_one_is_not() {
        let made = MadeBytes::agreed([1 << 20, 1 << 20]);
        for bytes in [
            0,
            1,
            4095,
            4096,
            8192,
            100_000,
            (1 << 20) - 4096,
            (1 << 20) - 1,
        ] {
            assert!(made.fault(bytes).is_some(), "{bytes}");
        }
        assert_eq!(made.fault(1 << 20), None);
        assert_eq!(made.fault(2 << 20), None);
        let unknown = MadeBytes::default();
        for bytes in [0, 4096, 100_000] {
            assert!(unknown.fault(bytes).is_some(), "{bytes}");
        }
        assert_eq!(unknown.fault(8192), None);
    }
}
