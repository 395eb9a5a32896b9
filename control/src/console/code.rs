//! A row of numbers as bytes: what differs from the row before, each number exactly as it was. Most series of a gateway do not
//! change from one second to the next, and those that do are counters that grow a little: a change takes some three bytes. It
//! keeps no row.

/// What stands for a number that is not there.
pub(super) const MISSING: f64 = f64::NAN;

/// A series without a number before has this one, so that series that stay 0 take no byte.
pub(super) const BEFORE_ALL: f64 = 0.0;

/// Appends what differs between two rows, and makes the first one the second. Adds to `weights` the bytes that each series took.
pub(super) fn write(before: &mut Vec<f64>, now: &[f64], out: &mut Vec<u8>, weights: &mut [u32]) {
    before.resize(now.len(), BEFORE_ALL);
    let mut next = 0;
    for (at, (old, new)) in before.iter_mut().zip(now).enumerate() {
        let delta = new.to_bits().wrapping_sub(old.to_bits()) as i64;
        if delta == 0 {
            continue;
        }
        let begin = out.len();
        // 0 ends a row, so a distance is at least 1.
        write_number((at - next + 1) as u64, out);
        // A counter that grows has a new mantissa in its upper bits only.
        let zeros = delta.trailing_zeros();
        out.push(zeros as u8);
        write_number(zigzag(delta >> zeros), out);
        if let Some(weight) = weights.get_mut(at) {
            *weight += (out.len() - begin) as u32;
        }
        (*old, next) = (*new, at + 1);
    }
    write_number(0, out);
}

/// Reads a row back over the one before; the rest of the bytes. `None`: these are no rows that [`write()`] wrote.
pub(super) fn read<'b>(row: &mut Vec<f64>, mut bytes: &'b [u8]) -> Option<&'b [u8]> {
    let mut next = 0_usize;
    loop {
        let distance = read_number(&mut bytes)?;
        if distance == 0 {
            return Some(bytes);
        }
        let at = next.checked_add(usize::try_from(distance).ok()? - 1)?;
        let (&zeros, rest) = bytes.split_first()?;
        bytes = rest;
        let delta = unzigzag(read_number(&mut bytes)?).checked_shl(u32::from(zeros))?;
        if at >= SERIES_READ_MAX {
            return None;
        }
        if row.len() <= at {
            row.resize(at + 1, BEFORE_ALL);
        }
        row[at] = f64::from_bits(row[at].to_bits().wrapping_add(delta as u64));
        next = at + 1;
    }
}

/// No row has more numbers: damaged bytes must not ask for all memory.
const SERIES_READ_MAX: usize = 1 << 16;

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Seven bits a byte, the lowest first.
fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(row: &[f64]) -> Vec<u64> {
        row.iter().map(|it| it.to_bits()).collect()
    }

    #[test]
    fn a_counter_that_grows_takes_three_bytes_and_one_that_stays_takes_none() {
        let mut before = vec![1_000_000.0, 7.0, 0.25];
        let mut out = Vec::new();
        let mut weights = [0; 3];
        write(
            &mut before,
            &[1_000_017.0, 7.0, 0.25],
            &mut out,
            &mut weights,
        );
        assert_eq!((out.len(), weights), (4, [3, 0, 0]), "and one at the end");
    }

    #[test]
    fn bytes_that_no_writer_wrote_are_refused() {
        for wrong in [
            &[][..],
            &[1],
            &[1, 3],
            &[1, 64, 2],
            &[0x80],
            &[0xff; 20],
            // A series of an impossible number.
            &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 2, 0],
        ] {
            assert_eq!(read(&mut Vec::new(), wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn rows_come_back_bit_by_bit_whatever_they_hold(
            rows in prop::collection::vec(prop::collection::vec(prop::num::f64::ANY, 0..9), 1..9),
        ) {
            let width = rows.iter().map(Vec::len).max().unwrap_or_default();
            let (mut before, mut bytes, mut weights) = (Vec::new(), Vec::new(), vec![0; width]);
            let mut written = Vec::new();
            for row in &rows {
                // A catalog only grows.
                let mut row = row.clone();
                row.resize(row.len().max(before.len()), 3.5);
                write(&mut before, &row, &mut bytes, &mut weights);
                written.push(row);
            }
            let sum: u32 = weights.iter().sum();
            prop_assert_eq!(sum as usize + rows.len(), bytes.len());
            let (mut row, mut rest) = (Vec::new(), &bytes[..]);
            for expected in written {
                rest = read(&mut row, rest).unwrap();
                row.resize(expected.len(), 0.0);
                prop_assert_eq!(bits(&row), bits(&expected));
            }
            prop_assert!(rest.is_empty());
        }
    }
}
