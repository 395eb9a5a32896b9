//! A stop and the connections that are idle when it begins: a request that is on its way meets no closed door.

use super::*;

const ASK: &[u8] = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n";

fn draining(delay_us: u64) -> (Room, [ConnId; 2]) {
    let mut room = Room::new(1, |config| config.drain_delay_us = delay_us);
    room.begin();
    let conns = std::array::from_fn(|_| room.connect(0));
    room.pass(1_000_000);
    room.tell(0, ToShard::Drain);
    room.run();
    (room, conns)
}

#[test]
fn an_idle_connection_may_ask_for_two_seconds_and_is_answered_and_closed() {
    let (mut room, [asks, silent]) = draining(0);
    assert_eq!(room.listener_closed, 1, "new ones are not waited for");
    room.pass(1_950_000);
    assert_eq!(room.shut, []);
    room.send(0, asks, ASK);
    let received = room.received(0, asks);
    assert_eq!(statuses(&received), [200]);
    assert!(received.contains("Connection: close"), "{received}");
    assert_eq!(room.shut, [(0, asks)]);
    assert!(!room.to_keeper.contains(&(0, ToKeeper::Idle(true))));
    room.pass(100_000);
    assert_eq!(room.shut, [(0, asks), (0, silent)]);
    for conn in [asks, silent] {
        room.event(0, Event::Ended(conn));
    }
    room.pass(100_000);
    assert!(room.to_keeper.contains(&(0, ToKeeper::Idle(true))));
}

#[test]
fn a_delay_longer_than_that_is_all_that_an_idle_connection_gets() {
    let (mut room, conns) = draining(3_000_000);
    room.pass(2_950_000);
    assert_eq!(room.shut, []);
    room.pass(100_000);
    assert_eq!(room.shut, conns.map(|conn| (0, conn)));
}

#[test]
fn a_shorter_delay_leaves_the_rest_of_the_two_seconds() {
    let (mut room, conns) = draining(500_000);
    room.pass(1_950_000);
    assert_eq!((room.listener_closed, room.shut.len()), (1, 0));
    room.pass(100_000);
    assert_eq!(room.shut, conns.map(|conn| (0, conn)));
}

#[test]
fn a_second_signal_waits_for_no_idle_connection() {
    let (mut room, conns) = draining(0);
    room.pass(500_000);
    assert_eq!(room.shut, []);
    room.tell(0, ToShard::Drain);
    room.run();
    assert_eq!(room.shut, conns.map(|conn| (0, conn)));
}

/// A request that waits for room for longer than a stop is patient.
fn stopped_with_a_request_that_waits_for_room() -> (Room, ConnId) {
    let (mut room, _) = full_room(20_000_000);
    let conn = room.connect(0);
    room.send(0, conn, post(&record(2)).as_bytes());
    room.tell(0, ToShard::Drain);
    room.run();
    (room, conn)
}

#[test]
fn a_request_that_gets_room_during_a_stop_is_answered_as_ever() {
    let (mut room, conn) = stopped_with_a_request_that_waits_for_room();
    room.pass(4_900_000);
    assert_eq!(room.received(0, conn), "");
    release(&mut room);
    assert_eq!(
        answers(&room.received(0, conn)),
        [(200, "miss".to_string())],
        "it was not refused before patience was over"
    );
}

#[test]
fn a_request_without_room_is_refused_when_the_patience_of_a_stop_is_over() {
    let (mut room, conn) = stopped_with_a_request_that_waits_for_room();
    room.pass(5_050_000);
    let received = room.received(0, conn);
    assert_eq!(statuses(&received), [503]);
    assert!(received.contains("\"code\":\"draining\""), "{received}");
}

#[test]
fn half_a_request_is_cut_without_an_answer_when_the_patience_of_a_stop_is_over() {
    // A request that is slow but in time: its head is whole, and its body goes on.
    let mut room = Room::new(1, |config| config.limits.body_grace_us = 60_000_000);
    room.begin();
    let conn = room.connect(0);
    let request = post(&record(1));
    room.send(0, conn, &request.as_bytes()[..request.len() - 1]);
    room.tell(0, ToShard::Drain);
    room.run();
    room.pass(4_900_000);
    assert_eq!(room.closed, []);
    room.pass(150_000);
    assert_eq!(room.closed, [(0, conn)]);
    assert_eq!(room.received(0, conn), "");
}

#[test]
fn a_shard_without_a_log_yet_is_idle_as_soon_as_a_stop_begins() {
    let mut room = Room::new(1, |_| {});
    room.tell(0, ToShard::Drain);
    room.run();
    assert!(room.to_keeper.contains(&(0, ToKeeper::Idle(true))));
}

#[test]
fn the_last_mark_is_written_as_soon_as_it_is_asked_for() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    room.event(0, Event::Ended(conn));
    room.tell(0, ToShard::Drain);
    room.run();
    room.tell(0, ToShard::Finish);
    room.run();
    let finished = |(_, told): &(usize, ToKeeper)| matches!(told, ToKeeper::Finished { .. });
    assert!(room.to_keeper.iter().any(finished));
}

#[test]
fn a_connection_that_comes_as_the_two_seconds_end_has_a_moment_for_its_first_request() {
    let mut room = Room::serving(1);
    room.hold_listener = true;
    room.tell(0, ToShard::Drain);
    room.pass(1_950_000);
    let (asks, silent) = (room.connect(0), room.connect(0));
    room.pass(150_000);
    assert_eq!(room.shut, []);
    room.send(0, asks, ASK);
    assert_eq!(statuses(&room.received(0, asks)), [200]);
    assert_eq!(room.shut, [(0, asks)]);
    room.pass(100_000);
    assert_eq!(room.shut, [(0, asks), (0, silent)]);
}
