//! Batches where something is short: time, rates, quotas, memory for answers, a tenant's share, or the time of a stop. What was
//! admitted is answered for what it is, and the rest line by line.

use super::batch::{batch, lines};
use super::charge::{UNAUTHENTICATED, limited};
use super::*;
use crate::shard::config::TraceLimits;
use crate::snapshot::Resolver;

fn records(epochs: impl Iterator<Item = u64>) -> Vec<String> {
    epochs.map(record).collect()
}

/// Of which statuses and codes how many lines in a row are.
fn runs(received: &str) -> Vec<(u16, String, usize)> {
    let mut runs: Vec<(u16, String, usize)> = Vec::new();
    for line in lines(received) {
        let code = line.body.split_once("\"code\":\"").map(|(_, rest)| rest);
        let code = code.map_or(line.dedup, |rest| {
            rest.split_once('"').unwrap().0.to_owned()
        });
        match runs.last_mut() {
            Some(last) if (last.0, &last.1) == (line.status, &code) => last.2 += 1,
            _ => runs.push((line.status, code, 1)),
        }
    }
    runs
}

fn run(status: u16, code: &str, count: usize) -> (u16, String, usize) {
    (status, code.to_string(), count)
}

fn acme(text: &str) -> String {
    text.replace("Host: a", "Host: a\r\nX-Tenant-Id: acme")
}

