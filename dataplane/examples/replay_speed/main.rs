//! Measures how fast `flk wal replay` judges: makes a WAL_DIR of signed records by the product's own writers, runs the real command on
//! it with one thread and with one for each CPU, prints bodies per second of a CPU, and removes the directory again.
//!
//! `make replay-speed` builds what it needs and runs it. `--bodies` (1000000) · `--dir` where to make the directory (that for temporary
//! files) · `--flk` another binary. It fails where the command does not judge every body.

#[path = "../start_time/directory.rs"]
mod directory;

use directory::Plan;
use flk_testkit::records::{KEY, record};
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The goal, in bodies per second of a CPU.
const GOAL_PER_S: f64 = 200_000.0;
/// Runs of each kind; the fastest counts, because others use this machine too.
const RUNS: usize = 3;

fn option(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

/// The command that was built beside this example.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.parent().and_then(Path::parent).unwrap_or(Path::new(""));
    Ok(option("--flk").map_or(beside.join("flk"), PathBuf::from))
}

/// What one run took.
#[derive(Clone, Copy)]
struct Took {
    wall_s: f64,
    cpu_s: f64,
}

fn run(flk: &Path, dir: &Path, jobs: usize, bodies: u64) -> Result<Took> {
    let before = children_cpu_s();
    let begun = Instant::now();
    let output = Command::new(flk)
        .args([
            "wal",
            "replay",
            "--output",
            "json",
            "--jobs",
            &jobs.to_string(),
            "--dir",
        ])
        .arg(dir)
        .env("PCS_HMAC_KEY", KEY)
        .env_remove("FLK_CONFIG")
        .env_remove("PCS_SIGN_ALG")
        .output()?;
    let took = Took {
        wall_s: begun.elapsed().as_secs_f64(),
        cpu_s: children_cpu_s() - before,
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let expect = format!("\"bodies\":{bodies},");
    let total = said.lines().last().unwrap_or_default();
    match total.contains(&expect) {
        true => Ok(took),
        false => {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(Error::other(format!(
                "not every body was judged: {total} {why}"
            )))
        }
    }
}

/// CPU time of all children that have ended.
fn children_cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name in parentheses; the 14th and 15th field of those are user and system time of children, in ticks.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_ascii_whitespace().skip(13).take(2);
    let ticks: u64 = ticks.filter_map(|it| it.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn main() -> Result<()> {
    let bodies = option("--bodies").map_or(Ok(1_000_000), |text| {
        text.parse()
            .map_err(|_| Error::other("--bodies: a number is wanted"))
    })?;
    let parent = option("--dir").map_or(std::env::temp_dir(), PathBuf::from);
    let dir = tempfile::tempdir_in(parent)?;
    let plan = Plan {
        sealed_count: bodies,
        slices_count: 1,
        covered_count: bodies,
        unsealed_count: 0,
        segment_bytes: 64 << 20,
        record: Some(record),
        first_id: None,
    };
    let made = directory::make(dir.path(), &plan)?;
    let mib = (made.covered_bytes + made.unsealed_bytes) >> 20;
    println!("{bodies} signed records in {mib} MiB of log");
    let flk = binary()?;
    let cpus = std::thread::available_parallelism()?.get();
    for jobs in [1, cpus] {
        let runs: Result<Vec<Took>> = (0..RUNS)
            .map(|_| run(&flk, dir.path(), jobs, bodies))
            .collect();
        let runs = runs?;
        let least = |of: fn(&Took) -> f64| runs.iter().map(of).fold(f64::INFINITY, f64::min);
        let (wall_s, cpu_s) = (least(|it| it.wall_s), least(|it| it.cpu_s));
        let (per_s, per_cpu_s) = (bodies as f64 / wall_s, bodies as f64 / cpu_s);
        let met = match per_cpu_s >= GOAL_PER_S {
            true => "met",
            false => "MISSED",
        };
        println!(
            "--jobs {jobs}: {per_s:.0} bodies/s, {per_cpu_s:.0} bodies/s of a CPU (goal {GOAL_PER_S:.0}: {met})"
        );
    }
    Ok(())
}
