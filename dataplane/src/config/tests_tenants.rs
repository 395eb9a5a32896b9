//! Tenants of the configuration file and of the environment.

use super::*;
use crate::snapshot::{Source, SourceFault};
use std::path::Path;
use tempfile::TempDir;

const FILE: &str = r#"
[[tenants]]
id = "acme"
rate = 1_000
bytes_per_second = 5000000
wal_share = 40
home = "eu-1"

[[tenants.keys]]
id = "2026-11"
file = "KEYS/acme"
not_before = 2026-11-01T00:00:00Z
not_after = "2027-02-01T00:00:00+01:00"

[[tenants.keys]]
id = "agents"
scheme = "ed25519"
public = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

[[tenants.params]]
version = "2"
tol_d = 0.2
effective_from = 2026-12-01T00:00:00+01:00

[[tenants.params]]
version = "1"

[[tenants]]
id = "beta"
enabled = false
unsigned = true
"#;

struct Written(TempDir);

impl Written {
    fn new(text: &str) -> Written {
        let written = Written(tempfile::tempdir().unwrap());
        written.put("acme", "0123456789abcdef0123456789abcdef\n");
        written.put("flk.toml", &text.replace("KEYS", &written.path("")));
        written
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.path().join(name);
        path.display().to_string().trim_end_matches('/').to_owned()
    }

    fn read(&self, set: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let file = self.path("flk.toml");
        Config::from_env(&|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            let found = found.map(|(_, text)| (*text).to_owned());
            found.or_else(|| (name == FILE_VARIABLE).then(|| file.clone()))
        })
    }

    fn error(text: &str, set: &[(&str, &str)]) -> String {
        let written = Written::new(text);
        let error = written.read(set).map(|_| ()).unwrap_err().to_string();
        error.replace(&written.path(""), "DIR")
    }
}

#[test]
fn tenants_of_the_file_stand_beside_the_default_one() {
    let written = Written::new(FILE);
    let names = |config: &Config| {
        let tenants = config.document.tenants.iter();
        tenants.map(|it| it.name.clone()).collect::<Vec<_>>()
    };
    let config = written.read(&[]).unwrap();
    assert_eq!(
        names(&config),
        ["acme", "beta"],
        "no key of the default tenant is set"
    );
    let acme = &config.document.tenants[0];
    assert_eq!(
        (acme.limits.rate, acme.limits.bytes_per_s),
        (1000, 5_000_000)
    );
    assert_eq!(acme.wal_share, Some(40));
    assert_eq!(acme.home.as_deref(), Some("eu-1"));
    let sets = acme
        .params
        .iter()
        .map(|set| (&*set.version, set.effective_from));
    let expected = [("1", None), ("2", time::seconds("2026-11-30T23:00:00Z"))];
    assert!(sets.eq(expected), "ascending by when they begin");
    let [hmac, public] = &acme.keys[..] else {
        panic!("{:?}", acme.keys);
    };
    assert_eq!(hmac.source, Source::file(written.path("acme")));
    assert_eq!(hmac.scheme, "hmac-sha256");
    assert_eq!(hmac.not_before, time::seconds("2026-11-01T00:00:00Z"));
    assert_eq!(hmac.not_after, time::seconds("2027-01-31T23:00:00Z"));
    assert!(matches!(public.source, Source::Public { .. }));
    let beta = &config.document.tenants[1];
    assert!(!beta.enabled && beta.unsigned && beta.keys.is_empty());
    let config = written.read(&[("PCS_HMAC_KEY", "secret")]).unwrap();
    assert_eq!(names(&config), ["acme", "beta", "default"]);
    assert_eq!(config.short_keys_count, 1);
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("0123456789abcdef") && !shown.contains("\"secret\""),
        "{shown}"
    );
}

