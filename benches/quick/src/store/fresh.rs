//! New ids as fast as a gateway takes them, on one that has no sealed ids and on one that has many, in turn: the machine is
//! compared with itself in the same run. What a look-up adds shows as rate, as CPU time, and as blocks that are read in vain.

use std::io;
use std::time::Duration;

use flk_bench_load::cpu::{self, Affinity, CpuTime};
use flk_bench_load::{Load, Measured, Stock};

use super::{RECORDS_PER_SECOND_MAX, page_of};
use crate::scrape::sample;
use crate::server::{KEY, Server};
use crate::tenants::verdict::at_rank;
use crate::{LOAD_CPU, SERVER_CPU};

const CONNECTIONS_COUNT: usize = 64;

/// One stretch of load.
pub(super) struct Run {
    pub(super) measured: Measured,
    /// Of the process, for each answer.
    pub(super) cpu_us: f64,
    /// Time of its CPU that went to anything else, as a share.
    pub(super) others_share: f64,
    /// Blocks of slices that were read for each id.
    pub(super) reads_per_id: f64,
    /// Records in a batch of the log, which is one flush.
    pub(super) batch_records: f64,
}

/// Sends new ids for so long.
pub(super) fn run(
    server: &Server,
    seconds: u64,
    allowed: &Affinity,
    records_used: &mut u64,
) -> io::Result<Run> {
    let count = RECORDS_PER_SECOND_MAX * seconds as usize;
    allowed.apply()?;
    let mut stock = Stock::sign(KEY.as_bytes(), *records_used, count);
    *records_used += count as u64;
    cpu::pin_to(LOAD_CPU)?;
    let mut load = Load::connect(server.running.address(), CONNECTIONS_COUNT)?;
    let counts = || {
        let page = page_of(server);
        ["flk_slice_reads_total", "flk_wal_syncs"]
            .map(|name| sample(&page, name).unwrap_or(f64::NAN))
    };
    let [reads_before, batches_before] = counts();
    let cpu_before = CpuTime::of_process(server.running.id())?;
    let busy_before = cpu::busy_of_cpu(SERVER_CPU)?;
    let measured = load.run(&mut stock, Duration::from_secs(seconds))?;
    let busy = cpu::busy_of_cpu(SERVER_CPU)?.saturating_sub(busy_before);
    let cpu = CpuTime::of_process(server.running.id())?.since(cpu_before);
    let [reads, batches] = counts();
    let answers = measured.answers_count.max(1) as f64;
    let others = busy.saturating_sub(cpu.total()).as_secs_f64();
    Ok(Run {
        cpu_us: cpu.total().as_secs_f64() * 1e6 / answers,
        others_share: others / measured.elapsed.as_secs_f64(),
        reads_per_id: (reads - reads_before) / answers,
        batch_records: answers / (batches - batches_before),
        measured,
    })
}

/// Rounds of a gateway without sealed ids and of one with them.
#[derive(Default)]
pub(super) struct Rounds {
    pub(super) without: Vec<Run>,
    pub(super) with: Vec<Run>,
}

impl Rounds {
    /// One of each; which one comes first changes, as the disk may remember which came before.
    pub(super) fn add(
        &mut self,
        [without, with]: [&Server; 2],
        seconds: u64,
        allowed: &Affinity,
        records_used: &mut u64,
    ) -> io::Result<()> {
        let mut run = |server| run(server, seconds, allowed, records_used);
        let pair = match self.with.len() % 2 {
            0 => [run(without)?, run(with)?],
            _ => {
                let with = run(with)?;
                [run(without)?, with]
            }
        };
        let [without, with] = pair;
        self.without.push(without);
        self.with.push(with);
        Ok(())
    }

    /// The rate with sealed ids as a share of that without: the median of the rounds.
    pub(super) fn rate_ratio(&self) -> f64 {
        let pairs = self.without.iter().zip(&self.with);
        let ratios =
            pairs.map(|(without, with)| with.measured.per_second() / without.measured.per_second());
        at_rank(ratios, 0.5)
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.without.iter().chain(&self.with)
    }
}

/// The median of a figure of some runs.
pub(super) fn median(runs: &[Run], figure: impl Fn(&Run) -> f64) -> f64 {
    at_rank(runs.iter().map(figure), 0.5)
}
