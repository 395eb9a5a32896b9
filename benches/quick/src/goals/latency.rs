//! How long clients wait at a fixed rate (G3), counted by `flk bench` from when requests are due, beside the device's flush time
//! of the same minutes: measured before and after, by as many writers as there are logs.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Bench, Figure, Goals, Table, median};
use crate::device::{self, Device};
use crate::server::{KEY, Server};
use crate::{LOAD_CPU, progress, start};

/// The rate of the goal first; the other one shows what more load does.
const RATES: [u32; 2] = [10_000, 40_000];
/// For each quantile: multiple of the flush time, and µs on top.
const BOUNDS: [(&str, f64, f64); 3] = [
    ("p50", 1.5, 100.0),
    ("p99", 2.0, 200.0),
    ("p99.9", 3.0, 1000.0),
];

/// p50, p99, p99.9 in µs.
type Spread = [f64; 3];

pub(super) fn measure(bench: &Bench<'_>, goals: &mut Goals) -> io::Result<()> {
    let server = start(|| Server::gateway(&bench.gateway, &bench.options.work_dir))?;
    bench.allowed.apply()?;
    let mut flushes = Vec::new();
    let mut waits: [Vec<Spread>; RATES.len()] = Default::default();
    for round in 1..=bench.rounds {
        for (at, rate) in RATES.into_iter().enumerate() {
            progress(&format!(
                "round {round} of {}, {rate} requests/s",
                bench.rounds
            ));
            flushes.push(flush(bench)?);
            waits[at].push(open_loop(bench, &server, rate)?);
            flushes.push(flush(bench)?);
        }
    }
    server.stop();
    let of = |spreads: &[Spread], at: usize| median(spreads.iter().map(|it| it[at]));
    let mut text = "| | p50 µs | p99 µs | p99.9 µs |\n|---|---:|---:|---:|\n".to_owned();
    let mut row = |name: &str, spreads: &[Spread]| {
        let [p50, p99, p999] = [0, 1, 2].map(|at| of(spreads, at));
        text += &format!("| {name} | {p50:.0} | {p99:.0} | {p999:.0} |\n");
    };
    row("flush of 4 KiB", &flushes);
    for (rate, spreads) in RATES.iter().zip(&waits) {
        row(&format!("{rate} requests/s"), spreads);
    }
    for (at, (name, times, more_us)) in BOUNDS.into_iter().enumerate() {
        let (flush, wait) = (of(&flushes, at), of(&waits[0], at));
        let bound = times * flush + more_us;
        goals.figures.push(Figure {
            goal: "G3",
            what: format!("{name} at 10,000/s, µs; {times} × {flush:.0} + {more_us}"),
            value: format!("{wait:.0}"),
            bound: format!("≤ {bound:.0}"),
            met: wait <= bound,
        });
    }
    goals.tables.push(Table {
        title: "Waits in an open loop, and flushes in turn with it".to_owned(),
        text,
    });
    Ok(())
}

fn flush(bench: &Bench<'_>) -> io::Result<Spread> {
    let device: Device =
        device::measure_blocks(&bench.options.work_dir, Duration::from_secs(2), 4096)?;
    Ok([device.p50_us, device.p99_us, device.p999_us])
}

/// A run of `flk bench`; it judges every answer itself.
fn open_loop(bench: &Bench<'_>, server: &Server, rate: u32) -> io::Result<Spread> {
    let saved = bench.options.work_dir.join("goals-bench.json");
    let status = Command::new(bench.options.binary("flk")?)
        .arg("bench")
        .arg(format!("http://{}", server.running.address()))
        .args(["--rate", &rate.to_string()])
        .args(["--duration", &format!("{}s", bench.seconds.max(2))])
        .args(["--cpus", &LOAD_CPU.to_string()])
        .arg("--save")
        .arg(&saved)
        .env("PCS_HMAC_KEY", KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(io::Error::other(format!("flk bench ended with {status}")));
    }
    let text = std::fs::read(&saved)?;
    std::fs::remove_file(&saved)?;
    let saved: Value = serde_json::from_slice(&text).map_err(io::Error::other)?;
    let of = |name: &str| {
        let value = saved["figures"]["from_due"][name].as_f64();
        value
            .map(|nanoseconds| nanoseconds / 1000.0)
            .ok_or_else(|| io::Error::other(format!("flk bench saved no {name}")))
    };
    Ok([of("p50_ns")?, of("p99_ns")?, of("p99_9_ns")?])
}