#[test]
fn mistakes_in_tenants_name_their_line_and_what_is_allowed() {
    for (from, to, expected) in [
        (
            "enabled = false",
            "enable = false",
            "DIR/flk.toml:30: tenants.enable: no such setting; is enabled meant?",
        ),
        (
            "rate = 1_000",
            "rate = \"many\"",
            "DIR/flk.toml:4: tenants.rate: not a value of this kind; allowed: a whole number from 0 on",
        ),
        (
            "KEYS/acme",
            "KEYS/none",
            "DIR/flk.toml:9: tenants.keys: tenant acme, key 2026-11: DIR/none: it cannot be read",
        ),
        (
            "file = \"KEYS/acme\"",
            "file = \"KEYS/acme\"\nenv = \"A\"",
            "tenants.keys.file: a key has one of file, env and public",
        ),
        (
            "2026-11-01T00:00:00Z",
            "2026-11-01",
            "DIR/flk.toml:12: tenants.keys.not_before: not a value of this kind; allowed: a time with its offset",
        ),
        (
            "scheme = \"ed25519\"",
            "scheme = \"rsa\"",
            "tenant acme, key agents:",
        ),
        (
            "id = \"beta\"",
            "id = \"acme\"",
            "tenant acme: it is there twice",
        ),
        (
            "unsigned = true",
            "unsigned = false",
            "DIR/flk.toml:28: tenants: tenant beta: it has no key",
        ),
        (
            "[[tenants.params]]\nversion = \"1\"",
            "[[tenants.params]]",
            "tenants.params.version: a parameter set has no version",
        ),
    ] {
        let text = FILE.replace(from, to);
        assert_ne!(text, FILE, "{from}");
        let told = Written::error(&text, &[]);
        assert!(told.contains(expected), "{expected}:\n{told}");
    }
    let told = Written::error("tenants = 5\n", &[]);
    assert!(
        told.contains("DIR/flk.toml:1: tenants: not an array of tables"),
        "{told}"
    );
}

#[test]
fn mistakes_in_shares_homes_and_times_of_parameters_do_too() {
    for (from, to, expected) in [
        (
            "wal_share = 40",
            "wal_share = 0",
            "DIR/flk.toml:2: tenants: tenant acme: its wal_share is 0; 1 to 100 percent is allowed",
        ),
        (
            "wal_share = 40",
            "wal_share = 5_000_000_000",
            "DIR/flk.toml:6: tenants.wal_share: it is more than 100 percent",
        ),
        (
            "home = \"eu-1\"",
            "home = \"eu 1\"",
            "tenant acme, home: a name is 1 to 64 characters",
        ),
        (
            "effective_from = 2026-12-01T00:00:00+01:00",
            "effective_from = 2026-12-01",
            "DIR/flk.toml:23: tenants.params.effective_from: not a value of this kind; allowed: a time with its offset",
        ),
        (
            "effective_from = 2026-12-01T00:00:00+01:00",
            "effective_from = 2026-12-01T00:00:00.5Z",
            "DIR/flk.toml:23: tenants.params.effective_from: not a value of this kind; allowed: a time with its offset and in whole seconds",
        ),
        (
            "2026-11-01T00:00:00Z",
            "2026-11-01T00:00:00.25Z",
            "tenants.keys.not_before: not a value of this kind; allowed: a time with its offset and in whole seconds",
        ),
        (
            "effective_from = 2026-12-01T00:00:00+01:00",
            "",
            "tenant acme: the shares of its parameter sets that judge at the same time do not come to 1000",
        ),
        (
            "effective_from = 2026-12-01T00:00:00+01:00",
            "share = 300\neffective_from = 2026-12-01T00:00:00Z",
            "tenant acme: the shares of its parameter sets that judge at the same time do not come to 1000",
        ),
    ] {
        let text = FILE.replace(from, to);
        assert_ne!(text, FILE, "{from}");
        let told = Written::error(&text, &[]);
        assert!(told.contains(expected), "{expected}:\n{told}");
    }
}

