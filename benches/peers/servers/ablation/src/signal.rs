//! A flag of one thread that one task waits for. It loses no setting: a wait that begins later ends at once.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// Set by any task, awaited by one.
#[derive(Default)]
pub(crate) struct Signal {
    is_set: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Signal {
    /// Wakes the task that waits, now or later.
    pub(crate) fn set(&self) {
        if !self.is_set.replace(true)
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    /// Whether it was set since the last time that this was ready.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        keep(&mut self.waker.borrow_mut(), cx);
        match self.is_set.replace(false) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// What it was set for is being done.
    pub(crate) fn clear(&self) {
        self.is_set.set(false);
    }

    pub(crate) async fn wait(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }
}

/// Remembers whom to wake. A task has the same waker all its life, so this costs a comparison.
pub(crate) fn keep(waker: &mut Option<Waker>, cx: &Context<'_>) {
    if !waker.as_ref().is_some_and(|it| it.will_wake(cx.waker())) {
        *waker = Some(cx.waker().clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_signal_that_was_set_before_the_wait_ends_it_and_is_taken_by_it() {
        let (signal, waker) = (Signal::default(), Waker::from(Arc::<Counting>::default()));
        let cx = Context::from_waker(&waker);
        signal.set();
        assert_eq!(signal.poll(&cx), Poll::Ready(()));
        assert_eq!(signal.poll(&cx), Poll::Pending);
        signal.set();
        signal.clear();
        assert_eq!(signal.poll(&cx), Poll::Pending);
    }

    #[test]
    fn one_wait_is_woken_once_however_often_the_signal_is_set() {
        let (signal, counting) = (Signal::default(), Arc::<Counting>::default());
        let waker = Waker::from(counting.clone());
        let cx = Context::from_waker(&waker);
        assert_eq!(signal.poll(&cx), Poll::Pending);
        signal.set();
        signal.set();
        assert_eq!(counting.0.load(Ordering::Relaxed), 1);
        assert_eq!(signal.poll(&cx), Poll::Ready(()));
        signal.set();
        assert_eq!(counting.0.load(Ordering::Relaxed), 2);
    }
}
