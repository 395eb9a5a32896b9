//! How long segment files were made. All segments of a run are made with one length and are written within it, so that
//! those which are not closed and the preallocated segments show each other's. It compares lengths; it never looks into a file.

use super::BLOCK;
use std::collections::BTreeMap;
use std::fmt;

/// A segment holds at least its header and one block of a batch.
const SEGMENT_BYTES_MIN: u64 = 2 * BLOCK;

/// The length that segments were made with, as far as it can be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MadeBytes(Option<u64>);

/// A segment file is shorter than it was made: what stood behind its end cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooShort {
    /// Bytes that it has.
    pub bytes: u64,
    /// Bytes that it was made with, where others show it.
    pub made_bytes: Option<u64>,
}

impl MadeBytes {
    /// The length that most of these have, of all segments that are not closed and of all preallocated segments; where it is known, the
    /// length that segments are made with now is one more of them. One alone shows nothing.
    pub fn agreed(lengths: impl IntoIterator<Item = u64>) -> MadeBytes {
        let mut counts = BTreeMap::<u64, u32>::new();
        for bytes in lengths.into_iter().filter(|&bytes| is_possible(bytes)) {
            *counts.entry(bytes).or_default() += 1;
        }
        let most = counts
            .into_iter()
            .max_by_key(|&(bytes, count)| (count, bytes));
        MadeBytes(most.filter(|&(_, count)| count > 1).map(|(bytes, _)| bytes))
    }

    /// The length of the longest of these: for a repair, which may only make a file longer.
    pub fn longest(lengths: impl IntoIterator<Item = u64>) -> MadeBytes {
        MadeBytes(
            lengths
                .into_iter()
                .filter(|&bytes| is_possible(bytes))
                .max(),
        )
    }

    /// The length, if it is known.
    pub fn bytes(self) -> Option<u64> {
        self.0
    }

    /// What is wrong with the length of a segment that is not closed, if anything is.
    pub fn fault(self, bytes: u64) -> Option<TooShort> {
        let short = !is_possible(bytes) || self.0.is_some_and(|made_bytes| bytes < made_bytes);
        short.then_some(TooShort {
            bytes,
            made_bytes: self.0,
        })
    }
}

/// Whether a segment was ever made with this length.
fn is_possible(bytes: u64) -> bool {
    bytes >= SEGMENT_BYTES_MIN && bytes.is_multiple_of(BLOCK)
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
