//! A wrong setting, with everything an operator needs to correct it.

use std::fmt;

/// A variable has a value that is not allowed, or is missing. The process does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The variable.
    pub variable: &'static str,
    /// Its value; none if it is not set or a secret.
    pub value: Option<String>,
    /// What is wrong with it.
    pub problem: String,
    /// What is allowed.
    pub allowed: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(out, "{}={value}: {}", self.variable, self.problem)?,
            None => write!(out, "{}: {}", self.variable, self.problem)?,
        }
        write!(out, "; allowed: {}", self.allowed)
    }
}

impl std::error::Error for ConfigError {}
