//! Batches: each record gets what a submit of it would have got, in the order of its lines and all in one answer; in the log it
//! is a body of its own; and however large a batch is, others are served between its records.

use super::chunked::bodies;
use super::waiting::release_one;
use super::*;
use crate::http::Problem;
use crate::shard::batch_lines::LINE_REPLY_BYTES;
use std::collections::BTreeMap;

/// What a batch was answered for one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) line: u32,
    pub(super) status: u16,
    pub(super) dedup: String,
    /// The outcome or the problem, byte for byte.
    pub(super) body: String,
    pub(super) retry_after: Option<String>,
}

pub(super) fn batch(lines: &[String]) -> String {
    batch_of_text(&(lines.join("\n") + "\n"))
}

pub(super) fn batch_of_text(text: &str) -> String {
    format!(
        "POST /v1/pcs/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    )
}

fn records(epochs: impl Iterator<Item = u64>) -> Vec<String> {
    epochs.map(record).collect()
}

/// Cuts one line of an answer into its parts, strictly.
fn line_of(text: &str) -> Line {
    let rest = text.strip_prefix("{\"line\":").expect(text);
    let (line, rest) = rest.split_once(",\"status\":").expect(text);
    let (status, rest) = rest.split_once(',').expect(text);
    let mut line = Line {
        line: line.parse().unwrap(),
        status: status.parse().unwrap(),
        dedup: String::new(),
        body: String::new(),
        retry_after: None,
    };
    let mut rest = rest;
    if let Some(dedup) = rest.strip_prefix("\"dedup\":\"") {
        let (dedup, behind) = dedup.split_once("\",").unwrap();
        line.dedup = dedup.to_string();
        rest = behind.strip_prefix("\"outcome\":").expect(text);
    } else {
        if let Some(behind) = rest.strip_prefix("\"retry_after\":") {
            let (seconds, behind) = behind.split_once(',').unwrap();
            line.retry_after = Some(seconds.to_string());
            rest = behind;
        }
        rest = rest.strip_prefix("\"problem\":").expect(text);
    }
    line.body = rest.strip_suffix('}').expect(text).to_string();
    line
}

/// All lines of all answers to batches in what a client got.
pub(super) fn lines(received: &str) -> Vec<Line> {
    let lines = received.lines();
    lines
        .filter(|line| line.starts_with("{\"line\":"))
        .map(line_of)
        .collect()
}

fn line_statuses(received: &str) -> Vec<(u32, u16)> {
    let all = lines(received).into_iter();
    all.map(|line| (line.line, line.status)).collect()
}

/// Statuses and dedup results, where they come in runs: how often each.
fn tally(received: &str) -> BTreeMap<(u16, String), usize> {
    let mut tally = BTreeMap::new();
    for line in lines(received) {
        *tally.entry((line.status, line.dedup)).or_default() += 1;
    }
    tally
}

/// Line numbers in the log: of bodies, and of all other records.
fn logged_lines(room: &Room) -> (Vec<u32>, Vec<u32>) {
    let (mut of_bodies, mut of_others) = (Vec::new(), Vec::new());
    for (_, bytes) in &room.written {
        for record in read_batch(batch_of(bytes)).unwrap().records() {
            let record = record.unwrap();
            match record.content {
                Content::Body(_) => of_bodies.push(record.header.line),
                _ => of_others.push(record.header.line),
            }
        }
    }
    (of_bodies, of_others)
}

/// Bodies of every kind that a submit answers.
fn of_every_kind() -> Vec<String> {
    let escalated = include_str!("../../../../golden/records/escalated_budget.json");
    let escalated = String::from_utf8(with_epoch(escalated, 1, KEY)).unwrap();
    let mismatch = record(5).replace("\"epoch\":5", "\"epoch\":6");
    vec![
        record(1),
        escalated,
        record(1),
        "{".to_string(),
        "{}".to_string(),
        " ".to_string(),
        "\0".to_string(),
        "[".repeat(5_000),
        "x".repeat(1 << 20),
        "x".repeat((1 << 20) + 1),
        record_signed(3, "another key"),
        mismatch,
        record(4).replace("\"schema\":\"fractal", "\"schema\":\"other"),
        record(1),
    ]
}

/// What a submit of each body is answered, on one connection.
fn as_submits(shards: u16, all: &[String]) -> Vec<Line> {
    let mut room = Room::serving(shards);
    let mut expect = Vec::new();
    for (body, line) in all.iter().zip(1..) {
        let conn = room.connect(0);
        room.send(0, conn, post(body).as_bytes());
        let received = room.received(0, conn);
        let (status, dedup) = answers(&received).remove(0);
        let (_, content) = received.split_once("\r\n\r\n").unwrap();
        expect.push(Line {
            line,
            status,
            dedup,
            body: content.to_string(),
            retry_after: None,
        });
        room.event(0, Event::Broken(conn));
        room.run();
    }
    expect
}

#[test]
fn each_record_gets_what_a_submit_of_it_gets_byte_for_byte_and_in_order() {
    let all = of_every_kind();
    for shards in [1, 2, 3] {
        let mut room = Room::serving(shards);
        let conn = room.connect(0);
        room.send(0, conn, batch(&all).as_bytes());
        let received = room.received(0, conn);
        assert_eq!(statuses(&received), [200]);
        assert_eq!(lines(&received), as_submits(shards, &all));
        for header in [
            "Flk-Batch-Records: 14\r\n",
            "Flk-Batch-Outcomes: 4\r\n",
            "Flk-Batch-Retryable: 0\r\n",
            "Content-Type: application/x-ndjson\r\n",
        ] {
            assert!(received.contains(header), "{received}");
        }
        let statuses: Vec<u16> = lines(&received).iter().map(|line| line.status).collect();
        let distinct = |status| statuses.contains(&status);
        assert!(
            [200, 202, 400, 401, 413].into_iter().all(distinct),
            "{statuses:?}"
        );
    }
}

#[test]
fn each_record_is_a_body_of_its_own_in_the_log_and_says_its_line() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    let text = format!("{}\r\n\n\r\n{{}}\n{}\n{}", record(1), record(1), record(2));
    room.send(0, conn, batch_of_text(&text).as_bytes());
    let received = room.received(0, conn);
    assert_eq!(
        line_statuses(&received),
        [(1, 200), (4, 400), (5, 200), (6, 200)]
    );
    let (of_bodies, mut of_others) = logged_lines(&room);
    assert_eq!(of_bodies, [1, 4, 5, 6]);
    of_others.sort_unstable();
    assert_eq!(of_others, [1, 4, 5, 6]);
    let expect = [record(1), "{}".into(), record(1), record(2)];
    assert_eq!(bodies(&room), expect.map(String::into_bytes));
    room.send(0, conn, post(&record(3)).as_bytes());
    assert_eq!(
        logged_lines(&room).0.last(),
        Some(&0),
        "a submit has no line"
    );
}

