//! Canonical bytes of a document (RFC 8785), and digests of them.

use super::document::Document;
use super::fault::Fault;
use flk_contract::hash::bytes_of_hex32;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// SHA-256 of the canonical bytes of a document.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Digest> {
        bytes_of_hex32(text.as_bytes()).map(Digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Digest({self})")
    }
}

impl Document {
    /// Reads a document; [`Document::check`] says whether it holds.
    ///
    /// # Errors
    /// The bytes are not a document of this format.
    pub fn read(bytes: &[u8]) -> Result<Document, Fault> {
        serde_json::from_slice(bytes).map_err(|error| Fault::NotADocument(error.to_string()))
    }

    /// Its canonical bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match serde_json_canonicalizer::to_vec(self) {
            Ok(bytes) => bytes,
            // Numbers are finite (a document is checked before), and keys are texts.
            Err(error) => unreachable!("a document has canonical bytes: {error}"),
        }
    }

    /// The digest of its canonical bytes.
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.bytes()).into())
    }

    /// The digest of the same content under no number: two documents with equal ones judge alike.
    pub fn content_digest(&self) -> Digest {
        let content = Document {
            number: 0,
            ..self.clone()
        };
        content.digest()
    }

    /// The same without sources: what is kept of every number for ever.
    pub fn without_sources(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        let tenants = value.get_mut("tenants").and_then(|it| it.as_array_mut());
        let keys = tenants
            .into_iter()
            .flatten()
            .filter_map(|tenant| tenant.get_mut("keys")?.as_array_mut())
            .flatten();
        for key in keys {
            if let Some(members) = key.as_object_mut() {
                members.remove("source");
            }
        }
        value
    }
}
