//! `flk smoke`: whether a gateway is healthy, for scripts that decide by an exit code: it is there and ready, it takes, repeats and
//! refuses records, it counts, and it does so in time. It prints no key.

mod client;
mod line;
mod numbers;
mod records;

use crate::CommandResult;
use crate::admin::TokenArgs;
use crate::args::{time, whole};
use crate::exit::{Exit, Failure, SMOKE_CODES};
use crate::keyring::{self, KeyArgs};
use crate::output::{Output, counted, printable};
use crate::page::Page;
use crate::submit::client::{NoReply, Reply};
use crate::submit::target::Target;
use crate::submit::tenant;
use clap::Args;
use client::{Client, in_words};
use hyper::Uri;
use hyper::header::HeaderValue;
use line::{Found, Line, Verdict, failed, millis, number_of_ms, ok, skipped};
use records::Records;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  $ flk smoke http://127.0.0.1:8080
  $ flk smoke http://127.0.0.1:8080 --tenant default --requests 5 --json
  $ flk smoke http://127.0.0.1:8080 --no-records
  $ flk smoke http://127.0.0.1:8080 --control http://127.0.0.1:8081

Each check is a line: verdict, name, time, and what was found. All checks are made although one fails; if nothing answers, the others \
are skipped. A gateway that drains is not ready and fails, also while it still takes records.

A run stores one record and --requests further ones, with ids that no other run has; they count as any other record. All are sent over \
one connection: behind a balancer that spreads requests, a duplicate may reach another gateway, and fails. METRICS_USER and METRICS_PASS \
(or METRICS_PASS_FILE) are used if they are set.";

/// Shown below its help.
fn after_help() -> String {
    format!("{EXAMPLES}\n\n{}\n\n{SMOKE_CODES}", keyring::HELP)
}

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Options of `flk smoke`.
#[derive(Args, Debug)]
#[command(after_help = after_help())]
pub(crate) struct SmokeArgs {
    /// Address of the gateway
    #[arg(
        value_name = "URL",
        env = "FLK_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    url: String,
    /// Tenant to send as: 1 to 64 of A-Z a-z 0-9 . _ - [default: none, the gateway's default tenant]
    #[arg(long, value_parser = tenant)]
    tenant: Option<HeaderValue>,
    #[command(flatten)]
    keys: KeyArgs,
    /// Send no records: ask only, without a key
    #[arg(long)]
    no_records: bool,
    /// The longest time that 95 % of new records may take
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = time(MILLISECOND..=HOUR))]
    latency_max: Duration,
    /// How many records that is measured with
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = whole(1..=10_000_u32))]
    requests: u32,
    /// How long to wait for one answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time(MILLISECOND..=HOUR))]
    timeout: Duration,
    /// Admin address of flk-control, such as http://127.0.0.1:8081: whether spans reach their collector
    #[arg(long, value_name = "URL")]
    control: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) fn run(args: &SmokeArgs) -> CommandResult {
    let mut smoke = Smoke::new(args)?;
    let begin = Instant::now();
    smoke.check()?;
    let took = begin.elapsed();
    let Smoke { lines, output, .. } = &mut smoke;
    let count = |verdict| lines.iter().filter(|it| it.verdict == verdict).count() as u64;
    let [good, bad] = [Verdict::Ok, Verdict::Failed].map(count);
    let url = &args.url;
    output.line(match args.json {
        true => {
            let checks: Vec<Value> = lines.iter().map(Line::json).collect();
            json!({"url": url, "healthy": bad == 0, "took_ms": number_of_ms(took), "checks": checks})
                .to_string()
        }
        false => {
            let took = millis(took);
            match bad {
                0 => format!("{url} is healthy: {} in {took}", counted(good, "check")),
                _ => format!(
                    "{url} is not healthy: {} of {} failed, in {took}",
                    bad,
                    counted(good + bad, "check")
                ),
            }
        }
    })?;
    output.flush()?;
    Ok(match bad {
        0 => Exit::Yes,
        _ => Exit::No,
    })
}

