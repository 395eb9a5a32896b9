//! Requests as proxies send them: chunked bodies, HTTP/1.0, OPTIONS, and what is no HTTP at all.

use super::*;
use crate::http::Problem;

/// A submit whose body comes in chunks of at most this many bytes, with an extension and a trailer.
pub(super) fn post_chunked(body: &str, chunk_bytes: usize) -> String {
    let mut text = String::from(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for chunk in body.as_bytes().chunks(chunk_bytes) {
        let chunk = std::str::from_utf8(chunk).unwrap();
        text += &format!("{:x};part\r\n{chunk}\r\n", chunk.len());
    }
    text + "0\r\nX-Checksum: none\r\n\r\n"
}

/// Bodies of all records in the log, in order.
pub(super) fn bodies(room: &Room) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for (_, bytes) in &room.written {
        let batch = if bytes.starts_with(b"flk-segm") {
            &bytes[BLOCK_BYTES..]
        } else {
            &bytes[..]
        };
        let batch = read_batch(batch).unwrap();
        for record in batch.records() {
            if let Content::Body(body) = record.unwrap().content {
                bodies.push(batch.body(&body).unwrap().to_vec());
            }
        }
    }
    bodies
}

#[test]
fn a_chunked_record_is_logged_as_its_content_and_is_a_duplicate_of_the_plain_one() {
    for chunk_bytes in [1, 7, 100, 5000] {
        let mut room = Room::serving(1);
        let conn = room.connect(0);
        room.send(0, conn, post_chunked(&record(1), chunk_bytes).as_bytes());
        room.send(0, conn, post(&record(1)).as_bytes());
        assert_eq!(
            answers(&room.received(0, conn)),
            [(200, "miss".to_string()), (200, "hit".to_string())]
        );
        assert_eq!(bodies(&room), [record(1).as_bytes(), record(1).as_bytes()]);
    }
}

#[test]
fn a_chunked_request_may_arrive_in_pieces_of_any_size_and_others_follow_it() {
    let stream = post_chunked(&record(1), 50)
        + "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
        + &post_chunked(&record(2), 900)
        + &post_chunked("", 1)
        + &post(&record(3))
        + "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        + &post(&record(1));
    for piece_bytes in [1, 2, 3, 17, 64, 1000, stream.len()] {
        let mut room = Room::serving(1);
        let conn = room.connect(0);
        for piece in stream.as_bytes().chunks(piece_bytes) {
            room.send(0, conn, piece);
        }
        assert_eq!(
            statuses(&room.received(0, conn)),
            [200, 200, 200, 400, 200, 404, 200],
            "{piece_bytes}"
        );
        assert_eq!(bodies(&room).len(), 5);
        assert_eq!(bodies(&room)[1], record(2).as_bytes());
    }
}

#[test]
fn a_broken_chunk_is_refused_behind_the_answers_before_it_and_nothing_of_it_is_logged() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    let broken = post_chunked(&record(2), 100).replace(";part\r\n", ";part\n");
    room.send(
        0,
        conn,
        (post(&record(1)) + &broken + &post(&record(3))).as_bytes(),
    );
    let received = room.received(0, conn);
    assert_eq!(statuses(&received), [200, 400]);
    assert!(received.contains("\"code\":\"bare_lf\"") && received.contains("Connection: close"));
    assert_eq!(bodies(&room).len(), 1);
}

#[test]
fn chunked_bodies_wait_for_room_like_any_other() {
    let (mut room, first) = full_room(5_000_000);
    let conns: Vec<ConnId> = (0..3).map(|_| room.connect(0)).collect();
    for (conn, epoch) in conns.iter().zip(2..) {
        let more = post_chunked(&record(epoch), 200) + &post(&record(epoch));
        room.send(0, *conn, more.as_bytes());
    }
    release(&mut room);
    assert_eq!(statuses(&room.received(0, first)), [200]);
    for conn in conns {
        let expect = [(200, "miss".to_string()), (200, "hit".to_string())];
        assert_eq!(answers(&room.received(0, conn)), expect);
    }
}

#[test]
fn a_chunked_request_without_room_is_503_at_its_deadline_and_its_connection_goes_on() {
    let (mut room, _) = full_room(5_000_000);
    let conn = room.connect(0);
    room.send(0, conn, post_chunked(&record(2), 100).as_bytes());
    room.pass(5_000_000);
    assert_eq!(statuses(&room.received(0, conn)), [503]);
    release(&mut room);
    room.send(0, conn, post(&record(2)).as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [503, 200]);
    assert_eq!(bodies(&room).len(), 2);
}

