//! Metrics of a shard: who may read them, and that each counts what its name says.

use super::*;
use crate::shard::config::MetricsAuth;

fn get(target: &str, more: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{more}\r\n").into_bytes()
}

#[test]
fn credentials_are_wanted_for_metrics_and_for_nothing_else() {
    let mut room = Room::new(1, |config| {
        let expected = b"dXNlcjpwYXNz".to_vec().into();
        config.metrics_auth = Some(MetricsAuth { expected });
    });
    room.begin();
    let conn = room.connect(0);
    let mut expect = Vec::new();
    for (target, given, status) in [
        ("/metrics", "", 401),
        ("/metrics", "Authorization: Basic dXNlcjpwYXNz\r\n", 200),
        ("/metrics", "Authorization: Basic dXNlcjpwYXN6\r\n", 401),
        ("/metrics", "Authorization: Bearer dXNlcjpwYXNz\r\n", 401),
        ("/version", "", 200),
        ("/readyz", "", 200),
        ("/livez", "", 200),
    ] {
        room.send(0, conn, &get(target, given));
        expect.push(status);
        assert_eq!(
            statuses(&room.received(0, conn)),
            expect,
            "{target} {given}"
        );
        let answers = &room.stats.shards[0].answers;
        let counted: u64 = answers.iter().map(|count| count.get()).sum();
        assert_eq!(counted, expect.len() as u64, "each by a known status");
    }
}

#[test]
fn each_counter_of_a_shard_counts_what_its_name_says() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    let wrong = record_signed(2, "another key");
    for body in [&record(1), &record(1), &record(3), &wrong, "{}"] {
        room.send(0, conn, post(body).as_bytes());
    }
    assert_eq!(statuses(&room.received(0, conn)), [200, 200, 200, 401, 400]);
    let written = |room: &Room| -> u64 { room.written.iter().map(|(_, it)| it.len() as u64).sum() };
    let page = &room.stats.shards[0];
    assert_eq!(page.ingest.get(), 5);
    assert_eq!(page.accepted.get() + page.escalated.get(), 2, "firsts");
    assert_eq!(page.dedup_hits.get(), 1);
    assert_eq!(page.dedup_conflicts.get(), 0);
    assert_eq!(page.signature_errors.get(), 1);
    assert_eq!(page.wal_records.get(), kinds(&room).len() as u64);
    assert_eq!(page.wal_bytes.get(), written(&room));
    assert_eq!(page.wal_syncs.get(), 5, "one for each, as they came alone");
    assert_eq!(page.wal_errors.get(), 0);
    assert_eq!(page.flights.get(), 0);
    assert_eq!(page.connections.get(), 1);
    assert_eq!(page.dedup_keys.get(), 2);
    assert!(page.dedup_bytes.get() > 0);
    assert_eq!(page.dedup_bytes_max.get(), 64 << 20);
    assert_eq!(page.claim_faults.get(), 0);
    // What stands still is seen as well.
    room.hold_writes = true;
    room.send(0, conn, post(&record(4)).as_bytes());
    assert_eq!(room.stats.shards[0].flights.get(), 1);
    let held = room.held.pop_front().unwrap();
    room.complete(held, Some(Errno::EIO));
    room.run();
    assert_eq!(room.stats.shards[0].wal_errors.get(), 1);
}

#[test]
fn metrics_come_in_the_format_that_the_client_prefers() {
    let mut room = Room::serving(1);
    for (accept, open_metrics) in [
        ("", false),
        ("Accept: */*\r\n", false),
        ("Accept: text/plain\r\n", false),
        ("Accept: application/openmetrics-text;q=0\r\n", false),
        (
            "Accept: application/openmetrics-text;q=0.1,text/plain\r\n",
            false,
        ),
        (
            "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2\r\n",
            true,
        ),
        ("accept: application/openmetrics-text\r\n", true),
    ] {
        let conn = room.connect(0);
        room.send(0, conn, &get("/metrics", accept));
        let answer = room.received(0, conn);
        let is = answer.contains("Content-Type: application/openmetrics-text; version=1.0.0");
        assert_eq!(is, open_metrics, "{accept}");
        assert_eq!(answer.ends_with("# EOF\n"), open_metrics, "{accept}");
        assert_eq!(statuses(&answer), [200]);
    }
}

#[test]
fn each_batch_is_measured_once_and_each_claim_until_its_answer() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    for body in [&record(1), &record(1), "{}"] {
        room.send(0, conn, post(body).as_bytes());
    }
    assert_eq!(statuses(&room.received(0, conn)), [200, 200, 400]);
    let page = &room.stats.shards[0];
    let count = |view: crate::stats::cell::Buckets<'_>| view.counts().sum::<u64>();
    assert_eq!(count(page.owner_hop_s.view()), 2);
    assert_eq!(count(page.decision_wait_s.view()), 1);
    assert_eq!(count(page.wal_wait_s.view()), 3);
    assert_eq!(count(page.flush_s.view()), page.wal_syncs.get());
    assert_eq!(
        page.batch_records.view().sum_parts(),
        page.wal_records.get()
    );
    assert_eq!(page.batch_bytes.view().sum_parts(), page.wal_bytes.get());
}
