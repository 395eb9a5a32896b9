//! A segment header that was lost, from what else is known of it and from its checksum, which the first batch of the segment
//! repeats. It only computes; whether the result may be believed is its caller's to decide.

use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::segment::{Predecessor, SegmentHeader, is_segment_length};

/// No segment is made longer (`WAL_SEGMENT_BYTES`).
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Whether the predecessor of a lost header is known as a whole, or its checksum is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// The checksum is the one that the header repeated.
    Known,
    /// Only the sequence is known; the checksum is to be found.
    ChecksumLost,
}

/// The header with these fields and this checksum. Its `made_bytes` is the length that its file was probably made with, since
/// nothing but the header says so for certain.
///
/// One checksum gives one field. Where the predecessor is known, it gives the length exactly. Where it is not, or where no
/// length with it is possible, it gives the predecessor's checksum, provided that the length is the one that is likely.
pub(crate) fn with_checksum(likely: SegmentHeader, before: Before, wanted: u32) -> SegmentHeader {
    if likely.predecessor.is_none() || before == Before::Known {
        let blocks = solve(wanted, |blocks| {
            with_blocks(likely, blocks).chained_checksum()
        });
        let found = with_blocks(likely, blocks);
        let possible = |bytes| is_segment_length(bytes) && bytes <= SEGMENT_BYTES_MAX;
        if found.made_bytes.is_none_or(possible) {
            return found;
        }
    }
    let Some(before) = likely.predecessor else {
        return likely;
    };
    let with = |checksum| SegmentHeader {
        predecessor: Some(Predecessor { checksum, ..before }),
        ..likely
    };
    with(solve(wanted, |checksum| with(checksum).chained_checksum()))
}

/// The header of a file that was made with so many blocks; of one of unknown length for none.
fn with_blocks(header: SegmentHeader, blocks: u32) -> SegmentHeader {
    let bytes = u64::from(blocks) * BLOCK_BYTES as u64;
    SegmentHeader {
        made_bytes: (bytes > 0).then_some(bytes),
        ..header
    }
}

/// The value of a field of 32 neighbouring bits with which a header has this checksum.
///
/// CRC-32C is linear: each bit of a field flips the same bits of the checksum whatever the others are, and no two choices
/// of 32 neighbouring bits give the same one. So the wanted checksum says exactly which bits of the field are set.
fn solve(wanted: u32, checksum_with: impl Fn(u32) -> u32) -> u32 {
    let without = checksum_with(0);
    // For each bit of the checksum: flips that have it as their highest one, and the bits of the field that cause them.
    let mut basis = [(0_u32, 0_u32); 32];
    for bit in 0..u32::BITS {
        let flips = checksum_with(1 << bit) ^ without;
        let (flips, field) = reduced(&basis, (flips, 1 << bit));
        if let Some(slot) = flips
            .checked_ilog2()
            .and_then(|top| basis.get_mut(top as usize))
        {
            *slot = (flips, field);
        }
    }
    let (unexplained, field) = reduced(&basis, (wanted ^ without, 0));
    assert_eq!(unexplained, 0, "32 neighbouring bits give every checksum");
    field
}

/// Takes away all flips that the basis explains.
fn reduced(basis: &[(u32, u32); 32], (mut flips, mut field): (u32, u32)) -> (u32, u32) {
    for (top, (known_flips, known_field)) in basis.iter().enumerate().rev() {
        if flips >> top & 1 == 1 {
            flips ^= known_flips;
            field ^= known_field;
        }
    }
    (flips, field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::name::{LogId, Sequence};
    use crate::wal::segment::{Region, SegmentLabels};
    use proptest::prelude::*;

    fn header(ordinal: u32, checksum: u32, made_bytes: Option<u64>) -> SegmentHeader {
        let ends_after = Sequence(Sequence::before_first(3).0 + 8);
        let before = Predecessor {
            ends_after,
            checksum,
        };
        SegmentHeader {
            installation: [1; 16],
            incarnation: [2; 16],
            log: LogId {
                start: 3,
                number: 4,
            },
            ordinal,
            salt: 6,
            generation: 7,
            predecessor: (ordinal > 0).then_some(before),
            made_bytes,
            labels: SegmentLabels::default(),
        }
    }

    /// Lengths that a segment may have been made with, and none.
    fn made_bytes() -> impl Strategy<Value = Option<u64>> {
        let blocks = 2..=SEGMENT_BYTES_MAX / BLOCK_BYTES as u64;
        prop::option::of(blocks.prop_map(|blocks| blocks * BLOCK_BYTES as u64))
    }

    #[test]
    fn a_header_is_found_although_nothing_is_known_of_its_labels() {
        let labels = SegmentLabels {
            node: Some([9; 16]),
            region: Region::new("eu-west"),
            ..SegmentLabels::default()
        };
        let plain = header(1, 5, Some(1 << 20));
        let whole = SegmentHeader { labels, ..plain };
        let likely = header(1, 5, None);
        let found = with_checksum(likely, Before::Known, whole.chained_checksum());
        assert_eq!(found, plain);
    }

    #[test]
    fn a_first_header_that_nothing_explains_comes_back_as_it_was_thought_to_be() {
        // Under a checksum that no header like it has, with any length that is possible.
        let likely = header(0, 0, Some(1 << 20));
        let wanted = with_blocks(likely, 1).chained_checksum();
        assert_eq!(with_checksum(likely, Before::ChecksumLost, wanted), likely);
    }

    proptest! {
        #[test]
        fn the_length_of_a_first_header_is_found_by_the_checksum(made in made_bytes(), likely in made_bytes()) {
            let whole = header(0, 0, made);
            let likely = header(0, 0, likely);
            prop_assert_eq!(with_checksum(likely, Before::ChecksumLost, whole.chained_checksum()), whole);
        }

        #[test]
        fn the_length_is_found_where_the_predecessor_is_known(
            checksum: u32,
            made in made_bytes(),
            likely in made_bytes(),
            ordinal in 1_u32..9,
        ) {
            let whole = header(ordinal, checksum, made);
            let likely = header(ordinal, checksum, likely);
            prop_assert_eq!(with_checksum(likely, Before::Known, whole.chained_checksum()), whole);
        }

        #[test]
        fn the_predecessor_is_found_where_the_length_is_the_likely_one(
            lost: u32,
            thought: u32,
            made in made_bytes(),
            ordinal in 1_u32..9,
        ) {
            let whole = header(ordinal, lost, made);
            let likely = header(ordinal, thought, made);
            prop_assert_eq!(with_checksum(likely, Before::ChecksumLost, whole.chained_checksum()), whole);
        }

        #[test]
        fn what_is_found_always_has_the_checksum(
            wanted: u32,
            thought: u32,
            likely in made_bytes(),
            known: bool,
        ) {
            let before = if known { Before::Known } else { Before::ChecksumLost };
            let found = with_checksum(header(1, thought, likely), before, wanted);
            prop_assert_eq!(found.chained_checksum(), wanted);
            let possible = |bytes| is_segment_length(bytes) && bytes <= SEGMENT_BYTES_MAX;
            prop_assert!(found.made_bytes.is_none_or(possible));
        }
    }
}
