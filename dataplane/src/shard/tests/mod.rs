//! Tests of one or two shards in a room: what a client sees, what the log holds, what waits for what.

mod anything;
mod batch;
mod batch_limits;
mod batch_misuse;
mod buckets;
mod charge;
mod chunked;
mod config;
mod configure;
mod drain;
mod growing;
mod keys;
mod looks;
mod memory;
mod metrics;
mod noisy;
mod params;
mod patience;
mod pressure;
mod proxied;
mod rate;
mod readiness;
mod records;
mod room;
mod share;
mod sizes;
mod skip;
mod slices;
mod snapshots;
mod stored;
mod traced;
mod transcript;
mod transcripts;
mod waiting;

use self::config::KEY;
use self::room::{Room, full_room, release, trickle};
use crate::event::{ConnId, Event};
use crate::io::Errno;
use crate::mesh::keeper::{ToKeeper, ToShard};
use crate::wal::Epoch;
use crate::wal::batch::read_batch;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::record::{Content, Entry};
use flk_testkit::records::with_epoch;

/// A validly signed record whose id differs by `epoch`.
fn record(epoch: u64) -> String {
    record_signed(epoch, KEY)
}

fn record_signed(epoch: u64, key: &str) -> String {
    let text = include_str!("../../../../golden/records/pcs_tiny_case_1.json");
    String::from_utf8(with_epoch(text, epoch, key)).unwrap()
}

fn post(body: &str) -> String {
    format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Statuses and `Flk-Dedup` values of all answers, in order.
fn answers(text: &str) -> Vec<(u16, String)> {
    let mut found = Vec::new();
    for head in text.split("HTTP/1.1 ").skip(1) {
        let dedup = head
            .lines()
            .find_map(|line| line.strip_prefix("Flk-Dedup: "))
            .unwrap_or("");
        found.push((head[..3].parse().unwrap(), dedup.to_string()));
    }
    found
}

fn statuses(text: &str) -> Vec<u16> {
    answers(text)
        .into_iter()
        .map(|(status, _)| status)
        .collect()
}

/// What was written, without the header of a segment.
fn batch_of(bytes: &[u8]) -> &[u8] {
    match bytes.starts_with(b"flk-segm") {
        true => &bytes[BLOCK_BYTES..],
        false => bytes,
    }
}

/// Kinds of all records in the written batches, in order.
fn kinds(room: &Room) -> Vec<String> {
    let mut kinds = Vec::new();
    for (_, bytes) in &room.written {
        for record in read_batch(batch_of(bytes)).unwrap().records() {
            kinds.push(match record.unwrap().content {
                Content::Body(_) => "body".to_string(),
                Content::Entry(Entry::Decision(_)) => "decision".to_string(),
                Content::Entry(Entry::Refused(refused)) => format!("refused {}", refused.status),
                Content::Entry(Entry::Duplicate(_)) => "duplicate".to_string(),
                Content::Entry(Entry::Conflict(_)) => "conflict".to_string(),
                Content::Entry(Entry::Unanswered(_)) => "unanswered".to_string(),
                other => format!("{other:?}"),
            });
        }
    }
    kinds
}

#[test]
fn health_is_served_before_recovery_and_submits_are_503() {
    let mut room = Room::new(1, |_| {});
    let conn = room.connect(0);
    room.send(
        0,
        conn,
        b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    room.send(0, conn, post(&record(1)).as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [200, 503, 503]);
    room.begin();
    room.send(0, conn, b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    room.send(0, conn, post(&record(1)).as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [200, 503, 503, 200, 200]);
}

#[test]
fn a_refused_request_of_moderate_size_keeps_the_connection() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    let body = "x".repeat(30_000);
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
    };
    room.send(0, conn, head("/nowhere").as_bytes());
    for part in body.as_bytes().chunks(7_000) {
        room.send(0, conn, part);
    }
    room.send(0, conn, post(&record(1)).as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [404, 200]);
}

#[test]
fn a_complete_request_before_fin_is_answered_and_a_partial_one_is_dropped() {
    let mut room = Room::serving(1);
    let (whole, partial) = (room.connect(0), room.connect(0));
    room.arrive(0, whole, post(&record(1)).as_bytes());
    room.event(0, Event::Ended(whole));
    let text = post(&record(2));
    room.arrive(0, partial, &text.as_bytes()[..text.len() - 1]);
    room.event(0, Event::Ended(partial));
    room.run();
    assert_eq!(statuses(&room.received(0, whole)), [200]);
    assert_eq!(room.received(0, partial), "");
    assert_eq!(kinds(&room), ["body", "decision"]);
    let closed: Vec<u32> = room.closed.iter().map(|(_, conn)| conn.slot).collect();
    assert!(
        closed.contains(&whole.slot) && closed.contains(&partial.slot),
        "{closed:?}"
    );
}

#[test]
fn over_the_rate_is_429_and_nothing_is_logged() {
    let mut room = Room::new(1, |config| config.snapshot = snapshots::rated());
    room.begin();
    room.buckets.left.insert(0, 1);
    let conn = room.connect(0);
    room.send(0, conn, (post(&record(1)) + &post(&record(2))).as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [200, 429]);
    assert_eq!(kinds(&room), ["body", "decision"]);
    assert!(room.received(0, conn).contains("Retry-After: "));
}

#[test]
fn expect_continue_is_answered_once_and_before_the_outcome() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    let body = record(1);
    let head = format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    room.send(0, conn, head.as_bytes());
    assert_eq!(room.received(0, conn), "HTTP/1.1 100 Continue\r\n\r\n");
    room.send(0, conn, &body.as_bytes()[..10]);
    room.send(0, conn, &body.as_bytes()[10..]);
    assert_eq!(statuses(&room.received(0, conn)), [100, 200]);
}