/// A run.
struct Smoke<'a> {
    args: &'a SmokeArgs,
    client: Client,
    paths: [Uri; 3],
    page: Page,
    control: Option<Page>,
    records: Option<Records>,
    /// The first question got no answer, so no further one is asked.
    is_silent: bool,
    lines: Vec<Line>,
    output: Output,
}

impl<'a> Smoke<'a> {
    /// Reads everything that the user named, before anything is sent.
    fn new(args: &'a SmokeArgs) -> Result<Self, Failure> {
        let target = Target::parse(&args.url)?;
        let page = Page::of_url(&args.url)?.with_credentials_of_environment();
        let control = args.control.as_ref();
        let control = control.map(|url| numbers::control(url, &args.token));
        let records = (!args.no_records).then(|| Records::new(&args.keys));
        Ok(Self {
            args,
            paths: [
                target.beside("/health")?,
                target.beside("/readyz")?,
                target.beside("/version")?,
            ],
            client: Client::new(target, args.tenant.clone(), args.timeout)?,
            page,
            control: control.transpose()?,
            records: records.transpose()?,
            is_silent: false,
            lines: Vec::new(),
            output: Output::new(),
        })
    }

    /// Makes one check unless nothing answers, and shows its line at once.
    fn line(
        &mut self,
        check: &'static str,
        made: impl FnOnce(&mut Self) -> Found,
    ) -> Result<(), Failure> {
        let begin = Instant::now();
        let (verdict, said) = match self.is_silent {
            true => skipped("nothing answers"),
            false => made(self),
        };
        let line = Line {
            check,
            verdict,
            took: begin.elapsed(),
            said,
        };
        if !self.args.json {
            self.output.line(line.text())?;
            self.output.flush()?;
        }
        self.lines.push(line);
        Ok(())
    }

    fn check(&mut self) -> Result<(), Failure> {
        let [health, ready, version] = self.paths.clone();
        self.line("health", |it| {
            let reply = it.client.get(&health);
            it.is_silent = reply.is_err();
            plain_ok(reply)
        })?;
        self.line("ready", |it| plain_ok(it.client.get(&ready)))?;
        self.line("version", |it| version_of(it.client.get(&version)))?;
        self.records()?;
        let mut samples = None;
        self.line("metrics", |it| {
            let (found, read) = numbers::metrics(&it.page, it.args.timeout);
            samples = read;
            found
        })?;
        self.line("telemetry", |it| {
            numbers::telemetry(samples.as_ref(), it.control.as_ref(), it.args.timeout)
        })?;
        self.line("stores", |_| {
            skipped("not configured: a gateway of this version keeps ids by itself (DEDUP_BACKEND=memory)")
        })
    }

    fn records(&mut self) -> Result<(), Failure> {
        let Some(mut records) = self.records.take() else {
            for check in ["submit", "duplicate", "tampered", "latency"] {
                self.line(check, |_| skipped("--no-records"))?;
            }
            return Ok(());
        };
        let (requests, latency_max) = (self.args.requests, self.args.latency_max);
        self.line("submit", |it| records.submit(&mut it.client))?;
        self.line("duplicate", |it| records.duplicate(&mut it.client))?;
        self.line("tampered", |it| records.tampered(&mut it.client))?;
        self.line("latency", |it| {
            records.latency(&mut it.client, requests, latency_max)
        })
    }
}

/// A probe that answers 200 if all is well.
fn plain_ok(reply: Result<Reply, NoReply>) -> Found {
    match reply {
        Ok(reply) if reply.status == 200 && reply.body.trim_ascii() == b"OK" => ok("200 OK"),
        Ok(reply) if reply.status == 200 => {
            failed("200 with another text than OK: what answers is not a gateway")
        }
        Ok(reply) => failed(in_words(&reply)),
        Err(why) => failed(why.to_string()),
    }
}

fn version_of(reply: Result<Reply, NoReply>) -> Found {
    let reply = match reply {
        Ok(reply) if reply.status == 200 => reply,
        Ok(reply) => return failed(in_words(&reply)),
        Err(why) => return failed(why.to_string()),
    };
    let version: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let version = version.as_ref().and_then(|it| it["version"].as_str());
    match version {
        Some(version) => ok(format!("flk {}", printable(version))),
        None => failed("what answers /version is not a gateway"),
    }
}
