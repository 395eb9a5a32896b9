//! Whole flows of shards against their transcripts in `transcripts/`: every answer with its bytes, every batch and what it
//! says, every message, every time at which a turn is wanted. The other tests say what must hold; these say that nothing
//! else changes. `FLK_TRANSCRIPTS=write cargo test …` writes the files anew; review the diff.

use super::chunked::post_chunked;
use super::transcript::Transcript;
use super::*;
use crate::event::Peer;
use crate::mesh::keeper::Shortage;
use crate::shard::config::ShardConfig;
use flk_contract::{OwnedRecord, Parser, Scheme, SigningKey, sign};
use std::path::Path;

const PROBE: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n";

/// A room that is written down from its beginning.
fn room(shards: u16, change: impl Fn(&mut ShardConfig)) -> Room {
    let mut room = Room::new(shards, change);
    room.transcript = Some(Transcript::default());
    room.begin();
    room
}

pub(super) fn say(room: &mut Room, text: &str) {
    room.transcript.as_mut().unwrap().say(format!("## {text}"));
}

pub(super) fn metrics(room: &mut Room) {
    let stats = room.stats.clone();
    room.transcript.as_mut().unwrap().metrics(&stats);
}

pub(super) fn compare(room: &Room, name: &str) {
    let text = room.transcript.as_ref().unwrap().text();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shard/tests/transcripts");
    flk_testkit::same_as_file(&folder.join(name), &text);
}

/// A client of its own sends this; what follows is a paragraph of the transcript.
pub(super) fn alone(room: &mut Room, what: &str, bytes: &[u8]) -> ConnId {
    say(room, what);
    let conn = room.connect(0);
    room.send(0, conn, bytes);
    conn
}

/// The record of this epoch with another coherence: a conflict where that one is known.
pub(super) fn contradicting(epoch: u64) -> String {
    let text = record(epoch);
    let mut parser = Parser::new();
    let mut owned = OwnedRecord::from(&parser.parse(text.as_bytes()).unwrap());
    owned.attempt += 1;
    owned.coh_star /= 2.0;
    let key = SigningKey::from_text("hmac".parse::<Scheme>().unwrap(), KEY).unwrap();
    owned.sig = sign(&key, &owned.view());
    let mut json = Vec::new();
    flk_contract::record::write_json(&owned.view(), &mut json);
    String::from_utf8(json).unwrap()
}

