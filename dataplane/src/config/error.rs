//! A wrong setting, with everything an operator needs to correct it.

use std::fmt;
use std::path::PathBuf;

/// A setting has a value that is not allowed, or is missing. The process does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The variable.
    pub variable: &'static str,
    /// Where in the configuration file it stands, if it comes from there.
    pub place: Option<Box<Place>>,
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
        match (&self.place, &self.value) {
            (Some(place), Some(value)) => write!(out, "{place} = {value}: ")?,
            (Some(place), None) => write!(out, "{place}: ")?,
            (None, Some(value)) => write!(out, "{}={value}: ", self.variable)?,
            (None, None) => write!(out, "{}: ", self.variable)?,
        }
        write!(out, "{}; allowed: {}", self.problem, self.allowed)
    }
}

impl std::error::Error for ConfigError {}