#[test]
fn over_the_rate_nobody_is_asked_for_a_body_and_who_was_asked_pays_once() {
    let mut room = Room::new(1, |config| config.snapshot = snapshots::rated());
    room.begin();
    room.buckets.left.insert(0, 1);
    let body = record(1);
    let head = format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (asked, refused) = (room.connect(0), room.connect(0));
    room.send(0, asked, head.as_bytes());
    room.send(0, refused, head.as_bytes());
    assert_eq!(statuses(&room.received(0, asked)), [100]);
    let answer = room.received(0, refused);
    assert_eq!(statuses(&answer), [429]);
    assert!(answer.contains("Connection: close"), "{answer}");
    room.send(0, asked, body.as_bytes());
    assert_eq!(statuses(&room.received(0, asked)), [100, 200]);
    room.send(0, asked, post(&record(2)).as_bytes());
    assert_eq!(statuses(&room.received(0, asked)), [100, 200, 429]);
    assert_eq!(kinds(&room), ["body", "decision"]);
}

#[test]
fn an_idle_log_is_marked_once() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    assert_eq!(room.written.len(), 1);
    room.pass(1_000_000);
    assert_eq!(room.written.len(), 2, "one mark, not more");
    let mark = read_batch(&room.written[1].1).unwrap();
    assert!(mark.header.is_mark());
    assert_eq!(mark.header.fields.durable_upto.counter(), 1);
}

#[test]
fn draining_answers_what_is_in_flight_closes_and_finishes_with_a_mark() {
    let mut room = Room::serving(1);
    room.hold_writes = true;
    let (busy, idle) = (room.connect(0), room.connect(0));
    room.send(0, busy, post(&record(1)).as_bytes());
    room.pass(1_000_000);
    room.tell(0, ToShard::Drain);
    room.run();
    assert_eq!(room.listener_closed, 1);
    room.pass(2_000_000);
    assert!(room.shut.iter().any(|(_, conn)| conn.slot == idle.slot));
    let held = room.held.pop_front().unwrap();
    room.hold_writes = false;
    room.complete(held, None);
    room.run();
    assert_eq!(statuses(&room.received(0, busy)), [200]);
    assert!(room.received(0, busy).contains("Connection: close"));
    for conn in [busy, idle] {
        room.event(0, Event::Ended(conn));
    }
    room.pass(100_000);
    assert!(
        room.to_keeper
            .iter()
            .any(|(_, message)| *message == ToKeeper::Idle(true)),
        "{:?}",
        room.to_keeper
    );
    room.tell(0, ToShard::Finish);
    room.pass(100_000);
    let closed = room
        .to_keeper
        .iter()
        .find_map(|(_, message)| match message {
            ToKeeper::Finished { closed, .. } => *closed,
            _ => None,
        });
    let closed = closed.expect("finished, and where the log ends");
    let (_, last) = room.written.last().unwrap();
    let mark = read_batch(last).unwrap().header;
    assert!(mark.is_mark());
    assert_eq!((closed.ordinal, closed.first.counter()), (0, 1));
    assert_eq!(
        (closed.last, closed.last_checksum),
        (mark.fields.sequence, mark.checksum)
    );
    let written: usize = room.written.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(closed.bytes, written as u64);
}

