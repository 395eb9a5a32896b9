//! One run of the process: shards and keeper as in production, their mailboxes, descriptors and the mesh between them.
//! It carries out what they ask for, with delays and faults, and never looks into them.

use super::count::Count;
use super::dice::Dice;
use super::disk::Inode;
use super::network::Slot;
use super::oracle::Property;
use super::plan::Cap;
use super::queue::Happening;
use super::world::World;
use crate::dedup::claims::MemoryUse;
use crate::dedup::protocol::{ToOwner, ToReceiver};
use crate::event::{Ask, Driver, Event, Granted, Inbox, Next, Op, Outbox};
use crate::io::{FileId, Now, ShardId, SyncMode};
use crate::keeper::Keeper;
use crate::keeper::port::{KeeperEvent, KeeperOp, OpenHow};
use crate::mesh::Message;
use crate::mesh::keeper::ToKeeper;
use crate::shard::Shard;
use crate::shard::config::{AcceptsFrom, Proxies, ShardConfig, TraceLimits};
use crate::sim_trace;
use crate::snapshot::Limit;
use crate::stats::Stats;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// From outside.
    Killed,
    /// With the machine.
    PowerCut,
    /// By itself, with this exit code.
    Code(i32, String),
}

/// An open file.
#[derive(Clone, Copy, Debug)]
pub struct Handle {
    /// The file.
    pub inode: Inode,
    /// How it was opened.
    pub how: OpenHow,
}

/// A shard and what its driver would hold.
pub struct ShardHost {
    shard: Shard,
    inbox: Inbox,
    outbox: Outbox,
    /// When its next turn is, and the token of that turn.
    turn_at_us: u64,
    turn_token: u64,
    /// Connections by slot.
    pub slots: Vec<Slot>,
    /// Takes connections now.
    pub accepting: bool,
    /// Takes connections at all.
    pub listening: bool,
    /// Log operations under way.
    log_ops: u32,
    /// It admits nothing, for want of memory.
    memory_full: bool,
}

/// The process.
pub struct Process {
    /// Its shards.
    pub shards: Vec<ShardHost>,
    pub(super) keeper: Keeper,
    pub(super) keeper_events: Vec<KeeperEvent>,
    pub(super) keeper_stepping: bool,
    /// Token of the time that the keeper asked for last.
    pub(super) keeper_wake: u64,
    /// Open files.
    pub handles: BTreeMap<i32, Handle>,
    next_handle: i32,
    /// When the last message between two mailboxes arrives: messages do not overtake each other.
    channels: BTreeMap<(u16, u16), u64>,
    /// How it ended, once it has.
    pub exit: Option<Exit>,
    /// Recovery was over.
    pub recovered: bool,
    /// It was told to stop before it was ended from outside.
    pub terminated: bool,
    stats: Arc<Stats>,
}

/// The keeper's place among mailboxes.
pub(super) const KEEPER: u16 = u16::MAX;

/// What a shard may ask of its driver. It grants as much of a rate as it likes.
struct Charge<'a>(&'a mut Dice);

impl Driver for Charge<'_> {
    fn charge(&mut self, limit: Limit, ask: Ask, _: Now) -> Granted {
        match ask {
            Ask::UpTo(wanted) if limit.per_s > 0 && self.0.chance(3000) => {
                let count = self.0.below(wanted + 1);
                let retry_after_us = if count < wanted { 1_000_000 } else { 0 };
                Granted {
                    count,
                    retry_after_us,
                }
            }
            Ask::UpTo(_) | Ask::Whole(_) | Ask::Owed(_) => Granted::all(ask),
        }
    }
}

impl Process {
    /// A tool without shards.
    pub fn tool(keeper: Keeper) -> Process {
        Process::new(Vec::new(), keeper, Arc::new(Stats::new(1)))
    }

    fn new(shards: Vec<ShardHost>, keeper: Keeper, stats: Arc<Stats>) -> Process {
        Process {
            shards,
            keeper,
            keeper_events: Vec::new(),
            keeper_stepping: false,
            keeper_wake: 0,
            handles: BTreeMap::new(),
            next_handle: 2,
            channels: BTreeMap::new(),
            exit: None,
            recovered: false,
            terminated: false,
            stats,
        }
    }

