//! `flk keys`: keys are made, listed, and changed in the configuration file that a gateway or its control process reads. It
//! changes no running gateway, and shows no secret unless `generate` is asked to.

mod add;
mod alg;
mod change;
mod checked;
mod document;
mod emit;
mod generate;
mod list;
mod revoke;
mod rotate;
mod source;
mod state;
mod store;
mod undo;
mod usage;

pub(crate) use generate::recipient;

use crate::CommandResult;
use crate::exit::{Exit, Failure};
use clap::Args;
use flk_dataplane::config::FILE_VARIABLE;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a new key
    Generate(generate::GenerateArgs),
    /// Add a key to a tenant in the configuration file
    Add(add::AddArgs),
    /// Show the keys of all tenants, and how often each verified
    List(list::ListArgs),
    /// Add a new key and let the old ones end after an overlap
    Rotate(rotate::RotateArgs),
    /// Take a key back at once
    Revoke(revoke::RevokeArgs),
}

/// The file.
#[derive(Args, Debug)]
struct FileArgs {
    /// Configuration file
    #[arg(long = "config", value_name = "FILE", env = FILE_VARIABLE)]
    file: PathBuf,
}

/// Runs one of them.
pub(crate) fn run(command: &Command) -> CommandResult {
    match command {
        Command::Generate(args) => generate::run(args),
        Command::Add(args) => add::run(args),
        Command::List(args) => list::run(args),
        Command::Rotate(args) => rotate::run(args),
        Command::Revoke(args) => revoke::run(args),
    }
}

/// The second that it is, since the Unix epoch.
pub(crate) fn now_s() -> Result<u64, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_err(|_| Failure::with(Exit::Usage, "the clock stands before 1970"))?;
    Ok(now.as_secs())
}
