//! Two tenants on one gateway: does one that sends ten times its quota raise the latency of the other? In each round the quiet
//! one is measured alone, beside the noisy one, and alone again: so the machine is compared with itself in the same run, and
//! what it does else meets all three. Rounds are short and many: a stall of the device then meets few of them.

pub(crate) mod verdict;

use std::fmt;
use std::io;
use std::time::Duration;

use flk_bench_load::arrivals::Spacing;
use flk_bench_load::cpu::{self, Affinity};
use flk_bench_load::paced::{self, Sender};
use flk_bench_load::{Load, Measured, Stock};

use crate::machine::Machine;
use crate::options::Options;
use crate::server::{KEY, Server};
use crate::{LOAD_CPU, progress, start};

use self::verdict::{Compared, Verdict, at_rank, judge};

/// Connections of each tenant.
const CONNECTIONS_COUNT: usize = 64;
/// The quiet tenant sends this share of what the gateway takes in time, the other one has a quota of that one ...
const QUIET_SHARE: f64 = 0.5;
const QUOTA_SHARE: f64 = 0.02;
/// ... and sends so many times as much.
const NOISY_TIMES: f64 = 10.0;
/// Of each measurement. The device stalls for some ten milliseconds once or twice in a second: most of them meet no stall.
const MEASUREMENT: Duration = Duration::from_millis(250);
const CALIBRATION: Duration = Duration::from_secs(3);
/// More than one thread sends in that time.
const CALIBRATION_RECORDS_COUNT: usize = 600_000;
/// A rate is taken in time where requests that are sent at it, whatever becomes of earlier ones, have at most this 99th
/// percentile: connections that wait for their answers hide how long a request would have waited. The first rate tried is a
/// step below what they come to.
const IN_TIME_US: f64 = 10_000.0;
const RATE_STEP: f64 = 0.9;
const STEPS_COUNT_MAX: u32 = 24;
/// A rate is too high where that many tries are late: one stall of the device says nothing about the rate.
const TRIES_COUNT: u32 = 2;

/// Three measurements of the quiet tenant, one after the other, and what the noisy one got.
struct Round {
    alone: Measured,
    beside: Measured,
    alone_again: Measured,
    noisy: Measured,
}

pub(crate) struct Tenants {
    pub(crate) machine: Machine,
    /// What the gateway took in time, before the rounds and behind them.
    capacities: [f64; 2],
    quota: u32,
    rounds: Vec<Round>,
}

/// Measures that many rounds.
pub(crate) fn measure(
    machine: Machine,
    options: &Options,
    allowed: &Affinity,
) -> io::Result<Tenants> {
    let (binary, work_dir) = (options.binary("flk-dataplane")?, &options.work_dir);
    let capacity = || -> io::Result<f64> {
        progress("what the gateway takes with busy connections");
        let server = start(|| Server::gateway(&binary, work_dir))?;
        let mut stock = sign(0, CALIBRATION_RECORDS_COUNT, allowed)?;
        let mut load = Load::connect(server.running.address(), CONNECTIONS_COUNT)?;
        let busy_per_second = load.run(&mut stock, CALIBRATION)?.per_second();
        drop(stock);
        let per_second = rate_in_time(&mut load, busy_per_second, allowed)?;
        server.stop();
        Ok(per_second)
    };
    let capacity_per_second = capacity()?;
    let quota = (capacity_per_second * QUOTA_SHARE) as u32;
    let tenants = format!("{}{}rate = {quota}\n", tenant("quiet"), tenant("noisy"));
    let server = start(|| Server::configured(&binary, work_dir, &tenants))?;
    let mut field = Field {
        quiet: Load::connect_as(server.running.address(), CONNECTIONS_COUNT, Some("quiet"))?,
        noisy: Load::connect_as(server.running.address(), CONNECTIONS_COUNT, Some("noisy"))?,
        rates: [
            capacity_per_second * QUIET_SHARE,
            f64::from(quota) * NOISY_TIMES,
        ],
        records_used: 0,
    };
    let mut rounds = Vec::with_capacity(options.rounds);
    for number in 1..=options.rounds {
        progress(&format!("round {number} of {}", options.rounds));
        let (alone, _) = field.run(Beside::Nothing, allowed)?;
        let (beside, noisy) = field.run(Beside::Noisy, allowed)?;
        let (alone_again, _) = field.run(Beside::Nothing, allowed)?;
        rounds.push(Round {
            alone,
            beside,
            alone_again,
            noisy,
        });
    }
    server.stop();
    Ok(Tenants {
        machine,
        capacities: [capacity_per_second, capacity()?],
        quota,
        rounds,
    })
}