#[test]
fn each_record_is_charged_and_the_first_of_a_batch_come_first() {
    for flights in [2, 256] {
        let mut room = limited(|config| config.limits.flights_max = flights);
        room.buckets.left = [(4, 5)].into();
        let conn = room.connect(0);
        room.send(0, conn, acme(&batch(&records(1..=9))).as_bytes());
        let received = room.received(0, conn);
        let expect = [run(200, "miss", 5), run(429, "rate_limited", 4)];
        assert_eq!(runs(&received), expect, "{flights}");
        assert!(received.contains("Flk-Batch-Retryable: 4\r\n"));
        let last = lines(&received).pop().unwrap();
        assert_eq!(last.retry_after.as_deref(), Some("3"));
        assert_eq!(kinds(&room).len(), 10);
        room.send(0, conn, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        let counted = "flk_rate_limited_by_tenant{tenant=\"acme\"} 4\n";
        assert!(room.received(0, conn).contains(counted));
    }
}

#[test]
fn bytes_of_a_batch_are_charged_record_by_record_with_and_without_100_continue() {
    for expects in ["", "\r\nExpect: 100-continue"] {
        let mut room = limited(|_| {});
        let conn = room.connect(0);
        let text = acme(&batch(&[record(1), "{}".to_string()]));
        let text = text.replace("Host: a", &format!("Host: a{expects}"));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        room.send(0, conn, format!("{head}\r\n\r\n").as_bytes());
        room.send(0, conn, body.as_bytes());
        let all: Vec<u16> = statuses(&room.received(0, conn));
        assert_eq!(all.last(), Some(&200));
        assert_eq!(all.len(), 1 + usize::from(!expects.is_empty()));
        let bytes = (record(1).len() + 2) as u64;
        assert_eq!(room.buckets.taken[&5], bytes, "{expects}");
        assert_eq!(room.buckets.taken[&4], 2, "{expects}");
    }
}

#[test]
fn records_without_a_valid_signature_are_charged_one_by_one() {
    let mut room = limited(|_| {});
    let conn = room.connect(0);
    let forged: Vec<String> = (1..=3).map(|at| record_signed(at, "another key")).collect();
    room.send(0, conn, acme(&batch(&forged)).as_bytes());
    assert_eq!(
        runs(&room.received(0, conn)),
        [run(401, "signature_invalid", 3)]
    );
    let bytes: usize = forged.iter().map(String::len).sum();
    assert_eq!(room.buckets.taken[&UNAUTHENTICATED], bytes as u64);
}

#[test]
fn at_the_deadline_what_has_not_entered_the_log_is_503_and_what_has_is_awaited() {
    let mut room = Room::new(1, |config| config.limits.flights_max = 4);
    room.begin();
    room.hold_writes = true;
    let conn = room.connect(0);
    room.send(0, conn, batch(&records(1..=10)).as_bytes());
    room.pass(3_000_000);
    let held = room.held.pop_front().unwrap();
    room.complete(held, None);
    room.run();
    room.pass(3_000_000);
    // The second four entered the log at 3 s, and have their time from then on.
    assert_eq!(room.received(0, conn), "");
    release(&mut room);
    let expect = [run(200, "miss", 8), run(503, "deadline_exceeded", 2)];
    assert_eq!(runs(&room.received(0, conn)), expect);
    assert!(room.received(0, conn).contains("\"retry_after\":1,"));
    room.send(0, conn, batch(&records(1..=10)).as_bytes());
    let received = room.received(0, conn);
    let again = runs(&received).split_off(2);
    assert_eq!(again, [run(200, "hit", 8), run(200, "miss", 2)]);
}

#[test]
fn while_the_disk_stands_still_a_batch_is_answered_503_line_by_line() {
    for shards in [1, 2] {
        let mut room = Room::new(shards, |config| config.limits.flights_max = 4);
        room.begin();
        room.hold_writes = true;
        let conn = room.connect(0);
        room.send(0, conn, batch(&records(1..=10)).as_bytes());
        room.pass(11_000_000);
        let received = room.received(0, conn);
        assert_eq!(runs(&received), [run(503, "deadline_exceeded", 10)]);
        release(&mut room);
        room.send(0, conn, batch(&records(1..=10)).as_bytes());
        let received = room.received(0, conn);
        assert!(lines(&received)[10..].iter().all(|line| line.status == 200));
    }
}

#[test]
fn a_stop_ends_a_batch_that_waits_and_answers_it() {
    let mut room = Room::new(1, |config| {
        config.limits.flights_max = 4;
        config.limits.deadline_us = 60_000_000;
    });
    room.begin();
    room.hold_writes = true;
    let conn = room.connect(0);
    let text = batch(&records(1..=10)) + &post(&record(11));
    room.send(0, conn, text.as_bytes());
    room.tell(0, ToShard::Drain);
    room.pass(6_000_000);
    assert_eq!(room.received(0, conn), "");
    release(&mut room);
    let received = room.received(0, conn);
    assert_eq!(
        runs(&received),
        [run(200, "miss", 4), run(503, "draining", 6)]
    );
    assert_eq!(
        statuses(&received),
        [200],
        "what is behind it is not served"
    );
    assert!(received.contains("Connection: close\r\n"));
}

#[test]
fn a_connection_has_memory_for_its_answers_and_waits_with_further_batches() {
    let mut room = Room::new(1, |config| config.limits.batch_reply_bytes_max = 1);
    room.begin();
    room.hold_writes = true;
    let conn = room.connect(0);
    let three: String = (0..3)
        .map(|at| batch(&records(at * 10 + 1..=at * 10 + 5)))
        .collect();
    room.send(0, conn, (three + &post(&record(1))).as_bytes());
    assert_eq!(room.shards[0].ingress.flights.count(), 5, "the others wait");
    release(&mut room);
    let received = room.received(0, conn);
    assert_eq!(statuses(&received), [200; 4]);
    assert_eq!(lines(&received).len(), 15);
    assert!(received.contains("Flk-Dedup: hit"));
}

#[test]
fn answers_of_batches_wait_while_clients_take_nothing_and_leave_when_they_do() {
    let mut room = Room::new(1, |config| config.limits.unsent_bytes_total_max = 1_000);
    room.begin();
    room.hold_sends = true;
    let conns: Vec<ConnId> = (0..3).map(|_| room.connect(0)).collect();
    for (conn, at) in conns.iter().zip([1, 11, 21]) {
        room.send(0, *conn, batch(&records(at..=at + 4)).as_bytes());
    }
    let answered = |room: &Room| {
        let all = conns.iter().map(|conn| room.received(0, *conn));
        all.filter(|text| !text.is_empty()).count()
    };
    assert_eq!(answered(&room), 1, "more than a thousand bytes are unsent");
    room.hold_sends = false;
    let bytes = room.received(0, conns[0]).len() as u32;
    room.event(0, Event::Sent(conns[0], bytes));
    room.run();
    assert_eq!(answered(&room), 3);
}

#[test]
fn a_tenant_with_a_share_of_the_log_has_it_for_its_batches_too() {
    let mut document = snapshots::document(0, &["default"]);
    let mut tenant = snapshots::tenant("acme");
    tenant.wal_share = Some(10);
    document.tenants.insert(0, tenant);
    let first = snapshots::resolve(&mut Resolver::default(), &document);
    let mut room = Room::new(1, |config| {
        config.snapshot = first.clone();
        config.limits.flights_max = 2048;
    });
    room.begin();
    room.hold_writes = true;
    let (sharer, other) = (room.connect(0), room.connect(0));
    room.send(0, sharer, acme(&batch(&records(1..=600))).as_bytes());
    room.send(0, other, batch(&records(1001..=1100)).as_bytes());
    let mut flushes = 0;
    while lines(&room.received(0, other)).is_empty() {
        let held = room.held.pop_front().unwrap();
        room.complete(held, None);
        room.run();
        flushes += 1;
        assert!(flushes < 4, "the other tenant waits for the sharer");
    }
    release(&mut room);
    assert_eq!(runs(&room.received(0, sharer)), [run(200, "miss", 600)]);
}

#[test]
fn one_record_of_a_batch_is_traced_under_the_trace_of_its_caller() {
    let mut room = Room::new(1, |config| {
        config.traces = TraceLimits {
            sample: 1.0,
            per_s_max: 100,
        };
    });
    room.begin();
    let conn = room.connect(0);
    let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let text = batch(&records(1..=5)).replace("Host: a", &format!("Host: a\r\n{parent}"));
    room.send(0, conn, text.as_bytes());
    assert_eq!(lines(&room.received(0, conn)).len(), 5);
    let traces: Vec<u8> = room
        .buckets
        .traces
        .iter()
        .map(|it| it.trace_id[0])
        .collect();
    assert_eq!(traces, [0x0a]);
}

#[test]
fn metrics_count_records_as_submits_and_batches_by_their_answer() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    let all = [record(1), record(1), "{}".to_string()];
    room.send(0, conn, batch(&all).as_bytes());
    let refused = batch(&all).replace("x-ndjson", "json");
    room.send(0, conn, refused.as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [200, 415]);
    let page = &room.stats.shards[0];
    assert_eq!(page.ingest.get(), 3 + 1);
    assert_eq!(page.accepted.get() + page.escalated.get(), 1);
    assert_eq!(page.dedup_hits.get(), 1);
    let batches = &page.batches;
    let counts = [&batches.answered, &batches.refused, &batches.unavailable];
    assert_eq!(counts.map(|cell| cell.get()), [1, 1, 0]);
    let by_status = |status| {
        let at = crate::stats::STATUSES.iter().position(|it| *it == status);
        page.answers[at.unwrap()].get()
    };
    assert_eq!([200, 400, 415].map(by_status), [2, 1, 1]);
}
