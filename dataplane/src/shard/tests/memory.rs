//! Memory between turns: what all connections together keep stays within a sum that is known before, whatever clients
//! send, and the slow give way to those who wait.

use super::chunked::post_chunked;
use super::*;
use crate::event::Peer;
use proptest::prelude::*;

const DEADLINE_US: u64 = 5_000_000;

fn bodies_of(total_bytes: usize) -> Room {
    let mut room = Room::new(1, |config| config.limits.body_bytes_total_max = total_bytes);
    room.begin();
    room
}

fn large(bytes: usize) -> String {
    post(&format!("\"{}\"", "x".repeat(bytes)))
}

/// Bytes in the receive buffers of all connections and in those kept for the next ones.
fn kept_bytes(room: &mut Room) -> usize {
    room.shards[0].ingress.connections.kept_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_kept_never_exceeds_the_sum_of_the_limits(
        steps in proptest::collection::vec((0usize..40, 0u8..6, 1usize..200_000, 0u64..300_000), 1..160),
    ) {
        let mut room = Room::new(1, |config| {
            config.limits.connections_max = 40;
            config.limits.head_bytes_total_max = 4 * 16 * 1024;
            config.limits.body_bytes_total_max = 1_200_000;
            config.limits.unread_bytes_total_max = 300_000;
            config.limits.flights_max = 8;
        });
        room.begin();
        let bound = room.shards[0].ingress.config.limits.kept_bytes_max();
        let peer = |at: usize| Peer(at as u64 / 10);
        let mut conns: Vec<ConnId> = (0..40).map(|at| room.connect_from(0, peer(at))).collect();
        room.run();
        for (at, what, bytes, passes_us) in steps {
            if room.closed.contains(&(0, conns[at])) {
                conns[at] = room.connect_from(0, peer(at));
            }
            let text = match what {
                0 => large(bytes)[..bytes.min(1_000)].to_owned(),
                1 => large(bytes),
                2 => "x".repeat(bytes),
                3 => post(&record(1)).repeat(bytes / 1_000),
                4 => post_chunked(&"x".repeat(bytes), 9_000),
                _ => "GET /livez HTTP/1.1\r\nHo".to_owned(),
            };
            room.hold_writes = what == 3;
            if !room.paused.contains(&(0, conns[at].slot)) {
                room.arrive(0, conns[at], text.as_bytes());
            }
            room.run();
            let kept = kept_bytes(&mut room);
            prop_assert!(kept <= bound, "{kept} of {bound}");
            room.pass(passes_us);
        }
        release(&mut room);
        for conn in conns {
            room.event(0, Event::Broken(conn));
        }
        room.run();
        prop_assert_eq!(room.shards[0].ingress.unread.held_bytes(), 0);
        prop_assert_eq!(room.shards[0].ingress.unsent_bytes, 0);
        prop_assert_eq!(room.shards[0].ingress.heads.held_bytes(), 0);
        prop_assert_eq!(room.shards[0].ingress.bodies.held_bytes(), 0);
    }
}

#[test]
fn slow_bodies_that_hold_all_memory_give_way_to_one_that_waits_the_slowest_first() {
    let mut room = bodies_of(1_500_000);
    let text = large(450_000);
    let slow: [ConnId; 3] = std::array::from_fn(|_| room.connect(0));
    for conn in slow {
        room.send(0, conn, &text.as_bytes()[..2_000]);
    }
    let quick = room.connect(0);
    room.send(0, quick, &text.as_bytes()[..2_000]);
    assert!(room.paused.contains(&(0, quick.slot)));
    let mut sent = 2_000;
    for _ in 0..30 {
        // A KiB a second and more, which nobody would call slow if there were enough for all.
        for (conn, bytes) in slow.iter().zip([300, 100, 200]) {
            room.send(0, *conn, &text.as_bytes()[sent..sent + bytes]);
        }
        sent += 300;
        room.pass(50_000);
    }
    assert_eq!(statuses(&room.received(0, slow[1])), [408]);
    for conn in [slow[0], slow[2]] {
        assert_eq!(room.received(0, conn), "", "one was enough");
    }
    assert!(!room.paused.contains(&(0, quick.slot)));
    room.send(0, quick, &text.as_bytes()[2_000..]);
    assert_eq!(statuses(&room.received(0, quick)), [400]);
}

#[test]
fn while_nobody_waits_a_slow_body_has_all_its_time() {
    let mut room = bodies_of(1_500_000);
    let text = large(450_000);
    let slow = room.connect(0);
    let mut sent = 0;
    for _ in 0..200 {
        room.send(0, slow, &text.as_bytes()[sent..sent + 200]);
        sent += 200;
        room.pass(50_000);
    }
    assert_eq!(room.received(0, slow), "");
}

