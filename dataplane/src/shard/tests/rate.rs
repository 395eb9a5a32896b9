//! What is charged to the rate: each request that is asked for or taken once, and nothing for what a connection left
//! behind in its slot.

use super::*;

/// A room with so many requests left in its rate.
fn rated(rate: u64) -> Room {
    let mut room = Room::new(1, |config| config.snapshot = snapshots::rated());
    room.begin();
    room.buckets.left.insert(0, rate);
    room
}

/// A submit that asks first, cut behind its head.
fn asking(body: &str) -> (String, String) {
    let whole = post(body).replace("Host: a", "Host: a\r\nExpect: 100-continue");
    let at = whole.find("\r\n\r\n").unwrap() + 4;
    (whole[..at].to_string(), whole[at..].to_string())
}

#[test]
fn a_request_is_charged_once_whether_it_asks_first_or_not() {
    let mut room = rated(10);
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    assert_eq!(room.buckets.rate(), 9);
    let (head, body) = asking(&record(2));
    room.send(0, conn, head.as_bytes());
    assert_eq!(room.buckets.rate(), 8, "it is charged when it is asked for");
    for part in body.as_bytes().chunks(100) {
        room.send(0, conn, part);
    }
    assert_eq!(room.buckets.rate(), 8, "and not again");
    let (head, body) = asking(&record(3));
    room.send(0, conn, (head + &body).as_bytes());
    assert_eq!(room.buckets.rate(), 7, "what came whole was not asked for");
    room.send(0, conn, post(&record(4)).as_bytes());
    assert_eq!(room.buckets.rate(), 6, "what the one before paid is spent");
    assert_eq!(statuses(&room.received(0, conn)), [200, 100, 200, 200, 200]);
}

/// How a connection comes to its end.
type End<'a> = &'a dyn Fn(&mut Room, ConnId);

#[test]
fn what_was_paid_ends_with_its_request_and_its_connection() {
    let half = |body: &str| body[..50].to_string();
    let ends: [End; 4] = [
        &|room, conn| room.event(0, Event::Broken(conn)),
        &|room, conn| room.event(0, Event::Ended(conn)),
        // Too slow a body is 408.
        &|room, _| room.pass(6_000_000),
        // It leaves in the middle of its body.
        &|room, conn| {
            room.send(0, conn, half(&record(1)).as_bytes());
            room.event(0, Event::Broken(conn));
        },
    ];
    for (at, end) in ends.iter().enumerate() {
        let mut room = rated(1);
        let conn = room.connect(0);
        room.send(0, conn, asking(&record(1)).0.as_bytes());
        assert_eq!(room.buckets.rate(), 0);
        end(&mut room, conn);
        room.run();
        room.event(0, Event::Ended(conn));
        room.pass(3_000_000);
        assert!(
            room.closed.iter().any(|(_, closed)| *closed == conn),
            "{at}"
        );
        let next = room.connect_again(0, conn);
        room.send(0, next, post(&record(2)).as_bytes());
        let received = statuses(&room.received(0, next));
        assert_eq!(received.last(), Some(&429), "{at}: {received:?}");
        assert_eq!(kinds(&room), Vec::<String>::new(), "{at}");
    }
}

#[test]
fn a_paid_request_that_waits_for_room_is_taken_without_paying_again() {
    let mut room = Room::new(1, |config| {
        config.snapshot = snapshots::rated();
        config.limits.flights_max = 1;
    });
    room.begin();
    room.buckets.left.insert(0, 2);
    room.hold_writes = true;
    let (first, second) = (room.connect(0), room.connect(0));
    room.send(0, first, post(&record(1)).as_bytes());
    let (head, body) = asking(&record(2));
    room.send(0, second, head.as_bytes());
    assert_eq!(room.buckets.rate(), 0);
    room.send(0, second, body.as_bytes());
    release(&mut room);
    assert_eq!(statuses(&room.received(0, second)), [100, 200]);
}

#[test]
fn what_a_refused_request_paid_is_not_left_to_the_next_one() {
    let mut room = Room::new(1, |config| {
        config.snapshot = snapshots::rated();
        config.limits.flights_max = 1;
        config.limits.deadline_us = 1_000_000;
    });
    room.begin();
    room.buckets.left.insert(0, 2);
    room.hold_writes = true;
    let (first, second) = (room.connect(0), room.connect(0));
    room.send(0, first, post(&record(1)).as_bytes());
    let (head, body) = asking(&record(2));
    room.send(0, second, head.as_bytes());
    room.send(0, second, body.as_bytes());
    room.pass(1_000_000);
    assert_eq!(statuses(&room.received(0, second)), [100, 503], "no room");
    release(&mut room);
    room.send(0, second, post(&record(3)).as_bytes());
    assert_eq!(statuses(&room.received(0, second)), [100, 503, 429]);
}

#[test]
fn a_refusal_before_the_log_charges_nothing() {
    let mut room = rated(1);
    for text in [
        post("x").replace("/v1/pcs/submit", "/nowhere"),
        post("x").replace("Host: a", "Host: a\r\nX-Tenant-Id: other"),
        post("x").replace("Host: a", "Host: a\r\nContent-Type: text/plain"),
        asking("x").0.replace("/v1/pcs/submit", "/nowhere"),
        "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".to_string(),
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_string(),
        "POST / HTTP/1.1\nHost: a\r\n\r\n".to_string(),
    ] {
        let conn = room.connect(0);
        room.send(0, conn, text.as_bytes());
        assert_eq!(room.buckets.rate(), 1, "{text:?}");
    }
}
