//! Does sealing keep up with ingest? New ids at the full rate of one shard, with a dedup table so small that it is sealed all the
//! time, and with one so large that hardly anything is; in turn, so that the machine is compared with itself in the same run. A
//! gateway that cannot seal fast enough says so by 503.

use std::fmt;
use std::io;
use std::time::Duration;

use flk_bench_load::cpu::{self, Affinity};
use flk_bench_load::{Load, Measured, Stock};

use crate::machine::Machine;
use crate::options::Options;
use crate::server::{KEY, Server};
use crate::{LOAD_CPU, progress, start};

const CONNECTIONS_COUNT: usize = 256;
/// Sealed all the time: 700,000 ids, seven seconds at 100,000/s ...
const SMALL_TABLE: &str = "64MiB";
/// ... and as far as memory for ids goes, never.
const LARGE_TABLE: &str = "16GiB";
/// More than a shard takes.
const RECORDS_PER_SECOND_MAX: usize = 110_000;
/// Nothing changes in a run that seals nothing: it shows its rate within a minute, and a longer one would only need memory
/// for its ids.
const UNSEALED_SECONDS_MAX: u64 = 60;
/// Ingest may be slower by this share.
const COST_MAX: f64 = 0.1;

/// One gateway over one stretch of load.
struct Run {
    measured: Measured,
    slices: f64,
    written_bytes: f64,
}

pub(crate) struct Sealing {
    pub(crate) machine: Machine,
    /// With the small table and with the large one.
    rounds: Vec<[Run; 2]>,
}

/// Measures that many rounds, of that many seconds with the small table and as many with the large one, a minute at most.
pub(crate) fn measure(
    machine: Machine,
    options: &Options,
    allowed: &Affinity,
) -> io::Result<Sealing> {
    let mut rounds = Vec::new();
    for number in 1..=options.sealing_rounds {
        let run = |table| {
            progress(&format!(
                "round {number} of {}, a table of {table}",
                options.sealing_rounds
            ));
            run(options, allowed, table)
        };
        // Who comes first changes, as the disk may remember who came before.
        rounds.push(match number % 2 {
            1 => [run(SMALL_TABLE)?, run(LARGE_TABLE)?],
            _ => {
                let large = run(LARGE_TABLE)?;
                [run(SMALL_TABLE)?, large]
            }
        });
    }
    Ok(Sealing { machine, rounds })
}

/// A gateway of its own, as nothing may be known of the ids.
fn run(options: &Options, allowed: &Affinity, table: &str) -> io::Result<Run> {
    let binary = options.binary("flk-dataplane")?;
    let text = format!("[dedup]\nmemory_max = \"{table}\"\n");
    let seconds = match table {
        SMALL_TABLE => options.gateway_s,
        _ => options.gateway_s.min(UNSEALED_SECONDS_MAX),
    };
    allowed.apply()?;
    let mut stock = Stock::sign(KEY.as_bytes(), 0, RECORDS_PER_SECOND_MAX * seconds as usize);
    let server = start(|| Server::configured(&binary, &options.work_dir, &text))?;
    cpu::pin_to(LOAD_CPU)?;
    let mut load = Load::connect(server.running.address(), CONNECTIONS_COUNT)?;
    let measured = load.run(&mut stock, Duration::from_secs(seconds))?;
    let metrics = server.running.try_get("/metrics");
    let metrics = metrics.map(|it| it.text().to_owned()).unwrap_or_default();
    let of = |name| crate::scrape::sample(&metrics, name).unwrap_or(f64::NAN);
    let run = Run {
        measured,
        slices: of("flk_slices"),
        written_bytes: of("flk_wal_bytes_written"),
    };
    server.stop();
    Ok(run)
}

impl Sealing {
    /// Every id got its 200.
    pub(crate) fn answers_are_right(&self) -> bool {
        let mut runs = self.rounds.iter().flatten();
        runs.all(|it| it.measured.other_than_200_count() == 0 && it.measured.lost_count == 0)
    }

    /// The share of the rate that sealing costs: of all rounds together.
    fn cost(&self) -> f64 {
        let rate = |of: usize| -> f64 {
            let rates = self.rounds.iter().map(|it| it[of].measured.per_second());
            rates.sum()
        };
        1.0 - rate(0) / rate(1)
    }
}

impl fmt::Display for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Machine: {}  ", self.machine)?;
        writeln!(
            f,
            "Server on CPU 0, load on CPU 1, {CONNECTIONS_COUNT} keep-alive connections that send new ids as fast as they are answered  \n"
        )?;
        writeln!(
            f,
            "| round | table | s | new ids | ids/s | p50 µs | p99 µs | longest ms | other than 200 | slices at the end | log MB/s |"
        )?;
        writeln!(f, "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")?;
        for (number, round) in (1..).zip(&self.rounds) {
            for (table, run) in [SMALL_TABLE, LARGE_TABLE].iter().zip(round) {
                let it = &run.measured;
                let seconds = it.elapsed.as_secs_f64();
                writeln!(
                    f,
                    "| {number} | {table} | {seconds:.0} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {} | {:.0} | {:.0} |",
                    it.answers_count,
                    it.per_second(),
                    it.latency_us(0.5),
                    it.latency_us(0.99),
                    it.latency_us(1.0) / 1000.0,
                    it.other_than_200_count(),
                    run.slices,
                    run.written_bytes / seconds / 1e6,
                )?;
            }
        }
        let cost = self.cost();
        let verdict = match cost <= COST_MAX {
            true => "met",
            false => "not met",
        };
        writeln!(
            f,
            "\nSealing costs {:.1} % of the rate (target: at most {:.0} %: {verdict})",
            100.0 * cost,
            100.0 * COST_MAX
        )
    }
}
