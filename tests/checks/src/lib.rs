//! Rules of this repository that no compiler knows, each a function from text to findings.
//! `tests/repository.rs` applies them to every file; the tests beside each rule show that it can fail.
//! It never changes a file.

pub mod files;

pub mod console;
pub mod cycles;
pub mod decisions;
pub mod dependencies;
pub mod links;
pub mod modules;
pub mod packages;
pub mod rust;
pub mod unused;

use std::fmt;
use std::path::PathBuf;

/// Something that breaks a rule, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, from the root of the repository.
    pub path: PathBuf,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: usize,
    /// What is wrong and what to do.
    pub what: String,
}

impl Finding {
    /// Something that breaks a rule in this line of a file.
    pub fn at(file: &files::File, line: usize, what: impl Into<String>) -> Finding {
        Finding {
            path: file.path.clone(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)
    }
}
