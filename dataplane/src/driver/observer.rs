//! The thread that looks at the process from outside the shards, several times a second, and writes what it sees into the
//! statistics. It costs the shards nothing, and decides nothing.

use super::DriverError;
use super::clock;
use super::console::Console;
use super::pulse::Pulse;
use super::resources::{
    ProcessUsage, cpus, descriptors_max, open_descriptors, process_usage, steal_us, thread_usage,
};
use super::watchdog::{Change, STUCK_AFTER_US, Watchdog};
use crate::event::Stage;
use crate::logs::events::{ShardMoves, ShardStuck};
use crate::stats::Stats;
use crate::throttle::Throttle;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Interval between looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// It is said of a shard that it is stuck, and that it moves again, at most once in so many microseconds.
const SAID_EVERY_US: u64 = 10_000_000;
/// Resources are read at every so many looks: reading them costs more, and they are rates over minutes.
const LOOKS_PER_READING: u64 = 20;

/// The running thread; it ends soon after this is dropped.
#[derive(Debug)]
pub struct Observer {
    _ends: Sender<()>,
}

/// What is observed.
#[derive(Debug)]
pub struct Observed {
    /// Where it is written.
    pub stats: Arc<Stats>,
    /// One per shard.
    pub pulses: Arc<[Pulse]>,
    /// The CPU of each shard.
    pub cores: Vec<usize>,
    /// Whose dropped lines are counted.
    pub console: Console,
}

impl Observer {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(observed: Observed) -> Result<Observer, DriverError> {
        for (page, &cpu) in observed.stats.observed.iter().zip(&observed.cores) {
            page.cpu_from_one.set(cpu as u64 + 1);
        }
        let (ends, ended) = channel();
        let mut looking = Looking::new(observed);
        std::thread::Builder::new()
            .name("flk-observer".to_owned())
            .spawn(move || {
                while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                    looking.look();
                }
            })
            .map_err(|error| {
                DriverError::new("start the thread that observes the process", error)
            })?;
        Ok(Observer { _ends: ends })
    }
}

/// What the thread has.
struct Looking {
    observed: Observed,
    lines_dropped: Arc<AtomicU64>,
    lines_left_out: Arc<AtomicU64>,
    watchdog: Watchdog,
    /// Of each shard: how often it is said that it is stuck, and whether it was said this time.
    said: Vec<(Throttle, bool)>,
    looks: u64,
}

impl Looking {
    fn new(observed: Observed) -> Looking {
        Looking {
            lines_dropped: observed.console.dropped_count(),
            lines_left_out: observed.console.left_out_count(),
            watchdog: Watchdog::new(observed.pulses.len(), LOOK_EVERY.as_micros() as u64),
            said: vec![(Throttle::every_us(SAID_EVERY_US), false); observed.pulses.len()],
            looks: 0,
            observed,
        }
    }

    fn look(&mut self) {
        let page = &self.observed.stats.process;
        let lines = |count: &AtomicU64| count.load(Ordering::Relaxed);
        page.log_lines_dropped.set(lines(&self.lines_dropped));
        page.log_lines_left_out.set(lines(&self.lines_left_out));
        self.watch(clock::now().mono_us);
        if self.looks.is_multiple_of(LOOKS_PER_READING) {
            self.read_process();
            self.read_shards();
        }
        self.looks += 1;
    }

    /// Reports shards that stand still, and those that move again.
    fn watch(&mut self, now_us: u64) {
        self.watchdog.begin(now_us);
        for shard in 0..self.observed.pulses.len() {
            let due_us = self.observed.pulses[shard].due_us();
            if let Some(change) = self.watchdog.look(shard, due_us, now_us) {
                self.report(shard, change, now_us);
            }
        }
    }

    fn report(&mut self, shard: usize, change: Change, now_us: u64) {
        let page = &self.observed.stats.observed[shard];
        let (throttle, said) = &mut self.said[shard];
        let console = &self.observed.console;
        match change {
            Change::Stuck { since_us } => {
                page.stuck.set(1);
                page.stuck_times.add(1);
                *said = throttle.pass(now_us);
                if *said {
                    let pulse = &self.observed.pulses[shard];
                    let (thread, stage) = (pulse.thread().unwrap_or(0), pulse.stage());
                    let stage = stage.map_or("unknown", Stage::name);
                    let (cpu, late_s) = (self.observed.cores[shard], seconds(since_us, now_us));
                    let event = ShardStuck {
                        shard,
                        cpu,
                        thread_id: u64::try_from(thread).unwrap_or(0),
                        stage,
                        late_s,
                    };
                    console.say(event, format!(
                        "shard {shard} (CPU {cpu}, thread {thread}, stage {stage}) has made no turn for {late_s:.1} s: its connections and the ids that it owns are not served, the others are; /readyz is 503 until it moves. /proc/PID/task/{thread}/stack shows where it is"
                    ));
                }
            }
            Change::Moves { since_us } => {
                page.stuck.set(0);
                if *said {
                    let late_s = seconds(since_us, now_us);
                    let message = format!("shard {shard} makes turns again, after {late_s:.1} s");
                    console.say(ShardMoves { shard, late_s }, message);
                }
            }
        }
    }

    fn read_process(&self) {
        let page = &self.observed.stats.process;
        if let Some(usage) = process_usage() {
            let ProcessUsage {
                cpu_us,
                resident_bytes,
                virtual_bytes,
            } = usage;
            page.cpu_us.set(cpu_us);
            page.resident_bytes.set(resident_bytes);
            page.virtual_bytes.set(virtual_bytes);
        }
        page.open_fds.set(open_descriptors().unwrap_or(0));
        page.max_fds.set(descriptors_max().unwrap_or(u64::MAX));
    }

    fn read_shards(&self) {
        let cpus = cpus().unwrap_or_default();
        let observed = &self.observed;
        let shards = observed.pulses.iter().zip(&observed.cores);
        for ((pulse, &cpu), page) in shards.zip(observed.stats.observed.iter()) {
            if let Some(usage) = pulse.thread().and_then(thread_usage) {
                page.cpu_us.set(usage.cpu_us);
                page.involuntary_switches.set(usage.involuntary_switches);
            }
            if let Some(steal_us) = steal_us(&cpus, cpu) {
                page.steal_us.set(steal_us);
            }
        }
    }
}

fn seconds(from_us: u64, to_us: u64) -> f64 {
    to_us.saturating_sub(from_us) as f64 / 1e6
}

const _: () = assert!(
    STUCK_AFTER_US + 2 * LOOK_EVERY.as_micros() as u64 <= 2_000_000,
    "a shard is reported at most 1 s after it is one second late"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_writes_what_is_known_of_the_process_and_of_the_threads_that_run() {
        let stats = Arc::new(Stats::new(2));
        let pulses: Arc<[Pulse]> = (0..2).map(|_| Pulse::default()).collect();
        let (_reader, writer) = std::io::pipe().unwrap();
        let mut looking = Looking::new(Observed {
            stats: Arc::clone(&stats),
            pulses: Arc::clone(&pulses),
            cores: vec![0, 1],
            console: Console::writing_to(writer).unwrap(),
        });
        pulses[1].begin();
        looking.look();
        assert!(stats.process.resident_bytes.get() > 1 << 20);
        assert!(stats.process.virtual_bytes.get() >= stats.process.resident_bytes.get());
        assert!(stats.process.open_fds.get() > 3);
        assert!(stats.process.max_fds.get() >= stats.process.open_fds.get());
        assert_eq!(stats.observed[0].cpu_us.get(), 0, "its thread does not run");
    }
}
