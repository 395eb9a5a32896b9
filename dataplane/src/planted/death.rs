//! Where the process dies as if it had been killed there, or a thread hangs.

use super::Point;
use rustix::process::{Signal, getpid, kill_process};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// The process dies.
    Kill,
    /// The thread stands still for so long.
    Hang(Duration),
}

static POINT: OnceLock<(Point, InjectedFault)> = OnceLock::new();
static LEFT: AtomicU64 = AtomicU64::new(0);

/// This happens when `point` is passed for the `times`-th time. Said once, before anything starts.
pub fn inject_at(point: Point, times: u64, fault: InjectedFault) {
    LEFT.store(times, Ordering::Relaxed);
    // A second point would be a mistake of the test; the first one stands.
    let _ = POINT.set((point, fault));
}

/// Dies or hangs here if that was asked for: by SIGKILL, which nothing in the process can see coming.
pub fn pass(point: Point) {
    let Some((_, fault)) = POINT.get().filter(|(at, _)| *at == point) else {
        return;
    };
    if LEFT.fetch_sub(1, Ordering::Relaxed) != 1 {
        return;
    }
    match fault {
        // Where even this fails the test sees a process that lives on.
        InjectedFault::Kill => _ = kill_process(getpid(), Signal::KILL),
        InjectedFault::Hang(wait) => std::thread::sleep(*wait),
    }
}
