//! Finds the secrets of a gateway on this machine, so that they can be looked for in what leaves it: in the environment, in the files that
//! settings name, and in the configuration file, where none should be. It passes them on, and prints none.

use super::scrub::Secret;
use crate::config::string_values;
use crate::keyring::{DEV_KEY, age_keys, read_secret};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_dataplane::config::{Mended, RawConfig, SecretPath, VARIABLES, Variable, shown_path};
use flk_dataplane::snapshot::Source;
use flk_dataplane::wal::files::SECRET;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// No file of a secret is as long; of a longer one this is looked for.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// A shorter value of a name that is no setting is hardly a secret.
const GUESSED_BYTES_LEAST: usize = 8;
/// Words that a name of a variable or a key has whose value may be a secret.
const WORDS: [&str; 7] = [
    "KEY",
    "PASS",
    "SECRET",
    "TOKEN",
    "CREDENTIAL",
    "HEADERS",
    "_PRIV",
];

/// Secrets, each once or more often.
#[derive(Default)]
pub(super) struct Found(pub(super) Vec<Secret>);

impl Found {
    /// Of settings as they were read, before anything was put right in them.
    pub(super) fn settings(&mut self, raw: &RawConfig) {
        for &variable in VARIABLES {
            if let Some(text) = raw
                .text(variable)
                .filter(|text| variable.is_secret_in(text))
            {
                self.of_variable(variable, text);
            }
        }
        let [user, pass] = [Variable::MetricsUser, Variable::MetricsPass].map(|it| raw.text(it));
        if let (Some(user), Some(pass)) = (user, pass) {
            self.text(&STANDARD.encode(format!("{user}:{pass}")));
        }
    }

    /// Of the keys of tenants.
    pub(super) fn tenants(&mut self, mended: &Mended) {
        for source in mended.sources() {
            match source {
                Source::File { path, entry, .. } => {
                    let path = Path::new(path);
                    if let Ok(text) = read_secret(path, entry.as_deref(), &age_keys()) {
                        self.list(&text);
                    }
                    self.file(path);
                }
                Source::Environment { variable, .. } => {
                    if let Ok(text) = std::env::var(variable) {
                        self.list(&text);
                    }
                }
                Source::Public { .. } => {}
            }
        }
    }

