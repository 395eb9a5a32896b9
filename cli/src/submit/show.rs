//! The thread that shows answers in the order of the input. If the output is closed it reports that once and still
//! receives answers, so that the requests in flight can end.

use crate::output::Output;
use crate::submit::report::{Form, Sent};
use crate::submit::stop::{SendStop, Why};
use crate::submit::window::Window;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use tokio::sync::oneshot;

/// An answer, its place in the order, and its share of the window.
pub(super) struct Shown {
    pub(super) index: u64,
    pub(super) window_bytes: usize,
    pub(super) sent: Sent,
}

/// Starts the thread; it shows answers until all senders are gone, then notifies the receiver.
pub(super) fn start(
    form: Form,
    window: Arc<Window>,
    stop: SendStop,
    answers: Receiver<Shown>,
) -> oneshot::Receiver<()> {
    let (done, when_done) = oneshot::channel();
    std::thread::spawn(move || {
        Shower {
            form,
            output: Some(Output::new()),
            window,
            stop,
            early: BTreeMap::new(),
            next: 0,
        }
        .run(&answers);
        // the receiver may be gone: an interrupted run waits for a limited time
        done.send(()).ok();
    });
    when_done
}

struct Shower {
    form: Form,
    /// None once it failed.
    output: Option<Output>,
    window: Arc<Window>,
    stop: SendStop,
    /// Answers that come after a missing one.
    early: BTreeMap<u64, Shown>,
    next: u64,
}

impl Shower {
    fn run(mut self, answers: &Receiver<Shown>) {
        loop {
            match answers.try_recv() {
                Ok(answer) => self.take(answer),
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    // a reader of the pipe may be waiting for these lines
                    self.flush();
                    match answers.recv() {
                        Ok(answer) => self.take(answer),
                        Err(_) => break,
                    }
                }
            }
        }
        // records that were not sent leave gaps
        for answer in std::mem::take(&mut self.early).into_values() {
            self.show(&answer);
        }
        self.flush();
    }

    fn take(&mut self, answer: Shown) {
        if answer.index != self.next {
            self.early.insert(answer.index, answer);
            return;
        }
        self.show(&answer);
        self.next += 1;
        while let Some(answer) = self.early.remove(&self.next) {
            self.show(&answer);
            self.next += 1;
        }
    }

    fn show(&mut self, answer: &Shown) {
        self.window.leave(answer.window_bytes);
        let Some(output) = &mut self.output else {
            return;
        };
        if let Some(text) = self.form.of(&answer.sent) {
            let written = output.write_line(text);
            self.check(written);
        }
    }

    fn flush(&mut self) {
        if let Some(output) = &mut self.output {
            let written = output.write_out();
            self.check(written);
        }
    }

    fn check(&mut self, written: std::io::Result<()>) {
        if let Err(error) = written {
            self.output = None;
            self.stop.begin(match error.kind() {
                ErrorKind::BrokenPipe => Why::OutputClosed,
                _ => Why::Output(crate::fault::why(&error)),
            });
        }
    }
}
