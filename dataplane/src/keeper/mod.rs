//! The keeper: everything that touches files beyond appending — start and recovery, preallocated segments and their naming, the
//! manifest, sealing, deletion. It reads closed segments, never a shard's memory.

// The border, and what all flows use.
pub mod port;

pub mod config;
pub mod notice;

mod due;
pub(crate) mod files;
mod halt;
mod progress;
mod store;

// A start, in the order in which it goes.
mod start;

mod directory;
mod open;

pub mod slice_file;
mod slices;
mod views;

mod partition;
pub mod slice_memory;

mod reading;

mod extract;
mod read_logs;

mod replay;
mod uncovered;

pub mod strays;

pub(crate) mod clock;

mod end_logs;

mod load;

// Serving: the loop, then its work by priority.
mod serve;

mod clients;
mod shards;

mod naming;

mod commands;

mod room;

mod over_memory;

mod merge;
mod tidy;

pub mod holds;
mod retain;
mod segment_age;

mod repack;

mod horizon;

// Sealing, from closed segments to a slice that shards use.
mod seal;

mod epochs;
mod seal_read;
mod slice_write;

mod publish;

mod preallocate;

pub mod stop;

// Without shards.
pub mod find;
pub mod offline;
mod quarantine;

mod mistakes;
#[cfg(test)]
mod tests;

use crate::exit::Exit;
use crate::io::Now;
use clients::Clients;
use config::KeeperConfig;
use halt::Halt;
use port::{KeeperEvent, KeeperOp, KeeperOps, Port};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use stop::{STOP_US, end_in_time, stop_by_us};

/// The keeper as a state machine: its flows are one hand-polled future behind a [`Port`]. It is not `Send`: make it on
/// the thread that steps it.
pub struct Keeper {
    port: Port,
    flow: Pin<Box<dyn Future<Output = ()>>>,
    ended: bool,
    drain_delay_us: u64,
    stop_us: u64,
    clients: Clients,
}

impl Keeper {
    /// The keeper of a gateway: recovers, serves, and ends with [`KeeperOp::Exit`]. WAL_DIR exists already.
    pub fn new(config: KeeperConfig) -> Keeper {
        let port = Port::default();
        let (drain_delay_us, stop_us) = (config.drain_delay_us, config.stop_us);
        let flow = run(port.clone(), config);
        Keeper {
            drain_delay_us,
            stop_us,
            ..Keeper::of(port, flow)
        }
    }

    /// A keeper that runs this flow, which talks to the world through a clone of this port only.
    fn of(port: Port, flow: impl Future<Output = ()> + 'static) -> Keeper {
        Keeper {
            port,
            flow: Box::pin(flow),
            ended: false,
            drain_delay_us: 0,
            stop_us: STOP_US,
            clients: Clients::default(),
        }
    }

    /// Takes what happened, goes on as far as that allows, and returns what is to be done. The first step may have no events.
    pub fn step(&mut self, events: impl Iterator<Item = KeeperEvent>, now: Now) -> KeeperOps {
        let clients = &mut self.clients;
        let mut by_us = self.port.stop_by_us();
        let events = events.inspect(|event| {
            if matches!(event, KeeperEvent::Terminate) {
                by_us = Some(stop_by_us(
                    by_us,
                    now.mono_us,
                    self.drain_delay_us,
                    self.stop_us,
                ));
            }
        });
        self.port
            .deliver(events.filter(|event| !clients.takes(event)), now);
        self.port.set_stop_by_us(by_us);
        for notice in clients.notices(now) {
            self.port.put(KeeperOp::Notify(notice));
        }
        if !self.ended {
            let mut context = Context::from_waker(Waker::noop());
            self.ended = self.flow.as_mut().poll(&mut context).is_ready();
        }
        if !self.ended && self.port.is_waiting_for_a_file() {
            self.ended = end_in_time(&self.port);
        }
        self.port.drain()
    }
}

/// Start, serve, end.
async fn run(port: Port, config: KeeperConfig) {
    let end = match start::start(&port, config).await {
        Ok(started) => serve::Service::new(started).serve().await,
        Err(halt) => Err(halt),
    };
    port.put(exit(end));
}

fn exit(end: Result<String, Halt>) -> KeeperOp {
    match end {
        Ok(reason) => KeeperOp::Exit {
            code: i32::from(Exit::Stopped.code()),
            reason,
        },
        Err(halt) => KeeperOp::Exit {
            code: halt.code(),
            reason: halt.to_string(),
        },
    }
}
