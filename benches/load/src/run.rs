//! A run: its threads begin together, and what they count in each second is added up while they send. It prints nothing; a caller
//! hears of each second.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender as Channel, channel};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use crate::arrivals::{Arrivals, Curve, Spacing};
use crate::cpu::{self, CpuUse};
use crate::hdr;
use crate::mix::Mix;
use crate::record::Recipe;
use crate::sender::Sender;
use crate::setup::{Pace, Setup};
use crate::supply::Supply;
use crate::tally::{Latencies, Tally};
use crate::travel::Travel;

/// Whether requests wait for answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loop {
    /// They are sent when they are due.
    Open {
        /// How many are due when.
        curve: Curve,
        /// How they follow each other.
        spacing: Spacing,
    },
    /// Each connection sends the next one when the last one is answered.
    Closed {
        /// What is sent in this time is not measured.
        warm_up: Duration,
        /// What is measured.
        duration: Duration,
    },
}

impl Loop {
    /// Warm-up, and measurement.
    pub fn times(&self) -> (Duration, Duration) {
        match self {
            Loop::Open { curve, .. } => (curve.warm_up, curve.ramp.duration),
            Loop::Closed { warm_up, duration } => (*warm_up, *duration),
        }
    }
}

/// What is to be run.
pub struct Plan {
    /// Where requests go.
    pub address: SocketAddr,
    /// Connections of all threads.
    pub connections_count: usize,
    /// Sending threads.
    pub threads_count: usize,
    /// CPUs that threads are pinned to by turns; none: the system chooses.
    pub cpus: Vec<usize>,
    /// When records are sent.
    pub pace: Loop,
    /// How many of them in a request, and how many requests at a time.
    pub travel: Travel,
    /// What is sent.
    pub mix: Mix,
    /// Of mix and arrivals.
    pub seed: u64,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Whether histograms of single seconds are kept.
    pub log: Log,
}

/// Whether histograms of single seconds are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// As lines of a log.
    Kept,
    /// Only their percentiles.
    Dropped,
}

/// One second of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Second {
    /// Since the start, warm-up included.
    pub second: u64,
    /// Records sent.
    pub sent: u64,
    /// Answers.
    pub answered: u64,
    /// Records that were not judged or got no answer.
    pub errors: u64,
    /// Latencies of what is measured, in nanoseconds; 0 where nothing is.
    pub p50_ns: u64,
    /// The same of 99 of 100.
    pub p99_ns: u64,
    /// The largest one.
    pub max_ns: u64,
}

/// What a run came to.
pub struct RunResult {
    /// Everything that was counted.
    pub total: Tally,
    /// Second by second.
    pub seconds: Vec<Second>,
    /// Of each thread.
    pub threads: Vec<CpuUse>,
    /// Lines of a log of histograms, if they are kept.
    pub log: Vec<String>,
    /// When it began.
    pub began: SystemTime,
    /// How much of the measurement passed: less than was asked for where the user stopped it.
    pub measured: Duration,
}

enum News {
    Second {
        thread: usize,
        second: u64,
        tally: Box<Tally>,
    },
    Ended {
        thread: usize,
        used: io::Result<CpuUse>,
    },
}

/// The records of each thread, none of them signed yet.
pub fn supplies(plan: &Plan, recipe: &Arc<Recipe>) -> Vec<Supply> {
    let threads = plan.threads_count as u64;
    let sent = (plan.mix, plan.travel.records);
    let supply = |thread| Supply::new(recipe.clone(), sent, plan.seed, thread, threads);
    (0..threads).map(supply).collect()
}

/// How many records of an open loop are due in each thread, at most; none of a closed one, whose number nothing says.
pub fn due_counts(plan: &Plan) -> Option<Vec<u64>> {
    let records = u64::from(plan.travel.records);
    let count = |thread| arrivals(plan, thread).map(|it| it.count() as u64 * records);
    (0..plan.threads_count as u64).map(count).collect()
}

/// When requests are due: those of a rate of records.
fn arrivals(plan: &Plan, thread: u64) -> Option<Arrivals> {
    let threads = plan.threads_count as u64;
    match plan.pace {
        Loop::Open { mut curve, spacing } => {
            let records = f64::from(plan.travel.records);
            curve.ramp.from_per_second /= records;
            curve.ramp.to_per_second /= records;
            Some(Arrivals::new(curve, spacing, plan.seed, thread, threads))
        }
        Loop::Closed { .. } => None,
    }
}

/// Runs it. Once `stop` is true nothing new is sent, and what was counted until then is returned.
pub fn run(
    plan: &Plan,
    recipe: &Arc<Recipe>,
    supplies: Vec<Supply>,
    stop: &AtomicBool,
    each_second: impl FnMut(&Second, &Tally),
) -> io::Result<RunResult> {
    let ready = Barrier::new(plan.threads_count + 1);
    let (start, go) = (OnceLock::new(), Barrier::new(plan.threads_count + 1));
    let (news, arriving) = channel();
    std::thread::scope(|scope| {
        for (thread, supply) in supplies.into_iter().enumerate() {
            let (setup, news) = (setup(plan, recipe, thread, supply), news.clone());
            let (ready, go, start) = (&ready, &go, &start);
            let cpu = plan.cpus.get(thread % plan.cpus.len().max(1)).copied();
            scope.spawn(move || {
                let begun = begin(setup, stop, cpu);
                // Without one of its threads a run is not what was asked for.
                if begun.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                ready.wait();
                go.wait();
                let start = start.get().copied().unwrap_or_else(Instant::now);
                let used = begun.and_then(|it| send(it, thread, start, &news));
                // Only a caller that went away hears nothing.
                news.send(News::Ended { thread, used }).ok();
            });
        }
        drop(news);
        ready.wait();
        let began = (Instant::now(), SystemTime::now());
        start.get_or_init(|| began.0);
        go.wait();
        let mut result = collect(plan, began.1, &arriving, each_second)?;
        if stop.load(Ordering::Relaxed) {
            let (warm_up, duration) = plan.pace.times();
            let passed = began.0.elapsed().saturating_sub(warm_up);
            result.measured = passed.min(duration);
        }
        Ok(result)
    })
}

