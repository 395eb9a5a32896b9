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

pub mod memory_room;
mod partition;
mod slice_memory;

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

mod ended_early;
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

use crate::dedup::key::KeyHash;
use crate::exit::Exit;
use crate::io::Now;
use crate::wal::Epoch;
use crate::wal::name::LogId;
use clients::Clients;
use commands::Pins;
use config::KeeperConfig;
use due::Due;
use extract::Dictionary;
use flk_contract::params::ParamsVersion;
use halt::Halt;
use holds::HoldsState;
use horizon::Horizon;
use notice::Notice;
use over_memory::OverMemory;
use port::{CommandId, KeeperEvent, KeeperOp, KeeperOps, Port};
use repack::Repacking;
use room::Space;
use seal::Sealing;
use shards::{LogReport, ShardState};
use start::Started;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use stop::{GracefulStop, STOP_US, end_in_time, stop_by_us};
use store::ManifestStore;

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
        Ok(started) => Service::new(started).serve().await,
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

/// How often the disk is looked at and failed work is tried again, in microseconds.
pub(crate) const LOOK_EVERY_US: u64 = 1_000_000;

/// The keeper while shards serve.
pub(crate) struct Service {
    pub(crate) store: ManifestStore,
    pub(crate) dictionary: Dictionary,
    pub(crate) hash: KeyHash,
    pub(crate) shards: Vec<ShardState>,
    pub(crate) commands: VecDeque<(CommandId, String)>,
    /// Parameter sets that are to get numbers, each list with its own number.
    pub(crate) params_asked: VecDeque<(u64, Vec<ParamsVersion>)>,
    pub(crate) pins: Pins,
    pub(crate) holds: HoldsState,
    pub(crate) sealing: Sealing,
    pub(crate) repacking: Repacking,
    /// Set where a start found more that no slice covers than fits, until slices do.
    pub(crate) over_memory: Option<OverMemory>,
    pub(crate) stop: GracefulStop,
    /// What the start recovered, until that is logged.
    recovered: Option<Notice>,
    pub(crate) space: Space,
    /// Expiry clock at which each closed segment was closed, where that is known.
    pub(crate) closed_at_s: BTreeMap<(LogId, u32), u32>,
    /// How far back the log reaches.
    pub(crate) horizon: Horizon,
    /// Seal epoch of the segments of live logs.
    pub(crate) epochs: BTreeMap<(LogId, u32), Epoch>,
    /// What logs reported and what must be dealt with in order.
    pub(crate) log_reports: VecDeque<LogReport>,
    /// When a segment may be named. Later than at once where naming has failed.
    pub(crate) name_due: Due,
    /// When long work is looked for.
    pub(crate) look_due: Due,
}

impl Service {
    pub(crate) fn new(started: Started) -> Service {
        let Started {
            store,
            dictionary,
            hash,
            slices,
            over_memory,
            recovered,
        } = started;
        let start = store.manifest.start;
        let log = |number| LogId { start, number };
        let shards = (0..store.config.shards).map(log).map(ShardState::of);
        Service {
            shards: shards.collect(),
            sealing: Sealing::new(slices, store.now().mono_us),
            repacking: Repacking::default(),
            store,
            dictionary,
            hash,
            commands: VecDeque::new(),
            params_asked: VecDeque::new(),
            pins: Pins::default(),
            holds: HoldsState::default(),
            over_memory,
            stop: GracefulStop::NotAsked,
            recovered,
            space: Space::default(),
            closed_at_s: BTreeMap::new(),
            horizon: Horizon::default(),
            epochs: BTreeMap::new(),
            log_reports: VecDeque::new(),
            name_due: Due::AtOnce,
            look_due: Due::AtOnce,
        }
    }
}
