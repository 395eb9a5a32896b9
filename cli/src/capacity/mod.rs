//! `flk capacity`: what a rate of records needs. It reads the question and prints the answer; the model is in [`model`], its numbers
//! with their sources in [`constants`], and what it is held against in [`points`]. It asks no gateway and no host.

mod batches;
mod constants;
mod fit;
mod model;
mod need;
mod points;
mod show;

use crate::CommandResult;
use crate::args;
use crate::bench::amounts::{RATE_MAX, latency_ns, plain, scaled, share};
use crate::exit::{CAPACITY_CODES, Exit, Failure};
use crate::output::{Format, Output};
use crate::profile::names;
use clap::Args;
use fit::{Fit, Prices, Sized, replicas_for};
use flk_dataplane::config::Profile;
use need::Need;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  $ flk capacity --rate 50k --ttl 14d --body 700 --flush 100us
  $ flk capacity --rate 10k --peak 3 --duplicates 20% --machine cloud-2cpu
  $ flk capacity --rate 10k --price-core 30 --price-disk-gb 0.08 --output json
  $ flk capacity --rate 1k --explain

The model is computed from measurements of this repository: --explain shows each number with its source, and how far the model is \
off where it can be held against a measurement. It is no promise for a machine that nothing was measured on: flk bench measures \
yours. docs/capacity.md explains what limits what.";

/// Most machines that are counted.
const REPLICAS_MAX: u32 = 1_000;

/// Options of `flk capacity`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{CAPACITY_CODES}"))]
pub(crate) struct CapacityArgs {
    /// Records per second on average, duplicates included, such as 500, 50k or 1.5M
    #[arg(long, value_parser = rate)]
    rate: f64,
    /// The highest rate as a multiple of the average; CPU, device and network are sized for it
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = times)]
    peak: f64,
    /// Bytes of a body
    #[arg(long, value_name = "SIZE", default_value = "640", value_parser = args::size(1..=1 << 20))]
    body: u64,
    /// For how long ids are known: DEDUP_TTL
    #[arg(long, value_name = "TIME", default_value = "14d", value_parser = args::time(TTL_MIN..=TTL_MAX))]
    ttl: Duration,
    /// For how long bodies are kept: WAL_MAX_AGE
    #[arg(long, value_name = "TIME", default_value = "14d", value_parser = args::time(TTL_MIN..=TTL_MAX))]
    keep: Duration,
    /// What one durable write of the device takes, as flk doctor measures it (p50)
    #[arg(long, value_name = "TIME", default_value = "110us", value_parser = flush)]
    flush: f64,
    /// Share of the records whose id is known already
    #[arg(long, value_name = "PERCENT", default_value = "0%", value_parser = share)]
    duplicates: f64,
    /// Share of the records that are signed by Ed25519; the others by HMAC
    #[arg(long, value_name = "PERCENT", default_value = "0%", value_parser = share)]
    ed25519: f64,
    /// Share of a shard's CPU that may be used at the highest rate
    #[arg(long = "use", value_name = "PERCENT", default_value = "60%", value_parser = use_share)]
    use_share: f64,
    /// Length of a log segment: WAL_SEGMENT_BYTES
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = args::size(4 << 20..=1 << 30))]
    segment: u64,
    /// Machines with a gateway each, which share the rate [default: 1, or as many of --machine as are needed]
    #[arg(long, value_name = "N", value_parser = args::whole(1..=REPLICAS_MAX))]
    replicas: Option<u32>,
    /// How many of them may be away while the others take everything
    #[arg(long, value_name = "N", default_value = "0", value_parser = args::whole(0..=REPLICAS_MAX))]
    spare: u32,
    /// Compare with the machine of a profile: a name of flk profile list
    #[arg(long, value_name = "NAME", value_parser = machine)]
    machine: Option<&'static Profile>,
    #[command(flatten)]
    prices: PriceArgs,
    /// Show each number of the model with its source, and what was measured beside what the model says
    #[arg(long)]
    explain: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Prices of a month, in whatever currency. Without any no cost is shown.