#[test]
fn an_address_with_many_bodies_does_not_keep_another_one_out() {
    let mut room = bodies_of(1_000_000);
    let text = large(200_000);
    let [greedy, modest] = [Peer(1), Peer(2)];
    let many: Vec<ConnId> = (0..20).map(|_| room.connect_from(0, greedy)).collect();
    for conn in &many {
        room.send(0, *conn, &text.as_bytes()[..1_000]);
    }
    let one = room.connect_from(0, modest);
    room.send(0, one, &text.as_bytes()[..1_000]);
    // The first that ends makes room for the other address, although sixteen came before.
    room.send(0, many[0], &text.as_bytes()[1_000..]);
    assert_eq!(statuses(&room.received(0, many[0])), [400]);
    assert!(!room.paused.contains(&(0, one.slot)));
    assert!(room.paused.contains(&(0, many[4].slot)));
    room.send(0, one, &text.as_bytes()[1_000..]);
    assert_eq!(statuses(&room.received(0, one)), [400]);
    assert!(
        !room.paused.contains(&(0, many[4].slot)),
        "now it is theirs"
    );
}

#[test]
fn the_clock_of_a_body_stands_still_while_it_is_not_read() {
    let mut room = bodies_of(1_200_000);
    let text = large(900_000);
    let (holder, waiting) = (room.connect(0), room.connect(0));
    room.send(0, holder, &text.as_bytes()[..1_000]);
    room.send(0, waiting, &text.as_bytes()[..1_000]);
    for part in text.as_bytes()[1_000..].chunks(10_000) {
        assert!(room.paused.contains(&(0, waiting.slot)));
        room.send(0, holder, part);
        room.pass(50_000);
    }
    assert!(room.now.mono_us > 1_000_000 + DEADLINE_US - 700_000);
    assert_eq!(statuses(&room.received(0, holder)), [400]);
    // Three seconds of grace from here on, and not one of them is over.
    assert!(!room.paused.contains(&(0, waiting.slot)));
    room.pass(2_900_000);
    assert_eq!(room.received(0, waiting), "");
    room.send(0, waiting, &text.as_bytes()[1_000..]);
    assert_eq!(statuses(&room.received(0, waiting)), [400]);
}

#[test]
fn the_clock_of_a_head_stands_still_while_it_is_not_read() {
    let mut room = Room::new(1, |config| config.limits.head_bytes_total_max = 16 * 1024);
    room.begin();
    let (holder, waiting) = (room.connect(0), room.connect(0));
    let body = format!("\"{}\"", "x".repeat(15_000));
    let text = post(&body);
    room.send(0, holder, &text.as_bytes()[..200]);
    room.send(0, waiting, b"GET /livez HTTP/1.1\r\n");
    for part in text.as_bytes()[200..].chunks(200) {
        assert!(room.paused.contains(&(0, waiting.slot)));
        room.send(0, holder, part);
        room.pass(50_000);
    }
    assert_eq!(statuses(&room.received(0, holder)), [400]);
    assert!(!room.paused.contains(&(0, waiting.slot)));
    room.pass(4_800_000);
    assert_eq!(room.received(0, waiting), "");
    room.send(0, waiting, b"Host: a\r\n\r\n");
    assert_eq!(statuses(&room.received(0, waiting)), [200]);
}

#[test]
fn what_came_before_reading_stopped_is_bounded_for_all_together() {
    let mut room = Room::new(1, |config| {
        config.limits.body_bytes_total_max = 1_100_000;
        config.limits.unread_bytes_total_max = 400_000;
    });
    room.begin();
    let text = large(1_000_000);
    let conns: [ConnId; 6] = std::array::from_fn(|_| room.connect(0));
    for conn in conns {
        room.send(0, conn, &text.as_bytes()[..120_000]);
    }
    // The first has its grant; three wait with what had come, and there is no more room to wait in.
    for conn in &conns[..4] {
        assert_eq!(room.received(0, *conn), "");
    }
    for conn in &conns[4..] {
        let received = room.received(0, *conn);
        assert_eq!(statuses(&received), [503]);
        assert!(received.contains("Retry-After: "), "{received}");
        assert!(received.contains("Connection: close"), "{received}");
    }
    room.send(0, conns[0], &text.as_bytes()[120_000..]);
    assert_eq!(statuses(&room.received(0, conns[0])), [400]);
    assert!(!room.paused.contains(&(0, conns[1].slot)));
}

#[test]
fn an_address_that_fills_the_room_for_waiting_gives_way_to_another_its_newest_first() {
    let mut room = Room::new(1, |config| {
        config.limits.body_bytes_total_max = 1_100_000;
        config.limits.unread_bytes_total_max = 400_000;
    });
    room.begin();
    let text = large(1_000_000);
    let greedy: [ConnId; 4] = std::array::from_fn(|_| room.connect_from(0, Peer(1)));
    for conn in greedy {
        room.send(0, conn, &text.as_bytes()[..120_000]);
        room.pass(50_000);
    }
    let modest = room.connect_from(0, Peer(2));
    room.send(0, modest, &text.as_bytes()[..120_000]);
    assert_eq!(room.received(0, modest), "");
    assert_eq!(statuses(&room.received(0, greedy[3])), [503]);
    assert!(!room.paused.contains(&(0, greedy[3].slot)));
    for conn in &greedy[..3] {
        assert_eq!(room.received(0, *conn), "");
    }
    assert!(
        room.paused.contains(&(0, modest.slot)),
        "it waits, with what had come"
    );
}

