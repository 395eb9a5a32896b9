//! `make bench-quick`: the device's flush time, the floor of loopback HTTP, then the gateway on one core beside them.
//! It reports figures and whether the targets were met; it never fails for a slow machine, only for wrong answers.

mod device;
mod level;
mod machine;
mod options;
mod record;
mod report;
mod scrape;
mod server;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use flk_bench_load::cpu::{self, Affinity};

use level::Level;
use machine::Machine;
use options::{Only, Options};
use report::Report;
use server::Server;

/// What every level is measured at.
const CONNECTIONS_COUNTS: [usize; 3] = [16, 64, 256];
/// The server alone has the first of them, the load the second.
const SERVER_CPU: usize = 0;
const LOAD_CPU: usize = 1;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!(
                "bench-quick: answers other than 200, or lost connections: the figures do not count"
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench-quick: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, prints, and records where asked; `false` when answers were wrong.
fn run() -> io::Result<bool> {
    let options = Options::from_arguments(std::env::args().skip(1)).map_err(io::Error::other)?;
    std::fs::create_dir_all(&options.work_dir)?;
    let allowed = Affinity::of_this_thread()?;
    let mut report = Report::new(Machine::look(&options.work_dir)?);

    progress("device flush time");
    report.device = Some(device::measure(&options.work_dir, Duration::from_secs(3))?);
    if options.only != Some(Only::Gateway) {
        let binary = options.binary("flk-bench-floor")?;
        let server = start(|| Server::floor(&binary))?;
        report.floor = levels("floor", &server, &allowed, options.floor_s)?;
        server.stop();
    }
    if options.only != Some(Only::Floor) {
        let binary = options.binary("flk-dataplane")?;
        let server = start(|| Server::gateway(&binary, &options.work_dir))?;
        report.gateway = levels("gateway", &server, &allowed, options.gateway_s)?;
        server.stop();
    }
    allowed.apply()?;

    let text = report.to_string();
    println!("{text}");
    if options.record {
        let path = record::write(&report.machine, options.machine.as_deref(), &text)?;
        println!("recorded in {}", path.display());
    }
    Ok(report.answers_are_right())
}

/// A child inherits the CPU of the thread that starts it; so do the threads which it starts.
fn start(server: impl FnOnce() -> io::Result<Server>) -> io::Result<Server> {
    cpu::pin_to(SERVER_CPU)?;
    server()
}

fn levels(name: &str, server: &Server, allowed: &Affinity, seconds: u64) -> io::Result<Vec<Level>> {
    let mut records_used = 0;
    let mut results = Vec::new();
    for connections_count in CONNECTIONS_COUNTS {
        progress(&format!(
            "{name}, {connections_count} connections, {seconds} s"
        ));
        results.push(level::measure(
            server,
            connections_count,
            seconds,
            allowed,
            &mut records_used,
        )?);
    }
    Ok(results)
}

fn progress(what: &str) {
    eprintln!("bench-quick: {what} ...");
}
