//! A rotation of keys with an overlap while requests come as fast as they can: old key, both, new key. Each step goes through the
//! configuration file and flk-control, under load. It fails if a single valid request is refused.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flk_bench_load::cpu::{self, Affinity};
use flk_bench_load::{Load, Measured, Stock};
use flk_testkit::DEADLINE;
use flk_testkit::gateway::Gateway;
use flk_testkit::plan::Plan;

use crate::machine::Machine;
use crate::options::Options;
use crate::{LOAD_CPU, progress, start};

const CONNECTIONS_COUNT: usize = 64;
const TENANT: &str = "acme";
const OLD: &str = "the key that ends in this rotation, and signs no more";
const NEW: &str = "the key that begins in this rotation, and signs on and on";
/// Requests are sent in so many parts; the configuration changes in the middle of two of them.
const PARTS_COUNT: usize = 12;
/// Nothing ends a part but its last record.
const NO_END: Duration = Duration::from_secs(24 * 3600);

/// A change of the configuration under load.
struct Step {
    what: &'static str,
    /// From the command that changes the file until the snapshot is in force on all shards.
    took: Duration,
    /// How long the load went on.
    load: Duration,
}

pub(crate) struct Rotation {
    pub(crate) machine: Machine,
    requests_count: u64,
    elapsed: Duration,
    /// Answers other than 200, and lost connections.
    refused_count: u64,
    p99_us: f64,
    steps: Vec<Step>,
}

impl Rotation {
    /// Every request got its 200, and each change was in force before the load that met it was over.
    pub(crate) fn nothing_was_refused(&self) -> bool {
        self.refused_count == 0 && self.steps.iter().all(|step| step.took < step.load)
    }

    fn add(&mut self, part: &Measured) {
        self.requests_count += part.answers_count;
        self.refused_count += part.other_than_200_count() + part.lost_count;
        self.elapsed += part.elapsed;
        self.p99_us = self.p99_us.max(part.latency_us(0.99));
    }
}

/// The directory of one run; it is removed with it.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("bench-quick: {} remains: {error}", self.0.display());
        }
    }
}

/// Rotates the key of a tenant under so many requests.
pub(crate) fn run(machine: Machine, options: &Options, allowed: &Affinity) -> io::Result<Rotation> {
    let flk = options.binary("flk")?;
    let name = format!("rotation-{}", std::process::id());
    let directory = Directory(options.work_dir.canonicalize()?.join(name));
    write_configuration(&directory.0)?;
    let gateway = start(|| serving(&flk, &directory.0))?;
    let admin = admin_of(&gateway)?;
    let mut load = Load::connect_as(gateway.address(), CONNECTIONS_COUNT, Some(TENANT))?;
    let mut done = Rotation {
        machine,
        requests_count: 0,
        elapsed: Duration::ZERO,
        refused_count: 0,
        p99_us: 0.0,
        steps: Vec::new(),
    };
    let part_count = options.requests.div_ceil(PARTS_COUNT);
    for part in 0..PARTS_COUNT {
        // A third of the parts is signed by the old key, a third by both in turn, a third by the new one.
        let (keys, named): (&[&[u8]], _) = match part * 3 / PARTS_COUNT {
            0 => (&[OLD.as_bytes()], "the old key"),
            1 => (&[OLD.as_bytes(), NEW.as_bytes()], "both keys in turn"),
            _ => (&[NEW.as_bytes()], "the new key"),
        };
        allowed.apply()?;
        let first = (part * part_count) as u64;
        let mut stock = Stock::sign_in_turn(keys, first, part_count);
        let change = change_in(part);
        let (measured, step) = std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                cpu::pin_to(LOAD_CPU)?;
                load.run(&mut stock, NO_END)
            });
            let step = change.map(|change| changed(&flk, &directory.0, &admin, change));
            let measured = sending
                .join()
                .map_err(|_| io::Error::other("the load broke off"))?;
            Ok::<_, io::Error>((measured?, step.transpose()?))
        })?;
        done.add(&measured);
        progress(&format!(
            "{} of {} requests, signed by {named}, {:.0}/s, {} refused",
            done.requests_count,
            options.requests,
            measured.per_second(),
            done.refused_count
        ));
        done.steps.extend(step.map(|(what, took)| Step {
            what,
            took,
            load: measured.elapsed,
        }));
    }
    gateway.stop();
    Ok(done)
}

