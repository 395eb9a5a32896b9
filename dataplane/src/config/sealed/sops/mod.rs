//! Documents that SOPS encrypted to age recipients: <https://getsops.io/docs/>. A document is opened in memory: its MAC over all
//! values is verified before one of them is given out, and only a value that was encrypted is. It is opened once, however many values are asked
//! for. None is written.

mod cipher;
mod dotenv;
mod json;
mod metadata;
mod tree;
mod yaml;

use super::age::{self, AgeError, Identity};
use cipher::DataKey;
use metadata::{MacOf, Metadata};
use sha2::{Digest, Sha512};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;
use tree::{ENCRYPTED, Leaf, Node, Value};
use zeroize::Zeroizing;

/// The member that holds the metadata.
const METADATA: &str = "sops";
/// What the MAC of encrypted values alone begins with: SHA-256 of "sops".
const ENCRYPTED_ONLY: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];
/// Names of entries in an error.
const NAMES_SHOWN: usize = 8;

/// The format of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Also that of binary files.
    Json,
    /// One document.
    Yaml,
    /// Lines of names and values.
    Dotenv,
    /// Known, and not read.
    Ini,
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Format::Json => "JSON",
            Format::Yaml => "YAML",
            Format::Dotenv => "dotenv",
            Format::Ini => "INI",
        })
    }
}

/// Why a document was not opened. No variant holds anything of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SopsError {
    /// It is no document of its format, in words.
    NotADocument(Format, String),
    /// The format is not read.
    Format(Format),
    /// Another version of SOPS wrote it.
    Version(String),
    /// There is no data key for age; for what there is one.
    OtherRecipients(Vec<&'static str>),
    /// The data key is divided between groups.
    KeyGroups,
    /// The data key for an age recipient cannot be opened.
    DataKey(AgeError),
    /// There is no MAC.
    NoMac,
    /// The MAC is not that of the values.
    Mac,
    /// A value does not decrypt; its name.
    Value(String),
    /// A value is not encrypted, and the rules of the document say that it is; its name.
    LeftOpen(String),
    /// There is no such entry; what there is.
    NoEntry(String, Vec<String>),
    /// Several entries have this name.
    Ambiguous(String),
    /// There are several values and no entry is named; what there is.
    NeedsEntry(Vec<String>),
    /// The entry is there and is not encrypted.
    PlainEntry(String),
    /// SOPS does not authenticate where the entry stands.
    LoosePlace(String),
}

impl fmt::Display for SopsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |names: &[String]| match names {
            [] => "none".to_owned(),
            names if names.len() > NAMES_SHOWN => {
                format!(
                    "{}, … ({} in all)",
                    names[..NAMES_SHOWN].join(", "),
                    names.len()
                )
            }
            names => names.join(", "),
        };
        match self {
            SopsError::NotADocument(format, problem) => {
                write!(out, "it looks like a SOPS document in {format} and is none: {problem}")
            }
            SopsError::Format(format) => write!(
                out,
                "SOPS documents in {format} are not read: use YAML, JSON, dotenv or binary"
            ),
            SopsError::Version(version) => write!(
                out,
                "it was written by SOPS {version:?}, and documents of SOPS 3 are read"
            ),
            SopsError::OtherRecipients(others) if others.is_empty() => {
                out.write_str("it has no recipient: encrypt it to one (sops encrypt --age age1…)")
            }
            SopsError::OtherRecipients(others) => write!(
                out,
                "it is encrypted to {} only, which this process never calls: add an age recipient (sops rotate -i --add-age age1… FILE)",
                others.join(", ")
            ),
            SopsError::KeyGroups => out.write_str(
                "its data key is divided between key groups: encrypt it without groups, to age recipients",
            ),
            SopsError::DataKey(error) => write!(out, "its data key: {error}"),
            SopsError::NoMac => out.write_str("it has no MAC: encrypt it again"),
            SopsError::Mac => out.write_str(
                "its MAC does not verify: a value was changed, moved, added or taken out after SOPS wrote it (edit it with sops FILE)",
            ),
            SopsError::Value(name) => write!(
                out,
                "the value {name} does not decrypt: it was changed or moved after SOPS wrote it"
            ),
            SopsError::LeftOpen(name) => write!(
                out,
                "the value {name} is not encrypted, and by the document's own rule it should be"
            ),
            SopsError::NoEntry(entry, names) => {
                write!(out, "it has no entry {entry}; there are {}", shown(names))
            }
            SopsError::Ambiguous(entry) => {
                write!(out, "two values of it are called {entry}: rename one")
            }
            SopsError::NeedsEntry(names) => {
                write!(out, "it holds several values: name the entry; there are {}", shown(names))
            }
            SopsError::LoosePlace(entry) => write!(
                out,
                "its entry {entry} stands in a list, or its keys have a colon: SOPS does not authenticate such a place; give the value a key of its own, without a colon"
            ),
            SopsError::PlainEntry(entry) => {
                write!(out, "its entry {entry} is not encrypted, so it is not taken as a secret")
            }
        }
    }
}

