//! The loop of turns as a task: it waits for events, runs the shard, and hands its operations to the other tasks. It touches neither
//! a socket nor a file, and knows the executor only by its timers.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flk_dataplane::driver::turns::Turns;
use flk_dataplane::driver::{Ended, Machine, clock};
use flk_dataplane::event::{Inbox, Next, Op, Outbox};
use flk_dataplane::wal::writer::LogFailure;

use crate::bell::Bell;
use crate::executor::Executor;
use crate::hub::{Hub, Job};

/// Longer than any deadline of a shard.
const WAIT_US_MAX: u64 = 3_600_000_000;

/// A timer that is under way, and when it ends.
struct Timer {
    at_us: u64,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

/// The turns of one shard.
pub(crate) struct Loop<E: Executor> {
    turns: Turns,
    hub: Rc<Hub<E::Task>>,
    bell: Arc<Bell>,
    /// One at a time: it is replaced only by an earlier one, so that a turn starts no timer in the usual case.
    timer: Option<Timer>,
}

impl<E: Executor> Loop<E> {
    pub(crate) fn new(turns: Turns, hub: Rc<Hub<E::Task>>) -> io::Result<Self> {
        let bell = Bell::listen(turns.bell())?;
        Ok(Self {
            turns,
            hub,
            bell,
            timer: None,
        })
    }

    /// Runs the machine until it stops or the process asks for it.
    pub(crate) async fn run<M: Machine>(mut self, mut machine: M) -> Ended {
        let mut inbox = Inbox::with_capacity(1024, 1 << 20);
        let mut outbox = Outbox::with_capacity(1024, 1 << 20);
        let mut next = Next::Now;
        while !self.turns.is_asked_to_end() {
            self.wait(next).await;
            self.hub.take_events(&mut inbox);
            next = self.turns.turn(&mut machine, &mut inbox, &mut outbox);
            if let Err(stop) = self.carry_out(&mut outbox) {
                return Ended::Stopped(stop);
            }
        }
        // Bytes that wait are sent by the tasks of their connections.
        yield_once().await;
        Ended::Asked
    }

    /// Lets other tasks run, and waits until something has happened or the time of the next turn has come.
    async fn wait(&mut self, next: Next) {
        let at_us = match next {
            Next::Now => return yield_once().await,
            Next::At(at_us) => at_us,
        };
        let now_us = clock::now().mono_us;
        if at_us <= now_us || !self.turns.may_sleep(at_us) {
            return yield_once().await;
        }
        if self.timer.as_ref().is_none_or(|it| it.at_us > at_us) {
            let span_us = (at_us - now_us).min(WAIT_US_MAX);
            let future = Box::pin(E::sleep(Duration::from_micros(span_us)));
            let at_us = now_us + span_us;
            self.timer = Some(Timer { at_us, future });
        }
        poll_fn(|cx| self.poll_news(cx)).await;
        self.turns.woke_up();
    }

    /// All three are asked, so that each knows whom to wake.
    fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_due = match &mut self.timer {
            Some(timer) => timer.future.as_mut().poll(cx).is_ready(),
            None => false,
        };
        if is_due {
            self.timer = None;
        }
        let has_news = self.hub.news.poll(cx).is_ready();
        let is_rung = self.bell.poll(cx).is_ready();
        match is_due || has_news || is_rung {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Hands on the operations of a turn, in order.
    fn carry_out(&mut self, outbox: &mut Outbox) -> Result<(), LogFailure> {
        let Outbox { ops, bytes } = outbox;
        for op in ops.drain(..) {
            let Some(op) = self.turns.post(op) else {
                continue;
            };
            let hub = &self.hub;
            match op {
                Op::Send(id, range) => {
                    if let Some(connection) = hub.table.borrow().get(id) {
                        connection.queue(&bytes[range]);
                    }
                }
                Op::PauseRead(id) => {
                    if let Some(connection) = hub.table.borrow().get(id) {
                        connection.reads.set(false);
                    }
                }
                Op::ResumeRead(id) => {
                    if let Some(connection) = hub.table.borrow().get(id) {
                        connection.resume_read();
                    }
                }
                Op::Shutdown(id) => {
                    if let Some(connection) = hub.table.borrow().get(id) {
                        connection.shut_down();
                    }
                }
                Op::Close(id) => hub.close(id),
                Op::PauseAccept => hub.accept(false),
                Op::ResumeAccept => hub.accept(true),
                Op::CloseListener => hub.close_listener(),
                Op::Write {
                    file,
                    offset,
                    blocks,
                } => hub.give(Job::Write(file, offset, blocks)),
                Op::Sync(file) => hub.give(Job::Sync(file)),
                Op::Read { id, file, offset } => hub.give(Job::Read(id, file, offset)),
                Op::Stop(stop) => return Err(stop),
                Op::Message(..) | Op::Keeper(_) => unreachable!("messages were posted"),
            }
        }
        bytes.clear();
        self.turns.deliver();
        Ok(())
    }
}

/// Lets all tasks that are ready run first.
async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|cx| match std::mem::replace(&mut has_yielded, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}
