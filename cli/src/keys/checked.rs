//! The configuration that a file would be, checked as a gateway checks it at its start. Files and variables of keys that are not
//! on this machine have a stand-in, so that a copy of a file can be changed elsewhere; which ones, it says. It changes nothing.

use super::document::{Document, tables};
use crate::exit::{Exit, Failure};
use crate::fault;
use crate::keyring::age_keys;
use flk_contract::{Algorithm, NumberForm, Scheme, SigningKey};
use flk_dataplane::config::{
    Config, Environment, Flags, RawConfig, SecretPath, VARIABLES, form_of, open_file, shown_source,
};
use flk_dataplane::snapshot::Source;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use toml_edit::{Item, value};

/// A configuration that a gateway would start with.
pub(super) struct Checked {
    pub(super) config: Config,
    /// Sources as they may be shown, of keys that could not be looked at: by tenant and key.
    pub(super) unchecked: BTreeMap<(String, String), String>,
}

/// What stands for something that is not here.
struct StandIns {
    /// Open as long as the check needs them.
    files: Vec<File>,
    /// Texts of variables.
    variables: BTreeMap<String, String>,
    unchecked: BTreeMap<(String, String), String>,
    /// Whether there is anything here that opens encrypted files.
    opens: Opens,
}

/// What becomes of an encrypted file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opens {
    Encrypted,
    /// No identity is here, so an encrypted file is as good as elsewhere.
    PlainOnly,
}

/// Checks a text that is, or is to be, the content of `path`.
pub(super) fn check(path: &Path, text: &str) -> Result<Checked, Failure> {
    let mut stand_ins = StandIns {
        files: Vec::new(),
        variables: BTreeMap::new(),
        unchecked: BTreeMap::new(),
        opens: Opens::PlainOnly,
    };
    let text = match Document::parse(text) {
        Some(document) => stand_ins.put_into(document)?,
        None => text.to_owned(), // what is wrong with it, the check says with its line
    };
    let file = in_memory(&text)?;
    let shown = path_of(&file);
    let environment = Environment::default();
    let env = |name: &str| {
        let real = environment.get(name).filter(|it| !it.is_empty());
        real.or_else(|| stand_ins.variables.get(name).cloned())
    };
    let flags = Flags {
        file: Some(shown.clone()),
        settings: Vec::new(),
    };
    let config = RawConfig::read(&env, &flags).and_then(|raw| Config::resolve(&raw));
    let config = config.map_err(|error| {
        let said = error.to_string();
        let said = said.replace(&shown, &path.display().to_string());
        Failure::with(Exit::Configuration, said)
    })?;
    Ok(Checked {
        config,
        unchecked: stand_ins.unchecked,
    })
}

impl StandIns {
    /// The document's text, each line where it was.
    fn put_into(&mut self, mut document: Document) -> Result<String, Failure> {
        let section = document.0.get("process");
        let typed = section.and_then(|it| it.get("age_identity_file")?.as_str());
        let is_here =
            typed.is_some_and(|path| !path.is_empty() && open_file(Path::new(path)).is_ok());
        if is_here || !age_keys().is_empty() {
            self.opens = Opens::Encrypted;
        }
        for variable in VARIABLES.iter().filter(|it| it.is_secret()) {
            let Some((section, name)) = variable.key().split_once('.') else {
                continue;
            };
            let Some(item) = document.0.get_mut(section).and_then(|it| it.get_mut(name)) else {
                continue;
            };
            // Without a text it counts as not set.
            let file = item.as_str().map(SecretPath::typed);
            if file.is_some_and(|it| self.is_elsewhere(&it.path)) {
                *item = value("");
            }
        }
        let tenants = tables(document.0.get("tenants")).len();
        for tenant in 0..tenants {
            self.put_into_tenant(&mut document.0["tenants"][tenant])?;
        }
        Ok(document.text())
    }

