//! `flk pcs submit`: sends records and shows each answer. Sending again is always safe, because a gateway answers a
//! duplicate with the stored outcome; so whatever is not known to have arrived is tried again.

mod attempt;
mod batch;
pub(crate) mod client;
pub(crate) mod meaning;
mod reader;
mod report;
mod retry;
mod run;
mod send;
mod shared;
mod show;
mod stop;
mod tally;
pub(crate) mod target;
mod window;

use crate::CommandResult;
use crate::args::{time, whole};
use crate::exit::PCS_SUBMIT_CODES;
use clap::Args;
use client::Template;
use hyper::header::HeaderValue;
use report::Form;
use retry::Retry;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use target::Target;

const EXAMPLES: &str = "\
Examples:
  $ flk pcs submit --url http://127.0.0.1:8080 signed.json
  $ flk pcs build events.csv | flk pcs sign | flk pcs submit -
  $ flk pcs submit --concurrency 64 --quiet records.ndjson
  $ flk pcs submit --batch 1000 --quiet records.ndjson

Each line shows the input line, the status, its meaning, the Flk-Dedup header (miss: new, hit: seen before, conflict: \
seen with other content) and the answer, in the order of the input.
408, 502, 503, 504 and connection errors are retried after 100 ms, then twice as long each time up to 30 s, with 25 % \
jitter, and never before Retry-After has passed. After a 429 all records wait for Retry-After and continue at the \
gateway's rate, for at most --wait; a 429 does not count as an attempt. With --batch each record of a request has its own \
answer, and only those that are to be retried are sent again; at most 4 such requests are in flight. If a record gets no answer the rest is not \
sent, unless --keep-going is given. \
An answer that no gateway gives (another content type, no outcome, the outcome of another record) stops the command.
Ctrl-C stops sending, waits up to 2 s for outstanding answers, and prints the summary. Its last line names the input line \
from which to send again.";

/// Options of `flk pcs submit`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{PCS_SUBMIT_CODES}"))]
pub(crate) struct SubmitArgs {
    /// Records, one per line or spread over lines; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Address of the gateway
    #[arg(long, env = "FLK_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Tenant to send as: 1 to 64 of A-Z a-z 0-9 . _ - [default: none, the gateway's default tenant]
    #[arg(long, value_parser = tenant)]
    tenant: Option<HeaderValue>,
    /// Most requests in flight, each on its own connection
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = whole(1..=1024_u16))]
    concurrency: u16,
    /// Most records in one request, at POST /v1/pcs/batch; 1: each in a request of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=4096_u16))]
    batch: u16,
    /// Most attempts per record; a 429 does not count as one
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = whole(1..=1_000_000_u32))]
    attempts: u32,
    /// How long to retry one record that is answered 429
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time(Duration::ZERO..=YEAR))]
    wait: Duration,
    /// How long to wait for one answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time(MILLISECOND..=DAY))]
    timeout: Duration,
    /// Continue when a record gets no answer
    #[arg(long)]
    keep_going: bool,
    /// One JSON object per record
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Only the summary
    #[arg(long, short)]
    quiet: bool,
}

/// Batches in flight: a gateway has memory for the answers of a few large ones.
const BATCHES_AT_ONCE_MAX: u16 = 4;
const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Runs it.
pub(crate) fn run(args: &SubmitArgs) -> CommandResult {
    let target = Target::parse(&args.url)?;
    let form = match (args.json, args.quiet) {
        (true, _) => Form::Json,
        (_, true) => Form::Quiet,
        _ => Form::Lines,
    };
    let ends = run::Ends {
        file: &args.file,
        url: match args.batch {
            1 => target.url.clone(),
            _ => target.batch_url(),
        },
        form,
    };
    let template = Template::new(target, args.tenant.clone(), args.timeout);
    let plan = shared::Plan {
        template: Rc::new(template),
        retry: Retry::with_attempts(args.attempts),
        concurrency: match args.batch {
            1 => args.concurrency,
            _ => args.concurrency.min(BATCHES_AT_ONCE_MAX),
        },
        batch: args.batch,
        wait: args.wait,
        keep_going: args.keep_going,
    };
    run::run(plan, &ends)
}

pub(crate) fn tenant(text: &str) -> Result<HeaderValue, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_valid = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
    match HeaderValue::from_str(text) {
        Ok(value) if is_valid => Ok(value),
        _ => Err("a tenant is 1 to 64 of A-Z a-z 0-9 . _ -".to_owned()),
    }
}
