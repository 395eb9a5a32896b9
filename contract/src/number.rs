//! Number text: the shortest decimal as CPython's `repr` writes it, C's `%.9f`, and rounding to nine decimals on that text.
//! Every signature depends on these bytes, so nothing here uses the locale, the platform's printf or inexact arithmetic.
//! It never allocates.
//!
//! Nearly every number of a record has at most nine decimals and takes the fast path of `billionths`. This file is the
//! general path for any double, and the twin that tests compare the fast path with.

mod billionths;
pub(crate) mod digits;

use billionths::Billionths;
use std::fmt::Write as _;

/// A destination of bytes.
pub trait Sink {
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// 17 significant digits, and the zeros that the shortest text may have before and after them.
const DIGITS_MAX: usize = 24;
const DECIMALS: i32 = 9;

/// `0.d₁d₂… × 10^point`; no digits at all is zero.
#[derive(Clone, Copy)]
struct Decimal {
    negative: bool,
    digits: [u8; DIGITS_MAX],
    digits_count: usize,
    point: i32,
}

impl Decimal {
    /// The shortest digits that read back to the same double; of several, those nearest to it.
    fn shortest(v: f64) -> Self {
        let mut buffer = ryu::Buffer::new();
        Self::from_text(buffer.format_finite(v).as_bytes())
    }

    fn from_text(text: &[u8]) -> Self {
        let mut d = Self {
            negative: false,
            digits: [b'0'; DIGITS_MAX],
            digits_count: 0,
            point: 0,
        };
        let mut fraction = false;
        let mut rest = text;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            match byte {
                b'-' => d.negative = true,
                b'.' => fraction = true,
                b'e' => {
                    d.point += small_integer(tail);
                    break;
                }
                b'0' if d.digits_count == 0 => d.point -= i32::from(fraction),
                digit => {
                    if let Some(slot) = d.digits.get_mut(d.digits_count) {
                        *slot = digit;
                        d.digits_count += 1;
                    }
                    d.point += i32::from(!fraction);
                }
            }
        }
        d.trim();
        d
    }

    fn trim(&mut self) {
        while self.digits_count > 0 && self.digits[self.digits_count - 1] == b'0' {
            self.digits_count -= 1;
        }
        if self.digits_count == 0 {
            self.point = 0;
        }
    }

    fn digits(&self) -> &[u8] {
        &self.digits[..self.digits_count]
    }

    /// Rounds to nine decimals, half away from zero; returns whether anything changed.
    fn round9(&mut self) -> bool {
        let keep = self.point + DECIMALS;
        if self.digits_count as i32 <= keep {
            return false;
        }
        if keep < 0 {
            self.digits_count = 0;
            self.trim();
            return true;
        }
        let keep = keep as usize;
        let up = self.digits[keep] >= b'5';
        self.digits_count = keep;
        if up {
            self.increment_last();
        }
        self.trim();
        true
    }

    fn increment_last(&mut self) {
        for slot in self.digits[..self.digits_count].iter_mut().rev() {
            if *slot < b'9' {
                *slot += 1;
                return;
            }
            *slot = b'0';
        }
        // all nines, or no digit kept: one more digit in front
        self.digits[0] = b'1';
        self.digits_count = 1;
        self.point += 1;
    }

    /// The double nearest to this decimal.
    fn to_f64(self) -> f64 {
        const EXACT_MAX: u64 = 1 << 53;
        const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
        let n = self.digits().iter().fold(0u64, |n, d| {
            n.wrapping_mul(10).wrapping_add(u64::from(d - b'0'))
        });
        let decimals = self.digits_count as i32 - self.point;
        let magnitude = match usize::try_from(decimals).ok().and_then(|i| POWERS.get(i)) {
            // both operands are exact, so the division rounds once and correctly
            Some(power) if n <= EXACT_MAX && self.digits_count <= 17 => n as f64 / power,
            _ => self.to_f64_by_text(),
        };
        if self.negative { -magnitude } else { magnitude }
    }