#[test]
fn the_answer_leaves_when_every_record_is_durable_and_not_before() {
    let mut room = Room::new(2, |config| config.limits.flights_max = 2);
    room.begin();
    room.hold_writes = true;
    let conn = room.connect(0);
    room.send(0, conn, batch(&records(1..=6)).as_bytes());
    let mut flushes = 0;
    while let Some(held) = room.held.pop_front() {
        assert_eq!(room.received(0, conn), "", "{flushes} flushes");
        room.complete(held, None);
        room.run();
        flushes += 1;
    }
    assert!(flushes >= 3, "{flushes}");
    let expect = [((200, "miss".to_string()), 6)];
    assert_eq!(tally(&room.received(0, conn)), expect.into());
}

#[test]
fn a_batch_may_come_in_chunks_and_packets_of_any_size_and_others_follow_it() {
    let text = records(1..=3).join("\r\n");
    let mut chunked = String::from(
        "POST /v1/pcs/batch HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for byte in text.chars() {
        chunked += &format!("1\r\n{byte}\r\n");
    }
    chunked += "0\r\n\r\n";
    let stream = chunked
        + &post(&record(2))
        + &batch(&records(3..=4))
        + "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
        + &batch(&[])
        + &batch(&records(5..=5));
    for piece_bytes in [1, 7, 1000, stream.len()] {
        let mut room = Room::serving(2);
        let conn = room.connect(0);
        for piece in stream.as_bytes().chunks(piece_bytes) {
            room.send(0, conn, piece);
        }
        let received = room.received(0, conn);
        assert_eq!(statuses(&received), [200; 6], "{piece_bytes}");
        let dedup: Vec<String> = lines(&received).into_iter().map(|it| it.dedup).collect();
        assert_eq!(dedup, ["miss", "miss", "miss", "hit", "miss", "miss"]);
        assert_eq!(answers(&received)[1], (200, "hit".to_string()));
    }
}

#[test]
fn a_batch_without_records_is_answered_with_no_lines() {
    for text in ["", "\n", "\r\n\r\n\n"] {
        let mut room = Room::serving(1);
        let conn = room.connect(0);
        room.send(
            0,
            conn,
            (batch_of_text(text) + &post(&record(1))).as_bytes(),
        );
        let received = room.received(0, conn);
        assert_eq!(statuses(&received), [200, 200], "{text:?}");
        assert!(received.contains("Flk-Batch-Records: 0\r\n"));
        assert_eq!(kinds(&room), ["body", "decision"]);
    }
}

