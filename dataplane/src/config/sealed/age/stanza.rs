//! The header of an age file: its stanzas, one for each recipient, and its MAC. It checks the form to the letter and knows no
//! key.

use super::AgeError;
use super::file_key::{FILE_KEY_BYTES, FileKey, derive};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The first line.
pub(super) const VERSION: &str = "age-encryption.org/v1";
/// What the first line begins with, whatever the version.
pub(in crate::config::sealed) const MAGIC: &str = "age-encryption.org/";
/// Columns of a full line of base64.
const COLUMNS: usize = 64;
/// The beginning of the last line.
const FOOTER: &str = "---";

/// What is there for one recipient.
pub(super) struct Stanza<'a> {
    pub(super) kind: &'a str,
    arguments: Vec<&'a str>,
    pub(super) body: Vec<u8>,
}

/// A header.
pub(super) struct Header<'a> {
    pub(super) stanzas: Vec<Stanza<'a>>,
    /// The bytes that the MAC is of.
    authenticated: &'a [u8],
    mac: [u8; 32],
}

impl<'a> Header<'a> {
    /// Reads the header; returns it and what is behind it.
    pub(super) fn read(bytes: &'a [u8]) -> Result<(Header<'a>, &'a [u8]), AgeError> {
        let mut lines = Lines { bytes, at: 0 };
        let version = lines.next()?;
        if version != VERSION {
            let version = version.strip_prefix(MAGIC).unwrap_or_default();
            return Err(AgeError::Version(printable(version)));
        }
        let mut stanzas = Vec::new();
        loop {
            let begin = lines.at;
            let line = lines.next()?;
            if let Some(mac) = line.strip_prefix(FOOTER) {
                let mac = mac.strip_prefix(' ').ok_or(Self::NO_MAC)?;
                let mac = base64(mac).and_then(|mac| <[u8; 32]>::try_from(mac).ok());
                let header = Header {
                    stanzas,
                    authenticated: &bytes[..begin + FOOTER.len()],
                    mac: mac.ok_or(Self::NO_MAC)?,
                };
                return match header.stanzas.is_empty() {
                    true => Err(AgeError::Header("it has no recipient")),
                    false => Ok((header, &bytes[lines.at..])),
                };
            }
            stanzas.push(Stanza::read(line, &mut lines)?);
        }
    }

    const NO_MAC: AgeError = AgeError::Header("its last line is not a MAC");

    /// Whether the header is as the one that knew the file key wrote it.
    pub(super) fn verify(&self, file_key: &FileKey) -> Result<(), AgeError> {
        mac(file_key, self.authenticated)
            .verify_slice(&self.mac)
            .map_err(|_| AgeError::HeaderChanged)
    }
}

fn mac(file_key: &FileKey, bytes: &[u8]) -> Hmac<Sha256> {
    let key = derive(&file_key[..], &[], b"header");
    let mut mac = match Hmac::<Sha256>::new_from_slice(&key[..]) {
        Ok(mac) => mac,
        Err(error) => unreachable!("HMAC takes keys of any length: {error}"),
    };
    mac.update(bytes);
    mac
}

/// Writes the header for these shares and wrapped file keys.
pub(super) fn write(file_key: &FileKey, wrapped: &[([u8; 32], [u8; 32])]) -> String {
    let mut text = format!("{VERSION}\n");
    for (share, body) in wrapped {
        let [share, body] = [share, body].map(|it| STANDARD_NO_PAD.encode(it));
        text.push_str(&format!("-> X25519 {share}\n{body}\n"));
    }
    text.push_str(FOOTER);
    let mac = mac(file_key, text.as_bytes()).finalize().into_bytes();
    text.push_str(&format!(" {}\n", STANDARD_NO_PAD.encode(mac)));
    text
}

impl<'a> Stanza<'a> {
    fn read(line: &'a str, lines: &mut Lines<'a>) -> Result<Stanza<'a>, AgeError> {
        let wrong = |problem| Err(AgeError::Header(problem));
        let Some(words) = line.strip_prefix("-> ") else {
            return wrong("a recipient does not begin with ->");
        };
        let words: Vec<&str> = words.split(' ').collect();
        let is_word =
            |word: &&str| !word.is_empty() && word.bytes().all(|it| it.is_ascii_graphic());
        if !words.iter().all(is_word) {
            return wrong("a recipient has an empty argument or one with other characters");
        }
        let mut body = Vec::new();
        loop {
            let line = lines.next()?;
            match base64(line) {
                Some(bytes) if line.len() <= COLUMNS => body.extend(bytes),
                _ => return wrong("the body of a recipient is not base64 in lines of 64"),
            }
            if line.len() < COLUMNS {
                break;
            }
        }
        Ok(Stanza {
            kind: words[0],
            arguments: words[1..].to_vec(),
            body,
        })
    }

    /// The share of an X25519 stanza.
    pub(super) fn x25519_share(&self) -> Result<[u8; 32], AgeError> {
        const WRONG: AgeError = AgeError::Header("an X25519 recipient has another form");
        let [share] = self.arguments[..] else {
            return Err(WRONG);
        };
        let share = base64(share).and_then(|share| <[u8; 32]>::try_from(share).ok());
        match self.body.len() == 2 * FILE_KEY_BYTES {
            true => share.ok_or(WRONG),
            false => Err(WRONG),
        }
    }
}

/// Canonical base64 without padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text).ok()
}

/// The lines of a header, each with its end.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a str, AgeError> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let line = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok());
        let line = line.ok_or(AgeError::Header("it ends before its MAC, or is not text"))?;
        self.at += line.len() + 1;
        Ok(line)
    }
}

/// The beginning of a text of others, for an error.
pub(super) fn printable(text: &str) -> String {
    let shown = text.chars().filter(char::is_ascii_graphic);
    shown.take(32).collect()
}
