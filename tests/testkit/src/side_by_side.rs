//! Cases of one test that mostly wait for processes and disks, checked some at a time.

use std::sync::Mutex;

/// Threads that check.
const AT_A_TIME: usize = 4;

/// Checks every case, some at a time. A case that panics fails the test; its message names the case.
pub fn side_by_side<C: Send>(cases: impl IntoIterator<Item = C>, check: impl Fn(C) + Sync) {
    let cases: Vec<C> = cases.into_iter().collect();
    let cases = Mutex::new(cases.into_iter());
    // A closure of its own, so that the lock is not held while the case is checked.
    let next = || cases.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(case) = next() {
                    check(case);
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn every_case_is_checked_once() {
        let checked: Vec<AtomicU32> = (0..50).map(|_| AtomicU32::new(0)).collect();
        side_by_side(0..50, |case: usize| {
            checked[case].fetch_add(1, Ordering::Relaxed);
        });
        assert!(
            checked
                .iter()
                .all(|count| count.load(Ordering::Relaxed) == 1)
        );
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn one_case_that_fails_fails_the_test() {
        side_by_side(0..50, |case| assert_ne!(case, 33));
    }
}
