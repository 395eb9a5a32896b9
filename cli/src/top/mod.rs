//! `flk top`: what each shard and each tenant of a running gateway does right now, from two readings of its statistics. It only
//! reads, and costs a shard nothing.

mod keys;
mod rates;
mod screen;
mod source;
mod table;

use crate::CommandResult;
use crate::args::time;
use crate::exit::{Exit, Failure, TOP_CODES};
use crate::output::{Format, Output};
use crate::wal::DirArgs;
use clap::Args;
use rates::Meter;
use source::Source;
use std::io::IsTerminal as _;
use std::time::Duration;
use table::Sort;

/// Bounds of the time between two readings.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);

const EXAMPLES: &str = "\
Examples:
  $ flk top
  $ flk top --once --interval 500ms
  $ flk top --once --output json
  $ flk top --url http://127.0.0.1:8080

Keys: q ends it, p pauses, s orders by the next column, r the other way round, + and - change the interval. Where the output is
no terminal, it prints once, as with --once. NO_COLOR turns colours off.

Statistics come from the gateway that serves from the log directory, or with --url from /metrics, which adds up shards: of each
of several shards it has only CPU and STUCK, and P50 and P99 count the questions of flk top itself. METRICS_USER and METRICS_PASS
(or METRICS_PASS_FILE) are used there if they are set. A dash is a value that is not known, or of which nothing was counted in
the interval.

REQ/S     submissions per second
CPU       of the shard's thread; a gateway looks every 5 s, so it takes two of these to be known
P50, P99  quantiles of the time from a whole request to its answer, in this interval
WAL WAIT  99 of 100 batches were durable within this time of their first body
BATCH     records of a batch, on average
QUEUE     answers that wait for the log, and requests that wait for room or memory
KEYS      keys in the dedup tables
STUCK     the shard has made no turn for more than 1 s although one was due

Quantiles are computed from buckets as histogram_quantile of Prometheus does, linear between the edges of a bucket; above the
last edge they are that edge (5 s).

With --output json it prints one object: source, interval_s, all (the sum), shards, tenants. Fields of all and of each shard:
requests_per_s, cpu (a part of 1), p50_s, p99_s, wal_wait_p99_s, batch_records, queue, dedup_keys, stuck (true or false); of
each tenant: requests_per_s, accepted_per_s, escalated_per_s, unauthorized_per_s, hits_per_s. What is not known is null. shard
and tenant hold the name.";

/// Options of `flk top`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{TOP_CODES}"))]
pub(crate) struct TopArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// Read /metrics of the gateway at this address, and no log directory
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Time between two readings
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time(INTERVAL_MIN..=INTERVAL_MAX))]
    interval: Duration,
    /// Take two readings, print, and end
    #[arg(long)]
    once: bool,
    /// How to print it; json implies --once
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Runs it.
pub(crate) fn run(args: &TopArgs) -> CommandResult {
    let source = match &args.url {
        Some(url) => Source::of_url(url)?,
        None => Source::of_directory(args.dir.path()),
    };
    let is_live = !args.once && args.output == Format::Text && std::io::stdout().is_terminal();
    match is_live {
        true => screen::run(source, args.interval),
        false => once(source, args),
    }
}

fn once(mut source: Source, args: &TopArgs) -> CommandResult {
    let mut meter = Meter::default();
    meter.take(source.read()?);
    std::thread::sleep(args.interval);
    let Some(view) = meter.take(source.read()?) else {
        return Err(Failure::unavailable(
            "the gateway was restarted between both readings; try again",
        ));
    };
    let mut output = Output::new();
    match args.output {
        Format::Json => {
            output.line(table::json(&view, &source.name(), Sort::default()).to_string())?
        }
        Format::Text => {
            for line in table::lines(&view, Sort::default()) {
                output.line(line.text)?;
            }
        }
    }
    output.flush()?;
    Ok(Exit::Yes)
}