#[derive(Args, Debug)]
struct PriceArgs {
    /// Price of a core for a month
    #[arg(long, value_name = "PRICE", value_parser = price)]
    price_core: Option<f64>,
    /// Price of a GB of memory for a month
    #[arg(long, value_name = "PRICE", value_parser = price)]
    price_memory_gb: Option<f64>,
    /// Price of a GB of disk for a month
    #[arg(long, value_name = "PRICE", value_parser = price)]
    price_disk_gb: Option<f64>,
    /// Price of a GB of traffic away from a gateway
    #[arg(long, value_name = "PRICE", value_parser = price)]
    price_network_gb: Option<f64>,
}

const TTL_MIN: Duration = Duration::from_secs(60);
const TTL_MAX: Duration = Duration::from_secs(1_000 * 86_400);

fn rate(text: &str) -> Result<f64, String> {
    let rate = scaled(text).filter(|it| *it > 0.0 && *it <= RATE_MAX);
    rate.ok_or_else(|| {
        "a rate is records per second such as 500, 50k or 1.5M, from above 0 to 10M".to_owned()
    })
}

fn times(text: &str) -> Result<f64, String> {
    let times = plain(text).filter(|it| (1.0..=1_000.0).contains(it));
    times.ok_or_else(|| "it must be a number from 1 to 1000, such as 3 or 1.5".to_owned())
}

/// In seconds.
fn flush(text: &str) -> Result<f64, String> {
    let seconds = latency_ns(text).map(|it| it / 1e9);
    let seconds = seconds.filter(|it| (1e-6..=1.0).contains(it));
    seconds.ok_or_else(|| "it must be a time from 1us to 1s, such as 110us or 2.5ms".to_owned())
}

fn use_share(text: &str) -> Result<f64, String> {
    let share = share(text).ok().filter(|it| (0.05..=0.95).contains(it));
    share.ok_or_else(|| "a share of a CPU is from 5% to 95%, such as 60%".to_owned())
}

fn price(text: &str) -> Result<f64, String> {
    plain(text).ok_or_else(|| "a price is a number such as 30 or 0.08".to_owned())
}

fn machine(text: &str) -> Result<&'static Profile, String> {
    Profile::named(text).ok_or_else(|| format!("no such profile; there are {}", names()))
}

impl CapacityArgs {
    fn need(&self, replicas: u32) -> Need {
        Need {
            per_second: self.rate,
            peak_times: self.peak,
            duplicates: self.duplicates,
            ed25519: self.ed25519,
            body_bytes: self.body as f64,
            ttl_s: self.ttl.as_secs_f64(),
            keep_s: self.keep.as_secs_f64(),
            flush_s: self.flush,
            use_share: self.use_share,
            segment_bytes: self.segment as f64,
            replicas,
            spare: self.spare,
        }
    }

    fn prices(&self) -> Option<Prices> {
        let prices = &self.prices;
        let all = [
            prices.price_core,
            prices.price_memory_gb,
            prices.price_disk_gb,
            prices.price_network_gb,
        ];
        let [core, memory_gb, disk_gb, network_gb] = all.map(Option::unwrap_or_default);
        all.iter().any(Option::is_some).then_some(Prices {
            core,
            memory_gb,
            disk_gb,
            network_gb,
        })
    }
}

/// Computes and prints.
pub(crate) fn run(args: &CapacityArgs) -> CommandResult {
    let shape = args.machine.map(Profile::shape).transpose();
    let shape = shape.map_err(|error| Failure::usage(error.to_string()))?;
    let replicas = match (args.replicas, &shape) {
        (Some(replicas), _) => replicas,
        (None, Some(shape)) => replicas_for(&args.need(1), shape, REPLICAS_MAX),
        (None, None) => 1 + args.spare,
    };
    if args.spare >= replicas {
        return Err(Failure::usage(format!(
            "--spare {}: of {replicas} machines at least one has to serve",
            args.spare
        )));
    }
    let sized = Sized::of(args.need(replicas));
    let fit = shape.map(|shape| Fit::of(&sized, shape));
    let cost = args.prices().map(|prices| prices.of(&sized));
    let mut output = Output::new();
    match args.output {
        Format::Json => {
            let name = args.machine.map(|it| it.name);
            let object = show::object(&sized, fit.as_ref().zip(name), cost.as_ref(), args.explain);
            output.line(object.to_string())?;
        }
        Format::Text => {
            for line in show::lines(&sized, fit.as_ref(), cost.as_ref()) {
                output.line(line)?;
            }
            if args.explain {
                for line in show::explained() {
                    output.line(line)?;
                }
            }
        }
    }
    output.flush()?;
    Ok(Exit::Yes)
}
