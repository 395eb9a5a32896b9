//! JSON strings in ASCII, as the signing payload, records and outcomes have them. It never allocates.

use crate::{hash, number::Sink};

/// Writes a JSON string in ASCII: short escapes where they exist, `\uXXXX` for all else outside U+0020…U+007E.
pub fn write_string(out: &mut impl Sink, text: &str) {
    out.put(b"\"");
    // Nearly every text is plain; looking at all bytes without stopping early lets the compiler look at many at a time.
    if !text
        .bytes()
        .fold(false, |found, byte| found | needs_escape(byte))
    {
        out.put(text.as_bytes());
        out.put(b"\"");
        return;
    }
    let mut plain = text;
    while let Some(at) = plain.bytes().position(needs_escape) {
        let (before, rest) = plain.split_at(at);
        out.put(before.as_bytes());
        let mut characters = rest.chars();
        if let Some(c) = characters.next() {
            write_escaped(out, c);
        }
        plain = characters.as_str();
    }
    out.put(plain.as_bytes());
    out.put(b"\"");
}

/// True first at the leading byte of a character, so that the text may be split there.
fn needs_escape(byte: u8) -> bool {
    (byte.wrapping_sub(b' ') > b'~' - b' ') | (byte == b'"') | (byte == b'\\')
}

fn write_escaped(out: &mut impl Sink, c: char) {
    match c {
        '"' => out.put(b"\\\""),
        '\\' => out.put(b"\\\\"),
        '\n' => out.put(b"\\n"),
        '\r' => out.put(b"\\r"),
        '\t' => out.put(b"\\t"),
        '\u{8}' => out.put(b"\\b"),
        '\u{c}' => out.put(b"\\f"),
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                let unit = u32::from(*unit);
                out.put(&[
                    b'\\',
                    b'u',
                    hash::hex_digit(unit >> 12),
                    hash::hex_digit(unit >> 8),
                    hash::hex_digit(unit >> 4),
                    hash::hex_digit(unit),
                ]);
            }
        }
    }
}
