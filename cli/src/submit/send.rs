//! The senders: one task per request in flight, each with its own connection. A task takes the next record, sends it until
//! it is answered or given up, and passes the answer on. All tasks run on one thread.

use crate::submit::batch::{gather, send_many};
use crate::submit::client::{Connection, NoReply, Reply, Sending, Template};
use crate::submit::meaning::Meaning;
use crate::submit::reader::Item;
use crate::submit::report::{Sent, Word};
use crate::submit::retry::Retry;
use crate::submit::show::Shown;
use crate::submit::stop::{SendStop, Why};
use crate::submit::tally::Tally;
use hyper::body::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
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
    to_show: Sender<Shown>,
    items: RefCell<UnboundedReceiver<Item>>,
    /// Taken from `items` while all tasks were busy.
    pending: RefCell<VecDeque<Item>>,
    pending_taken: Notify,
    /// Idle tasks; the last one to become idle works first, so that few records need few connections.
    idle: RefCell<Vec<oneshot::Sender<Item>>>,
    /// Tasks may not become idle any more.
    closed: Cell<bool>,
    /// Nothing is sent before this time, because a gateway answered 429.
    gate: Cell<Option<Instant>>,
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

    async fn receive(&self) -> Option<Item> {
        std::future::poll_fn(|context| self.items.borrow_mut().poll_recv(context)).await
    }
}

/// Sends all records of the input. After a stop it finishes the requests in flight; [`Shared::end`] counts the rest.
pub(super) async fn send_all(shared: &Rc<Shared>) {
    let mut tasks = JoinSet::new();
    tokio::select! {
        biased;
        () = shared.stop.begun() => {}
        () = dispatch(shared, &mut tasks) => {}
    }
    shared.closed.set(true);
    shared.idle.borrow_mut().clear();
    while tasks.join_next().await.is_some() {}
}

/// Gives records to idle tasks, and starts further tasks up to the limit.
async fn dispatch(shared: &Rc<Shared>, tasks: &mut JoinSet<()>) {
    while let Some(item) = shared.receive().await {
        // an idle task waits for nothing else, so it takes the record
        let resting = shared.idle.borrow_mut().pop();
        let item = match resting {
            Some(resting) => resting.send(item).err(),
            None => Some(item),
        };
        let Some(item) = item else { continue };
        if tasks.len() < usize::from(shared.plan.concurrency) {
            tasks.spawn_local(task(shared.clone(), item));
        } else {
            shared.pending.borrow_mut().push_back(item);
            shared.pending_taken.notified().await;
        }
    }
}

/// One task with its connection.
async fn task(shared: Rc<Shared>, first: Item) {
    let mut connection = Connection::new(shared.plan.template.clone());
    let mut next = Some(first);
    loop {
        let Some(item) = next.take().or_else(|| shared.next()) else {
            if shared.closed.get() {
                return;
            }
            let (work, rest) = oneshot::channel();
            shared.idle.borrow_mut().push(work);
            match rest.await {
                Ok(item) => next = Some(item),
                Err(_) => return,
            }
            continue;
        };
        if shared.stop.has_begun() {
            shared.tally.borrow_mut().leave_out(item.line);
            continue;
        }
        if shared.plan.batch > 1 {
            let items = gather(&shared, item).await;
            let all = send_many(&shared, &mut connection, &items).await;
            for (item, sent) in items.iter().zip(all) {
                done(&shared, item, sent);
            }
            continue;
        }
        let sent = match &item.body {
            Ok(body) => send(&shared, &mut connection, item.line, body).await,
            Err(bytes_count) => too_long(item.line, *bytes_count),
        };
        done(&shared, &item, sent);
    }
}

/// A record has its result: it is counted and shown.
fn done(shared: &Shared, item: &Item, sent: Sent) {
    if !sent.word.is_answer() && !shared.plan.keep_going {
        shared.stop.begin(Why::Unanswered);
    }
    shared.tally.borrow_mut().add(&sent, item.window_bytes);
    let shown = Shown {
        index: item.index,
        window_bytes: item.window_bytes,
        sent,
    };
    // the receiver lives until the last sender is gone
    shared.to_show.send(shown).ok();
}

pub(super) fn too_long(line: u64, bytes_count: u64) -> Sent {
    Sent {
        word: Word::Refused,
        why: Some(format!(
            "body_too_large: {bytes_count} bytes, and no gateway takes more than 1 MiB; it was not sent"
        )),
        ..Sent::nothing(line)
    }
}

