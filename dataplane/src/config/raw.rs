//! The texts of all settings and where they come from, and the parsing of numbers, sizes and durations.

use super::STAND_IN_KEY;
use super::environment::Environment;
use super::error::ConfigError;
use super::file;
use super::flags::Flags;
use super::pass::Pass;
use super::profile;
use super::sealed::{AgeKeys, Form};
use super::secret_file::SecretPath;
use super::set::{Origin, Set, Typed};
use super::tenants::{DEFAULT, RawTenant};
use super::units;
use super::variables::{FILE_VARIABLE, VARIABLES, Variable};
use crate::snapshot::Source;
use flk_contract::Scheme;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// The texts of all settings that are set.
pub struct RawConfig {
    texts: Vec<Option<Set>>,
    tenants: Vec<RawTenant>,
    /// Texts of variables that keys of tenants name.
    variables: Vec<(String, Zeroizing<String>)>,
    /// The configuration file.
    file: Option<PathBuf>,
    /// What is opened with these settings is opened once.
    pass: Pass,
}

impl std::fmt::Debug for RawConfig {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = VARIABLES.iter().filter_map(|&variable| {
            let text = self.text(variable)?;
            Some((
                variable.name(),
                if variable.is_secret_in(text) {
                    "(secret)"
                } else {
                    text
                },
            ))
        });
        out.debug_map().entries(shown).finish()
    }
}

/// The identities that are set, looked up before anything is opened with them. What is wrong with the setting is found with
/// all others.
pub(super) fn age_keys(
    of_file: &[(Variable, Typed)],
    env: &dyn Fn(&str) -> Option<String>,
    flags: &Flags,
) -> AgeKeys {
    let is_it = |variable: Variable| variable == Variable::AgeIdentity;
    let flag = flags.settings.iter().rfind(|it| is_it(it.0));
    let typed = of_file.iter().rfind(|it| is_it(it.0));
    let of_environment = || AgeKeys::of_environment(env);
    match (flag, typed) {
        (Some((_, path)), _) if !path.is_empty() => AgeKeys::of_file(path),
        (_, Some((_, typed))) if of_environment().is_empty() && !typed.text.is_empty() => {
            AgeKeys::of_file(&typed.text)
        }
        _ => of_environment(),
    }
}

impl RawConfig {
    /// Reads all settings: the profile, if one is named, over it the configuration file, over that the environment, and over that
    /// the arguments. An empty text counts as not set.
    ///
    /// # Errors
    /// The file or the profile cannot be read or has what no setting has, a secret's file cannot be read, or a secret is set
    /// twice.
    pub fn read(
        env: &dyn Fn(&str) -> Option<String>,
        flags: &Flags,
    ) -> Result<RawConfig, ConfigError> {
        let (raw, mistakes) = RawConfig::read_all(env, flags);
        match mistakes.into_iter().next() {
            Some(mistake) => Err(mistake),
            None => Ok(raw),
        }
    }

    /// The same, with every mistake: what can be read is read.
    pub fn read_all(
        env: &dyn Fn(&str) -> Option<String>,
        flags: &Flags,
    ) -> (RawConfig, Vec<ConfigError>) {
        let mut texts: Vec<Option<Set>> = VARIABLES.iter().map(|_| None).collect();
        let mut mistakes = Vec::new();
        let env = flags.above(env);
        let typed = |name: &str| env(name).filter(|text| !text.is_empty());
        let path = typed(FILE_VARIABLE).map(PathBuf::from);
        let from_file = path.as_deref().map(file::read);
        let from_file = from_file.unwrap_or_else(|| Ok(file::Found::default()));
        let from_file = from_file.unwrap_or_else(|mistake| file::Found {
            mistakes: vec![mistake],
            ..file::Found::default()
        });
        mistakes.extend(from_file.mistakes);
        let pass = Pass::of(age_keys(&from_file.settings, &typed, flags));
        for (variable, typed) in from_file.settings {
            match Set::from_file(variable, typed, &pass) {
                Ok(set) => texts[variable as usize] = set,
                Err(mistake) => mistakes.push(mistake),
            }
        }
        for &variable in VARIABLES {
            match Set::from_environment(variable, &typed, &pass) {
                Ok(None) => {}
                Ok(set) => texts[variable as usize] = set,
                Err(mistake) => mistakes.push(mistake),
            }
        }
        for (variable, text) in &flags.settings {
            let (text, place) = (text.clone(), None);
            let key = variable.key();
            match Set::from_file(*variable, Typed { text, place }, &pass) {
                Ok(set) => {
                    let origin = Origin::Argument(key);
                    texts[*variable as usize] = set.map(|set| Set { origin, ..set });
                }
                Err(mistake) => mistakes.push(ConfigError {
                    argument: Some(key),
                    ..mistake
                }),
            }
        }
        let tenants = from_file.tenants;
        let sources = tenants.iter().flat_map(|it| &it.keys).map(|it| &it.source);
        let variables = sources.filter_map(|source| match source {
            Source::Environment { variable, .. } => {
                Some((variable.clone(), Zeroizing::new(typed(variable)?)))
            }
            Source::File { .. } | Source::Public { .. } => None,
        });
        let variables = variables.collect();
        let mut raw = RawConfig {
            texts,
            tenants,
            variables,
            file: path,
            pass,
        };
        mistakes.extend(raw.put_profile());
        (raw, mistakes)
    }

