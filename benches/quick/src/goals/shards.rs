//! Two shards beside one (G6): CPU per request, with the messages between them. The load shares the CPUs with the gateway, on one
//! as on two, so that no rate is claimed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use flk_bench_load::cpu::{self, CpuTime};
use flk_bench_load::{Load, Measured, Stock};

use super::{Bench, Goals, Table, median};
use crate::level;
use crate::progress;
use crate::server::Server;

const CONNECTIONS_EACH: usize = 128;
const RECORDS_PER_SECOND_MAX: usize = 80_000;
const CPU_MAX: f64 = 1.1;

/// CPU µs per request, and requests/s.
type Cost = (f64, f64);

pub(super) fn measure(bench: &Bench<'_>, goals: &mut Goals) -> io::Result<()> {
    // This thread may be where the load of an earlier part was.
    bench.allowed.apply()?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    if cpus < 2 {
        return Ok(());
    }
    let mut costs: [Vec<Cost>; 2] = Default::default();
    for round in 1..=bench.rounds {
        for shards in [1, 2] {
            progress(&format!(
                "round {round} of {}, {shards} shards",
                bench.rounds
            ));
            let cost = cost(bench, goals, shards)?;
            costs[shards - 1].push(cost);
        }
    }
    let cpu = |at: usize| median(costs[at].iter().map(|cost| cost.0));
    goals.at_most(
        "G6",
        "CPU per request, two shards beside one",
        cpu(1) / cpu(0),
        CPU_MAX,
    );
    let mut text = "| shards | CPU µs/req | requests/s |\n|---|---:|---:|\n".to_owned();
    for (at, costs) in costs.iter().enumerate() {
        let rate = median(costs.iter().map(|cost| cost.1));
        text += &format!("| {} | {:.2} | {rate:.0} |\n", at + 1, cpu(at));
    }
    goals.tables.push(Table {
        title: format!("Shards, {CONNECTIONS_EACH} connections each, load on the same CPUs"),
        text,
    });
    Ok(())
}

/// A gateway with that many shards and as many threads of load, one of each to a CPU.
fn cost(bench: &Bench<'_>, goals: &mut Goals, shards: usize) -> io::Result<Cost> {
    bench.allowed.apply()?;
    let list: Vec<String> = (0..shards).map(|cpu| cpu.to_string()).collect();
    // A list of one has to end with a comma: a number alone is a count.
    let text = format!("[process]\ncores = \"{},\"\n", list.join(","));
    let server = Server::configured(&bench.gateway, &bench.options.work_dir, &text)?;
    let mut used = 0;
    let count = RECORDS_PER_SECOND_MAX * bench.seconds as usize;
    let stocks: Vec<Stock> = (0..shards)
        .map(|_| level::sign(count, bench.allowed, &mut used))
        .collect::<io::Result<_>>()?;
    let before = CpuTime::of_process(server.running.id())?;
    let address = server.running.address();
    let seconds = Duration::from_secs(bench.seconds);
    let runs: Vec<io::Result<Measured>> = std::thread::scope(|scope| {
        let stocks = stocks.into_iter().enumerate();
        let threads: Vec<_> = stocks
            .map(|(at, stock)| scope.spawn(move || run(at, address, stock, seconds)))
            .collect();
        let ended = |it: std::thread::ScopedJoinHandle<'_, _>| {
            it.join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread of load ended")))
        };
        threads.into_iter().map(ended).collect()
    });
    let used = CpuTime::of_process(server.running.id())?.since(before);
    server.stop();
    let (mut answers, mut rate) = (0, 0.0);
    for run in runs {
        let run = run?;
        if run.other_than_200_count() + run.lost_count > 0 {
            goals.wrong.push(format!("shards: {}", run.answers_text()));
        }
        answers += run.answers_count;
        rate += run.per_second();
    }
    Ok((used.total().as_secs_f64() * 1e6 / answers as f64, rate))
}

fn run(
    at: usize,
    address: SocketAddr,
    mut stock: Stock,
    seconds: Duration,
) -> io::Result<Measured> {
    cpu::pin_to(at)?;
    Load::connect(address, CONNECTIONS_EACH)?.run(&mut stock, seconds)
}
