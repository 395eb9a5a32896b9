//! Products of scalars with a point that is known in advance, as sums of its precomputed multiples. It takes variable time, for
//! scalars and points are public here. It knows nothing of signatures.

use curve25519_dalek::{edwards::EdwardsPoint, scalar::Scalar};

/// Bits of a scalar: it is below the order of the group, 2^252 + 27742317777372353535851937790883648493.
const SCALAR_BITS: usize = 253;

/// Multiples of a point `P`.
///
/// A scalar has `DIGITS` digits of `BITS` bits, each from −2^(BITS−1) to 2^(BITS−1) − 1. Every `APART`th of them has a row: that of digit
/// `i` holds 1 to 2^(BITS−1) times 2^(BITS·i)·P. A product is a sum of one point for each digit, doubled BITS·(APART − 1) times on
/// the way: `APART` trades doublings for memory.
pub(super) struct Multiples<const BITS: usize, const DIGITS: usize, const APART: usize> {
    /// One row after the other.
    points: Box<[EdwardsPoint]>,
}

impl<const BITS: usize, const DIGITS: usize, const APART: usize> Multiples<BITS, DIGITS, APART> {
    const ROWS_COUNT: usize = DIGITS.div_ceil(APART);
    const ROW_COUNT: usize = 1 << (BITS - 1);
    /// A digit fits into `i8`, and its bits into two bytes, wherever they begin.
    const IS_SOUND: () = assert!(
        BITS <= 8 && DIGITS == SCALAR_BITS.div_ceil(BITS) && !SCALAR_BITS.is_multiple_of(BITS)
    );

    /// Memory of a table, in bytes.
    pub(super) const BYTES: usize = Self::ROWS_COUNT * Self::ROW_COUNT * size_of::<EdwardsPoint>();

    /// The multiples of a point.
    pub(super) fn of(point: EdwardsPoint) -> Self {
        let () = Self::IS_SOUND;
        let mut points = Vec::with_capacity(Self::ROWS_COUNT * Self::ROW_COUNT);
        let mut first = point;
        for _ in 0..Self::ROWS_COUNT {
            let mut multiple = first;
            for _ in 1..Self::ROW_COUNT {
                points.push(multiple);
                multiple += first;
            }
            points.push(multiple);
            // the last one is 2^(BITS−1) times the first
            first = doubled(multiple, 1 + BITS * (APART - 1));
        }
        Self {
            points: points.into_boxed_slice(),
        }
    }

    /// `scalar·P`.
    pub(super) fn times(&self, scalar: &Scalar) -> EdwardsPoint {
        let digits = Self::digits(scalar);
        // All points are copied before the first is added: a processor waits for many lines of memory at once, but not for
        // lines that it learns of after a thousand instructions.
        let terms: [EdwardsPoint; DIGITS] = std::array::from_fn(|at| self.term(at, digits[at]));
        let mut sum = EdwardsPoint::default();
        for place in (0..APART).rev() {
            if place + 1 < APART {
                sum = doubled(sum, BITS);
            }
            let terms = terms.iter().zip(&digits).skip(place).step_by(APART);
            for (term, &digit) in terms {
                match digit {
                    0.. => sum += term,
                    ..0 => sum -= term,
                }
            }
        }
        sum
    }

    /// What digit `at` adds, or takes away where it is negative.
    fn term(&self, at: usize, digit: i8) -> EdwardsPoint {
        match usize::from(digit.unsigned_abs()) {
            0 => EdwardsPoint::default(),
            times => self.points[at / APART * Self::ROW_COUNT + times - 1],
        }
    }

    /// The digits of a scalar, the lowest first.
    fn digits(scalar: &Scalar) -> [i8; DIGITS] {
        let mut bytes = [0; 33];
        bytes[..32].copy_from_slice(scalar.as_bytes());
        let mut carry = 0;
        let digits = std::array::from_fn(|at| {
            let bit = at * BITS;
            let pair = u16::from_le_bytes([bytes[bit / 8], bytes[bit / 8 + 1]]);
            let bits = (pair >> (bit % 8)) & ((1 << BITS) - 1);
            let value = bits as i16 + carry;
            carry = i16::from(value >= 1 << (BITS - 1));
            (value - (carry << BITS)) as i8
        });
        debug_assert_eq!(carry, 0, "the last digit of a reduced scalar is small");
        digits
    }
}

