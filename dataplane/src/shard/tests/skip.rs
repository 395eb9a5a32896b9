//! Bodies of refused requests: which are skipped so that the connection goes on, for how long, and what ends it.

use super::chunked::post_chunked;
use super::*;
use crate::http::SKIPPED_BODY_BYTES_MAX;
use proptest::prelude::*;

const HEAD_TIMEOUT_US: u64 = 5_000_000;
const BOUND: usize = SKIPPED_BODY_BYTES_MAX as usize;

/// A submit that its head refuses, up to its body.
fn refused_head(framing: &str) -> String {
    format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n{framing}\r\n\r\n"
    )
}

/// A body of this many bytes in such chunks, with extensions and a trailer.
fn chunks(bytes: usize, chunk_bytes: usize) -> String {
    let whole = post_chunked(&"x".repeat(bytes), chunk_bytes);
    let body_at = whole.find("\r\n\r\n").unwrap() + 4;
    whole[body_at..].to_owned()
}

/// Sends a refused body and a sound request behind it in pieces of this size: what was answered.
fn behind(framing: &str, body: &str, piece_bytes: usize) -> (Vec<u16>, bool) {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    room.send(0, conn, refused_head(framing).as_bytes());
    for piece in (body.to_owned() + &post(&record(1)))
        .as_bytes()
        .chunks(piece_bytes)
    {
        room.send(0, conn, piece);
    }
    (
        statuses(&room.received(0, conn)),
        room.shut.contains(&(0, conn)),
    )
}

fn behind_chunks(bytes: usize, chunk_bytes: usize, piece_bytes: usize) -> (Vec<u16>, bool) {
    let body = chunks(bytes, chunk_bytes);
    behind("Transfer-Encoding: chunked", &body, piece_bytes)
}

