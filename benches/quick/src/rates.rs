//! What a record costs at moderate rates: requests come independently of each other, whatever becomes of earlier ones, at rates
//! from a few that each have a write of their own to many that share one. The capacity model is held against these figures.

use std::fmt;
use std::io;
use std::time::Duration;

use flk_bench_load::arrivals::Spacing;
use flk_bench_load::cpu::{self, Affinity, CpuTime};
use flk_bench_load::paced::{self, Sender};
use flk_bench_load::stock::Request;
use flk_bench_load::{Load, Measured, Stock};

use crate::device::{self, Device};
use crate::machine::Machine;
use crate::options::Options;
use crate::scrape::WalCounters;
use crate::server::{KEY, Server};
use crate::{LOAD_CPU, SERVER_CPU, progress, start};

const CONNECTIONS_COUNT: usize = 64;
/// Requests per second.
const RATES: [u32; 6] = [1_000, 2_000, 5_000, 10_000, 20_000, 40_000];
/// A random number of requests exceeds its mean by less than this part, but for one run in a million.
const SPARE: f64 = 1.1;
/// Above this share of the server's CPU taken by others, figures say more about the machine than about the server.
const OTHERS_SHARE_MAX: f64 = 0.10;
/// Before what counts, at the lowest rate.
const WARM_UP: Duration = Duration::from_secs(2);

/// One rate.
struct Level {
    per_second: u32,
    measured: Measured,
    /// Of the server process.
    cpu: CpuTime,
    /// Time of the server's CPU that went to anything else, as a share of the run.
    others_share: f64,
    wal: WalCounters,
}

pub(crate) struct Rates {
    pub(crate) machine: Machine,
    device: Device,
    levels: Vec<Level>,
}

impl Rates {
    /// Every answer was 200 and no connection was lost.
    pub(crate) fn answers_are_right(&self) -> bool {
        self.levels.iter().all(|level| {
            level.measured.other_than_200_count() == 0 && level.measured.lost_count == 0
        })
    }
}

/// Measures all rates on one gateway.
pub(crate) fn measure(
    machine: Machine,
    options: &Options,
    allowed: &Affinity,
) -> io::Result<Rates> {
    progress("device flush time");
    let device = device::measure(&options.work_dir, Duration::from_secs(3))?;
    let binary = options.binary("flk-dataplane")?;
    let server = start(|| Server::gateway(&binary, &options.work_dir))?;
    let mut load = Load::connect(server.running.address(), CONNECTIONS_COUNT)?;
    let mut records_used = 0;
    let seconds = Duration::from_secs(options.gateway_s);
    send(&mut load, RATES[0], WARM_UP, allowed, &mut records_used)?;
    let mut levels = Vec::new();
    for per_second in RATES {
        progress(&format!("{per_second} requests/s"));
        let level = level(
            &server,
            &mut load,
            per_second,
            seconds,
            allowed,
            &mut records_used,
        );
        levels.push(level?);
    }
    drop(load);
    server.stop();
    Ok(Rates {
        machine,
        device,
        levels,
    })
}

/// One rate: the server's time and counters are read just outside of it, and signing does not count.
fn level(
    server: &Server,
    load: &mut Load,
    per_second: u32,
    duration: Duration,
    allowed: &Affinity,
    records_used: &mut u64,
) -> io::Result<Level> {
    let mut stock = sign(per_second, duration, allowed, records_used)?;
    let counters = || {
        let counters = WalCounters::of(&server.running);
        counters.ok_or_else(|| io::Error::other("the gateway shows no counters of its log"))
    };
    let wal_before = counters()?;
    let cpu_before = CpuTime::of_process(server.running.id())?;
    let busy_before = cpu::busy_of_cpu(SERVER_CPU)?;
    let measured = run(load, &mut stock, per_second, duration)?;
    let busy = cpu::busy_of_cpu(SERVER_CPU)?.saturating_sub(busy_before);
    let cpu = CpuTime::of_process(server.running.id())?.since(cpu_before);
    let others = busy.saturating_sub(cpu.total());
    Ok(Level {
        per_second,
        others_share: others.as_secs_f64() / measured.elapsed.as_secs_f64(),
        wal: counters()?.since(wal_before),
        measured,
        cpu,
    })
}

