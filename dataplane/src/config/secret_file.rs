//! Files that hold one secret each, as container platforms mount them. What is read is never shown; errors name the file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// No key is as long.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The text of a secret: all of the file but one line end at its end.
///
/// # Errors
/// What is wrong with the file, in words.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let bytes = read_bounded(path, SECRET_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    match text.is_empty() {
        true => Err("it is empty".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// All bytes of a file that is not longer than this.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("it cannot be read: {error}");
    let file = File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    match bytes.len() as u64 > bytes_max {
        true => Err(format!("it is longer than {bytes_max} bytes")),
        false => Ok(bytes),
    }
}
