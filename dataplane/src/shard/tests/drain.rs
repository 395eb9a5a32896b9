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
    let heard = room.heard(0, asks);
    assert_eq!(statuses(&heard), [200]);
    assert!(heard.contains("Connection: close"), "{heard}");
    assert_eq!(room.shut, [(0, asks)]);
    assert!(!room.to_keeper.contains(&(0, ToKeeper::Idle(true))));
    room.pass(100_000);
    assert_eq!(room.shut, [(0, asks), (0, silent)]);
    for conn in [asks, silent] {
        room.event(0, Event::Ended(conn));
    }
    room.run();
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
