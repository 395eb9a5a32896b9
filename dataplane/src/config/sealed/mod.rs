//! Files of secrets that are encrypted: with age, or as SOPS documents. They are recognised by their content and opened in the
//! memory of this process; a plain file is what it was. Nothing that was opened is ever written or shown.

pub mod age;
mod age_keys;
pub(super) mod sops;

pub use age_keys::AgeKeys;

use crate::logs::redact::holds_identity;
use age::AgeError;
use sops::SopsError;
use std::fmt;
use zeroize::Zeroizing;

/// How a file is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// With age.
    Age,
    /// A document of SOPS.
    Sops(sops::Format),
}

impl fmt::Display for Form {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Form::Age => out.write_str("age"),
            Form::Sops(format) => write!(out, "SOPS {format}"),
        }
    }
}

impl Form {
    /// That of these bytes; nothing: they are not encrypted.
    pub fn of(bytes: &[u8]) -> Option<Form> {
        match age::is_age(bytes) {
            true => Some(Form::Age),
            false => sops::format(bytes).map(Form::Sops),
        }
    }
}

/// Why a file was not opened. No variant holds anything of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealedError {
    /// No identity is set.
    NoIdentity(Form),
    /// The identities cannot be had: their source, and why.
    Identities(String, String),
    /// It is no encrypted file, and has parts of one.
    Remains,
    /// An entry is named, and a file of this form has none.
    NoEntries(Option<Form>),
    /// See there.
    Age(AgeError),
    /// See there.
    Sops(SopsError),
}

impl fmt::Display for SealedError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealedError::NoIdentity(form) => write!(
                out,
                "it is encrypted ({form}), and no age identity is set: name its file in SOPS_AGE_KEY_FILE (process.age_identity_file)"
            ),
            SealedError::Identities(source, problem) => {
                write!(out, "the age identity that opens it: {source}: {problem}")
            }
            SealedError::Remains => out.write_str(
                "it has parts of a file that age or SOPS encrypted, and is none: restore it",
            ),
            SealedError::NoEntries(Some(_)) => out.write_str(
                "an entry of it is named, and an age file has none: leave the entry out",
            ),
            SealedError::NoEntries(None) => out.write_str(
                "an entry of it is named, and it is not a SOPS document: leave the entry out, or encrypt it with sops",
            ),
            SealedError::Age(error) => error.fmt(out),
            SealedError::Sops(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for SealedError {}

impl From<SopsError> for SealedError {
    fn from(error: SopsError) -> SealedError {
        SealedError::Sops(error)
    }
}

/// Whether a text holds identities.
///
/// # Errors
/// It does not, in words.
pub fn check_identities(text: &str) -> Result<(), String> {
    age_keys::parse(text).map(drop)
}

/// Refuses a text that stands where a key is expected and is the text of an encrypted file, or opens such files: it would be
/// taken for the key.
///
/// # Errors
/// It is one; what to do, in words.
pub fn refuse_sealed(text: &str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    if Form::of(bytes).is_some() || has_remains(bytes) || text.contains(age::MAGIC) {
        return Err(
            "it is the text of a file that age or SOPS encrypted, and files only are opened: put it into a file, and name that where the name of a file is expected (_FILE, --key-file)",
        );
    }
    match holds_identity(text) {
        true => Err(
            "it is an age identity, which opens files of keys and is no key: name its file in SOPS_AGE_KEY_FILE, and put the key here",
        ),
        false => Ok(()),
    }
}

/// What a file holds: its own bytes if it is plain, else what is encrypted in it.
///
/// # Errors
/// It cannot be opened, or has no such entry.
pub fn open(
    bytes: Zeroizing<Vec<u8>>,
    entry: Option<&str>,
    keys: &AgeKeys,
) -> Result<Zeroizing<Vec<u8>>, SealedError> {
    let form = Form::of(&bytes);
    match (form, entry) {
        (None, _) if has_remains(&bytes) => Err(SealedError::Remains),
        (None, None) => Ok(bytes),
        (None | Some(Form::Age), Some(_)) => Err(SealedError::NoEntries(form)),
        (Some(form @ Form::Age), None) => {
            age::open(&bytes, &keys.identities(form)?).map_err(SealedError::Age)
        }
        (Some(form @ Form::Sops(format)), entry) => {
            let identities = keys.identities(form)?;
            sops::Document::read(&bytes, format)?.value(entry, || Ok(identities))
        }
    }
}

/// Whether a plain file holds what only encrypted ones do: damage would make a key of it otherwise.
fn has_remains(bytes: &[u8]) -> bool {
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|it| it == part);
    holds(b"AGE ENCRYPTED FILE-----") || holds(b"ENC[AES256_GCM,data:")
}

#[cfg(test)]
mod tests;
