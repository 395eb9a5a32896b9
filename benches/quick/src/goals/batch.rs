//! Batch requests (G4): records per second on one core, durable, each with its own outcome.

use std::io;
use std::time::Duration;

use flk_bench_load::batches::Batches;

use super::{Bench, Figure, Goals, Table, level_rows, median};
use crate::level::{self, Level};
use crate::server::Server;
use crate::{progress, start};

const CONNECTIONS_COUNT: usize = 4;
const RECORDS_COUNT: usize = 1000;
const RECORDS_PER_SECOND_MAX: usize = 400_000;
/// With SHA instructions, and without.
const RATE_MIN: [f64; 2] = [200_000.0, 160_000.0];

pub(super) fn measure(bench: &Bench<'_>, goals: &mut Goals, has_sha: bool) -> io::Result<()> {
    let server = start(|| Server::gateway(&bench.gateway, &bench.options.work_dir))?;
    let mut used = 0;
    let mut levels = Vec::new();
    for round in 1..=bench.rounds {
        progress(&format!("round {round} of {}, batches", bench.rounds));
        let count = RECORDS_PER_SECOND_MAX * bench.seconds as usize;
        let mut stock = level::sign(count, bench.allowed, &mut used)?;
        let address = server.running.address();
        let mut batches = Batches::connect(address, CONNECTIONS_COUNT, RECORDS_COUNT)?;
        let level = level::observe(&server, || {
            batches.run(&mut stock, Duration::from_secs(bench.seconds))
        })?;
        goals.check("batch", &level, 200);
        levels.push(level);
    }
    server.stop();
    let rate = median(levels.iter().map(|it: &Level| it.measured.per_second()));
    let rate_min = RATE_MIN[usize::from(!has_sha)];
    goals.figures.push(Figure {
        goal: "G4",
        what: "records/s in batches, one core".to_owned(),
        value: format!("{rate:.0}"),
        bound: format!("≥ {rate_min}"),
        met: rate >= rate_min,
    });
    let name = format!("{CONNECTIONS_COUNT} connections, {RECORDS_COUNT} records each time");
    goals.tables.push(Table {
        title: "Batches; a request here is a record, a latency that of its batch".to_owned(),
        text: level_rows([(name, levels.as_slice())].into_iter()),
    });
    Ok(())
}