#[test]
fn what_is_refused_as_a_whole_is_one_problem_and_nothing_of_it_is_logged() {
    let at_most = |text: &str, bytes: usize| format!("{text}{}", " ".repeat(bytes - text.len()));
    let head = "POST /v1/pcs/batch HTTP/1.1\r\nHost: a\r\n";
    let one = record(1);
    let too_many = batch_of_text(&"\n".repeat(4097));
    let too_large = format!("{head}Content-Length: {}\r\n\r\n", (4 << 20) + 1);
    let too_large_in_chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n400001\r\n{one}");
    let sample = batch(&records(1..=1));
    let json = sample.replace("application/x-ndjson", "application/json");
    let unknown = sample.replace("Host: a", "Host: a\r\nX-Tenant-Id: nobody");
    let encoded = sample.replace("Host: a", "Host: a\r\nContent-Encoding: gzip");
    let get = "GET /v1/pcs/batch HTTP/1.1\r\nHost: a\r\n\r\n".to_string();
    let submit = post(&one).replace("Host: a", "Host: a\r\nContent-Type: application/x-ndjson");
    for (text, problem) in [
        (too_many, Problem::TooManyRecords),
        (too_large, Problem::BatchTooLarge),
        (too_large_in_chunks, Problem::BatchTooLarge),
        (json, Problem::BatchTypeUnsupported),
        (encoded, Problem::ContentEncodingUnsupported),
        (unknown, Problem::UnknownTenant),
        (get.replace("GET", "HEAD"), Problem::SubmitMethodNotAllowed),
        (get, Problem::SubmitMethodNotAllowed),
        (submit, Problem::ContentTypeUnsupported),
    ] {
        let mut room = Room::serving(1);
        let conn = room.connect(0);
        room.send(0, conn, text.as_bytes());
        room.send(0, conn, batch(&[at_most(&one, 2000)]).as_bytes());
        let received = room.received(0, conn);
        assert_eq!(
            statuses(&received)[0],
            problem.status(),
            "{problem:?}: {received}"
        );
        let is_head = text.starts_with("HEAD");
        let code = format!("\"code\":\"{}\"", problem.code());
        assert!(is_head || received.contains(&code), "{received}");
        let goes_on = !problem.closes();
        assert_eq!(lines(&received).len(), usize::from(goes_on), "{problem:?}");
        assert_eq!(bodies(&room).len(), usize::from(goes_on), "{problem:?}");
    }
}

#[test]
fn what_is_exactly_at_the_limits_is_taken() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    let text = record(1) + &"\n".repeat(4096);
    trickle(
        &mut room,
        &[(conn, batch_of_text(&text).as_bytes())],
        16_000,
    );
    assert_eq!(line_statuses(&room.received(0, conn)), [(1, 200)]);
    let mut text = "\"\n".repeat(2) + &"x".repeat(4 << 20);
    text.truncate(4 << 20);
    trickle(
        &mut room,
        &[(conn, batch_of_text(&text).as_bytes())],
        60_000,
    );
    let received = room.received(0, conn);
    let statuses: Vec<(u32, u16)> = line_statuses(&received).split_off(1);
    assert_eq!(statuses, [(1, 400), (2, 400), (3, 413)]);
    let text = batch(&vec!["{}".to_string(); 4096]);
    trickle(&mut room, &[(conn, text.as_bytes())], 60_000);
    let received = room.received(0, conn);
    assert_eq!(lines(&received).len(), 4 + 4096);
    assert_eq!(lines(&received).last().unwrap().line, 4096);
}

#[test]
fn others_are_served_between_the_records_of_a_batch() {
    let mut room = Room::new(1, |config| config.limits.flights_max = 1000);
    room.begin();
    room.hold_writes = true;
    let (large, small) = (room.connect(0), room.connect(0));
    room.send(0, large, batch(&records(1..=2500)).as_bytes());
    room.send(0, small, post(&record(9_999)).as_bytes());
    let mut flushes = 0;
    while room.received(0, small).is_empty() {
        release_one(&mut room);
        flushes += 1;
    }
    // Two batches of the log were full when it came, and it is in the third.
    assert!(flushes <= 4, "{flushes}");
    assert_eq!(statuses(&room.received(0, small)), [200]);
    assert_eq!(room.received(0, large), "");
    release(&mut room);
    assert_eq!(lines(&room.received(0, large)).len(), 2500);
}

#[test]
fn a_batch_whose_client_is_gone_gets_its_dispositions_and_frees_its_memory() {
    let mut room = Room::new(1, |config| {
        config.limits.flights_max = 4;
        config.limits.batch_reply_bytes_total_max = 20 * LINE_REPLY_BYTES;
    });
    room.begin();
    room.hold_writes = true;
    let gone = room.connect(0);
    room.send(0, gone, batch(&records(1..=10)).as_bytes());
    let busy = room.connect(0);
    room.send(0, busy, batch(&records(11..=20)).as_bytes());
    let received = room.received(0, busy);
    assert_eq!(statuses(&received), [503]);
    assert!(
        received.contains("\"code\":\"batches_busy\"") && received.contains("Retry-After: 1\r\n")
    );
    room.event(0, Event::Broken(gone));
    room.run();
    release(&mut room);
    let count = |kind: &str| kinds(&room).iter().filter(|it| *it == kind).count();
    assert_eq!(
        (count("body"), count("decision")),
        (4, 4),
        "what had entered the log"
    );
    room.send(0, busy, batch(&records(1..=10)).as_bytes());
    let expect = [
        ((200, "hit".to_string()), 4),
        ((200, "miss".to_string()), 6),
    ];
    assert_eq!(tally(&room.received(0, busy)), expect.into());
}
