//! Files in the age format, version 1, for X25519 recipients: <https://c2sp.org/age>. Files are opened and made in memory;
//! none is read or written here, and passphrases, plugins and SSH keys are none of its kinds.

mod armor;
mod file_key;
mod identity;
mod stanza;
mod stream;

pub use identity::{Identity, Recipient};
pub(super) use stanza::MAGIC;

use file_key::{FILE_KEY_BYTES, FileKey};
use stanza::{Header, printable};
use std::fmt;
use zeroize::Zeroizing;

/// Why a file was not opened. No variant holds anything of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgeError {
    /// It has another version.
    Version(String),
    /// The text around it is damaged, in words.
    Armor(&'static str),
    /// The header breaks a rule of the format, in words.
    Header(&'static str),
    /// It is for recipients that none of the identities is; their kinds.
    NoMatch(Vec<String>),
    /// The MAC of the header does not verify.
    HeaderChanged,
    /// The payload is damaged, in words.
    Payload(&'static str),
    /// A text is no recipient.
    NotARecipient,
    /// A text is no identity.
    NotAnIdentity,
    /// The kernel gave no random bytes.
    NoRandomBytes,
}

impl fmt::Display for AgeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgeError::Version(version) => {
                write!(out, "its age format is {version:?}, and this flk reads v1")
            }
            AgeError::Armor(problem) => write!(out, "its age armor is damaged: {problem}"),
            AgeError::Header(problem) => write!(out, "its age header is wrong: {problem}"),
            AgeError::NoMatch(kinds) if kinds.iter().any(|kind| kind == "scrypt") => out.write_str(
                "it is encrypted with a passphrase, which no process can type: encrypt it to a recipient (age -r age1…)",
            ),
            AgeError::NoMatch(kinds) => write!(
                out,
                "it is not encrypted to any of the identities given (its recipients: {}): give the right one, or encrypt it again",
                kinds.join(", ")
            ),
            AgeError::HeaderChanged => out.write_str("its age header was changed: the MAC does not verify"),
            AgeError::Payload(problem) => write!(out, "its age payload is damaged: {problem}"),
            AgeError::NotARecipient => {
                out.write_str("not an age recipient (age1… as age-keygen -y prints it)")
            }
            AgeError::NotAnIdentity => {
                out.write_str("not an age identity (AGE-SECRET-KEY-1… as age-keygen makes it)")
            }
            AgeError::NoRandomBytes => out.write_str("the kernel gave no random bytes"),
        }
    }
}

impl std::error::Error for AgeError {}

/// Whether these bytes are an age file, of whatever version, binary or text.
pub(super) fn is_age(bytes: &[u8]) -> bool {
    bytes.starts_with(stanza::MAGIC.as_bytes()) || is_armored(bytes)
}

fn is_armored(bytes: &[u8]) -> bool {
    bytes
        .trim_ascii_start()
        .starts_with(armor::BEGIN.as_bytes())
}

/// Opens a file with the first identity that it is for.
///
/// # Errors
/// It is damaged, or for others.
pub fn open(file: &[u8], identities: &[Identity]) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    match is_armored(file) {
        true => open_binary(&armor::decode(file)?, identities),
        false => open_binary(file, identities),
    }
}

fn open_binary(file: &[u8], identities: &[Identity]) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    let (header, payload) = Header::read(file)?;
    let key = file_key(&header, identities)?;
    header.verify(&key)?;
    stream::open(&key, payload)
}

fn file_key(header: &Header<'_>, identities: &[Identity]) -> Result<FileKey, AgeError> {
    if header.stanzas.len() > 1 && header.stanzas.iter().any(|it| it.kind == "scrypt") {
        return Err(AgeError::Header("a passphrase is not its only recipient"));
    }
    for stanza in header.stanzas.iter().filter(|it| it.kind == "X25519") {
        for identity in identities {
            if let Some(key) = identity.unwrap(stanza)? {
                return Ok(key);
            }
        }
    }
    let mut kinds: Vec<String> = header.stanzas.iter().map(|it| printable(it.kind)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    Err(AgeError::NoMatch(kinds))
}

/// Encrypts to all of these recipients, as text.
///
/// # Errors
/// There are no random bytes.
pub fn seal(plain: &[u8], recipients: &[Recipient]) -> Result<String, AgeError> {
    assert!(!recipients.is_empty(), "a file has a recipient");
    let file_key: FileKey = random::<FILE_KEY_BYTES>()?;
    let wrap = |recipient: &Recipient| Ok(recipient.wrap(&file_key, &random()?));
    let wrapped = recipients.iter().map(wrap).collect::<Result<Vec<_>, _>>()?;
    let mut file = stanza::write(&file_key, &wrapped).into_bytes();
    file.extend(stream::seal(&file_key, &*random()?, plain));
    Ok(armor::encode(&file))
}

fn random<const COUNT: usize>() -> Result<Zeroizing<[u8; COUNT]>, AgeError> {
    let mut bytes = Zeroizing::new([0; COUNT]);
    let mut filled = 0;
    while filled < COUNT {
        let flags = rustix::rand::GetRandomFlags::empty();
        match rustix::rand::getrandom(&mut bytes[filled..], flags) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Err(AgeError::NoRandomBytes),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
