//! What should be in force: the document that the configuration file, the environment and the arguments come to, and the
//! settings that only a restart changes. It opens what the configuration names, and holds no secret.

use flk_dataplane::snapshot::Document;
use serde::Serialize;
use std::collections::BTreeMap;

/// The configuration as it stands now.
#[derive(Clone, Debug)]
pub struct Desired {
    /// What can be published, under no number.
    pub document: Document,
    /// Settings that need a restart of the data plane, by their key.
    pub fixed: BTreeMap<String, Fixed>,
    /// Settings of control itself, which need its own restart.
    pub own: BTreeMap<String, Fixed>,
}

/// The value of a setting that needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// What tells values apart; of a secret its digest.
    pub identity: String,
    /// As it may be shown.
    pub shown: String,
}

/// Every mistake of a configuration, each with file, line and key or with its variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistakes(pub Vec<String>);

/// Reads the configuration as it stands.
pub type ReadDesired = Box<dyn Fn() -> Result<Desired, Mistakes> + Send + Sync>;

/// Settings that differ and need a restart: `http.port: 8080 → 9090`.
pub fn needs_restart(
    before: &BTreeMap<String, Fixed>,
    after: &BTreeMap<String, Fixed>,
) -> Vec<String> {
    let differs = |(key, now): (&String, &Fixed)| {
        let then = before.get(key)?;
        (then.identity != now.identity).then(|| format!("{key}: {} → {}", then.shown, now.shown))
    };
    after.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_differs_is_named_with_both_values_and_a_secret_with_none() {
        let fixed = |identity: &str, shown: &str| Fixed {
            identity: identity.to_owned(),
            shown: shown.to_owned(),
        };
        let of = |port: &str, password: &str| {
            BTreeMap::from([
                ("http.port".to_owned(), fixed(port, port)),
                (
                    "metrics.password_file".to_owned(),
                    fixed(password, "(set, not shown)"),
                ),
            ])
        };
        assert_eq!(needs_restart(&of("1", "a"), &of("1", "a")), [""; 0]);
        assert_eq!(
            needs_restart(&of("8080", "a"), &of("9090", "b")),
            [
                "http.port: 8080 → 9090",
                "metrics.password_file: (set, not shown) → (set, not shown)"
            ]
        );
    }
}
