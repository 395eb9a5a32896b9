//! The production driver: one io_uring per shard, one system call per turn. It pushes operations, reaps completions, and
//! sleeps in the kernel when there is nothing to do. It makes no decisions.

mod accepts;
mod buffers;
mod connections;
mod disk;
pub(super) mod queue;
mod tag;

use super::{DriverError, Ended, Handle, Machine, ShardSetup, clock};
use crate::driver::console::last_words;
use crate::driver::links::Links;
use crate::event::{Inbox, Next, Op, Outbox};
use crate::logs::events::RingStuck;
use crate::planted::{Point, pass};
use crate::wal::writer::LogFailure;
pub(super) use accepts::ACCEPTS_MAX;
use accepts::Accepts;
use buffers::ReceiveBuffers;
use connections::Connections;
use disk::Disk;
use io_uring::{opcode, types};
use queue::{Completion, Queue};
use std::os::fd::AsRawFd;
use std::time::Duration;
use tag::{Kind, Tag};

/// An hour: longer than any deadline, and small enough for the arithmetic of every kernel.
const WAIT_US_MAX: u64 = 3_600_000_000;

/// The driver of one shard. Made and run on that shard's own thread.
pub struct Uring {
    // In drop order: the ring first, then the memory that its operations pointed to.
    queue: Queue,
    connections: Connections,
    accepts: Accepts,
    disk: Disk,
    buffers: ReceiveBuffers,
    bell_count: Box<[u8; 8]>,
    links: Links,
    handle: Handle,
    completions: Vec<Completion>,
}

impl Uring {
    /// Makes the ring and starts to accept.
    pub fn new(setup: ShardSetup) -> Result<Uring, DriverError> {
        let mut queue = Queue::new()?;
        // Without clients an accept would end at once. Who had a socket before that was passed on may have left it so.
        rustix::io::ioctl_fionbio(&setup.listener.socket, false)
            .map_err(|error| DriverError::new("make the listener blocking", error))?;
        let buffers = ReceiveBuffers::new(&queue, &setup.limits)?;
        let connections = Connections::new(&mut queue, &setup.limits)?;
        queue.enable()?;
        // Not before: a ring that is disabled takes no message.
        setup.links.bell().publish_ring(queue.duplicate_fd()?);
        let accepts = Accepts::new(&mut queue, setup.listener);
        let mut driver = Uring {
            connections,
            accepts,
            disk: Disk::new(setup.limits.reads_max),
            buffers,
            bell_count: Box::new([0; 8]),
            links: setup.links,
            handle: Handle {
                buckets: setup.buckets,
                probe: setup.probe,
            },
            completions: Vec::with_capacity(1024),
            queue,
        };
        driver.read_doorbell();
        Ok(driver)
    }

    /// Runs the machine until it stops, the process asks for it, or a system call fails.
    pub fn run<M: Machine>(&mut self, machine: &mut M) -> Ended {
        let mut inbox = Inbox::with_capacity(1024, 1 << 20);
        let mut outbox = Outbox::with_capacity(1024, 1 << 20);
        let mut next = Next::Now;
        self.handle.probe.begins();
        while !self.links.bell().is_asked_to_end() {
            if let Err(error) = self.wait(next) {
                return Ended::Failed(error);
            }
            let now = clock::now();
            self.handle.probe.wakes(now.mono_us);
            self.handle.probe.entered(self.queue.take_entered());
            self.collect(now.mono_us, &mut inbox);
            next = machine.turn(&mut inbox, now, &mut self.handle, &mut outbox);
            self.handle.probe.turn_ends();
            inbox.clear();
            if let Err(stop) = self.carry_out(&mut outbox) {
                return Ended::Stopped(stop);
            }
        }
        Ended::Asked
    }

    /// Submits the operations of the last turn and sleeps until a completion, a wake-up, or the time of the next turn.
    fn wait(&mut self, next: Next) -> Result<(), DriverError> {
        let (wait_us, until_us) = match next {
            Next::Now => (0, 0),
            Next::At(at_us) => {
                let now_us = clock::now().mono_us;
                let retry_us = self.accepts.retry_at_us().unwrap_or(u64::MAX);
                let wait_us = at_us.min(retry_us).saturating_sub(now_us).min(WAIT_US_MAX);
                (wait_us, now_us + wait_us)
            }
        };
        let wait = Duration::from_micros(wait_us);
        let can_open = self.accepts.may_open() && self.connections.has_room();
        let has_news = can_open || self.accepts.is_closed();
        if wait.is_zero() || has_news || !self.links.may_sleep() {
            return self.queue.enter(Duration::ZERO);
        }
        self.handle.probe.sleeps(until_us);
        let entered = self.queue.enter(wait);
        self.links.bell().woke_up();
        entered
    }