fn setup(plan: &Plan, recipe: &Arc<Recipe>, thread: usize, supply: Supply) -> Setup {
    let (warm_up, measured) = plan.pace.times();
    let (each, more) = (
        plan.connections_count / plan.threads_count,
        plan.connections_count % plan.threads_count,
    );
    Setup {
        address: plan.address,
        connections_count: each + usize::from(thread < more),
        pace: arrivals(plan, thread as u64).map_or(Pace::Closed, |it| Pace::Open(it.peekable())),
        warm_up,
        duration: warm_up + measured,
        timeout: plan.timeout,
        travel: plan.travel,
        recipe: recipe.clone(),
        supply,
    }
}

fn begin(setup: Setup, stop: &AtomicBool, cpu: Option<usize>) -> io::Result<Sender<'_>> {
    cpu.map_or(Ok(()), cpu::pin_to)?;
    cpu::wake_on_time();
    Sender::connect(setup, stop)
}

fn send(
    mut sender: Sender<'_>,
    thread: usize,
    start: Instant,
    news: &Channel<News>,
) -> io::Result<CpuUse> {
    sender.run(start, |second, tally| {
        let tally = Box::new(tally);
        let message = News::Second {
            thread,
            second,
            tally,
        };
        news.send(message).ok();
    })
}

/// Adds up what threads count until the last one has ended.
fn collect(
    plan: &Plan,
    began: SystemTime,
    arriving: &Receiver<News>,
    mut each_second: impl FnMut(&Second, &Tally),
) -> io::Result<RunResult> {
    let mut sum = Sum::new(plan)?;
    let mut failed = None;
    for news in arriving {
        match news {
            News::Second {
                thread,
                second,
                tally,
            } => {
                sum.take(thread, second, &tally)?;
            }
            News::Ended { thread, used } => {
                sum.reported[thread] = None;
                match used {
                    Ok(used) => sum.threads.push((thread, used)),
                    Err(error) => failed = Some(error),
                }
            }
        }
        while let Some(second) = sum.whole()? {
            each_second(&second, &sum.total);
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    sum.threads.sort_by_key(|(thread, _)| *thread);
    Ok(RunResult {
        total: sum.total,
        seconds: sum.seconds,
        threads: sum.threads.into_iter().map(|(_, used)| used).collect(),
        log: sum.log,
        began,
        measured: plan.pace.times().1,
    })
}

/// What was reported so far.
struct Sum {
    keeps_log: Log,
    total: Tally,
    seconds: Vec<Second>,
    threads: Vec<(usize, CpuUse)>,
    log: Vec<String>,
    /// Seconds of which not all threads have reported.
    open: BTreeMap<u64, Open>,
    /// The last second that each thread reported; none once all have ended.
    reported: Vec<Option<Option<u64>>>,
}

struct Open {
    point: Second,
    latencies: Latencies,
}

impl Sum {
    fn new(plan: &Plan) -> io::Result<Sum> {
        Ok(Sum {
            keeps_log: plan.log,
            total: Tally::new()?,
            seconds: Vec::new(),
            threads: Vec::new(),
            log: Vec::new(),
            open: BTreeMap::new(),
            reported: vec![Some(None); plan.threads_count],
        })
    }

    fn take(&mut self, thread: usize, second: u64, tally: &Tally) -> io::Result<()> {
        self.total.add(tally);
        self.reported[thread] = Some(Some(second));
        let point = Second {
            second,
            ..Second::default()
        };
        let open = match self.open.entry(second) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Open {
                point,
                latencies: crate::tally::latencies()?,
            }),
        };
        for counts in [&tally.warm_up, &tally.measured] {
            open.point.sent += counts.sent();
            open.point.answered += counts.answered();
            open.point.errors += counts.errors();
        }
        open.latencies
            .add(&tally.from_due)
            .map_err(io::Error::other)
    }

    /// The first second of which all threads have reported, if there is one.
    fn whole(&mut self) -> io::Result<Option<Second>> {
        let Some(entry) = self.open.first_entry() else {
            return Ok(None);
        };
        let second = *entry.key();
        let has_reported = |reported: &Option<Option<u64>>| match reported {
            None => true,
            Some(last) => last.is_some_and(|it| it >= second),
        };
        if !self.reported.iter().all(has_reported) {
            return Ok(None);
        }
        let Open {
            mut point,
            latencies,
        } = entry.remove();
        point.p50_ns = latencies.value_at_quantile(0.5);
        point.p99_ns = latencies.value_at_quantile(0.99);
        point.max_ns = latencies.max();
        if self.keeps_log == Log::Kept && !latencies.is_empty() {
            let line = hdr::log_line(second as f64, 1.0, &latencies)?;
            self.log.push(line);
        }
        self.seconds.push(point.clone());
        Ok(Some(point))
    }
}
