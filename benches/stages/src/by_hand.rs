//! Shards that are driven by hand, without files and sockets: every write succeeds, in the turn after it was asked for, and
//! messages arrive in the turn after they were sent.

use crate::setting::{Unlimited, begin, config, segment};
use flk_dataplane::event::{ConnId, Event, Inbox, Next, Op, Outbox};
use flk_dataplane::io::{FileId, Now, ShardId};
use flk_dataplane::mesh::keeper::{ToKeeper, ToShard};
use flk_dataplane::shard::Shard;
use flk_dataplane::shard::config::TraceLimits;
use flk_dataplane::stats::Stats;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// Connections that each send one request a round.
pub const CONNECTIONS: u32 = 16;

/// Who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One shard.
    Alone,
    /// One shard, whose tenant may fill half of a batch of the log, which it does not reach.
    Share,
    /// Two shards. Requests come to the first, and all keys belong to the second.
    Hop,
    /// One shard that draws for each record whether it is traced, and never draws one.
    Drawn,
    /// One shard that traces every record.
    Traced,
}

impl Shape {
    fn shards_count(self) -> u16 {
        match self {
            Shape::Alone | Shape::Share | Shape::Drawn | Shape::Traced => 1,
            Shape::Hop => 2,
        }
    }

    fn wal_share(self) -> Option<u32> {
        (self == Shape::Share).then_some(50)
    }

    /// No limit in a second, for here a second has far more records than on a machine.
    fn traces(self) -> TraceLimits {
        let sample = match self {
            Shape::Drawn => 1e-12,
            Shape::Traced => 1.0,
            _ => return TraceLimits::default(),
        };
        TraceLimits {
            sample,
            per_s_max: u32::MAX,
        }
    }
}

/// Answers so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// All of them.
    pub count: u64,
    /// Those with status 200.
    pub ok_count: u64,
}

/// All shards of a process, the events that their operations led to, and the answers they gave.
pub struct ByHand {
    shards: Vec<Driven>,
    now: Now,
    stats: Arc<Stats>,
    /// Answers so far.
    pub answers: Answers,
}

/// One shard, with what comes to it in its next turn.
struct Driven {
    shard: Shard,
    inbox: Inbox,
    outbox: Outbox,
    later: Vec<Event>,
    segments_count: u32,
}

impl ByHand {
    /// Shards that serve, with empty tables.
    pub fn new(shape: Shape) -> ByHand {
        let stats = Arc::new(Stats::new(shape.shards_count()));
        let now = Now {
            mono_us: 1,
            wall_us: 1,
        };
        let owner = shape.shards_count() - 1;
        let shards = (0..shape.shards_count()).map(|id| {
            let shard = Shard::new(config(id, shape.wal_share(), shape.traces(), &stats));
            Driven::new(shard, id, owner)
        });
        let mut this = ByHand {
            shards: shards.collect(),
            now,
            stats,
            answers: Answers::default(),
        };
        for slot in 0..CONNECTIONS {
            let accepted = Event::Accepted(conn(slot), Ipv6Addr::UNSPECIFIED.into());
            this.shards[0].inbox.events.push(accepted);
        }
        this.settle();
        this
    }

    /// One request on each connection, and turns until all are answered.
    pub fn round(&mut self, requests: &[Vec<u8>]) {
        let inbox = &mut self.shards[0].inbox;
        for (slot, request) in (0..CONNECTIONS).zip(requests) {
            let range = inbox.put(request);
            inbox.events.push(Event::Received(conn(slot), range));
        }
        self.settle();
    }

    /// Records that were traced so far.
    pub fn traced_count(&self) -> u64 {
        let shards = self.stats.shards.iter();
        shards.map(|it| it.traces.get()).sum()
    }

    fn settle(&mut self) {
        for _ in 0..1000 {
            self.now.mono_us += 50;
            let mut at_rest = true;
            for shard in 0..self.shards.len() {
                at_rest &= self.turn(shard) != Next::Now;
            }
            for driven in &mut self.shards {
                driven.inbox.events.append(&mut driven.later);
                at_rest &= driven.inbox.events.is_empty();
            }
            if at_rest {
                return;
            }
        }
        panic!("the shards never come to rest");
    }

    fn turn(&mut self, at: usize) -> Next {
        let driven = &mut self.shards[at];
        let (inbox, outbox) = (&mut driven.inbox, &mut driven.outbox);
        let next = driven.shard.turn(inbox, self.now, &mut Unlimited, outbox);
        let mut outbox = std::mem::take(outbox);
        for op in outbox.ops.drain(..) {
            if let Op::Message(to, message) = op {
                let event = Event::Message(ShardId(at as u16), message);
                self.shards[usize::from(to.0)].later.push(event);
            } else {
                self.carry_out(at, op, &outbox.bytes);
            }
        }
        outbox.clear();
        self.shards[at].outbox = outbox;
        next
    }

    fn carry_out(&mut self, at: usize, op: Op, sent: &[u8]) {
        let driven = &mut self.shards[at];
        match op {
            Op::Send(conn, range) => {
                let bytes = &sent[range];
                self.answers.count += 1;
                self.answers.ok_count += u64::from(bytes.starts_with(b"HTTP/1.1 200"));
                driven.later.push(Event::Sent(conn, bytes.len() as u32));
            }
            Op::Write { blocks, .. } => {
                let bytes = blocks.len() as u32;
                driven.later.push(Event::Written(blocks, Ok(bytes)));
            }
            Op::Keeper(ToKeeper::Entered(_)) => {
                let next = driven.next_segment();
                driven.later.push(next);
            }
            _ => {}
        }
    }
}

impl Driven {
    fn new(shard: Shard, id: u16, owner: u16) -> Driven {
        let mut this = Driven {
            shard,
            inbox: Inbox::with_capacity(1024, 1 << 20),
            outbox: Outbox::with_capacity(1024, 1 << 20),
            later: Vec::with_capacity(1024),
            segments_count: 1,
        };
        let begin = Box::new(begin(id, owner, segment(0, FileId(0)), 0));
        let events = &mut this.inbox.events;
        events.push(Event::Keeper(ToShard::Begin(begin)));
        events.push(Event::Keeper(ToShard::Serve { admit: true }));
        this
    }

    fn next_segment(&mut self) -> Event {
        let ordinal = self.segments_count;
        self.segments_count += 1;
        let named = segment(ordinal, FileId(ordinal as i32));
        Event::Keeper(ToShard::Segment(named))
    }
}

fn conn(slot: u32) -> ConnId {
    ConnId {
        slot,
        generation: 1,
    }
}
