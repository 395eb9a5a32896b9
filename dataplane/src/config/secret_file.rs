//! Files that hold one secret each, as container platforms mount them. What is read is never shown; errors name the file.
//! No copy of a secret outlives what is returned.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// No key is as long.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// The text of a secret: all of the file but one line end at its end. Wiped when it is dropped.
///
/// # Errors
/// What is wrong with the file, in words.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let bytes = read_bounded(path, SECRET_BYTES_MAX)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    match text.is_empty() {
        true => Err("it is empty".to_owned()),
        false => Ok(Zeroizing::new(text.to_owned())),
    }
}

/// All bytes of a file that is not longer than this.
pub(super) fn read_bounded(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let cannot = |error: std::io::Error| format!("it cannot be read: {error}");
    let mut file = File::open(path).map_err(cannot)?;
    // Of its final length from the beginning: memory that grows leaves copies.
    let mut bytes = Zeroizing::new(vec![0; bytes_max + 1]);
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(cannot(error)),
        }
    }
    match filled > bytes_max {
        true => Err(format!("it is longer than {bytes_max} bytes")),
        false => {
            bytes.truncate(filled);
            Ok(bytes)
        }
    }
}