#[test]
fn many_large_chunked_bodies_share_little_memory_and_all_are_served() {
    let mut room = Room::new(1, |config| config.limits.body_bytes_total_max = 1_200_000);
    room.begin();
    let body = format!("\"{}\"", "x".repeat(900_000));
    let texts = [
        post_chunked(&body, 3_000),
        post(&body),
        post_chunked(&body, 70_000),
    ];
    let conns: Vec<ConnId> = (0..6).map(|_| room.connect(0)).collect();
    let texts = texts.iter().cycle().map(String::as_bytes);
    let texts: Vec<_> = conns.iter().copied().zip(texts).collect();
    trickle(&mut room, &texts, 16_000);
    for conn in conns {
        assert_eq!(statuses(&room.received(0, conn)), [400], "{conn:?}");
    }
    assert!(
        bodies(&room)
            .iter()
            .all(|logged| *logged == body.as_bytes())
    );
}

#[test]
fn a_chunked_body_above_the_limit_is_413_as_soon_as_a_chunk_says_so() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    let head = "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    room.send(0, conn, format!("{head}1\r\nx\r\n100000\r\n").as_bytes());
    let received = room.received(0, conn);
    assert_eq!(statuses(&received), [413]);
    assert!(received.contains("Connection: close"));
}

#[test]
fn a_chunked_body_that_does_not_end_is_too_slow() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    let whole = post_chunked(&record(1), 100);
    let (most, _) = whole.split_at(whole.len() - 5);
    room.send(0, conn, most.as_bytes());
    room.pass(6_000_000);
    let received = room.received(0, conn);
    assert_eq!(statuses(&received), [408]);
    assert!(received.contains("body_timeout"), "{received}");
    assert!(bodies(&room).is_empty());
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked_once_for_its_chunks() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    let whole = post_chunked(&record(1), 100).replace("Host: a", "Host: a\r\nExpect: 100-continue");
    let (head, body) = whole.split_at(whole.find("\r\n\r\n").unwrap() + 4);
    room.send(0, conn, head.as_bytes());
    assert_eq!(room.received(0, conn), "HTTP/1.1 100 Continue\r\n\r\n");
    room.send(0, conn, &body.as_bytes()[..50]);
    room.send(0, conn, &body.as_bytes()[50..]);
    assert_eq!(statuses(&room.received(0, conn)), [100, 200]);
}

#[test]
fn a_chunked_request_and_fin_are_answered_and_half_of_one_is_dropped() {
    let mut room = Room::serving(1);
    let whole = post_chunked(&record(1), 100);
    let (asks, half) = (room.connect(0), room.connect(0));
    room.arrive(0, asks, whole.as_bytes());
    room.event(0, Event::Ended(asks));
    room.arrive(0, half, &whole.as_bytes()[..whole.len() - 1]);
    room.event(0, Event::Ended(half));
    room.run();
    assert_eq!(statuses(&room.received(0, asks)), [200]);
    assert_eq!(room.received(0, half), "");
    assert_eq!(bodies(&room).len(), 1);
}

