//! What connections cost (G9): those that end behind ten requests, and those that are open and say nothing.

use std::io;
use std::net::TcpStream;

use flk_bench_load::Load;

use super::{Bench, Figure, Goals, Table, level_rows, median};
use crate::level::{self, Level};
use crate::server::Server;
use crate::{progress, start};

const CONNECTIONS_COUNT: usize = 64;
const RECORDS_PER_SECOND_MAX: usize = 130_000;
const ANSWERS_MAX: u32 = 10;
/// What one shard keeps beside those that are busy.
const IDLE_COUNT: usize = 4000;
const IDLE_BYTES_MAX: f64 = 1024.0;
/// The rate beside idle connections may be that much of the rate without, for noise.
const IDLE_RATE_MIN: f64 = 0.97;

pub(super) fn measure(bench: &Bench<'_>, goals: &mut Goals) -> io::Result<()> {
    let server = start(|| Server::gateway(&bench.gateway, &bench.options.work_dir))?;
    let mut used = 0;
    let [mut kept, mut renewed, mut beside] = [Vec::new(), Vec::new(), Vec::new()];
    let mut idle_bytes = Vec::new();
    for round in 1..=bench.rounds {
        progress(&format!("round {round} of {}, connections", bench.rounds));
        kept.push(level(bench, &server, None, &mut used)?);
        renewed.push(level(bench, &server, Some(ANSWERS_MAX), &mut used)?);
        let before = resident_bytes(&server)?;
        let idle = open_idle(&server)?;
        let taken = resident_bytes(&server)?.saturating_sub(before);
        idle_bytes.push(taken as f64 / IDLE_COUNT as f64);
        beside.push(level(bench, &server, None, &mut used)?);
        drop(idle);
    }
    server.stop();
    for level in [&kept, &renewed, &beside].into_iter().flatten() {
        goals.check("connections", level, 200);
    }
    let rate = |levels: &[Level]| median(levels.iter().map(|it| it.measured.per_second()));
    let what = format!("rate with connections of {ANSWERS_MAX} requests beside kept ones");
    goals.at_least("G9", what, rate(&renewed) / rate(&kept), 0.5);
    let what = format!("rate beside {IDLE_COUNT} idle connections");
    goals.at_least("G9", what, rate(&beside) / rate(&kept), IDLE_RATE_MIN);
    // The first ones: what was freed serves those of later rounds.
    let bytes = idle_bytes.iter().copied().fold(0.0, f64::max);
    goals.figures.push(Figure {
        goal: "G9",
        what: "bytes of the process for an idle connection".to_owned(),
        value: format!("{bytes:.0}"),
        bound: format!("≤ {IDLE_BYTES_MAX}"),
        met: bytes <= IDLE_BYTES_MAX,
    });
    let rows = [
        ("kept open".to_owned(), kept.as_slice()),
        (format!("closed after {ANSWERS_MAX}"), &renewed),
        (format!("kept open, {IDLE_COUNT} idle ones beside"), &beside),
    ];
    goals.tables.push(Table {
        title: format!("Connections, {CONNECTIONS_COUNT} of them busy"),
        text: level_rows(rows.into_iter()),
    });
    Ok(())
}

fn level(
    bench: &Bench<'_>,
    server: &Server,
    answers_max: Option<u32>,
    used: &mut u64,
) -> io::Result<Level> {
    let count = RECORDS_PER_SECOND_MAX * bench.seconds as usize;
    let mut stock = level::sign(count, bench.allowed, used)?;
    let mut load = Load::connect(server.running.address(), CONNECTIONS_COUNT)?;
    if let Some(answers) = answers_max {
        load = load.renewed_after(answers);
    }
    level::run(server, &mut load, &mut stock, bench.seconds)
}

/// Connections that the gateway has taken; it is asked on another one, behind them.
fn open_idle(server: &Server) -> io::Result<Vec<TcpStream>> {
    let open = |_| TcpStream::connect(server.running.address());
    let idle: Vec<TcpStream> = (0..IDLE_COUNT).map(open).collect::<io::Result<_>>()?;
    let metrics = server.running.try_get("/metrics");
    let metrics = metrics.map(|it| it.text().to_owned()).unwrap_or_default();
    match crate::scrape::sample(&metrics, "flk_connections") {
        Some(open) if open >= IDLE_COUNT as f64 => Ok(idle),
        other => Err(io::Error::other(format!(
            "of {IDLE_COUNT} idle connections the gateway has {other:?}"
        ))),
    }
}

/// Memory of the process that is there, from `/proc/ID/status`.
fn resident_bytes(server: &Server) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.running.id()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other("/proc names no VmRSS"))
}
