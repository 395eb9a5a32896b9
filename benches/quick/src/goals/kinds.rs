//! What is refused or known already beside what is new (G8): none of it may cost more than a fresh valid record.

use std::io;

use flk_bench_load::{Load, Stock};

use super::{Bench, Goals, Table, level_rows, median};
use crate::level::{self, Level};
use crate::server::Server;
use crate::{LOAD_CPU, progress, start};
use flk_bench_load::cpu;

const CONNECTIONS_COUNT: usize = 64;
const RECORDS_PER_SECOND_MAX: usize = 150_000;
/// Kinds and their answers.
const KINDS: [(&str, u16); 4] = [
    ("new", 200),
    ("duplicate", 200),
    ("bad signature", 401),
    ("malformed", 400),
];

pub(super) fn measure(bench: &Bench<'_>, goals: &mut Goals) -> io::Result<()> {
    let server = start(|| Server::gateway(&bench.gateway, &bench.options.work_dir))?;
    let mut load = Load::connect(server.running.address(), CONNECTIONS_COUNT)?;
    let mut levels: [Vec<Level>; KINDS.len()] = Default::default();
    let mut used = 0;
    let count = RECORDS_PER_SECOND_MAX * bench.seconds as usize;
    for round in 1..=bench.rounds {
        let mut stock = level::sign(count, bench.allowed, &mut used)?;
        for (at, (name, status)) in KINDS.into_iter().enumerate() {
            progress(&format!("round {round} of {}, {name}", bench.rounds));
            stock = match name {
                "duplicate" => stock.again(),
                "bad signature" => {
                    bench.allowed.apply()?;
                    // Of no record that is known, by a key that the gateway does not know.
                    let stock = Stock::sign(b"another key", used, count);
                    cpu::pin_to(LOAD_CPU)?;
                    stock
                }
                "malformed" => stock.again().spoilt(),
                _ => stock,
            };
            let level = level::run(&server, &mut load, &mut stock, bench.seconds)?;
            goals.check(name, &level, status);
            levels[at].push(level);
        }
    }
    server.stop();
    let cpu = |at: usize| median(levels[at].iter().map(Level::cpu_us));
    for (at, (name, _)) in KINDS.iter().enumerate().skip(1) {
        let what = format!("CPU of a {name} beside a new record");
        goals.at_most("G8", what, cpu(at) / cpu(0), 1.0);
    }
    let names = KINDS.iter().map(|(name, _)| (*name).to_owned());
    goals.tables.push(Table {
        title: format!("Kinds of requests, {CONNECTIONS_COUNT} connections"),
        text: level_rows(names.zip(levels.iter().map(Vec::as_slice))),
    });
    Ok(())
}
