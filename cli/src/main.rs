//! The `flk` command line: it reads arguments, hands them to one command, and turns the answer into an exit code.
//! No command prints a key, and none prints what it was not asked to print.

/// Standard error may be full, closed or gone, and no command fails for that: std's own macro would panic.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::say(format_args!($($text)*)) };
}

mod args;
mod exit;
mod fault;
mod input;
mod keys;
mod output;
mod pcs;
mod submit;
mod up;
mod wal;

use clap::{Parser, Subcommand};
use exit::{Exit, Failure};
use std::process::ExitCode;

/// Sends signed records to a gateway, runs one, and looks into its log.
#[derive(Debug, Parser)]
#[command(name = "flk", version, about, after_help = exit::HELP, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a gateway here, with defaults for trying out
    Up(up::UpArgs),
    /// Build, sign, verify and submit records (Proof-of-Computation Summaries)
    #[command(subcommand)]
    Pcs(pcs::Command),
    /// Look into a log directory, check it, and mend it
    #[command(subcommand)]
    Wal(wal::Command),
}

fn main() -> ExitCode {
    // clap prints help and usage errors itself and ends with 0 and 2
    let cli = Cli::parse();
    match cli.command {
        Command::Up(args) => up::run(&args),
        Command::Pcs(command) => exit::code(pcs::run(command)),
        Command::Wal(command) => wal::run(command),
    }
}

/// Every command answers with how it ended; a failure has a text for the person who typed it.
type Answer = Result<Exit, Failure>;