    /// One step of the keeper.
    pub fn step(&mut self, events: Vec<KeeperEvent>, now: Now) -> Vec<KeeperOp> {
        self.keeper.step(events.into_iter(), now)
    }

    /// What its metrics show.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Gives a descriptor to an open file.
    pub fn open(&mut self, handle: Handle) -> FileId {
        self.next_handle += 1;
        self.handles.insert(self.next_handle, handle);
        FileId(self.next_handle)
    }

    /// The file behind a descriptor.
    pub fn handle(&self, file: FileId) -> Option<Handle> {
        self.handles.get(&file.0).copied()
    }
}

impl World {
    /// Starts the process with some number of shards.
    pub fn start_process(&mut self, cap: Cap) {
        let drawn = self.dice.between(1, 4) as u16;
        let shards = if self.is_young() { 1 } else { drawn };
        if self.shards_before != 0 && self.shards_before != shards {
            self.counts.one(Count::ShardCountChanges);
        }
        self.shards_before = shards;
        self.truth.keeper_errors = 0;
        self.truth.log_errors = 0;
        self.truth.manifests_before_run = self.truth.manifests.len();
        self.jumped_at_start = false;
        self.clock_resumes();
        let stats = Arc::new(Stats::new(shards));
        self.truth.open_bodies.clear();
        self.truth.replaced_slices.clear();
        self.truth.strays_kept.clear();
        self.hung_until_us = 0;
        let settings = self.settings;
        let snapshot = self.first_snapshot();
        let hosts = (0..shards).map(|id| ShardHost {
            shard: Shard::new(ShardConfig {
                id: ShardId(id),
                shards,
                limits: self.scenario.limits,
                snapshot: snapshot.clone(),
                ttl_s: settings.ttl_s,
                dedup_bytes_max: self.scenario.table_bytes_max,
                proxies: Proxies::default(),
                metrics_auth: None,
                traces: TraceLimits {
                    sample: 0.25,
                    per_s_max: 1_000_000,
                },
                drain_delay_us: 0,
                accepts_from: AcceptsFrom::Start,
                stats: stats.clone(),
            }),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            turn_at_us: u64::MAX,
            turn_token: 0,
            slots: Vec::new(),
            accepting: true,
            listening: true,
            log_ops: 0,
            memory_full: false,
        });
        let mut config = self
            .scenario
            .keeper_config(settings, cap, shards, Arc::clone(&stats));
        let further = self.publisher.further_params(settings.params);
        config.params.extend(further);
        config.hold_limit = self.holders.limit;
        self.wal_bytes_max_now = config.wal_bytes_max.unwrap_or(u64::MAX);
        let keeper = Keeper::new(config);
        self.process = Some(Process::new(hosts.collect(), keeper, stats));
        for shard in 0..shards {
            self.wake_shard(shard, self.now_us() + 1);
        }
        self.later(1, Happening::KeeperStep);
    }

    /// Lets a shard take a turn at a time, unless it takes one before.
    pub fn wake_shard(&mut self, shard: u16, at_us: u64) {
        let Some(host) = self
            .process
            .as_mut()
            .and_then(|process| process.shards.get_mut(usize::from(shard)))
        else {
            return;
        };
        if host.turn_at_us <= at_us {
            return;
        }
        host.turn_at_us = at_us;
        host.turn_token += 1;
        let token = host.turn_token;
        self.at(at_us, Some(self.run), Happening::Turn(shard, token));
    }

    /// Puts an event into a shard's mailbox.
    pub fn to_shard(&mut self, shard: u16, event: Event) {
        let Some(host) = self
            .process
            .as_mut()
            .and_then(|process| process.shards.get_mut(usize::from(shard)))
        else {
            return;
        };
        host.inbox.events.push(event);
        self.soon(shard);
    }

