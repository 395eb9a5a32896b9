//! What control is started with: the arguments of the data plane and two of its own. It turns settings into a description of
//! what should be in force; texts of secrets are read and left behind here.

use crate::desired::{Desired, Fixed, Mistakes, ReadDesired};
use flk_dataplane::config::{
    Config, ConfigError, Environment, FILE_VARIABLE, Flags, RawConfig, VARIABLES, Variable,
    read_pipes,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Ends control with its standard input: the process that started it has ended then, in whatever way.
pub const LIFELINE: &str = "--until-stdin-ends";
/// Where the data plane listens, if the configuration does not say it.
pub const DATAPLANE: &str = "--dataplane";

/// Mistakes of one reading that are reported.
const MISTAKES_MAX: usize = 20;

/// Beginnings of the keys of settings that the data plane does not act on.
const OWN: [&str; 4] = ["admin.", "control.", "traces.otlp_", "traces.service_name"];
/// Of those that both processes act on.
const OF_BOTH: [&str; 1] = ["log."];

/// Beginnings of the keys of settings that a snapshot has.
const IN_SNAPSHOTS: [&str; 3] = ["signing.", "limits.", "tenancy."];

/// What brings another value of a setting into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The next snapshot.
    Served,
    /// A restart of the gateway.
    RestartOfGateway,
    /// A restart of control.
    RestartOfControl,
    /// A restart of each of them.
    RestartOfBoth,
}

/// What brings another value of the setting with this key into force.
pub fn taken(key: &str) -> Taken {
    let begins = |all: &[&str]| all.iter().any(|it| key.starts_with(it));
    match (begins(&IN_SNAPSHOTS), begins(&OWN), begins(&OF_BOTH)) {
        (true, ..) => Taken::Served,
        (_, true, _) => Taken::RestartOfControl,
        (.., true) => Taken::RestartOfBoth,
        _ => Taken::RestartOfGateway,
    }
}

/// How control was started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// File and settings, as for the data plane.
    pub flags: Flags,
    /// The variables; a program that has no other thread yet takes the secrets out of its block first.
    pub environment: Arc<Environment>,
    /// What ends it besides a signal.
    pub lifeline: Lifeline,
    /// Where the data plane listens, if the configuration does not say it.
    pub dataplane: Option<SocketAddr>,
}

/// What ends control besides a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifeline {
    /// Nothing.
    #[default]
    None,
    /// The end of its standard input.
    Stdin,
}

impl Options {
    /// Reads arguments; the program's own name is not one of them.
    ///
    /// # Errors
    /// An argument that is none, in words.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Options, String> {
        let mut options = Options::default();
        let mut others = Vec::new();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                LIFELINE => options.lifeline = Lifeline::Stdin,
                DATAPLANE => {
                    let address = arguments.next().and_then(|it| it.parse().ok());
                    let address = address.ok_or("--dataplane takes an address with a port")?;
                    options.dataplane = Some(address);
                }
                _ => others.push(argument),
            }
        }
        options.flags = Flags::parse(others)?;
        Ok(options)
    }

    /// Takes the secrets out of the environment, and out of pipes, before anything else of the settings is read. To be called
    /// before any other thread is started.
    ///
    /// # Errors
    /// A pipe cannot be read.
    pub fn take_environment(&mut self) -> Result<(), ConfigError> {
        let mut environment = Environment::take_for(&self.flags);
        read_pipes(&mut environment, &mut self.flags)?;
        self.environment = Arc::new(environment);
        Ok(())
    }

    /// The configuration file, if one is named.
    pub fn file(&self) -> Option<PathBuf> {
        let named = || self.environment.get(FILE_VARIABLE);
        let file = self.flags.file.clone().or_else(named);
        file.filter(|it| !it.is_empty()).map(PathBuf::from)
    }

    /// All settings, checked.
    ///
    /// # Errors
    /// Every mistake that can be found.
    pub fn config(&self) -> Result<Config, Mistakes> {
        Ok(read(&self.flags, &self.environment)?.1)
    }

    /// Reads what should be in force, each time anew.
    pub fn reader(&self) -> ReadDesired {
        let (flags, environment) = (self.flags.clone(), Arc::clone(&self.environment));
        Box::new(move || {
            let (raw, config) = read(&flags, &environment)?;
            let mut fixed = fixed(&raw);
            let mut own = fixed.clone();
            own.retain(|key, _| taken(key) != Taken::RestartOfGateway);
            fixed.retain(|key, _| taken(key) != Taken::RestartOfControl);
            Ok(Desired {
                document: config.document,
                fixed,
                own,
            })
        })
    }
}

