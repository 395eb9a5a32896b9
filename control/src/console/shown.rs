//! What all who look share: the history, and the news of each second. Its owner writes; any number of answers read, each for
//! as short as it takes to copy what it wants.

use super::clock::Clock;
use super::history::{Epoch, History, Step};
use super::page::Sample;
use crate::view::ConsoleCosts;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, watch};

/// Streams at a time: half of all connections stay free for operators.
pub const STREAMS_MAX: usize = 32;
/// Answers with rows that are made or not taken yet at a time: each takes some 30 MiB at most, and a usual one a hundredth of it.
const ANSWERS_MAX: usize = 4;

/// What a second brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// The history.
    pub epoch: Epoch,
    /// The number behind the newest row of one second.
    pub next: u64,
    /// Revision of the catalog.
    pub revision: u64,
    /// Why the data plane does not answer; none: it does.
    pub away: Option<Arc<str>>,
}

impl Tick {
    /// The newest row of a step; none: there is none yet.
    pub fn newest(&self, step: Step) -> Option<u64> {
        Some(self.next.checked_sub(1)? / step.seconds())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Shown {
    history: Mutex<History>,
    ticks: watch::Sender<Tick>,
    /// What needs attention, as JSON.
    attention: watch::Sender<Arc<str>>,
    /// A place for each stream.
    pub streams: Arc<Semaphore>,
    /// A place for each answer with rows.
    pub answers: Arc<Semaphore>,
    /// What it costs.
    pub costs: Arc<ConsoleCosts>,
}

impl Shown {
    /// A history that begins now; what it costs is counted here.
    pub fn begin(clock: &Clock, costs: Arc<ConsoleCosts>) -> Shown {
        let history = begin(clock);
        let tick = tick(&history, None);
        Shown {
            history: Mutex::new(history),
            ticks: watch::Sender::new(tick),
            attention: watch::Sender::new(Arc::from("[]")),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            answers: Arc::new(Semaphore::new(ANSWERS_MAX)),
            costs,
        }
    }

    /// The history, for a moment.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another history takes the place of this one.
    pub fn begin_again(&self, clock: &Clock) {
        *self.history() = begin(clock);
    }

    /// Takes a row behind so many that were missed, and tells.
    pub fn take<'p>(
        &self,
        missed: u64,
        samples: impl Iterator<Item = Sample<'p>>,
        away: Option<String>,
    ) {
        let mut history = self.history();
        history.skip(missed);
        history.push(samples);
        let tick = tick(&history, away.map(Arc::from));
        let (bytes, left_out) = (history.bytes(), history.catalog.left_out());
        drop(history);
        let set = |cost: &AtomicU64, number: usize| cost.store(number as u64, Ordering::Relaxed);
        set(&self.costs.history_bytes, bytes);
        set(&self.costs.series_left_out, left_out);
        self.ticks.send_replace(tick);
    }

    /// Another text of what needs attention.
    pub fn attend(&self, text: String) {
        self.attention.send_if_modified(|shown| {
            let is_new = **shown != *text;
            if is_new {
                *shown = Arc::from(text);
            }
            is_new
        });
    }

    /// News of each second.
    pub fn ticks(&self) -> watch::Receiver<Tick> {
        self.ticks.subscribe()
    }

    /// What needs attention, and each change of it.
    pub fn attention(&self) -> watch::Receiver<Arc<str>> {
        self.attention.subscribe()
    }
}

fn begin(clock: &Clock) -> History {
    History::begin(Epoch(fastrand::u64(..)), clock.at_ms(0), clock.next())
}

fn tick(history: &History, away: Option<Arc<str>>) -> Tick {
    Tick {
        epoch: history.epoch,
        next: history.ring(Step::Second).next(),
        revision: history.catalog.revision(),
        away,
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::SERIES_MAX;
    use super::super::page::samples;
    use super::*;

    #[test]
    fn what_the_history_costs_is_counted_with_each_row() {
        let costs = Arc::<ConsoleCosts>::default();
        let shown = Shown::begin(&Clock::begin(1_800_000_000_000), Arc::clone(&costs));
        let page = |series: usize| -> String {
            let all = 0..series;
            all.map(|at| format!("n{{tenant=\"{at}\"}} 1\n")).collect()
        };
        shown.take(0, samples(&page(SERIES_MAX + 3)), None);
        let of = |cost: &AtomicU64| cost.load(Ordering::Relaxed);
        assert_eq!(of(&costs.series_left_out), 3);
        assert_eq!(of(&costs.history_bytes), shown.history().bytes() as u64);
        shown.take(0, samples(&page(1)), None);
        assert_eq!(of(&costs.series_left_out), 0);
    }
}
