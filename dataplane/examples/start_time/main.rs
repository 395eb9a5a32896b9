//! Measures how long a start takes: makes a WAL_DIR of some million live decisions by the product's own writers, starts
//! the real gateway on it, prints what that took, and removes it again.
//!
//! `cargo build --release -p flk-dataplane && cargo run --release -p flk-dataplane --example start_time -- [--keys N,N,…]`
//!
//! `--keys` sealed decisions (1000000) · `--unsealed` decisions that are in no slice (100000) · `--slices` (14) ·
//! `--dir` where to make it (the directory for temporary files) · `--without-covered-log` leaves out the log that slices
//! cover · `--gateway` another binary · `--memory` DEDUP_MEMORY_MAX (what the unsealed ones need) · `--lines` shows what it said.

mod directory;
mod gateway;

use directory::Plan;
use gateway::Measured;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

const MIB: f64 = (1 << 20) as f64;

fn option(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn number(name: &str, default: u64) -> Result<u64> {
    let wrong = |_| Error::other(format!("{name}: a number is wanted"));
    option(name).map_or(Ok(default), |text| text.parse().map_err(wrong))
}

/// The gateway that was built beside this example.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.parent().and_then(Path::parent).unwrap_or(Path::new(""));
    let binary = option("--gateway").map_or(beside.join("flk-dataplane"), PathBuf::from);
    if binary.is_file() {
        return Ok(binary);
    }
    let at = binary.display();
    Err(Error::other(format!(
        "{at} is not there: `cargo build --release -p flk-dataplane` makes it"
    )))
}

/// About how much room a directory takes: entries of slices, log, and what is filled with zeros.
fn room_bytes(plan: &Plan) -> u64 {
    plan.sealed_count * 80 + (plan.covered_count + plan.unsealed_count) * 900 + (4 << 26)
}

/// A directory of this process, removed when it goes.
struct Scratch(PathBuf);

impl Scratch {
    fn make(plan: &Plan) -> Result<Scratch> {
        let parent = option("--dir").map_or(std::env::temp_dir(), PathBuf::from);
        let space = rustix::fs::statvfs(&parent)?;
        let free_bytes = space.f_bavail * space.f_frsize;
        if free_bytes < room_bytes(plan) / 4 * 5 {
            return Err(Error::other(format!(
                "{}: {:.0} MiB are free, {:.0} MiB are needed; --dir names another place",
                parent.display(),
                free_bytes as f64 / MIB,
                room_bytes(plan) as f64 * 1.25 / MIB,
            )));
        }
        let own = parent.join(format!("flk-start-time-{}", std::process::id()));
        std::fs::create_dir(&own)?;
        Ok(Scratch(own))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(sealed_count: u64, binary: &Path) -> Result<()> {
    let without_covered = std::env::args().any(|it| it == "--without-covered-log");
    let plan = Plan {
        sealed_count,
        slices_count: number("--slices", 14)?,
        covered_count: if without_covered { 0 } else { sealed_count },
        unsealed_count: number("--unsealed", 100_000)?,
        segment_bytes: 64 << 20,
        record: None,
        first_id: None,
    };
    let scratch = Scratch::make(&plan)?;
    let made = directory::make(&scratch.0, &plan)?;
    // What is in no slice takes a quarter of it.
    let needed_mib = plan.unsealed_count * 4 * 72 / (1 << 20) + 64;
    let memory = option("--memory").unwrap_or(format!("{needed_mib}MiB"));
    let settings = [("DEDUP_MEMORY_MAX", memory)];
    let measured = gateway::measure(binary, &scratch.0, &settings, |_| ())?;
    if std::env::args().any(|it| it == "--lines") {
        for (at, line) in &measured.said {
            eprintln!("{:8.3} {line}", at.as_secs_f64());
        }
    }
    let Measured {
        livez,
        ready,
        slowest,
        cpu,
        ..
    } = measured;
    let mib = |bytes: u64| bytes as f64 / MIB;
    println!(
        "| {:.1} | {:.1} | {:.0} | {:.0} | {:.0} | {:.3} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.3} |",
        plan.sealed_count as f64 / 1e6,
        measured.keys_count as f64 / 1e6,
        mib(made.slices_bytes),
        mib(made.unsealed_bytes),
        mib(made.covered_bytes),
        livez.as_secs_f64(),
        ready.as_secs_f64(),
        cpu.as_secs_f64(),
        mib(measured.read_bytes),
        mib(measured.peak_bytes),
        mib(measured.resident_bytes),
        slowest.as_secs_f64(),
    );
    Ok(())
}

fn main() -> Result<()> {
    let binary = binary()?;
    println!(
        "| M keys sealed | M keys in tables | slices MiB | unsealed log MiB | covered log MiB | livez s | ready s | CPU s | read MiB | peak RSS MiB | RSS MiB | slowest probe s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for text in option("--keys").unwrap_or("1000000".into()).split(',') {
        let wrong = |_| Error::other(format!("--keys {text}: a number is wanted"));
        run(text.parse().map_err(wrong)?, &binary)?;
    }
    Ok(())
}
