//! The senders: threads that take the next record, send it until it is answered or given up, and hand the answer on.
//! Answers are shown in the order of the input; a window bounds how far senders run ahead of a slow one.

use crate::Answer;
use crate::exit::Failure;
use crate::input::{Bodies, Body};
use crate::submit::client::Client;
use crate::submit::progress::Progress;
use crate::submit::report::{Report, Sent};
use crate::submit::retry::Retry;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many records may be taken behind the oldest one without an answer.
const WINDOW_RECORDS: u64 = 4096;

/// How to send.
pub(super) struct Plan {
    pub(super) client: Client,
    pub(super) retry: Retry,
    pub(super) concurrency: u16,
    /// Whether a record without an answer leaves the rest alone.
    pub(super) keep_going: bool,
}

/// Sends all records and shows the answers.
pub(super) fn run<R: Read + Send>(plan: &Plan, bodies: Bodies<R>, report: Report) -> Answer {
    let source = Source::new(bodies);
    let (to_show, shown) = channel();
    std::thread::scope(|scope| {
        for _ in 0..plan.concurrency {
            let to_show = to_show.clone();
            let source = &source;
            scope.spawn(move || send_all(plan, source, &to_show));
        }
        drop(to_show);
        let answer = show_all(&source, &shown, report);
        // whoever still waits for room or an answer need not go on: nobody shows it
        source.stop();
        answer
    })
}

/// What a sender does.
fn send_all<R: Read>(plan: &Plan, source: &Source<R>, to_show: &Sender<(u64, Sent)>) {
    while let Some((index, body)) = source.take() {
        let sent = send(plan, &body, source);
        if !sent.is_answered() && !plan.keep_going {
            source.stop();
        }
        if to_show.send((index, sent)).is_err() {
            return;
        }
    }
}

/// Sends one record until it is answered or given up.
fn send<R>(plan: &Plan, body: &Body, source: &Source<R>) -> Sent {
    let mut attempts = 0;
    loop {
        let last = plan.client.send(&body.bytes);
        attempts += 1;
        let (again, retry_after_s) = match &last {
            Ok(reply) => (Retry::may_change(reply.status), reply.retry_after_s),
            Err(_) => (true, None),
        };
        let pause = plan.retry.pause(attempts, retry_after_s, fastrand::f64());
        match pause.filter(|_| again) {
            Some(pause) if source.pause(pause) => {}
            _ => {
                return Sent {
                    line: body.line,
                    attempts,
                    last: last.map_err(|error| error.to_string()),
                };
            }
        }
    }
}

/// Shows the answers in the order of the input.
fn show_all<R: Read>(
    source: &Source<R>,
    shown: &Receiver<(u64, Sent)>,
    mut report: Report,
) -> Answer {
    let mut progress = Progress::new();
    let mut early: BTreeMap<u64, Sent> = BTreeMap::new();
    let mut next = 0;
    loop {
        match shown.recv_timeout(Duration::from_millis(250)) {
            Ok((index, sent)) => {
                early.insert(index, sent);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let before = next;
        while let Some(sent) = early.remove(&next) {
            report.add(&sent)?;
            next += 1;
        }
        if next > before {
            report.flush()?;
            source.shown_upto(next);
        }
        progress.tick(|elapsed| report.progress(elapsed));
    }
    progress.clear();
    let exit = report.end(progress.elapsed(), source.lock().stopped);
    match source.lock().error.take() {
        None => Ok(exit),
        Some(error) => Err(Failure::usage(format!("cannot read the input: {error}"))),
    }
}

/// The input, shared by the senders.
struct Source<R> {
    state: Mutex<State<R>>,
    changed: Condvar,
}

struct State<R> {
    bodies: Bodies<R>,
    /// Records taken so far.
    taken: u64,
    /// Records whose answer was shown.
    shown: u64,
    stopped: bool,
    error: Option<io::Error>,
}

impl<R> Source<R> {
    fn new(bodies: Bodies<R>) -> Self {
        Self {
            state: Mutex::new(State {
                bodies,
                taken: 0,
                shown: 0,
                stopped: false,
                error: None,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown_upto(&self, shown: u64) {
        self.lock().shown = shown;
        self.changed.notify_all();
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Waits; false if it was stopped meanwhile.
    fn pause(&self, pause: Duration) -> bool {
        let stopped = |state: &mut State<R>| !state.stopped;
        let waited = self.changed.wait_timeout_while(self.lock(), pause, stopped);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }
}

impl<R: Read> Source<R> {
    /// The next record and its position, as soon as there is room for its answer.
    fn take(&self) -> Option<(u64, Body)> {
        let too_far =
            |state: &mut State<R>| !state.stopped && state.taken >= state.shown + WINDOW_RECORDS;
        let waited = self.changed.wait_while(self.lock(), too_far);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return None;
        }
        match state.bodies.next()? {
            Ok(body) => {
                state.taken += 1;
                Some((state.taken - 1, body))
            }
            Err(error) => {
                state.stopped = true;
                state.error = Some(error);
                None
            }
        }
    }
}