fn behind_length(bytes: usize, piece_bytes: usize) -> (Vec<u16>, bool) {
    let framing = format!("Content-Length: {bytes}");
    behind(&framing, &"x".repeat(bytes), piece_bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_refused_chunked_body_is_skipped_where_one_of_that_length_is(
        bytes in prop_oneof![1usize..3_000, BOUND - 20..BOUND + 20, 1usize..3 * BOUND],
        chunk_bytes in prop_oneof![40usize..300, 300usize..100_000],
        piece_bytes in prop_oneof![1usize..40, 1_000usize..200_000],
    ) {
        let piece_bytes = if bytes > 3_000 { piece_bytes.max(500) } else { piece_bytes };
        prop_assert_eq!(behind_chunks(bytes, chunk_bytes, piece_bytes), behind_length(bytes, piece_bytes));
    }
}

#[test]
fn up_to_64_kib_of_a_refused_body_are_skipped_and_not_one_byte_more() {
    for (bytes, goes_on) in [(0, true), (1, true), (BOUND, true), (BOUND + 1, false)] {
        let expect = match goes_on {
            true => (vec![415, 200], false),
            false => (vec![415], true),
        };
        assert_eq!(behind_length(bytes, 10_000), expect, "{bytes}");
        for chunk_bytes in [1_000, BOUND, BOUND + 1] {
            let received = behind_chunks(bytes, chunk_bytes, 10_000);
            assert_eq!(received, expect, "{bytes} in chunks of {chunk_bytes}");
        }
    }
}

#[test]
fn a_refused_chunked_body_may_arrive_byte_by_byte() {
    assert_eq!(behind_chunks(300, 70, 1), (vec![415, 200], false));
}

#[test]
fn a_refusal_says_that_it_closes_where_its_chunks_are_known_to_be_too_long_or_broken() {
    let sound = chunks(300, 100);
    for (body, closes) in [
        (&sound[..], false),
        ("5\r\nhel", false),
        ("20000\r\n", true),
        ("g\r\n", true),
    ] {
        let mut room = Room::serving(1);
        let conn = room.connect(0);
        let text = refused_head("Transfer-Encoding: chunked") + body;
        room.send(0, conn, text.as_bytes());
        let received = room.received(0, conn);
        assert_eq!(statuses(&received), [415], "{body:?}");
        assert_eq!(received.contains("Connection: close"), closes, "{body:?}");
        assert_eq!(room.shut.contains(&(0, conn)), closes, "{body:?}");
    }
}

#[test]
fn a_skipped_body_that_turns_out_to_be_broken_ends_the_connection_without_a_second_answer() {
    for broken in ["5\r\nhello!", "1;a\nx", "0\r\nContent-Length: 5\r\n\r\n"] {
        let received = behind("Transfer-Encoding: chunked", broken, 4);
        assert_eq!(received, (vec![415], true), "{broken:?}");
    }
}

#[test]
fn a_skipped_body_has_one_clock_from_its_refusal_however_it_trickles() {
    for (framing, body) in [
        ("Content-Length: 500", "x".repeat(500)),
        ("Transfer-Encoding: chunked", chunks(500, 100)),
        (
            "Transfer-Encoding: chunked",
            chunks(1, 1).replace("none", &"n".repeat(400)),
        ),
    ] {
        let mut room = Room::new(1, |config| config.limits.deadline_us = 30_000_000);
        room.begin();
        room.hold_writes = true;
        let [alone, behind] = std::array::from_fn(|_| room.connect(0));
        room.send(0, behind, post(&record(1)).as_bytes());
        for conn in [alone, behind] {
            room.send(0, conn, refused_head(framing).as_bytes());
        }
        let refused_us = room.now.mono_us;
        let mut bytes = body.as_bytes().chunks(1);
        while room.now.mono_us < refused_us + HEAD_TIMEOUT_US - 100_000 {
            let byte = bytes.next().unwrap();
            for conn in [alone, behind] {
                room.send(0, conn, byte);
            }
            room.pass(50_000);
        }
        assert_eq!(room.shut, []);
        room.pass(200_000);
        assert_eq!(statuses(&room.received(0, alone)), [415]);
        assert_eq!(room.shut, [(0, alone)], "{framing}");
        // The other one ends, too, and still gets all its answers.
        release(&mut room);
        let received = room.received(0, behind);
        assert_eq!(statuses(&received)[1], 415, "{received}");
        assert!(received.contains("Connection: close"), "{received}");
        room.pass(1_200_000);
        assert_eq!(room.closed, [(0, alone), (0, behind)]);
    }
}

#[test]
fn a_chunked_body_refused_for_want_of_memory_is_skipped_to_its_end() {
    let mut room = Room::new(1, |config| {
        config.limits.body_bytes_total_max = 1_100_000;
        config.limits.deadline_us = 900_000;
    });
    room.begin();
    let holder = room.connect(0);
    let large = post(&"x".repeat(1_000_000));
    room.send(0, holder, &large.as_bytes()[..1_000]);
    let waiting = room.connect(0);
    let body = post_chunked(&"x".repeat(60_000), 7_000);
    let (most, rest) = body.split_at(20_000);
    room.send(0, waiting, most.as_bytes());
    assert!(room.paused.contains(&(0, waiting.slot)));
    room.pass(900_000);
    let received = room.received(0, waiting);
    assert_eq!(statuses(&received), [503]);
    assert!(!received.contains("Connection: close"), "{received}");
    assert!(!room.paused.contains(&(0, waiting.slot)));
    room.send(0, waiting, rest.as_bytes());
    room.send(0, waiting, post(&record(1)).as_bytes());
    assert_eq!(statuses(&room.received(0, waiting)), [503, 200]);
}

#[test]
fn a_client_that_ends_within_a_skipped_body_is_let_go() {
    for framing in ["Content-Length: 500", "Transfer-Encoding: chunked"] {
        let mut room = Room::serving(1);
        let conn = room.connect(0);
        room.send(0, conn, refused_head(framing).as_bytes());
        room.send(0, conn, b"5;ext");
        room.event(0, Event::Ended(conn));
        room.run();
        assert_eq!(statuses(&room.received(0, conn)), [415]);
        assert_eq!(room.closed, [(0, conn)], "{framing}");
    }
}

#[test]
fn a_skipped_body_without_memory_for_a_part_of_its_framing_ends_with_its_one_answer() {
    let mut room = Room::new(1, |config| {
        config.limits.head_bytes_total_max = 16 * 1024;
        config.limits.deadline_us = 1_000_000;
    });
    room.begin();
    let [skipped, other] = std::array::from_fn(|_| room.connect(0));
    room.send(
        0,
        skipped,
        refused_head("Transfer-Encoding: chunked").as_bytes(),
    );
    room.send(0, other, b"GET /livez HTTP/1.1\r\n");
    room.send(0, skipped, b"5;ext");
    room.pass(2_500_000);
    assert_eq!(statuses(&room.received(0, skipped)), [415]);
    assert_eq!(room.closed, [(0, skipped)]);
    room.send(0, other, b"Host: a\r\n\r\n");
    assert_eq!(statuses(&room.received(0, other)), [200]);
    let posts = room.stats.shards[0].ingest.get();
    assert_eq!(posts, 1, "the refused one, and nothing of its body");
}