#[test]
fn a_shard_that_never_wrote_finishes_without_a_segment() {
    let mut room = Room::serving(1);
    room.tell(0, ToShard::Drain);
    room.run();
    room.event(0, Event::ListenerClosed);
    room.pass(1_000_000);
    room.tell(0, ToShard::Finish);
    room.pass(100_000);
    let nothing = |message: &ToKeeper| matches!(message, ToKeeper::Finished { closed: None, .. });
    assert!(
        room.to_keeper.iter().any(|(_, it)| nothing(it)),
        "{:?}",
        room.to_keeper
    );
    assert!(room.written.is_empty());
}

#[test]
fn who_waited_in_the_listen_queue_of_a_stop_is_answered_before_the_shard_is_idle() {
    let mut room = Room::serving(1);
    room.hold_listener = true;
    room.tell(0, ToShard::Drain);
    room.pass(1_000_000);
    assert!(!room.to_keeper.contains(&(0, ToKeeper::Idle(true))));
    let (asks, silent) = (room.connect(0), room.connect(0));
    room.event(0, Event::ListenerClosed);
    room.pass(100_000);
    assert!(room.shut.is_empty(), "the requests may be on their way");
    room.send(0, asks, post(&record(1)).as_bytes());
    let received = room.received(0, asks);
    assert_eq!(statuses(&received), [200]);
    assert!(received.contains("Connection: close"), "{received}");
    room.pass(1_000_000);
    assert!(room.shut.contains(&(0, silent)));
    for conn in [asks, silent] {
        room.event(0, Event::Ended(conn));
    }
    room.pass(100_000);
    assert!(room.to_keeper.contains(&(0, ToKeeper::Idle(true))));
}

#[test]
fn a_stop_asked_for_twice_ends_its_delay() {
    let mut room = Room::new(1, |config| config.drain_delay_us = 3_600_000_000);
    room.begin();
    room.tell(0, ToShard::Drain);
    room.pass(1_000_000);
    assert_eq!(room.listener_closed, 0, "the delay runs");
    room.tell(0, ToShard::Drain);
    room.run();
    assert_eq!(room.listener_closed, 1);
}

#[test]
fn large_bodies_wait_for_memory_and_all_are_served() {
    let mut room = Room::new(1, |config| config.limits.body_bytes_total_max = 1_200_000);
    room.begin();
    let body = format!("\"{}\"", "x".repeat(900_000));
    let text = post(&body);
    let conns: Vec<ConnId> = (0..4).map(|_| room.connect(0)).collect();
    let texts: Vec<_> = conns.iter().map(|conn| (*conn, text.as_bytes())).collect();
    trickle(&mut room, &texts, 16_000);
    for conn in conns {
        assert_eq!(statuses(&room.received(0, conn)), [400], "{conn:?}");
    }
}

#[test]
fn a_roll_opens_the_next_segment_behind_the_open_batch() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    room.tell(0, ToShard::Roll(Epoch::of(2)));
    room.send(0, conn, post(&record(2)).as_bytes());
    room.send(0, conn, post(&record(3)).as_bytes());
    let epochs: Vec<(u32, Epoch)> = room
        .to_keeper
        .iter()
        .filter_map(|(_, message)| match message {
            ToKeeper::Entered(entered) => Some((entered.ordinal, entered.epoch)),
            _ => None,
        })
        .collect();
    assert_eq!(epochs, [(0, Epoch::first()), (1, Epoch::of(2))]);
    assert_eq!(statuses(&room.received(0, conn)), [200, 200, 200]);
}

#[test]
fn an_idle_log_says_that_its_closed_segment_is_resolved_although_a_mark_ends_it() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    room.pass(100_000);
    room.tell(0, ToShard::Roll(Epoch::of(2)));
    room.run();
    let last_closed = room
        .to_keeper
        .iter()
        .find_map(|(_, message)| match message {
            ToKeeper::Entered(entered) => entered.closed.map(|closed| closed.last),
            _ => None,
        });
    let resolved = room
        .to_keeper
        .iter()
        .rev()
        .find_map(|(_, message)| match message {
            ToKeeper::Resolved { upto, .. } => Some(*upto),
            _ => None,
        });
    assert_eq!(last_closed.map(|last| last.counter()), Some(2), "the mark");
    assert!(
        resolved >= last_closed,
        "{resolved:?}: nothing else may ever let it go"
    );
}

#[test]
fn a_roll_of_an_empty_log_is_answered_at_once() {
    let mut room = Room::serving(1);
    room.tell(0, ToShard::Roll(Epoch::of(2)));
    room.run();
    assert!(room.to_keeper.iter().any(
        |(_, message)| matches!(message, ToKeeper::Epoch(begun) if begun.epoch == Epoch::of(2))
    ));
    assert!(room.written.is_empty());
}
