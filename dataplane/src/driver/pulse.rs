//! What each shard's thread leaves for those who look at it from outside: which thread it is, by when it takes its next turn,
//! and which stage it is in. The thread stores, others load; nothing waits.

use crate::event::Stage;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering};

/// One shard's.
#[derive(Debug)]
#[repr(align(128))]
pub struct Pulse {
    thread: AtomicI32,
    /// By when the next turn is due, in microseconds of the monotonic clock. While the thread sleeps: when its wait ends.
    /// Otherwise: when the turn began.
    due_us: AtomicU64,
    stage: AtomicU8,
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse {
            thread: AtomicI32::new(0),
            due_us: AtomicU64::new(u64::MAX),
            stage: AtomicU8::new(Stage::Collect as u8),
        }
    }
}

impl Pulse {
    /// The calling thread is the shard's.
    pub(super) fn begin(&self) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.thread.store(thread, Ordering::Relaxed);
    }

    /// The thread of the shard, once it runs.
    pub(super) fn thread(&self) -> Option<i32> {
        Some(self.thread.load(Ordering::Relaxed)).filter(|&thread| thread != 0)
    }

    /// The next turn is due at this time, or has begun at it.
    pub(super) fn set_due(&self, at_us: u64) {
        self.due_us.store(at_us, Ordering::Relaxed);
    }

    /// By when the next turn is due.
    pub(super) fn due_us(&self) -> u64 {
        self.due_us.load(Ordering::Relaxed)
    }

    /// The thread is in this stage of a turn.
    pub(super) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// The stage that was entered last.
    pub(super) fn stage(&self) -> Option<Stage> {
        Stage::numbered(self.stage.load(Ordering::Relaxed))
    }
}
