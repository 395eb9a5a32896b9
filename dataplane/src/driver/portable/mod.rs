//! The driver for hosts that refuse io_uring: epoll for sockets and doorbells, one flush thread per shard for files. It
//! gives the machine the same guarantees as the io_uring driver, and makes no decisions either.

mod connections;
mod flush;

use super::{DriverError, Ended, Handle, Machine, ShardSetup, clock};
use crate::driver::links::Links;
use crate::event::{Inbox, Next, Op, Outbox};
use crate::planted::{Point, pass};
use crate::wal::writer::LogFailure;
use connections::{Connections, LISTENER};
use flush::Flush;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Epoll data of the doorbell.
const BELL: u64 = u64::MAX - 1;
/// Ready sockets taken from epoll at a time; if there are more, epoll rotates them.
const READY_MAX: usize = 1024;
/// Bytes received in one turn, approximately. The remaining ready sockets are read first in the next turn.
const RECEIVED_BYTES_MAX: usize = 4 << 20;
/// How long to wait before accepting again after the system had no descriptor or memory.
const ACCEPT_RETRY_US: u64 = 10_000;

/// The driver of one shard. Made and run on that shard's own thread.
pub struct Portable {
    epoll: OwnedFd,
    ready: Vec<Event>,
    /// How many of `ready` have been handled.
    looked_at: usize,
    connections: Connections,
    flush: Flush,
    links: Links,
    handle: Handle,
}

impl Portable {
    /// Starts the flush thread and begins to accept.
    pub fn new(setup: ShardSetup) -> Result<Portable, DriverError> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|error| DriverError::new("epoll_create", error))?;
        let bell = setup.links.bell();
        epoll::add(
            &epoll,
            bell.eventfd(),
            EventData::new_u64(BELL),
            EventFlags::IN,
        )
        .map_err(|error| DriverError::new("watch the doorbell", error))?;
        let flush = Flush::start(setup.shard, Arc::clone(bell))?;
        let connections = Connections::new(&setup.limits, setup.listener, epoll.as_fd())?;
        Ok(Portable {
            epoll,
            ready: Vec::with_capacity(READY_MAX),
            looked_at: 0,
            connections,
            flush,
            links: setup.links,
            handle: Handle {
                buckets: setup.buckets,
                probe: setup.probe,
            },
        })
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
            self.handle.probe.wakes(clock::now().mono_us);
            self.collect(&mut inbox);
            next = machine.turn(&mut inbox, clock::now(), &mut self.handle, &mut outbox);
            self.handle.probe.turn_ends();
            inbox.clear();
            if let Err(stop) = self.carry_out(&mut outbox) {
                return Ended::Stopped(stop);
            }
        }
        Ended::Asked
    }

    /// Sleeps until something happens or the time of the next turn, rounded up to the millisecond resolution of epoll.
    fn wait(&mut self, next: Next) -> Result<(), DriverError> {
        if self.looked_at < self.ready.len() {
            return Ok(());
        }
        let now_us = clock::now().mono_us;
        let mut wait_us = match next {
            Next::Now => 0,
            Next::At(at_us) => at_us.saturating_sub(now_us),
        };
        if self.connections.wants_retry() {
            wait_us = wait_us.min(ACCEPT_RETRY_US);
        }
        let flush = &mut self.flush;
        let sleeps = wait_us > 0
            && !self.connections.has_news()
            && self.links.may_sleep_if(|| flush.is_empty());
        // At most an hour: longer than any deadline, and within the range of the system call.
        let wait_ms = match sleeps {
            true => wait_us.div_ceil(1_000).min(3_600_000) as i64,
            false => 0,
        };
        let wait = Timespec {
            tv_sec: wait_ms / 1_000,
            tv_nsec: (wait_ms % 1_000) * 1_000_000,
        };
        if sleeps {
            self.handle.probe.sleeps(now_us + wait_ms as u64 * 1_000);
        }
        self.ready.clear();
        self.looked_at = 0;
        let buffer = rustix::buffer::spare_capacity(&mut self.ready);
        let waited = epoll::wait(&self.epoll, buffer, Some(&wait));
        if sleeps {
            self.links.bell().woke_up();
        }
        self.connections.watch_listener(self.epoll.as_fd());
        match waited {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(DriverError::new("epoll_wait", error)),
        }
    }

    /// Turns readiness, completed file operations and messages into events.
    fn collect(&mut self, inbox: &mut Inbox) {
        self.connections.collect(inbox);
        let epoll = self.epoll.as_fd();
        while inbox.bytes.len() < RECEIVED_BYTES_MAX
            && let Some(event) = self.ready.get(self.looked_at)
        {
            self.looked_at += 1;
            match event.data.u64() {
                LISTENER => self.connections.accept(epoll, inbox),
                BELL => self.links.bell().silence(),
                word => self.connections.ready(word, event.flags, epoll, inbox),
            }
        }
        self.connections.closing_step(epoll, inbox);
        self.flush.collect(inbox);
        let messages = self.links.collect(inbox);
        self.handle.probe.messages(messages);
    }

    /// Carries out the operations of a turn, in order.
    fn carry_out(&mut self, outbox: &mut Outbox) -> Result<(), LogFailure> {
        let Outbox { ops, bytes } = outbox;
        let epoll = self.epoll.as_fd();
        for op in ops.drain(..) {
            match op {
                Op::Send(conn, range) => {
                    pass(Point::Answer);
                    self.connections.queue_bytes(conn, &bytes[range]);
                }
                Op::PauseRead(conn) => self.connections.pause_read(conn, epoll),
                Op::ResumeRead(conn) => self.connections.resume_read(conn, epoll),
                Op::Shutdown(conn) => self.connections.shut_down(conn),
                Op::Close(conn) => self.connections.close(conn, epoll),
                Op::PauseAccept => self.connections.pause_accept(epoll),
                Op::ResumeAccept => self.connections.resume_accept(epoll),
                Op::CloseListener => self.connections.close_listener(epoll),
                Op::Write {
                    file,
                    offset,
                    blocks,
                } => {
                    pass(Point::BatchHandedOver);
                    self.flush.write(file, offset, blocks);
                }
                Op::Sync(file) => self.flush.sync(file),
                Op::Read { id, file, offset } => self.flush.read(id, file, offset),
                Op::Message(to, message) => self.links.stage(to, message),
                Op::Keeper(message) => self.links.tell_keeper(message),
                Op::Stop(stop) => return Err(stop),
            }
        }
        bytes.clear();
        self.connections.send_all(epoll);
        self.links.flush(|_, bell| bell.ring_eventfd());
        Ok(())
    }
}
