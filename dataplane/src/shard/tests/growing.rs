//! Memory of chunked bodies, whose length is not known before: it grows with what has come, and there is always enough left
//! for one of them to become whole.

use super::*;
use crate::event::Peer;
use crate::shard::grants::CHUNKED_STEPS_BYTES;

const KIB: usize = 1024;
/// Shorter than the time after which the slowest is looked for.
const DEADLINE_US: u64 = 900_000;
const HEAD: &str = "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A room with as many places as the tests want, and memory for bodies of this size.
fn room_with(body_bytes_total_max: usize) -> Room {
    let mut room = Room::new(1, |config| {
        config.limits.connections_max = 500;
        config.limits.body_bytes_total_max = body_bytes_total_max;
    });
    room.begin();
    room
}

/// The beginning of a request with one chunk, of which so much has come that it takes this much memory.
fn begun(chunk_bytes: usize, taken_bytes: usize) -> String {
    let line = format!("{HEAD}{chunk_bytes:x}\r\n");
    line + &"x".repeat(taken_bytes - HEAD.len())
}

/// What is behind the beginning of such a request.
fn rest(chunk_bytes: usize, taken_bytes: usize) -> String {
    "x".repeat(chunk_bytes - (taken_bytes - HEAD.len())) + "\r\n0\r\n\r\n"
}

fn granted(room: &mut Room, conn: ConnId) -> usize {
    room.shards[0]
        .ingress
        .connections
        .at(conn.slot)
        .memory
        .body
        .bytes
}

fn waits(room: &Room, conn: ConnId) -> bool {
    room.paused.contains(&(0, conn.slot))
}

#[test]
fn a_chunked_body_takes_more_memory_only_when_it_has_filled_what_it_had() {
    // Behind the content: a line end, a line of size zero with the longest extension, and the longest trailers.
    let longest = HEAD.len() + 1024 * KIB + (2 + 8 + KIB + 2 + 8 * KIB);
    let [small, large] = CHUNKED_STEPS_BYTES;
    for (come_bytes, expect) in [
        (16 * KIB - 1, 0),
        (16 * KIB, small),
        (small - 1, small),
        (small, large),
        (large - 1, large),
        (large, longest),
        (1000 * KIB, longest),
    ] {
        let mut room = room_with(16 * 1024 * KIB);
        let conn = room.connect(0);
        let all_at_once = room.connect(0);
        let text = begun(1024 * KIB, come_bytes);
        for part in text.as_bytes().chunks(10_000) {
            room.send(0, conn, part);
        }
        room.send(0, all_at_once, text.as_bytes());
        assert_eq!(granted(&mut room, conn), expect, "{come_bytes}");
        assert_eq!(granted(&mut room, all_at_once), expect, "{come_bytes}");
        assert!(!waits(&room, conn) && !waits(&room, all_at_once));
        for conn in [conn, all_at_once] {
            room.send(0, conn, rest(1024 * KIB, come_bytes).as_bytes());
            assert_eq!(statuses(&room.received(0, conn)), [400]);
        }
        assert_eq!(room.shards[0].ingress.bodies.held_bytes(), 0);
    }
}

#[test]
fn many_chunked_bodies_of_moderate_size_fit_and_the_largest_is_left_for_one() {
    let mut room = room_with(16 * 1024 * KIB);
    let (chunk_bytes, come_bytes) = (60 * KIB, 40 * KIB);
    // The largest there may be is a head, a body and trailers; all else may go in small pieces.
    let many = (16 * 1024 - (16 + 1024 + 8)) / 64;
    let conns: Vec<ConnId> = (0..many + 2).map(|_| room.connect(0)).collect();
    for conn in &conns {
        room.send(0, *conn, begun(chunk_bytes, come_bytes).as_bytes());
    }
    let all = conns.iter().filter(|conn| !waits(&room, **conn)).count();
    assert_eq!(
        all,
        many + 1,
        "that many, and one that may become the largest"
    );
    assert!(waits(&room, conns[many + 1]));
    room.send(0, conns[7], rest(chunk_bytes, come_bytes).as_bytes());
    assert!(!waits(&room, conns[many + 1]));
    for (at, conn) in conns.iter().enumerate() {
        if at != 7 {
            room.send(0, *conn, rest(chunk_bytes, come_bytes).as_bytes());
        }
        assert_eq!(statuses(&room.received(0, *conn)), [400], "{at}");
    }
    assert_eq!(room.shards[0].ingress.bodies.held_bytes(), 0);
}

#[test]
fn bodies_that_all_grow_beyond_what_there_is_become_whole_one_after_the_other() {
    let mut room = room_with(1_500 * KIB);
    let conns: Vec<ConnId> = (0..6).map(|_| room.connect(0)).collect();
    for conn in &conns {
        room.send(0, *conn, begun(900 * KIB, 20 * KIB).as_bytes());
    }
    assert!(
        conns.iter().all(|conn| !waits(&room, *conn)),
        "each has a little"
    );
    let text = rest(900 * KIB, 20 * KIB);
    let texts: Vec<_> = conns.iter().map(|conn| (*conn, text.as_bytes())).collect();
    trickle(&mut room, &texts, 20_000);
    for conn in conns {
        assert_eq!(statuses(&room.received(0, conn)), [400], "{conn:?}");
    }
}