/// A change of the configuration by a command of `flk keys`.
#[derive(Clone, Copy)]
struct Change {
    what: &'static str,
    arguments: &'static [&'static str],
}

/// The new key is added while the old one signs, and the old one ends while the new one does.
fn change_in(part: usize) -> Option<Change> {
    let before_both = PARTS_COUNT / 3 - 1;
    let behind_both = PARTS_COUNT * 2 / 3;
    match part {
        _ if part == before_both => Some(Change {
            what: "the new key verifies beside the old one",
            arguments: &["rotate", TENANT, "--key-file", "new.key", "--id", "new"],
        }),
        _ if part == behind_both => Some(Change {
            what: "the old key verifies no more",
            arguments: &["revoke", TENANT, "old"],
        }),
        _ => None,
    }
}

fn write_configuration(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join("old.key"), OLD)?;
    std::fs::write(directory.join("new.key"), NEW)?;
    let old = directory.join("old.key");
    let text = format!(
        "[[tenants]]\nid = \"{TENANT}\"\n\n[[tenants.keys]]\nid = \"old\"\nfile = \"{}\"\n",
        old.display()
    );
    std::fs::write(directory.join("flk.toml"), text)
}

/// `flk up` with its control process.
fn serving(flk: &Path, directory: &Path) -> io::Result<Gateway> {
    let mut plan = Plan::bare(flk)
        .with_arguments(&["up", "--cores", "1", "--port", "0"])
        .in_directory(directory)
        .with("FLK_CONFIG", "flk.toml")
        .with("ADMIN_LISTEN", "127.0.0.1:0");
    for name in ["PATH", "FLK_DRIVER", "DEDUP_MEMORY_MAX"] {
        if let Some(value) = std::env::var_os(name) {
            plan = plan.with_bytes(name, value.as_encoded_bytes());
        }
    }
    let mut gateway = plan.launch().map_err(io::Error::other)?;
    gateway
        .wait_until_ready(DEADLINE)
        .map_err(io::Error::other)?;
    Ok(gateway)
}

/// Where its control process listens.
fn admin_of(gateway: &Gateway) -> io::Result<String> {
    const SAID: &str = "admin API on http://";
    gateway.wait_until_said(SAID);
    let said = gateway.said();
    let rest = said.rsplit(SAID).next().and_then(|it| it.split(',').next());
    rest.map(str::to_owned)
        .ok_or_else(|| io::Error::other("control names no address"))
}

/// Changes the file, and waits until that is in force.
fn changed(
    flk: &Path,
    directory: &Path,
    admin: &str,
    change: Change,
) -> io::Result<(&'static str, Duration)> {
    let begun = Instant::now();
    command(flk, directory, &[&["keys"], change.arguments].concat())?;
    command(flk, directory, &["config", "reload", "--admin", admin])?;
    Ok((change.what, begun.elapsed()))
}

fn command(flk: &Path, directory: &Path, arguments: &[&str]) -> io::Result<()> {
    let output = Command::new(flk)
        .args(arguments)
        .current_dir(directory)
        .env("FLK_CONFIG", "flk.toml")
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "flk {}: {said}",
        arguments.join(" ")
    )))
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Machine: {}  ", self.machine)?;
        writeln!(
            f,
            "flk up and its control process on CPU 0, load on CPU 1, {CONNECTIONS_COUNT} connections of one tenant\n"
        )?;
        writeln!(
            f,
            "| requests | refused | requests/s | worst p99 of a part, µs |"
        )?;
        writeln!(f, "|---:|---:|---:|---:|")?;
        writeln!(
            f,
            "| {} | {} | {:.0} | {:.0} |\n",
            self.requests_count,
            self.refused_count,
            self.requests_count as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE),
            self.p99_us
        )?;
        for Step { what, took, load } in &self.steps {
            let (took, load) = (took.as_secs_f64(), load.as_secs_f64());
            writeln!(
                f,
                "- {what}: in force {took:.2} s after the command began, under {load:.2} s of load"
            )?;
            if took >= load {
                writeln!(
                    f,
                    "  WRONG: the load was over before: ask for more --requests"
                )?;
            }
        }
        Ok(())
    }
}
