//! A snapshot as it is published and stored: JSON with sources of keys and never their bytes. Canonical bytes are those of
//! RFC 8785; the digest is SHA-256 of them.

use serde::{Deserialize, Serialize};

/// The version of this form. A document of another one is refused.
pub const FORMAT: u32 = 1;

/// Everything that a record is judged under.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`FORMAT`].
    pub format: u32,
    /// One sequence per installation, never reused; 0 is what the process was started with.
    pub number: u32,
    /// Limits of all tenants together.
    pub limits: LimitsDocument,
    /// The tenants, ascending by name.
    pub tenants: Vec<TenantDocument>,
}

/// Token buckets; 0 means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsDocument {
    /// Requests per second.
    pub rate: u32,
    /// Requests at once; 0: twice the rate.
    pub burst: u32,
    /// Bytes of bodies per second.
    pub bytes_per_s: u64,
    /// Bytes per second of bodies that turn out to have no valid signature.
    pub unauthenticated_bytes_per_s: u64,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantDocument {
    /// What `X-Tenant-Id` says: 1 to 64 characters of `[A-Za-z0-9._-]`.
    pub name: String,
    /// Whether it may submit; if not, its requests get 401 as those of an unknown tenant do.
    pub enabled: bool,
    /// Whether signatures are not looked at. Then there are no keys.
    pub unsigned: bool,
    /// Its keys, in the order in which they are tried.
    pub keys: Vec<KeyDocument>,
    /// Its limits.
    pub limits: LimitsDocument,
    /// How much of a batch of the log its bodies may fill, in percent; none: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wal_share: Option<u32>,
    /// The parameter sets that judge its records, ascending by `effective_from`, and the share of each; the shares of sets
    /// that judge from the same time on sum to 1,000.
    pub params: Vec<ParamsDocument>,
    /// Reserved, without effect: the region of a tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

/// A key and when it verifies. Times are seconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyDocument {
    /// The operator's name of it, unique within the tenant: 1 to 64 characters of `[A-Za-z0-9._-]`.
    pub id: String,
    /// A signature scheme of the record contract.
    pub scheme: String,
    /// Where its text is.
    pub source: Source,
    /// The id that follows from scheme and bytes: a source that holds another key is refused.
    pub fingerprint: String,
    /// It verifies from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// It verifies up to here, this second excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
    /// It was revoked here: from then on it verifies nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
}

/// Where the text of a key is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A file.
    File {
        /// Its path, from the root.
        path: String,
        /// Which value of a SOPS document; none: the file is no such document, or has one value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entry: Option<String>,
        /// Which of several texts with commas between them; none: the whole text is one key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        index: Option<u32>,
    },
    /// A variable of the environment that the data plane was started with.
    Environment {
        /// Its name.
        variable: String,
        /// Which of several texts with commas between them; none: the whole text is one key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        index: Option<u32>,
    },
    /// Here: a public key is no secret.
    Public {
        /// The standard base64 of an Ed25519 public key.
        base64: String,
    },
}

/// A set of verification parameters (contract, section 4) and its share of the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamsDocument {
    /// The name that outcomes carry. It stands for these numbers for ever.
    pub version: String,
    /// Thousandths of the records, by their keyed hash.
    pub share: u32,
    /// It judges from this second of the Unix epoch on, instead of the sets before it; none: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<u64>,
    /// See [`flk_contract::Params`].
    pub tol_d: f64,
    /// See [`flk_contract::Params`].
    pub tol_coh: f64,
    /// See [`flk_contract::Params`].
    pub tol_budget: f64,
    /// See [`flk_contract::Params`].
    pub base: f64,
    /// See [`flk_contract::Params`].
    pub alpha: f64,
    /// See [`flk_contract::Params`].
    pub beta: f64,
    /// See [`flk_contract::Params`].
    pub gamma: f64,
    /// See [`flk_contract::Params`].
    pub d0: f64,
    /// See [`flk_contract::Params`].
    pub coh_sticky: f64,
    /// See [`flk_contract::Params`].
    pub d_sticky: f64,
    /// See [`flk_contract::Params`].
    pub d_non_sticky: f64,
}

impl Source {
    /// A variable with one key.
    pub fn variable(name: impl Into<String>) -> Source {
        Source::Environment {
            variable: name.into(),
            index: None,
        }
    }

    /// Which of several texts is meant.
    pub fn index(&self) -> Option<u32> {
        match self {
            Source::File { index, .. } | Source::Environment { index, .. } => *index,
            Source::Public { .. } => None,
        }
    }

    /// The same source with one of its texts, or all of it.
    pub fn at(self, at: Option<u32>) -> Source {
        match self {
            Source::File { path, entry, .. } => Source::File {
                path,
                entry,
                index: at,
            },
            Source::Environment { variable, .. } => Source::Environment {
                variable,
                index: at,
            },
            Source::Public { .. } => self,
        }
    }

    /// A file with one key.
    pub fn file(path: impl Into<String>) -> Source {
        Source::entry_of(path, None)
    }

    /// A value of a SOPS document; without an entry a file with one key.
    pub fn entry_of(path: impl Into<String>, entry: Option<String>) -> Source {
        Source::File {
            path: path.into(),
            entry,
            index: None,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, index) = match self {
            Source::File { path, entry, index } => {
                out.write_str(path)?;
                if let Some(entry) = entry {
                    write!(out, ", entry {entry}")?;
                }
                ("", index)
            }
            Source::Environment { variable, index } => (variable.as_str(), index),
            Source::Public { .. } => return out.write_str("a public key in the configuration"),
        };
        match index {
            None => out.write_str(name),
            Some(at) => write!(out, "{name} (key {} of it)", at + 1),
        }
    }
}
