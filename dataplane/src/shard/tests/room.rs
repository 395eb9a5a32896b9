//! A room for shards: it carries out operations at once, or when the test says so, and remembers what clients were sent.
//! A stand-in for driver and keeper in the tests of this module; it knows nothing of what shards decide.

use super::buckets::Buckets;
use super::config::config;
use super::transcript::Transcript;
use super::{post, record};
use crate::dedup::slice::SliceSet;
use crate::event::{ConnId, Event, Inbox, Next, Op, Outbox, Peer};
use crate::io::{Errno, FileId, Now, ReadId, ShardId, SyncMode};
use crate::mesh::keeper::{Begin, ExpiryClock, ToKeeper, ToShard};
use crate::shard::Shard;
use crate::shard::config::ShardConfig;
use crate::stats::Stats;
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use crate::wal::name::LogId;
use crate::wal::name::NamedSegment;
use crate::wal::segment::SegmentLabels;
use crate::wal::writer::Entered;
use crate::wal::writer::LogFailure;
use flk_contract::ParamsVersion;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// A write that the test has not completed yet.
pub(super) struct Held {
    pub(super) shard: usize,
    pub(super) file: FileId,
    pub(super) blocks: Box<Blocks>,
}

pub(super) struct Room {
    pub(super) shards: Vec<Shard>,
    inboxes: Vec<Inbox>,
    pub(super) now: Now,
    pub(super) stats: Arc<Stats>,
    /// Bytes that clients got, by shard and connection slot.
    pub(super) sent: BTreeMap<(usize, u32), Vec<u8>>,
    pub(super) closed: Vec<(usize, ConnId)>,
    pub(super) shut: Vec<(usize, ConnId)>,
    pub(super) to_keeper: Vec<(usize, ToKeeper)>,
    pub(super) stopped: Option<LogFailure>,
    pub(super) paused: Vec<(usize, u32)>,
    /// Writes wait in `held` for the test.
    pub(super) hold_writes: bool,
    /// Clients take nothing of what is sent.
    pub(super) hold_sends: bool,
    /// The next segment is named by the test.
    pub(super) hold_naming: bool,
    pub(super) held: VecDeque<Held>,
    /// Everything written, by file.
    pub(super) written: Vec<(FileId, Vec<u8>)>,
    pub(super) listener_closed: usize,
    /// The end of closing a listener waits for the test.
    pub(super) hold_listener: bool,
    pub(super) buckets: Buckets,
    /// The file of the one slice there is.
    pub(super) slice: Vec<u8>,
    /// The next read of it fails with this.
    pub(super) fail_read: Option<Errno>,
    /// Reads end when the test says so.
    pub(super) hold_reads: bool,
    reads: Vec<(usize, ReadId, usize)>,
    /// The next sync fails with this.
    pub(super) fail_sync: Option<Errno>,
    /// What `Begin` says of how writes become durable.
    pub(super) sync: SyncMode,
    /// What `Begin` says of the tables.
    pub(super) dedup_bytes_max: Option<u64>,
    /// Slices that shards begin with.
    pub(super) slices: Arc<SliceSet>,
    /// Messages to a shard wait in `posted` for the test.
    pub(super) hold_messages: Vec<bool>,
    posted: Vec<Vec<Event>>,
    /// When each shard wanted its next turn, as of its last one.
    pub(super) next: Vec<Next>,
    /// Whether each shard takes connections.
    pub(super) accepting: Vec<bool>,
    connections: u32,
    /// The driver's table: beyond it, slots are given out again.
    table: u32,
    free: Vec<(usize, ConnId)>,
    files: i32,
    /// Where everything is written down.
    pub(super) transcript: Option<Transcript>,
}

/// Monotonic time at which rooms begin.
pub(super) const BEGIN_US: u64 = 1_000_000;

