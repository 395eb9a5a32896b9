//! Character classes of a request head, and the scans over them that take most of the time of reading a head. It knows
//! bytes, not headers.

/// RFC 9110 `tchar`: methods, header names, connection options.
pub(super) const TOKEN: u8 = 1;
/// Bytes of a request target: visible ASCII except `#`, and bytes above 0x7f (they never match a route).
pub(super) const TARGET: u8 = 2;
/// Bytes of a host name: letters, digits and `-._~`.
pub(super) const HOST: u8 = 4;
/// Bytes of a tenant name: letters, digits and `-._`.
pub(super) const TENANT: u8 = 8;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        let mut class = 0;
        if byte.is_ascii_alphanumeric() {
            class = TOKEN | HOST | TENANT;
        }
        if matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        ) {
            class |= TOKEN;
        }
        if matches!(byte, b'-' | b'.' | b'_') {
            class |= HOST | TENANT;
        }
        if byte == b'~' {
            class |= HOST;
        }
        if (byte.is_ascii_graphic() && byte != b'#') || byte >= 0x80 {
            class |= TARGET;
        }
        table[index] = class;
        index += 1;
    }
    table
}

/// Whether the byte belongs to the class.
pub(super) const fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// Position of the first byte from `from` on that is not in the class; the length if there is none.
pub(super) fn class_end(bytes: &[u8], from: usize, class: u8) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    match rest.iter().position(|&byte| !is(byte, class)) {
        Some(offset) => from + offset,
        None => bytes.len(),
    }
}

/// Whether all bytes belong to the class.
pub(super) fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().all(|&byte| is(byte, class))
}

/// Position of the first control character (tab and DEL included) from `from` on; the length if there is none.
///
/// It reads eight bytes at a time, because header values are most of a head. `first_control_naive` defines the result.
pub(super) fn first_control(bytes: &[u8], from: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let deleted = word ^ (ONES * 0x7f);
        // The subtraction can borrow only from bytes above a true hit, so the lowest hit is correct in both terms.
        let below_space = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
        let is_delete = deleted.wrapping_sub(ONES) & !deleted & TOPS;
        let hits = below_space | is_delete;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    first_control_naive(bytes, at)
}

/// The plain loop that defines [`first_control`]; it also reads the last seven bytes.
fn first_control_naive(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    match rest.iter().position(u8::is_ascii_control) {
        Some(offset) => from + offset,
        None => bytes.len(),
    }
}

/// Start and end of the value at `start..end` without leading and trailing spaces and tabs.
pub(super) fn trimmed(bytes: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    while start < end && matches!(bytes[start], b' ' | b'\t') {
        start += 1;
    }
    while start < end && matches!(bytes[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    (start, end)
}

/// The value without leading and trailing spaces and tabs.
pub(super) fn trim(value: &[u8]) -> &[u8] {
    let (start, end) = trimmed(value, 0, value.len());
    &value[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_single_byte_is_found_or_passed_at_every_offset() {
        for byte in 0..=255_u8 {
            for offset in 0..24 {
                let mut bytes = [b'a'; 24];
                bytes[offset] = byte;
                assert_eq!(
                    first_control(&bytes, 0),
                    first_control_naive(&bytes, 0),
                    "byte {byte:#x} at {offset}"
                );
            }
        }
    }

    #[test]
    fn classes_are_those_of_the_grammar() {
        for byte in 0..=255_u8 {
            let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is(byte, TOKEN), token, "{byte:#x}");
            assert_eq!(
                is(byte, TARGET),
                byte > 0x20 && byte != 0x7f && byte != b'#',
                "{byte:#x}"
            );
            assert_eq!(
                is(byte, TENANT),
                byte.is_ascii_alphanumeric() || b"._-".contains(&byte),
                "{byte:#x}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_word_scan_equals_the_plain_loop(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x1f), Just(0x20), Just(0x7f), Just(0x80)], 0..64),
            from in 0_usize..72,
        ) {
            let from = from.min(bytes.len());
            prop_assert_eq!(first_control(&bytes, from), first_control_naive(&bytes, from));
        }
    }
}