    /// Turns completions and messages into events.
    fn collect(&mut self, now_us: u64, inbox: &mut Inbox) {
        if self.queue.has_overflowed() {
            self.handle.probe.overflows();
        }
        let mut completions = std::mem::take(&mut self.completions);
        self.queue.reap(&mut completions);
        for done in completions.drain(..) {
            self.dispatch(done, now_us, inbox);
        }
        self.completions = completions;
        while self.connections.has_room()
            && let Some((socket, peer)) = self.accepts.take()
        {
            self.connections.open(socket, peer, &mut self.queue, inbox);
        }
        self.accepts.step(now_us, &mut self.queue);
        self.accepts.report_closed(inbox);
        let messages = self.links.collect(inbox);
        self.handle.probe.messages(messages);
    }

    fn dispatch(&mut self, done: Completion, now_us: u64, inbox: &mut Inbox) {
        let queue = &mut self.queue;
        match done.tag.kind {
            Kind::Accept => self.accepts.ended(done, now_us),
            Kind::Receive => self
                .connections
                .received(done, queue, &mut self.buffers, inbox),
            Kind::Send => self.connections.sent(done, queue, inbox),
            Kind::Shutdown => self.connections.shut(done, queue),
            Kind::Write => self.disk.written(done, inbox),
            Kind::Sync => self.disk.synced(done, inbox),
            Kind::Read => self.disk.read_done(done, queue, inbox),
            Kind::Doorbell => self.read_doorbell(),
            // The peer's ring is closed or out of memory; its eventfd wakes it too.
            Kind::Ring => self
                .links
                .ring_by_eventfd(crate::io::ShardId(done.tag.slot as u16)),
            Kind::Rung | Kind::Forgotten | Kind::CancelAll => {}
        }
    }

    /// Carries out the operations of a turn, in order; they are submitted by the next [`Uring::wait`].
    fn carry_out(&mut self, outbox: &mut Outbox) -> Result<(), LogFailure> {
        let Outbox { ops, bytes } = outbox;
        let queue = &mut self.queue;
        for op in ops.drain(..) {
            match op {
                Op::Send(conn, range) => {
                    pass(Point::Answer);
                    self.connections.queue_bytes(conn, &bytes[range]);
                }
                Op::PauseRead(conn) => self.connections.pause_read(conn, queue),
                Op::ResumeRead(conn) => self.connections.resume_read(conn, queue),
                Op::Shutdown(conn) => self.connections.shut_down(conn, queue),
                Op::Close(conn) => self.connections.close(conn, queue),
                Op::PauseAccept => self.accepts.pause(),
                Op::ResumeAccept => self.accepts.resume(queue),
                Op::CloseListener => self.accepts.close(queue),
                Op::Write {
                    file,
                    offset,
                    blocks,
                } => {
                    pass(Point::BatchHandedOver);
                    self.disk.write(file, offset, blocks, queue);
                }
                Op::Sync(file) => self.disk.sync(file, queue),
                Op::Read { id, file, offset } => self.disk.read(id, file, offset, queue),
                Op::Message(to, message) => self.links.stage(to, message),
                Op::Keeper(message) => self.links.tell_keeper(message),
                Op::Stop(stop) => return Err(stop),
            }
        }
        bytes.clear();
        self.connections.send_all(queue);
        self.links.flush(|peer, bell| match bell.ring() {
            Some(ring) => queue.ring(u32::from(peer.0), ring),
            None => bell.ring_eventfd(),
        });
        Ok(())
    }

    /// Starts a read of the doorbell's eventfd, so that ringing it ends a wait.
    #[allow(unsafe_code)]
    fn read_doorbell(&mut self) {
        let eventfd = types::Fd(self.links.bell().eventfd().as_raw_fd());
        let memory = self.bell_count.as_mut_ptr();
        let entry = opcode::Read::new(eventfd, memory, 8).build();
        // SAFETY: `bell_count` is boxed, used by this one operation only, and dropped after the ring is quiet.
        unsafe { self.queue.push(entry, Tag::plain(Kind::Doorbell, 0)) };
    }
}

impl Drop for Uring {
    /// Cancels all operations and waits for their end: they point into buffers that are about to be freed.
    fn drop(&mut self) {
        self.queue.cancel_all();
        while self.queue.in_flight() > 0 {
            if let Err(error) = self.queue.enter(Duration::from_secs(1)) {
                // Freeing memory that the kernel still writes to is worse than ending the process here.
                let message = format!("cannot wait for io_uring to finish: {error}");
                let error = error.to_string();
                last_words(RingStuck { error }, message);
                std::process::abort();
            }
            self.completions.clear();
            self.queue.reap(&mut self.completions);
        }
    }
}
