//! Looks behind mistakes: what is wrong has something to stand for it, so that one pass names every mistake. What comes of it
//! is never run and never published. It shows no secret.

use super::document;
use super::error::ConfigError;
use super::raw::RawConfig;
use super::variables::{VARIABLES, Variable};
use super::{Config, STAND_IN_KEY};
use crate::snapshot::Source;
use std::collections::BTreeMap;

/// Settings with every mistake in them put right.
#[derive(Debug)]
pub struct Mended {
    /// What they come to; none where a mistake of the tenants has nothing to stand for it.
    pub config: Option<Config>,
    /// All mistakes that were found.
    pub mistakes: Vec<ConfigError>,
    /// The settings as they were put right.
    pub raw: RawConfig,
    /// Keys that something stands for, by tenant and id, with the sources that they have.
    pub stand_ins: BTreeMap<(String, String), Source>,
}

impl Mended {
    /// Puts right what is wrong with these settings; `mistakes` were found when they were read.
    pub fn of(raw: RawConfig, mistakes: Vec<ConfigError>) -> Mended {
        let mut mended = Mended {
            config: None,
            mistakes,
            raw,
            stand_ins: BTreeMap::new(),
        };
        mended.put_keys_right();
        let mut put_right = Vec::new();
        loop {
            let error = match Config::resolve(&mended.raw) {
                Ok(config) => {
                    mended.config = Some(config);
                    return mended;
                }
                Err(error) => error,
            };
            let variable = VARIABLES.iter().find(|it| it.name() == error.variable);
            mended.note(error, variable);
            match variable {
                Some(&variable) if !put_right.contains(&variable) => {
                    put_right.push(variable);
                    mended.raw = mended.raw.with(variable, stand_in(variable));
                }
                // What stands behind a mistake of the tenants is not seen before that is put right.
                _ => return mended,
            }
        }
    }

    /// Where the keys of all tenants are, of those also that something stands for.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let tenants = self.config.iter().flat_map(|it| &it.document.tenants);
        let keys = tenants.flat_map(|it| &it.keys).map(|it| &it.source);
        keys.chain(self.stand_ins.values())
    }

    /// Every key of a tenant that cannot be loaded gets another one.
    fn put_keys_right(&mut self) {
        for wrong in document::wrong_keys(&self.raw) {
            let document::WrongKey { tenant, key, error } = wrong;
            let (place, source) = self.raw.put_stand_in(tenant, key);
            self.stand_ins.insert(place, source);
            self.mistakes.push(error);
        }
    }

    /// A secret whose file could not be read is not reported a second time as one that is missing.
    fn note(&mut self, error: ConfigError, variable: Option<&Variable>) {
        let file = variable.and_then(|it| it.file_name());
        let is_known = |it: &ConfigError| {
            *it == error || it.variable == error.variable || Some(it.variable) == file
        };
        if variable.is_none() || !self.mistakes.iter().any(is_known) {
            self.mistakes.push(error);
        }
    }
}

/// What may be missing has something to stand for it; what is wrong is left out.
fn stand_in(variable: Variable) -> Option<String> {
    /// The base point of the curve.
    const PUBLIC_KEY: &str = "WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY=";
    let text = match variable {
        Variable::HmacKey | Variable::MetricsPass | Variable::MetricsUser => STAND_IN_KEY,
        Variable::Ed25519Pub => PUBLIC_KEY,
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    fn mended(set: &[(&str, &str)]) -> Mended {
        let env = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| (*text).to_owned())
        };
        let (raw, mistakes) = RawConfig::read_all(&env, &Flags::default());
        Mended::of(raw, mistakes)
    }

    fn named(set: &[(&str, &str)]) -> Vec<&'static str> {
        let mistakes = mended(set).mistakes;
        mistakes.iter().map(|it| it.variable).collect()
    }

    #[test]
    fn every_mistake_is_found_and_each_once() {
        let key = ("PCS_HMAC_KEY", "0123456789abcdef0123456789abcdef");
        assert_eq!(named(&[key]), [""; 0]);
        assert_eq!(named(&[]), ["PCS_HMAC_KEY"]);
        assert_eq!(
            named(&[
                ("PORT", "x"),
                ("LISTEN", "y"),
                ("DEDUP_TTL", "z"),
                ("WAL_MAX_AGE", "1")
            ]),
            ["LISTEN", "PORT", "PCS_HMAC_KEY", "DEDUP_TTL", "WAL_MAX_AGE"]
        );
        assert_eq!(
            named(&[key, ("METRICS_USER", "a"), ("DEDUP_TTL", "z")]),
            ["METRICS_PASS", "DEDUP_TTL"]
        );
        assert_eq!(
            named(&[("PCS_SIGN_ALG", "ed25519")]),
            ["PCS_ED25519_PUB_B64"]
        );
        let late = ("DEDUP_TTL", "z");
        assert_eq!(
            named(&[("PCS_SIGN_ALG", "ed25519"), late]),
            ["PCS_ED25519_PUB_B64", "DEDUP_TTL"]
        );
        assert_eq!(
            named(&[key, ("METRICS_PASS", "a"), late]),
            ["METRICS_USER", "DEDUP_TTL"]
        );
        assert_eq!(
            named(&[key, ("METRICS_USER", "a:b"), late]),
            ["METRICS_PASS", "METRICS_USER", "DEDUP_TTL"]
        );
        assert_eq!(
            named(&[("PCS_HMAC_KEY_FILE", "/nowhere"), ("PORT", "x")]),
            ["PCS_HMAC_KEY_FILE", "PORT"]
        );
    }

    #[test]
    fn every_key_that_cannot_be_loaded_is_named_and_what_stands_for_it_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flk.toml");
        let text = "\
[http]
port = 70000
[[tenants]]
id = \"acme\"
keys = [{ id = \"a\", file = \"/nowhere/a\" }, { id = \"b\", env = \"FLK_TEST_NOWHERE\" }]
[[tenants]]
id = \"beta\"
[[tenants.keys]]
id = \"c\"
file = \"/nowhere/c\"
";
        std::fs::write(&path, text).unwrap();
        let file = path.display().to_string();
        let Mended {
            config,
            mistakes,
            stand_ins,
            ..
        } = mended(&[("FLK_CONFIG", &file)]);
        assert_eq!(config.unwrap().document.tenants.len(), 2);
        assert_eq!(stand_ins.len(), 3);
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        for (told, expected) in told.iter().zip([
            "tenant acme, key a: /nowhere/a: ",
            "tenant acme, key b: FLK_TEST_NOWHERE: ",
            "tenant beta, key c: /nowhere/c: ",
            ":2: http.port = 70000: not a port",
        ]) {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        assert_eq!(told.len(), 4);
    }
}
