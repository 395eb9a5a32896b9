//! Which bug is planted in this process.

use super::Bug;
use std::sync::atomic::{AtomicU8, Ordering};

static SELECTED: AtomicU8 = AtomicU8::new(0);

/// Plants one bug in this process, or none.
pub fn plant(bug: Option<Bug>) {
    SELECTED.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
}

/// Whether this bug is planted.
pub fn planted(bug: Bug) -> bool {
    SELECTED.load(Ordering::Relaxed) == bug as u8
}
