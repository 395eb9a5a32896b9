//! `flk wal`: commands that inspect, check and change a log directory. Reading never disturbs a gateway that serves from
//! the directory. Changes are made by that gateway, or under the lock of the directory if none runs.

pub(crate) mod directory;
pub(crate) mod export;
mod hold;
mod inspect;
pub(crate) mod replay;
mod row;
mod secret;
pub(crate) mod show;
pub(crate) mod socket;
mod state;
pub(crate) mod stored;
pub(crate) mod survey;
mod tool;
mod verify;

pub(crate) use secret::random;

use crate::exit::{self, Failure};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List segments, and records with their dispositions
    Inspect(inspect::InspectArgs),
    /// Check all checksums and chains; report what is whole, torn or damaged
    Verify(verify::VerifyArgs),
    /// Judge stored bodies again, under other keys or parameters, and show what would differ
    Replay(replay::ReplayArgs),
    /// Write stored bodies' places and outcomes as NDJSON or Parquet
    Export(export::ExportArgs),
    /// Give up the damaged part of a segment and keep every whole batch
    Quarantine(tool::QuarantineArgs),
    /// Seal, delete old closed segments, and pack what is mostly padding
    Compact(tool::CompactArgs),
    /// Make the secret that several log directories share
    #[command(subcommand)]
    Secret(secret::Command),
    /// Show the state of a serving gateway's log
    Status(socket::StatusArgs),
    /// Count withheld time towards expiry, after the wall clock was corrected
    ReleaseClock(socket::ReleaseClockArgs),
    /// Stop a serving gateway from removing files while you read them; prints a number for unpin
    Pin(socket::PinArgs),
    /// End a pin
    Unpin(socket::UnpinArgs),
    /// Keep segments for a reader until it is done with them
    #[command(subcommand)]
    Hold(hold::Command),
}

/// Where the log is.
#[derive(Args, Debug)]
pub(crate) struct DirArgs {
    /// Log directory
    #[arg(
        long,
        alias = "wal-dir",
        value_name = "DIR",
        env = "WAL_DIR",
        default_value = "data/wal"
    )]
    dir: PathBuf,
}

impl DirArgs {
    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }
}

/// Runs one of them.
pub(crate) fn run(command: Command) -> ExitCode {
    let answer = match command {
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Quarantine(args) => return tool_code(tool::quarantine(&args)),
        Command::Compact(args) => return tool_code(tool::compact(&args)),
        Command::Secret(command) => secret::run(&command),
        Command::Status(args) => socket::status(&args),
        Command::ReleaseClock(args) => socket::release_clock(&args),
        Command::Pin(args) => socket::pin(&args),
        Command::Unpin(args) => socket::unpin(&args),
        Command::Hold(command) => return hold::run(&command),
    };
    exit::code(answer)
}

/// Converts an exit code of the gateway, with which the keeper ends its jobs.
fn tool_code(answer: Result<i32, Failure>) -> ExitCode {
    match answer {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(failure) => exit::code(Err(failure)),
    }
}
