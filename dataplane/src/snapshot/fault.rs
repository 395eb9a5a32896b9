//! Why a document is refused, in words for an operator. Never holds the text of a key.

use super::Digest;
use super::document::Source;
use flk_contract::signature::KeyError;
use std::fmt;

/// Why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not JSON of the form of a document.
    NotADocument(String),
    /// Written by another version of flk.
    Format(u32),
    /// Something in it is not allowed; where, and what is.
    Invalid {
        /// `tenant acme, key 2026`, or empty for the document itself.
        place: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// A key could not be loaded.
    Key {
        /// The tenant.
        tenant: String,
        /// The key's name.
        key: String,
        /// Where its text should be.
        source: Box<Source>,
        /// Why not.
        fault: SourceFault,
    },
    /// The number is not above the one in force, and the content differs.
    NumberUsed {
        /// The number that was given.
        given: u32,
        /// The number in force.
        in_force: u32,
    },
    /// The bytes have another digest than was said.
    Digest {
        /// The digest that was said.
        said: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
}

/// Why a key could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceFault {
    /// It could not be read, in words.
    Unreadable(String),
    /// It holds fewer texts than that.
    NoSuchText,
    /// The text is no key of the scheme.
    NotAKey(KeyError),
    /// It holds another key than the document was made for.
    OtherKey {
        /// The fingerprint of the key that it holds.
        found: String,
    },
}

impl Fault {
    pub(super) fn invalid(place: impl Into<String>, problem: impl Into<String>) -> Fault {
        Fault::Invalid {
            place: place.into(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NotADocument(problem) => write!(out, "not a configuration snapshot: {problem}"),
            Fault::Format(format) => write!(
                out,
                "a snapshot of format {format}, written by another version of flk; this one reads format {}",
                super::FORMAT
            ),
            Fault::Invalid { place, problem } if place.is_empty() => out.write_str(problem),
            Fault::Invalid { place, problem } => write!(out, "{place}: {problem}"),
            Fault::Key {
                tenant,
                key,
                source,
                fault,
            } => write!(out, "tenant {tenant}, key {key}: {source}: {fault}"),
            Fault::NumberUsed { given, in_force } => write!(
                out,
                "snapshot {given} has other content than the one of that number, or is older: {in_force} is in force, so the next is {} or above",
                in_force.saturating_add(1)
            ),
            Fault::Digest { said, found } => {
                write!(
                    out,
                    "the snapshot has digest {found} and not {said}: it was damaged on its way"
                )
            }
        }
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for SourceFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceFault::Unreadable(problem) => out.write_str(problem),
            SourceFault::NoSuchText => {
                out.write_str("it holds fewer keys than that; keys are separated by commas")
            }
            SourceFault::NotAKey(error) => error.fmt(out),
            SourceFault::OtherKey { found } => write!(
                out,
                "it holds another key now (fingerprint {found}): restore the key, or publish a snapshot for this one"
            ),
        }
    }
}
