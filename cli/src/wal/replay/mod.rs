//! `flk wal replay`: judges stored bodies again, under other keys or parameters or the same ones, and shows what would differ. It
//! changes nothing that is stored.

mod part;
mod show;
mod tally;
mod under;
mod work;

use crate::CommandResult;
use crate::args::whole;
use crate::exit::{Exit, Failure, REPLAY_CODES};
use crate::keyring::{self, Env, KeyArgs};
use crate::output::{Format, Output};
use crate::wal::DirArgs;
use crate::wal::stored::reading::Logs;
use crate::wal::stored::select::{SelectArgs, instant};
use clap::Args;
use flk_dataplane::config::FILE_VARIABLE;
pub(crate) use show::why_missing;
use std::path::PathBuf;
use std::thread::available_parallelism;
use under::{Names, Under};

/// Most threads that may be asked for.
const JOBS_MAX: usize = 1024;

/// Most examples of a row.
const EXAMPLES_MAX: usize = 10_000;

fn after_help() -> String {
    format!(
        "\
Examples:
  $ flk wal replay --dir ./data/wal
  $ flk wal replay --key-file agent.key --since 2026-11-01T00:00:00Z
  $ flk wal replay --tenant default --examples 3 --output json

Each stored body gets the verdict that a gateway would give it, and that is compared with what is stored: reason and regime \
of an outcome, the problem of a refusal. A duplicate is answered as its first is, so it differs where that does. Bodies \
without an outcome are judged and listed, and never count as a difference; erased ones are counted. With --config the tenants, \
keys and parameters of that configuration judge; each body under what was in force when it came, or under what is \
in force at the time that --at names. Its wal.dir does not count: the log is that of --dir. It reads beside a serving gateway without disturbing it, and changes nothing.

{}

{REPLAY_CODES}",
        keyring::HELP
    )
}

/// Options of `flk wal replay`.
#[derive(Args, Debug)]
#[command(after_help = after_help())]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// Configuration whose tenants, keys and parameters judge; --key-file and --alg outweigh it
    #[arg(long, value_name = "FILE", env = FILE_VARIABLE)]
    config: Option<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
    /// Judge all bodies as if they had come at this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<u64>,
    #[command(flatten)]
    select: SelectArgs,
    /// Threads that judge [default: one for each CPU]
    #[arg(long, value_name = "N", value_parser = whole(1..=JOBS_MAX))]
    jobs: Option<usize>,
    /// Show up to this many ids of each row
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole(0..=EXAMPLES_MAX))]
    examples: usize,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Runs it.
pub(crate) fn run(args: &ReplayArgs) -> CommandResult {
    args.select.check()?;
    let logs = Logs::open(args.dir.path())?;
    let under = args.under(&logs)?;
    let names = Names::default();
    let jobs = args
        .jobs
        .unwrap_or_else(|| available_parallelism().map_or(1, Into::into));
    let judged = work::judge_all(&logs, &under, &names, args, jobs)?;
    let tally = judged.part.tally(&names.all());
    let mut output = Output::new();
    match args.output {
        Format::Text => show::text(&tally, &judged.missing, &mut output)?,
        Format::Json => show::json(&tally, &judged.missing, &mut output)?,
    }
    output.flush()?;
    Ok(match tally.totals().differ {
        0 => Exit::Yes,
        _ => Exit::No,
    })
}

impl ReplayArgs {
    fn under(&self, logs: &Logs) -> Result<Under, Failure> {
        match &self.config {
            Some(file) if !self.keys.is_given() => {
                Under::configuration(file, || logs.secret(), self.at)
            }
            _ => {
                let keys = self.keys.verifying(&Env::of_process())?;
                Ok(Under::keys(keys, self.at))
            }
        }
    }
}
