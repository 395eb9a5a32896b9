//! How many lines of one event are written: a number in ten seconds that its row of the table states, for each shard where
//! lines name one. What is left out is counted, and said once for each ten seconds. It reads no clock.

use super::{Kind, Line, Rate};
use std::collections::BTreeMap;

/// Over which time lines are counted, in microseconds.
pub const WINDOW_US: u64 = 10_000_000;

/// Lines of one event that were left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The event.
    pub kind: &'static Kind,
    /// The shard that they name.
    pub shard: Option<u64>,
    /// How many.
    pub count: u64,
}

impl LeftOut {
    /// What is said of them.
    pub fn message(&self) -> String {
        let lines = match self.count {
            1 => "line",
            _ => "lines",
        };
        let shard = self.shard.map(|shard| format!(" of shard {shard}"));
        let (count, name, shard) = (self.count, self.kind.name, shard.unwrap_or_default());
        format!("{count} more {lines} of this kind in 10 s were left out: {name}{shard}")
    }
}

/// Counts the lines of a process. Its memory is bounded by the number of events and shards.
#[derive(Debug, Default)]
pub struct Limiter {
    windows: BTreeMap<(&'static str, Option<u64>), Window>,
}

#[derive(Debug)]
struct Window {
    kind: &'static Kind,
    began_us: u64,
    written_count: u32,
    left_out_count: u64,
}

impl Window {
    fn is_over(&self, now_us: u64) -> bool {
        now_us >= self.began_us + WINDOW_US
    }
}

impl Limiter {
    /// Whether a line is written at this monotonic time; otherwise it has been counted. What is [`due`](Self::due) comes first.
    pub fn pass(&mut self, line: &Line, now_us: u64) -> bool {
        let kind = line.kind();
        let Rate::Per10s(most) = kind.rate else {
            return true;
        };
        let window = self.windows.entry((kind.name, line.shard()));
        let window = window.or_insert(Window {
            kind,
            began_us: now_us,
            written_count: 0,
            left_out_count: 0,
        });
        let is_written = window.written_count < most;
        match is_written {
            true => window.written_count += 1,
            false => window.left_out_count += 1,
        }
        is_written
    }

    /// What was left out in times that are over now; they are forgotten.
    pub fn due(&mut self, now_us: u64) -> Vec<LeftOut> {
        self.take(|window| window.is_over(now_us))
    }

    /// What was left out and not reported yet, for the end of the process.
    pub fn rest(&mut self) -> Vec<LeftOut> {
        self.take(|_| true)
    }

    /// When something is due that was left out.
    pub fn due_us(&self) -> Option<u64> {
        let told = self.windows.values().filter(|it| it.left_out_count > 0);
        told.map(|it| it.began_us + WINDOW_US).min()
    }

    fn take(&mut self, is_taken: impl Fn(&Window) -> bool) -> Vec<LeftOut> {
        let taken = self.windows.extract_if(.., |_, window| is_taken(window));
        let left_out = taken.map(|((_, shard), window)| LeftOut {
            kind: window.kind,
            shard,
            count: window.left_out_count,
        });
        left_out.filter(|it| it.count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::{Draining, ShardMoves, SignalIgnored};
    use super::*;

    fn moves(shard: usize) -> Line {
        let late_s = 1.5;
        Line::new(ShardMoves { shard, late_s }, "it moves")
    }

    fn most() -> u64 {
        match ShardMoves::KIND.rate {
            Rate::Per10s(most) => most.into(),
            Rate::Always => unreachable!(),
        }
    }

    #[test]
    fn what_exceeds_the_rate_is_counted_for_each_shard_and_told_once() {
        let mut limiter = Limiter::default();
        let mut written = |shard: usize, count: u64| {
            (0..count)
                .filter(|&at| limiter.pass(&moves(shard), 1_000 + at))
                .count() as u64
        };
        assert_eq!(written(0, most() + 42), most());
        assert_eq!(written(1, most()), most(), "another shard has its own");
        let due_us = 1_000 + WINDOW_US;
        assert_eq!(limiter.due_us(), Some(due_us));
        assert_eq!(limiter.due(due_us - 1), []);
        let left_out = LeftOut {
            kind: ShardMoves::KIND,
            shard: Some(0),
            count: 42,
        };
        assert_eq!(limiter.due(due_us), [left_out]);
        assert_eq!(
            left_out.message(),
            "42 more lines of this kind in 10 s were left out: shard.moves of shard 0"
        );
        assert_eq!(limiter.due_us(), None);
        assert!(limiter.pass(&moves(0), due_us), "the next ten seconds");
    }

    #[test]
    fn what_is_due_first_says_when_to_look_again() {
        let mut limiter = Limiter::default();
        for (shard, at_us) in [(0, 1_000), (1, 3_000), (2, 5_000)] {
            // Of the first one nothing is left out.
            let count = most() + u64::from(shard > 0);
            let written = (0..count).filter(|_| limiter.pass(&moves(shard), at_us));
            assert_eq!(written.count() as u64, most());
        }
        assert_eq!(limiter.due_us(), Some(3_000 + WINDOW_US));
        assert_eq!(limiter.due(3_000 + WINDOW_US).len(), 1);
        assert_eq!(limiter.due_us(), Some(5_000 + WINDOW_US));
    }

    #[test]
    fn an_end_tells_what_is_not_due_yet() {
        let mut limiter = Limiter::default();
        let ignored = || {
            let signal = "SIGHUP";
            Line::new(SignalIgnored { signal }, "SIGHUP ignored")
        };
        while limiter.pass(&ignored(), 7) {}
        assert_eq!(limiter.rest().len(), 1);
        assert_eq!(limiter.rest(), []);
    }

    #[test]
    fn what_is_said_once_is_never_left_out() {
        let mut limiter = Limiter::default();
        let all = (0..1_000).all(|_| limiter.pass(&Line::new(Draining {}, "draining"), 0));
        assert!(all);
        assert_eq!(limiter.rest(), []);
    }
}
