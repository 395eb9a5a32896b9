//! `flk dedup`: what a gateway remembers of records. It reads the log directory and changes nothing.

mod find;
mod get;

use crate::CommandResult;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the stored outcome of an id, when it was decided, and where it lies
    Get(get::GetArgs),
}

/// Runs one of them.
pub(crate) fn run(command: &Command) -> CommandResult {
    match command {
        Command::Get(args) => get::run(args),
    }
}
