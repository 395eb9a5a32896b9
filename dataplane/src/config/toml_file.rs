//! A configuration file that is being read: where something stands in it, and errors that say so.

use super::error::{ConfigError, Place};
use super::variables::{FILE_VARIABLE, Variable};
use std::path::Path;

/// What a configuration file may be.
pub(super) const FILE_ALLOWED: &str = "a TOML file as flk config init writes it";

/// What a profile may be.
const PROFILE_ALLOWED: &str =
    "a TOML file with settings of a machine, as flk profile show prints one";

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All settings and tenants of a gateway.
    Configuration,
    /// Settings of a machine, and the machine.
    Profile,
}

/// A file that is being read.
pub(super) struct File<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) kind: Kind,
}

impl File<'_> {
    pub(super) fn error(&self, at: usize, key: &str, problem: String) -> ConfigError {
        let allowed = match self.kind {
            Kind::Configuration => FILE_ALLOWED,
            Kind::Profile => PROFILE_ALLOWED,
        };
        ConfigError {
            variable: self.variable(),
            place: Some(Box::new(self.place(at, key))),
            argument: None,
            value: None,
            problem,
            allowed,
        }
    }

    /// The variable that names it.
    pub(super) fn variable(&self) -> &'static str {
        match self.kind {
            Kind::Configuration => FILE_VARIABLE,
            Kind::Profile => Variable::Profile.name(),
        }
    }

    /// Where one reads what may stand in it.
    pub(super) fn example(&self) -> &'static str {
        match self.kind {
            Kind::Configuration => "see flk config init",
            Kind::Profile => "see flk profile show",
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
