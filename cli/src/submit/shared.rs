//! What the senders share: how to send, the records that wait, the counts, and the gate that a 429 closes.

use crate::submit::client::Template;
use crate::submit::reader::Item;
use crate::submit::retry::Retry;
use crate::submit::show::Shown;
use crate::submit::stop::SendStop;
use crate::submit::tally::Tally;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

/// How to send.
pub(super) struct Plan {
    pub(super) template: Rc<Template>,
    pub(super) retry: Retry,
    pub(super) concurrency: u16,
    /// Most records in one request.
    pub(super) batch: u16,
    /// How long to retry a record that is answered 429.
    pub(super) wait: Duration,
    /// Whether sending continues after a record without an answer.
    pub(super) keep_going: bool,
}

/// State shared by the tasks.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) stop: SendStop,
    pub(super) tally: RefCell<Tally>,
    pub(super) to_show: Sender<Shown>,
    pub(super) items: RefCell<UnboundedReceiver<Item>>,
    /// Taken from `items` while all tasks were busy.
    pub(super) pending: RefCell<VecDeque<Item>>,
    pub(super) pending_taken: Notify,
    /// Idle tasks; the last one to become idle works first, so that few records need few connections.
    pub(super) idle: RefCell<Vec<oneshot::Sender<Item>>>,
    /// Tasks may not become idle any more.
    pub(super) closed: Cell<bool>,
    /// Nothing is sent before this time, because a gateway answered 429.
    pub(super) gate: Cell<Option<Instant>>,
}

impl Shared {
    /// Nothing has been sent.
    pub(super) fn new(
        plan: Plan,
        stop: SendStop,
        items: UnboundedReceiver<Item>,
        to_show: Sender<Shown>,
    ) -> Self {
        Self {
            plan,
            stop,
            tally: RefCell::default(),
            to_show,
            items: RefCell::new(items),
            pending: RefCell::default(),
            pending_taken: Notify::new(),
            idle: RefCell::default(),
            closed: Cell::new(false),
            gate: Cell::new(None),
        }
    }

    pub(super) fn next(&self) -> Option<Item> {
        if let Some(item) = self.pending.borrow_mut().pop_front() {
            self.pending_taken.notify_one();
            return Some(item);
        }
        self.items.borrow_mut().try_recv().ok()
    }

    /// The counts, once the reader has ended. It may have passed records on after the last task looked; they count as not
    /// sent.
    pub(super) fn end(&self) -> Tally {
        while let Some(item) = self.next() {
            self.tally.borrow_mut().leave_out(item.line);
        }
        self.tally.take()
    }

    /// A record that was taken is the next one again.
    pub(super) fn put_back(&self, item: Item) {
        self.pending.borrow_mut().push_front(item);
    }

    pub(super) async fn receive(&self) -> Option<Item> {
        std::future::poll_fn(|context| self.items.borrow_mut().poll_recv(context)).await
    }
}

/// Waits until sending is allowed again; false if sending was stopped.
pub(super) async fn pass_gate(shared: &Shared) -> bool {
    while let Some(opens) = shared.gate.get() {
        if opens <= Instant::now() {
            shared.gate.set(None);
            break;
        }
        // jitter, so that the tasks do not send all at once
        let jitter = Duration::from_millis(fastrand::u64(0..50));
        tokio::select! {
            biased;
            () = shared.stop.begun() => return false,
            () = sleep_until(opens + jitter) => {}
        }
    }
    !shared.stop.has_begun()
}
