//! Batches and pipelines: counts are of records, an answer is that to its request, and what is under way is bounded.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use flk_bench_load::message;
use flk_bench_load::mix::{Kind, Mix};
use flk_bench_load::record::Carries;
use flk_bench_load::run::{Loop, due_counts};

use crate::peer::{Judge, answer, closed, open, peer, plan, recipe, recipe_of, run_with};

/// A batch of ten, twice the rate of requests: shares, tenants and counts are those of records.
#[test]
fn the_records_of_batches_are_counted_one_by_one() {
    let judge = Arc::new(Judge::default());
    let answering = judge.clone();
    let address = peer(move |body, _| Some(answering.answer_batch(body)));
    let mut plan = plan(address, open(20_000.0, 1_000));
    plan.travel.records = 10;
    plan.mix = Mix {
        duplicates: 0.2,
        bad_signatures: 0.1,
        malformed: 0.05,
        tenants_count: 2,
        ..Mix::NEW_ONLY
    };
    let tenants = ["a".to_owned(), "b".to_owned()];
    let recipe = recipe_of(Carries::Batch, &tenants, 0);
    assert_eq!(due_counts(&plan).unwrap(), [20_000]);
    let outcome = run_with(&plan, &recipe);
    let counts = &outcome.total.measured;
    assert_eq!(
        (counts.sent(), counts.answered(), counts.wrong()),
        (20_000, 20_000, 0),
        "{counts:?}"
    );
    assert_eq!((counts.errors(), outcome.total.from_due.len()), (0, 2_000));
    for (kind, status, dedup) in [
        (Kind::New, 200, "miss"),
        (Kind::Duplicate, 200, "hit"),
        (Kind::BadSignature, 401, ""),
        (Kind::Malformed, 400, ""),
    ] {
        let as_expected = counts.kinds[kind as usize].as_expected;
        assert!(as_expected > 500, "{kind:?}: {as_expected}");
        assert_eq!(as_expected, judge.count(status, dedup), "{kind:?}");
    }
}

#[test]
fn a_batch_refused_as_a_whole_is_that_answer_for_each_of_its_records() {
    let address = peer(|_, _| Some(answer(503, "")));
    let mut plan = plan(address, open(1_000.0, 500));
    plan.travel.records = 100;
    let outcome = run_with(&plan, &recipe_of(Carries::Batch, &[], 0));
    let counts = &outcome.total.measured;
    assert_eq!((counts.sent(), counts.unjudged()), (500, 500));
    assert_eq!(outcome.total.from_due.len(), 5);
}

#[test]
fn lines_that_do_not_fit_their_batch_are_no_answer() {
    for lines in [
        "{\"line\":1,\"status\":200,\"dedup\":\"miss\"}\n",
        "{\"line\":2,\"status\":200}\n{\"line\":1,\"status\":200}\n",
        "{\"line\":1,\"status\":200}\n{\"line\":2,\"status\":200}\n{\"line\":3,\"status\":200}\n",
        "hello\n\n",
    ] {
        let length = lines.len();
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{lines}");
        let address = peer(move |_, _| Some(text.clone()));
        let mut plan = plan(address, open(20.0, 100));
        plan.travel.records = 2;
        let outcome = run_with(&plan, &recipe_of(Carries::Batch, &[], 0));
        let counts = &outcome.total.measured;
        let found = (counts.answered(), counts.unanswered.foreign);
        assert_eq!(found, (0, 2), "{lines}");
    }
}

