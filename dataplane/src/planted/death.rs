//! Where the process dies as if it had been killed there, or a thread hangs.

use super::Point;
use rustix::process::{Signal, getpid, kill_process};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The process dies.
    Death,
    /// The thread stands still for so long.
    Hang(Duration),
}

static POINT: OnceLock<(Point, Fate)> = OnceLock::new();
static LEFT: AtomicU64 = AtomicU64::new(0);

/// This happens when `point` is passed for the `times`-th time. Said once, before anything starts.
pub fn meet_at(point: Point, times: u64, fate: Fate) {
    LEFT.store(times, Ordering::Relaxed);
    // A second point would be a mistake of the test; the first one stands.
    let _ = POINT.set((point, fate));
}

/// Dies or hangs here if told to: by SIGKILL, which nothing in the process can see coming.
pub fn pass(point: Point) {
    let Some((_, fate)) = POINT.get().filter(|(told, _)| *told == point) else {
        return;
    };
    if LEFT.fetch_sub(1, Ordering::Relaxed) != 1 {
        return;
    }
    match fate {
        // Where even this fails the test sees a process that lives on.
        Fate::Death => _ = kill_process(getpid(), Signal::KILL),
        Fate::Hang(wait) => std::thread::sleep(*wait),
    }
}
