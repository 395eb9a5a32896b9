//! A shard that is driven by hand, without files and sockets: every write succeeds, in the turn after it was asked for.
#![allow(clippy::unwrap_used, unreachable_pub)] // helpers of tests and examples may unwrap as tests do

use flk_contract::signature::VerifyingKey;
use flk_contract::{Params, ParamsVersion, Scheme};
use flk_dataplane::event::{Ask, ConnId, Driver, Event, Granted, Inbox, Next, Op, Outbox};
use flk_dataplane::io::{FileId, Now, ShardId, SyncMode};
use flk_dataplane::mesh::keeper::{Begin, ExpiryClock, ToKeeper, ToShard};
use flk_dataplane::shard::Shard;
use flk_dataplane::shard::config::{Proxies, ShardConfig, ShardLimits, TraceLimits};
use flk_dataplane::snapshot::{
    Document, FORMAT, KeyDocument, Limit, LimitsDocument, MissingKeys, ParamsDocument, Resolver,
    Snapshot, Source, TenantDocument,
};
use flk_dataplane::stats::Stats;
use flk_dataplane::wal::name::{LogId, NamedSegment};
use flk_dataplane::wal::segment::SegmentLabels;
use flk_testkit::records::with_epoch;
use std::net::Ipv6Addr;
use std::sync::Arc;

struct Unlimited;

impl Driver for Unlimited {
    fn charge(&mut self, _: Limit, ask: Ask, _: Now) -> Granted {
        Granted::all(ask)
    }
}

/// Longer than the short keys of tests: its length is part of what a signature costs.
const KEY: &str = "a key of thirty-two bytes or more";

/// Connections that each send one request a round.
pub const CONNECTIONS: u32 = 16;

/// A shard, the events that its operations led to, and the answers it gave.
pub struct ByHand {
    shard: Shard,
    inbox: Inbox,
    outbox: Outbox,
    later: Vec<Event>,
    now: Now,
    ordinal: u32,
    /// Answers 200 so far.
    pub answered_200: u64,
}

impl ByHand {
    /// A shard that serves, with an empty table. Its tenant may fill so many percent of a batch of the log.
    pub fn new(wal_share: Option<u32>) -> ByHand {
        let shard = Shard::new(ShardConfig {
            id: ShardId(0),
            shards: 1,
            limits: ShardLimits::default(),
            snapshot: Arc::new(snapshot(wal_share)),
            ttl_s: 1000,
            dedup_bytes_max: 1 << 30,
            proxies: Proxies::default(),
            metrics_auth: None,
            traces: TraceLimits::default(),
            drain_delay_us: 0,
            stats: Arc::new(Stats::new(1)),
        });
        let mut this = ByHand {
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
            labels: SegmentLabels::default(),
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
            dedup_bytes_max: None,
            slices: Arc::default(),
        };
        this.inbox
            .events
            .push(Event::Keeper(ToShard::Begin(Box::new(begin))));
        this.inbox
            .events
            .push(Event::Keeper(ToShard::Serve { admit: true }));
        for slot in 0..CONNECTIONS {
            let conn = ConnId {
                slot,
                generation: 1,
            };
            let accepted = Event::Accepted(conn, Ipv6Addr::UNSPECIFIED.into());
            this.inbox.events.push(accepted);
        }
        this.settle();
        this
    }

    /// One request on each connection, and turns until all are answered.
    pub fn round(&mut self, requests: &[Vec<u8>]) {
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
                Op::Keeper(ToKeeper::Entered(_)) => {
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

/// One tenant with one key and no limits.
fn snapshot(wal_share: Option<u32>) -> Snapshot {
    let scheme: Scheme = "hmac".parse().unwrap();
    let verifying = VerifyingKey::from_text(scheme, KEY).unwrap();
    let key = KeyDocument {
        id: "usual".into(),
        scheme: scheme.to_string(),
        source: Source::file("key"),
        fingerprint: verifying.id().to_string(),
        not_before: None,
        not_after: None,
        revoked_at: None,
    };
    let document = Document {
        format: FORMAT,
        number: 0,
        limits: LimitsDocument::default(),
        tenants: vec![TenantDocument {
            name: "default".into(),
            enabled: true,
            unsigned: false,
            keys: vec![key],
            limits: LimitsDocument::default(),
            wal_share,
            params: vec![ParamsDocument::of(&Params::default())],
            home: None,
        }],
    };
    let load = |_: &Source| Ok(KEY.to_owned().into());
    let resolved = Resolver::default().resolve(&document, &load, MissingKeys::Refuse);
    resolved.unwrap().0
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

/// A validly signed record for each epoch, as the bytes of a request.
pub fn requests(epochs: impl Iterator<Item = u64>) -> Vec<Vec<u8>> {
    let text = include_str!("../../../golden/records/pcs_tiny_case_1.json");
    let request = |epoch| {
        let body = with_epoch(text, epoch, KEY);
        let head = format!(
            "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.into_bytes(), body].concat()
    };
    epochs.map(request).collect()
}
