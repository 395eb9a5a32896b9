//! One level: a number of connections, a warm-up that also tells how many records are needed, and the measured run.
//! It reads the server's CPU time and counters just outside the run, so that signing and set-up do not count.

use std::io;
use std::time::Duration;

use flk_bench_load::cpu::{self, Affinity, CpuTime};
use flk_bench_load::{Load, Measured, Stock};

use crate::scrape::WalCounters;
use crate::server::{KEY, Server};
use crate::{LOAD_CPU, SERVER_CPU};

const WARM_UP: Duration = Duration::from_millis(1500);
/// More than one thread of load can send in the warm-up.
const WARM_UP_RECORDS_COUNT: usize = 300_000;
/// The measured run may be this much faster than the warm-up before its records run out ...
const SPARE: f64 = 1.5;
/// ... or this fast, where others disturbed the warm-up.
const RECORDS_PER_SECOND_MIN: f64 = 100_000.0;

pub(crate) struct Level {
    pub(crate) measured: Measured,
    /// Of the server process.
    pub(crate) cpu: CpuTime,
    /// Of the processes that keep its records, if there are any.
    pub(crate) store: CpuTime,
    /// Time of the server's CPU that went to anything else, as a share of the run.
    pub(crate) others_share: f64,
    /// Time of both CPUs that went to anything but server, store and load, as a share of the run.
    pub(crate) strangers_share: f64,
    pub(crate) wal: Option<WalCounters>,
}

impl Level {
    pub(crate) fn user_us(&self) -> f64 {
        self.per_answer_us(self.cpu.user)
    }

    pub(crate) fn system_us(&self) -> f64 {
        self.per_answer_us(self.cpu.system)
    }

    /// Of the server and of what keeps its records.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.per_answer_us(self.cpu.total() + self.store.total())
    }

    pub(crate) fn store_us(&self) -> f64 {
        self.per_answer_us(self.store.total())
    }

    /// Why its figures count for nothing: an answer of another status than this, or a lost connection.
    pub(crate) fn wrong(&self, what: &str, status: u16) -> Option<String> {
        let run = &self.measured;
        let is_right = run.count_of(status) == run.answers_count && run.lost_count == 0;
        (!is_right).then(|| {
            let found = run.answers_text();
            format!("{what}: {found} instead of {status} alone")
        })
    }

    /// That it had no more records to send before its time was up.
    pub(crate) fn ran_dry(&self, what: &str) -> Option<String> {
        let seconds = self.measured.elapsed.as_secs_f64();
        let text = || format!("{what}: the signed records ran out after {seconds:.1} s");
        self.measured.ran_dry.then(text)
    }

    fn per_answer_us(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / (self.measured.answers_count.max(1) as f64)
    }
}

/// Measures one level; `records_used` counts the records of earlier ones, so that none is sent twice.
pub(crate) fn measure(
    server: &Server,
    connections_count: usize,
    seconds: u64,
    allowed: &Affinity,
    records_used: &mut u64,
) -> io::Result<Level> {
    let mut stock = sign(WARM_UP_RECORDS_COUNT, allowed, records_used)?;
    let mut load = Load::connect(server.running.address(), connections_count)?;
    let warm_up = load.run(&mut stock, WARM_UP)?;
    let per_second = (warm_up.per_second() * SPARE).max(RECORDS_PER_SECOND_MIN);
    let needed_count = (per_second * seconds as f64) as usize + connections_count;
    drop(stock);
    let mut stock = sign(needed_count, allowed, records_used)?;

    run(server, &mut load, &mut stock, seconds)
}

/// The measured run: this load of these records.
pub(crate) fn run(
    server: &Server,
    load: &mut Load,
    stock: &mut Stock,
    seconds: u64,
) -> io::Result<Level> {
    observe(server, || load.run(stock, Duration::from_secs(seconds)))
}

/// What the server used while something was measured.
pub(crate) fn observe(
    server: &Server,
    measure: impl FnOnce() -> io::Result<Measured>,
) -> io::Result<Level> {
    let wal_before = WalCounters::of(&server.running);
    let store_before = server.store_cpu()?;
    let cpu_before = CpuTime::of_process(server.running.id())?;
    let load_before = cpu::used_by_this_thread();
    let (busy_before, other_before) = busy()?;
    let measured = measure()?;
    let (busy_after, other_after) = busy()?;
    let load = cpu::used_by_this_thread().saturating_sub(load_before);
    let cpu = CpuTime::of_process(server.running.id())?.since(cpu_before);
    let store = server.store_cpu()?.since(store_before);
    let busy = busy_after.saturating_sub(busy_before);
    let both = busy + other_after.saturating_sub(other_before);
    let wal = WalCounters::of(&server.running)
        .zip(wal_before)
        .map(|(after, before)| after.since(before));
    let others = busy.saturating_sub(cpu.total());
    let strangers = both.saturating_sub(cpu.total() + store.total() + load);
    let share_of = |time: Duration| time.as_secs_f64() / measured.elapsed.as_secs_f64();
    let (others_share, strangers_share) = (share_of(others), share_of(strangers) / 2.0);
    Ok(Level {
        measured,
        cpu,
        store,
        others_share,
        strangers_share,
        wal,
    })
}

/// Of the server's CPU, and of the load's.
fn busy() -> io::Result<(Duration, Duration)> {
    Ok((cpu::busy_of_cpu(SERVER_CPU)?, cpu::busy_of_cpu(LOAD_CPU)?))
}

/// Signing uses all CPUs; the load goes back to its own.
pub(crate) fn sign(count: usize, allowed: &Affinity, records_used: &mut u64) -> io::Result<Stock> {
    allowed.apply()?;
    let stock = Stock::sign(KEY.as_bytes(), *records_used, count);
    *records_used += count as u64;
    cpu::pin_to(LOAD_CPU)?;
    Ok(stock)
}
