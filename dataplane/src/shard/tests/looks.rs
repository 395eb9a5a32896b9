//! Look-ups: where an outcome lies when it is found, what a look-up waits for, what it never does to records, and what frees
//! its place.

use super::slices::{decisions, sealed, slice};
use super::*;
use crate::shard::config::ShardConfig;
use crate::snapshot::{Resolver, Snapshot};
use std::sync::Arc;

const LOOKS_MAX: u32 = 3;

fn on(config: &mut ShardConfig) {
    config.limits.looks_max = LOOKS_MAX;
}

fn serving(shards: u16) -> Room {
    let mut room = Room::new(shards, on);
    room.begin();
    room
}

fn pcs_id(epoch: u64) -> String {
    let record = record(epoch);
    let (_, behind) = record.split_once("\"pcs_id\"").unwrap();
    behind.split('"').nth(1).unwrap().to_owned()
}

fn request(method: &str, id: &str, fields: &str) -> String {
    format!("{method} /v1/pcs/{id} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn look(epoch: u64) -> String {
    request("GET", &pcs_id(epoch), "")
}

/// Sends it on a connection of its own; what comes back.
fn ask(room: &mut Room, shard: usize, text: &str) -> String {
    let conn = room.connect(shard);
    room.send(shard, conn, text.as_bytes());
    room.received(shard, conn)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn waiting(room: &Room, shard: usize) -> u64 {
    room.stats.shards[shard].look_ups.waiting.get()
}

#[test]
fn without_the_setting_the_path_is_like_any_other_that_does_not_exist() {
    let mut room = Room::serving(1);
    let elsewhere = ask(&mut room, 0, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    for text in [
        look(1),
        request("GET", "x", ""),
        request("OPTIONS", &pcs_id(1), ""),
        request("POST", &pcs_id(1), "Content-Length: 0\r\n"),
        request("GET", &pcs_id(1), "X-Tenant-Id: nobody\r\n"),
    ] {
        assert_eq!(ask(&mut room, 0, &text), elsewhere, "{text}");
    }
}

#[test]
fn a_look_up_finds_the_bytes_and_the_status_of_a_duplicate_and_says_nothing_of_duplicates() {
    let mut room = serving(1);
    ask(&mut room, 0, &post(&record(1)));
    let duplicate = ask(&mut room, 0, &post(&record(1)));
    let found = ask(&mut room, 0, &look(1));
    assert_eq!(body(&found), body(&duplicate));
    assert_eq!(answers(&found), [(200, String::new())]);
    assert!(found.contains("Cache-Control: no-store"), "{found}");
    let head = ask(&mut room, 0, &request("HEAD", &pcs_id(1), ""));
    assert_eq!(head.as_str(), found.strip_suffix(body(&found)).unwrap());
    assert_eq!(kinds(&room), ["body", "decision", "body", "duplicate"]);
    let absent = ask(&mut room, 0, &look(2));
    assert_eq!(statuses(&absent), [404]);
    assert!(absent.contains("\"outcome_not_found\""), "{absent}");
    let fresh = ask(&mut room, 0, &post(&record(2)));
    assert_eq!(
        answers(&fresh),
        [(200, "miss".to_owned())],
        "it left nothing"
    );
    let counted = &room.stats.shards[0].look_ups;
    assert_eq!((counted.found.get(), counted.not_found.get()), (2, 1));
}

#[test]
fn what_is_no_look_up_is_refused_with_a_reason() {
    let mut room = serving(1);
    let id = pcs_id(1);
    let upper = id.to_uppercase();
    let long = format!("{id}0");
    for (text, status, code) in [
        (request("GET", "abc", ""), 400, "invalid_pcs_id"),
        (request("HEAD", &upper, ""), 400, ""),
        (request("GET", &upper, ""), 400, "invalid_pcs_id"),
        (request("GET", &long, ""), 400, "invalid_pcs_id"),
        (request("GET", &format!("{id}/"), ""), 404, "not_found"),
        (request("GET", "", ""), 404, "not_found"),
        (
            request("GET", &id, "X-Tenant-Id: nobody\r\n"),
            401,
            "unknown_tenant",
        ),
        (
            request("GET", &id, "X-Tenant-Id: a b\r\n"),
            401,
            "unknown_tenant",
        ),
        (request("DELETE", &id, ""), 405, "read_method_not_allowed"),
        (
            request("POST", &id, "Content-Length: 0\r\n"),
            405,
            "read_method_not_allowed",
        ),
    ] {
        let answer = ask(&mut room, 0, &text);
        assert_eq!(statuses(&answer), [status], "{text}");
        assert!(answer.contains(code), "{text}: {answer}");
        let allows = answer.contains("Allow: GET, HEAD, OPTIONS\r\n");
        assert_eq!(allows, status == 405, "{answer}");
    }
    let options = ask(&mut room, 0, &request("OPTIONS", &id, ""));
    assert_eq!(statuses(&options), [200]);
    assert!(options.contains("Allow: GET, HEAD, OPTIONS\r\n"));
    let query = ask(&mut room, 0, &request("GET", &format!("{id}?x=/y"), ""));
    assert!(query.contains("outcome_not_found"), "{query}");
}

#[test]
fn a_look_up_waits_for_the_record_before_it_and_answers_keep_their_order() {
    for shards in [1, 2] {
        let mut room = serving(shards);
        room.hold_writes = true;
        let conn = room.connect(0);
        let texts = [look(2), post(&record(1)), look(1), look(2)].concat();
        room.send(0, conn, texts.as_bytes());
        let elsewhere = room.connect(usize::from(shards) - 1);
        room.send(usize::from(shards) - 1, elsewhere, look(1).as_bytes());
        assert_eq!(statuses(&room.received(0, conn)), [404], "not durable yet");
        let early = room.received(usize::from(shards) - 1, elsewhere);
        assert_eq!(early, "", "nothing is said of what is not durable");
        release(&mut room);
        let received = room.received(0, conn);
        assert_eq!(statuses(&received), [404, 200, 200, 404]);
        let found = room.received(usize::from(shards) - 1, elsewhere);
        assert!(received.contains(body(&found)), "{found}");
        assert_eq!(waiting(&room, 0), 0);
    }
}

#[test]
fn a_look_up_that_waits_too_long_is_503_and_its_place_is_free() {
    let mut room = serving(2);
    room.hold_writes = true;
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    let asking = [0, 1].map(|shard| (shard, room.connect(shard)));
    for (shard, conn) in asking {
        room.send(shard, conn, look(1).as_bytes());
        assert_eq!(waiting(&room, shard), 1);
    }
    room.pass(5_100_000);
    for (shard, conn) in asking {
        let answer = room.received(shard, conn);
        assert_eq!(statuses(&answer), [503]);
        assert!(answer.contains("deadline_exceeded"), "{answer}");
        assert_eq!(waiting(&room, shard), 0);
    }
    release(&mut room);
    for (shard, conn) in asking {
        assert_eq!(
            statuses(&room.received(shard, conn)),
            [503],
            "and nothing more"
        );
    }
}

#[test]
fn a_connection_that_closes_gives_its_places_back() {
    let mut room = serving(2);
    room.hold_writes = true;
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    for shard in [0, 1] {
        let gone = room.connect(shard);
        room.send(shard, gone, [look(1), look(1)].concat().as_bytes());
        assert_eq!(waiting(&room, shard), 2);
        room.event(shard, Event::Broken(gone));
        room.run();
        room.pass(200_000);
        assert_eq!(waiting(&room, shard), 0);
    }
    release(&mut room);
    assert_eq!(statuses(&room.received(0, conn)), [200]);
}

#[test]
fn more_look_ups_than_there_are_places_are_503_and_records_are_taken_all_the_same() {
    let mut room = serving(1);
    room.hold_writes = true;
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    let many: Vec<ConnId> = (0..=LOOKS_MAX).map(|_| room.connect(0)).collect();
    for conn in &many {
        room.send(0, *conn, look(1).as_bytes());
    }
    let last = room.received(0, many[LOOKS_MAX as usize]);
    assert_eq!(statuses(&last), [503]);
    assert!(last.contains("look_ups_busy") && last.contains("Retry-After: 1"));
    let another = room.connect(0);
    room.send(0, another, post(&record(2)).as_bytes());
    release(&mut room);
    assert_eq!(statuses(&room.received(0, another)), [200]);
    for conn in &many[..LOOKS_MAX as usize] {
        assert_eq!(statuses(&room.received(0, *conn)), [200]);
    }
}

#[test]
fn a_look_up_finds_what_lies_in_a_slice_and_says_503_where_that_cannot_be_read() {
    let (bytes, set) = sealed();
    let mut room = Room::new(1, on);
    (room.slice, room.slices) = (bytes, set);
    room.begin();
    let duplicate = ask(&mut room, 0, &post(&record(2)));
    let found = ask(&mut room, 0, &look(2));
    assert_eq!(body(&found), body(&duplicate));
    assert_eq!(statuses(&ask(&mut room, 0, &look(9))), [404]);
    room.fail_read = Some(Errno::EIO);
    let failed = ask(&mut room, 0, &look(2));
    assert!(failed.contains("store_unavailable"), "{failed}");
    room.slice.iter_mut().for_each(|byte| *byte ^= 1);
    let damaged = ask(&mut room, 0, &look(2));
    assert_eq!(statuses(&damaged), [503]);
    assert_eq!(room.stats.shards[0].look_ups.unavailable.get(), 2);
}

#[test]
fn an_outcome_whose_time_is_over_is_not_found_wherever_it_lies() {
    let mut before = Room::serving(1);
    ask(&mut before, 0, &post(&record(1)));
    let mut decisions = decisions(&before);
    decisions[0].expiry = 60;
    let (bytes, set) = slice(&decisions);
    let mut room = Room::new(1, |config| {
        on(config);
        config.ttl_s = 2;
    });
    (room.slice, room.slices) = (bytes, set);
    room.begin();
    ask(&mut room, 0, &post(&record(2)));
    for epoch in [1, 2] {
        assert_eq!(statuses(&ask(&mut room, 0, &look(epoch))), [200]);
    }
    room.pass(10_000_000);
    for epoch in [1, 2] {
        assert_eq!(statuses(&ask(&mut room, 0, &look(epoch))), [404]);
    }
}

#[test]
fn a_claim_joins_the_read_of_a_look_up_and_a_look_up_given_up_frees_its_place_with_the_read() {
    let (bytes, set) = sealed();
    let mut room = Room::new(1, on);
    (room.slice, room.slices) = (bytes, set);
    room.begin();
    room.hold_reads = true;
    let gone = room.connect(0);
    room.send(0, gone, look(2).as_bytes());
    room.event(0, Event::Broken(gone));
    room.pass(200_000);
    assert_eq!(waiting(&room, 0), 1, "its read is on the way");
    let conn = room.connect(0);
    room.send(0, conn, post(&record(2)).as_bytes());
    room.release_reads();
    room.run();
    room.pass(200_000);
    let duplicate = room.received(0, conn);
    assert_eq!(answers(&duplicate), [(200, "hit".to_owned())]);
    assert_eq!(waiting(&room, 0), 0);
    assert_eq!(room.stats.shards[0].slice_reads.get(), 1);
}

#[test]
fn a_look_up_is_charged_like_a_request_and_over_the_rate_it_is_429() {
    let mut room = Room::new(1, |config| {
        on(config);
        config.snapshot = snapshots::rated();
    });
    room.begin();
    room.buckets.left.insert(0, 2);
    let conn = room.connect(0);
    let texts = [post(&record(1)), look(1), look(1)].concat();
    room.send(0, conn, texts.as_bytes());
    let received = room.received(0, conn);
    assert_eq!(statuses(&received), [200, 200, 429]);
    assert!(received.contains("rate_limited") && received.contains("Retry-After"));
    assert_eq!(room.stats.shards[0].look_ups.limited.get(), 1);
    assert_eq!(
        room.stats.shards[0].ingest.get(),
        1,
        "records alone are ingested"
    );
}

#[test]
fn an_outcome_is_found_under_its_tenant_alone() {
    let document = snapshots::document(0, &["beta", "default"]);
    let snapshot: Arc<Snapshot> = snapshots::resolve(&mut Resolver::default(), &document);
    let mut room = Room::new(1, |config| {
        on(config);
        config.snapshot = snapshot.clone();
    });
    room.begin();
    let of_beta = "X-Tenant-Id: beta\r\n";
    let submit = post(&record(1)).replace("Host: a\r\n", &format!("Host: a\r\n{of_beta}"));
    assert_eq!(statuses(&ask(&mut room, 0, &submit)), [200]);
    assert_eq!(statuses(&ask(&mut room, 0, &look(1))), [404]);
    let found = ask(&mut room, 0, &request("GET", &pcs_id(1), of_beta));
    assert_eq!(statuses(&found), [200]);
}

#[test]
fn before_all_outcomes_are_loaded_none_is_said_to_be_missing() {
    let mut room = Room::new(1, on);
    assert!(ask(&mut room, 0, &look(1)).contains("\"starting\""));
    room.begin_at(0);
    room.run();
    assert!(ask(&mut room, 0, &look(1)).contains("\"starting\""));
    room.tell(0, ToShard::Serve { admit: false });
    room.run();
    assert!(ask(&mut room, 0, &look(1)).contains("dedup_memory_full"));
    room.tell(0, ToShard::Serve { admit: true });
    room.run();
    assert_eq!(statuses(&ask(&mut room, 0, &look(1))), [404]);
}

#[test]
fn a_full_disk_stops_records_and_not_look_ups() {
    let mut room = serving(1);
    ask(&mut room, 0, &post(&record(1)));
    let shortage = Some(crate::mesh::keeper::Shortage::Disk);
    room.tell(0, ToShard::SpaceLow(shortage));
    room.run();
    assert_eq!(statuses(&ask(&mut room, 0, &post(&record(2)))), [503]);
    assert_eq!(statuses(&ask(&mut room, 0, &look(1))), [200]);
}

#[test]
fn a_stop_waits_for_a_look_up_that_waits() {
    let mut room = serving(1);
    room.hold_writes = true;
    let conn = room.connect(0);
    room.send(0, conn, [post(&record(1)), look(1)].concat().as_bytes());
    room.tell(0, ToShard::Drain);
    room.run();
    assert!(!room.to_keeper.contains(&(0, ToKeeper::Idle(true))));
    release(&mut room);
    let received = room.received(0, conn);
    assert_eq!(statuses(&received), [200, 200]);
}
