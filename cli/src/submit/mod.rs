//! `flk pcs submit`: sends records and shows each answer. Sending again is always safe, because a gateway answers a
//! duplicate with the stored outcome; so whatever is not known to have arrived is tried again.

mod client;
mod progress;
mod report;
mod retry;
mod run;

use crate::Answer;
use crate::exit::Failure;
use crate::input::{self, Bodies};
use clap::Args;
use client::Client;
use report::{Form, Report};
use retry::Retry;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  $ flk pcs submit --url http://127.0.0.1:8080 signed.json
  $ flk pcs build events.csv | flk pcs sign | flk pcs submit -
  $ flk pcs submit --concurrency 64 --quiet records.ndjson

Each line shows the input line, the status, what it means, the Flk-Dedup header (miss: new, hit: seen \
before, conflict: the id was seen with other content) and the answer, in the order of the input.
408, 429, 502, 503, 504 and connection errors are tried again: 100 ms, then twice as long each time, up to \
30 s, with 25 % jitter, and never before Retry-After has passed. When a record stays without an answer \
the rest is not sent, unless --keep-going is given.
It ends with 0 if every record was accepted or escalated, 1 if some were refused, 69 if some got no answer.";

/// Options of `flk pcs submit`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SubmitArgs {
    /// Records, one per line or spread over lines; `-` reads standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Where the gateway listens
    #[arg(long, env = "FLK_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Tenant to send as: 1 to 64 of A-Z a-z 0-9 . _ - [default: none, the gateway's default tenant]
    #[arg(long, value_parser = tenant)]
    tenant: Option<String>,
    /// Requests at a time, each on its own connection
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// Most attempts per record
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// How long to wait for one answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Go on with the rest when a record gets no answer
    #[arg(long)]
    keep_going: bool,
    /// One JSON object per record
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Only the summary
    #[arg(long, short)]
    quiet: bool,
}

/// Runs it.
pub(crate) fn run(args: &SubmitArgs) -> Answer {
    let url = submit_url(&args.url)?;
    let client = Client::new(&url, args.tenant.as_deref(), args.concurrency, args.timeout);
    let bodies = Bodies::new(input::open(&args.file)?);
    let form = match (args.json, args.quiet) {
        (true, _) => Form::Json,
        (_, true) => Form::Quiet,
        _ => Form::Lines,
    };
    let plan = run::Plan {
        client,
        retry: Retry::with_attempts(args.attempts),
        concurrency: args.concurrency,
        keep_going: args.keep_going,
    };
    run::run(&plan, bodies, Report::new(form, url))
}

/// The address that records go to.
fn submit_url(url: &str) -> Result<String, Failure> {
    const PATH: &str = "/v1/pcs/submit";
    let base = url.trim_end_matches('/');
    let base = base.strip_suffix(PATH).unwrap_or(base);
    match base.strip_prefix("http://") {
        Some(host) if !host.is_empty() => Ok(format!("{base}{PATH}")),
        _ => Err(Failure::usage(format!(
            "--url is `{url}`, but it must be like http://127.0.0.1:8080 (this build speaks plain HTTP)"
        ))),
    }
}

fn tenant(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("a tenant is 1 to 64 of A-Z a-z 0-9 . _ -".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_end_anywhere() {
        let expect = "http://127.0.0.1:80/v1/pcs/submit";
        for url in [
            "http://127.0.0.1:80",
            "http://127.0.0.1:80/",
            "http://127.0.0.1:80/v1/pcs/submit",
        ] {
            assert_eq!(submit_url(url).unwrap(), expect);
        }
        assert_eq!(
            submit_url("http://h/proxied").unwrap(),
            "http://h/proxied/v1/pcs/submit"
        );
        for url in ["", "http://", "127.0.0.1:80", "https://h", "ftp://h"] {
            assert!(submit_url(url).is_err(), "{url}");
        }
    }
}