impl Room {
    pub(super) fn new(shards: u16, change: impl Fn(&mut ShardConfig)) -> Room {
        let stats = Arc::new(Stats::new(shards));
        let common = config(shards, stats.clone());
        let mut table = 0;
        let mut make = |id| {
            let mut config = ShardConfig {
                id: ShardId(id),
                ..common.clone()
            };
            change(&mut config);
            table = config.limits.connections_table();
            Shard::new(config)
        };
        Room {
            shards: (0..shards).map(&mut make).collect(),
            inboxes: (0..shards).map(|_| Inbox::default()).collect(),
            now: Now {
                mono_us: BEGIN_US,
                wall_us: 1_700_000_000_000_000,
            },
            stats,
            sent: BTreeMap::new(),
            closed: Vec::new(),
            shut: Vec::new(),
            to_keeper: Vec::new(),
            stopped: None,
            paused: Vec::new(),
            hold_writes: false,
            hold_sends: false,
            hold_naming: false,
            held: VecDeque::new(),
            written: Vec::new(),
            listener_closed: 0,
            hold_listener: false,
            buckets: Buckets::default(),
            slice: Vec::new(),
            fail_read: None,
            hold_reads: false,
            reads: Vec::new(),
            fail_sync: None,
            sync: SyncMode::Dsync,
            dedup_bytes_max: None,
            slices: Arc::default(),
            hold_messages: vec![false; usize::from(shards)],
            posted: (0..shards).map(|_| Vec::new()).collect(),
            next: vec![Next::Now; usize::from(shards)],
            accepting: vec![true; usize::from(shards)],
            connections: 0,
            table,
            free: Vec::new(),
            files: 100,
            transcript: None,
        }
    }

    /// A room whose shards serve.
    pub(super) fn serving(shards: u16) -> Room {
        let mut room = Room::new(shards, |_| {});
        room.begin();
        room
    }

    pub(super) fn segment(&mut self, ordinal: u32) -> NamedSegment {
        self.files += 1;
        NamedSegment {
            file: FileId(self.files),
            ordinal,
            salt: 7 + u64::from(ordinal),
            generation: 3,
            bytes: 4 << 20,
        }
    }

    pub(super) fn begin(&mut self) {
        for at in 0..self.shards.len() {
            self.begin_at(at);
            self.tell(at, ToShard::Serve { admit: true });
        }
        self.run();
    }

    /// Tells one shard where its log is; it may not serve yet.
    pub(super) fn begin_at(&mut self, at: usize) {
        let shards = self.shards.len() as u32;
        let owners: [ShardId; 1024] =
            std::array::from_fn(|partition| ShardId((partition as u32 * shards / 1024) as u16));
        let first = self.segment(0);
        let begin = Begin {
            installation: [1; 16],
            incarnation: [2; 16],
            labels: SegmentLabels::default(),
            secret: [3; 16],
            log: LogId {
                start: 1,
                number: at as u16,
            },
            owners: Arc::new(owners),
            clock: ExpiryClock {
                base_s: 50,
                base_mono_us: 0,
            },
            first,
            sync: self.sync,
            params: Arc::new([ParamsVersion::ONE]),
            dedup_bytes_max: self.dedup_bytes_max,
            slices: self.slices.clone(),
        };
        self.tell(at, ToShard::Begin(Box::new(begin)));
    }

    pub(super) fn tell(&mut self, shard: usize, message: ToShard) {
        self.inboxes[shard].events.push(Event::Keeper(message));
    }

    pub(super) fn connect(&mut self, shard: usize) -> ConnId {
        self.connect_from(shard, Peer::default())
    }

    /// A client in this network connects.
    pub(super) fn connect_from(&mut self, shard: usize, peer: Peer) -> ConnId {
        let address = Ipv6Addr::from_bits(u128::from(peer.0) << 64);
        self.connect_at(shard, address.into())
    }

    /// A client at this address connects.
    pub(super) fn connect_at(&mut self, shard: usize, address: IpAddr) -> ConnId {
        let conn = if self.connections < self.table {
            ConnId {
                slot: self.connections,
                generation: 1,
            }
        } else {
            let is_free = |(at, _): &(usize, ConnId)| *at == shard;
            let at = self.free.iter().position(is_free).expect("a free slot");
            let (_, ConnId { slot, generation }) = self.free.remove(at);
            ConnId {
                slot,
                generation: generation + 1,
            }
        };
        self.connections = (self.connections + 1).min(self.table);
        self.inboxes[shard]
            .events
            .push(Event::Accepted(conn, address));
        self.sent.insert((shard, conn.slot), Vec::new());
        conn
    }