fn read(flags: &Flags, environment: &Environment) -> Result<(RawConfig, Config), Mistakes> {
    Config::with_texts(environment, flags).map_err(|mistakes| said(&mistakes))
}

/// One line for each, as many as are reported.
fn said(mistakes: &[ConfigError]) -> Mistakes {
    let shown = mistakes.iter().take(MISTAKES_MAX);
    let mut lines: Vec<String> = shown.map(ToString::to_string).collect();
    if mistakes.len() > MISTAKES_MAX {
        let more = mistakes.len() - MISTAKES_MAX;
        lines.push(format!("and {more} more: flk config check names them all"));
    }
    Mistakes(lines)
}

/// Settings that only a restart changes: all but those that a document has.
fn fixed(raw: &RawConfig) -> BTreeMap<String, Fixed> {
    let is_fixed = |variable: &&Variable| taken(variable.key()) != Taken::Served;
    let shown = |variable: Variable, text: &str| match variable.is_secret_in(text) {
        true => "(set, not shown)".to_owned(),
        false => text.to_owned(),
    };
    let fixed = VARIABLES.iter().filter(is_fixed).map(|&variable| {
        let text = raw.text(variable);
        let fixed = Fixed {
            identity: text.map_or_else(String::new, |text| match variable.is_secret() {
                // Its file is read again whenever something is opened.
                _ if variable == Variable::AgeIdentity => raw.age_keys().source(),
                true => format!("{:?}", Sha256::digest(text)),
                false => text.to_owned(),
            }),
            shown: match text {
                Some(text) => shown(variable, text),
                None => format!("(default: {})", variable.default()),
            },
        };
        (variable.key().to_owned(), fixed)
    });
    fixed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        Options::parse(arguments.iter().map(|it| (*it).to_owned()))
    }

    #[test]
    fn settings_need_a_restart_of_those_who_act_on_them() {
        let options = parse(&["--signing.alg=none", "--signing.allow_unsigned=1"]).unwrap();
        let desired = options.reader()().unwrap();
        for (key, of_dataplane, of_control) in [
            ("http.port", true, false),
            ("traces.sample", true, false),
            ("traces.otlp_endpoint", false, true),
            ("traces.otlp_headers_file", false, true),
            ("traces.service_name", false, true),
            ("admin.listen", false, true),
            ("log.format", true, true),
            ("limits.rate", false, false),
        ] {
            let found = [&desired.fixed, &desired.own].map(|it| it.contains_key(key));
            assert_eq!(found, [of_dataplane, of_control], "{key}");
        }
    }

    #[test]
    fn arguments_of_its_own_stand_among_those_of_the_data_plane() {
        let options = parse(&[
            "--config",
            "flk.toml",
            LIFELINE,
            "--http.port=1",
            DATAPLANE,
            "127.0.0.1:8080",
        ]);
        let options = options.unwrap();
        assert_eq!(options.lifeline, Lifeline::Stdin);
        assert_eq!(options.dataplane.unwrap().port(), 8080);
        assert_eq!(options.file(), Some(PathBuf::from("flk.toml")));
        assert_eq!(options.flags.settings.len(), 1);
        assert!(parse(&[DATAPLANE, "here"]).is_err());
        assert!(parse(&["--http.prot=1"]).unwrap_err().contains("http.port"));
    }
}