    /// Puts bytes of a connection into a shard's mailbox.
    pub fn received(&mut self, shard: u16, id: crate::event::ConnId, bytes: &[u8]) {
        let Some(host) = self
            .process
            .as_mut()
            .and_then(|process| process.shards.get_mut(usize::from(shard)))
        else {
            return;
        };
        let range = host.inbox.put(bytes);
        host.inbox.events.push(Event::Received(id, range));
        self.soon(shard);
    }

    /// Puts the end of a block read into a shard's mailbox.
    pub fn read_done(
        &mut self,
        shard: u16,
        id: crate::io::ReadId,
        result: Result<Vec<u8>, crate::io::Errno>,
    ) {
        let Some(host) = self
            .process
            .as_mut()
            .and_then(|process| process.shards.get_mut(usize::from(shard)))
        else {
            return;
        };
        let result = result.map(|bytes| host.inbox.put(&bytes));
        host.inbox.events.push(Event::ReadDone(id, result));
        self.soon(shard);
    }

    fn soon(&mut self, shard: u16) {
        let stalls = self.dice.chance(self.faults.stall);
        let delay_us = if stalls {
            self.dice.between(1_000, 3_000_000)
        } else {
            self.dice.delay_us(10, 300, 500)
        };
        self.wake_shard(shard, self.now_us() + delay_us);
    }

    fn memory_changes(&mut self, shard: u16, memory: MemoryUse) {
        let Some(process) = self.process.as_mut() else {
            return;
        };
        let full = &mut process.shards[usize::from(shard)].memory_full;
        let was_full = std::mem::replace(full, memory == MemoryUse::Full);
        match (was_full, *full) {
            (false, true) => self.counts.one(Count::Pressure),
            (true, false) => self.counts.one(Count::PressureEnded),
            _ => {}
        }
    }

    /// A shard takes its turn.
    pub fn turn(&mut self, shard: u16, token: u64) {
        let now = self.clocks();
        let Some(process) = self.process.as_mut() else {
            return;
        };
        let host = &mut process.shards[usize::from(shard)];
        if host.turn_token != token {
            return;
        }
        host.turn_at_us = u64::MAX;
        self.counts.one(Count::Turns);
        let mut outbox = std::mem::take(&mut host.outbox);
        let mut charge = Charge(&mut self.publisher.limits);
        let next = host
            .shard
            .turn(&mut host.inbox, now, &mut charge, &mut outbox);
        let page = &process.stats.shards[usize::from(shard)];
        if page.share_waiting.get() > 0 {
            self.counts.one(Count::ShareAwaited);
        }
        let bytes = std::mem::take(&mut outbox.bytes);
        for op in outbox.ops.drain(..) {
            if self
                .process
                .as_ref()
                .is_some_and(|process| process.exit.is_some())
            {
                break;
            }
            self.carry_out_op(shard, op, &bytes);
        }
        if matches!(next, Next::Now) || matches!(next, Next::At(at_us) if at_us <= now.mono_us + 1)
        {
            sim_trace!(
                self.now_us(),
                "shard {shard} wants its next turn at once: {next:?}"
            );
        }
        outbox.bytes = bytes;
        outbox.clear();
        if let Some(process) = self.process.as_mut() {
            process.shards[usize::from(shard)].outbox = outbox;
        }
        match next {
            Next::Now => self.wake_shard(shard, self.now_us() + 1),
            Next::At(u64::MAX) => {}
            Next::At(mono_us) => {
                let at_us = self.at_mono(mono_us).max(self.now_us() + 1);
                self.wake_shard(shard, at_us);
            }
        }
        self.check_bounds(shard);
    }

    fn check_bounds(&mut self, shard: u16) {
        let limits = self.scenario.limits;
        let Some(process) = self.process.as_ref() else {
            return;
        };
        let page = &process.stats.shards[usize::from(shard)];
        let (flights, connections) = (page.flights.get(), page.connections.get());
        let look_ups = page.look_ups.waiting.get();
        if flights > u64::from(limits.flights_max)
            || look_ups > u64::from(limits.looks_max)
            || connections > u64::from(limits.connections_table())
        {
            self.fail(
                Property::Bounded,
                format!(
                    "shard {shard} has {flights} requests in flight, {look_ups} look-ups and {connections} connections"
                ),
            );
        }
        let files = self.disk.names().count();
        if files > 400 {
            self.fail(Property::Bounded, format!("{files} files"));
        }
    }