    /// Of variables that look as if they held one, settings of flk or not.
    pub(super) fn environment(&mut self) {
        for (name, value) in std::env::vars_os() {
            let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
                continue;
            };
            let known = VARIABLES.iter().find(|it| it.name() == name);
            if known.is_none_or(|it| it.is_secret()) {
                self.named(name, value);
            }
        }
    }

    /// Of a configuration file, whose values should be none.
    pub(super) fn configuration(&mut self, path: &Path) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for (name, value) in string_values(&text) {
            self.named(&name, &value);
        }
    }

    /// Those of an installation in a log directory.
    pub(super) fn directory(&mut self, wal_dir: &Path) {
        self.file(&wal_dir.join(SECRET));
        self.file(Path::new(DEV_KEY));
        if let Some(beside) = wal_dir.parent() {
            self.file(&beside.join("dev.key"));
        }
    }

    /// The value of a name: a secret, or the place of one.
    fn named(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_uppercase();
        if !WORDS.iter().any(|word| name.contains(word)) {
            return;
        }
        let SecretPath { path, .. } = SecretPath::typed(value);
        match path.is_file() {
            true => self.file(&path),
            // A word such as the name of a scheme would be looked for everywhere.
            false if value.len() < GUESSED_BYTES_LEAST => {}
            // The place of a file that is not there is what an operator has to see.
            false if name.ends_with("FILE") && shown_path(&path) == path.display().to_string() => {}
            false => self.list(value),
        }
    }

    /// A file of a secret: the text, each of its lines, and each long word.
    fn file(&mut self, path: &Path) {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = File::open(path).and_then(|it| it.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
        // One that is not there, or not for this user, cannot get into the bundle from here either.
        if read.is_err() {
            return;
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => {
                self.text(text.trim());
                text.lines().for_each(|line| self.text(line.trim()));
                let words = text.split_ascii_whitespace();
                words
                    .filter(|it| it.len() >= 16)
                    .for_each(|it| self.text(it));
            }
            Err(_) => self.0.push(bytes),
        }
    }

    fn of_variable(&mut self, variable: Variable, text: &str) {
        match variable {
            // id:alg:key, and name=value
            Variable::Tenants => {
                let entries = text.split([',', '\n']);
                let keys = entries.filter_map(|it| it.splitn(3, ':').nth(2));
                keys.for_each(|key| self.text(key.trim()));
            }
            Variable::OtlpHeaders => {
                let headers = text.split(',').filter_map(|it| it.split_once('='));
                headers.for_each(|(_, value)| self.text(value.trim()));
            }
            _ => self.list(text),
        }
    }

    /// A text that may be several with commas or lines between them.
    fn list(&mut self, text: &str) {
        self.text(text);
        if text.contains([',', '\n']) {
            text.split([',', '\n']).for_each(|it| self.text(it.trim()));
        }
    }

    fn text(&mut self, text: &str) {
        self.0.push(Zeroizing::new(text.as_bytes().to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(found: &Found) -> Vec<&str> {
        let text = |it| std::str::from_utf8(it).unwrap();
        found.0.iter().map(|it| text(it.as_slice())).collect()
    }

    #[test]
    fn a_name_says_whether_its_value_may_be_a_secret() {
        let mut found = Found::default();
        for (name, value) in [
            ("SSH_KEY_TYPE", "ed25519"),
            ("EDITOR", "a-long-value-of-no-secret"),
            ("hmac_key_file", "/etc/flk/keys/that-is-missing.key"),
        ] {
            found.named(name, value);
        }
        assert_eq!(texts(&found), [""; 0]);
        found.named("hmac_keys", "first-secret,second-secret");
        found.named("hmac_key_file", "aSecretInThePlaceOfAFileWithoutAnEnding");
        assert_eq!(
            texts(&found),
            [
                "first-secret,second-secret",
                "first-secret",
                "second-secret",
                "aSecretInThePlaceOfAFileWithoutAnEnding"
            ]
        );
    }

    #[test]
    fn a_file_with_a_number_sign_in_its_name_is_meant_as_a_whole_and_an_entry_is_none_of_the_name()
    {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(path("a#b"), "the-secret-of-a-file").unwrap();
        std::fs::write(path("c"), "the-secret-of-an-entry").unwrap();
        let mut found = Found::default();
        found.named("MY_TOKEN_FILE", &path("a#b"));
        found.named("MY_TOKEN_FILE", &path("c#entry"));
        let texts = texts(&found);
        assert!(texts.contains(&"the-secret-of-a-file"), "{texts:?}");
        assert!(texts.contains(&"the-secret-of-an-entry"), "{texts:?}");
    }

    #[test]
    fn a_file_gives_its_text_its_lines_and_its_long_words() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a b\nlong-word-of-a-secret c\n").unwrap();
        let mut found = Found::default();
        found.file(file.path());
        found.file(Path::new("/no/such/file"));
        assert_eq!(
            texts(&found),
            [
                "a b\nlong-word-of-a-secret c",
                "a b",
                "long-word-of-a-secret c",
                "long-word-of-a-secret"
            ]
        );
    }

    #[test]
    fn parts_of_lists_are_secrets_and_names_in_them_are_none() {
        let mut found = Found::default();
        found.of_variable(Variable::Tenants, "acme:hmac:se:cret,beta:ed25519:other");
        found.of_variable(Variable::OtlpHeaders, "x-tenant=one,authorization=two");
        assert_eq!(texts(&found), ["se:cret", "other", "one", "two"]);
    }
}
