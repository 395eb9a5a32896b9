//! `flk wal export`: a row for each stored body, for other programs. It changes nothing that is stored. Bodies are personal data,
//! so they are written only where that is asked for.

mod ndjson;
mod out;
pub(crate) mod parquet;
pub(crate) mod row;

use crate::CommandResult;
use crate::exit::{EXPORT_CODES, Exit, Failure};
use crate::new_file::place::Existing;
use crate::output::counted;
use crate::progress::Progress;
use crate::wal::DirArgs;
use crate::wal::replay::why_missing;
use crate::wal::show::hex;
use crate::wal::stored::disposed::Disposed;
use crate::wal::stored::pairs::{BodyAt, Pairs, Use};
use crate::wal::stored::reading::{Logs, Unit};
use crate::wal::stored::select::SelectArgs;
use clap::Args;
use flk_contract::Parser;
use flk_dataplane::wal::batch::Batch;
use flk_dataplane::wal::record::Entry;
use flk_dataplane::wal::tail::RangeName;
use ndjson::Ndjson;
use out::Out;
use parquet::Parquet;
use row::{Kind, Row};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  $ flk wal export --dir ./data/wal
  $ flk wal export --format parquet --out outcomes.parquet
  $ flk wal export --tenant default --disposition refused,conflict --since 2026-11-01T00:00:00Z

A row names the place of a body (incarnation, log, sequence, index), when it came, its tenant, id, disposition, status, reason or \
problem code, regime, parameter version, when it was decided and until when that answers duplicates (on the expiry clock, in \
seconds since 2026), its length and its SHA-256. Bodies are personal data: only --with-bodies writes them. A file is there when it is \
whole, or not at all, and only its owner may read it. One that is there already is replaced only with --force. A symbolic link \
is followed; a pipe or a device is written as it is; nothing is written into the log directory. It reads beside a serving gateway without disturbing it. A batch counts \
once a later one says that it was durable.";

/// Options of `flk wal export`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXPORT_CODES}"))]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// What the rows are written as
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    /// Where the rows are written; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    select: SelectArgs,
    /// Only bodies of these dispositions
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    disposition: Vec<Kind>,
    /// Write the bodies, too
    #[arg(long)]
    with_bodies: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One JSON object per line
    Ndjson,
    /// A Parquet file
    Parquet,
}

/// Where rows go.
trait Rows {
    /// Writes a row.
    fn row(&mut self, row: Row) -> Result<(), Failure>;

    /// Writes what is left, and makes the file be there.
    fn finish(self: Box<Self>) -> Result<(), Failure>;
}

/// Runs it.
pub(crate) fn run(args: &ExportArgs) -> CommandResult {
    args.select.check()?;
    let logs = Logs::open(args.dir.path())?;
    let existing = match args.force {
        true => Existing::Replaced,
        false => Existing::Kept,
    };
    let out = Out::to(&args.out, args.dir.path(), existing)?;
    let rows: Box<dyn Rows> = match args.format {
        Format::Ndjson => Box::new(Ndjson::new(out)),
        Format::Parquet => Box::new(Parquet::new(out, args.with_bodies)?),
    };
    if args.with_bodies {
        eprintln!("flk: warning: bodies are customer data");
    }
    let mut export = Export {
        args,
        rows,
        count: 0,
        parser: Parser::new(),
        failure: None,
        log: None,
        progress: match args.out.as_os_str() == "-" {
            true => Progress::new(),
            false => Progress::alone(),
        },
    };
    for (first, last) in logs.starts_without_log() {
        eprintln!(
            "{}: no log is there: deleted, or nothing was written",
            starts(first, last)
        );
    }
    for unit in logs.whole_logs() {
        export.log(&logs, &unit)?;
    }
    export.progress.clear();
    export.rows.finish()?;
    eprintln!("{} written", counted(export.count, "row"));
    Ok(Exit::Yes)
}

fn starts(first: u32, last: u32) -> String {
    match first == last {
        true => format!("start {first}"),
        false => format!("starts {first} to {last}"),
    }
}

struct Export<'a> {
    args: &'a ExportArgs,
    rows: Box<dyn Rows>,
    count: u64,
    parser: Parser,
    /// Why a row could not be written.
    failure: Option<Failure>,
    /// The log that is read.
    log: Option<Unit>,
    progress: Progress,
}

impl Export<'_> {
    /// Writes the rows of a log, and says on standard error which part of it was read.
    fn log(&mut self, logs: &Logs, unit: &Unit) -> Result<(), Failure> {
        self.log = Some(*unit);
        let id = unit.cursor.log;
        let mut name = RangeName::new(&unit.cursor);
        let mut pairs = Pairs::default();
        let each = |batch: &Batch<'_>| {
            name.push(batch);
            pairs.batch(batch, self);
            self.progress.tick(|_| counted(self.count, "row"));
            self.failure.take().map_or(Ok(()), Err)
        };
        let left_out = logs.read(unit, each, |it| {
            let why = why_missing(it.why);
            eprintln!("log {id}: batches {} to {} were {why}", it.from, it.to);
        })?;
        let (waiting, unanswered) = pairs.left();
        let left = match logs.has_ended(id) {
            true => Disposed::Unanswered,
            false => Disposed::Pending,
        };
        for (mut row, disposed) in waiting.into_values().map(|row| (row, left)).chain(
            unanswered
                .into_values()
                .map(|row| (row, Disposed::Unanswered)),
        ) {
            row.disposed = disposed;
            self.row(row);
        }
        if let Some((first, last)) = name.sequences {
            let digest = hex(&name.digest());
            eprintln!("log {id}: batches {first} to {last}, content {digest}");
        }
        if let Some((first, last)) = left_out {
            eprintln!(
                "log {id}: batches {first} to {last} were left out: nothing says yet that they were durable"
            );
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    fn row(&mut self, row: Row) {
        let wanted = &self.args.disposition;
        if !wanted.is_empty() && !wanted.iter().any(|kind| kind.takes(row.disposed)) {
            return;
        }
        self.count += 1;
        let written = self.rows.row(row);
        self.failure = self.failure.take().or(written.err());
    }
}

impl Use for Export<'_> {
    type Kept = Row;

    fn body(&mut self, at: &BodyAt<'_>) -> Option<Row> {
        let select = &self.args.select;
        let wanted = select.takes_tenant(at.record.tenant) && select.takes_time(at.wall_us);
        let unit = self.log.filter(|_| wanted)?;
        let record = at.bytes.and_then(|bytes| self.parser.parse(bytes).ok());
        let pcs_id = record.map(|record| record.pcs_id.to_owned());
        let row = Row::of(&unit.cursor, at, pcs_id);
        Some(match self.args.with_bodies {
            true => row.with_body(at),
            false => row,
        })
    }

    fn pair(&mut self, mut kept: Row, entry: &Entry<'_>, _: &Batch<'_>) {
        let clock_base_s = self.log.map_or(0, |unit| unit.clock_base_s);
        kept.take(entry, clock_base_s);
        self.row(kept);
    }

    fn alone(&mut self, _: &Entry<'_>, _: &Batch<'_>) {}
}
