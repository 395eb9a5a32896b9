//! `flk pcs build`: events in, one unsigned record out, by the rules of the contract crate.

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::{Answer, input};
use clap::Args;
use flk_contract::build::{BuildError, BuildOptions, Event, build, read_csv};
use flk_contract::record::{INTEGER_MAX, write_json};
use flk_contract::{Params, signals::coherence};
use std::path::PathBuf;
use std::time::SystemTime;

const EXAMPLES: &str = "\
Examples:
  $ flk pcs build events.csv > pcs.json
  $ flk pcs build --shard-id plant-7 --seed 42 events.csv
  $ flk pcs build --scales 2,4,8 --m 200 --b 32 - < events.csv

The same events, epoch and shard id give the same pcs_id, so that sending them again is a duplicate.";

/// Options of `flk pcs build`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BuildArgs {
    /// CSV of events: lines t,x,y,z, with or without that heading; `-` reads standard input
    #[arg(value_name = "EVENTS", default_value = "-")]
    events: PathBuf,
    /// Which stream of events this is, 1 to 128 bytes
    #[arg(long, default_value = "shard-001")]
    shard_id: String,
    /// Number of the time span that the events belong to [default: the first event's t, rounded down]
    #[arg(long)]
    epoch: Option<u64>,
    /// Counts retries, from 1; not part of the identity
    #[arg(long, default_value_t = 1)]
    attempt: u64,
    /// Sending time, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    sent_at: Option<String>,
    /// Seed of the sampled directions
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    seed: i64,
    /// 2 to 64 distinct scales
    #[arg(long, value_delimiter = ',', default_values_t = [2, 4, 8, 16, 32])]
    scales: Vec<u32>,
    /// Directions sampled for coherence
    #[arg(long, value_name = "M", default_value_t = coherence::DIRECTIONS_COUNT)]
    m: u32,
    /// Histogram bins along a direction
    #[arg(long, value_name = "B", default_value_t = coherence::BINS_COUNT)]
    b: u32,
    /// Position in the sender's outbox
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    outbox_seq: i64,
}

/// Runs it.
pub(crate) fn run(args: &BuildArgs) -> Answer {
    let text = input::read_text(&args.events)?;
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("{}: {why}", input::name(&args.events)))
    };
    let events = read_csv(&text).map_err(|error| wrong(&error))?;
    let record = build(&events, &args.options(&events)).map_err(|error| match error {
        BuildError::NoEvents => wrong(&error),
        // an option is wrong, not the file
        _ => Failure::usage(error.to_string()),
    })?;
    let mut json = Vec::new();
    write_json(&record.view(), &mut json);
    let mut output = Output::new();
    output.line(&json)?;
    output.flush()?;
    Ok(Exit::Yes)
}

impl BuildArgs {
    fn options(&self, events: &[Event]) -> BuildOptions {
        let now = || humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        BuildOptions {
            shard_id: self.shard_id.clone(),
            epoch: self.epoch.unwrap_or_else(|| epoch_of(events)),
            attempt: self.attempt,
            sent_at: self.sent_at.clone().unwrap_or_else(now),
            seed: self.seed,
            scales: self.scales.clone(),
            directions_count: self.m,
            bins_count: self.b,
            params: Params::default(),
            outbox_seq: self.outbox_seq,
        }
    }
}

/// The events say themselves when they happened, so that building them again gives the same identity.
fn epoch_of(events: &[Event]) -> u64 {
    let first = events.first().map_or(0.0, |event| event.t);
    // the cast saturates, so that a time before 0 is 0
    (first.floor() as u64).min(INTEGER_MAX)
}
