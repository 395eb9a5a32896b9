//! A setting that is set: its text, and where that comes from, the files of secrets included. It judges no value but that a
//! secret must not be the text of an encrypted file. Errors show no secret.

use super::error::{ConfigError, Place};
use super::pass::Pass;
use super::sealed::{self, Form};
use super::secret_file::{self, SecretPath, shown_path};
use super::variables::Variable;
use std::path::Path;
use zeroize::Zeroizing;

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is not set.
    Default,
    /// A line of the profile.
    Profile(Place),
    /// A variable of the environment, or what stands for it.
    Environment(&'static str),
    /// A line of the configuration file.
    File(Place),
    /// An argument of the command line, by its key.
    Argument(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => out.write_str("default"),
            Origin::Profile(place) => write!(out, "profile {place}"),
            Origin::Environment(name) => write!(out, "environment: {name}"),
            Origin::File(place) => write!(out, "{place}"),
            Origin::Argument(key) => write!(out, "argument: --{key}"),
        }
    }
}

/// A text and where it was typed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) text: String,
    /// Nothing: in the environment.
    pub(super) place: Option<Place>,
}

/// A setting that is set.
pub(super) struct Set {
    /// Wiped when it is dropped: it may be a secret.
    pub(super) text: Zeroizing<String>,
    pub(super) origin: Origin,
    /// The file that it was read from, where it is a secret of a file.
    pub(super) file: Option<SecretPath>,
    /// How that file is encrypted.
    pub(super) form: Option<Form>,
}

impl Set {
    /// What a line of the file sets; that of a secret names the file that holds it.
    pub(super) fn from_file(
        variable: Variable,
        typed: Typed,
        pass: &Pass,
    ) -> Result<Option<Set>, ConfigError> {
        let Typed { text, place } = typed;
        if text.is_empty() {
            return Ok(None);
        }
        let (text, file, form) = match variable.is_secret() {
            false => (Zeroizing::new(text), None, None),
            true => {
                let file = file_of(variable, &text);
                let read = read_file(variable, &file, pass).map_err(|problem| ConfigError {
                    variable: variable.name(),
                    place: place.clone().map(Box::new),
                    argument: None,
                    value: Some(shown_path(Path::new(&text))),
                    problem,
                    allowed: SECRET_FILE_ALLOWED,
                });
                let (text, form) = read?;
                (text, Some(file), form)
            }
        };
        refuse_sealed(variable, variable.name(), place.as_ref(), &text)?;
        let origin = place.map_or(Origin::Environment(variable.name()), Origin::File);
        Ok(Some(Set {
            text,
            origin,
            file,
            form,
        }))
    }

    /// What the environment sets: the value, or the file that holds it.
    pub(super) fn from_environment(
        variable: Variable,
        typed: &dyn Fn(&str) -> Option<String>,
        pass: &Pass,
    ) -> Result<Option<Set>, ConfigError> {
        let alias = variable.alias().and_then(typed);
        let value = typed(variable.name()).or(alias).map(Zeroizing::new);
        let file = variable
            .file_name()
            .and_then(|name| Some((name, typed(name)?)));
        let (text, name, file, form) = match (value, file) {
            (None, None) => return Ok(None),
            (Some(text), None) => (text, variable.name(), None, None),
            (None, Some((name, path))) => {
                let file = file_of(variable, &path);
                let read = read_file(variable, &file, pass).map_err(|problem| ConfigError {
                    variable: name,
                    place: None,
                    argument: None,
                    value: Some(shown_path(Path::new(&path))),
                    problem,
                    allowed: SECRET_FILE_ALLOWED,
                });
                let (text, form) = read?;
                (text, name, Some(file), form)
            }
            (Some(_), Some((name, path))) => {
                return Err(ConfigError {
                    variable: name,
                    place: None,
                    argument: None,
                    value: Some(shown_path(Path::new(&path))),
                    problem: format!("{} is set, too", variable.name()),
                    allowed: "one of the two",
                });
            }
        };
        refuse_sealed(variable, name, None, &text)?;
        let origin = Origin::Environment(name);
        Ok(Some(Set {
            text,
            origin,
            file,
            form,
        }))
    }
}

/// Refuses what was pasted in the place of a secret and would become the key otherwise.
fn refuse_sealed(
    variable: Variable,
    name: &'static str,
    place: Option<&Place>,
    text: &str,
) -> Result<(), ConfigError> {
    if !variable.is_secret() || variable == Variable::AgeIdentity {
        return Ok(());
    }
    sealed::refuse_sealed(text).map_err(|problem| ConfigError {
        variable: name,
        place: place.cloned().map(Box::new),
        argument: None,
        value: None,
        problem: problem.to_owned(),
        allowed: variable.allowed(),
    })
}

/// The text of a secret's file, and how that is encrypted. The file of the identities is read again whenever something is opened.
fn read_file(
    variable: Variable,
    file: &SecretPath,
    pass: &Pass,
) -> Result<(Zeroizing<String>, Option<Form>), String> {
    if variable == Variable::AgeIdentity {
        secret_file::open_regular(&file.path).map_err(|error| error.to_string())?;
    }
    pass.read(file)
}

/// The file that a text names; that of the identities has no entries.
fn file_of(variable: Variable, text: &str) -> SecretPath {
    match variable {
        Variable::AgeIdentity => SecretPath::new(text, None),
        _ => SecretPath::typed(text),
    }
}

/// What a secret's file may be.
pub(super) const SECRET_FILE_ALLOWED: &str = "a file of up to 64 KiB that holds the secret, with or without a line end behind it; or one encrypted with age or SOPS, as FILE or FILE#ENTRY";