    fn carry_out_op(&mut self, shard: u16, op: Op, bytes: &[u8]) {
        match op {
            Op::Send(id, range) => self.server_sends(shard, id, &bytes[range]),
            Op::PauseRead(id) => self.server_pauses(shard, id),
            Op::ResumeRead(id) => self.server_resumes(shard, id),
            Op::Shutdown(id) => self.server_shuts_down(shard, id),
            Op::Close(id) => self.server_closes(shard, id),
            Op::PauseAccept => self.server_accepts(shard, false),
            Op::ResumeAccept => self.server_accepts(shard, true),
            Op::CloseListener => {
                if let Some(process) = self.process.as_mut() {
                    process.shards[usize::from(shard)].listening = false;
                }
                self.to_shard(shard, Event::ListenerClosed);
            }
            Op::Write {
                file,
                offset,
                blocks,
            } => self.log_write(shard, file, offset, blocks),
            Op::Sync(file) => self.log_sync(shard, file),
            Op::Read { id, file, offset } => self.slice_read_begins(shard, id, file, offset),
            Op::Message(to, message) => {
                sim_trace!(
                    self.now_us(),
                    "shard {shard} to shard {}: {message:?}",
                    to.0
                );
                match message {
                    Message::ToOwner(ToOwner::Claim { .. }) => self.counts.one(Count::MeshClaims),
                    Message::ToReceiver(ToReceiver::Withdrawn { .. }) => {
                        self.counts.one(Count::Withdrawn)
                    }
                    _ => {}
                }
                let rare_us = self.scenario.mesh_rare_us;
                let delay_us = self.dice.delay_us(5, rare_us, 150);
                self.post(
                    shard,
                    to.0,
                    delay_us,
                    Happening::ToShard(to.0, Event::Message(ShardId(shard), message)),
                );
            }
            Op::Keeper(message) => {
                sim_trace!(self.now_us(), "shard {shard} to keeper: {message:?}");
                match message {
                    ToKeeper::Switched { .. } => self.counts.one(Count::SlicesSwitched),
                    ToKeeper::Memory(memory) => self.memory_changes(shard, memory),
                    _ => {}
                }
                let delay_us = self.dice.delay_us(20, 50_000, 200);
                self.post(
                    shard,
                    KEEPER,
                    delay_us,
                    Happening::ToKeeper(KeeperEvent::FromShard(ShardId(shard), message)),
                );
            }
            Op::Stop(stop) => self.ends_itself(stop.code, stop.reason),
        }
    }

    /// Posts a message that does not overtake earlier ones of the same pair.
    pub(super) fn post(&mut self, from: u16, to: u16, delay_us: u64, what: Happening) {
        let mut at_us = self.now_us() + delay_us;
        if let Some(process) = self.process.as_mut() {
            let last = process.channels.entry((from, to)).or_insert(0);
            at_us = at_us.max(*last);
            *last = at_us;
        }
        self.at(at_us, Some(self.run), what);
    }

    pub(super) fn ends_itself(&mut self, code: i32, reason: String) {
        if let Some(process) = self.process.as_mut() {
            process.exit.get_or_insert(Exit::Code(code, reason));
        }
    }

    /// A log operation of a shard begins: one at a time is all that it may have.
    pub fn log_op_begins(&mut self, shard: u16) {
        if let Some(process) = self.process.as_mut() {
            process.shards[usize::from(shard)].log_ops += 1;
        }
    }

    /// A log operation of a shard has ended.
    pub fn log_op_ends(&mut self, shard: u16) {
        if let Some(process) = self.process.as_mut() {
            process.shards[usize::from(shard)].log_ops -= 1;
        }
    }

    /// Whether a completed write of this seed's segments is durable by itself.
    pub fn is_dsync(&self) -> bool {
        self.scenario.sync == SyncMode::Dsync
    }
}
