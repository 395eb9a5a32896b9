//! A segment header that was lost, from what else is known of it: all its fields but one, and its checksum, which the
//! first batch of the segment repeats. It only computes; whether the result may be believed is its caller's to decide.

use crate::wal::segment::{Predecessor, SegmentHeader};

/// The header with these fields and this checksum. The one field that is found is `predecessor.checksum`; a header without
/// predecessor has no field to be found, and comes back as it is.
///
/// CRC-32C is linear: each bit of a field flips the same bits of the checksum whatever the others are, and no two choices
/// of 32 neighbouring bits give the same one. So the wanted checksum says exactly which bits of the field are set.
pub(crate) fn with_checksum(known: SegmentHeader, wanted: u32) -> SegmentHeader {
    let Some(before) = known.predecessor else {
        return known;
    };
    let with = |checksum| SegmentHeader {
        predecessor: Some(Predecessor { checksum, ..before }),
        ..known
    };
    let without = with(0).checksum();
    // For each bit of the checksum: flips that have it as their highest one, and the bits of the field that cause them.
    let mut basis = [(0_u32, 0_u32); 32];
    for bit in 0..u32::BITS {
        let flips = with(1 << bit).checksum() ^ without;
        let (flips, field) = reduced(&basis, (flips, 1 << bit));
        if let Some(slot) = flips
            .checked_ilog2()
            .and_then(|top| basis.get_mut(top as usize))
        {
            *slot = (flips, field);
        }
    }
    let (_, field) = reduced(&basis, (wanted ^ without, 0));
    with(field)
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
    use proptest::prelude::*;

    fn header(ordinal: u32, checksum: u32) -> SegmentHeader {
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
        }
    }

    #[test]
    fn a_header_without_predecessor_has_nothing_to_be_found() {
        let first = header(0, 0);
        assert_eq!(with_checksum(first, first.checksum()), first);
        assert_eq!(with_checksum(first, 77), first);
    }

    proptest! {
        #[test]
        fn the_field_that_was_lost_is_found_by_the_checksum(lost: u32, ordinal in 1_u32..9) {
            let whole = header(ordinal, lost);
            prop_assert_eq!(with_checksum(header(ordinal, 0), whole.checksum()), whole);
        }
    }
}