/// Sends without counting anything.
fn send(
    load: &mut Load,
    per_second: u32,
    duration: Duration,
    allowed: &Affinity,
    records_used: &mut u64,
) -> io::Result<()> {
    let mut stock = sign(per_second, duration, allowed, records_used)?;
    run(load, &mut stock, per_second, duration)?;
    Ok(())
}

fn run(
    load: &mut Load,
    stock: &mut Stock,
    per_second: u32,
    duration: Duration,
) -> io::Result<Measured> {
    let mut senders = [Sender {
        load,
        stock,
        per_second: f64::from(per_second),
        spacing: Spacing::Poisson,
    }];
    let measured = paced::run(&mut senders, duration)?.into_iter().next();
    measured.ok_or_else(|| io::Error::other("a sender has its figures"))
}

/// Signing uses all CPUs; the load goes back to its own.
fn sign(
    per_second: u32,
    duration: Duration,
    allowed: &Affinity,
    records_used: &mut u64,
) -> io::Result<Stock> {
    let count = (f64::from(per_second) * duration.as_secs_f64() * SPARE) as usize;
    allowed.apply()?;
    let stock = Stock::sign(KEY.as_bytes(), *records_used, count);
    *records_used += count as u64;
    cpu::pin_to(LOAD_CPU)?;
    Ok(stock)
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Machine: {}  ", self.machine)?;
        writeln!(
            f,
            "Server on CPU 0 (one shard), load on CPU 1; new ids at random times (Poisson) over {CONNECTIONS_COUNT} connections, latency from when a request was due; HMAC, bodies of {} bytes  ",
            Request::new("").body().len()
        )?;
        let Device {
            method,
            p50_us,
            p99_us,
            per_second,
            ..
        } = &self.device;
        writeln!(
            f,
            "Device: {method}: p50 {p50_us:.0} µs, p99 {p99_us:.0} µs, {per_second:.0}/s\n"
        )?;
        writeln!(
            f,
            "| asked/s | answered/s | p50 µs | p99 µs | p99.9 µs | user µs/req | system µs/req | CPU µs/req | WAL B/req | req/sync | CPU of others % |"
        )?;
        writeln!(
            f,
            "|--------:|-----------:|-------:|-------:|---------:|------------:|--------------:|-----------:|----------:|---------:|----------------:|"
        )?;
        self.levels.iter().try_for_each(|level| row(f, level))?;
        let others = self.levels.iter().map(|level| level.others_share);
        let most = others.fold(0.0, f64::max);
        if most > OTHERS_SHARE_MAX {
            write!(
                f,
                "\nNote: up to {:.0} % of the server's CPU went to other processes and interrupts; repeat on a quiet machine\n",
                most * 100.0
            )?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, level: &Level) -> fmt::Result {
    let run = &level.measured;
    let answers = run.answers_count.max(1) as f64;
    let us = |time: Duration| time.as_secs_f64() * 1e6 / answers;
    writeln!(
        f,
        "| {:>7} | {:>10.0} | {:>6.0} | {:>6.0} | {:>8.0} | {:>11.2} | {:>13.2} | {:>10.2} | {:>9.0} | {:>8.2} | {:>15.0} |",
        level.per_second,
        run.per_second(),
        run.latency_us(0.5),
        run.latency_us(0.99),
        run.latency_us(0.999),
        us(level.cpu.user),
        us(level.cpu.system),
        us(level.cpu.total()),
        level.wal.written_bytes / answers,
        answers / level.wal.syncs_count.max(1.0),
        level.others_share * 100.0,
    )
}