    /// What is not set has the value of the profile, if one is named; mistakes in it.
    fn put_profile(&mut self) -> Vec<ConfigError> {
        let Some(named) = self.text(Variable::Profile) else {
            return Vec::new();
        };
        let wrong = |problem: String| self.error(Variable::Profile, problem);
        let found = match profile::read(named, wrong) {
            Ok(found) => found,
            Err(mistake) => return vec![mistake],
        };
        for (variable, Typed { text, place }) in found.settings {
            let set = &mut self.texts[variable as usize];
            if set.is_none() && !text.is_empty() {
                *set = Some(Set {
                    text: Zeroizing::new(text),
                    origin: place.map_or(Origin::Default, Origin::Profile),
                    file: None,
                    form: None,
                });
            }
        }
        found.mistakes
    }

    /// What was read beside the environment: the directories of the configuration file and of the files of secrets, because a
    /// new text comes as a new file.
    pub(super) fn paths_read(&self) -> Vec<PathBuf> {
        let files = self.secret_files().chain(self.file.as_deref());
        let directories = files.map(|file| match file.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        });
        let mut paths: Vec<PathBuf> = directories.collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// The files that secrets of settings were read from.
    pub fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let set = self.texts.iter().flatten();
        set.filter_map(|it| Some(it.file.as_ref()?.path.as_path()))
    }

    /// The directory of the log; it may be one that no gateway takes.
    pub fn wal_dir(&self) -> &Path {
        Path::new(self.text(Variable::WalDir).unwrap_or("data/wal"))
    }

    /// Where a setting's value comes from.
    pub fn origin(&self, variable: Variable) -> Origin {
        match self.texts.get(variable as usize) {
            Some(Some(set)) => set.origin.clone(),
            _ => Origin::Default,
        }
    }

    /// The same with another text for a setting, or none: to go on looking behind a mistake.
    pub fn with(mut self, variable: Variable, text: Option<String>) -> RawConfig {
        let origin = self.origin(variable);
        let text = text.map(Zeroizing::new);
        self.texts[variable as usize] = text.map(|text| Set {
            text,
            origin,
            file: None,
            form: None,
        });
        self
    }

    /// What opens encrypted files of secrets.
    pub fn age_keys(&self) -> &AgeKeys {
        self.pass.keys()
    }

    /// The pass over files of secrets that these settings were read in.
    pub(super) fn pass(&self) -> &Pass {
        &self.pass
    }

    /// The file that holds a secret, and how it is encrypted, where it is.
    pub fn sealed(&self, variable: Variable) -> Option<(&SecretPath, Form)> {
        let set = self.texts.get(variable as usize)?.as_ref()?;
        Some((set.file.as_ref()?, set.form?))
    }

    /// Whether the configuration file has tables of tenants.
    pub fn has_tenants(&self) -> bool {
        !self.tenants.is_empty()
    }

    /// Another key for one of a tenant of the file, by the places of both; the names of both, and the source that it has.
    pub(super) fn put_stand_in(&mut self, tenant: usize, key: usize) -> ((String, String), Source) {
        let variable = format!("stand-in {}", self.variables.len());
        let text = Zeroizing::new(format!("{STAND_IN_KEY} {}", self.variables.len()));
        self.variables.push((variable.clone(), text));
        let RawTenant { name, keys, .. } = &mut self.tenants[tenant];
        let key = &mut keys[key];
        Scheme::default().to_string().clone_into(&mut key.scheme);
        let typed = std::mem::replace(&mut key.source, Source::variable(variable));
        ((name.clone(), key.id.clone()), typed)
    }

    /// Where a tenant of the document comes from.
    pub fn origin_of_tenant(&self, name: &str) -> Origin {
        let place = self.tenants.iter().find(|it| it.name == name);
        let signing = [
            Variable::HmacKey,
            Variable::HmacKeys,
            Variable::Ed25519Pub,
            Variable::SignAlg,
        ];
        let own = match name == DEFAULT {
            true => &signing[..],
            false => &[],
        };
        let origins = own.iter().chain([&Variable::Tenants]);
        let mut origins = origins.map(|it| self.origin(*it));
        match place.and_then(|it| it.place.clone()) {
            Some(place) => Origin::File(place),
            None => origins
                .find(|it| *it != Origin::Default)
                .unwrap_or(Origin::Default),
        }
    }

    /// Tenants of the configuration file.
    pub(super) fn tenants(&self) -> &[RawTenant] {
        &self.tenants
    }

    /// Variables that keys of tenants name, with their texts.
    pub(super) fn variables(&self) -> impl Iterator<Item = (String, Zeroizing<String>)> + '_ {
        self.variables.iter().cloned()
    }

    /// Where the text of a setting is, as a snapshot names it.
    pub(super) fn source(&self, variable: Variable) -> Source {
        let set = self.texts.get(variable as usize).and_then(Option::as_ref);
        match set.and_then(|set| set.file.as_ref()) {
            Some(SecretPath { path, entry }) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                Source::entry_of(path.to_string_lossy(), entry.clone())
            }
            None => Source::variable(variable.name()),
        }
    }

    /// Refuses environment variables that are not UTF-8. They would count as not set, and the gateway would silently run with
    /// defaults.
    ///
    /// # Errors
    /// The first variable whose value is not text.
    pub fn refuse_other_than_text(environment: &Environment) -> Result<(), ConfigError> {
        let is_other = |variable: &&Variable| environment.is_other_than_text(variable.name());
        match VARIABLES.iter().find(is_other) {
            Some(variable) => Err(ConfigError {
                variable: variable.name(),
                place: None,
                argument: None,
                value: None,
                problem: "not UTF-8".to_owned(),
                allowed: variable.allowed(),
            }),
            None => Ok(()),
        }
    }

    /// The text of a variable, if it is set.
    pub fn text(&self, variable: Variable) -> Option<&str> {
        let set = self.texts.get(variable as usize)?.as_ref()?;
        Some(&set.text)
    }

    /// An error about this variable.
    pub fn error(&self, variable: Variable, problem: impl Display) -> ConfigError {
        let value = self.text(variable).map(str::to_owned);
        let value = value.filter(|text| !variable.is_secret_in(text));
        let (place, argument) = match self.origin(variable) {
            Origin::File(place) | Origin::Profile(place) => (Some(Box::new(place)), None),
            Origin::Argument(key) => (None, Some(key)),
            Origin::Default | Origin::Environment(_) => (None, None),
        };
        ConfigError {
            variable: variable.name(),
            place,
            argument,
            value,
            problem: problem.to_string(),
            allowed: variable.allowed(),
        }
    }

    /// Parses a variable; `problem` is the error text.
    pub(super) fn parsed<T: FromStr>(
        &self,
        variable: Variable,
        default: &str,
        problem: &str,
    ) -> Result<T, ConfigError> {
        let text = self.text(variable).unwrap_or(default);
        text.trim()
            .parse()
            .map_err(|_| self.error(variable, problem))
    }

    /// A variable as a number of bytes within bounds.
    pub(super) fn size(
        &self,
        variable: Variable,
        default: &str,
        bounds: RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        let bytes = units::bytes(self.text(variable).unwrap_or(default));
        self.within(variable, bytes, bounds)
    }

    /// The same for a variable that may be not set.
    pub(super) fn size_if_set(
        &self,
        variable: Variable,
        bounds: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ConfigError> {
        match self.text(variable) {
            Some(_) => self.size(variable, "", bounds).map(Some),
            None => Ok(None),
        }
    }

    /// A variable as a number of seconds within bounds.
    pub(super) fn duration(
        &self,
        variable: Variable,
        default: &str,
        bounds: RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        let seconds = units::seconds(self.text(variable).unwrap_or(default));
        self.within(variable, seconds, bounds)
    }

    fn within(
        &self,
        variable: Variable,
        value: Option<u64>,
        bounds: RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        match value {
            Some(value) if bounds.contains(&value) => Ok(value),
            Some(_) => Err(self.error(variable, "out of bounds")),
            None => Err(self.error(variable, "not a number with a unit")),
        }
    }
}