#[test]
fn tenants_of_the_environment_have_a_key_each() {
    let written = Written::new("");
    let list = "acme:hmac:a:b,beta:ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let set = [("MULTI_TENANT", "1"), ("TENANTS", list)];
    let config = written.read(&set).unwrap();
    let [acme, beta] = &config.document.tenants[..] else {
        panic!("{:?}", config.document.tenants);
    };
    assert_eq!((acme.name.as_str(), beta.name.as_str()), ("acme", "beta"));
    let text = config.secrets.load(&acme.keys[0].source).unwrap();
    assert_eq!(text.as_str(), "a:b", "a key may have colons");
    for (set, expected) in [
        (&[("TENANTS", "acme:hmac:a")][..], "MULTI_TENANT is not 1"),
        (&[("MULTI_TENANT", "yes")], "neither 0 nor 1"),
        (
            &[("MULTI_TENANT", "1"), ("TENANTS", "acme:hmac:a,beta")],
            "entry 2 is not id:alg:key",
        ),
        (
            &[("MULTI_TENANT", "1"), ("TENANTS", "acme:rsa:a")],
            "tenant acme, key environment",
        ),
        (
            &[("MULTI_TENANT", "1"), ("TENANTS", "ac me:hmac:a")],
            "tenant ac me: a name is 1 to 64",
        ),
        (
            &[("MULTI_TENANT", "1"), ("TENANTS", "a:hmac:k,a:hmac:l")],
            "tenant a: it is there twice",
        ),
    ] {
        let told = Written::error("", set);
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn a_key_of_the_file_may_be_in_a_variable() {
    let written = Written::new(&FILE.replace("file = \"KEYS/acme\"", "env = \"ACME_KEY\""));
    let config = written.read(&[("ACME_KEY", "sesame")]).unwrap();
    let source = &config.document.tenants[0].keys[0].source;
    assert_eq!(config.secrets.load(source).unwrap().as_str(), "sesame");
    assert!(!format!("{config:?}").contains("sesame"));
    let told = written.read(&[]).map(|_| ()).unwrap_err().to_string();
    assert!(
        told.contains("key 2026-11: ACME_KEY: it is not set"),
        "{told}"
    );
}

#[test]
fn a_key_that_is_over_may_be_gone() {
    let gone = FILE.replace(
        "KEYS/acme\"",
        "KEYS/gone\"\nrevoked_at = 2026-11-02T00:00:00Z",
    );
    let config = Written::new(&gone).read(&[]).unwrap();
    let keys = &config.document.tenants[0].keys;
    assert_eq!(keys.len(), 1, "the other one is left: {keys:?}");
    let ahead = gone.replace("2026-11-02", "9000-11-02");
    assert!(Written::new(&ahead).read(&[]).is_err());
}

#[test]
fn old_and_new_key_are_a_set_of_two() {
    let written = Written::new("");
    let set = [("PCS_HMAC_KEY_OLD", "old"), ("PCS_HMAC_KEY_NEW", "new")];
    let config = written.read(&set).unwrap();
    let keys = &config.document.tenants[0].keys;
    let variables: Vec<String> = keys.iter().map(|key| key.source.to_string()).collect();
    assert_eq!(variables, ["PCS_HMAC_KEY_NEW", "PCS_HMAC_KEY_OLD"]);
}

#[test]
fn a_secret_of_a_file_is_read_again_when_a_snapshot_asks_for_it() {
    let written = Written::new("");
    let path = written.path("acme");
    let config = written.read(&[("PCS_HMAC_KEY_FILE", &path)]).unwrap();
    let source = &config.document.tenants[0].keys[0].source;
    assert_eq!(*source, Source::file(path.clone()));
    std::fs::write(Path::new(&path), "another\n").unwrap();
    assert_eq!(config.secrets.load(source).unwrap().as_str(), "another");
    let unset = Source::variable("HOME");
    assert!(
        matches!(config.secrets.load(&unset), Err(SourceFault::Unreadable(_))),
        "only variables of settings are sources"
    );
}
