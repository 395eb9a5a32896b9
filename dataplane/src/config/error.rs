//! A wrong setting, with everything an operator needs to correct it.

use crate::logs::redact::without_identities;
use std::fmt;
use std::path::PathBuf;

/// A setting has a value that is not allowed, or is missing. The process does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The variable.
    pub variable: &'static str,
    /// Where in the configuration file it stands, if it comes from there.
    pub place: Option<Box<Place>>,
    /// The key of the argument, if it comes from one.
    pub argument: Option<&'static str>,
    /// Its value; none if it is not set or a secret.
    pub value: Option<String>,
    /// What is wrong with it.
    pub problem: String,
    /// What is allowed.
    pub allowed: &'static str,
}

/// Where in a configuration file a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The key with its section, such as `http.port`.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path.display(), self.line, self.key)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.argument {
            Some(key) => format!("--{key}"),
            None => self.variable.to_owned(),
        };
        let what = match (&self.place, &self.value) {
            (Some(place), Some(value)) => format!("{place} = {value}"),
            (Some(place), None) => place.to_string(),
            (None, Some(value)) => format!("{name}={value}"),
            (None, None) => name,
        };
        let text = format!("{what}: {}; allowed: {}", self.problem, self.allowed);
        out.write_str(&without_identities(&text))
    }
}

impl std::error::Error for ConfigError {}
