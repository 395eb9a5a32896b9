//! One shard: a state machine that owns its connections, its log and its partitions of the dedup table. It never reads a
//! clock, a random source, a socket or a file: [`Shard::turn`] takes events and returns operations.
//!
//! [`pipeline`] knows the order of the stages; their files stand below in that order. Behind them come the data that they
//! work on, in the order in which a request meets it, and budgets and lists that know of no request.

pub mod config;
mod sizes;

pub mod pipeline;

// What a turn does, in its order.
mod collect;

mod stall;

mod frame;
mod proxied;
mod skip;
mod waiting;

mod share;
mod tenants;

mod admit;
mod batch;
mod charge;
mod looks;

mod grants;
mod memory;

mod judge;

mod core;

mod decide;

mod timers;

mod drain;

mod commit;

mod reply;
mod service;

mod pressure;

mod foreign;

mod waits;

mod traced;

// What it works on.
mod arrivals;
mod received;

mod answer;
mod batch_lines;
mod owed;
mod trace_ref;

mod skipped;
mod waiters;

mod connection;
mod connections;

mod flights;

mod budget;
mod lists;

#[cfg(debug_assertions)]
mod invariants;
mod mistakes;
#[cfg(test)]
mod tests;

use self::admit::Logged;
use self::answer::{Addressee, Refusal};
use self::batch::Batches;
use self::budget::Budget;
use self::charge::Asking;
use self::config::{AcceptsFrom, ShardConfig};
use self::connections::Connections;
use self::core::Core;
use self::drain::Drain;
use self::flights::Flights;
use self::foreign::Foreign;
use self::judge::Claiming;
use self::looks::{Looking, Looks};
use self::pressure::{Evicted, Order};
use self::received::Source;
use self::share::{Account, Shares};
use self::stall::Stall;
use self::tenants::InForce;
use self::traced::Traced;
use self::waiters::Waiting;
use self::waits::Waits;
use crate::dedup::claims::MemoryUse;
use crate::dedup::context::Context;
use crate::dedup::protocol::Ticket;
use crate::event::{ConnId, Peer};
use crate::http::Date;
use crate::io::ShardId;
use crate::mesh::Message;
use crate::mesh::keeper::Shortage;
use crate::verdict::Judge;
use crate::wal::name::Sequence;
use std::collections::VecDeque;
use std::sync::Arc;

/// A request cut out of a connection's bytes, not yet in the log.
#[derive(Debug)]
struct Framed {
    conn: ConnId,
    reply: u64,
    /// See [`Addressee::line`].
    line: u16,
    context: Context,
    /// Where its client is.
    client: Peer,
    body: Source,
    /// When its first bytes were looked at.
    begun_us: u64,
    /// When the last byte of it arrived.
    complete_us: u64,
    /// Where its `traceparent` is, unread.
    traceparent: Option<Source>,
    /// What it was charged for before its body came.
    paid_bytes: Option<u64>,
    /// Whether it takes a part of its tenant's share.
    account: Account,
    /// It is over a rate or a quota.
    refused: Option<Refusal>,
}

/// When an admitted request is answered 503 at the latest.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    due_us: u64,
    ticket: Ticket,
    to: Addressee,
}

impl Framed {
    fn to(&self) -> Addressee {
        Addressee {
            conn: self.conn,
            reply: self.reply,
            line: self.line,
        }
    }
}

/// One shard.
#[derive(Debug)]
pub struct Shard {
    ingress: Ingress,
    /// `None` until the keeper has sent `Begin`.
    core: Option<Box<Core>>,
}

/// All of a shard but its log and its part of the dedup table: connections, and the requests on their way through the
/// stages.
#[derive(Debug)]
struct Ingress {
    config: ShardConfig,
    in_force: InForce,
    connections: Connections,
    flights: Flights,
    looks: Looks,
    judge: Judge,

    /// Recovery is over and submits may be admitted.
    serving: bool,
    /// All live decisions of this shard's partitions are in its table or in slices.
    loaded: bool,
    /// Messages of peers that came before that: at most what they may have in flight.
    early: Vec<(ShardId, Message)>,
    /// Why there is no room for the log, if there is none.
    space_low: Option<Shortage>,
    /// Shards, this one included, whose dedup table is nearly full; a bit each.
    under_pressure: Vec<bool>,
    /// What the keeper knows of this shard's own table.
    memory_use: MemoryUse,
    stall: Stall,
    drain: Drain,
    accepting: bool,
    /// Connections in the order in which they are given up for others.
    order: Order,
    evicted: Evicted,
    foreign: Foreign,
    heads: Budget,
    bodies: Budget,
    /// Memory of receive buffers beyond what those budgets granted.
    unread: Budget,
    /// Bytes of answers that clients have not taken.
    unsent_bytes: usize,
    batches: Batches,

