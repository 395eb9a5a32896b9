//! `flk config`: the configuration of a gateway as it would start here — written, checked, shown with where each value comes
//! from, compared, and described for editors; and the snapshots of a running one, which flk-control changes. It shows no secret.

mod check;
mod diff;
mod history;
mod init;
mod redacted;
mod schema;
mod show;
mod tenants;

pub(crate) use check::{secret_fault, unjudged};
pub(crate) use redacted::{redacted, string_values};

use crate::CommandResult;
use crate::exit::{Exit, Failure};
use clap::Args;
use flk_dataplane::config::sealed::AgeKeys;
use flk_dataplane::config::{ConfigError, Environment, FILE_VARIABLE, Flags, RawConfig, Variable};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Write a configuration file with every setting and its default
    Init(init::InitArgs),
    /// Check all settings, and name every mistake
    Check(check::CheckArgs),
    /// Show what would run, and where each value comes from
    Show(show::ShowArgs),
    /// Compare two configuration files
    Diff(diff::DiffArgs),
    /// List the snapshots that were in force, or show one
    History(history::HistoryArgs),
    /// Bring the content of an earlier snapshot into force
    Rollback(history::RollbackArgs),
    /// Bring the configuration file into force now
    Reload(history::ReloadArgs),
    /// Print the JSON Schema of the file, for editors
    Schema(schema::SchemaArgs),
}

/// Which configuration.
#[derive(Args, Debug)]
pub(crate) struct FileArgs {
    /// Configuration file; the environment outweighs it
    #[arg(long = "config", value_name = "FILE", env = FILE_VARIABLE)]
    file: Option<PathBuf>,
    /// Profile of the machine, a name of flk profile list or a file, in the place of the one that is set; all other settings
    /// outweigh it
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
}

impl FileArgs {
    /// The file, if one is named.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What commands of this program read to mean the same.
    pub(crate) fn variables(&self) -> Vec<(&'static str, std::ffi::OsString)> {
        let file = self.file.as_ref();
        let file = file.map(|it| (FILE_VARIABLE, it.clone().into_os_string()));
        let profile = self.profile.as_ref();
        let profile = profile.map(|it| (Variable::Profile.name(), it.into()));
        file.into_iter().chain(profile).collect()
    }

    /// All settings of the environment, and of the file, with every mistake in how they are written.
    pub(crate) fn read(&self) -> (RawConfig, Vec<ConfigError>) {
        let file = self.file.as_ref().map(|path| path.display().to_string());
        let profile = self.profile.iter().cloned();
        let settings = profile.map(|text| (Variable::Profile, text)).collect();
        let environment = Environment::default();
        let env = |name: &str| environment.get(name);
        let (raw, mistakes) = RawConfig::read_all(&env, &Flags { file, settings });
        let other = RawConfig::refuse_other_than_text(&environment).err();
        (raw, other.into_iter().chain(mistakes).collect())
    }
}

/// The directory of the log: as it was typed, else as settings say, whatever is wrong with them.
pub(crate) fn wal_dir(typed: Option<&Path>, raw: &RawConfig) -> PathBuf {
    typed.unwrap_or_else(|| raw.wal_dir()).to_owned()
}

/// Runs one of them.
pub(crate) fn run(command: &Command) -> CommandResult {
    match command {
        Command::Init(args) => init::run(args),
        Command::Check(args) => check::run(args),
        Command::Show(args) => show::run(args),
        Command::Diff(args) => diff::run(args),
        Command::History(args) => history::history(args),
        Command::Rollback(args) => history::rollback(args),
        Command::Reload(args) => history::reload(args),
        Command::Schema(_) => schema::run(),
    }
}

/// The settings of one file alone.
fn of_file(path: &Path) -> Result<RawConfig, Failure> {
    let file = Some(path.display().to_string());
    let settings = Vec::new();
    // An identity is of this machine, whichever file is looked at.
    let opens = |name: &str| AgeKeys::VARIABLES.contains(&name);
    let env = |name: &str| opens(name).then(|| std::env::var(name).ok()).flatten();
    RawConfig::read(&env, &Flags { file, settings }).map_err(refused)
}

/// A configuration that cannot be read.
fn refused(error: ConfigError) -> Failure {
    Failure::with(Exit::Configuration, error.to_string())
}

/// A value as it may be shown.
fn shown(raw: &RawConfig, variable: Variable) -> Option<&str> {
    let text = raw.text(variable)?;
    Some(match variable.is_secret_in(text) {
        true => "(set, not shown)",
        false => text,
    })
}