impl std::error::Error for SopsError {}

/// The format of a document, if these bytes are one. It is told by the marks that SOPS leaves, which no key has.
pub(super) fn format(bytes: &[u8]) -> Option<Format> {
    let text = std::str::from_utf8(bytes).ok()?;
    let has_line = |begin: &str| text.lines().any(|line| line.starts_with(begin));
    if !text.contains(ENCRYPTED) {
        return None;
    }
    if text.trim_ascii_start().starts_with('{') {
        return text.contains("\"sops\"").then_some(Format::Json);
    }
    if has_line("sops_mac=") {
        return Some(Format::Dotenv);
    }
    if has_line("[sops]") {
        return Some(Format::Ini);
    }
    has_line("sops:").then_some(Format::Yaml)
}

/// A document that was read. It is opened when the first value of it is asked for, and then whole.
pub(in crate::config) struct Document {
    /// What the metadata says.
    said: Node,
    /// All other members.
    root: Node,
    places: Vec<Place>,
    /// In the order of the places; those that are not encrypted are empty.
    values: OnceCell<Result<Vec<Zeroizing<Vec<u8>>>, SopsError>>,
}

/// Where a value stands.
struct Place {
    name: String,
    is_encrypted: bool,
    /// Whether SOPS authenticates that it stands there.
    is_authenticated: bool,
}

impl Document {
    /// Reads a document and opens nothing.
    ///
    /// # Errors
    /// It is no document of its format, or of another version or for others.
    pub(in crate::config) fn read(bytes: &[u8], format: Format) -> Result<Document, SopsError> {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let read = match format {
            Format::Json => json::read(text),
            Format::Yaml => yaml::read(text),
            Format::Dotenv => dotenv::read(text),
            Format::Ini => return Err(SopsError::Format(format)),
        };
        let none = |problem: String| SopsError::NotADocument(format, problem);
        let mut root = read.map_err(none)?;
        let Node::Map(members) = &mut root else {
            return Err(none("it is not a mapping".to_owned()));
        };
        let Some(at) = members.iter().position(|(name, _)| name == METADATA) else {
            return Err(none("it has no member sops".to_owned()));
        };
        let (_, said) = members.remove(at);
        Metadata::read(&said)?;
        let leaves = root.leaves().map_err(|problem| none(problem.to_owned()))?;
        let places = places(&leaves);
        Ok(Document {
            said,
            root,
            places,
            values: OnceCell::new(),
        })
    }

    /// Gives out one of its values. Identities are asked for only where the document is not open yet.
    ///
    /// # Errors
    /// The document is damaged, for others, or has no such entry.
    pub(in crate::config) fn value<E: From<SopsError>>(
        &self,
        entry: Option<&str>,
        identities: impl FnOnce() -> Result<Vec<Identity>, E>,
    ) -> Result<Zeroizing<Vec<u8>>, E> {
        let at = self.choose(entry)?;
        let values = match self.values.get() {
            Some(values) => values,
            None => {
                let identities = identities()?;
                self.values.get_or_init(|| self.open(&identities))
            }
        };
        let values = values.as_ref().map_err(Clone::clone)?;
        Ok(values[at].clone())
    }