/// The highest rate that the gateway takes in time, from below this one down.
fn rate_in_time(load: &mut Load, busy_per_second: f64, allowed: &Affinity) -> io::Result<f64> {
    let mut records_used = CALIBRATION_RECORDS_COUNT as u64;
    let mut per_second = busy_per_second;
    for _ in 0..STEPS_COUNT_MAX {
        per_second *= RATE_STEP;
        for _ in 0..TRIES_COUNT {
            progress(&format!("whether it takes {per_second:.0}/s in time"));
            let count = (per_second * CALIBRATION.as_secs_f64()) as usize + CONNECTIONS_COUNT;
            let mut stock = sign(records_used, count, allowed)?;
            records_used += count as u64;
            let mut senders = [Sender {
                load,
                stock: &mut stock,
                per_second,
                spacing: Spacing::Constant,
            }];
            let measured = paced::run(&mut senders, CALIBRATION)?;
            if measured.iter().all(|it| it.latency_us(0.99) <= IN_TIME_US) {
                return Ok(per_second);
            }
        }
    }
    Err(io::Error::other(format!(
        "not even {per_second:.0} requests/s have a p99 of at most {:.0} ms here: the device or the machine stalls",
        IN_TIME_US / 1000.0
    )))
}

/// A table of the configuration file; the key is the one that all records are signed by.
fn tenant(name: &str) -> String {
    format!("[[tenants]]\nid = \"{name}\"\nkeys = [{{ id = \"bench\", env = \"PCS_HMAC_KEY\" }}]\n")
}

/// Connections of both tenants to one gateway.
struct Field {
    quiet: Load,
    noisy: Load,
    /// Requests per second of each.
    rates: [f64; 2],
    records_used: u64,
}

/// What the quiet tenant has beside it.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    Noisy,
}

impl Field {
    /// What the quiet tenant got, and the noisy one, of whom there is nothing where it did not send.
    fn run(&mut self, beside: Beside, allowed: &Affinity) -> io::Result<(Measured, Measured)> {
        let rates = match beside {
            Beside::Nothing => [self.rates[0], 0.0],
            Beside::Noisy => self.rates,
        };
        let stocks = rates.map(|per_second| {
            let count = (per_second * MEASUREMENT.as_secs_f64()) as usize + CONNECTIONS_COUNT;
            let first = self.records_used;
            self.records_used += count as u64;
            sign(first, count, allowed)
        });
        let [quiet, noisy] = stocks;
        let mut stocks = [quiet?, noisy?];
        let loads = [&mut self.quiet, &mut self.noisy];
        let senders = loads.into_iter().zip(&mut stocks).zip(rates);
        let mut senders: [Sender<'_>; 2] =
            collect(senders.map(|((load, stock), per_second)| Sender {
                load,
                stock,
                per_second,
                spacing: Spacing::Constant,
            }))?;
        let measured = paced::run(&mut senders, MEASUREMENT)?;
        let [quiet, noisy] = collect(measured.into_iter())?;
        Ok((quiet, noisy))
    }
}

/// An array of what an iterator yields.
fn collect<T, const N: usize>(from: impl Iterator<Item = T>) -> io::Result<[T; N]> {
    let all: Vec<T> = from.collect();
    all.try_into()
        .map_err(|all: Vec<T>| io::Error::other(format!("{} of {N} senders", all.len())))
}

/// So many records from the first one on, signed on all CPUs.
fn sign(first: u64, count: usize, allowed: &Affinity) -> io::Result<Stock> {
    allowed.apply()?;
    let stock = Stock::sign(KEY.as_bytes(), first, count);
    cpu::pin_to(LOAD_CPU)?;
    Ok(stock)
}

impl Round {
    fn compared(&self) -> Compared {
        Compared {
            alone_us: self.alone.latency_us(0.99),
            beside_us: self.beside.latency_us(0.99),
            alone_again_us: self.alone_again.latency_us(0.99),
        }
    }
}

impl Tenants {
    /// The quiet tenant got nothing but 200, and the noisy one its quota.
    pub(crate) fn answers_are_right(&self) -> bool {
        self.rounds.iter().all(|round| {
            let quiet = [&round.alone, &round.beside, &round.alone_again];
            let is_right = |it: &&Measured| it.other_than_200_count() == 0 && it.lost_count == 0;
            let others = round
                .noisy
                .statuses
                .keys()
                .any(|status| ![200, 429].contains(status));
            quiet.iter().all(is_right) && !others && round.noisy.lost_count == 0
        })
    }

