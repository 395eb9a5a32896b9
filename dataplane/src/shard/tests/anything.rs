//! Whatever clients send, in whatever order, with the disk and the other shard as slow as they like: no assertion is
//! reached, nothing is answered twice, and when all let go, everything ends and the gateway serves on.

use super::*;
use crate::mesh::ring_messages;
use crate::wal::batch::BATCH_BODIES_BYTES;
use proptest::prelude::*;

/// Clients per shard.
const CLIENTS: usize = 6;

#[derive(Clone, Debug)]
enum Act {
    /// A client queues a request behind what it has not sent yet.
    Ask(usize, Request),
    /// Clients that are read from send so many bytes each.
    Pump(usize),
    /// A client says that it sends no more, or is gone.
    End(usize),
    Break(usize),
    HoldWrites,
    /// A held write ends well, or fails.
    EndWrite,
    FailWrite,
    HoldMessages(usize),
    ReleaseMessages(usize),
    PassMs(u64),
}

#[derive(Clone, Debug)]
struct Request {
    kind: Kind,
    chunk_bytes: Option<usize>,
    expects: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Record(u64),
    /// Records, and lines of other bytes between them.
    Batch(Vec<u64>, usize),
    Bytes(usize),
    Page(&'static str),
    Broken(&'static str),
}

impl Request {
    fn text(&self) -> String {
        let body = match &self.kind {
            Kind::Record(epoch) => record(*epoch),
            Kind::Bytes(bytes) => "x".repeat(*bytes),
            Kind::Batch(epochs, bytes) => {
                let lines = epochs.iter().map(|epoch| record(*epoch));
                lines
                    .collect::<Vec<_>>()
                    .join(&format!("\n\n{}\r\n", "x".repeat(*bytes)))
            }
            Kind::Page(text) | Kind::Broken(text) => return (*text).to_string(),
        };
        let expects = if self.expects {
            "Expect: 100-continue\r\n"
        } else {
            ""
        };
        let path = match self.kind {
            Kind::Batch(..) => "/v1/pcs/batch",
            _ => "/v1/pcs/submit",
        };
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{expects}");
        let Some(chunk_bytes) = self.chunk_bytes else {
            return format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        };
        let mut text = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        for chunk in body
            .as_bytes()
            .chunks(chunk_bytes.max(body.len() / 300).max(1))
        {
            text += &format!("{:x}\r\n", chunk.len());
            text += std::str::from_utf8(chunk).unwrap();
            text += "\r\n";
        }
        text + "0\r\n\r\n"
    }
}

fn request() -> impl Strategy<Value = Request> {
    let edge = BATCH_BODIES_BYTES;
    let sizes = vec![
        0,
        0,
        1,
        2,
        16_000,
        17_000,
        edge - 1,
        edge,
        edge + 1,
        1 << 20,
        (1 << 20) + 1,
    ];
    let pages = vec![
        "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
        "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "HEAD /v1/pcs/submit HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let broken = vec![
        "POST / HTTP/1.1\n\n",
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\n\r\n\r\n",
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        "\x16\x03",
    ];
    let lines = vec![0, 1, 1_000, 100_000, edge + 1, (1 << 20) + 1];
    let epochs = proptest::collection::vec(0..6_u64, 0..8);
    let batch = (epochs, proptest::sample::select(lines));
    let kind = prop_oneof![
        6 => (0..6_u64).prop_map(Kind::Record),
        6 => batch.prop_map(|(epochs, bytes)| Kind::Batch(epochs, bytes)),
        6 => proptest::sample::select(sizes).prop_map(Kind::Bytes),
        2 => proptest::sample::select(pages).prop_map(Kind::Page),
        1 => proptest::sample::select(broken).prop_map(Kind::Broken),
    ];
    let chunk_bytes =
        proptest::option::of(proptest::sample::select(vec![1_usize, 100, 5_000, 300_000]));
    (kind, chunk_bytes, proptest::bool::weighted(0.2)).prop_map(|(kind, chunk_bytes, expects)| {
        Request {
            kind,
            chunk_bytes,
            expects,
        }
    })
}

fn act(shards: usize) -> impl Strategy<Value = Act> {
    let client = 0..CLIENTS * shards;
    let pieces = vec![1_usize, 30, 700, 16_384, 70_000, 2_000_000];
    prop_oneof![
        12 => (client.clone(), request()).prop_map(|(client, request)| Act::Ask(client, request)),
        12 => proptest::sample::select(pieces).prop_map(Act::Pump),
        1 => client.clone().prop_map(Act::End),
        1 => client.prop_map(Act::Break),
        2 => Just(Act::HoldWrites),
        3 => Just(Act::EndWrite),
        1 => Just(Act::FailWrite),
        1 => (0..shards).prop_map(Act::HoldMessages),
        2 => (0..shards).prop_map(Act::ReleaseMessages),
        3 => proptest::sample::select(vec![1_u64, 100, 2_600, 5_100]).prop_map(Act::PassMs),
    ]
}

/// A client: its connection, what it has not sent yet, and how many requests it began to send.
struct Client {
    conn: ConnId,
    unsent: Vec<u8>,
    requests: usize,
    over: bool,
}

struct Play {
    room: Room,
    clients: Vec<Client>,
    messages_max: usize,
}

impl Play {
    fn new(shards: u16, flights: u32, pipeline: usize, bodies_bytes: usize) -> Play {
        let mut room = Room::new(shards, |config| {
            config.limits.flights_max = flights;
            config.limits.pipeline_max = pipeline;
            config.limits.body_bytes_total_max = bodies_bytes;
        });
        room.begin();
        let clients = (0..CLIENTS * usize::from(shards))
            .map(|at| Client {
                conn: room.connect(at / CLIENTS),
                unsent: Vec::new(),
                requests: 0,
                over: false,
            })
            .collect();
        Play {
            room,
            clients,
            messages_max: ring_messages(flights as usize, 0),
        }
    }

    fn pump(&mut self, bytes: usize) {
        for (at, client) in self.clients.iter_mut().enumerate() {
            let shard = at / CLIENTS;
            let paused = self.room.paused.contains(&(shard, client.conn.slot));
            if paused || client.over || client.unsent.is_empty() {
                continue;
            }
            let rest = client.unsent.split_off(bytes.min(client.unsent.len()));
            self.room.arrive(shard, client.conn, &client.unsent);
            client.unsent = rest;
        }
        self.room.run();
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Ask(client, request) => {
                let client = &mut self.clients[*client];
                client.unsent.extend_from_slice(request.text().as_bytes());
                client.requests += 1;
            }
            Act::Pump(bytes) => self.pump(*bytes),
            Act::End(client) | Act::Break(client) => {
                let conn = self.clients[*client].conn;
                if !std::mem::replace(&mut self.clients[*client].over, true) {
                    let event = match act {
                        Act::End(_) => Event::Ended(conn),
                        _ => Event::Broken(conn),
                    };
                    self.room.event(client / CLIENTS, event);
                    self.room.run();
                }
            }
            Act::HoldWrites => self.room.hold_writes = true,
            Act::EndWrite | Act::FailWrite => {
                if let Some(held) = self.room.held.pop_front() {
                    let error = matches!(act, Act::FailWrite).then_some(Errno::EIO);
                    self.room.complete(held, error);
                    self.room.run();
                }
            }
            Act::HoldMessages(shard) => self.room.hold_messages[*shard] = true,
            Act::ReleaseMessages(shard) => self.room.release_messages(*shard),
            Act::PassMs(ms) => self.room.pass(ms * 1_000),
        }
        let shards = self.room.shards.len();
        for (from, to) in (0..shards * shards).map(|pair| (pair / shards, pair % shards)) {
            assert!(from == to || self.room.posted_count(from, to) <= self.messages_max);
        }
    }

    /// Everything is let go and every client sends what it has left.
    fn end(&mut self) {
        for shard in 0..self.room.shards.len() {
            self.room.release_messages(shard);
        }
        release(&mut self.room);
        for _ in 0..200 {
            self.pump(100_000);
        }
        self.room.pass(20_000_000);
        for (at, client) in self.clients.iter().enumerate() {
            let received = self.room.received(at / CLIENTS, client.conn);
            let answers = statuses(&received)
                .iter()
                .filter(|status| **status != 100)
                .count();
            // A client that is too slow with nothing that is a request yet gets one answer more.
            assert!(
                answers <= client.requests + 1,
                "{answers} answers to {}",
                client.requests
            );
        }
        for (at, shard) in self.room.shards.iter_mut().enumerate() {
            assert_eq!(
                (
                    shard.ingress.flights.count(),
                    shard.ingress.flights.dispositions_owed()
                ),
                (0, 0),
                "{at}"
            );
            assert!(
                shard.ingress.for_room.first().is_none()
                    && shard.ingress.for_memory.first().is_none()
            );
        }
        let fresh = self.room.connect(0);
        self.room.send(0, fresh, post(&record(99)).as_bytes());
        assert_eq!(statuses(&self.room.received(0, fresh)), [200]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_client_reaches_an_assertion(
        shards in 1_u16..=2,
        flights in proptest::sample::select(vec![1_u32, 2, 5, 64]),
        pipeline in proptest::sample::select(vec![1_usize, 2, 64]),
        bodies_bytes in proptest::sample::select(vec![1_200_000_usize, 16 << 20]),
        acts in proptest::collection::vec(act(2), 1..60),
    ) {
        let mut play = Play::new(shards, flights, pipeline, bodies_bytes);
        for act in &acts {
            let fits = match act {
                Act::Ask(client, _) | Act::End(client) | Act::Break(client) => *client < play.clients.len(),
                Act::HoldMessages(shard) | Act::ReleaseMessages(shard) => *shard < usize::from(shards),
                _ => true,
            };
            // Two failures in a row end the process, as they must.
            if fits && play.room.stopped.is_none() {
                play.act(act);
            }
        }
        if play.room.stopped.is_none() {
            play.end();
        }
    }
}