#[test]
fn clients_that_take_no_answers_hold_no_more_than_is_known_before() {
    const PAGE: &str = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut room = Room::new(1, |config| {
        config.limits.unsent_bytes_max = 100_000;
        config.limits.unsent_bytes_total_max = 400_000;
    });
    room.begin();
    let probe = room.connect(0);
    room.send(0, probe, PAGE.as_bytes());
    let page_bytes = room.received(0, probe).len();
    room.hold_sends = true;
    let deaf: Vec<ConnId> = (0..30).map(|_| room.connect(0)).collect();
    for _ in 0..3 {
        for conn in &deaf {
            room.send(0, *conn, PAGE.repeat(40).as_bytes());
        }
    }
    let sent: Vec<usize> = deaf
        .iter()
        .map(|conn| room.received(0, *conn).len())
        .collect();
    let most_each = 100_000 + page_bytes + 1_000;
    assert!(
        sent.iter().all(|bytes| (1..=most_each).contains(bytes)),
        "{sent:?}"
    );
    let all: usize = sent.iter().sum();
    assert!(
        all <= 400_000 + 30 * (page_bytes + 1_000),
        "{all}: {sent:?}"
    );
    // They are answered as they take what there is.
    room.hold_sends = false;
    for (conn, bytes) in deaf.iter().zip(&sent) {
        room.event(0, Event::Sent(*conn, *bytes as u32));
    }
    room.run();
    for conn in deaf {
        assert_eq!(statuses(&room.received(0, conn)), [200; 120]);
    }
    assert_eq!(room.shards[0].ingress.unsent_bytes, 0);
}

#[test]
fn a_client_that_takes_its_last_answer_slowly_gets_all_of_it() {
    let mut room = Room::serving(1);
    room.hold_sends = true;
    let slow = room.connect(0);
    let page = "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    room.send(0, slow, page.as_bytes());
    let bytes = room.received(0, slow).len() as u32;
    for part in [1_000, 1_000, bytes - 2_000] {
        room.pass(20_000_000);
        assert_eq!(room.closed, []);
        room.event(0, Event::Sent(slow, part));
        room.run();
    }
    room.pass(900_000);
    assert_eq!(room.closed, [], "its last bytes may be on their way");
    room.pass(300_000);
    assert_eq!(room.closed, [(0, slow)]);
}

#[test]
fn a_client_that_takes_no_answers_does_not_hold_up_a_stop() {
    let mut room = Room::serving(1);
    room.hold_sends = true;
    let page = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    let [deaf, half_closed] = std::array::from_fn(|_| room.connect(0));
    room.send(0, deaf, page.repeat(100).as_bytes());
    room.arrive(0, half_closed, page.as_bytes());
    room.event(0, Event::Ended(half_closed));
    room.run();
    room.tell(0, ToShard::Drain);
    room.pass(4_900_000);
    assert_eq!(room.closed, []);
    room.pass(200_000);
    let closed: Vec<ConnId> = room.closed.iter().map(|(_, conn)| *conn).collect();
    assert!(
        closed.contains(&deaf) && closed.contains(&half_closed),
        "{closed:?}"
    );
    assert!(room.to_keeper.contains(&(0, ToKeeper::Idle(true))));
}

#[test]
fn who_is_next_because_another_address_came_is_served_at_once() {
    let mut room = bodies_of(1_000_000);
    let mut ask = |peer, bytes| {
        let conn = room.connect_from(0, Peer(peer));
        // Its head comes in two parts, so that it holds memory for that already when it asks for the body's.
        let text = large(bytes);
        room.send(0, conn, &text.as_bytes()[..20]);
        room.send(0, conn, &text.as_bytes()[20..1_000]);
        (conn, room.paused.contains(&(0, conn.slot)))
    };
    let (_, greedy_waits) = ask(1, 750_000);
    let (_, modest_waits) = ask(2, 150_000);
    assert!(!greedy_waits && !modest_waits);
    let (first, first_waits) = ask(2, 150_000);
    let (second, second_waits) = ask(3, 80_000);
    assert!(first_waits && second_waits, "a third is what each may have");
    let (third, _) = ask(4, 85_000);
    assert!(
        room.paused.contains(&(0, first.slot)),
        "it is over its share"
    );
    assert!(!room.paused.contains(&(0, second.slot)));
    assert!(room.paused.contains(&(0, third.slot)), "there is no more");
}

#[test]
fn a_client_that_sends_on_and_takes_nothing_is_closed_like_one_that_is_silent() {
    for ends in ["", "Connection: close\r\n"] {
        let mut room = Room::serving(1);
        room.hold_sends = true;
        let deaf = room.connect(0);
        let page = format!("GET /metrics HTTP/1.1\r\nHost: a\r\n{ends}\r\n");
        room.send(0, deaf, page.as_bytes());
        // Part of a further request is answered 408 on the way, where there is none that ends the connection before.
        for _ in 0..10 {
            room.pass(8_000_000);
            room.send(0, deaf, b"x");
        }
        assert_eq!(room.closed, [(0, deaf)], "{ends:?}");
    }
}
