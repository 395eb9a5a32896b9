//! Rate and CPU per request beside the floor of loopback HTTP (G1), and of one driver beside the other (G10).

use std::io;

use super::{Bench, Goals, Table, level_rows, median};
use crate::level::{self, Level};
use crate::server::Server;
use crate::{CONNECTIONS_COUNTS, progress, start};

/// Least share of the floor's rate and greatest multiple of its CPU per request, for each number of connections.
const FLOOR_BOUNDS: [(f64, f64); 3] = [(0.5, 1.6), (0.85, 1.2), (1.0, 1.1)];
/// User time of a request, in µs.
const USER_US_MAX: f64 = 2.0;
/// CPU of io_uring beside that of the portable driver, from this number of connections on.
const URING_CPU_MAX: f64 = 0.85;
const URING_CONNECTIONS_MIN: usize = 64;

struct Contender {
    name: &'static str,
    server: Server,
    records_used: u64,
    /// For each number of connections, round by round.
    levels: [Vec<Level>; CONNECTIONS_COUNTS.len()],
}

impl Contender {
    fn new(name: &'static str, server: Server) -> Self {
        Self {
            name,
            server,
            records_used: 0,
            levels: Default::default(),
        }
    }

    fn median(&self, at: usize, figure: impl Fn(&Level) -> f64) -> f64 {
        median(self.levels[at].iter().map(figure))
    }
}

pub(super) fn measure(bench: &Bench<'_>, goals: &mut Goals) -> io::Result<()> {
    let floor = bench.options.binary("flk-bench-floor")?;
    let driven = |name: &'static str| {
        let text = format!("[process]\ndriver = \"{name}\"\n");
        start(|| Server::named(name, &bench.gateway, &bench.options.work_dir, &text))
    };
    let mut contenders = [
        Contender::new("floor", start(|| Server::floor(&floor))?),
        Contender::new("uring", driven("uring")?),
        Contender::new("portable", driven("portable")?),
    ];
    for round in 1..=bench.rounds {
        for (at, connections_count) in CONNECTIONS_COUNTS.into_iter().enumerate() {
            for it in &mut contenders {
                progress(&format!(
                    "round {round} of {}, {}, {connections_count} connections",
                    bench.rounds, it.name
                ));
                let level = level::measure(
                    &it.server,
                    connections_count,
                    bench.seconds,
                    bench.allowed,
                    &mut it.records_used,
                )?;
                goals.check(it.name, &level, 200);
                it.levels[at].push(level);
            }
        }
    }
    judge(&contenders, goals);
    let rows = contenders.iter().flat_map(|it| {
        let levels = CONNECTIONS_COUNTS.iter().zip(&it.levels);
        levels.map(|(count, levels)| (format!("{}, {count}", it.name), levels.as_slice()))
    });
    goals.tables.push(Table {
        title: "Servers, by connections".to_owned(),
        text: level_rows(rows),
    });
    for it in contenders {
        it.server.stop();
    }
    Ok(())
}

fn judge(contenders: &[Contender; 3], goals: &mut Goals) {
    let [floor, uring, portable] = contenders;
    for (at, count) in CONNECTIONS_COUNTS.into_iter().enumerate() {
        let (rate_min, cpu_max) = FLOOR_BOUNDS[at];
        let rate = |it: &Contender| it.median(at, |level| level.measured.per_second());
        let cpu = |it: &Contender| it.median(at, Level::cpu_us);
        let what = |of: &str| format!("{of} beside the floor, {count} connections");
        goals.at_least("G1", what("rate"), rate(uring) / rate(floor), rate_min);
        goals.at_most(
            "G1",
            what("CPU per request"),
            cpu(uring) / cpu(floor),
            cpu_max,
        );
        if count >= URING_CONNECTIONS_MIN {
            let user = uring.median(at, Level::user_us);
            let what = format!("user µs per request, {count} connections");
            goals.at_most("G1", what, user, USER_US_MAX);
            let what = format!("CPU of io_uring beside portable, {count} connections");
            goals.at_most("G10", what, cpu(uring) / cpu(portable), URING_CPU_MAX);
        }
    }
}
