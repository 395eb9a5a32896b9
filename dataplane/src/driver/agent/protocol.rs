//! Lines of `control.sock`: what may be asked and what is answered, as JSON. Both ends use these types.

use crate::snapshot::{Document, Fault};
use serde::{Deserialize, Serialize};

/// The version of the protocol.
pub const PROTOCOL: u32 = 1;

/// A question, one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// [`PROTOCOL`].
    pub v: u32,
    /// What is asked.
    #[serde(flatten)]
    pub ask: Ask,
}

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// What is in force, and where.
    Status,
    /// Put a document in force, everywhere or nowhere.
    Publish {
        /// Its digest, in hexadecimal.
        digest: String,
        /// The document.
        document: Box<Document>,
    },
    /// All of [`Ask::Publish`] but storing and sending.
    Check {
        /// The document.
        document: Box<Document>,
    },
    /// A document that is kept.
    Document {
        /// Its number; 0 is the one of the start.
        number: u32,
    },
}

/// An answer, one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentAnswer {
    /// [`PROTOCOL`].
    pub v: u32,
    /// What is answered.
    #[serde(flatten)]
    pub reply: Reply,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Ask::Status`].
    Status(Box<Status>),
    /// To [`Ask::Publish`]: every shard runs it.
    Applied {
        /// Its number.
        number: u32,
        /// Its digest.
        digest: String,
    },
    /// To [`Ask::Check`]: it could be published.
    Checked(bool),
    /// To [`Ask::Document`].
    Document(Box<Document>),
    /// Nothing was changed, unless the code is [`Code::ShardsSilent`].
    Refused {
        /// For programs.
        code: Code,
        /// For people.
        reason: String,
    },
}

/// Why something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The line is no question of this protocol.
    Question,
    /// The number is not above the one in force, and the content differs.
    NumberUsed,
    /// The document has another digest.
    Digest,
    /// The document breaks a rule.
    Invalid,
    /// A key cannot be loaded.
    Key,
    /// A parameter set could not be made known to the log.
    Params,
    /// It is stored and sent, and not every shard runs it yet.
    ShardsSilent,
    /// It could not be stored.
    Storage,
    /// No document of this number is kept.
    NotKept,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Id of the installation, in hexadecimal; empty before recovery has read it.
    pub installation: String,
    /// The snapshot in force.
    pub in_force: InForce,
    /// What each shard runs.
    pub shards: Vec<ShardNumber>,
    /// Documents that can be asked for.
    pub kept: Vec<KeptNumber>,
    /// Tenants that admit nothing because a key is missing.
    pub closed: Vec<String>,
    /// The highest number that was ever stored.
    pub last_number: u32,
}

/// The snapshot in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InForce {
    /// Its number.
    pub number: u32,
    /// The digest of its document.
    pub digest: String,
    /// The digest of its content under no number.
    pub content: String,
    /// Since when, in seconds since the Unix epoch.
    pub since_s: u64,
}

/// What a shard runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardNumber {
    /// The shard.
    pub shard: u16,
    /// The number of its snapshot.
    pub number: u32,
}

/// A document that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptNumber {
    /// Its number.
    pub number: u32,
    /// Its digest.
    pub digest: String,
    /// When it was stored, in seconds since the Unix epoch.
    pub stored_s: u64,
}

impl Reply {
    /// The line.
    pub fn line(self) -> String {
        let answer = AgentAnswer {
            v: PROTOCOL,
            reply: self,
        };
        match serde_json::to_string(&answer) {
            Ok(line) => line,
            Err(error) => unreachable!("an answer is JSON: {error}"),
        }
    }

    /// A refusal of a document.
    pub fn refused(fault: &Fault) -> Reply {
        let code = match fault {
            Fault::NotADocument(_) | Fault::Format(_) | Fault::Invalid { .. } => Code::Invalid,
            Fault::Key { .. } => Code::Key,
            Fault::NumberUsed { .. } => Code::NumberUsed,
            Fault::Digest { .. } => Code::Digest,
        };
        Reply::Refused {
            code,
            reason: fault.to_string(),
        }
    }
}

impl Question {
    /// Reads a line.
    ///
    /// # Errors
    /// The refusal.
    pub fn read(line: &str) -> Result<Ask, Reply> {
        let refused = |reason: String| Reply::Refused {
            code: Code::Question,
            reason,
        };
        let question: Question = serde_json::from_str(line)
            .map_err(|error| refused(format!("not a question of this protocol: {error}")))?;
        match question.v {
            PROTOCOL => Ok(question.ask),
            other => Err(refused(format!(
                "version {other} of the protocol; this data plane speaks version {PROTOCOL}"
            ))),
        }
    }
}
