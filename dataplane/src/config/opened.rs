//! The text of a secret from its file, plain or encrypted for an age identity. No copy of a secret outlives what is returned.

use super::sealed::{self, AgeKeys, Form};
use super::secret_file::{SecretPath, read_bytes, read_once, read_sealed, text_of};
use std::path::Path;
use zeroize::Zeroizing;

/// The text of a secret: all of a plain file, or what an encrypted one holds, but one line end at its end. Wiped when it is
/// dropped. Besides it, how the file is encrypted.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn read(
    secret: &SecretPath,
    keys: &AgeKeys,
) -> Result<(Zeroizing<String>, Option<Form>), String> {
    open_bytes(read_bytes(&secret.path)?, secret, keys)
}

/// The same of a pipe that a start reads once, before it does anything else: its writer may ask for a passphrase first.
///
/// # Errors
/// Why not.
pub(super) fn read_pipe(
    secret: &SecretPath,
    keys: &AgeKeys,
) -> Result<(Zeroizing<String>, Option<Form>), String> {
    let bytes = read_once(&secret.path).map_err(|error| error.to_string())?;
    open_bytes(bytes, secret, keys)
}

/// The text of a secret whose file has these bytes, and how it is encrypted.
pub(super) fn open_bytes(
    bytes: Zeroizing<Vec<u8>>,
    secret: &SecretPath,
    keys: &AgeKeys,
) -> Result<(Zeroizing<String>, Option<Form>), String> {
    let form = Form::of(&bytes);
    let opened = sealed::open(bytes, secret.entry.as_deref(), keys);
    let text = text_of(&opened.map_err(|error| error.to_string())?)?;
    Ok((text, form))
}

/// How a file is encrypted; nothing: it is plain, or cannot be read. A pipe is left as it is: reading would empty it.
pub fn form_of(path: &Path) -> Option<Form> {
    Form::of(&read_sealed(path).ok()?)
}
