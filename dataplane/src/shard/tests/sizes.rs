//! Bodies of every size in one turn: an empty one is a body like any other, and a large one waits for a batch of its own.

use super::*;
use crate::dedup::key::KeyHash;
use crate::wal::batch::BATCH_BODIES_BYTES;

fn post_bytes(bytes: usize) -> String {
    post(&"x".repeat(bytes))
}

#[test]
fn an_empty_body_is_a_malformed_one_and_is_logged() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    room.send(0, conn, post("").as_bytes());
    let received = room.received(0, conn);
    assert_eq!(statuses(&received), [400]);
    assert!(
        received.contains("\"code\":\"malformed_json\""),
        "{received}"
    );
    assert_eq!(kinds(&room), ["body", "refused 400"]);
}

/// What a connection may hold without a grant of its own ends at a whole request of 16 KiB.
#[test]
fn whole_requests_about_the_bound_of_small_ones_are_read_to_their_end() {
    const BOUND_BYTES: usize = 16 * 1024;
    let head_bytes = post_bytes(BOUND_BYTES).len() - BOUND_BYTES;
    for whole_bytes in BOUND_BYTES - 1..=BOUND_BYTES + 1 {
        let mut room = Room::serving(1);
        let conn = room.connect(0);
        let request = post_bytes(whole_bytes - head_bytes);
        assert_eq!(request.len(), whole_bytes);
        for part in request.as_bytes().chunks(5000) {
            assert!(!room.paused.contains(&(0, conn.slot)), "{whole_bytes}");
            room.send(0, conn, part);
        }
        assert_eq!(statuses(&room.received(0, conn)), [400], "{whole_bytes}");
    }
}

#[test]
fn an_empty_body_and_a_large_one_meet_in_one_turn() {
    for order in [[0, BATCH_BODIES_BYTES + 1], [BATCH_BODIES_BYTES + 1, 0]] {
        let mut room = Room::serving(1);
        let conns = [room.connect(0), room.connect(0)];
        for (conn, bytes) in conns.iter().zip(order) {
            room.arrive(0, *conn, post_bytes(bytes).as_bytes());
        }
        room.run();
        for conn in conns {
            assert_eq!(statuses(&room.received(0, conn)), [400], "{order:?}");
        }
        assert_eq!(room.written.len(), 2, "the large one has its own batch");
    }
}

#[test]
fn any_two_sizes_about_a_boundary_meet_in_one_turn_and_in_one_open_batch() {
    let limit = BATCH_BODIES_BYTES;
    let sizes = [0, 1, limit - 1, limit, limit + 1, 1 << 20];
    for first in sizes {
        for second in sizes {
            for held in [false, true] {
                let mut room = Room::serving(1);
                room.hold_writes = held;
                let conn = room.connect(0);
                room.send(0, conn, post(&record(1)).as_bytes());
                let conns = [room.connect(0), room.connect(0)];
                room.arrive(0, conns[0], post_bytes(first).as_bytes());
                room.arrive(0, conns[1], post_bytes(second).as_bytes());
                room.run();
                release(&mut room);
                for conn in conns {
                    assert_eq!(statuses(&room.received(0, conn)), [400], "{first} {second}");
                }
            }
        }
    }
}

/// Records whose keys the second of two shards owns.
fn records_of_the_other_shard() -> impl Iterator<Item = String> {
    let hash = KeyHash::new([3; 16]);
    (1..).map(record).filter(move |text| {
        let id = text.split("\"pcs_id\":\"").nth(1).unwrap();
        hash.key("default", &id[..64]).partition() >= 512
    })
}

/// The worst that requests in flight can put into one batch: bodies, and for each body of this batch and of earlier ones
/// that it is unanswered and then, because the claim was granted after all, its decision.
#[test]
fn a_batch_has_room_for_unanswered_and_late_decisions_of_all_requests_in_flight() {
    let mut room = Room::new(2, |config| config.limits.flights_max = 2048);
    room.begin();
    room.hold_writes = true;
    room.hold_messages = vec![false, true];
    let conns: Vec<ConnId> = (0..64).map(|_| room.connect(0)).collect();
    let mut records = records_of_the_other_shard();
    // The disk takes one batch per round; at the end one is on its way and the open one has what it takes.
    for _ in 0..8 {
        if room.held.len() == 1 && room.posted_count(0, 1) < 1400 {
            let held = room.held.pop_front().unwrap();
            room.complete(held, None);
        }
        for conn in &conns {
            for record in records.by_ref().take(5) {
                room.arrive(0, *conn, post(&record).as_bytes());
            }
        }
        room.run();
    }
    assert!(
        room.posted_count(0, 1) > 1536,
        "{}",
        room.posted_count(0, 1)
    );
    room.pass(6_000_000);
    room.release_messages(1);
    release(&mut room);
    for conn in conns {
        assert_eq!(
            statuses(&room.received(0, conn)),
            [503; 40],
            "all were late"
        );
    }
    let count = |wanted: &str| kinds(&room).iter().filter(|kind| *kind == wanted).count();
    assert!(count("unanswered") > 1536, "{}", count("unanswered"));
    assert_eq!(count("unanswered"), count("decision"));
    assert_eq!(count("unanswered"), count("body"));
}

/// A driver reports what arrived in the order in which it arrived: parts of several connections lie between each other.
#[test]
fn parts_of_two_requests_that_arrive_in_turn_are_put_together_each_with_its_own() {
    for part_bytes in [1, 100, 300, 10_000] {
        let mut room = Room::serving(1);
        let conns = [room.connect(0), room.connect(0)];
        room.run();
        let texts = [post(&record(1)), post(&record_signed(2, "another key"))];
        let parts = texts.each_ref().map(|it| it.as_bytes().chunks(part_bytes));
        let [first, second] = parts;
        for (one, other) in first.zip(second) {
            room.arrive(0, conns[0], one);
            room.arrive(0, conns[1], other);
        }
        room.run();
        assert_eq!(texts[0].len(), texts[1].len());
        assert_eq!(statuses(&room.received(0, conns[0])), [200], "{part_bytes}");
        assert_eq!(statuses(&room.received(0, conns[1])), [401], "{part_bytes}");
    }
}