    fn put_into_tenant(&mut self, tenant: &mut Item) -> Result<(), Failure> {
        let text = |item: &Item, name: &str| Some(item.get(name)?.as_str()?.to_owned());
        let (Some(name), Some(keys)) = (text(tenant, "id"), tenant.get("keys")) else {
            return Ok(());
        };
        for at in 0..tables(Some(keys)).len() {
            let key = &mut tenant["keys"][at];
            let id = text(key, "id").unwrap_or_default();
            let scheme = text(key, "scheme").unwrap_or_else(|| "hmac-sha256".to_owned());
            let Ok(scheme) = scheme.parse::<Scheme>() else {
                continue;
            };
            let file = text(key, "file");
            if let Some(path) = file.filter(|path| self.is_elsewhere(Path::new(path))) {
                let file = in_memory(&self.text(scheme))?;
                let shown = SecretPath::new(path, text(key, "entry")).to_string();
                if let Some(table) = key.as_table_like_mut() {
                    table.remove("entry");
                }
                if let Some(typed) = key["file"].as_value_mut() {
                    *typed = path_of(&file).into();
                }
                self.files.push(file);
                self.unchecked.insert((name.clone(), id), shown);
            } else if let Some(variable) = text(key, "env").filter(|it| is_unset(it)) {
                let text = self.text(scheme);
                let shown = shown_source(&Source::variable(&variable));
                self.variables.insert(variable, text);
                self.unchecked.insert((name.clone(), id), shown);
            }
        }
        Ok(())
    }

    /// Whether a file is on another machine, for another user, or for another identity.
    fn is_elsewhere(&self, path: &Path) -> bool {
        match open_file(path).map_err(|error| error.kind()) {
            Err(kind) => matches!(kind, ErrorKind::NotFound | ErrorKind::PermissionDenied),
            Ok(_) => self.opens == Opens::PlainOnly && form_of(path).is_some(),
        }
    }

    /// A key that is no other one.
    fn text(&self, scheme: Scheme) -> String {
        let number = self.unchecked.len() as u64;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        match scheme.algorithm {
            Algorithm::Ed25519 => SigningKey::from_seed(NumberForm::default(), &seed)
                .public_key_base64()
                .unwrap_or_default(),
            Algorithm::HmacSha256 | Algorithm::HmacSha256Payload => {
                format!("this stands for a key that is elsewhere: {number}")
            }
        }
    }
}

fn is_unset(variable: &str) -> bool {
    std::env::var_os(variable).is_none_or(|text| text.is_empty())
}

/// A file without a name, for a reader that wants a path.
fn in_memory(text: &str) -> Result<File, Failure> {
    let written = rustix::fs::memfd_create("flk-keys", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(std::io::Error::from)
        .map(File::from)
        .and_then(|mut file| file.write_all(text.as_bytes()).map(|()| file));
    written.map_err(|error| {
        let why = fault::why(&error);
        Failure::with(Exit::File, format!("cannot use memory as a file: {why}"))
    })
}

fn path_of(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_elsewhere_are_told_and_the_rest_is_checked() {
        let text = "\
[signing]
hmac_key_file = \"/nowhere/default.key\"
[[tenants]]
id = \"acme\"
keys = [{ id = \"a\", file = \"/nowhere/a.key\" }, { id = \"b\", env = \"FLK_TEST_NOWHERE\" }]
[[tenants]]
id = \"beta\"
[[tenants.keys]]
id = \"c\"
scheme = \"ed25519\"
file = \"/nowhere/c.key\"
";
        let checked = check(Path::new("flk.toml"), text).unwrap();
        let names: Vec<String> = checked
            .unchecked
            .iter()
            .map(|((tenant, key), source)| format!("{tenant}/{key}: {source}"))
            .collect();
        assert_eq!(
            names,
            [
                "acme/a: /nowhere/a.key",
                "acme/b: FLK_TEST_NOWHERE",
                "beta/c: /nowhere/c.key"
            ]
        );
        assert_eq!(checked.config.document.tenants.len(), 2);
        let wrong = text.replace("id = \"b\"", "id = \"a\"");
        let failure = check(Path::new("flk.toml"), &wrong).err().unwrap();
        assert!(
            failure.text().contains("another key has this id"),
            "{}",
            failure.text()
        );
        let not_toml = check(Path::new("flk.toml"), "a = 1\nb =\n").err().unwrap();
        assert!(
            not_toml.text().starts_with("flk.toml:2: TOML: "),
            "{}",
            not_toml.text()
        );
    }

    #[test]
    fn a_secret_in_the_place_of_a_name_is_not_told_as_a_source() {
        let secret = "kq7Vm2xPzR4tLw9sYb3nHc6jFd8gTa5e";
        for key in [
            format!("file = \"{secret}\""),
            format!("file = \"{secret}\", entry = \"a\""),
            format!("env = \"{secret}\""),
        ] {
            let text = format!("[[tenants]]\nid = \"acme\"\nkeys = [{{ id = \"a\", {key} }}]\n");
            let checked = check(Path::new("flk.toml"), &text).unwrap();
            let told: Vec<&String> = checked.unchecked.values().collect();
            assert!(told[0].starts_with("(not shown)"), "{key}: {told:?}");
            assert!(!told[0].contains(secret), "{told:?}");
        }
    }
}