    /// Uses the correctly rounded parser of the standard library; the caller adds the sign.
    fn to_f64_by_text(self) -> f64 {
        let mut text = Text::new();
        text.put(b"0.");
        text.put(self.digits());
        let _ = write!(text, "e{}", self.point);
        text.as_str().parse().unwrap_or(0.0)
    }

    fn write_repr(&self, out: &mut impl Sink) {
        const ZEROS: [u8; 24] = [b'0'; 24];
        let mut text = Text::new();
        if self.negative {
            text.put(b"-");
        }
        let digits = self.digits();
        let point = self.point;
        if digits.is_empty() {
            text.put(b"0.0");
        } else if point <= -4 || point > 16 {
            text.put(&digits[..1]);
            if digits.len() > 1 {
                text.put(b".");
                text.put(&digits[1..]);
            }
            let exponent = point - 1;
            let sign = if exponent < 0 { '-' } else { '+' };
            let _ = write!(text, "e{sign}{:02}", exponent.unsigned_abs());
        } else if point <= 0 {
            text.put(b"0.");
            text.put(&ZEROS[..point.unsigned_abs() as usize]);
            text.put(digits);
        } else {
            let point = point as usize;
            if point >= digits.len() {
                text.put(digits);
                text.put(&ZEROS[..point - digits.len()]);
                text.put(b".0");
            } else {
                text.put(&digits[..point]);
                text.put(b".");
                text.put(&digits[point..]);
            }
        }
        out.put(text.bytes());
    }
}

/// An exponent as ryu writes it: an optional minus and at most three digits.
fn small_integer(text: &[u8]) -> i32 {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let magnitude = digits
        .iter()
        .fold(0i32, |n, d| n * 10 + i32::from(d.wrapping_sub(b'0')));
    if negative { -magnitude } else { magnitude }
}

/// A short text on the stack.
struct Text {
    bytes: [u8; 48],
    bytes_count: usize,
}

impl Text {
    const fn new() -> Self {
        Self {
            bytes: [0; 48],
            bytes_count: 0,
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.bytes_count]
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }
}

impl Sink for Text {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.bytes_count + bytes.len();
        self.bytes[self.bytes_count..end].copy_from_slice(bytes);
        self.bytes_count = end;
    }
}

impl std::fmt::Write for Text {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        self.put(s.as_bytes());
        Ok(())
    }
}

/// Adapts a sink to the formatting of the standard library.
pub(crate) struct Formatter<'s, S: Sink>(pub(crate) &'s mut S);

impl<S: Sink> std::fmt::Write for Formatter<'_, S> {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        self.0.put(s.as_bytes());
        Ok(())
    }
}

/// Writes the text that CPython's `repr` gives for the finite double `v`.
pub fn write_repr(out: &mut impl Sink, v: f64) {
    debug_assert!(v.is_finite());
    match Billionths::exactly(v) {
        Some(short) if short.is_plain() => short.write_repr(out),
        _ => Decimal::shortest(v).write_repr(out),
    }
}

/// Writes `v` as C's `%.9f` does: its exact binary value with nine decimals, ties to even.
pub fn write_fixed9(out: &mut impl Sink, v: f64) {
    debug_assert!(v.is_finite());
    match Billionths::exactly(v) {
        // a double lies nearer to its shortest text than half of the ninth decimal
        Some(short) => short.write_fixed(out),
        None => drop(write!(Formatter(out), "{v:.9}")),
    }
}

/// Rounds to nine decimals, half away from zero on the shortest decimal text of `v`.
///
/// So 0.1234567885 becomes 0.123456789 although the binary value lies below it. The sign of zero is kept.
pub fn round9(v: f64) -> f64 {
    match Billionths::nearest(v) {
        Some(rounded) => rounded.to_f64(),
        None if v.is_finite() => round9_by_text(v),
        None => v,
    }
}

fn round9_by_text(v: f64) -> f64 {
    let mut d = Decimal::shortest(v);
    if d.round9() { d.to_f64() } else { v }
}