#[test]
fn http_1_0_is_closed_unless_it_asks_to_be_kept_and_the_answer_repeats_that() {
    let mut room = Room::serving(1);
    let (once, kept) = (room.connect(0), room.connect(0));
    let body = record(1);
    let post = |lines: &str| {
        format!(
            "POST /v1/pcs/submit HTTP/1.0\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    room.send(0, once, post("").as_bytes());
    let received = room.received(0, once);
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
    assert!(received.contains("\r\nConnection: close\r\n"), "{received}");
    assert!(room.shut.contains(&(0, once)));
    for _ in 0..2 {
        room.send(0, kept, post("Connection: keep-alive\r\n").as_bytes());
    }
    room.send(
        0,
        kept,
        b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    );
    room.send(
        0,
        kept,
        b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    );
    let received = room.received(0, kept);
    assert_eq!(statuses(&received), [200, 200, 404, 200]);
    assert_eq!(
        received.matches("\r\nConnection: keep-alive\r\n").count(),
        4
    );
    room.send(0, kept, b"GET /health HTTP/1.0\r\n\r\n");
    assert!(room.shut.contains(&(0, kept)));
}

#[test]
fn options_are_answered_on_every_known_target_whatever_the_state() {
    let mut room = Room::new(1, |_| {});
    let conn = room.connect(0);
    for target in ["*", "/v1/pcs/submit", "/metrics", "/readyz", "/nothing"] {
        let request = format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        room.send(0, conn, request.as_bytes());
    }
    let received = room.received(0, conn);
    assert_eq!(statuses(&received), [200, 200, 200, 200, 404]);
    assert!(
        received.contains("\r\nAllow: POST, OPTIONS\r\n"),
        "{received}"
    );
}

#[test]
fn every_answer_but_100_has_the_date_of_its_second() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    room.send(0, conn, (post(&record(1)) + &post("x")).as_bytes());
    room.send(0, conn, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    room.now.wall_us += 1_000_000;
    room.send(0, conn, b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    let received = room.received(0, conn);
    let dates: Vec<&str> = received
        .lines()
        .filter(|line| line.starts_with("Date: "))
        .collect();
    let second = |second| format!("Date: Tue, 14 Nov 2023 22:13:{second} GMT");
    assert_eq!(dates[..3], [second(20), second(20), second(20)]);
    assert_eq!(dates[3..], [second(21)]);
}

#[test]
fn sixteen_kib_of_an_incomplete_head_are_431_at_once_however_they_arrive() {
    for pieces in [1, 2, 3, 16_384] {
        let mut room = Room::serving(1);
        let conn = room.connect(0);
        let mut head = b"GET /health HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
        head.resize(16 * 1024, b'x');
        for piece in head.chunks(head.len() / pieces) {
            room.send(0, conn, piece);
        }
        assert_eq!(statuses(&room.received(0, conn)), [431], "{pieces}");
    }
}

#[test]
fn every_post_is_counted_once_whatever_its_answer() {
    let mut room = Room::serving(1);
    let mut posts = 0;
    let mut say = |room: &mut Room, text: &str, counts: u64, seconds: u64| {
        let conn = room.connect(0);
        room.send(0, conn, text.as_bytes());
        room.pass(seconds * 1_000_000);
        posts += counts;
        assert_eq!(room.stats.shards[0].ingest.get(), posts, "{text:?}");
        room.event(0, Event::Broken(conn));
        room.run();
    };
    say(&mut room, &post(&record(1)), 1, 0);
    say(&mut room, &post_chunked(&record(1), 100), 1, 0);
    say(&mut room, &post_chunked("x", 1).replace("1;", "g;"), 1, 0);
    say(
        &mut room,
        "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        1,
        0,
    );
    say(
        &mut room,
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\n\r\n",
        1,
        0,
    );
    say(
        &mut room,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n",
        1,
        0,
    );
    say(&mut room, "POST / HTTP/1.1\nHost: a\r\n", 1, 0);
    say(&mut room, "POST / HTTP/1.1\r\nHost", 1, 6);
    say(
        &mut room,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        1,
        6,
    );
    say(&mut room, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0);
    say(&mut room, "GET / HTTP/1.1\r\nHost", 0, 6);
    say(&mut room, "PUT /v1/pcs/submit HTTP/1.1\nHost", 0, 0);
}

#[test]
fn what_is_no_http_is_named_by_its_answer_and_told_to_the_operator_once_a_second() {
    let hellos: [&[u8]; 3] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\nGET / HTTP/1.1\r\n",
    ];
    let mut room = Room::serving(1);
    for _ in 0..20 {
        for (hello, problem) in hellos.into_iter().zip(Problem::FOREIGN) {
            let conn = room.connect(0);
            room.send(0, conn, hello);
            let code = format!("\"code\":\"{}\"", problem.code());
            assert!(room.received(0, conn).contains(&code), "{code}");
            room.event(0, Event::Ended(conn));
        }
        let conn = room.connect(0);
        room.send(0, conn, b"neither of them\r\n\r\n");
        room.event(0, Event::Ended(conn));
        room.pass(100_000);
    }
    for problem in Problem::FOREIGN {
        let told: Vec<u32> = room
            .to_keeper
            .iter()
            .filter_map(|(_, message)| match message {
                ToKeeper::Foreign {
                    problem: other,
                    connections_count,
                } if *other == problem => Some(*connections_count),
                _ => None,
            })
            .collect();
        assert!((2..=3).contains(&told.len()), "{problem:?} {told:?}");
        assert!(
            (10..=20).contains(&told.iter().sum::<u32>()),
            "{problem:?} {told:?}"
        );
    }
    let foreign = |message: &ToKeeper| matches!(message, ToKeeper::Foreign { .. });
    let all = room.to_keeper.iter().filter(|(_, it)| foreign(it)).count();
    assert!(all <= 9, "nothing else is told: {all}");
}
