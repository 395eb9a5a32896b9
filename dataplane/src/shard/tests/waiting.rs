//! Whole requests that wait for room in the log, and requests that wait for memory: each is answered in time, whatever
//! the disk does, and nothing of a refused one is stored.

use super::room::Held;
use super::*;
use crate::event::{Next, Peer};

/// The default of `ShardLimits::deadline_us`.
const DEADLINE_US: u64 = 5_000_000;

/// Lets the write that stands longest end, and the disk be stuck again.
pub(super) fn release_one(room: &mut Room) {
    let held: Held = room.held.pop_front().unwrap();
    room.complete(held, None);
    room.run();
}

/// The next turn is wanted no later than this.
fn wanted_by(room: &Room, at_us: u64) -> bool {
    match room.next[0] {
        Next::Now => true,
        Next::At(wanted_us) => wanted_us <= at_us,
    }
}

#[test]
fn a_whole_request_without_room_is_503_at_its_deadline_and_nothing_of_it_is_logged() {
    let (mut room, _) = full_room(DEADLINE_US);
    let conn = room.connect(0);
    room.pass(1_000_000);
    room.send(0, conn, post(&record(2)).as_bytes());
    room.pass(DEADLINE_US - 50_000);
    assert_eq!(room.received(0, conn), "");
    assert!(wanted_by(&room, room.now.mono_us + 50_000));
    room.pass(50_000);
    let received = room.received(0, conn);
    assert_eq!(statuses(&received), [503]);
    assert!(
        received.contains("\"code\":\"wal_unavailable\""),
        "{received}"
    );
    assert!(received.contains("Retry-After: "), "{received}");
    assert!(received.contains("application/problem+json"), "{received}");
    release(&mut room);
    assert_eq!(
        kinds(&room),
        ["body", "decision"],
        "only the first is there"
    );
}

#[test]
fn the_next_turn_is_wanted_at_the_deadline_and_not_at_the_next_sweep() {
    let (mut room, _) = full_room(DEADLINE_US);
    let conn = room.connect(0);
    room.pass(1_000_000);
    room.now.mono_us += 33_333;
    room.send(0, conn, post(&record(2)).as_bytes());
    let due_us = room.now.mono_us + DEADLINE_US;
    room.pass(DEADLINE_US - 10);
    assert_eq!(room.next[0], Next::At(due_us));
    assert_eq!(room.received(0, conn), "");
    room.pass(10);
    assert_eq!(statuses(&room.received(0, conn)), [503]);
}

#[test]
fn the_connection_of_a_request_refused_for_want_of_room_goes_on() {
    let (mut room, _) = full_room(DEADLINE_US);
    let conn = room.connect(0);
    room.send(0, conn, post(&record(2)).as_bytes());
    room.pass(DEADLINE_US);
    assert_eq!(statuses(&room.received(0, conn)), [503]);
    release(&mut room);
    room.send(0, conn, post(&record(2)).as_bytes());
    assert_eq!(
        answers(&room.received(0, conn)),
        [(503, String::new()), (200, "miss".to_string())],
        "nothing of it was kept the first time"
    );
}

#[test]
fn a_large_body_refused_for_want_of_room_is_skipped_and_the_connection_goes_on() {
    let (mut room, _) = full_room(DEADLINE_US);
    let conn = room.connect(0);
    let body = format!("\"{}\"", "x".repeat(300_000));
    for part in post(&body).as_bytes().chunks(16_000) {
        room.send(0, conn, part);
    }
    room.pass(DEADLINE_US);
    assert_eq!(statuses(&room.received(0, conn)), [503]);
    release(&mut room);
    room.send(0, conn, post(&record(2)).as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [503, 200]);
}

#[test]
fn pipelined_requests_without_room_are_each_answered_at_their_own_deadline_and_in_order() {
    let (mut room, _) = full_room(DEADLINE_US);
    let conn = room.connect(0);
    for epoch in 2..6 {
        room.send(0, conn, post(&record(epoch)).as_bytes());
        room.pass(1_000_000);
    }
    // The fifth is only half there: it is nobody's turn to answer it.
    let half = post(&record(6));
    room.send(0, conn, &half.as_bytes()[..300]);
    for answered in 1..=4 {
        room.pass(1_000_000);
        assert_eq!(statuses(&room.received(0, conn)), vec![503; answered]);
    }
    release(&mut room);
    room.send(0, conn, &half.as_bytes()[300..]);
    assert_eq!(statuses(&room.received(0, conn)), [503, 503, 503, 503, 200]);
    assert_eq!(kinds(&room).len(), 4, "the first and the last");
}

