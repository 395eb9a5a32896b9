//! Lines of the audit log as bytes, and the check of a whole log. Pure functions: no file is opened here.

use super::Action;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;

/// What stands for the hash of the line before the first.
const NO_LINE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A line; the order of its members is that of canonical JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// `publish`, `rollback` or `refused`.
    pub action: String,
    /// Who did it: the name of a token, or what caused it.
    pub actor: String,
    /// Content digest of what is to be in force.
    pub after: String,
    /// Content digest of what was in force.
    pub before: String,
    /// From 1.
    pub number: u64,
    /// What it was done to.
    pub object: Value,
    /// SHA-256 of the line before, without its line end.
    pub previous: String,
    /// The actor's role.
    pub role: String,
    /// When, by the wall clock.
    pub time: String,
}

impl Line {
    /// Its canonical bytes, without a line end.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match serde_json_canonicalizer::to_vec(self) {
            Ok(bytes) => bytes,
            Err(error) => unreachable!("a line has texts and whole numbers only: {error}"),
        }
    }
}

/// What a whole log says.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Whole lines.
    pub lines: u64,
    /// Bytes of whole lines; what follows was torn off by a crash.
    pub whole_bytes: usize,
    /// Hash of the last line.
    pub last_hash: String,
    /// The last changes.
    pub changes: Changes,
}

/// The last change that was not refused, as far as lines tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    before: Option<Line>,
    last: Option<Line>,
}

impl Changes {
    /// Takes the next line. A refusal takes back the line before it.
    pub(super) fn note(&mut self, line: Line) {
        match line.action == Action::Refused.as_str() {
            true => self.last = self.before.take(),
            false => self.before = self.last.replace(line),
        }
    }

    /// It.
    pub fn last(&self) -> Option<&Line> {
        self.last.as_ref()
    }
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.why)
    }
}

/// Checks every line of a log: its form, its number, and that it has the hash of the one before.
///
/// # Errors
/// The first line that does not hold.
pub fn verify(log: &[u8]) -> Result<Summary, Broken> {
    let mut summary = Summary {
        lines: 0,
        whole_bytes: 0,
        last_hash: NO_LINE.to_owned(),
        changes: Changes::default(),
    };
    for whole in log.split_inclusive(|&byte| byte == b'\n') {
        let Some((b'\n', bytes)) = whole.split_last() else {
            break;
        };
        let number = summary.lines + 1;
        let broken = |why| Broken { line: number, why };
        let line: Line =
            serde_json::from_slice(bytes).map_err(|_| broken("it is no line of an audit log"))?;
        if line.bytes() != bytes {
            return Err(broken("it is not canonical JSON: it was changed by hand"));
        }
        if line.number != number {
            return Err(broken("it has another number: lines are missing or moved"));
        }
        if line.previous != summary.last_hash {
            return Err(broken(
                "it does not follow the line before: one of the two was changed",
            ));
        }
        summary.lines = number;
        summary.whole_bytes += whole.len();
        summary.last_hash = hash(bytes);
        summary.changes.note(line);
    }
    Ok(summary)
}

/// SHA-256 in hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
