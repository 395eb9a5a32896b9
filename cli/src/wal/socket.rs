//! Commands to a serving gateway: one line to `keeper.sock`, one line back.

use crate::Answer;
use crate::exit::{Exit, Failure, SERVED_HELP};
use crate::output::Output;
use crate::wal::DirArgs;
use clap::Args;
use flk_dataplane::driver::commands::socket_path;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Sealing and deleting much may take a while.
const REPLY_WITHIN: Duration = Duration::from_secs(600);
/// Longest reply that is read.
const REPLY_BYTES_MAX: u64 = 1 << 20;

/// Options of `flk wal status`.
#[derive(Args, Debug)]
#[command(
    after_help = format!("Examples:\n  $ flk wal status --dir ./data/wal\n\nThe answer is one JSON object. Where no gateway serves, flk wal verify says how the log is.\n\n{SERVED_HELP}")
)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    dir: DirArgs,
}

/// Options of `flk wal release-clock`.
#[derive(Args, Debug)]
#[command(
    after_help = format!("Examples:\n  $ flk wal release-clock\n\nAfter a long stop, or a wall clock that jumped, time beyond one hour is withheld: ids live longer, never \
shorter. When the clock is known to be right, this releases the withheld time: ids whose time is up are then taken as new. \
The gateway does it, so it must serve: flk wal status shows withheld_s, the seconds that this would release.\n\n{SERVED_HELP}")
)]
pub(crate) struct ReleaseClockArgs {
    #[command(flatten)]
    dir: DirArgs,
}

/// Options of `flk wal pin`.
#[derive(Args, Debug)]
#[command(
    after_help = format!("Examples:\n  $ flk wal pin\n\nThe pin lasts until flk wal unpin, or until the gateway stops. Meanwhile its disk may fill.\n\n{SERVED_HELP}")
)]
pub(crate) struct PinArgs {
    #[command(flatten)]
    dir: DirArgs,
}

/// Options of `flk wal unpin`.
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:\n  $ flk wal unpin 1\n\n{SERVED_HELP}"))]
pub(crate) struct UnpinArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// The number that pin printed
    id: u64,
}

/// Runs `flk wal status`.
pub(crate) fn status(args: &StatusArgs) -> Answer {
    ask_and_print(args.dir.path(), "status")
}

/// Runs `flk wal release-clock`.
pub(crate) fn release_clock(args: &ReleaseClockArgs) -> Answer {
    if connect(args.dir.path()).is_ok() {
        eprintln!(
            "flk: letting withheld time count: ids whose time is up with it are taken as new from now on"
        );
    }
    ask_and_print(args.dir.path(), "release-clock")
}

/// Runs `flk wal pin`.
pub(crate) fn pin(args: &PinArgs) -> Answer {
    ask_and_print(args.dir.path(), "pin")
}

/// Runs `flk wal unpin`.
pub(crate) fn unpin(args: &UnpinArgs) -> Answer {
    ask_and_print(args.dir.path(), &format!("unpin {}", args.id))
}

/// Sends a command and prints what comes back.
pub(super) fn ask_and_print(directory: &Path, command: &str) -> Answer {
    let stream = connect(directory).map_err(|error| {
        let path = directory.display();
        Failure::unavailable(format!(
            "no gateway serves from {path}: {error}; --dir or WAL_DIR names the directory, and flk wal verify looks into it without a gateway"
        ))
    })?;
    let reply = ask(stream, command)
        .map_err(|error| Failure::unavailable(format!("the gateway did not answer: {error}")))?;
    let mut output = Output::new();
    match reply.split_once(' ').unwrap_or((&reply, "")) {
        ("ok", rest) => {
            output.line(if rest.is_empty() { "ok" } else { rest })?;
            output.flush()?;
            Ok(Exit::Yes)
        }
        (_, why) => Err(Failure::with(Exit::No, why)),
    }
}

/// Connects to whoever serves from the directory.
pub(super) fn connect(directory: &Path) -> io::Result<UnixStream> {
    let opened = File::open(directory)?;
    UnixStream::connect(socket_path(opened.as_fd(), directory))
}

fn ask(mut stream: UnixStream, command: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(REPLY_WITHIN))?;
    stream.write_all(format!("flk1 {command}\n").as_bytes())?;
    let mut reply = String::new();
    BufReader::new(stream.take(REPLY_BYTES_MAX)).read_line(&mut reply)?;
    match reply.trim_end() {
        "" => Err(io::ErrorKind::UnexpectedEof.into()),
        reply => Ok(reply.to_owned()),
    }
}