#[test]
fn a_request_behind_too_many_unanswered_ones_is_due_when_it_came_all_the_same() {
    let mut room = Room::new(1, |config| config.limits.pipeline_max = 3);
    room.begin();
    room.hold_writes = true;
    let conn = room.connect(0);
    let requests: String = (1..=5).map(|epoch| post(&record(epoch))).collect();
    room.send(0, conn, requests.as_bytes());
    room.pass(4_000_000);
    room.send(0, conn, post(&record(6)).as_bytes());
    room.pass(1_000_000);
    assert_eq!(statuses(&room.received(0, conn)), vec![503; 5]);
    room.pass(4_000_000);
    assert_eq!(statuses(&room.received(0, conn)), vec![503; 6]);
    release(&mut room);
    let bodies = kinds(&room).iter().filter(|kind| *kind == "body").count();
    assert_eq!(
        bodies, 4,
        "the first three, and the last when they had left"
    );
}

#[test]
fn the_deadline_of_a_request_that_got_room_late_counts_from_when_it_was_complete() {
    let (mut room, _) = full_room(DEADLINE_US);
    let conn = room.connect(0);
    room.send(0, conn, post(&record(2)).as_bytes());
    room.pass(4_000_000);
    release_one(&mut room);
    assert_eq!(room.held.len(), 1, "it is being written");
    room.pass(950_000);
    assert_eq!(room.received(0, conn), "");
    room.pass(50_000);
    assert_eq!(statuses(&room.received(0, conn)), [503]);
    release(&mut room);
    assert_eq!(kinds(&room), ["body", "decision", "body", "decision"]);
}

#[test]
fn requests_that_waited_for_room_are_taken_in_the_order_in_which_they_were_complete() {
    let (mut room, _) = full_room(DEADLINE_US);
    let (slow, quick) = (room.connect(0), room.connect(0));
    let request = post(&record(2));
    room.send(0, slow, &request.as_bytes()[..200]);
    room.pass(100_000);
    room.send(0, quick, post(&record(3)).as_bytes());
    room.pass(100_000);
    room.send(0, slow, &request.as_bytes()[200..]);
    // The first of all is gone from the table; this one comes when there is room, and others wait.
    release_one(&mut room);
    let late = room.connect(0);
    room.send(0, late, post(&record(4)).as_bytes());
    release_one(&mut room);
    assert_eq!(statuses(&room.received(0, quick)), [200]);
    assert_eq!(room.received(0, slow), "");
    release_one(&mut room);
    assert_eq!(statuses(&room.received(0, slow)), [200]);
    assert_eq!(room.received(0, late), "");
    release_one(&mut room);
    assert_eq!(statuses(&room.received(0, late)), [200]);
}

#[test]
fn a_body_too_large_for_what_is_left_of_the_batch_is_not_overtaken_for_ever() {
    let mut room = Room::serving(1);
    room.hold_writes = true;
    let [first, filling, large, small] = std::array::from_fn(|_| room.connect(0));
    room.send(0, first, post(&record(1)).as_bytes());
    let body = |bytes| post(&format!("\"{}\"", "x".repeat(bytes)));
    let mut send_in_parts = |conn, text: String| {
        for part in text.as_bytes().chunks(16_000) {
            room.send(0, conn, part);
        }
    };
    send_in_parts(filling, body(200_000));
    send_in_parts(large, body(200_000));
    send_in_parts(small, body(2));
    // The batch of the filling one has room for the small one, but the large one came before.
    release_one(&mut room);
    release_one(&mut room);
    assert_eq!(statuses(&room.received(0, filling)), [400]);
    assert_eq!(room.received(0, small), "");
    release_one(&mut room);
    assert_eq!(statuses(&room.received(0, large)), [400]);
    assert_eq!(
        statuses(&room.received(0, small)),
        [400],
        "both fit one batch"
    );
}

