//! `flk pcs build`: events in, one unsigned record out, by the rules of the contract crate.

use crate::args::whole;
use crate::exit::{Exit, Failure, PCS_BUILD_CODES};
use crate::output::{Output, number_text};
use crate::{CommandResult, input};
use clap::Args;
use flk_contract::build::{BuildError, BuildOptions, Event, build, read_csv};
use flk_contract::record::{
    INTEGER_MAX, SCALE_MAX, SCALES_COUNT_MAX, SCALES_COUNT_MIN, TEXT_BYTES_MAX, write_json,
};
use flk_contract::{Params, signals::coherence};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

/// Most directions and bins: more do not change the result noticeably.
const SAMPLES_MAX: u32 = 1_000_000;

const EXAMPLES: &str = "\
Examples:
  $ flk pcs build events.csv > pcs.json
  $ flk pcs build --shard-id plant-7 --seed 42 events.csv
  $ flk pcs build --scales 2,4,8 --m 200 --b 32 - < events.csv

The same events, epoch and shard id give the same pcs_id, so a second submission is a duplicate.";

/// Options of `flk pcs build`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{PCS_BUILD_CODES}"))]
pub(crate) struct BuildArgs {
    /// CSV of events: lines t,x,y,z, with or without that heading; `-` is standard input
    #[arg(value_name = "EVENTS", default_value = "-")]
    events: PathBuf,
    /// Name of the stream of events, 1 to 128 bytes
    #[arg(long, default_value = "shard-001", value_parser = shard_id)]
    shard_id: String,
    /// Number of the time span that the events belong to [default: the first event's t, rounded down]
    #[arg(long, allow_negative_numbers = true, value_parser = whole(0..=INTEGER_MAX))]
    epoch: Option<u64>,
    /// Number of the attempt, from 1; not part of the identity
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_parser = whole(1..=INTEGER_MAX))]
    attempt: u64,
    /// Sending time, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = sending_time)]
    sent_at: Option<String>,
    /// Seed of the sampled directions
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = whole(i64::MIN..=i64::MAX))]
    seed: i64,
    /// 2 to 64 distinct scales, separated by commas
    #[arg(long, value_name = "S,S,...", default_value = "2,4,8,16,32", value_parser = scales)]
    scales: Scales,
    /// Directions sampled for coherence
    #[arg(long, value_name = "M", default_value_t = coherence::DIRECTIONS_COUNT, value_parser = whole(1..=SAMPLES_MAX))]
    m: u32,
    /// Histogram bins along a direction
    #[arg(long, value_name = "B", default_value_t = coherence::BINS_COUNT, value_parser = whole(1..=SAMPLES_MAX))]
    b: u32,
    /// Position in the sender's outbox
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = whole(i64::MIN..=i64::MAX))]
    outbox_seq: i64,
}

/// Runs it.
pub(crate) fn run(args: &BuildArgs) -> CommandResult {
    let text = input::read_text(&args.events)?;
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("{}: {why}", input::name(&args.events)))
    };
    let events = read_csv(&text).map_err(|error| wrong(&error))?;
    let epoch = match args.epoch {
        Some(epoch) => epoch,
        None => epoch_of(&events).map_err(|why| wrong(&why))?,
    };
    let record = build(&events, &args.options(epoch)).map_err(|error| match error {
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
    fn options(&self, epoch: u64) -> BuildOptions {
        let now = || humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        BuildOptions {
            shard_id: self.shard_id.clone(),
            epoch,
            attempt: self.attempt,
            sent_at: self.sent_at.clone().unwrap_or_else(now),
            seed: self.seed,
            scales: self.scales.0.clone(),
            directions_count: self.m,
            bins_count: self.b,
            params: Params::default(),
            outbox_seq: self.outbox_seq,
        }
    }
}

/// The default comes from the events, so that building them again gives the same identity.
fn epoch_of(events: &[Event]) -> Result<u64, String> {
    let first = events.first().map_or(0.0, |event| event.t);
    let epoch = first.floor();
    if (0.0..=INTEGER_MAX as f64).contains(&epoch) {
        return Ok(epoch as u64);
    }
    let first = number_text(first);
    Err(format!(
        "the first event's t is {first}, and an epoch is from 0 to {INTEGER_MAX}: give one with --epoch"
    ))
}

/// Scales as they are typed: one option with commas in it.
#[derive(Clone, Debug)]
struct Scales(Vec<u32>);

fn scales(text: &str) -> Result<Scales, String> {
    let read = whole(1..=SCALE_MAX as u32);
    let scales: Result<Vec<u32>, String> = text.split(',').map(|it| read(it.trim())).collect();
    let wrong = || {
        format!(
            "it must be {SCALES_COUNT_MIN} to {SCALES_COUNT_MAX} distinct whole numbers from 1 to {SCALE_MAX}, separated by commas: 2,4,8"
        )
    };
    let scales = scales.map_err(|_| wrong())?;
    let distinct: BTreeSet<u32> = scales.iter().copied().collect();
    let is_valid = distinct.len() == scales.len()
        && (SCALES_COUNT_MIN..=SCALES_COUNT_MAX).contains(&scales.len());
    is_valid.then_some(Scales(scales)).ok_or_else(wrong)
}

fn sending_time(text: &str) -> Result<String, String> {
    match flk_contract::rfc3339::is_date_time(text) {
        true => Ok(text.to_owned()),
        false => Err("it must be an RFC 3339 date-time such as 2025-01-15T10:30:00Z".to_owned()),
    }
}

fn shard_id(text: &str) -> Result<String, String> {
    match (1..=TEXT_BYTES_MAX).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(format!("it must have 1 to {TEXT_BYTES_MAX} bytes")),
    }
}
