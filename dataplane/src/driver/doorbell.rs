//! Wakes a sleeping shard or the keeper: a flag that says it sleeps, and two ways to wake it, an eventfd and, for a shard on
//! io_uring, its ring. It carries no message; messages are in the rings and mailboxes.

use super::DriverError;
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// One per thread that sleeps, shared with all threads that send to it.
///
/// A wake-up cannot be lost. The sender publishes its message and *then* reads the flag; the sleeper sets the flag and
/// *then* checks for messages. A full fence separates the two steps on each side. In every interleaving at least one of
/// them sees the other's step:
/// 1. sender publishes, sleeper sets the flag and checks: the sleeper finds the message and does not sleep;
/// 2. sleeper sets the flag and finds nothing, sender publishes and reads: the sender finds the flag and rings.
///
/// If both happen, the bell rings for a thread that is awake, which costs one empty turn.
#[derive(Debug)]
pub struct Doorbell {
    asleep: AtomicBool,
    is_asked_to_end: AtomicBool,
    eventfd: OwnedFd,
    ring: OnceLock<OwnedFd>,
}

impl Doorbell {
    /// The bell of a thread that is awake.
    pub fn new() -> Result<Doorbell, DriverError> {
        // Not O_NONBLOCK: io_uring would fail a read at once instead of waiting.
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC).map_err(|error| {
            DriverError::new("eventfd (is the open-file limit reached?)", error)
        })?;
        Ok(Doorbell {
            asleep: AtomicBool::new(false),
            is_asked_to_end: AtomicBool::new(false),
            eventfd,
            ring: OnceLock::new(),
        })
    }

    /// The descriptor that becomes readable when the bell is rung.
    pub fn eventfd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }

    /// The sleeper's io_uring, if it has one and has run already.
    pub(crate) fn ring(&self) -> Option<BorrowedFd<'_>> {
        self.ring.get().map(AsFd::as_fd)
    }

    /// Publishes a duplicate of the sleeper's ring descriptor. It stays open as long as the bell, so its number cannot be
    /// reused for another file while a peer may still ring.
    pub(crate) fn publish_ring(&self, ring: OwnedFd) {
        let _only_the_first_counts = self.ring.set(ring);
    }

    /// To be called after publishing a message: whether the sleeper must be woken. Returns true to one caller only.
    pub(crate) fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel)
    }

    /// After publishing a message: wakes the sleeper if it sleeps.
    pub fn ring_if_asleep(&self) {
        if self.must_ring() {
            self.ring_eventfd();
        }
    }

    /// Wakes the sleeper by the eventfd.
    pub(crate) fn ring_eventfd(&self) {
        // The only possible failure is a full counter, and then the eventfd is readable.
        let _ = rustix::io::write(&self.eventfd, &1u64.to_ne_bytes());
    }

    /// Resets the eventfd. To be called only after it was found readable, because it blocks otherwise.
    pub(crate) fn silence(&self) {
        let mut count = [0; 8];
        let _was_it_rung = rustix::io::read(&self.eventfd, &mut count);
    }

    /// Sets the flag and returns whether the thread may sleep: not if something has arrived or the end was requested.
    pub(crate) fn may_sleep(&self, nothing_waits: impl FnOnce() -> bool) -> bool {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let may = nothing_waits() && !self.is_asked_to_end();
        if !may {
            self.woke_up();
        }
        may
    }

    /// Clears the flag: the thread is awake.
    pub(crate) fn woke_up(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Asks the thread behind the bell to leave its loop.
    pub fn tell_to_end(&self) {
        self.is_asked_to_end.store(true, Ordering::Relaxed);
        self.ring_if_asleep();
    }

    /// Whether [`Doorbell::tell_to_end`] was called.
    pub(crate) fn is_asked_to_end(&self) -> bool {
        self.is_asked_to_end.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn rings_once_and_only_for_somebody_who_sleeps() {
        let bell = Doorbell::new().unwrap();
        assert!(!bell.must_ring());
        assert!(bell.may_sleep(|| true));
        assert!(bell.must_ring());
        assert!(!bell.must_ring());
    }

    #[test]
    fn does_not_sleep_over_a_message_or_the_end() {
        let bell = Doorbell::new().unwrap();
        assert!(!bell.may_sleep(|| false));
        assert!(!bell.must_ring());
        bell.tell_to_end();
        assert!(!bell.may_sleep(|| true));
    }

    #[test]
    fn no_wake_up_is_lost_between_two_threads() {
        const ROUNDS: u64 = 100_000;
        let bell = Doorbell::new().unwrap();
        let published = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    published.fetch_add(1, Ordering::Release);
                    bell.ring_if_asleep();
                }
            });
            // A lost wake-up leaves this thread in `poll` for its whole time-out, which is what fails the test.
            let mut seen = 0;
            while seen < ROUNDS {
                if bell.may_sleep(|| published.load(Ordering::Acquire) == seen) {
                    let mut fds = [rustix::event::PollFd::new(
                        &bell.eventfd,
                        rustix::event::PollFlags::IN,
                    )];
                    let time_out = rustix::event::Timespec {
                        tv_sec: 20,
                        tv_nsec: 0,
                    };
                    let ready = rustix::event::poll(&mut fds, Some(&time_out)).unwrap();
                    assert_eq!(ready, 1, "slept through a message");
                    bell.silence();
                    bell.woke_up();
                }
                seen = published.load(Ordering::Acquire);
            }
        });
    }
}