#[test]
fn a_body_that_waits_to_grow_keeps_what_it_has_until_its_deadline_and_gives_it_back_then() {
    let mut room = Room::new(1, |config| {
        config.limits.body_bytes_total_max = 1_300 * KIB;
        config.limits.deadline_us = DEADLINE_US;
    });
    room.begin();
    let holder = room.connect(0);
    let growing = room.connect(0);
    room.send(0, growing, begun(900 * KIB, 20 * KIB).as_bytes());
    room.send(
        0,
        holder,
        post(&"x".repeat(1_000 * KIB)).as_bytes().split_at(1_000).0,
    );
    room.send(0, growing, "x".repeat(50 * KIB).as_bytes());
    assert!(waits(&room, growing) && !waits(&room, holder));
    assert_eq!(granted(&mut room, growing), CHUNKED_STEPS_BYTES[0]);
    room.pass(DEADLINE_US - 50_000);
    assert_eq!(room.received(0, growing), "");
    room.pass(50_000);
    let received = room.received(0, growing);
    assert_eq!(statuses(&received), [503]);
    assert!(
        received.contains("Connection: close"),
        "more than 64 KiB are left"
    );
    assert_eq!(granted(&mut room, growing), 0);
}

#[test]
fn an_address_whose_bodies_grow_does_not_keep_another_one_out() {
    let mut room = room_with(2_000 * KIB);
    let greedy: Vec<ConnId> = (0..40).map(|_| room.connect_from(0, Peer(1))).collect();
    for conn in &greedy {
        room.send(0, *conn, begun(60 * KIB, 40 * KIB).as_bytes());
    }
    let held = greedy.iter().filter(|conn| !waits(&room, **conn)).count();
    assert!((10..30).contains(&held), "{held}");
    let modest = room.connect_from(0, Peer(2));
    room.send(0, modest, begun(60 * KIB, 40 * KIB).as_bytes());
    assert!(waits(&room, modest));
    let rest = rest(60 * KIB, 40 * KIB);
    for conn in &greedy[..2] {
        room.send(0, *conn, rest.as_bytes());
    }
    assert!(!waits(&room, modest), "it came last and is next");
    room.send(0, modest, rest.as_bytes());
    assert_eq!(statuses(&room.received(0, modest)), [400]);
}

#[test]
fn the_longest_request_with_the_longest_framing_keeps_its_memory_while_it_waits_for_room() {
    let mut room = Room::new(1, |config| {
        config.limits.flights_max = 1;
        config.limits.body_bytes_total_max = 1_200 * KIB;
        config.limits.unread_bytes_total_max = 100 * KIB;
    });
    room.begin();
    let [first, longest, other] = std::array::from_fn(|_| room.connect(0));
    let begin = begun(1024 * KIB, HEAD.len() + 1024 * KIB - 1);
    for part in begin.as_bytes().chunks(60_000) {
        room.send(0, longest, part);
    }
    // All other memory is taken, and the disk is stuck with the one request that there is room for.
    let left_bytes = 1_200 * KIB - room.shards[0].ingress.bodies.held_bytes();
    let taken = post(&"x".repeat(left_bytes));
    let taken = post(&"x".repeat(left_bytes - (taken.len() - left_bytes)));
    room.send(0, other, &taken.as_bytes()[..1_000]);
    assert_eq!(
        room.shards[0].ingress.bodies.held_bytes(),
        1_200 * KIB - (left_bytes - taken.len())
    );
    room.hold_writes = true;
    room.send(0, first, post(&record(1)).as_bytes());
    let extension = format!(";{}", "e".repeat(KIB - 1));
    let trailer = format!("X: {}", "y".repeat(8 * KIB - "X: \r\n\r\n".len()));
    let end = format!("x\r\n00000000{extension}\r\n{trailer}\r\n\r\n");
    room.send(0, longest, end.as_bytes());
    assert_eq!(room.received(0, longest), "", "it waits for room");
    release(&mut room);
    assert_eq!(statuses(&room.received(0, longest)), [400]);
    room.send(0, other, &taken.as_bytes()[1_000..]);
    assert_eq!(statuses(&room.received(0, other)), [400]);
}

#[test]
fn an_address_with_many_small_slow_bodies_gives_way_to_one_that_waits() {
    let mut room = Room::new(1, |config| {
        config.limits.flights_max = 1;
        config.limits.body_bytes_total_max = 3 * 1024 * KIB;
    });
    room.begin();
    let (chunk_bytes, come_bytes) = (60 * KIB, 20 * KIB);
    let greedy: Vec<ConnId> = (0..31).map(|_| room.connect_from(0, Peer(1))).collect();
    for conn in &greedy {
        room.send(0, *conn, begun(chunk_bytes, come_bytes).as_bytes());
    }
    // What is left for the largest is taken by a request that soon is whole and waits for the disk.
    let large = room.connect_from(0, Peer(2));
    let text = post(&"x".repeat(1_000 * KIB));
    room.send(0, large, &text.as_bytes()[..1_000]);
    let modest = room.connect_from(0, Peer(3));
    room.send(0, modest, begun(chunk_bytes, come_bytes).as_bytes());
    assert!(waits(&room, modest));
    room.hold_writes = true;
    let first = room.connect_from(0, Peer(4));
    room.send(0, first, post(&record(1)).as_bytes());
    room.send(0, large, &text.as_bytes()[1_000..]);
    room.pass(3_000_000);
    assert!(!waits(&room, modest), "it has the memory of a slow one");
    let all: Vec<Vec<u16>> = greedy
        .iter()
        .map(|conn| statuses(&room.received(0, *conn)))
        .collect();
    assert_eq!(all.concat(), [408], "one was enough: {all:?}");
    room.send(0, modest, rest(chunk_bytes, come_bytes).as_bytes());
    release(&mut room);
    assert_eq!(statuses(&room.received(0, large)), [400]);
    assert_eq!(statuses(&room.received(0, modest)), [400]);
}