    /// Which value is meant.
    fn choose(&self, entry: Option<&str>) -> Result<usize, SopsError> {
        let places = &self.places;
        let names = || {
            let encrypted = places.iter().filter(|it| it.is_encrypted);
            encrypted.map(|it| it.name.clone()).collect()
        };
        let is_meant = |place: &Place| match entry {
            Some(entry) => place.name == entry,
            None => place.is_encrypted,
        };
        let mut meant = (0..places.len()).filter(|&at| is_meant(&places[at]));
        match (meant.next(), meant.next(), entry) {
            (Some(at), None, Some(entry)) if !places[at].is_encrypted => {
                Err(SopsError::PlainEntry(entry.to_owned()))
            }
            (Some(at), None, _) if !places[at].is_authenticated => {
                Err(SopsError::LoosePlace(places[at].name.clone()))
            }
            (Some(at), None, _) => Ok(at),
            (Some(_), Some(_), Some(entry)) => Err(SopsError::Ambiguous(entry.to_owned())),
            (None, _, Some(entry)) => Err(SopsError::NoEntry(entry.to_owned(), names())),
            (_, _, None) => Err(SopsError::NeedsEntry(names())),
        }
    }

    fn open(&self, identities: &[Identity]) -> Result<Vec<Zeroizing<Vec<u8>>>, SopsError> {
        let metadata = Metadata::read(&self.said)?;
        let key = data_key(&metadata, identities)?;
        // They were counted when it was read.
        let leaves = self.root.leaves().unwrap_or_default();
        values(&leaves, &metadata, &key)
    }
}

/// SOPS authenticates a value with the keys on the way to it, joined by colons, and the order of all values; neither the number
/// of an element nor where a key with a colon ends. Who may write the file could give such a place another value of it.
fn places(leaves: &[Leaf<'_>]) -> Vec<Place> {
    let mut paths_count: HashMap<String, usize> = HashMap::new();
    for leaf in leaves {
        *paths_count.entry(leaf.authenticated_path()).or_default() += 1;
    }
    let place = |leaf: &Leaf<'_>| {
        let is_alone = paths_count.get(&leaf.authenticated_path()) == Some(&1);
        let has_colon = leaf.path.iter().any(|key| key.contains(':'));
        Place {
            name: leaf.name.clone(),
            is_encrypted: matches!(leaf.value, Value::Encrypted(_)),
            is_authenticated: is_alone && !has_colon && !leaf.is_listed,
        }
    };
    leaves.iter().map(place).collect()
}

fn data_key(metadata: &Metadata<'_>, identities: &[Identity]) -> Result<DataKey, SopsError> {
    let mut none = AgeError::NoMatch(Vec::new());
    for sealed in &metadata.data_keys {
        match age::open(sealed.as_bytes(), identities) {
            Ok(opened) => {
                let mut key: DataKey = Zeroizing::new([0; 32]);
                let is_key = opened.len() == key.len();
                if !is_key {
                    let problem = "a data key is not 32 bytes long";
                    return Err(SopsError::DataKey(AgeError::Payload(problem)));
                }
                key.copy_from_slice(&opened);
                return Ok(key);
            }
            Err(error @ AgeError::NoMatch(_)) => none = error,
            Err(error) => return Err(SopsError::DataKey(error)),
        }
    }
    Err(SopsError::DataKey(none))
}

/// Decrypts all values, in the order of the document, and verifies its MAC.
fn values(
    leaves: &[Leaf<'_>],
    metadata: &Metadata<'_>,
    key: &DataKey,
) -> Result<Vec<Zeroizing<Vec<u8>>>, SopsError> {
    let mut hash = Sha512::new();
    if metadata.mac_of == MacOf::EncryptedValues {
        hash.update(ENCRYPTED_ONLY);
    }
    let mut found = Vec::with_capacity(leaves.len());
    for leaf in leaves {
        let mut value = Zeroizing::default();
        match leaf.value {
            Value::Plain(_) if metadata.is_left_open(leaf) => {
                return Err(SopsError::LeftOpen(leaf.name.clone()));
            }
            Value::Plain(_) if metadata.mac_of == MacOf::EncryptedValues => {}
            Value::Plain(text) => hash.update(text),
            Value::Encrypted(text) => {
                let opened = cipher::open(text, key, &leaf.authenticated_path());
                let opened = opened.ok_or_else(|| SopsError::Value(leaf.name.clone()))?;
                hash.update(&opened[..]);
                value = opened;
            }
        }
        found.push(value);
    }
    let mac = cipher::open(metadata.mac, key, metadata.last_modified).ok_or(SopsError::Mac)?;
    let computed: String = hash
        .finalize()
        .iter()
        .map(|it| format!("{it:02X}"))
        .collect();
    match *mac == computed.as_bytes() {
        true => Ok(found),
        false => Err(SopsError::Mac),
    }
}
