//! Bytes as lower-case hexadecimal digits, and back.

/// The digits of these bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of these digits, two for each.
pub fn unhex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "half a byte: {digits}");
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// The bytes of digits whose number is known.
pub fn unhex_array<const BYTES: usize>(digits: &str) -> [u8; BYTES] {
    unhex(digits).try_into().expect("digits of this many bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let digits = hex(&bytes);
        assert!(
            digits.starts_with("000102") && digits.ends_with("fdfeff"),
            "{digits}"
        );
        assert_eq!(unhex(&digits), bytes);
        assert_eq!(unhex_array("00ff"), [0, 255]);
    }
}
