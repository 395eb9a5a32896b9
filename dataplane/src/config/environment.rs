//! The environment as a source of settings. It takes secrets out of the block that /proc shows, and wipes its copies when it
//! is dropped; it parses nothing.

use super::file;
use super::flags::Flags;
use super::unknown;
use super::variables::{FILE_VARIABLE, VARIABLES, Variable};
use crate::driver::environment::{self, Taken};
use crate::snapshot::Source;
use std::collections::BTreeSet;
use std::path::Path;
use zeroize::Zeroizing;

/// The variables of this process. The default leaves them all where they are.
#[derive(Default)]
pub struct Environment {
    taken: Vec<Taken>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.taken.iter().map(|taken| &taken.name);
        out.debug_list().entries(names).finish()
    }
}

impl Environment {
    /// Takes the secrets out of the block. To be called before any other thread is started.
    pub fn take() -> Environment {
        Environment {
            taken: environment::take(is_secret),
        }
    }

    /// The same, and with them the keys of tenants that a configuration file has by the names of their variables. A file that
    /// cannot be read is refused later, in words.
    pub fn take_for(flags: &Flags) -> Environment {
        let keys = names_of_keys(flags);
        Environment {
            taken: environment::take(|name| is_secret(name) || keys.contains(name)),
        }
    }

    /// The value of a variable, if it is set and text.
    pub fn get(&self, name: &str) -> Option<String> {
        match self.taken(name) {
            Some(value) => std::str::from_utf8(value).ok().map(str::to_owned),
            None => std::env::var(name).ok(),
        }
    }

    /// Whether a variable is set to what is not text.
    pub(super) fn is_other_than_text(&self, name: &str) -> bool {
        match self.taken(name) {
            Some(value) => std::str::from_utf8(value).is_err(),
            None => std::env::var_os(name).is_some_and(|value| value.to_str().is_none()),
        }
    }

    /// Whether a variable is set to something.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.is_empty())
    }

    /// From now on a variable has this value.
    pub(super) fn put(&mut self, name: &str, value: &[u8]) {
        let (name, value) = (name.to_owned(), Zeroizing::new(value.to_vec()));
        self.taken.insert(0, Taken { name, value });
    }

    /// Of a name that is there twice the first one counts, as for the system.
    fn taken(&self, name: &str) -> Option<&[u8]> {
        let found = self.taken.iter().find(|taken| taken.name == name)?;
        Some(&found.value)
    }
}

/// The variables that a configuration file names for keys of tenants. A file that cannot be read names none.
pub fn names_of_keys(flags: &Flags) -> BTreeSet<String> {
    let named = || std::env::var(FILE_VARIABLE).ok();
    let file = flags.file.clone().or_else(named);
    let found = file.and_then(|path| file::read(Path::new(&path)).ok());
    let tenants = found.into_iter().flat_map(|found| found.tenants);
    tenants
        .flat_map(|tenant| tenant.keys)
        .filter_map(|key| match key.source {
            Source::Environment { variable, .. } => Some(variable),
            Source::File { .. } | Source::Public { .. } => None,
        })
        .collect()
}

/// Whether a variable is read as a setting, or names the file of the settings.
pub fn is_setting(name: &str) -> bool {
    let names = |it: &Variable| [Some(it.name()), it.file_name(), it.alias()].contains(&Some(name));
    name == FILE_VARIABLE || VARIABLES.iter().any(names)
}

/// Whether the value of this variable may be a secret: that of a setting, of an agent, or of a name that looks like a setting
/// and is none, such as a misspelt one.
fn is_secret(name: &str) -> bool {
    let is_setting = |name| {
        VARIABLES
            .iter()
            .any(|it| it.is_secret() && it.name() == name)
    };
    is_setting(name)
        || name == unknown::AGENT_KEY
        || unknown::looks_like_a_setting(name)
        || unknown::may_hold_credentials(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_names_that_may_be_misspelt_secrets_are_taken_and_nothing_else() {
        for name in [
            "PCS_HMAC_KEY",
            "PCS_HMAC_KEYS",
            "METRICS_PASS",
            "PCS_ED25519_PRIV_B64",
            "SOPS_AGE_KEY",
            "PCS_HMAC_KYE",
            "METRICS_PASSWORD",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "PATH",
            "RUST_BACKTRACE",
            "PORT",
            "WAL_DIR",
            "PCS_HMAC_KEY_FILE",
            "SOPS_AGE_KEY_FILE",
            "PCS_ED25519_PUB_B64",
            "METRICS_USER",
            "FLK_CONFIG",
            "FLK_PLANT",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
