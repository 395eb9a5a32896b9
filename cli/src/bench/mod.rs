//! `flk bench`: puts a gateway under load and shows how it answered: an open loop by default, latencies from when requests were due, every
//! answer held against the record contract, and a word on whether the generator was the limit. It sends to the address that the user named,
//! and ends by itself.

pub(crate) mod amounts;
mod compare;
mod files;
mod fixtures;
mod gateway;
mod host;
pub(crate) mod key;
mod page;
mod plan;
mod plot;
mod report;
mod saved;
mod session;
mod thresholds;

use crate::CommandResult;
use crate::args::{size, time, whole};
use crate::exit::BENCH_CODES;
use crate::input::BODY_BYTES_MAX;
use crate::keyring::{self, KeyArgs};
use crate::output::Format;
use amounts::{Rate, Tenants};
use clap::{ArgGroup, Args};
use std::path::PathBuf;
use std::time::Duration;
use thresholds::{Expectation, FailIf};

const EXAMPLES: &str = "\
Examples:
  $ flk bench http://127.0.0.1:8080 --rate 200 --duration 2s
  $ flk bench http://127.0.0.1:8080 --rate 50..99 --arrivals poisson --duration 2s --html run.html
  $ flk bench http://127.0.0.1:8080 --closed --duration 2s --save run.json
  $ flk bench http://127.0.0.1:8080 --closed --duration 2s --compare run.json
  $ flk bench http://127.0.0.1:8080 --rate 200 --duration 2s --duplicates 10% --malformed 1%
  $ flk bench http://127.0.0.1:8080 --rate 200 --duration 2s --expect 'p99<60s'
  $ flk bench http://127.0.0.1:8080 --rate 2000 --batch 100 --connections 4 --duration 2s
  $ flk bench http://127.0.0.1:8080 --closed --pipeline 8 --connections 8 --duration 2s

With --rate requests are sent when they are due, whatever became of earlier ones, as those of independent clients are. A latency \
counts from when the request was due: what had to wait for a gateway that stood still is in the figures. With --closed each \
connection sends the next request when the last one is answered; that finds the largest rate, and hides stalls.

With --batch a request carries so many records, all of one tenant. Rates, counts and shares are those of records; latencies are \
those of requests, each of a whole batch. With --pipeline a connection does not wait for an answer before it \
sends the next request; a closed loop then keeps so many under way on each.

Every answer is held against the record contract. A new record has to be answered 200 with Flk-Dedup: miss, a duplicate 200 with \
hit, a bad signature 401, a malformed body 400; anything else is wrong, and the command ends with 1. Answers 408, 429 and 5xx, lost \
connections and time-outs are errors, for which --expect sets a bound, and they do not count for the rate; a run in which nothing else \
was answered ends with 69. A duplicate repeats a record of this run that was answered; \
ids are new in each run, so an earlier run never makes a record a duplicate. --seed repeats the order of the mix and Poisson \
arrivals.

The generator was the limit if a sending thread used 90 % of a CPU or more, or if 1 of 100 requests left 250 µs late or more \
although a connection was free, and that is a tenth or more of the p99. Give it CPUs of its own then: docs/performance.md.

Requests without an answer at the end of the run, and those that were due and never sent, count with the time that they waited.
Ctrl-C ends the run with the report so far.";

/// Shown below its help.
fn after_help() -> String {
    format!("{EXAMPLES}\n\n{}\n\n{BENCH_CODES}", keyring::HELP)
}

/// A gateway takes as many by default (BATCH_MAX_RECORDS).
const BATCH_RECORDS_MAX: u32 = 4_096;
const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);

