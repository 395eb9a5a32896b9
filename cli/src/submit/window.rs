//! Limits how far the reader of the input is ahead of the oldest answer that was not shown, in records and bytes. That
//! bounds memory, however slow one answer is.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

const RECORDS_MAX: usize = 16_384;
const BYTES_MAX: usize = 64 << 20;

/// Records between reading and showing.
#[derive(Default)]
pub(super) struct Window {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    records: usize,
    bytes: usize,
    waits: bool,
    closed: bool,
}

impl State {
    /// A single record always has room, whatever its size.
    fn has_room(&self, bytes: usize) -> bool {
        self.records == 0 || (self.records < RECORDS_MAX && self.bytes + bytes <= BYTES_MAX)
    }
}

impl Window {
    /// Waits for room for a record of so many bytes; false if the window was closed.
    pub(super) fn enter(&self, bytes: usize) -> bool {
        let mut state = self.lock();
        while !state.closed && !state.has_room(bytes) {
            state.waits = true;
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.waits = false;
        if !state.closed {
            state.records += 1;
            state.bytes += bytes;
        }
        !state.closed
    }

    /// The answer to such a record was shown.
    pub(super) fn leave(&self, bytes: usize) {
        let mut state = self.lock();
        state.records -= 1;
        state.bytes -= bytes;
        // wake the reader only for half of the window, not for each record
        let is_half_empty = state.records <= RECORDS_MAX / 2 && state.bytes <= BYTES_MAX / 2;
        if state.waits && is_half_empty {
            self.changed.notify_all();
        }
    }

    /// Admits no more records.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Lets a reader run against a slow end, and counts how far it ever was ahead.
    fn most_ahead(records: usize, bytes: usize) -> usize {
        let window = Window::default();
        let (entered, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut most = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..records {
                    assert!(window.enter(bytes));
                    entered.fetch_add(1, Ordering::SeqCst);
                }
            });
            while left.load(Ordering::SeqCst) < records {
                let ahead = entered.load(Ordering::SeqCst) - left.load(Ordering::SeqCst);
                most = most.max(ahead);
                if ahead > 0 {
                    window.leave(bytes);
                    left.fetch_add(1, Ordering::SeqCst);
                } else {
                    std::thread::yield_now();
                }
            }
        });
        most
    }

    #[test]
    fn neither_records_nor_bytes_pile_up_and_none_is_too_large() {
        assert!(most_ahead(50_000, 100) <= RECORDS_MAX);
        assert!(most_ahead(500, 1 << 20) <= BYTES_MAX >> 20);
        assert_eq!(most_ahead(3, BYTES_MAX + 1), 1);
    }

    #[test]
    fn a_closed_window_lets_a_waiting_reader_go() {
        let window = Window::default();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| while window.enter(BYTES_MAX) {});
            window.close();
            reader.join().unwrap();
        });
        assert!(!window.enter(1));
    }
}
