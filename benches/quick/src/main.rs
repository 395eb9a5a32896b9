//! `make bench-quick`: the device's flush time, the floor of loopback HTTP, then the gateway on one core beside them.
//! It reports figures and whether the targets were met; it never fails for a slow machine, only for wrong answers.

mod device;
mod goals;
mod level;
mod machine;
mod options;
mod peers;
mod profile;
mod rates;
mod record;
mod report;
mod rotation;
mod scrape;
mod sealing;
mod server;
mod store;
mod tenants;
mod tree;

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
const WRONG_ANSWERS: &str = "answers other than 200, or lost connections";

fn main() -> ExitCode {
    match run() {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            eprintln!(
                "bench-quick: the figures do not count: {}",
                wrong.join("; ")
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench-quick: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, prints, and records where asked; then why the figures do not count, where they do not.
fn run() -> io::Result<Vec<String>> {
    let options = Options::from_arguments(std::env::args().skip(1)).map_err(io::Error::other)?;
    std::fs::create_dir_all(&options.work_dir)?;
    let allowed = Affinity::of_this_thread()?;
    let machine = Machine::look(&options.work_dir)?;
    if options.only == Some(Only::Goals) {
        let goals = goals::measure(machine, &options, &allowed)?;
        show(&options, &goals.machine, &goals)?;
        return Ok(goals.wrong);
    }
    if options.only == Some(Only::Noisy) {
        let noisy = tenants::measure(machine, &options, &allowed)?;
        show(&options, &noisy.machine, &noisy)?;
        let mut wrong = unless(noisy.answers_are_right(), WRONG_ANSWERS);
        wrong.extend(unless(noisy.is_valid(), "the machine is too noisy to tell"));
        return Ok(wrong);
    }
    if options.only == Some(Only::Peers) {
        let peers = peers::measure(machine, &options, &allowed)?;
        show(&options, &peers.machine, &peers)?;
        return Ok(peers.wrong);
    }
    if options.only == Some(Only::Profile) {
        let profile = profile::measure(machine, &options, &allowed)?;
        println!("{profile}");
        if options.record {
            let page = profile.to_string();
            let path = record::write(&profile.machine, &options, &page, Some(&profile.flamegraph))?;
            println!("recorded in {}", path.display());
        }
        return Ok(unless(profile.answers_are_right(), WRONG_ANSWERS));
    }
    if options.only == Some(Only::Rates) {
        let rates = rates::measure(machine, &options, &allowed)?;
        show(&options, &rates.machine, &rates)?;
        return Ok(unless(rates.answers_are_right(), WRONG_ANSWERS));
    }
    if options.only == Some(Only::Rotation) {
        let rotation = rotation::run(machine, &options, &allowed)?;
        show(&options, &rotation.machine, &rotation)?;
        return Ok(unless(rotation.nothing_was_refused(), WRONG_ANSWERS));
    }
    if options.only == Some(Only::Sealing) {
        let sealing = sealing::measure(machine, &options, &allowed)?;
        show(&options, &sealing.machine, &sealing)?;
        return Ok(unless(sealing.answers_are_right(), WRONG_ANSWERS));
    }
    if options.only == Some(Only::Store) {
        let store = store::measure(machine, &options, &allowed)?;
        show(&options, &store.machine, &store)?;
        return Ok(store.wrong_answers());
    }
    let report = servers(machine, &options, &allowed)?;
    show(&options, &report.machine, &report)?;
    Ok(unless(report.answers_are_right(), WRONG_ANSWERS))
}

/// Device, floor and gateway, one after the other.
fn servers(machine: Machine, options: &Options, allowed: &Affinity) -> io::Result<Report> {
    let mut report = Report::new(machine);

    progress("device flush time");
    report.device = Some(device::measure(&options.work_dir, Duration::from_secs(3))?);
    if options.only != Some(Only::Gateway) {
        let binary = options.binary("flk-bench-floor")?;
        let server = start(|| Server::floor(&binary))?;
        report.floor = levels("floor", &server, allowed, options.third_s)?;
        server.stop();
    }
    if options.only != Some(Only::Floor) {
        let binary = options.binary("flk-dataplane")?;
        let server = start(|| Server::gateway(&binary, &options.work_dir))?;
        report.gateway = levels("gateway", &server, allowed, options.gateway_s)?;
        server.stop();
    }
    allowed.apply()?;
    Ok(report)
}

/// What is wrong, unless all is right.
fn unless(is_right: bool, wrong: &str) -> Vec<String> {
    if is_right {
        return Vec::new();
    }
    vec![wrong.to_owned()]
}

/// Prints what was measured, and records it where that was asked for.
fn show(options: &Options, machine: &Machine, report: &impl std::fmt::Display) -> io::Result<()> {
    println!("{report}");
    if options.record {
        let path = record::write(machine, options, &report.to_string(), None)?;
        println!("recorded in {}", path.display());
    }
    Ok(())
}

/// A child inherits the CPU of the thread that starts it; so do the threads which it starts.
fn start<T>(server: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
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
