//! The settings that a gateway would start with, from the same environment. Where they are wrong the other checks go on
//! with defaults. No key is kept or shown.

use super::finding::{Finding, Place};
use crate::config::{secret_fault, unjudged};
use crate::up::needs_dev_key;
use flk_dataplane::config::{
    Config, ConfigError, Environment, Flags, RawConfig, STAND_IN_KEY, Variable,
};

/// What was read.
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) finding: Finding,
}

/// Reads the environment of this process.
pub(super) fn read() -> Settings {
    let environment = Environment::default();
    let text = RawConfig::refuse_other_than_text(&environment);
    of(text, &|name| {
        environment.get(name).filter(|text| !text.is_empty())
    })
}

fn of(text: Result<(), ConfigError>, environment: &dyn Fn(&str) -> Option<String>) -> Settings {
    let read = text.and_then(|()| {
        let raw = RawConfig::read(environment, &Flags::default())?;
        let lacks_key = needs_dev_key(&raw);
        let raw = match lacks_key {
            true => raw.with(Variable::HmacKey, Some(STAND_IN_KEY.to_owned())),
            false => raw,
        };
        Ok((Config::resolve(&raw)?, lacks_key))
    });
    match read {
        Ok((config, lacks_key)) => Settings {
            finding: finding(&config, lacks_key),
            config,
        },
        Err(error) => Settings {
            config: defaults(),
            finding: Finding::fail(
                "configuration",
                format!("{error} (the checks below are for defaults)"),
                "settings that a gateway starts with",
            )
            .fix(Place::Setting, format!("correct {}", error.variable)),
        },
    }
}

fn finding(config: &Config, lacks_key: bool) -> Finding {
    let check = "configuration";
    if let Some(fault) = secret_fault(config) {
        return Finding::fail(
            check,
            fault,
            "the secret of the installation, in a file that only its owner and at most a group can read",
        )
        .fix(Place::Setting, "flk wal secret generate --out secret; WAL_SECRET_FILE=secret")
        .fix(Place::Kubernetes, "secret: {secretName: …, defaultMode: 0400}");
    }
    if lacks_key {
        return Finding::warn(
            check,
            "no signing key is set: flk-dataplane refuses to start, flk up makes a key for trying out",
            "a key of 32 bytes or more",
        )
        .fix(Place::Setting, "PCS_HMAC_KEY=\"$(cat hmac.key)\"")
        .fix(Place::Systemd, "EnvironmentFile=/etc/flk/environment (mode 0600)")
        .fix(Place::Compose, "environment: {PCS_HMAC_KEY: \"${PCS_HMAC_KEY:?}\"}")
        .fix(Place::Kubernetes, "env: valueFrom: secretKeyRef: a Secret with PCS_HMAC_KEY");
    }
    if let Some(unjudged) = unjudged(config) {
        return Finding::fail(
            check,
            unjudged,
            "a parameter set that judges now for each tenant",
        )
        .fix(
            Place::Setting,
            "keep the set that judges now beside the one with effective_from",
        );
    }
    match config.short_keys_count {
        0 => Finding::ok(check, "every setting is one that a gateway starts with"),
        count => Finding::warn(
            check,
            format!("HMAC keys shorter than 32 bytes: {count}"),
            "keys of 32 bytes or more",
        )
        .fix(
            Place::Setting,
            "make keys with: head -c 32 /dev/urandom | base64",
        ),
    }
}

/// What holds where nothing is set.
fn defaults() -> Config {
    let key = |name: &str| (name == "PCS_HMAC_KEY").then(|| STAND_IN_KEY.to_owned());
    match Config::from_env(&key) {
        Ok(config) => config,
        Err(error) => unreachable!("defaults are valid: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;
    use flk_dataplane::wal::secret::Secret;

    fn check(variables: &[(&str, &str)]) -> Settings {
        of(Ok(()), &|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn settings_are_judged_as_a_gateway_judges_them() {
        let key = ("PCS_HMAC_KEY", "0123456789abcdef0123456789abcdef");
        let good = check(&[key, ("PORT", "9090")]);
        assert_eq!(good.finding.level, Level::Ok);
        assert_eq!(good.config.listen.port(), 9090);
        let wrong = check(&[key, ("PORT", "70000")]);
        assert_eq!(wrong.finding.level, Level::Fail);
        assert!(wrong.finding.found.contains("PORT"), "{:?}", wrong.finding);
        assert_eq!(wrong.config.listen.port(), 8080);
    }

    #[test]
    fn a_secret_for_a_new_directory_that_no_gateway_takes_is_a_failure() {
        use std::os::unix::fs::PermissionsExt;
        let secret = Secret {
            id: [1; 16],
            key: [0x77; 16],
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), secret.encode()).unwrap();
        let key = ("PCS_HMAC_KEY", "0123456789abcdef0123456789abcdef");
        let path = file.path().to_str().unwrap();
        for (mode, level) in [
            (0o600, Level::Ok),
            (0o440, Level::Ok),
            (0o460, Level::Fail),
            (0o444, Level::Fail),
        ] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), permissions).unwrap();
            let found = check(&[key, ("WAL_SECRET_FILE", path)]).finding;
            assert_eq!(found.level, level, "{mode:o}: {found:?}");
            assert!(
                level == Level::Ok || found.found.contains(path),
                "{found:?}"
            );
            assert!(!format!("{found:?}").contains("wwww"), "{found:?}");
        }
    }

    #[test]
    fn a_missing_or_short_key_is_a_warning_and_no_key_is_shown() {
        let none = check(&[]);
        assert_eq!(none.finding.level, Level::Warn);
        let short = check(&[("PCS_HMAC_KEY", "testsecret")]);
        assert_eq!(short.finding.level, Level::Warn);
        assert!(!format!("{:?}", short.finding).contains("testsecret"));
    }
}