/// Sends one record until it is answered or given up.
async fn send(shared: &Shared, connection: &mut Connection, line: u64, body: &Bytes) -> Sent {
    let mut sent = Sent::nothing(line);
    let begun = Instant::now();
    let give_up = begun + shared.plan.wait;
    let sending = Sending::Record(body.clone());
    loop {
        if !pass_gate(shared).await {
            return sent;
        }
        let answer = tokio::select! {
            biased;
            answer = connection.send(&sending) => answer,
            () = shared.stop.abandoned() => Err(NoReply::Interrupted),
        };
        let pause = match answer {
            Ok(reply) => judge(shared, &mut sent, reply, body, give_up),
            Err(why) => no_reply(shared, &mut sent, &why, connection.may_have_sent()),
        };
        let Some(pause) = pause else { return sent };
        tokio::select! {
            biased;
            () = shared.stop.begun() => return sent,
            () = sleep_until(Instant::now() + pause) => {}
        }
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

/// Notes what an answer means; the pause before the next attempt, if there is to be one.
pub(super) fn judge(
    shared: &Shared,
    sent: &mut Sent,
    reply: Reply,
    body: &Bytes,
    give_up: Instant,
) -> Option<Duration> {
    sent.requests += 1;
    let meaning = Meaning::of(&reply, body);
    let (status, retry_after_s) = (reply.status, reply.retry_after_s);
    sent.reply = Some(reply);
    sent.why = None;
    sent.word = match meaning {
        Meaning::Accepted => Word::Accepted,
        Meaning::Escalated => Word::Escalated,
        Meaning::Refused => Word::Refused,
        Meaning::NotAGateway(why) => {
            sent.why = Some(format!("not a gateway: {why}"));
            sent.word = Word::NoAnswer;
            shared.stop.begin(Why::NotAGateway(why));
            return None;
        }
        Meaning::Limited => return put_off(shared, sent, retry_after_s, give_up),
        Meaning::Unknown => {
            sent.word = Word::NoAnswer;
            let attempt = sent.attempts();
            let pause = shared
                .plan
                .retry
                .pause(attempt, retry_after_s, fastrand::f64());
            return pause.filter(|_| Retry::may_change(status));
        }
    };
    None
}

/// After a 429 all tasks wait for as long as the gateway asks.
fn put_off(
    shared: &Shared,
    sent: &mut Sent,
    retry_after_s: Option<u64>,
    give_up: Instant,
) -> Option<Duration> {
    sent.put_off += 1;
    sent.word = Word::Limited;
    let asked = Duration::from_secs(retry_after_s.unwrap_or(1));
    let opens = Instant::now().checked_add(asked);
    match opens.filter(|opens| *opens <= give_up) {
        Some(opens) => {
            let later = shared
                .gate
                .get()
                .map_or(opens, |earlier| earlier.max(opens));
            shared.gate.set(Some(later));
            Some(Duration::ZERO)
        }
        None => {
            let wait = crate::args::time_text(shared.plan.wait);
            let asked = asked.as_secs();
            sent.why = Some(format!(
                "the gateway is over its rate and asks to wait {asked} s, which is beyond --wait {wait}"
            ));
            None
        }
    }
}

/// Records that there was no answer. A record counts as not sent if no attempt had a connection.
pub(super) fn no_reply(
    shared: &Shared,
    sent: &mut Sent,
    why: &NoReply,
    may_have_sent: bool,
) -> Option<Duration> {
    sent.requests += 1;
    if may_have_sent || sent.word != Word::NotSent {
        sent.word = Word::NoAnswer;
    }
    sent.reply = None;
    sent.why = Some(why.to_string());
    match why {
        NoReply::Interrupted => None,
        NoReply::NotHttp => {
            let why = "what came back is not HTTP/1.1".to_owned();
            shared.stop.begin(Why::NotAGateway(why));
            None
        }
        _ => {
            let attempt = sent.attempts();
            shared.plan.retry.pause(attempt, None, fastrand::f64())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submit::target::Target;
    use tokio::sync::mpsc::unbounded_channel;

    fn item(line: u64) -> Item {
        Item {
            index: line - 1,
            line,
            body: Ok(Bytes::from_static(b"{}")),
            window_bytes: 2,
        }
    }

    #[tokio::test]
    async fn records_read_while_the_sending_stopped_count_as_not_sent() {
        let target = Target::parse("http://127.0.0.1:9").unwrap();
        let plan = Plan {
            template: Rc::new(Template::new(target, None, Duration::from_secs(1))),
            retry: Retry::with_attempts(1),
            concurrency: 1,
            batch: 1,
            wait: Duration::ZERO,
            keep_going: false,
        };
        let (to_send, items) = unbounded_channel();
        let (to_show, _shown) = std::sync::mpsc::channel();
        let stop = SendStop::new();
        stop.begin(Why::OutputClosed);
        let shared = Rc::new(Shared::new(plan, stop.clone(), items, to_show));
        to_send.send(item(1)).unwrap();
        send_all(&shared).await;
        // The reader was not told yet, or was between two steps.
        to_send.send(item(2)).unwrap();
        to_send.send(item(3)).unwrap();
        drop(to_send);
        let (lines, _) = shared.end().end(&crate::submit::tally::End {
            url: "http://127.0.0.1:9",
            elapsed: Duration::from_secs(1),
            why: stop.why(),
            rest: &crate::submit::reader::Rest::default(),
        });
        assert!(
            lines
                .iter()
                .any(|line| line.contains("3 not sent; send again from input line 1 on")),
            "{lines:?}"
        );
    }
}
