//! Reading a table of the configuration file member by member, each error with its line. It knows no setting.

use super::error::{ConfigError, Place};
use super::toml_file::File;
use super::unknown::nearest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table that is being read.
pub(super) struct Table<'a, 'b> {
    pub file: &'a File<'a>,
    /// What errors call it: `tenants.keys`.
    pub name: &'a str,
    /// Where it begins.
    pub at: usize,
    pub members: &'a DeTable<'b>,
}

impl<'a, 'b> Table<'a, 'b> {
    /// Where it begins.
    pub(super) fn place(&self) -> Place {
        self.file.place(self.at, self.name)
    }

    /// Every member that is not one of these is a mistake.
    pub(super) fn only(&self, known: &[&str], mistakes: &mut Vec<ConfigError>) {
        for key in self.members.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let near = nearest(name, known.iter().copied());
            let near = near.filter(|(distance, key)| *distance <= key.len() / 3 + 1);
            let problem = match near {
                Some((_, meant)) => format!("no such setting; is {meant} meant?"),
                None => format!("no such setting; there are {}", known.join(", ")),
            };
            let full = format!("{}.{name}", self.name);
            mistakes.push(self.file.error(key.span().start, &full, problem));
        }
    }

    fn member(&self, name: &str) -> Option<(&'a Spanned<DeValue<'b>>, Place)> {
        let (key, value) = self.members.iter().find(|(key, _)| key.get_ref() == name)?;
        let full = format!("{}.{name}", self.name);
        Some((value, self.file.place(key.span().start, &full)))
    }

    /// A member and where it stands.
    fn typed<T>(
        &self,
        name: &str,
        allowed: &'static str,
        read: impl Fn(&'a DeValue<'b>) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((value, place)) = self.member(name) else {
            return Ok(None);
        };
        match read(value.get_ref()) {
            Some(value) => Ok(Some(value)),
            None => Err(ConfigError {
                variable: self.file.variable(),
                place: Some(Box::new(place)),
                argument: None,
                value: None,
                problem: "not a value of this kind".to_owned(),
                allowed,
            }),
        }
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        self.typed(name, "a text", |value| match value {
            DeValue::String(text) => Some(text.clone().into_owned()),
            _ => None,
        })
    }

    /// `true` or `false`.
    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        self.typed(name, "true or false", |value| match value {
            DeValue::Boolean(value) => Some(*value),
            _ => None,
        })
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&self, name: &str) -> Result<Option<u64>, ConfigError> {
        self.typed(name, "a whole number from 0 on", |value| match value {
            DeValue::Integer(number) if number.radix() == 10 => {
                number.as_str().replace('_', "").parse().ok()
            }
            _ => None,
        })
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, ConfigError> {
        self.typed(name, "a number", |value| match value {
            DeValue::Integer(number) if number.radix() == 10 => {
                number.as_str().replace('_', "").parse().ok()
            }
            DeValue::Float(number) => number.as_str().replace('_', "").parse().ok(),
            _ => None,
        })
    }

    /// A point in time, as seconds since the Unix epoch.
    pub(super) fn time(&self, name: &str) -> Result<Option<u64>, ConfigError> {
        let allowed = "a time with its offset and in whole seconds, such as 2026-11-01T00:00:00Z";
        self.typed(name, allowed, |value| {
            let text = match value {
                DeValue::Datetime(time) => time.to_string(),
                DeValue::String(text) => text.clone().into_owned(),
                _ => return None,
            };
            super::time::seconds(&text)
        })
    }

    /// The tables of an array of tables.
    pub(super) fn tables(&self, name: &str) -> Result<Vec<(usize, &'a DeTable<'b>)>, ConfigError> {
        let tables = self.typed(name, "an array of tables: [[…]]", tables_of)?;
        Ok(tables.unwrap_or_default())
    }

    /// A mistake in a member, or in the table where that is missing.
    pub(super) fn wrong(&self, name: &str, problem: impl Into<String>) -> ConfigError {
        let place = match self.member(name) {
            Some((_, place)) => place,
            None => Place {
                key: format!("{}.{name}", self.name),
                ..self.place()
            },
        };
        ConfigError {
            variable: self.file.variable(),
            place: Some(Box::new(place)),
            argument: None,
            value: None,
            problem: problem.into(),
            allowed: self.file.example(),
        }
    }
}

/// The tables of an array of tables, each with where it begins.
pub(super) fn tables_of<'a, 'b>(value: &'a DeValue<'b>) -> Option<Vec<(usize, &'a DeTable<'b>)>> {
    let DeValue::Array(elements) = value else {
        return None;
    };
    let tables = elements.iter().map(|element| match element.get_ref() {
        DeValue::Table(table) => Some((element.span().start, table)),
        _ => None,
    });
    tables.collect()
}
