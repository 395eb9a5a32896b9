//! The steady state of a shard allocates nothing per request: a counting allocator watches a shard that is driven by hand.
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap as tests do

use flk_contract::{KeySet, OwnedRecord, Params, ParamsVersion, Parser, Scheme, SigningKey, sign};
use flk_dataplane::event::{
    ConnId, Driver, Event, FileId, Inbox, Next, Now, Op, Outbox, Peer, ShardId, SyncMode,
};
use flk_dataplane::keeper::messages::{Begin, ExpiryClock, NamedSegment, ToKeeper, ToShard};
use flk_dataplane::shard::Shard;
use flk_dataplane::shard::config::{Limits, ShardConfig, Signing};
use flk_dataplane::stats::Stats;
use flk_dataplane::wal::name::LogId;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches no memory of its own.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller promised what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller promised what `System` asks for.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller promised what `System` asks for.
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Unlimited;

impl Driver for Unlimited {
    fn charge(&mut self, wanted: u32, _: Now) -> u32 {
        wanted
    }
}

const CONNECTIONS: u32 = 16;

/// A shard, the events that its operations led to, and the answers it gave.
struct Bench {
    shard: Shard,
    inbox: Inbox,
    outbox: Outbox,
    later: Vec<Event>,
    now: Now,
    ordinal: u32,
    answered_200: u64,
}

impl Bench {
    fn new() -> Bench {
        let key = "a key of thirty-two bytes or more";
        let keys = KeySet::builder()
            .add("hmac".parse::<Scheme>().unwrap(), key)
            .unwrap()
            .build()
            .unwrap();
        let shard = Shard::new(ShardConfig {
            id: ShardId(0),
            shards: 1,
            limits: Limits::default(),
            signing: Arc::new(Signing::Keys(keys)),
            params: Params::default(),
            ttl_s: 1000,
            dedup_bytes_max: 1 << 30,
            rated: false,
            metrics_auth: None,
            drain_delay_us: 0,
            stats: Arc::new(Stats::new(1)),
        });
        let mut bench = Bench {
            shard,
            inbox: Inbox::with_capacity(1024, 1 << 20),
            outbox: Outbox::with_capacity(1024, 1 << 20),
            later: Vec::with_capacity(1024),
            now: Now {
                mono_us: 1,
                wall_us: 1,
            },
            ordinal: 0,
            answered_200: 0,
        };
        let begin = Begin {
            installation: [1; 16],
            incarnation: [2; 16],
            secret: [3; 16],
            log: LogId {
                start: 1,
                number: 0,
            },
            owners: Arc::new([ShardId(0); 1024]),
            clock: ExpiryClock {
                base_s: 1,
                base_mono_us: 0,
            },
            first: segment(0),
            sync: SyncMode::Dsync,
            params: Arc::new([ParamsVersion::ONE]),
        };
        bench
            .inbox
            .events
            .push(Event::Keeper(ToShard::Begin(Box::new(begin))));
        bench
            .inbox
            .events
            .push(Event::Keeper(ToShard::Serve { admit: true }));
        for slot in 0..CONNECTIONS {
            let conn = ConnId {
                slot,
                generation: 1,
            };
            let accepted = Event::Accepted(conn, Peer::default());
            bench.inbox.events.push(accepted);
        }
        bench.settle();
        bench
    }

    /// One request on each connection, and turns until all are answered.
    fn round(&mut self, requests: &[Vec<u8>]) {
        for (slot, request) in (0..CONNECTIONS).zip(requests) {
            let range = self.inbox.put(request);
            self.inbox.events.push(Event::Received(
                ConnId {
                    slot,
                    generation: 1,
                },
                range,
            ));
        }
        self.settle();
    }

    fn settle(&mut self) {
        for _ in 0..1000 {
            self.now.mono_us += 50;
            let next = self
                .shard
                .turn(&mut self.inbox, self.now, &mut Unlimited, &mut self.outbox);
            self.carry_out();
            self.inbox.events.append(&mut self.later);
            if self.inbox.events.is_empty() && next != Next::Now {
                return;
            }
        }
        panic!("the shard never comes to rest");
    }

    fn carry_out(&mut self) {
        for op in self.outbox.ops.drain(..) {
            match op {
                Op::Send(conn, range) => {
                    let bytes = &self.outbox.bytes[range];
                    self.answered_200 += u64::from(bytes.starts_with(b"HTTP/1.1 200"));
                    self.later.push(Event::Sent(conn, bytes.len() as u32));
                }
                Op::Write { blocks, .. } => {
                    let bytes = blocks.len() as u32;
                    self.later.push(Event::Written(blocks, Ok(bytes)));
                }
                Op::Keeper(ToKeeper::Entered { .. }) => {
                    self.ordinal += 1;
                    self.later
                        .push(Event::Keeper(ToShard::Segment(segment(self.ordinal))));
                }
                _ => {}
            }
        }
        self.outbox.clear();
    }
}

fn segment(ordinal: u32) -> NamedSegment {
    NamedSegment {
        file: FileId(ordinal as i32),
        ordinal,
        salt: 9,
        generation: 1,
        bytes: 64 << 20,
    }
}

fn requests(epochs: impl Iterator<Item = u64>) -> Vec<Vec<u8>> {
    let text = include_str!("../../golden/records/pcs_tiny_case_1.json");
    let mut parser = Parser::new();
    let template = OwnedRecord::from(&parser.parse(text.as_bytes()).unwrap());
    let key = SigningKey::from_text("hmac".parse().unwrap(), "a key of thirty-two bytes or more")
        .unwrap();
    let request = |epoch| {
        let mut record = template.clone();
        record.epoch = epoch;
        let id = flk_contract::identity::pcs_id(&record.merkle_root, epoch, &record.shard_id);
        record.pcs_id = String::from_utf8(flk_contract::hash::hex32(&id).to_vec()).unwrap();
        record.sig = sign(&key, &record.view());
        let mut body = Vec::new();
        flk_contract::record::write_json(&record.view(), &mut body);
        let mut request = format!(
            "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.append(&mut body);
        request
    };
    epochs.map(request).collect()
}

#[test]
fn duplicates_cost_no_allocation_and_new_ids_only_the_growth_of_the_table() {
    let mut bench = Bench::new();
    let known = requests(0..u64::from(CONNECTIONS));
    let fresh = requests(1_000..1_000 + 400 * u64::from(CONNECTIONS));
    let rounds: Vec<_> = fresh.chunks(CONNECTIONS as usize).collect();
    for round in &rounds[..200] {
        bench.round(round);
        bench.round(&known);
    }

    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..200 {
        bench.round(&known);
    }
    let duplicates = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(
        duplicates,
        0,
        "allocations for {} duplicates",
        200 * CONNECTIONS
    );

    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let answered_before = bench.answered_200;
    for round in &rounds[200..] {
        bench.round(round);
    }
    let answered = bench.answered_200 - answered_before;
    assert_eq!(answered, 200 * u64::from(CONNECTIONS));
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert!(
        allocated < answered,
        "{allocated} allocations for {answered} new ids: only a partition that grows may allocate"
    );
    eprintln!("{allocated} allocations for {answered} new ids");
}
