//! `flk wal inspect`: segments, and every stored body with its disposition.

use crate::CommandResult;
use crate::args::whole;
use crate::exit::{Exit, Failure, WAL_READ_CODES};
use crate::output::Output;
use crate::wal::directory::{Directory, Snapshot};
use crate::wal::row::{Filter, Row};
use crate::wal::stored::disposed::DispositionName;
use crate::wal::survey::{Bodies, Survey};
use crate::wal::{DirArgs, show};
use clap::Args;
use flk_dataplane::wal::name::LogId;
use flk_dataplane::wal::scan::LogVerdict;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  $ flk wal inspect --dir ./data/wal
  $ flk wal inspect --status 401
  $ flk wal inspect --disposition conflict --json
  $ flk wal inspect --pcs-id 76849955 --bodies
  $ flk wal inspect --limit 0

It does not disturb a gateway that serves from the directory.";

/// Options of `flk wal inspect`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{WAL_READ_CODES}"))]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// Only records answered with this status; for duplicates the log has none
    #[arg(long, value_parser = whole(200..=599_u16))]
    status: Option<u16>,
    /// Only records with this disposition
    #[arg(long)]
    disposition: Option<DispositionName>,
    /// Only records whose pcs_id begins with this
    #[arg(long, value_name = "PREFIX", value_parser = pcs_id_prefix)]
    pcs_id: Option<String>,
    /// Only this log, such as 1.0
    #[arg(long, value_name = "LOG", value_parser = log_name)]
    log: Option<String>,
    /// At most this many records; 0 shows the segments only
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole(0..=u64::MAX))]
    limit: Option<u64>,
    /// Show the bodies too, which are customer data
    #[arg(long)]
    bodies: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

fn log_name(text: &str) -> Result<String, String> {
    let id = text.split_once('.').and_then(|(start, number)| {
        let (start, number) = (start.parse().ok()?, number.parse().ok()?);
        Some(LogId { start, number })
    });
    // Only the canonical form, without leading zeros.
    match id.filter(|id| id.to_string() == text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("it must be a start and a number, such as 1.0".to_owned()),
    }
}

fn pcs_id_prefix(text: &str) -> Result<String, String> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match (1..=64).contains(&text.len()) && text.bytes().all(is_hex) {
        true => Ok(text.to_owned()),
        false => Err("a pcs_id begins with 1 to 64 of 0-9 a-f".to_owned()),
    }
}

/// Runs it.
pub(crate) fn run(args: &InspectArgs) -> CommandResult {
    let directory = Directory::open(args.dir.path())?;
    let snapshot = directory.snapshot()?;
    if let Some(log) = &args.log {
        let mut logs = snapshot.manifest.logs.iter();
        if !logs.any(|it| it.id.to_string() == *log) {
            let path = args.dir.path().display();
            return Err(Failure::usage(format!(
                "--log {log}: there is no such log in {path}; flk wal inspect --limit 0 lists what is there"
            )));
        }
    }
    if args.bodies {
        eprintln!("flk: warning: bodies are customer data");
    }
    let mut listing = Listing {
        args,
        filter: args.filter(),
        output: Output::new(),
        shown: 0,
        failure: None,
    };
    listing.segments(&snapshot)?;
    let exit = listing.records(&directory, &snapshot)?;
    listing.output.flush()?;
    Ok(exit)
}

impl InspectArgs {
    fn filter(&self) -> Filter {
        Filter {
            status: self.status,
            disposition: self.disposition,
            pcs_id: self.pcs_id.clone(),
            log: self.log.clone(),
        }
    }
}

struct Listing<'a> {
    args: &'a InspectArgs,
    filter: Filter,
    output: Output,
    shown: u64,
    /// Why a row could not be written.
    failure: Option<Failure>,
}

impl Listing<'_> {
    fn segments(&mut self, snapshot: &Snapshot<'_>) -> Result<(), Failure> {
        for (at, log) in snapshot.manifest.logs.iter().enumerate() {
            if !self.filter.takes_log(log.id) {
                continue;
            }
            for (index, segment) in log.segments.iter().enumerate() {
                let bytes = snapshot.file_bytes(at, index);
                match self.args.json {
                    true => {
                        let json = show::segment_json(log, segment, bytes);
                        self.output.line(json.to_string())?;
                    }
                    false => self.output.line(show::segment_line(log, segment, bytes))?,
                }
            }
        }
        Ok(())
    }

    /// Shows the records; the exit code tells whether damage was found.
    fn records(&mut self, directory: &Directory, snapshot: &Snapshot<'_>) -> CommandResult {
        let bodies = match self.args.bodies {
            true => Bodies::Kept,
            false => Bodies::Omitted,
        };
        let mut sound = snapshot.missing().is_empty();
        let mut newer = false;
        for (log, from, files) in snapshot.logs() {
            if !self.filter.takes_log(log.id) || directory.is_stopped() || self.is_full() {
                continue;
            }
            let survey = Survey {
                directory,
                manifest: &snapshot.manifest,
                log,
                from,
                files,
            };
            let end = survey.rows(bodies, |row| {
                if !self.is_full() && self.filter.takes(&row) {
                    self.row(&row);
                }
                if self.is_full() || self.failure.is_some() {
                    directory.stop_reading();
                }
            });
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if directory.is_stopped() {
                continue;
            }
            match end.verdict {
                LogVerdict::Unsupported { .. } => newer = true,
                _ => sound &= end.verdict.is_sound(),
            }
            let text = show::end_text(&survey, &end);
            match self.args.json {
                true => {
                    let json = json!({"type": "log", "log": log.id.to_string(), "text": text});
                    self.output.line(json.to_string())?;
                }
                false => self.output.line(format!("log {}: {text}", log.id))?,
            }
        }
        Ok(match (sound, newer) {
            (false, _) => Exit::Damage,
            (true, true) => Exit::Configuration,
            (true, false) => Exit::Yes,
        })
    }

    fn is_full(&self) -> bool {
        self.args.limit.is_some_and(|limit| self.shown >= limit)
    }

    fn row(&mut self, row: &Row) {
        self.shown += 1;
        let written = match (self.args.json, &row.body) {
            (true, _) => self.output.line(show::row_json(row).to_string()),
            (false, None) => self.output.line(show::row_line(row)),
            (false, Some(body)) => {
                let line = self.output.line(show::row_line(row));
                line.and_then(|()| self.output.line(show::body_line(body)))
            }
        };
        self.failure = written.err();
    }
}
