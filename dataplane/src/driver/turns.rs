//! Turns of a shard for a driver of another crate: it owns the shard's messages, its probe and its doorbell, and calls the
//! machine. It never touches a socket or a file, and it never waits: these are the driver's.

use super::doorbell::Doorbell;
use super::links::Links;
use super::listen::Listener;
use super::{DriverLimits, Handle, Machine, ShardSetup, clock};
use crate::event::{Inbox, Next, Op, Outbox};
use std::sync::Arc;

/// What every driver does around a turn.
pub struct Turns {
    links: Links,
    handle: Handle,
}

impl Turns {
    /// Takes a setup apart: the rest of it is the driver's. To be called on the shard's own thread.
    pub fn of(setup: ShardSetup) -> (Turns, Listener, DriverLimits) {
        let mut turns = Turns {
            links: setup.links,
            handle: Handle {
                buckets: setup.buckets,
                probe: setup.probe,
            },
        };
        turns.handle.probe.begins();
        (turns, setup.listener, setup.limits)
    }

    /// The bell that wakes this shard: its eventfd gets readable when another thread has sent something to a sleeping shard.
    pub fn bell(&self) -> &Arc<Doorbell> {
        self.links.bell()
    }

    /// Whether the process asks this shard to leave its loop.
    pub fn is_asked_to_end(&self) -> bool {
        self.links.bell().is_asked_to_end()
    }

    /// Whether the driver may sleep until this time: not if a message waits. If so, other threads ring the bell from here on.
    pub fn may_sleep(&mut self, until_us: u64) -> bool {
        let may = self.links.may_sleep();
        if may {
            self.handle.probe.sleeps(until_us);
        }
        may
    }

    /// The driver sleeps no longer: other threads need not ring.
    pub fn woke_up(&self) {
        self.links.bell().woke_up();
    }

    /// Adds the messages of other threads to the inbox and runs one turn; leaves the inbox empty.
    pub fn turn<M: Machine>(
        &mut self,
        machine: &mut M,
        inbox: &mut Inbox,
        outbox: &mut Outbox,
    ) -> Next {
        self.handle.probe.wakes(clock::now().mono_us);
        let messages = self.links.collect(inbox);
        self.handle.probe.messages(messages);
        let next = machine.turn(inbox, clock::now(), &mut self.handle, outbox);
        self.handle.probe.turn_ends();
        inbox.clear();
        next
    }

    /// Takes a message to another thread out of the operations of a turn; what is not one is left to the driver.
    pub fn post(&mut self, op: Op) -> Option<Op> {
        match op {
            Op::Message(to, message) => self.links.stage(to, message),
            Op::Keeper(message) => self.links.tell_keeper(message),
            op => return Some(op),
        }
        None
    }

    /// At the end of a turn: delivers what was posted and wakes its receivers.
    pub fn deliver(&mut self) {
        self.links.flush(|_, bell| bell.ring_eventfd());
    }
}