    fn compared(&self) -> Vec<Compared> {
        self.rounds.iter().map(Round::compared).collect()
    }

    /// What the rounds say.
    fn verdict(&self) -> Verdict {
        judge(&self.compared(), self.capacities)
    }

    /// Whether they say anything.
    pub(crate) fn is_valid(&self) -> bool {
        !matches!(self.verdict(), Verdict::Invalid(_))
    }
}

impl fmt::Display for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quiet = self.capacities[0] * QUIET_SHARE;
        writeln!(f, "Machine: {}  ", self.machine)?;
        writeln!(
            f,
            "Server on CPU 0, load on CPU 1, keep-alive, {CONNECTIONS_COUNT} connections of each tenant; latency from when a request was due  "
        )?;
        writeln!(
            f,
            "The gateway takes {:.0} requests/s with a p99 of at most {:.0} ms. The quiet tenant sends {quiet:.0}/s; the noisy one has a rate of {}/s and sends {:.0}/s. {} ms each  \n",
            self.capacities[0],
            IN_TIME_US / 1000.0,
            self.quota,
            f64::from(self.quota) * NOISY_TIMES,
            MEASUREMENT.as_millis()
        )?;
        self.table_of_rounds(f)?;
        writeln!(
            f,
            "\nA tenant at {NOISY_TIMES:.0} times its quota raises the p99 of another one at half load: {}",
            self.verdict()
        )
    }
}

/// Which rounds the table shows, by the share of rounds with a lower figure.
const SHOWN: [(&str, f64); 5] = [
    ("lowest", 0.0),
    ("lower quarter", 0.25),
    ("**median**", 0.5),
    ("upper quarter", 0.75),
    ("highest", 1.0),
];

impl Tenants {
    /// Each column by itself: the rounds are no pairs.
    fn table_of_rounds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| of {} rounds | alone: p50 µs | p99 µs | beside the noisy one: p50 µs | p99 µs | alone again: p99 µs | p99 ratio |",
            self.rounds.len()
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|")?;
        for (name, rank) in SHOWN {
            let of = |figure: fn(&Round) -> f64| at_rank(self.rounds.iter().map(figure), rank);
            let compared = Compared {
                alone_us: of(|it| it.alone.latency_us(0.99)),
                beside_us: of(|it| it.beside.latency_us(0.99)),
                alone_again_us: of(|it| it.alone_again.latency_us(0.99)),
            };
            let p50s = [
                of(|it| it.alone.latency_us(0.5)),
                of(|it| it.beside.latency_us(0.5)),
            ];
            row(f, name, p50s, &compared)?;
        }
        let of = |which: fn(&Round) -> &Measured, share| {
            let runs = self.rounds.iter().map(which);
            Measured::latency_of_all_us(runs, share).map_err(|_| fmt::Error)
        };
        let compared = Compared {
            alone_us: of(|it| &it.alone, 0.99)?,
            beside_us: of(|it| &it.beside, 0.99)?,
            alone_again_us: of(|it| &it.alone_again, 0.99)?,
        };
        let p50s = [of(|it| &it.alone, 0.5)?, of(|it| &it.beside, 0.5)?];
        row(f, "all answers together", p50s, &compared)?;
        let answers =
            |of: fn(&Measured) -> u64| -> u64 { self.rounds.iter().map(|it| of(&it.noisy)).sum() };
        let refused = answers(Measured::other_than_200_count) as f64;
        let share = 100.0 * refused / answers(|it| it.answers_count).max(1) as f64;
        writeln!(f, "\n429 to the noisy one: {share:.1} % of its requests  ")
    }
}

fn row(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    [p50, p50_beside]: [f64; 2],
    p99: &Compared,
) -> fmt::Result {
    writeln!(
        f,
        "| {name} | {p50:.0} | {:.0} | {p50_beside:.0} | {:.0} | {:.0} | {:.2} |",
        p99.alone_us,
        p99.beside_us,
        p99.alone_again_us,
        p99.ratio()
    )
}
