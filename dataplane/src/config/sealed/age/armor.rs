//! The text form of an age file: PEM with one label, strict but for white space around it. It knows no key.

use super::AgeError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The first line.
pub(super) const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
/// Columns of a full line.
const COLUMNS: usize = 64;

/// The bytes of a text.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, AgeError> {
    let wrong = |problem| Err(AgeError::Armor(problem));
    let Ok(text) = std::str::from_utf8(text) else {
        return wrong("it is not text");
    };
    let mut lines = text
        .trim_ascii()
        .split('\n')
        .map(|it| it.strip_suffix('\r').unwrap_or(it));
    if lines.next() != Some(BEGIN) {
        return wrong("its first line has something behind it");
    }
    let mut encoded = String::with_capacity(text.len());
    let mut is_over = false;
    for line in lines.by_ref() {
        if line == END {
            return match (STANDARD.decode(&encoded), lines.next()) {
                (Ok(bytes), None) => Ok(bytes),
                _ => wrong("it is not canonical base64, or not all of the text"),
            };
        }
        if is_over || line.is_empty() || line.len() > COLUMNS {
            return wrong("a line is not 64 characters long, and not the last one");
        }
        is_over = line.len() < COLUMNS;
        encoded.push_str(line);
    }
    wrong("its last line is missing")
}

/// The text of these bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    let mut text = format!("{BEGIN}\n");
    for (at, character) in encoded.chars().enumerate() {
        if at > 0 && at % COLUMNS == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str(&format!("\n{END}\n"));
    text
}
