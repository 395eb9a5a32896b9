//! What happened, for people: numbered lines with virtual time. Off unless a seed is replayed, so that it costs nothing.
//! It lives in the thread, so that a panic can print it too.

use std::cell::RefCell;
use std::collections::VecDeque;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing; lines are not even made.
    Nothing,
    /// The newest lines.
    Last(usize),
    /// Every line is printed when it happens.
    All,
}

struct Trace {
    keep: Keep,
    lines: VecDeque<String>,
    count: u64,
    hash: u64,
}

thread_local! {
    static TRACE: RefCell<Trace> = const {
        RefCell::new(Trace { keep: Keep::Nothing, lines: VecDeque::new(), count: 0, hash: 0 })
    };
}

/// Begins the trace of a run.
pub fn begin(keep: Keep) {
    TRACE.with_borrow_mut(|trace| {
        *trace = Trace {
            keep,
            lines: VecDeque::new(),
            count: 0,
            hash: 0xcbf2_9ce4_8422_2325,
        };
    });
}

/// Whether lines are wanted.
pub fn wanted() -> bool {
    TRACE.with_borrow(|trace| trace.keep != Keep::Nothing)
}

/// Adds a line.
pub fn line(at_us: u64, text: &str) {
    TRACE.with_borrow_mut(|trace| {
        trace.count += 1;
        let line = format!("{:>6} {:>14.6} s  {text}", trace.count, at_us as f64 / 1e6);
        for byte in line.bytes() {
            trace.hash = (trace.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        match trace.keep {
            Keep::Nothing => {}
            Keep::All => println!("{line}"),
            Keep::Last(count) => {
                if trace.lines.len() == count {
                    trace.lines.pop_front();
                }
                trace.lines.push_back(line);
            }
        }
    });
}

/// The lines that were kept, oldest first.
pub fn lines() -> Vec<String> {
    TRACE.with_borrow(|trace| trace.lines.iter().cloned().collect())
}

/// A hash over all lines: two runs of one seed have the same.
pub fn hash() -> u64 {
    TRACE.with_borrow(|trace| trace.hash)
}

/// Adds a line, made only if it is wanted.
#[macro_export]
#[doc(hidden)]
macro_rules! sim_trace {
    ($at:expr, $($text:tt)*) => {
        if $crate::sim::trace::wanted() {
            $crate::sim::trace::line($at, &format!($($text)*));
        }
    };
}
