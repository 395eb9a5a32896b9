//! The outer bound of a stop: a thread that ends the process if the main thread hangs in a system call, or waits for a
//! thread that does. It never ends the process before the keeper's own bound.

use super::clock;
use super::console::Console;
use crate::exit::Exit;
use crate::logs::Line;
use crate::logs::events::{StopCutShort, StopUnbounded, ThreadAbandoned};
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Interval between checks of the time, in microseconds: a second signal moves the end forward.
const LOOK_EVERY_US: u64 = 100_000;

/// When the process ends after a request.
#[derive(Debug)]
pub(super) struct StopWatch {
    by_us: AtomicU64,
    /// The keeper has finished the stop; only threads are left to end.
    clean: AtomicBool,
}

impl Default for StopWatch {
    fn default() -> StopWatch {
        StopWatch {
            by_us: AtomicU64::new(u64::MAX),
            clean: AtomicBool::new(false),
        }
    }
}

impl StopWatch {
    /// The end was requested: the process ends within `delay` plus `bound`, or, after a second request, within `bound` of it.
    pub(super) fn asked(self: &Arc<Self>, delay: Duration, bound: Duration, console: &Console) {
        let now_us = clock::now().mono_us;
        let bound_us = bound.as_micros() as u64;
        let first = self.by_us.load(Ordering::Acquire) == u64::MAX;
        if !first {
            self.by_us.fetch_min(now_us + bound_us, Ordering::AcqRel);
            return;
        }
        let by_us = now_us + delay.as_micros() as u64 + bound_us;
        self.by_us.store(by_us, Ordering::Release);
        let (watch, said) = (Arc::clone(self), console.clone());
        let thread = std::thread::Builder::new()
            .name("flk-stop".to_owned())
            .spawn(move || {
                watch.wait();
                watch.end(&said);
            });
        if let Err(error) = thread {
            let message = format!("this stop has no bound: no thread: {error}");
            let error = error.to_string();
            console.say(StopUnbounded { error }, message);
        }
    }

    /// Everything is durable; from now on a thread that does not end can be abandoned.
    pub(super) fn note_clean(&self) {
        self.clean.store(true, Ordering::Release);
    }

    fn wait(&self) {
        loop {
            let by_us = self.by_us.load(Ordering::Acquire);
            let left_us = by_us.saturating_sub(clock::now().mono_us);
            if left_us == 0 {
                return;
            }
            std::thread::sleep(Duration::from_micros(left_us.min(LOOK_EVERY_US)));
        }
    }

    fn end(&self, console: &Console) -> ! {
        let (code, line) = match self.clean.load(Ordering::Acquire) {
            true => (
                Exit::Stopped,
                Line::new(
                    ThreadAbandoned {},
                    "a thread that waits for the disk or a client was not waited for",
                ),
            ),
            false => (
                Exit::File,
                Line::new(
                    StopCutShort {
                        exit_code: Exit::File.code(),
                    },
                    "stopped, but not cleanly: a file operation had not ended when the time for it was over. Check the disk under WAL_DIR. All that was answered is durable; the next start is one as after a crash",
                ),
            ),
        };
        console.put(&line);
        console.flush();
        exit(i32::from(code.code()))
    }
}