/// Writes `repr(round9(v))` with one pass over the digits where that is possible.
pub(crate) fn write_repr_rounded(out: &mut impl Sink, v: f64) {
    match Billionths::nearest(v) {
        Some(short) if short.is_plain() => short.write_repr(out),
        _ => write_repr_rounded_by_text(out, v),
    }
}

fn write_repr_rounded_by_text(out: &mut impl Sink, v: f64) {
    /// Up to this many digits a decimal is the shortest text of the double that it reads as.
    const DIGITS_FAITHFUL: usize = 15;
    let mut d = Decimal::shortest(v);
    if d.round9() && d.digits_count > DIGITS_FAITHFUL {
        d = Decimal::shortest(d.to_f64());
    }
    d.write_repr(out);
}

/// Writes an unsigned integer in decimal.
pub(crate) fn write_unsigned(out: &mut impl Sink, v: u64) {
    digits::write(out, v);
}

/// Writes a signed integer in decimal.
pub(crate) fn write_signed(out: &mut impl Sink, v: i64) {
    if v < 0 {
        out.put(b"-");
    }
    digits::write(out, v.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Doubles near decimals of nine to eleven places: exact ones, ties, and their neighbours.
    fn near_decimals() -> impl Strategy<Value = f64> {
        let places = (0u64..20_000_000_000_000, 9i32..12);
        let decimals = places.prop_map(|(n, places)| n as f64 / 10f64.powi(places));
        let moved = (decimals, -2i64..3, any::<bool>()).prop_map(|(v, by, negative)| {
            let near = f64::from_bits(v.to_bits().saturating_add_signed(by));
            if negative { -near } else { near }
        });
        prop_oneof![
            4 => moved,
            1 => any::<f64>().prop_filter("JSON has no others", |v| v.is_finite()),
            1 => -1e7f64..1e7,
            1 => (0u64..2_000_000).prop_map(|n| n as f64 / 1e10),
        ]
    }

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn the_short_way_gives_what_the_general_way_gives(v in near_decimals()) {
            prop_assert_eq!(
                text(|out| write_repr(out, v)),
                text(|out| Decimal::shortest(v).write_repr(out))
            );
            prop_assert_eq!(
                text(|out| write_repr_rounded(out, v)),
                text(|out| write_repr_rounded_by_text(out, v))
            );
            prop_assert_eq!(text(|out| write_fixed9(out, v)), format!("{v:.9}"));
            prop_assert_eq!(round9(v).to_bits(), round9_by_text(v).to_bits());
        }
    }

    /// Ties by construction, and what they round to by their text: no way of this module takes part in what is expected.
    #[test]
    fn ties_round_away_from_zero_at_every_magnitude() {
        let billionths = |n: u64| format!("{}.{:09}", n / 1_000_000_000, n % 1_000_000_000);
        let mut state = 7u64;
        let mut ties_count = 0;
        for digits in 1..=16 {
            for _ in 0..4_000 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let n = (state >> 8) % 10u64.pow(digits);
                let tie = format!("{}5", billionths(n));
                let v: f64 = tie.parse().unwrap();
                if format!("{v}") != tie {
                    continue; // another double's shortest text
                }
                ties_count += 1;
                let expected: f64 = billionths(n + 1).parse().unwrap();
                for (v, expected) in [(v, expected), (-v, -expected)] {
                    assert_eq!(round9(v).to_bits(), expected.to_bits(), "{tie}");
                    assert_eq!(
                        text(|out| write_repr_rounded(out, v)),
                        text(|out| write_repr(out, expected)),
                        "{tie}"
                    );
                }
            }
        }
        assert!(ties_count > 40_000, "{ties_count}");
    }

    #[test]
    fn the_numbers_of_records_take_the_short_way() {
        for v in [
            0.0,
            -0.0,
            1.5,
            0.512345678,
            2.807354922,
            0.0001,
            999_999.999999999,
        ] {
            assert!(
                Billionths::exactly(v).is_some_and(Billionths::is_plain),
                "{v}"
            );
            assert!(Billionths::nearest(v).is_some() || v > 1e4, "{v}");
        }
    }
}
