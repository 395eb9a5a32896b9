//! Waiting for what nothing announces. Each wait has a deadline, and a failure names what was waited for.

use std::time::{Duration, Instant};

/// No start, stop or answer of a test's gateway takes this long.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Waits until something holds; panics with `what` where it does not within `deadline`.
pub fn wait_until(what: &str, deadline: Duration, holds: impl FnMut() -> bool) {
    assert!(
        comes_true(deadline, holds),
        "after {deadline:?} still not: {what}"
    );
}

/// Waits until something holds; whether it did within `deadline`. It is looked at once at least.
pub fn comes_true(deadline: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + deadline;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_until_it_holds() {
        let mut looks = 0;
        wait_until("the third look", DEADLINE, || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
    }

    #[test]
    #[should_panic(expected = "still not: the moon is blue")]
    fn what_never_holds_is_named() {
        wait_until("the moon is blue", Duration::ZERO, || false);
    }
}