#[test]
fn probes_and_refusals_are_answered_while_others_wait_for_room() {
    let (mut room, _) = full_room(DEADLINE_US);
    let (waiting, probe, lost) = (room.connect(0), room.connect(0), room.connect(0));
    room.send(0, waiting, post(&record(2)).as_bytes());
    room.send(0, probe, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
    room.send(0, lost, b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(statuses(&room.received(0, probe)), [200]);
    assert_eq!(statuses(&room.received(0, lost)), [404]);
    assert_eq!(room.received(0, waiting), "");
}

#[test]
fn a_client_that_ended_behind_its_whole_request_gets_the_503_and_then_the_end() {
    let (mut room, _) = full_room(DEADLINE_US);
    let conn = room.connect(0);
    room.arrive(0, conn, post(&record(2)).as_bytes());
    room.event(0, Event::Ended(conn));
    room.run();
    assert!(room.closed.is_empty());
    room.pass(DEADLINE_US);
    assert_eq!(statuses(&room.received(0, conn)), [503]);
    assert!(room.closed.contains(&(0, conn)));
}

#[test]
fn a_client_that_breaks_off_while_it_waits_for_room_leaves_nothing_behind() {
    let (mut room, _) = full_room(DEADLINE_US);
    let (gone, next) = (room.connect(0), room.connect(0));
    room.send(0, gone, post(&record(2)).as_bytes());
    room.send(0, next, post(&record(3)).as_bytes());
    room.event(0, Event::Broken(gone));
    room.run();
    release(&mut room);
    assert_eq!(statuses(&room.received(0, next)), [200]);
    assert_eq!(kinds(&room).len(), 4, "of the first and of the last");
}

#[test]
fn waiting_for_room_costs_no_turns() {
    let (mut room, _) = full_room(DEADLINE_US);
    for epoch in 2..20 {
        let conn = room.connect(0);
        room.send(0, conn, post(&record(epoch)).as_bytes());
    }
    let before = room.stats.shards[0].turns.get();
    room.run();
    assert_eq!(room.stats.shards[0].turns.get(), before);
}

#[test]
fn a_request_that_waits_for_memory_is_503_at_its_deadline_and_the_next_gets_its_turn() {
    let mut room = Room::new(1, |config| config.limits.body_bytes_total_max = 1_200_000);
    room.begin();
    let body = |bytes| post(&format!("\"{}\"", "x".repeat(bytes)));
    let (held, large, small) = (body(140_000), body(900_000), body(200_000));
    // Each holds less than its share, so that nobody calls it slow.
    let holders: [ConnId; 6] = std::array::from_fn(|_| room.connect(0));
    for holder in holders {
        room.send(0, holder, &held.as_bytes()[..1_000]);
    }
    let (waiting, behind) = (room.connect(0), room.connect(0));
    room.send(0, waiting, &large.as_bytes()[..1_000]);
    room.pass(1_000_000);
    // There would be memory for this one, but nobody overtakes who waits.
    room.send(0, behind, &small.as_bytes()[..1_000]);
    assert!(room.paused.contains(&(0, behind.slot)));
    let mut sent = 1_000;
    while room.received(0, waiting).is_empty() {
        assert!(room.now.mono_us <= 1_000_000 + DEADLINE_US, "too late");
        for holder in holders {
            room.send(0, holder, &held.as_bytes()[sent..sent + 500]);
        }
        sent += 500;
        room.pass(50_000);
    }
    let received = room.received(0, waiting);
    assert_eq!(statuses(&received), [503]);
    assert!(
        received.contains("\"code\":\"deadline_exceeded\""),
        "{received}"
    );
    assert!(
        room.shut.contains(&(0, waiting)),
        "its body is too long to skip"
    );
    assert!(!room.paused.contains(&(0, behind.slot)), "its turn came");
    room.send(0, behind, &small.as_bytes()[1_000..]);
    assert_eq!(statuses(&room.received(0, behind)), [400]);
}

#[test]
fn half_a_head_that_waits_for_memory_is_503_at_its_deadline_and_the_end_of_its_connection() {
    let one_head = 16 * 1024;
    let mut room = Room::new(1, |config| {
        config.limits.head_bytes_total_max = one_head;
        config.limits.head_timeout_us = 20_000_000;
    });
    room.begin();
    let [first, second, waiting] = std::array::from_fn(|_| room.connect(0));
    let text = post(&format!("\"{}\"", "x".repeat(15_000)));
    let sent = 200;
    for conn in [first, second] {
        room.send(0, conn, &text.as_bytes()[..sent]);
    }
    room.send(0, waiting, b"GET /livez HTTP/1.1\r\n");
    // Two in turn hold the memory, quickly enough that nobody calls them slow.
    let start_us = room.now.mono_us;
    for conn in [first, second] {
        for part in text.as_bytes()[sent..].chunks(200) {
            if room.now.mono_us < start_us + DEADLINE_US {
                assert_eq!(room.received(0, waiting), "");
                room.send(0, conn, part);
                room.pass(50_000);
            }
        }
    }
    assert_eq!(statuses(&room.received(0, first)), [400]);
    assert_eq!(statuses(&room.received(0, waiting)), [503]);
    assert!(room.shut.contains(&(0, waiting)));
    assert_eq!(room.received(0, second), "", "it is still sending");
}

#[test]
fn a_stop_out_of_patience_refuses_who_waits_for_room_instead_of_cutting_it() {
    let mut room = Room::new(1, |config| {
        config.limits.flights_max = 1;
        config.limits.drain_patience_us = 1_000_000;
    });
    room.begin();
    room.hold_writes = true;
    let (first, conn) = (room.connect(0), room.connect(0));
    room.send(0, first, post(&record(1)).as_bytes());
    room.send(0, conn, post(&record(2)).as_bytes());
    room.tell(0, ToShard::Drain);
    room.pass(1_100_000);
    let received = room.received(0, conn);
    assert_eq!(statuses(&received), [503]);
    assert!(received.contains("\"code\":\"draining\""), "{received}");
    assert!(received.contains("Connection: close"), "{received}");
}

/// A body that waits for memory while the process stands still for longer than its deadline, and whose rest is there when it
/// goes on: it had arrived before reading was paused.
fn stands_still_while_a_body_waits_for_memory(room: &mut Room) -> (ConnId, ConnId) {
    let text = post(&format!("\"{}\"", "x".repeat(900_000)));
    let (holder, waiting) = (room.connect(0), room.connect(0));
    room.send(0, holder, &text.as_bytes()[..1_000]);
    room.send(0, waiting, &text.as_bytes()[..1_000]);
    assert!(room.paused.contains(&(0, waiting.slot)), "it waits");
    room.now.mono_us += DEADLINE_US + 1;
    room.arrive(0, waiting, &text.as_bytes()[1_000..]);
    (holder, waiting)
}

#[test]
fn a_request_that_is_whole_in_the_turn_in_which_its_wait_for_memory_ends_gets_one_answer() {
    let mut room = Room::new(1, |config| config.limits.body_bytes_total_max = 1_200_000);
    room.begin();
    let (_, waiting) = stands_still_while_a_body_waits_for_memory(&mut room);
    room.run();
    room.pass(100_000);
    let received = statuses(&room.received(0, waiting));
    assert_eq!(received.len(), 1, "one request: {received:?}");
}

#[test]
fn a_page_whose_head_waited_for_memory_gets_one_answer() {
    let mut room = Room::new(1, |config| config.limits.head_bytes_total_max = 16 * 1024);
    room.begin();
    let (holder, waiting) = (room.connect(0), room.connect(0));
    room.send(0, holder, b"GET /livez HTTP/1.1\r\n");
    room.send(0, waiting, b"GET /livez HTTP/1.1\r\n");
    assert!(room.paused.contains(&(0, waiting.slot)), "it waits");
    room.now.mono_us += DEADLINE_US + 1;
    room.arrive(0, waiting, b"Host: a\r\n\r\n");
    room.run();
    room.pass(100_000);
    let received = statuses(&room.received(0, waiting));
    assert_eq!(received.len(), 1, "one request: {received:?}");
}

#[test]
fn a_request_that_waits_for_room_from_the_turn_in_which_its_wait_for_memory_ends_gets_one_answer() {
    let mut room = Room::new(1, |config| {
        config.limits.body_bytes_total_max = 1_200_000;
        config.limits.flights_max = 1;
    });
    room.begin();
    room.hold_writes = true;
    let first = room.connect(0);
    room.send(0, first, post(&record(1)).as_bytes());
    let (_, waiting) = stands_still_while_a_body_waits_for_memory(&mut room);
    room.run();
    room.pass(100_000);
    release(&mut room);
    room.pass(DEADLINE_US);
    let received = statuses(&room.received(0, waiting));
    assert_eq!(received.len(), 1, "one request: {received:?}");
    // The room that it waited for is free.
    let next = room.connect(0);
    room.send(0, next, post(&record(3)).as_bytes());
    assert_eq!(statuses(&room.received(0, next)), [200]);
}

#[test]
fn a_whole_request_is_not_refused_as_well_because_its_memory_was_short_before() {
    let mut room = Room::new(1, |config| {
        config.limits.body_bytes_total_max = 1_100_000;
        config.limits.unread_bytes_total_max = 400_000;
    });
    room.begin();
    let text = post(&format!("\"{}\"", "x".repeat(1_000_000)));
    let greedy: [ConnId; 4] = std::array::from_fn(|_| room.connect_from(0, Peer(1)));
    for conn in greedy {
        room.send(0, conn, &text.as_bytes()[..120_000]);
    }
    let [newest, modest] = [greedy[3], room.connect_from(0, Peer(2))];
    room.run();
    assert!(room.paused.contains(&(0, newest.slot)), "it waits");
    // What another address sends is too much for all, in the turn in which the rest of the newest comes: that had arrived
    // before reading was paused.
    room.arrive(0, modest, &text.as_bytes()[..120_000]);
    room.arrive(0, newest, &text.as_bytes()[120_000..]);
    room.run();
    room.pass(100_000);
    let received = statuses(&room.received(0, newest));
    assert_eq!(received.len(), 1, "one request: {received:?}");
}
