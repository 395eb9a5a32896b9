//! `flk wal`: looking into a log directory, checking it, and the few commands that change one. Reading never disturbs a
//! gateway that serves from the directory; changing goes through that gateway, or through its lock where none runs.

mod directory;
mod inspect;
mod row;
mod show;
mod socket;
mod survey;
mod tool;
mod verify;

use crate::exit::{self, Failure};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List segments, and records with their disposition
    Inspect(inspect::InspectArgs),
    /// Check every checksum and chain, and say what is whole, torn or damaged
    Verify(verify::VerifyArgs),
    /// Give up what is damaged in a segment and keep every whole batch
    Quarantine(tool::QuarantineArgs),
    /// Seal, then delete old closed segments
    Compact(tool::CompactArgs),
    /// Ask a serving gateway how its log is
    Status(socket::StatusArgs),
    /// Let withheld time count towards expiry again, after the wall clock was put right
    ReleaseClock(socket::ReleaseClockArgs),
    /// Keep a serving gateway from removing or cutting files while they are read; prints a number for unpin
    Pin(socket::PinArgs),
    /// End a pin
    Unpin(socket::UnpinArgs),
}

/// Where the log is.
#[derive(Args, Debug)]
pub(crate) struct DirArgs {
    /// Log directory
    #[arg(long, value_name = "DIR", env = "WAL_DIR", default_value = "data/wal")]
    dir: PathBuf,
}

impl DirArgs {
    fn path(&self) -> &Path {
        &self.dir
    }
}

/// Runs one of them.
pub(crate) fn run(command: Command) -> ExitCode {
    let answer = match command {
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Quarantine(args) => return tool_code(tool::quarantine(&args)),
        Command::Compact(args) => return tool_code(tool::compact(&args)),
        Command::Status(args) => socket::status(&args),
        Command::ReleaseClock(args) => socket::release_clock(&args),
        Command::Pin(args) => socket::pin(&args),
        Command::Unpin(args) => socket::unpin(&args),
    };
    exit::code(answer)
}

/// The keeper ends its jobs with the codes of a gateway.
fn tool_code(answer: Result<i32, Failure>) -> ExitCode {
    match answer {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(failure) => exit::code(Err(failure)),
    }
}