/// Options of `flk bench`.
#[derive(Args, Debug)]
#[command(
    after_help = after_help(),
    group = ArgGroup::new("pace").required(true).args(["rate", "closed"]),
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Address of the gateway
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Open loop: so many records a second, such as 500, 10k, or 1k..20k for a ramp
    #[arg(long, value_parser = amounts::rate)]
    rate: Option<Rate>,
    /// Closed loop: each connection sends the next request when the last one is answered
    #[arg(long)]
    closed: bool,
    /// How requests of an open loop follow each other
    #[arg(long, value_enum, default_value_t = Arrivals::Constant, conflicts_with = "closed")]
    arrivals: Arrivals,
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time(MILLISECOND * 100..=DAY))]
    duration: Duration,
    /// How long to send before that, without measuring
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time(Duration::ZERO..=HOUR))]
    warm_up: Duration,
    /// Connections, all kept open
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = whole(1..=100_000_u32))]
    connections: u32,
    /// Send N records in each request, to POST /v1/pcs/batch
    #[arg(long, value_name = "N", value_parser = whole(1..=BATCH_RECORDS_MAX))]
    batch: Option<u32>,
    /// Have up to N requests under way on each connection (HTTP pipelining)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=1_024_u32))]
    pipeline: u32,
    /// Sending threads [default: one, or one for each of --cpus]
    #[arg(long, value_name = "N", value_parser = whole(1..=1_024_u32))]
    threads: Option<u32>,
    /// CPUs to run sending threads on, such as 1,3 or 2-5
    #[arg(long, value_name = "LIST", value_parser = plan::cpus)]
    cpus: Option<plan::Cpus>,
    /// How long to wait for one answer, and for the last ones after the end
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time(MILLISECOND..=HOUR))]
    timeout: Duration,
    /// Make each body so long at least, by a field that gateways ignore
    #[arg(long, value_name = "SIZE", value_parser = size(1..=BODY_BYTES_MAX))]
    body_bytes: Option<u64>,
    #[command(flatten)]
    mix: MixArgs,
    #[command(flatten)]
    keys: KeyArgs,
    /// Sign all records before the run (open loop), or so many (closed loop). The default of an open loop where memory allows
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "0", conflicts_with = "sign_on_the_fly", value_parser = whole(0..=1_000_000_000_u64))]
    pre_sign: Option<u64>,
    /// Sign each record when it is due
    #[arg(long)]
    sign_on_the_fly: bool,
    /// Send although the gateway is not ready
    #[arg(long)]
    even_if_unready: bool,
    #[command(flatten)]
    results: ResultArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write signed records for other load generators
    Fixtures(fixtures::FixturesArgs),
}

/// What is sent.
#[derive(Args, Debug)]
struct MixArgs {
    /// Share of records that repeat an answered one
    #[arg(long, value_name = "PERCENT", default_value = "0%", value_parser = amounts::share)]
    duplicates: f64,
    /// Share of records with a signature by no key
    #[arg(long, value_name = "PERCENT", default_value = "0%", value_parser = amounts::share)]
    bad_signatures: f64,
    /// Share of bodies that are no record
    #[arg(long, value_name = "PERCENT", default_value = "0%", value_parser = amounts::share)]
    malformed: f64,
    /// Share of records that an Ed25519 key signs
    #[arg(long, value_name = "PERCENT", default_value = "0%", value_parser = amounts::share)]
    ed25519: f64,
    /// File of that key [default: PCS_ED25519_PRIV_B64]
    #[arg(long, value_name = "FILE")]
    ed25519_key_file: Option<PathBuf>,
    /// Tenants to send as, equally often: a number (tenant-1, tenant-2, …), or names with commas between them [default: none, the
    /// gateway's default tenant]
    #[arg(long, value_name = "N|NAMES", value_parser = amounts::tenants)]
    tenants: Option<Tenants>,
    /// Directory with the key of each tenant in NAME.key, instead of one key for all
    #[arg(
        long,
        value_name = "DIR",
        requires = "tenants",
        conflicts_with = "key_file"
    )]
    tenant_keys: Option<PathBuf>,
    /// Seed of the order of the mix and of Poisson arrivals: the same one repeats them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0..=u64::MAX))]
    seed: u64,
}

/// What becomes of the figures.
#[derive(Args, Debug)]
struct ResultArgs {
    /// End with 1 unless this holds, such as 'p95<2ms', 'errors<1%' or 'rate>=9k'; can be repeated
    #[arg(long, value_name = "CONDITION", value_parser = thresholds::expectation)]
    expect: Vec<Expectation>,
    /// Write all figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Write the latencies as other tools of HdrHistogram read them: percentiles, or a log of seconds if the name ends in .hlog
    #[arg(long, value_name = "FILE")]
    hdr_out: Option<PathBuf>,
    /// Write a page with plots that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Show the ratio of each figure to a saved run
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// End with 1 if a ratio is so, such as 'p99>1.2' or 'rate<0.9'; can be repeated
    #[arg(long, value_name = "CONDITION", requires = "compare", value_parser = thresholds::fail_if)]
    fail_if: Vec<FailIf>,
    /// No line a second
    #[arg(long, short)]
    quiet: bool,
    /// How to print the figures
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// How requests of an open loop follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Arrivals {
    /// At equal steps
    Constant,
    /// Independently of each other, as those of many clients
    Poisson,
}

/// Runs it.
pub(crate) fn run(args: &BenchArgs) -> CommandResult {
    match &args.command {
        Some(Command::Fixtures(fixtures)) => fixtures::run(fixtures),
        None => session::run(args),
    }
}

/// The shard of the records of one run: no other run has it, so none has their ids.
fn new_shard_id() -> String {
    format!("bench-{:016x}", fastrand::u64(..))
}