    /// Another client gets the slot of a connection that was closed.
    pub(super) fn connect_again(&mut self, shard: usize, gone: ConnId) -> ConnId {
        self.free.retain(|(_, free)| free.slot != gone.slot);
        let conn = ConnId {
            generation: gone.generation + 1,
            ..gone
        };
        let accepted = Event::Accepted(conn, Ipv6Addr::UNSPECIFIED.into());
        self.inboxes[shard].events.push(accepted);
        self.sent.insert((shard, conn.slot), Vec::new());
        conn
    }

    /// Bytes arrive, not yet processed.
    pub(super) fn arrive(&mut self, shard: usize, conn: ConnId, bytes: &[u8]) {
        let inbox = &mut self.inboxes[shard];
        let range = inbox.put(bytes);
        inbox.events.push(Event::Received(conn, range));
    }

    pub(super) fn event(&mut self, shard: usize, event: Event) {
        self.inboxes[shard].events.push(event);
    }

    /// Bytes arrive and all that follows at once happens.
    pub(super) fn send(&mut self, shard: usize, conn: ConnId, bytes: &[u8]) {
        self.arrive(shard, conn, bytes);
        self.run();
    }

    /// Time passes, in steps, with turns.
    pub(super) fn pass(&mut self, us: u64) {
        let end_us = self.now.mono_us + us;
        while self.now.mono_us < end_us {
            let step_us = (end_us - self.now.mono_us).min(50_000);
            self.now.mono_us += step_us;
            self.now.wall_us += step_us;
            self.run();
        }
    }

