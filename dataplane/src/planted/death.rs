//! Where the process dies as if it had been killed there.

use super::Point;
use rustix::process::{Signal, getpid, kill_process};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static POINT: OnceLock<Point> = OnceLock::new();
static LEFT: AtomicU64 = AtomicU64::new(0);

/// The process dies when it passes `point` for the `times`-th time. Said once, before anything starts.
pub fn die_at(point: Point, times: u64) {
    LEFT.store(times, Ordering::Relaxed);
    // A second point would be a mistake of the test; the first one stands.
    let _ = POINT.set(point);
}

/// Dies here if told to: by SIGKILL, which nothing in the process can see coming.
pub fn pass(point: Point) {
    if POINT.get() == Some(&point) && LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
        // Where even this fails the test sees a process that lives on.
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
