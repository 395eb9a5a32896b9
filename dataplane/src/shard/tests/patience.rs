//! Time on both sides of a connection: deadlines of requests, clocks of slow clients, and what stops those clocks.

use super::*;

#[test]
fn a_deadline_answers_503_and_the_record_is_still_found_later() {
    let mut room = Room::serving(1);
    room.hold_writes = true;
    let (first, second) = (room.connect(0), room.connect(0));
    room.send(0, first, post(&record(1)).as_bytes());
    room.pass(6_000_000);
    assert_eq!(statuses(&room.received(0, first)), [503]);
    room.hold_writes = false;
    let held = room.held.pop_front().unwrap();
    room.complete(held, None);
    room.run();
    room.send(0, second, post(&record(1)).as_bytes());
    assert_eq!(
        answers(&room.received(0, second)),
        [(200, "hit".to_string())]
    );
    assert_eq!(
        statuses(&room.received(0, first)),
        [503],
        "nothing more is sent for the first"
    );
}

#[test]
fn slow_heads_and_slow_bodies_get_408_and_idle_connections_are_closed() {
    let mut room = Room::serving(1);
    let [head, body, idle] = [room.connect(0), room.connect(0), room.connect(0)];
    room.send(0, head, b"POST /v1/pcs/submit HTTP/1.1\r\n");
    room.send(
        0,
        body,
        b"POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{",
    );
    room.pass(5_200_000);
    assert_eq!(statuses(&room.received(0, head)), [408]);
    assert_eq!(statuses(&room.received(0, body)), [408]);
    assert_eq!(room.received(0, idle), "");
    room.pass(75_000_000);
    let closed: Vec<u32> = room.closed.iter().map(|(_, conn)| conn.slot).collect();
    for conn in [head, body, idle] {
        assert!(
            closed.contains(&conn.slot),
            "{conn:?} is not closed: {closed:?}"
        );
    }
    assert_eq!(
        kinds(&room),
        Vec::<String>::new(),
        "nothing of it was stored"
    );
}

#[test]
fn the_clock_of_a_request_begins_with_its_own_first_byte() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    let first = post(&record(1));
    let (begin, end) = first.as_bytes().split_at(first.len() - 10);
    room.send(0, conn, begin);
    room.pass(2_000_000);
    // The first byte of the next one comes in the same packet as the end of this one.
    room.send(0, conn, &[end, b"P"].concat());
    room.pass(4_900_000);
    assert_eq!(statuses(&room.received(0, conn)), [200]);
    room.pass(200_000);
    assert_eq!(statuses(&room.received(0, conn)), [200, 408]);
}

#[test]
fn a_refusal_and_a_duplicate_that_wait_for_a_stuck_disk_get_503_at_their_deadline_too() {
    let mut room = Room::serving(1);
    let (refused, repeated) = (room.connect(0), room.connect(0));
    room.send(0, repeated, post(&record(1)).as_bytes());
    room.pass(1_000_000);
    room.hold_writes = true;
    room.send(0, refused, post("nonsense").as_bytes());
    room.send(0, repeated, post(&record(1)).as_bytes());
    room.pass(5_500_000);
    assert_eq!(statuses(&room.received(0, refused)), [503]);
    assert_eq!(statuses(&room.received(0, repeated)), [200, 503]);
}

/// Far away: nothing of a full room is refused meanwhile.
const FAR_US: u64 = 30_000_000;

#[test]
fn a_whole_request_that_waits_for_room_is_never_called_slow() {
    for sent_before_full in [0, 20, 120, 400] {
        let (mut room, waiting) = {
            let (mut room, _) = full_room(FAR_US);
            let waiting = room.connect(0);
            let request = post(&record(2));
            let (early, late) = request.as_bytes().split_at(sent_before_full);
            room.send(0, waiting, early);
            let other = room.connect(0);
            room.send(0, other, post(&record(3)).as_bytes());
            room.send(0, waiting, late);
            (room, waiting)
        };
        room.pass(20_000_000);
        assert_eq!(room.received(0, waiting), "", "{sent_before_full}");
        release(&mut room);
        assert_eq!(
            statuses(&room.received(0, waiting)),
            [200],
            "{sent_before_full}"
        );
    }
}

#[test]
fn a_body_that_waits_for_continue_behind_a_stuck_answer_has_its_whole_time_afterwards() {
    let mut room = Room::new(1, |config| config.limits.deadline_us = 30_000_000);
    room.begin();
    room.hold_writes = true;
    let conn = room.connect(0);
    let body = record(2);
    let head = format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    room.send(0, conn, (post(&record(1)) + &head).as_bytes());
    room.pass(10_000_000);
    assert_eq!(room.received(0, conn), "");
    release(&mut room);
    assert_eq!(statuses(&room.received(0, conn)), [200, 100]);
    room.pass(2_500_000);
    room.send(0, conn, body.as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [200, 100, 200]);
}

#[test]
fn a_body_that_stays_away_is_refused_although_an_answer_was_stuck() {
    let mut room = Room::new(1, |config| config.limits.deadline_us = 30_000_000);
    room.begin();
    room.hold_writes = true;
    let conn = room.connect(0);
    let both = post(&record(1)) + &post(&record(2));
    room.send(0, conn, &both.as_bytes()[..both.len() - 100]);
    room.pass(10_000_000);
    assert_eq!(room.received(0, conn), "");
    release(&mut room);
    room.pass(4_500_000);
    assert_eq!(statuses(&room.received(0, conn)), [200, 408]);
}
