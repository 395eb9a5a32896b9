//! Decimal digits of integers, two at a time.

use super::Sink;

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

fn pair(n: u32) -> [u8; 2] {
    PAIRS[(n % 100) as usize]
}

/// The nine digits of an integer below 10⁹, with leading zeros.
pub(super) fn nine(n: u32) -> [u8; 9] {
    let (first, rest) = (n / 100_000_000, n % 100_000_000);
    let (high, low) = (rest / 10_000, rest % 10_000);
    let [a, b] = pair(high / 100);
    let [c, d] = pair(high);
    let [e, f] = pair(low / 100);
    let [g, h] = pair(low);
    [b'0' + (first % 10) as u8, a, b, c, d, e, f, g, h]
}

/// The digits of an integer without leading zeros, at the end of `text`.
pub(crate) fn of(n: u64, text: &mut [u8; 20]) -> &[u8] {
    let mut start = text.len();
    let mut rest = n;
    while rest >= 10 {
        start -= 2;
        text[start..start + 2].copy_from_slice(&pair((rest % 100) as u32));
        rest /= 100;
    }
    if rest > 0 || n == 0 {
        start -= 1;
        text[start] = b'0' + rest as u8;
    }
    &text[start..]
}

/// Writes an integer without leading zeros.
pub(super) fn write(out: &mut impl Sink, n: u64) {
    out.put(of(n, &mut [0; 20]));
}

#[cfg(test)]
mod tests {
    use super::{nine, write};
    use proptest::prelude::*;

    fn text(n: u64) -> String {
        let mut out = Vec::new();
        write(&mut out, n);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_count_of_digits_is_written() {
        let mut n = 1u64;
        loop {
            assert_eq!(text(n), n.to_string());
            assert_eq!(text(n - 1), (n - 1).to_string());
            let Some(next) = n.checked_mul(10) else { break };
            n = next;
        }
        assert_eq!(text(u64::MAX), u64::MAX.to_string());
    }

    proptest! {
        #[test]
        fn digits_are_those_of_the_standard_library(n: u64, below in 0u32..1_000_000_000) {
            prop_assert_eq!(text(n), n.to_string());
            prop_assert_eq!(nine(below).to_vec(), format!("{below:09}").into_bytes());
        }
    }
}
