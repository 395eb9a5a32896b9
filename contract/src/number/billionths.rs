//! The fast path for decimals with at most nine places, which are nearly all numbers of records. Their text and rounding
//! need one integer and no search for the shortest digits. All other numbers take the general path of the parent module.

use super::{Sink, digits};

const PER_ONE: u64 = 1_000_000_000;
/// Below this every count is exact in a double and has at most 15 digits. Different decimals of at most 15 digits are
/// different doubles, so the decimal is the shortest text of its double.
const COUNT_MAX: f64 = 1e15;
/// Below this the binary count and the shortest text differ by less than 0.004: the text and the multiplication each have
/// an error of half a last place, at most 2⁻⁹.
const SURE_MAX: f64 = (1u64 << 44) as f64;
/// Nearer to a tie than this, the general path must decide.
const TIE_MARGIN: f64 = 0.01;
/// From 0.0001 on the text has no exponent.
const PLAIN_MIN: u64 = 100_000;

/// `count × 10⁻⁹`, with a sign that zero has too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Billionths {
    negative: bool,
    count: u64,
}

impl Billionths {
    /// The decimal that is the shortest text of `v`, if it has at most nine places and 15 digits.
    pub(super) fn exactly(v: f64) -> Option<Self> {
        let magnitude = v.abs();
        let scaled = magnitude * PER_ONE as f64;
        // also not in the range: what is not a number
        if !(0.0..COUNT_MAX).contains(&scaled) {
            return None;
        }
        let candidate = Self {
            negative: v.is_sign_negative(),
            count: (scaled + 0.5) as u64,
        };
        (candidate.to_f64() == v).then_some(candidate)
    }

    /// The shortest text of `v` rounded to nine places, half away from zero, unless it is large or too near to a tie.
    pub(super) fn nearest(v: f64) -> Option<Self> {
        let scaled = v.abs() * PER_ONE as f64;
        if !(0.0..SURE_MAX).contains(&scaled) {
            return None;
        }
        let whole = scaled as u64;
        let fraction = scaled - whole as f64;
        let sure = (fraction - 0.5).abs() > TIE_MARGIN;
        sure.then(|| Self {
            negative: v.is_sign_negative(),
            count: whole + u64::from(fraction > 0.5),
        })
    }

    /// The nearest double: both operands of the division are exact, so it rounds once and correctly.
    pub(super) fn to_f64(self) -> f64 {
        let magnitude = self.count as f64 / PER_ONE as f64;
        if self.negative { -magnitude } else { magnitude }
    }

    /// Whether [`Billionths::write_repr`] can write it: zero, or large enough that the text has no exponent.
    pub(super) fn is_plain(self) -> bool {
        self.count == 0 || self.count >= PLAIN_MIN
    }

    /// Whole part, point, and the places without trailing zeros, but at least one.
    pub(super) fn write_repr(self, out: &mut impl Sink) {
        let places = digits::nine(self.places());
        let kept = places.iter().rposition(|d| *d != b'0').unwrap_or(0) + 1;
        self.write(out, &places[..kept]);
    }

    /// Whole part, point and all nine places.
    pub(super) fn write_fixed(self, out: &mut impl Sink) {
        self.write(out, &digits::nine(self.places()));
    }

    fn places(self) -> u32 {
        (self.count % PER_ONE) as u32
    }

    fn write(self, out: &mut impl Sink, places: &[u8]) {
        if self.negative {
            out.put(b"-");
        }
        digits::write(out, self.count / PER_ONE);
        out.put(b".");
        out.put(places);
    }
}