/// `2^times·point`. Three doublings at once are cheaper: that is what the library lets us have.
fn doubled(mut point: EdwardsPoint, times: usize) -> EdwardsPoint {
    for _ in 0..times / 3 {
        point = point.mul_by_cofactor();
    }
    for _ in 0..times % 3 {
        point += point;
    }
    point
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::constants::ED25519_BASEPOINT_POINT as B;
    use proptest::prelude::*;

    /// The scalars at which digits carry, and the largest one.
    fn edges() -> Vec<Scalar> {
        let mut edges = vec![Scalar::ZERO, Scalar::ONE, -Scalar::ONE, -Scalar::from(2_u8)];
        for byte in [0x07, 0x08, 0x0f, 0x77, 0x7f, 0x80, 0x81, 0x88, 0xff] {
            edges.push(Scalar::from_bytes_mod_order([byte; 32]));
        }
        for bit in 0..252 {
            let mut bytes = [0; 32];
            bytes[bit / 8] = 1 << (bit % 8);
            let power = Scalar::from_bytes_mod_order(bytes);
            edges.extend([power, power - Scalar::ONE, -power]);
        }
        edges
    }

    fn digits_sum_up<const BITS: usize, const DIGITS: usize>(scalar: &Scalar) {
        let digits = Multiples::<BITS, DIGITS, 1>::digits(scalar);
        let radix = Scalar::from(1_u64 << BITS);
        let sum = digits.iter().rev().fold(Scalar::ZERO, |sum, &digit| {
            let value = Scalar::from(digit.unsigned_abs());
            sum * radix + if digit < 0 { -value } else { value }
        });
        assert_eq!(sum, *scalar, "{BITS} bits");
        let half = 1_i16 << (BITS - 1);
        let is_digit = |&digit: &i8| (-half..half).contains(&i16::from(digit));
        assert!(digits.iter().all(is_digit), "{BITS} bits: {digits:?}");
    }

    fn all_digits_sum_up(scalar: &Scalar) {
        digits_sum_up::<4, 64>(scalar);
        digits_sum_up::<5, 51>(scalar);
        digits_sum_up::<6, 43>(scalar);
        digits_sum_up::<7, 37>(scalar);
        digits_sum_up::<8, 32>(scalar);
    }

    fn products_are_right<const BITS: usize, const DIGITS: usize, const APART: usize>(
        point: EdwardsPoint,
        scalars: &[Scalar],
    ) {
        let multiples = Multiples::<BITS, DIGITS, APART>::of(point);
        assert_eq!(
            size_of_val(&*multiples.points),
            Multiples::<BITS, DIGITS, APART>::BYTES
        );
        for scalar in scalars {
            assert_eq!(multiples.times(scalar), scalar * point, "{BITS}, {APART}");
        }
    }

    #[test]
    fn products_are_those_of_the_library_at_all_edges() {
        let edges = edges();
        edges.iter().for_each(all_digits_sum_up);
        let other = Scalar::from_bytes_mod_order([0x35; 32]) * B;
        for point in [B, -other] {
            products_are_right::<4, 64, 1>(point, &edges);
            products_are_right::<4, 64, 4>(point, &edges);
            products_are_right::<6, 43, 4>(point, &edges);
            products_are_right::<6, 43, 3>(point, &edges);
            products_are_right::<8, 32, 1>(point, &edges);
            products_are_right::<8, 32, 2>(point, &edges);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn products_are_those_of_the_library(point: [u8; 32], scalar: [u8; 32]) {
            let point = Scalar::from_bytes_mod_order(point) * B;
            let scalar = Scalar::from_bytes_mod_order(scalar);
            all_digits_sum_up(&scalar);
            products_are_right::<6, 43, 4>(point, &[scalar]);
            products_are_right::<8, 32, 1>(point, &[scalar]);
        }
    }
}
