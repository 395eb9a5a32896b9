//! More connections than there are places: who is closed, who stays, and that a probe always gets through.

use super::*;
use crate::event::Next;

const PROBE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
const HALF_A_HEAD: &[u8] = b"POST /v1/pcs/submit HTTP/1.1\r\nHo";
const HALF_A_BODY: &[u8] =
    b"POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{";

/// A room for so many connections, and two that have just come.
fn room_for(connections: u32) -> Room {
    let mut room = Room::new(1, |config| {
        config.limits.connections_max = connections;
        config.limits.connections_spare = 2;
    });
    room.begin();
    room
}

fn connect(room: &mut Room) -> ConnId {
    let conn = room.connect(0);
    room.run();
    conn
}

/// Connections that were closed, in order.
fn closed(room: &Room) -> Vec<ConnId> {
    room.closed.iter().map(|(_, conn)| *conn).collect()
}

fn evicted(room: &Room) -> u64 {
    room.stats.shards[0].connections_evicted.get()
}

#[test]
fn the_longest_idle_is_closed_for_one_that_comes_and_a_busy_one_never() {
    let mut room = room_for(4);
    let conns: Vec<ConnId> = (0..4).map(|_| connect(&mut room)).collect();
    // The first asks again, so that the second has been idle longest; the third waits for the disk.
    room.pass(1_000_000);
    room.send(0, conns[0], PROBE);
    room.hold_writes = true;
    room.send(0, conns[2], post(&record(1)).as_bytes());
    room.pass(1_000_000);
    assert_eq!(closed(&room), [], "there is a place for each");
    let probe = connect(&mut room);
    assert_eq!(closed(&room), [conns[1]]);
    room.send(0, probe, PROBE);
    assert_eq!(statuses(&room.received(0, probe)), [200]);
    connect(&mut room);
    assert_eq!(closed(&room), [conns[1], conns[3]]);
    connect(&mut room);
    assert_eq!(closed(&room), [conns[1], conns[3], conns[0]]);
    release(&mut room);
    assert_eq!(statuses(&room.received(0, conns[2])), [200]);
    assert_eq!(evicted(&room), 3);
}

#[test]
fn half_heads_go_after_idle_ones_and_half_bodies_last() {
    let mut room = room_for(3);
    let [body, head, idle] = std::array::from_fn(|_| connect(&mut room));
    room.send(0, body, HALF_A_BODY);
    room.send(0, head, HALF_A_HEAD);
    room.pass(500_000);
    let new: [ConnId; 3] = std::array::from_fn(|_| connect(&mut room));
    assert_eq!(closed(&room), [idle, head]);
    room.pass(100_000);
    assert_eq!(closed(&room), [idle, head], "new ones get their time");
    room.pass(100_000);
    assert_eq!(closed(&room), [idle, head, new[0]]);
    assert_eq!(kinds(&room), Vec::<String>::new());
}

#[test]
fn a_head_that_trickles_in_keeps_the_age_of_its_first_byte() {
    let mut room = room_for(2);
    let [slow, later] = std::array::from_fn(|_| connect(&mut room));
    for (at, byte) in HALF_A_HEAD.iter().take(20).enumerate() {
        room.send(0, slow, &[*byte]);
        if at == 5 {
            room.send(0, later, HALF_A_HEAD);
        }
        room.pass(50_000);
    }
    let new = connect(&mut room);
    assert_eq!(closed(&room), [slow]);
    room.send(0, new, PROBE);
    assert_eq!(statuses(&room.received(0, new)), [200]);
}

#[test]
fn a_probe_is_answered_although_every_other_connection_waits_for_the_disk() {
    let mut room = room_for(3);
    room.hold_writes = true;
    for epoch in 0..3 {
        let conn = connect(&mut room);
        room.send(0, conn, post(&record(epoch)).as_bytes());
    }
    for _ in 0..20 {
        let probe = connect(&mut room);
        room.send(0, probe, PROBE);
        assert_eq!(statuses(&room.received(0, probe)), [200]);
        assert!(room.accepting[0]);
        // It gets time for its next request, and no more than that.
        room.pass(150_000);
        assert!(!closed(&room).contains(&probe));
        room.pass(100_000);
        assert!(closed(&room).contains(&probe));
    }
    assert_eq!(evicted(&room), 20);
}

#[test]
fn with_every_place_taken_no_more_are_accepted_until_one_is_free() {
    let mut room = room_for(2);
    room.hold_writes = true;
    let conns: Vec<ConnId> = (0..4).map(|_| connect(&mut room)).collect();
    for (epoch, conn) in (0..).zip(&conns) {
        room.send(0, *conn, post(&record(epoch)).as_bytes());
    }
    assert!(!room.accepting[0]);
    room.pass(1_000_000);
    assert_eq!(closed(&room), []);
    release(&mut room);
    assert!(
        conns
            .iter()
            .all(|conn| statuses(&room.received(0, *conn)) == [200])
    );
    room.pass(500_000);
    assert_eq!(closed(&room), conns[..2], "the first two are idle longest");
    assert!(room.accepting[0]);
}

#[test]
fn a_client_that_takes_no_answers_goes_before_one_that_still_sends_a_body() {
    let mut room = room_for(2);
    let [deaf, sender] = std::array::from_fn(|_| connect(&mut room));
    room.hold_sends = true;
    room.send(0, deaf, PROBE);
    room.hold_sends = false;
    room.send(0, sender, HALF_A_BODY);
    room.pass(900_000);
    let new = connect(&mut room);
    room.send(0, new, PROBE);
    assert_eq!(closed(&room), []);
    room.pass(150_000);
    assert_eq!(closed(&room).len(), 1);
    assert_ne!(closed(&room), [sender]);
}

#[test]
fn a_flood_of_idle_connections_ends_in_one_word_a_second_and_no_spinning() {
    let mut room = room_for(8);
    for _ in 0..500 {
        while room.accepting[0] && room.stats.shards[0].connections.get() < 10 {
            connect(&mut room);
        }
        room.pass(5_000);
        let probe = connect(&mut room);
        room.send(0, probe, PROBE);
        assert_eq!(statuses(&room.received(0, probe)), [200]);
    }
    let told: Vec<u32> = room
        .to_keeper
        .iter()
        .filter_map(|(_, message)| match message {
            ToKeeper::Crowded { closed_count } => Some(*closed_count),
            _ => None,
        })
        .collect();
    assert!((2..=4).contains(&told.len()), "{told:?}");
    assert!(evicted(&room) > 500);
    assert!(matches!(room.next[0], Next::At(at_us) if at_us > room.now.mono_us));
}

#[test]
fn nothing_is_closed_while_there_are_places() {
    let mut room = room_for(4);
    for _ in 0..4 {
        connect(&mut room);
    }
    room.pass(10_000_000);
    assert_eq!((closed(&room), evicted(&room)), (vec![], 0));
    let page = &room.stats.shards[0];
    assert_eq!((page.connections.get(), page.connections_max.get()), (4, 4));
}