    /// Takes turns until nothing happens any more. As under a driver, a shard gets one when something happened to it or the
    /// time has come that it asked for, so that one that asks for too late a time misses what is due.
    pub(super) fn run(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "the shards never come to rest");
            let mut busy = false;
            for at in 0..self.shards.len() {
                busy |= self.turn(at);
            }
            if !busy {
                return;
            }
        }
    }

    fn turn(&mut self, at: usize) -> bool {
        let is_due = match self.next[at] {
            Next::Now => true,
            Next::At(due_us) => due_us <= self.now.mono_us,
        };
        if !is_due && self.inboxes[at].events.is_empty() {
            return false;
        }
        let mut outbox = Outbox::default();
        let mut inbox = std::mem::take(&mut self.inboxes[at]);
        let next = self.shards[at].turn(&mut inbox, self.now, &mut self.buckets, &mut outbox);
        self.next[at] = next;
        if let Some(transcript) = &mut self.transcript {
            transcript.turn(at, self.now, &outbox, next);
        }
        let busy = next == Next::Now || !outbox.ops.is_empty();
        let Outbox { ops, bytes } = outbox;
        for op in ops {
            self.carry_out(at, op, &bytes);
        }
        busy
    }

    fn carry_out(&mut self, at: usize, op: Op, bytes: &[u8]) {
        match op {
            Op::Send(conn, range) => {
                let sent = range.len() as u32;
                self.sent
                    .entry((at, conn.slot))
                    .or_default()
                    .extend_from_slice(&bytes[range]);
                if !self.hold_sends {
                    self.inboxes[at].events.push(Event::Sent(conn, sent));
                }
            }
            Op::Close(conn) => {
                self.closed.push((at, conn));
                self.free.push((at, conn));
            }
            Op::Shutdown(conn) => self.shut.push((at, conn)),
            Op::Write { file, blocks, .. } if self.hold_writes => self.held.push_back(Held {
                shard: at,
                file,
                blocks,
            }),
            Op::Write { file, blocks, .. } => self.complete(
                Held {
                    shard: at,
                    file,
                    blocks,
                },
                None,
            ),
            Op::Sync(_) => {
                let result = self.fail_sync.take().map_or(Ok(()), Err);
                self.inboxes[at].events.push(Event::Synced(result));
            }
            Op::Message(to, message) => {
                let (to, message) = (
                    usize::from(to.0),
                    Event::Message(ShardId(at as u16), message),
                );
                self.posted[to].push(message);
                self.deliver(to);
            }
            Op::Keeper(message) => {
                if let ToKeeper::Entered(Entered { ordinal, .. }) = message
                    && !self.hold_naming
                {
                    let next = self.segment(ordinal + 1);
                    self.tell(at, ToShard::Segment(next));
                }
                self.to_keeper.push((at, message));
            }
            Op::Stop(stop) => self.stopped = Some(stop),
            Op::PauseRead(conn) => self.paused.push((at, conn.slot)),
            Op::ResumeRead(conn) => self.paused.retain(|paused| *paused != (at, conn.slot)),
            Op::CloseListener => {
                self.listener_closed += 1;
                if !self.hold_listener {
                    self.event(at, Event::ListenerClosed);
                }
            }
            Op::Read { id, offset, .. } => {
                self.reads.push((at, id, offset as usize));
                if !self.hold_reads {
                    self.release_reads();
                }
            }
            Op::PauseAccept => self.accepting[at] = false,
            Op::ResumeAccept => self.accepting[at] = true,
        }
    }

    /// All reads that wait end, and those behind them.
    pub(super) fn release_reads(&mut self) {
        self.hold_reads = false;
        for (at, id, offset) in std::mem::take(&mut self.reads) {
            let inbox = &mut self.inboxes[at];
            let result = match self.fail_read.take() {
                Some(errno) => Err(errno),
                None => Ok(inbox.put(&self.slice[offset..offset + BLOCK_BYTES])),
            };
            inbox.events.push(Event::ReadDone(id, result));
        }
    }

    /// Messages arrive at a shard, unless the test holds them.
    fn deliver(&mut self, to: usize) {
        if !self.hold_messages[to] {
            self.inboxes[to].events.append(&mut self.posted[to]);
        }
    }

    /// Messages to a shard arrive again, those that wait first.
    pub(super) fn release_messages(&mut self, to: usize) {
        self.hold_messages[to] = false;
        self.deliver(to);
        self.run();
    }

    /// How many messages of one shard wait for another that is not called meanwhile.
    pub(super) fn posted_count(&self, from: usize, to: usize) -> usize {
        let of_sender = |event: &&Event| matches!(event, Event::Message(shard, _) if usize::from(shard.0) == from);
        self.posted[to].iter().filter(of_sender).count()
    }

    /// Ends a write: in full, or with an error.
    pub(super) fn complete(&mut self, held: Held, error: Option<Errno>) {
        let result = match error {
            Some(errno) => Err(errno),
            None => {
                self.written.push((held.file, held.blocks.bytes().to_vec()));
                Ok(held.blocks.len() as u32)
            }
        };
        self.inboxes[held.shard]
            .events
            .push(Event::Written(held.blocks, result));
    }

    /// What a client got so far, as text.
    pub(super) fn received(&self, shard: usize, conn: ConnId) -> String {
        String::from_utf8(self.sent[&(shard, conn.slot)].clone()).unwrap()
    }
}

/// Sends these texts side by side, each a part at a time and only while its connection is read, to their ends.
pub(super) fn trickle(room: &mut Room, texts: &[(ConnId, &[u8])], part_bytes: usize) {
    let mut rests = texts.to_vec();
    for _ in 0..10_000 {
        for (conn, rest) in &mut rests {
            if !rest.is_empty() && !room.paused.contains(&(0, conn.slot)) {
                let part;
                (part, *rest) = rest.split_at(rest.len().min(part_bytes));
                room.arrive(0, *conn, part);
            }
        }
        room.run();
        if rests.iter().all(|(_, rest)| rest.is_empty()) {
            return;
        }
    }
    panic!("not all was read");
}

/// One request in flight, which waits for the disk and is all that goes.
pub(super) fn full_room(deadline_us: u64) -> (Room, ConnId) {
    let mut room = Room::new(1, |config| {
        config.limits.flights_max = 1;
        config.limits.deadline_us = deadline_us;
    });
    room.begin();
    room.hold_writes = true;
    let first = room.connect(0);
    room.send(0, first, post(&record(1)).as_bytes());
    (room, first)
}

/// The disk works again: all writes that it holds end, and those behind them.
pub(super) fn release(room: &mut Room) {
    room.hold_writes = false;
    while let Some(held) = room.held.pop_front() {
        room.complete(held, None);
        room.run();
    }
}
