//! Drivers connect the state machines to the operating system. A driver turns completions into events, calls the machine,
//! and carries out its operations in order; it makes no decisions.
//!
//! `uring` is for production, `portable` for hosts that refuse io_uring. Both guarantee the same to the machine: the events
//! of a connection are in order, a closed connection has no more events, at most one log write or sync is in flight, and
//! the thread sleeps when there is nothing to do.

pub mod affinity;
pub mod agent;
mod cgroup;
pub mod clock;
pub mod console;
pub mod core_dumps;
pub mod descriptors;
pub mod directory;
pub mod doorbell;
pub mod environment;
pub mod files;
pub mod flush_time;
pub mod group;
pub mod holder;
pub mod line_socket;
pub mod listen;
pub mod lock;
pub mod log_directory;
pub mod memory;
pub mod observer;
pub mod passed;
mod peer;
pub mod probe;
pub mod pulse;
pub mod rate;
mod resources;
pub mod ring;
pub mod sandbox;
pub mod service_manager;
pub mod shard_probe;
pub mod signal;
pub mod statistics;
mod stop_watch;
pub mod threads;
pub mod turns;
mod watchdog;

pub mod links;
pub mod outgoing;

pub mod portable;
pub mod uring;

use crate::event::{Ask, Driver, Granted, Inbox, Next, Outbox, Stage};
use crate::io::{Now, ShardId};
use crate::snapshot::Limit;
use crate::stats::Trace;
use crate::wal::writer::LogFailure;
use links::Links;
use listen::Listener;
use rate::Buckets;
use std::sync::Arc;

/// The state machine that a driver runs: a shard, or a stub in a test of the driver.
pub trait Machine {
    /// One turn. It drains `inbox.events`, fills `outbox`, and returns when it wants the next one.
    fn turn<D: Driver>(
        &mut self,
        inbox: &mut Inbox,
        now: Now,
        driver: &mut D,
        outbox: &mut Outbox,
    ) -> Next;
}

/// A driver as a choice: what runs a shard on the shard's own thread. Those of this crate are [`probe::DriverKind`]; a bench has
/// others, to measure the same shard under them.
pub trait ShardDriver: Copy + Send + 'static {
    /// Runs the machine until it stops, the process asks for it, or the system refuses a call.
    ///
    /// # Errors
    /// The driver did not start.
    fn run<M: Machine + 'static>(self, setup: ShardSetup, machine: M)
    -> Result<Ended, DriverError>;
}

/// Sizes of a driver's memory for one shard. After the start only the bytes queued to clients grow, and the shard bounds
/// those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverLimits {
    /// Connections at a time; further ones wait in the listen queue.
    pub connections_max: u32,
    /// Receive buffers shared by all connections, a power of two of at most 32,768. A buffer is in use only between the
    /// arrival of bytes and the next turn, so there may be fewer buffers than connections.
    pub receive_buffers_count: u16,
    /// Size of each. One holds a whole request of usual size; larger requests take several.
    pub receive_buffer_bytes: u32,
    /// Block reads in flight at a time; further ones queue.
    pub reads_max: u32,
}

impl DriverLimits {
    /// Memory of the receive buffers, which all connections of a shard share.
    pub fn receive_bytes(&self) -> usize {
        usize::from(self.receive_buffers_count) * self.receive_buffer_bytes as usize
    }
}

impl Default for DriverLimits {
    /// Per shard: 4 MiB of receive buffers, 4,096 connections, and 64 places for new ones.
    fn default() -> DriverLimits {
        DriverLimits {
            connections_max: 4096 + 64,
            receive_buffers_count: 1024,
            receive_buffer_bytes: 4096,
            reads_max: 64,
        }
    }
}

/// What a shard's driver gets from the process at the start.
pub struct ShardSetup {
    /// Which shard it runs.
    pub shard: ShardId,
    /// Its listening socket.
    pub listener: Listener,
    /// Its ends of the mesh and of the keeper's mailboxes.
    pub links: Links,
    /// Rates and quotas of the process.
    pub buckets: Arc<Buckets>,
    /// Called at each stage border.
    pub probe: Box<dyn StageProbe>,
    /// Sizes.
    pub limits: DriverLimits,
}

/// Called by a driver at the borders of turns and stages, to take timings. The shard does not see it.
pub trait StageProbe: Send {
    /// The shard's own thread runs, and calls this first.
    fn begins(&mut self) {}
    /// The thread is about to wait, until this time at the latest.
    fn sleeps(&mut self, _until_us: u64) {}
    /// The thread has left its wait and takes a turn.
    fn wakes(&mut self, _now_us: u64) {}
    /// The thread has entered the kernel through its ring so often since its last turn.
    fn entered(&mut self, _count: u64) {}
    /// So many messages of other shards wait for the turn.
    fn messages(&mut self, _count: usize) {}
    /// A stage begins.
    fn border(&mut self, stage: Stage);
    /// The record that is judged next is traced in this slot.
    fn judges_traced(&mut self, _slot: u16) {}
    /// The trace in this slot is complete.
    fn traced(&mut self, _slot: u16, _trace: &Trace) {}
    /// The turn is over; its operations are carried out next.
    fn turn_ends(&mut self) {}
    /// More completions came than the queue for them holds.
    fn overflows(&mut self) {}
}

/// Takes no timings.
pub struct NoProbe;

impl StageProbe for NoProbe {
    fn border(&mut self, _: Stage) {}
}

/// What a machine may ask the driver during a turn; the same for all drivers.
pub(crate) struct Handle {
    pub(crate) buckets: Arc<Buckets>,
    pub(crate) probe: Box<dyn StageProbe>,
}

impl Driver for Handle {
    fn probe(&mut self, stage: Stage) {
        self.probe.border(stage);
    }

    fn judges_traced(&mut self, slot: u16) {
        self.probe.judges_traced(slot);
    }

    fn traced(&mut self, slot: u16, trace: &Trace) {
        self.probe.traced(slot, trace);
    }

    fn charge(&mut self, limit: Limit, ask: Ask, now: Now) -> Granted {
        self.buckets.charge(limit, ask, now)
    }
}

/// Why a driver's loop ended.
#[derive(Debug)]
pub enum Ended {
    /// The process asked for it through the doorbell.
    Asked,
    /// The machine said [`crate::event::Op::Stop`].
    Stopped(LogFailure),
    /// The operating system refused a call that the driver needs.
    Failed(DriverError),
}

/// The operating system refused a call that a driver needs.
#[derive(Debug)]
pub struct DriverError {
    /// What was attempted, and what to change.
    pub doing: &'static str,
    /// The error of the system.
    pub error: std::io::Error,
}

impl DriverError {
    pub(crate) fn new(doing: &'static str, error: impl Into<std::io::Error>) -> DriverError {
        DriverError {
            doing,
            error: error.into(),
        }
    }
}

impl std::fmt::Display for DriverError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: {}", self.doing, self.error)
    }
}

impl std::error::Error for DriverError {}