#[test]
fn each_kind_of_request_is_answered_and_logged_as_in_the_transcript() {
    let mut room = room(1, |_| {});
    for (what, text) in [
        ("a new record", post(&record(1))),
        ("the same once more", post(&record(1))),
        ("a conflict", post(&contradicting(1))),
        ("another key", post(&record_signed(2, "another key"))),
        ("no record", post("{}")),
        ("no JSON", post("nonsense")),
        ("an empty body", post("")),
        ("chunks", post_chunked(&record(3), 100)),
        ("three at once", post(&record(4)) + &post("{") + &post(&record(1))),
        ("HTTP/1.0", "GET /livez HTTP/1.0\r\n\r\n".to_string()),
        ("HTTP/1.0 keep-alive", "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_string()),
        ("HEAD", "HEAD /version HTTP/1.1\r\nHost: a\r\n\r\n".to_string()),
        ("OPTIONS", "OPTIONS /v1/pcs/submit HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_string()),
        ("another method", "DELETE /v1/pcs/submit HTTP/1.1\r\nHost: a\r\n\r\n".to_string()),
        ("another path", "GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_string()),
        ("no host", "GET /livez HTTP/1.1\r\n\r\n".to_string()),
        ("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03".to_string()),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_string()),
        ("a proxy", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_string()),
        ("too long", format!("GET /{} HTTP/1.1\r\n", "x".repeat(17_000))),
        ("a large refused body", format!("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n{}", "x".repeat(40_000))),
        ("too large", "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n".to_string()),
    ] {
        alone(&mut room, what, text.as_bytes());
    }
    say(&mut room, "two minutes");
    room.pass(120_000_000);
    metrics(&mut room);
    compare(&room, "requests.txt");
}

#[test]
fn a_slow_a_failed_and_a_second_failed_write_go_as_in_the_transcript() {
    let mut room = room(1, |_| {});
    room.hold_writes = true;
    let [first, second] =
        [1, 2].map(|epoch| alone(&mut room, "a record", post(&record(epoch)).as_bytes()));
    room.send(0, second, post(&record(1)).as_bytes());
    say(&mut room, "the write takes three seconds");
    room.pass(3_000_000);
    alone(&mut room, "a probe", PROBE);
    let held = room.held.pop_front().unwrap();
    room.complete(held, None);
    room.run();
    say(&mut room, "the next one fails");
    let held = room.held.pop_front().unwrap();
    room.complete(held, Some(Errno::EIO));
    room.run();
    let held = room.held.pop_front().unwrap();
    room.complete(held, None);
    room.run();
    say(&mut room, "a roll, then nothing for a while");
    room.tell(0, ToShard::Roll(Epoch::first().next()));
    room.send(0, first, post(&record(5)).as_bytes());
    release(&mut room);
    room.pass(1_000_000);
    room.tell(0, ToShard::Roll(Epoch::first().next().next()));
    room.run();
    room.pass(100_000);
    say(&mut room, "nothing is named, and the segment in use fails");
    room.hold_naming = true;
    room.hold_writes = true;
    room.send(0, first, post(&record(6)).as_bytes());
    for _ in 0..2 {
        if let Some(held) = room.held.pop_front() {
            room.complete(held, Some(Errno::ENOSPC));
            room.run();
        }
    }
    metrics(&mut room);
    compare(&room, "writes.txt");
}

#[test]
fn writes_that_a_sync_follows_go_as_in_the_transcript() {
    let mut room = Room::new(1, |_| {});
    room.sync = crate::io::SyncMode::WriteThenSync;
    room.transcript = Some(Transcript::default());
    room.begin();
    let conn = alone(&mut room, "a record", post(&record(1)).as_bytes());
    room.hold_writes = true;
    room.send(0, conn, post(&record(2)).as_bytes());
    room.send(0, conn, post(&record(3)).as_bytes());
    say(&mut room, "a write fails, the next one ends");
    let held = room.held.pop_front().unwrap();
    room.complete(held, Some(Errno::EIO));
    room.run();
    release(&mut room);
    room.pass(1_000_000);
    say(&mut room, "a large one, then an idle log");
    room.send(0, conn, post(&"x".repeat(300_000)).as_bytes());
    room.pass(1_000_000);
    say(&mut room, "a sync fails");
    room.fail_sync = Some(Errno::EIO);
    room.send(0, conn, post(&record(4)).as_bytes());
    room.pass(100_000);
    say(&mut room, "two fail");
    room.fail_sync = Some(Errno::EIO);
    room.hold_writes = true;
    room.send(0, conn, post(&record(5)).as_bytes());
    let held = room.held.pop_front().unwrap();
    room.complete(held, None);
    room.run();
    let held = room.held.pop_front().unwrap();
    room.complete(held, Some(Errno::EIO));
    room.run();
    metrics(&mut room);
    compare(&room, "syncs.txt");
}

#[test]
fn slow_clients_are_waited_for_as_in_the_transcript() {
    let mut room = room(1, |_| {});
    let head = "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n";
    let half_head = alone(&mut room, "half a head", &head.as_bytes()[..20]);
    let slow = alone(&mut room, "a slow body", head.as_bytes());
    let steady = alone(&mut room, "a body at 1 KiB a second", head.as_bytes());
    let asked = alone(
        &mut room,
        "a body that waits to be asked",
        head.replace("Host", "Expect: 100-continue\r\nHost")
            .as_bytes(),
    );
    for second in 0..7 {
        say(&mut room, &format!("second {second}"));
        room.send(0, half_head, b"x");
        room.send(0, slow, &[b'x'; 100]);
        room.send(0, steady, &[b'x'; 1024]);
        room.send(0, asked, &[b'x'; 1025]);
        room.pass(1_000_000);
    }
    say(&mut room, "a client takes no answers");
    room.hold_sends = true;
    let deaf = alone(&mut room, "it asks", PROBE);
    let taken = room.received(0, deaf).len() as u32;
    room.pass(30_000_000);
    room.event(0, Event::Sent(deaf, taken / 2));
    room.run();
    room.pass(70_000_000);
    metrics(&mut room);
    compare(&room, "slow.txt");
}

#[test]
fn requests_wait_for_their_deadline_and_their_owner_as_in_the_transcript() {
    let mut room = room(2, |config| config.limits.flights_max = 4);
    room.hold_messages[1] = true;
    say(&mut room, "the other shard does not answer");
    let conn = room.connect(0);
    let requests: String = (1..8).map(|epoch| post(&record(epoch))).collect();
    room.send(0, conn, requests.as_bytes());
    room.pass(6_000_000);
    say(&mut room, "it answers");
    room.release_messages(1);
    room.pass(1_000_000);
    say(&mut room, "the same records, there");
    let other = room.connect(1);
    room.send(1, other, requests.as_bytes());
    room.pass(1_000_000);
    say(&mut room, "the disk does not answer");
    room.hold_writes = true;
    for epoch in 20..23 {
        let conn = room.connect(1);
        room.send(1, conn, post(&record(epoch)).as_bytes());
    }
    room.pass(7_000_000);
    release(&mut room);
    room.pass(1_000_000);
    metrics(&mut room);
    compare(&room, "deadlines.txt");
}

#[test]
fn a_graceful_stop_goes_as_in_the_transcript() {
    let mut room = room(2, |config| config.drain_delay_us = 1_000_000);
    let text = post(&record(1));
    let idle = alone(&mut room, "an idle one", PROBE);
    let half = alone(&mut room, "half a request", &text.as_bytes()[..100]);
    let late = alone(&mut room, "half a head", &text.as_bytes()[..10]);
    room.hold_writes = true;
    let busy = alone(&mut room, "a busy one", post(&record(2)).as_bytes());
    room.pass(500_000);
    say(&mut room, "the stop begins");
    for shard in 0..2 {
        room.tell(shard, ToShard::Drain);
    }
    room.run();
    room.send(0, idle, PROBE);
    let new = alone(&mut room, "one that comes late", PROBE);
    room.pass(1_500_000);
    release(&mut room);
    room.send(0, late, &text.as_bytes()[10..]);
    room.pass(2_000_000);
    for conn in [idle, busy, late, new] {
        room.event(0, Event::Ended(conn));
    }
    room.run();
    room.pass(6_000_000);
    room.event(0, Event::Broken(half));
    room.run();
    room.pass(1_000_000);
    say(&mut room, "the stop ends");
    for shard in 0..2 {
        room.tell(shard, ToShard::Finish);
    }
    room.run();
    room.pass(1_000_000);
    metrics(&mut room);
    compare(&room, "stop.txt");
}

#[test]
fn too_many_connections_give_way_as_in_the_transcript() {
    let mut room = room(1, |config| {
        config.limits.connections_max = 3;
        config.limits.connections_spare = 1;
    });
    let half_body = "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: 90\r\n\r\n{";
    for (what, text) in [
        ("one", "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("two", half_body),
        ("three", "GET /livez"),
        ("four", "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("five", "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("six", half_body),
        ("seven", half_body),
        ("eight", half_body),
    ] {
        alone(&mut room, what, text.as_bytes());
        room.pass(300_000);
    }
    say(&mut room, "all wait for the disk");
    room.pass(20_000_000);
    room.hold_writes = true;
    for epoch in 0..3 {
        alone(&mut room, "a record", post(&record(epoch)).as_bytes());
    }
    room.pass(1_000_000);
    release(&mut room);
    room.pass(2_000_000);
    metrics(&mut room);
    compare(&room, "connections.txt");
}

#[test]
fn memory_for_heads_and_bodies_is_waited_for_as_in_the_transcript() {
    let mut room = room(1, |config| {
        config.limits.head_bytes_total_max = 2 * 16 * 1024;
        config.limits.body_bytes_total_max = 1_200_000;
        config.limits.unread_bytes_total_max = 40_000;
    });
    let body = post(&"x".repeat(500_000));
    let conns: [ConnId; 5] = std::array::from_fn(|at| {
        let conn = room.connect_from(0, Peer(at as u64 / 2));
        say(&mut room, &format!("body {at}"));
        room.send(0, conn, &body.as_bytes()[..2_000]);
        conn
    });
    let heads: [ConnId; 4] = std::array::from_fn(|at| {
        let conn = room.connect_from(0, Peer(at as u64));
        say(&mut room, &format!("head {at}"));
        room.send(0, conn, b"GET /livez HTTP/1.1\r\nX: ");
        conn
    });
    room.pass(1_000_000);
    for (at, conn) in conns.iter().enumerate() {
        if !room.paused.contains(&(0, conn.slot)) {
            say(&mut room, &format!("the rest of body {at}"));
            room.send(0, *conn, &body.as_bytes()[2_000..]);
        }
    }
    room.pass(1_000_000);
    for conn in heads {
        room.send(0, conn, b"y\r\nHost: a\r\n\r\n");
    }
    say(&mut room, "chunks without an end");
    for at in 0..3 {
        let conn = room.connect_from(0, Peer(at));
        let text = post_chunked(&"x".repeat(700_000), 30_000);
        room.send(0, conn, &text.as_bytes()[..40_000]);
        room.pass(100_000);
        if !room.paused.contains(&(0, conn.slot)) {
            room.send(0, conn, &text.as_bytes()[40_000..300_000]);
        }
    }
    room.pass(9_000_000);
    metrics(&mut room);
    compare(&room, "memory.txt");
}

#[test]
fn a_rate_is_charged_as_in_the_transcript() {
    let mut room = room(1, |config| config.snapshot = snapshots::rated());
    room.buckets.left.insert(0, 3);
    let expects = post(&record(9)).replace("Host", "Expect: 100-continue\r\nHost");
    let head = expects.find("\r\n\r\n").unwrap() + 4;
    let asked = alone(
        &mut room,
        "one that waits to be asked",
        &expects.as_bytes()[..head],
    );
    let several: String = (1..5).map(|epoch| post(&record(epoch))).collect();
    let conn = alone(&mut room, "four at once", several.as_bytes());
    room.send(0, asked, &expects.as_bytes()[head..]);
    alone(&mut room, "another that waits", &expects.as_bytes()[..head]);
    alone(&mut room, "chunks", post_chunked(&record(1), 50).as_bytes());
    room.buckets.left.insert(0, 10);
    room.send(0, conn, several.as_bytes());
    room.pass(1_000_000);
    metrics(&mut room);
    compare(&room, "rate.txt");
}

#[test]
fn shortages_of_all_kinds_are_told_as_in_the_transcript() {
    let mut room = room(2, |config| {
        if config.id == crate::io::ShardId(1) {
            config.dedup_bytes_max = 1;
        }
    });
    for why in [
        Shortage::Disk,
        Shortage::Cap,
        Shortage::Refused,
        Shortage::Segments,
    ] {
        room.tell(0, ToShard::SpaceLow(Some(why)));
        alone(
            &mut room,
            &format!("{why:?}"),
            &[PROBE, post(&record(1)).as_bytes()].concat(),
        );
    }
    room.tell(0, ToShard::SpaceLow(None));
    alone(&mut room, "none", PROBE);
    let requests: String = (1..10).map(|epoch| post(&record(epoch))).collect();
    alone(&mut room, "no memory for more ids", requests.as_bytes());
    room.pass(20_000);
    alone(
        &mut room,
        "a probe",
        &[PROBE, post(&record(30)).as_bytes()].concat(),
    );
    room.pass(1_000_000);
    metrics(&mut room);
    compare(&room, "shortages.txt");
}

#[test]
fn limits_are_met_exactly_as_in_the_transcript() {
    let probe = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer_bytes = {
        let mut room = Room::serving(1);
        let conn = room.connect(0);
        room.send(0, conn, probe.as_bytes());
        room.received(0, conn).len()
    };
    for (pipeline_max, unsent_bytes_max, name) in [
        (2, 256 << 10, "pipeline.txt"),
        (64, 2 * answer_bytes, "unsent.txt"),
        (64, 2 * answer_bytes + 1, "unsent_and_one.txt"),
    ] {
        let mut room = room(1, |config| {
            config.limits.pipeline_max = pipeline_max;
            config.limits.unsent_bytes_max = unsent_bytes_max as u32;
            config.limits.flights_max = 3;
        });
        room.hold_writes = true;
        let requests: String = (1..7).map(|epoch| post(&record(epoch))).collect();
        let conn = alone(&mut room, "six records", requests.as_bytes());
        let other = alone(
            &mut room,
            "two more",
            (post(&record(8)) + &post(&record(9))).as_bytes(),
        );
        room.pass(200_000);
        release(&mut room);
        room.pass(200_000);
        say(&mut room, "no answer is taken");
        room.hold_sends = true;
        room.send(0, conn, probe.repeat(5).as_bytes());
        room.pass(200_000);
        for taken in [1, answer_bytes - 1, 1, answer_bytes] {
            say(&mut room, &format!("{taken} bytes are taken"));
            room.event(0, Event::Sent(conn, taken as u32));
            room.run();
        }
        room.event(0, Event::Ended(other));
        room.run();
        compare(&room, name);
    }
}
