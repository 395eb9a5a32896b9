//! `flk wal hold`: readers that need segments to stay until they are done with them. A serving gateway carries a change out; where
//! none serves, the keeper does so in this process, under the lock of the directory.

use crate::CommandResult;
use crate::args::{size, time};
use crate::exit::{Exit, Failure, HOLD_CODES, HOLD_LIST_CODES};
use crate::output::Output;
use crate::wal::DirArgs;
use crate::wal::directory::Directory;
use crate::wal::socket::PatienceArgs;
use crate::wal::tool;
use clap::Args;
use flk_dataplane::keeper::holds::holds_json;
use flk_dataplane::keeper::offline::Job;
use std::process::ExitCode;
use std::time::Duration;

const NAME: &str = "Name of the hold: up to 64 visible characters of ASCII";

/// The longest age that a hold may have.
const AGE_MAX: Duration = Duration::from_secs(10_000 * 86_400);

const SET_EXAMPLES: &str = "\
Examples:
  $ flk wal hold set backup --owner 'nightly backup' --age-max 3d
  $ flk wal hold set backup --bytes-max 100GiB

A hold keeps closed segments until its reader is done with them, also over restarts. A new one is done with nothing: it keeps all \
that is there. Set again, it gets other limits and stays where it is. At a limit, or when room is short, WAL_HOLD_LIMIT decides: \
release deletes all the same and lists what was lost, refuse keeps the segments until submits are refused.";

const MOVE_EXAMPLES: &str = "\
Examples:
  $ flk wal hold move backup 1.0:1

Done with log 1.0 up to batch 1. Several logs can be given at once. A hold only goes forward. A position of a log that is deleted \
already is left out. Moving to where it stands counts as a movement.";

const LIST_EXAMPLES: &str = "\
Examples:
  $ flk wal hold list --dir ./data/wal

One JSON object. behind_bytes is what a hold is not done with; kept_bytes is what it keeps although WAL_MAX_AGE is over, null where \
no gateway serves; released lists what was deleted although it was not done with it. Times are seconds of the expiry clock.";

const DROP_EXAMPLES: &str = "\
Examples:
  $ flk wal hold drop backup

Its position is forgotten, and so is what it lost.";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a hold, or change its limits
    Set(SetArgs),
    /// State how far a hold's reader is done
    Move(MoveArgs),
    /// Show all holds: positions, limits, and what they lost
    List(ListArgs),
    /// End a hold
    Drop(DropArgs),
}

/// The hold that a command is about, and where it is.
#[derive(Args, Debug)]
struct OfHold {
    #[command(flatten)]
    dir: DirArgs,
    #[command(flatten)]
    patience: PatienceArgs,
    #[arg(help = NAME)]
    name: String,
}

/// Options of `flk wal hold set`.
#[derive(Args, Debug)]
#[command(after_help = format!("{SET_EXAMPLES}\n\n{HOLD_CODES}"))]
pub(crate) struct SetArgs {
    #[command(flatten)]
    hold: OfHold,
    /// Positions that it is done with: log 3.0 up to batch 17
    #[arg(value_name = "LOG:SEQUENCE")]
    done: Vec<String>,
    /// Whose it is, in words
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    /// The most that it keeps after WAL_MAX_AGE [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = size(0..=u64::MAX - 1))]
    bytes_max: Option<u64>,
    /// How long it keeps anything without moving [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = time(Duration::from_secs(1)..=AGE_MAX))]
    age_max: Option<Duration>,
}

/// Options of `flk wal hold move`.
#[derive(Args, Debug)]
#[command(after_help = format!("{MOVE_EXAMPLES}\n\n{HOLD_CODES}"))]
pub(crate) struct MoveArgs {
    #[command(flatten)]
    hold: OfHold,
    /// Positions that it is done with: log 3.0 up to batch 17
    #[arg(value_name = "LOG:SEQUENCE", required = true)]
    done: Vec<String>,
}

/// Options of `flk wal hold list`.
#[derive(Args, Debug)]
#[command(after_help = format!("{LIST_EXAMPLES}\n\n{HOLD_LIST_CODES}"))]
pub(crate) struct ListArgs {
    #[command(flatten)]
    dir: DirArgs,
    #[command(flatten)]
    patience: PatienceArgs,
}

/// Options of `flk wal hold drop`.
#[derive(Args, Debug)]
#[command(after_help = format!("{DROP_EXAMPLES}\n\n{HOLD_CODES}"))]
pub(crate) struct DropArgs {
    #[command(flatten)]
    hold: OfHold,
}

/// Runs one of them.
pub(crate) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Set(args) => change(&args.hold, set_line(args)),
        Command::Move(args) => change(&args.hold, words("move", &args.hold.name, &args.done)),
        Command::Drop(args) => change(&args.hold, words("drop", &args.hold.name, &[])),
        Command::List(args) => crate::exit::code(list(args)),
    }
}

fn set_line(args: &SetArgs) -> Result<String, Failure> {
    let mut line = words("set", &args.hold.name, &args.done)?;
    if let Some(bytes_max) = args.bytes_max {
        line.push_str(&format!(" --bytes-max {bytes_max}"));
    }
    if let Some(age_max) = args.age_max {
        line.push_str(&format!(" --age-max {}", age_max.as_secs()));
    }
    if let Some(owner) = &args.owner {
        let is_text = |word: &str| !word.starts_with("--") && !word.contains(':');
        if owner.contains(['\n', '\r']) || !owner.split_ascii_whitespace().all(is_text) {
            return Err(Failure::usage(
                "--owner: a text on one line, without a colon and without words that begin with --",
            ));
        }
        line.push_str(&format!(" --owner {owner}"));
    }
    Ok(line)
}

/// A command of these words; each must stay one.
fn words(verb: &str, name: &str, rest: &[String]) -> Result<String, Failure> {
    let mut line = format!("hold {verb}");
    for word in std::iter::once(name).chain(rest.iter().map(String::as_str)) {
        if word.is_empty() || word.contains(|c: char| c.is_ascii_whitespace()) {
            return Err(Failure::usage(format!(
                "{word:?} must be one word: no spaces, and not empty"
            )));
        }
        line.push(' ');
        line.push_str(word);
    }
    Ok(line)
}

/// Has a change carried out by the gateway that serves from the directory, or here where none does.
fn change(of: &OfHold, line: Result<String, Failure>) -> ExitCode {
    let path = of.dir.path();
    let answer = line.and_then(|line| match tool::serving(path, of.patience.timeout())? {
        Some(gateway) => Ok(gateway.ask_and_print(&line)? as i32),
        None => tool::run(path, Job::Hold { line }),
    });
    super::tool_code(answer)
}

fn list(args: &ListArgs) -> CommandResult {
    if let Some(gateway) = tool::serving(args.dir.path(), args.patience.timeout())? {
        return gateway.ask_and_print("hold list");
    }
    let directory = Directory::open(args.dir.path())?;
    let manifest = directory.manifest().map_err(Failure::from)?;
    let mut output = Output::new();
    output.line(holds_json(&manifest))?;
    output.flush()?;
    Ok(Exit::Yes)
}
