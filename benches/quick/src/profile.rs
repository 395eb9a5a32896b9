//! `make profile`: where the time of a request goes. `perf` takes samples of the shard's thread under load; each sample belongs to the
//! first stage that is found from the innermost function on, and its share of the CPU of a request is what that stage costs. Samples
//! are of a clock, so that they are there in virtual machines too.

mod stages;

use std::fmt;
use std::io::{self, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flk_bench_load::Load;
use flk_bench_load::cpu::Affinity;
use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options as Folding};
use inferno::flamegraph;

use crate::level::{self, Level};
use crate::machine::Machine;
use crate::options::Options;
use crate::server::Server;
use crate::{progress, start};

const CONNECTIONS_COUNT: usize = 64;
const RECORDS_PER_SECOND_MAX: usize = 150_000;
/// Samples are taken this long, within a longer load ...
const SAMPLED_S: u64 = 4;
const LOADED_S: u64 = 7;
/// ... so often, which is no multiple of anything that comes regularly.
const SAMPLES_PER_SECOND: &str = "997";
/// The thread of the only shard.
const THREAD: &str = "flk-shard-0";

pub(crate) struct Profile {
    pub(crate) machine: Machine,
    pub(crate) flamegraph: Vec<u8>,
    level: Level,
    /// Time on the CPU that all samples stand for.
    sampled: Duration,
    /// Stages with their part of the samples, in the order of a request.
    budget: Vec<(&'static str, f64)>,
}

pub(crate) fn measure(
    machine: Machine,
    options: &Options,
    allowed: &Affinity,
) -> io::Result<Profile> {
    let binary = options.binary("flk-dataplane")?;
    let server = start(|| Server::gateway(&binary, &options.work_dir))?;
    let mut load = Load::connect(server.running.address(), CONNECTIONS_COUNT)?;
    let count = RECORDS_PER_SECOND_MAX * LOADED_S as usize;
    let mut stock = level::sign(count, allowed, &mut 0)?;
    progress("samples of the shard under load");
    let data = options.work_dir.join("perf.data");
    let mut perf = record(server.running.id(), &data)?;
    let level = level::run(&server, &mut load, &mut stock, LOADED_S)?;
    let ended = perf.wait()?;
    server.stop();
    allowed.apply()?;
    if !ended.success() {
        return Err(io::Error::other(format!(
            "perf record ended with {ended}: it needs root or kernel.perf_event_paranoid ≤ 1"
        )));
    }
    progress("stacks");
    let folded = folded(&data)?;
    std::fs::remove_file(&data)?;
    let stacks = stages::stacks(&folded, THREAD);
    // perf weighs a sample of this clock with its nanoseconds.
    let sampled = Duration::from_nanos(stacks.iter().map(|(_, count)| count).sum());
    if sampled.is_zero() {
        return Err(io::Error::other("perf saw nothing of the shard's thread"));
    }
    Ok(Profile {
        machine,
        flamegraph: drawn(&stacks)?,
        level,
        sampled,
        budget: stages::budget(&stacks),
    })
}

/// Takes samples of a process while the load runs.
fn record(process: u32, data: &Path) -> io::Result<Child> {
    Command::new("perf")
        .args(["record", "-q", "-F", SAMPLES_PER_SECOND, "-e", "cpu-clock"])
        .args([
            "--call-graph",
            "dwarf,8192",
            "-p",
            &process.to_string(),
            "-o",
        ])
        .arg(data)
        .args(["--", "sleep", &SAMPLED_S.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            io::Error::other(format!("cannot start perf ({error}): install linux-perf"))
        })
}

/// One line for each stack: `thread;outermost;…;innermost count`.
fn folded(data: &Path) -> io::Result<String> {
    let mut script = Command::new("perf")
        .arg("script")
        .arg("-i")
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = script.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut folded = Vec::new();
    Folder::from(Folding::default()).collapse(BufReader::new(output), &mut folded)?;
    script.wait()?;
    Ok(String::from_utf8_lossy(&folded).into_owned())
}

fn drawn(stacks: &[(String, u64)]) -> io::Result<Vec<u8>> {
    let lines: Vec<String> = stacks
        .iter()
        .map(|(stack, count)| format!("{stack} {count}"))
        .collect();
    let mut options = flamegraph::Options::default();
    options.title = "A shard at its full rate, 64 connections, new ids".to_owned();
    options.count_name = "ns".to_owned();
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)
        .map_err(io::Error::other)?;
    Ok(svg)
}

impl Profile {
    pub(crate) fn answers_are_right(&self) -> bool {
        let run = &self.level.measured;
        run.other_than_200_count() == 0 && run.lost_count == 0
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (run, cpu_us) = (&self.level.measured, self.level.cpu_us());
        writeln!(f, "Machine: {}  ", self.machine)?;
        writeln!(
            f,
            "Server on CPU 0, load on CPU 1, {CONNECTIONS_COUNT} connections, new ids, HMAC: {:.0} requests/s, {cpu_us:.2} µs of CPU for each \
             ({:.2} user, {:.2} system) while samples of {:.1} s on the CPU were taken, which slows it down  ",
            run.per_second(),
            self.level.user_us(),
            self.level.system_us(),
            self.sampled.as_secs_f64(),
        )?;
        if self.level.others_share > 0.1 {
            let share = 100.0 * self.level.others_share;
            writeln!(
                f,
                "{share:.0} % of the CPU went to others: repeat on a quiet machine  "
            )?;
        }
        writeln!(f, "\n| stage | share | µs of a request |\n|---|---:|---:|")?;
        for (stage, share) in &self.budget {
            let us = share * cpu_us;
            writeln!(f, "| {stage} | {:.1} % | {us:.2} |", 100.0 * share)?;
        }
        Ok(())
    }
}
