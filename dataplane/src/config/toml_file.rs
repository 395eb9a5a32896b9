//! A configuration file that is being read: where something stands in it, and errors that say so.

use super::error::{ConfigError, Place};
use super::variables::FILE_VARIABLE;
use std::path::Path;

/// What a configuration file may be.
pub(super) const FILE_ALLOWED: &str = "a TOML file as flk config init writes it";

/// A file that is being read.
pub(super) struct File<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl File<'_> {
    pub(super) fn error(&self, at: usize, key: &str, problem: String) -> ConfigError {
        ConfigError {
            variable: FILE_VARIABLE,
            place: Some(Box::new(self.place(at, key))),
            argument: None,
            value: None,
            problem,
            allowed: FILE_ALLOWED,
        }
    }

    pub(super) fn place(&self, at: usize, key: &str) -> Place {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        Place {
            path: self.path.to_owned(),
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            key: key.to_owned(),
        }
    }
}
