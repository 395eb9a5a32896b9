//! The configuration file: TOML, each key with its line. It knows which keys there are and which form a value may have;
//! what a value means is checked with all other settings.

use super::error::ConfigError;
use super::secret_file::{ReadError, read_regular, shown_path};
use super::set::Typed;
use super::shape::{self, Shape};
use super::tenants::{self, RawTenant};
use super::toml_file::{FILE_ALLOWED, File, Kind};
use super::toml_table::Table;
use super::unknown::nearest;
use super::variables::{FILE_VARIABLE, VARIABLES, Variable};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A larger file is none of ours.
const FILE_BYTES_MAX: usize = 1 << 20;

/// What stands in a file.
#[derive(Default)]
pub(super) struct Found {
    pub(super) settings: Vec<(Variable, Typed)>,
    pub(super) tenants: Vec<RawTenant>,
    /// The machine that a profile is for, if it says that.
    pub(super) shape: Option<Shape>,
    /// In the order of their lines.
    pub(super) mistakes: Vec<ConfigError>,
}

/// The text of a configuration file. Whatever reads such a file reads it here.
///
/// # Errors
/// It is no regular file, cannot be read, or is not UTF-8. A pipe keeps what is in it.
pub fn text_of_file(path: &Path) -> Result<String, ReadError> {
    let bytes = read_regular(path, FILE_BYTES_MAX)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| ReadError::NotText)?;
    Ok(text.to_owned())
}

/// Reads a file: the text of each setting in it, and every key and form of value in it that no setting has.
///
/// # Errors
/// The file cannot be read, or is not TOML.
pub(super) fn read(path: &Path) -> Result<Found, ConfigError> {
    let text = text_of_file(path).map_err(|error| ConfigError {
        variable: FILE_VARIABLE,
        place: None,
        argument: None,
        value: Some(shown_path(path)),
        problem: error.to_string(),
        allowed: FILE_ALLOWED,
    })?;
    of_text(path, &text, Kind::Configuration)
}

/// The same of a text that is there already; errors name this path.
pub(super) fn of_text(path: &Path, text: &str, kind: Kind) -> Result<Found, ConfigError> {
    File { path, text, kind }.settings()
}

impl File<'_> {
    fn settings(&self) -> Result<Found, ConfigError> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.error(at, "TOML", error.message().to_owned())
        })?;
        let mut found = Found::default();
        for (section, value) in table.get_ref() {
            let at = section.span().start;
            if section.get_ref() == "tenants" && self.kind == Kind::Configuration {
                let mistakes = &mut found.mistakes;
                found.tenants = tenants::read(self, at, value.get_ref(), mistakes);
                continue;
            }
            let DeValue::Table(keys) = value.get_ref() else {
                found.mistakes.push(self.unknown(at, section.get_ref()));
                continue;
            };
            if section.get_ref() == "machine" && self.kind == Kind::Profile {
                let table = Table {
                    file: self,
                    name: "machine",
                    at,
                    members: keys,
                };
                found.shape = Some(shape::read(&table, &mut found.mistakes));
                continue;
            }
            if keys.is_empty() && !has_section(section.get_ref()) {
                found.mistakes.push(self.unknown(at, section.get_ref()));
            }
            for (key, value) in keys {
                let name = format!("{}.{}", section.get_ref(), key.get_ref());
                match self.setting(&name, key.span().start, value) {
                    Ok(setting) => found.settings.push(setting),
                    Err(mistake) => found.mistakes.push(mistake),
                }
            }
        }
        let mistakes = &mut found.mistakes;
        mistakes.sort_by_key(|mistake| mistake.place.as_ref().map(|place| place.line));
        Ok(found)
    }

    fn setting(
        &self,
        name: &str,
        at: usize,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(Variable, Typed), ConfigError> {
        let known = VARIABLES.iter().find(|variable| variable.key() == name);
        let Some(&variable) = known else {
            return Err(self.unknown(at, name));
        };
        if self.kind == Kind::Profile && !variable.is_of_machine() {
            let problem = "no setting of a machine: it belongs into the configuration file";
            return Err(self.error(at, name, problem.to_owned()));
        }
        let text = text_of(variable, value.get_ref());
        let text = text.map_err(|problem| ConfigError {
            variable: variable.name(),
            place: Some(Box::new(self.place(at, name))),
            argument: None,
            value: None,
            problem: problem.to_owned(),
            allowed: variable.allowed(),
        })?;
        let typed = Typed {
            text,
            place: Some(self.place(at, name)),
        };
        Ok((variable, typed))
    }

    fn unknown(&self, at: usize, name: &str) -> ConfigError {
        let fits =
            |variable: &&Variable| self.kind == Kind::Configuration || variable.is_of_machine();
        let keys = || VARIABLES.iter().filter(fits).map(|variable| variable.key());
        let without_section = keys().find(|key| key.split_once('.').is_some_and(|it| it.1 == name));
        let near = nearest(name, keys()).filter(|(distance, key)| *distance <= key.len() / 4);
        let meant = without_section.or(near.map(|(_, key)| key));
        let problem = match meant {
            Some(meant) => format!("no such setting; is {meant} meant?"),
            None => "no such setting".to_owned(),
        };
        self.error(at, name, problem)
    }
}

fn has_section(name: &str) -> bool {
    let sections = VARIABLES.iter().filter_map(|it| it.key().split_once('.'));
    sections.into_iter().any(|(section, _)| section == name)
}

/// A value as the variable's text has it. Numbers stand for their texts, lists for their elements with commas between them;
/// where a variable is only set or not set, it may be a truth value.
fn text_of(variable: Variable, value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
        DeValue::Float(number) if variable.is_share() => Ok(number.as_str().replace('_', "")),
        DeValue::Boolean(true) if variable.is_switch() => Ok("1".to_owned()),
        DeValue::Boolean(false) if variable.is_switch() => Ok(String::new()),
        DeValue::Array(elements) if variable.is_list() => {
            let texts = elements.iter().map(|element| match element.get_ref() {
                DeValue::String(text) if !text.contains(',') => Ok(text.as_ref()),
                DeValue::String(_) => Err("a comma in an element of a list"),
                _ => Err("a list of something else than texts"),
            });
            let texts = texts.collect::<Result<Vec<_>, _>>()?;
            // A single CPU has a comma behind it: a number alone is a count.
            let end = match (variable, texts.len()) {
                (Variable::Cores, 1) => ",",
                _ => "",
            };
            Ok(texts.join(",") + end)
        }
        DeValue::Array(_) => Err("a list, and only one value is taken"),
        DeValue::Table(_) => Err("a table"),
        DeValue::Boolean(_) | DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Integer(_) => {
            Err("neither a text nor a whole number in decimal")
        }
    }
}