/// The peer answers nothing before it has as many requests as the connection may have under way: without pipelining it
/// would wait for ever, and with more they would never be as many at its end.
#[test]
fn a_connection_has_as_many_requests_under_way_as_it_may() {
    const DEPTH: usize = 6;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut received, mut input) = (Vec::new(), vec![0; 1 << 16]);
        let mut sizes = Vec::new();
        loop {
            let mut answers = String::new();
            while answers.matches("HTTP").count() < DEPTH {
                let Some(end) = message::end(&received) else {
                    match stream.read(&mut input) {
                        Ok(0) | Err(_) => return sizes,
                        Ok(count) => received.extend_from_slice(&input[..count]),
                    }
                    continue;
                };
                received.drain(..end);
                answers += &answer(200, "miss");
            }
            // None is under way beside these.
            sizes.push(received.len());
            stream.write_all(answers.as_bytes()).unwrap();
        }
    });
    let mut plan = plan(address, closed(300));
    plan.connections_count = 1;
    plan.timeout = Duration::from_millis(300);
    plan.travel.pipeline = DEPTH as u32;
    let outcome = run_with(&plan, &recipe(0));
    let counts = &outcome.total.measured;
    let sizes = peer.join().unwrap();
    assert!(
        sizes.len() > 3 && sizes.iter().all(|it| *it == 0),
        "{sizes:?}"
    );
    // What was under way at the end of the time is fewer than the peer waits for.
    assert!(counts.unanswered.sum() < DEPTH as u64, "{counts:?}");
    assert_eq!(counts.answered() % DEPTH as u64, 0);
    assert_eq!(counts.sent(), counts.answered() + counts.unanswered.sum());
}

#[test]
fn what_stands_behind_an_answer_that_closes_is_lost_and_counted() {
    let closing =
        "HTTP/1.1 200 OK\r\nFlk-Dedup: miss\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    let address = peer(move |_, before| (before == 0).then(|| closing.to_owned()));
    let mut plan = plan(address, open(2_000.0, 300));
    plan.travel.pipeline = 4;
    plan.connections_count = 1;
    let outcome = run_with(&plan, &recipe(0));
    let counts = &outcome.total.measured;
    assert_eq!((counts.due(), counts.wrong()), (600, 0), "{counts:?}");
    assert_eq!(counts.due(), counts.answered() + counts.unanswered.sum());
    assert!(
        counts.answered() > 0 && counts.unanswered.lost > 0,
        "{counts:?}"
    );
}

/// One batch is due, at the beginning: its answer comes long before the second is over.
#[test]
fn a_run_lasts_as_long_as_was_asked_for_although_its_last_answer_comes_earlier() {
    let address = peer(|_, _| Some(answer(503, "")));
    let mut plan = plan(address, open(1_000.0, 1_000));
    plan.travel.records = 1_000;
    let outcome = run_with(&plan, &recipe_of(Carries::Batch, &[], 0));
    assert_eq!(outcome.measured, Duration::from_secs(1));
}

/// The only request is sent in the warm-up and answered within the measurement.
#[test]
fn the_rate_counts_answers_by_when_they_come() {
    let address = peer(|_, before| {
        std::thread::sleep(Duration::from_millis(1_500));
        (before == 0).then(|| answer(200, "miss"))
    });
    let mut plan = plan(
        address,
        Loop::Closed {
            warm_up: Duration::from_millis(300),
            duration: Duration::from_millis(2_500),
        },
    );
    plan.connections_count = 1;
    let total = run_with(&plan, &recipe(0)).total;
    let found = (total.warm_up.answered(), total.measured.answered());
    assert_eq!((found, total.measured.expected_in_time), ((1, 0), 1));
}

#[test]
fn only_what_waited_too_long_is_timed_out_and_what_stands_behind_it_is_lost() {
    let address = peer(|_, _| {
        std::thread::park();
        None
    });
    let mut plan = plan(address, open(40.0, 1_500));
    plan.connections_count = 1;
    plan.travel.pipeline = 64;
    plan.timeout = Duration::from_millis(500);
    let counts = run_with(&plan, &recipe(0)).total.measured;
    let unanswered = counts.unanswered;
    assert!(
        unanswered.timed_out > 0 && unanswered.lost > 0,
        "{counts:?}"
    );
    assert_eq!(counts.due(), unanswered.sum());
}

/// The peer answers one request and closes with others unread, which resets the connection under writes.
#[test]
fn answers_that_arrived_count_although_the_connection_was_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut some = [0; 16];
            if stream.read_exact(&mut some).is_ok() {
                let _is_gone = stream.write_all(answer(200, "miss").as_bytes());
            }
        }
    });
    let mut plan = plan(address, open(4_000.0, 500));
    plan.connections_count = 1;
    plan.travel.pipeline = 16;
    let counts = run_with(&plan, &recipe(0)).total.measured;
    assert!(counts.answered() > 0, "{counts:?}");
    assert_eq!(counts.wrong(), 0, "{counts:?}");
    assert_eq!(counts.due(), counts.answered() + counts.unanswered.sum());
}
