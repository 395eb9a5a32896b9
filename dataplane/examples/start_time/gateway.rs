//! Starts the real gateway binary on a directory and measures its start from outside: what a client sees of it, and what
//! `/proc` says of the process. It ends the process that it started, whatever happens.

use flk_testkit::gateway::Gateway;
use flk_testkit::metrics::Metrics;
use flk_testkit::plan::Plan;
use std::io::{Error, Result};
use std::path::Path;
use std::time::{Duration, Instant};

/// A start takes no longer than this, or is given up.
const START_MAX: Duration = Duration::from_secs(900);
/// Between two looks at a gateway that is not ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Between two looks at a number that is to rest.
const REST: Duration = Duration::from_millis(200);

/// What a start took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// From the start of the process to the first 200 of `/livez`.
    pub(crate) livez: Duration,
    /// The same for `/readyz`.
    pub(crate) ready: Duration,
    /// The longest that a probe took to be answered meanwhile.
    pub(crate) slowest: Duration,
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// Resident memory: the largest, and that at the end.
    pub(crate) peak_bytes: u64,
    pub(crate) resident_bytes: u64,
    /// Bytes that read calls returned.
    pub(crate) read_bytes: u64,
    /// Keys in the tables, as the metrics say.
    pub(crate) keys_count: u64,
    /// Its lines, each with its time.
    pub(crate) said: Vec<(Duration, String)>,
}

/// Asks until this path is answered with 200; the longest that an answer took.
fn until_200(gateway: &mut Gateway, path: &str, began: Instant) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    loop {
        let asked = Instant::now();
        let answer = gateway.try_get(path);
        slowest = slowest.max(asked.elapsed());
        if answer.is_some_and(|answer| answer.status == 200) {
            return Ok(slowest);
        }
        if !gateway.is_running() || began.elapsed() > START_MAX {
            let said = gateway.said();
            return Err(Error::other(format!("the gateway did not start:\n{said}")));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn proc_number(id: u32, file: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/{file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or(Error::other(format!("no {name} in /proc/…/{file}")))
}

fn cpu(id: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // Behind the name in parentheses, which may hold anything.
    let fields = text.rsplit(") ").next().unwrap_or_default();
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|it| it.parse::<u64>().ok()).sum();
    let per_s = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / per_s as f64))
}

/// Starts the gateway, waits until it is ready, has it asked something, and ends it.
pub(crate) fn measure(
    binary: &Path,
    directory: &Path,
    settings: &[(&str, String)],
    ask: impl FnOnce(&Gateway),
) -> Result<Measured> {
    let mut plan = Plan::new(binary, directory)
        .without("WAL_SEGMENT_BYTES")
        .with_start_max(START_MAX);
    for (name, value) in settings {
        plan = plan.with(name, value);
    }
    let mut measured = Measured::default();
    let began = Instant::now();
    let mut gateway = plan.launch().map_err(Error::other)?;
    until_200(&mut gateway, "/livez", began)?;
    measured.livez = began.elapsed();
    measured.slowest = until_200(&mut gateway, "/readyz", began)?;
    measured.ready = began.elapsed();
    let id = gateway.id();
    measured.cpu = cpu(id)?;
    measured.peak_bytes = proc_number(id, "status", "VmHWM:")? * 1024;
    measured.resident_bytes = proc_number(id, "status", "VmRSS:")? * 1024;
    measured.read_bytes = proc_number(id, "io", "rchar:")?;
    measured.keys_count = keys_at_rest(&gateway);
    ask(&gateway);
    let lines = gateway.lines().with_times().into_iter();
    measured.said = lines.map(|(at, line)| (at - began, line)).collect();
    Ok(measured)
}

/// Keys in the tables once the number rests: each shard is ready by itself, and counts what it has loaded in its next turn.
fn keys_at_rest(gateway: &Gateway) -> u64 {
    let keys = || Metrics::read(gateway.get("/metrics").text()).count("flk_dedup_keys");
    let mut before = keys();
    loop {
        std::thread::sleep(REST);
        let now = keys();
        if now == before {
            return now;
        }
        before = now;
    }
}