    /// Connections with bytes to cut, in the order they came.
    ready: VecDeque<u32>,
    /// Connections whose head-of-line request is whole and waits for room in the open batch or the table of flights.
    for_room: Waiting,
    /// Connections whose head-of-line request is whole and waits for its tenant's share of the next batch.
    for_share: Waiting,
    shares: Shares,
    /// Connections whose head-of-line request waits for memory for the rest of it.
    for_memory: Waiting,
    /// Connections whose bytes were touched in this turn.
    touched: Vec<u32>,
    framed: Vec<Framed>,
    /// What the bodies of `framed` come to.
    framed_bytes: usize,
    /// Connections whose client waits for `100 Continue`.
    awaiting_continue: Vec<Asking>,
    looking: Vec<Looking>,
    logged: Vec<Logged>,
    /// Claims of records that were judged and whose owners were not asked yet.
    claiming: Vec<Claiming>,
    /// Connections that may have an answer due.
    due: Vec<ConnId>,
    /// Answers by the log position that they wait for, ascending.
    waiting: VecDeque<(Sequence, ConnId)>,
    /// Winners by the log position of their decision, ascending.
    won: VecDeque<(Sequence, Ticket)>,
    /// Deadlines of admitted requests, ascending.
    deadlines: VecDeque<Deadline>,
    swept_us: u64,
    waits: Waits,
    traced: Traced,
    /// The time that answers of this turn carry.
    date: Date,
    body_text: Vec<u8>,
    page_text: String,
}

impl Shard {
    /// A shard that serves health only, until the keeper sends `Begin` and `Serve`.
    pub fn new(config: ShardConfig) -> Shard {
        Shard {
            ingress: Ingress::new(config),
            core: None,
        }
    }
}

impl Ingress {
    fn new(config: ShardConfig) -> Ingress {
        let limits = config.limits;
        let flights = limits.flights_max as usize;
        let connections = limits.connections_table();
        let page = &config.stats.shards[usize::from(config.id.0)];
        page.connections_max.set(u64::from(limits.connections_max));
        let snapshot = Arc::clone(&config.snapshot);
        page.snapshot.set(u64::from(snapshot.number));
        let mut this = Ingress {
            // The first turn says what time it is.
            in_force: InForce::new(Arc::clone(&snapshot), &[], 0, &page.tenants, None),
            connections: Connections::new(connections),
            flights: Flights::new(limits.flights_max),
            looks: Looks::new(limits.looks_max),
            judge: Judge::default(),
            serving: false,
            loaded: false,
            early: Vec::new(),
            space_low: None,
            under_pressure: vec![false; usize::from(config.shards)],
            memory_use: MemoryUse::default(),
            stall: Stall::new(config.shards),
            drain: Drain::default(),
            accepting: config.accepts_from == AcceptsFrom::Start,
            order: Order::new(connections),
            evicted: Evicted::default(),
            foreign: Foreign::default(),
            heads: Budget::new(limits.head_bytes_total_max, 0),
            bodies: Budget::new(limits.body_bytes_total_max, limits.chunked_bytes_max()),
            unread: Budget::new(limits.unread_bytes_total_max, 0),
            unsent_bytes: 0,
            batches: Batches::default(),
            ready: VecDeque::with_capacity(connections as usize),
            for_room: Waiting::new(connections),
            for_share: Waiting::new(connections),
            shares: Shares::default(),
            for_memory: Waiting::new(connections),
            touched: Vec::with_capacity(connections as usize),
            framed: Vec::with_capacity(flights),
            framed_bytes: 0,
            awaiting_continue: Vec::with_capacity(connections as usize),
            looking: Vec::with_capacity(limits.looks_max as usize),
            logged: Vec::with_capacity(flights),
            claiming: Vec::with_capacity(judge::CLAIMS_TOGETHER),
            due: Vec::with_capacity(flights),
            waiting: VecDeque::with_capacity(flights),
            won: VecDeque::with_capacity(flights),
            deadlines: VecDeque::with_capacity(flights),
            swept_us: 0,
            waits: Waits::default(),
            traced: Traced::new(config.traces, config.shards),
            date: Date::at(0),
            body_text: Vec::with_capacity(1024),
            page_text: String::with_capacity(16 * 1024),
            config,
        };
        this.configure_shares(&snapshot);
        this
    }

    fn id(&self) -> ShardId {
        self.config.id
    }

    fn stats(&self) -> &crate::stats::ShardStats {
        &self.config.stats.shards[usize::from(self.config.id.0)]
    }

    /// Queues a connection for the framing stage.
    fn queue(&mut self, slot: u32) {
        let connection = self.connections.at(slot);
        if !connection.queued {
            connection.queued = true;
            self.ready.push_back(slot);
        }
    }
}
