//! One life after the other on one directory: start, ask for everything of the last life, load, die. How a life ends, and
//! how many shards it has, follow from the seed of its cycle.

use crate::judge::Judge;
use crate::load::load;
use flk_e2e::setting::Setting;
use flk_testkit::gateway::{Gateway, planted_binary};
use flk_testkit::plan::Plan;
use flk_testkit::{DEADLINE, Dice};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// Killed from outside after a random number of answers.
    Killed,
    /// At a named point of the drivers under load.
    AtPoint,
    /// At a keeper's file operation, which is mostly during the start.
    InKeeper,
}

impl Death {
    pub(crate) const ALL: [Death; 3] = [Death::Killed, Death::AtPoint, Death::InKeeper];
}

/// What is to be done.
pub(crate) struct Cycles {
    pub(crate) setting: Setting,
    pub(crate) count: u32,
    pub(crate) seed: u64,
    /// A bug to be found.
    pub(crate) bug: Option<&'static str>,
    pub(crate) deaths: &'static [Death],
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Report {
    cycles: u32,
    during_starts: u32,
    acknowledged: usize,
    took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} crashes ({} of them during a start), {} acknowledged records, all there, in {:.0} s",
            self.cycles,
            self.during_starts,
            self.acknowledged,
            self.took.as_secs_f64()
        )
    }
}

/// The log is read back every so many cycles, and after the last one; reading all of it each time would be quadratic.
const READ_EVERY: u32 = 10;

/// A life ends by itself at the latest after this many answers: its point may never be passed so often.
const ANSWERS_MAX: u64 = 3_000;

/// Between two looks whether a gateway has died by itself.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Runs all cycles; an error says which seed differs and how to run it again.
pub(crate) fn run(cycles: &Cycles) -> Result<Report, String> {
    let directory = cycles.setting.directory();
    let from = Instant::now();
    let mut judge = Judge::default();
    let mut report = Report::default();
    for cycle in 0..cycles.count {
        let seed = cycles.seed + u64::from(cycle);
        let again = |difference: String| {
            format!(
                "after {cycle} cycles on one directory, from seed {}, at seed {seed}, under {:?}: {difference}",
                cycles.seed, cycles.setting
            )
        };
        let started = one_life(cycles, seed, directory.path(), &mut judge).map_err(again)?;
        report.during_starts += u32::from(!started);
        if cycle % READ_EVERY == READ_EVERY - 1 {
            judge.read(directory.path()).map_err(again)?;
        }
    }
    let last = |difference: String| {
        format!(
            "after the last cycle, from seed {}: {difference}",
            cycles.seed
        )
    };
    let gateway = plan(cycles, directory.path()).start();
    judge.ask(&gateway, 0).map_err(last)?;
    let ended = gateway.stop();
    if !ended.status.success() {
        return Err(last(ended.to_string()));
    }
    judge.read(directory.path()).map_err(last)?;
    report.cycles = cycles.count;
    report.acknowledged = judge.acknowledged_count();
    report.took = from.elapsed();
    Ok(report)
}

fn plan(cycles: &Cycles, directory: &Path) -> Plan {
    let mut plan = cycles.setting.plan(directory);
    plan.program = planted_binary();
    match cycles.bug {
        Some(bug) => plan.with("FLK_PLANT", bug),
        None => plan,
    }
}

/// One life; whether it came to serve.
fn one_life(
    cycles: &Cycles,
    seed: u64,
    directory: &Path,
    judge: &mut Judge,
) -> Result<bool, String> {
    let mut dice = Dice::new(seed);
    let death = cycles.deaths[dice.below(cycles.deaths.len() as u64) as usize];
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let mut plan = plan(cycles, directory).with("FLK_CORES", &(1 + dice.below(cores)).to_string());
    let mut answers_max = 1 + dice.below(ANSWERS_MAX);
    match death {
        Death::Killed => {}
        Death::AtPoint => {
            let points = ["LogWrite", "LogWritten", "Answer"];
            let point = points[dice.below(points.len() as u64) as usize];
            plan = plan.with("FLK_DIE_AT", &format!("{point}:{}", 20 + dice.below(200)));
            answers_max = ANSWERS_MAX;
        }
        Death::InKeeper => {
            let point = ["KeeperFile", "KeeperFileDone"][dice.below(2) as usize];
            plan = plan.with("FLK_DIE_AT", &format!("{point}:{}", 1 + dice.below(120)));
        }
    }
    let gateway = match plan.try_start() {
        Ok(gateway) => gateway,
        Err(ended) if ended.status.code().is_none() && death != Death::Killed => {
            return Ok(false);
        }
        Err(ended) => return Err(format!("it does not start any more: {ended}")),
    };
    let fresh = judge.fresh();
    match judge.ask(&gateway, fresh.saturating_sub(2_000)) {
        Ok(()) => {}
        // It may die while it is asked; then nothing was said that could be judged.
        Err(_) if death != Death::Killed && is_gone(&gateway) => {
            gateway.kill();
            return Ok(true);
        }
        Err(difference) => return Err(difference),
    }
    load_until_death(gateway, seed, fresh, answers_max, judge)?;
    Ok(true)
}

fn is_gone(gateway: &Gateway) -> bool {
    gateway.try_get("/livez").is_none()
}

fn load_until_death(
    gateway: Gateway,
    seed: u64,
    fresh: u64,
    answers_max: u64,
    judge: &mut Judge,
) -> Result<(), String> {
    let answered = &AtomicU64::new(0);
    let address = gateway.address();
    let (life, ended) = std::thread::scope(|scope| {
        let killer = std::thread::current();
        let count = move || {
            if answered.fetch_add(1, Ordering::Relaxed) + 1 == answers_max {
                killer.unpark();
            }
        };
        let loading = scope.spawn(move || load(address, seed, fresh, &count));
        let from = Instant::now();
        let mut gateway = gateway;
        while answered.load(Ordering::Relaxed) < answers_max && gateway.is_running() {
            if from.elapsed() > DEADLINE {
                break;
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        let ended = gateway.kill();
        (loading.join().expect("the load"), ended)
    });
    if let Some(code) = ended.status.code() {
        return Err(format!(
            "it stopped by itself with exit code {code}: {ended}"
        ));
    }
    // It says so itself if its log has two decisions of one id, and a panic never goes unnoticed.
    if let Some(line) = ended
        .said
        .lines()
        .find(|line| line.contains("two outcomes") || line.contains("panicked"))
    {
        return Err(format!("it said: {line}"));
    }
    judge.take(life)
}
