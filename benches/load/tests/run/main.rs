//! Whole runs against peers in this process: one that judges as a gateway does, and others that close, talk nonsense or are away. What
//! a run counted is compared with what its peer saw; no time is asserted but where arithmetic bounds it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod peer;
mod travel;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flk_bench_load::mix::{Kind, Mix};
use flk_bench_load::run::{Loop, due_counts, run, supplies};

use peer::*;

#[test]
fn a_mix_is_sent_to_the_last_request_and_counted_as_the_peer_counts_it() {
    let (judge, address) = judging();
    let mut plan = plan(address, open(3_000.0, 1_500));
    plan.mix = Mix {
        duplicates: 0.2,
        bad_signatures: 0.1,
        malformed: 0.05,
        ..Mix::NEW_ONLY
    };
    plan.threads_count = 2;
    let recipe = recipe(0);
    let mut supplies = supplies(&plan, &recipe);
    let due = due_counts(&plan).unwrap();
    assert_eq!(due.iter().sum::<u64>(), 4_500);
    let ahead: u64 = supplies
        .iter_mut()
        .zip(due)
        .map(|(it, due)| it.sign_ahead(due))
        .sum();
    let stop = AtomicBool::new(false);
    let outcome = run(&plan, &recipe, supplies, &stop, |_, _| {}).unwrap();
    let counts = &outcome.total.measured;
    assert_eq!(
        (counts.sent(), counts.answered(), counts.wrong()),
        (4_500, 4_500, 0)
    );
    assert_eq!(counts.errors(), 0, "{counts:?}");
    assert_eq!(counts.signed_ahead, ahead);
    for (kind, status, dedup) in [
        (Kind::New, 200, "miss"),
        (Kind::Duplicate, 200, "hit"),
        (Kind::BadSignature, 401, ""),
        (Kind::Malformed, 400, ""),
    ] {
        let of_kind = counts.kinds[kind as usize];
        assert_eq!(of_kind.as_expected, judge.count(status, dedup), "{kind:?}");
        assert!(of_kind.sent > 100, "{kind:?}: {of_kind:?}");
    }
    for latencies in [
        &outcome.total.from_due,
        &outcome.total.from_sent,
        &outcome.total.lag,
    ] {
        assert_eq!(latencies.len(), 4_500);
    }
    let seconds: u64 = outcome.seconds.iter().map(|it| it.answered).sum();
    assert_eq!(seconds, 4_500);
    assert_eq!(outcome.threads.len(), 2);
}

#[test]
fn a_warm_up_is_sent_and_judged_but_not_measured() {
    let (judge, address) = judging();
    let mut pace = open(1_000.0, 500);
    if let Loop::Open { curve, .. } = &mut pace {
        curve.warm_up = Duration::from_millis(300);
    }
    let outcome = run_with(&plan(address, pace), &recipe(0));
    assert_eq!(outcome.total.warm_up.answered(), 300);
    assert_eq!(outcome.total.measured.answered(), 500);
    assert_eq!(outcome.total.from_due.len(), 500);
    assert_eq!(judge.count(200, "miss"), 800);
}

#[test]
fn a_closed_loop_sends_until_its_time_is_up_and_stops_when_told() {
    let (judge, address) = judging();
    let outcome = run_with(&plan(address, closed(300)), &recipe(0));
    let counts = &outcome.total.measured;
    assert!(counts.answered() > 0);
    assert_eq!(counts.answered(), judge.count(200, "miss"));
    assert_eq!(counts.errors() + counts.wrong(), 0);

    let hour = Duration::from_secs(3_600);
    for pace in [
        open(1_000.0, 3_600_000),
        Loop::Closed {
            warm_up: hour,
            duration: hour,
        },
    ] {
        let (plan, stop) = (plan(address, pace), AtomicBool::new(false));
        let recipe = recipe(0);
        let outcome = run(&plan, &recipe, supplies(&plan, &recipe), &stop, |_, _| {
            stop.store(true, Ordering::Relaxed);
        });
        let total = outcome.unwrap().total;
        assert!(total.measured.answered() + total.warm_up.answered() > 0);
        assert_eq!(
            total.measured.unanswered.unsent, 0,
            "what was never due is not missing"
        );
    }
}

#[test]
fn an_answer_that_the_contract_forbids_is_wrong_and_what_is_not_judged_is_an_error() {
    for (status, dedup, wrong) in [
        (200, "hit", true),
        (202, "miss", true),
        (401, "", true),
        (503, "", false),
        (429, "", false),
    ] {
        let address = peer(move |_, _| Some(answer(status, dedup)));
        let counts = run_with(&plan(address, open(1_000.0, 100)), &recipe(0))
            .total
            .measured;
        let expect = match wrong {
            true => (100, 0),
            false => (0, 100),
        };
        assert_eq!(
            (counts.wrong(), counts.errors()),
            expect,
            "{status} {dedup}"
        );
        assert_eq!(counts.expected_in_time, 0, "{status} {dedup}");
    }
}

#[test]
fn connections_that_end_are_opened_again_and_each_lost_request_is_counted() {
    let lost = Arc::new(AtomicU64::new(0));
    let counted = lost.clone();
    let address = peer(move |_, before| {
        if before < 20 {
            return Some(answer(200, "miss"));
        }
        counted.fetch_add(1, Ordering::SeqCst);
        None
    });
    let counts = run_with(&plan(address, open(1_000.0, 500)), &recipe(0))
        .total
        .measured;
    assert_eq!(counts.unanswered.lost, lost.load(Ordering::SeqCst));
    assert!(counts.unanswered.lost >= 5, "{counts:?}");
    assert_eq!(counts.due(), 500);
    assert_eq!(counts.answered() + counts.unanswered.sum(), 500);
}

#[test]
fn an_announced_end_of_a_connection_loses_nothing() {
    let address =
        peer(|_, _| Some(answer(200, "miss").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")));
    let counts = run_with(&plan(address, open(500.0, 400)), &recipe(0))
        .total
        .measured;
    assert_eq!((counts.answered(), counts.errors()), (200, 0), "{counts:?}");
}

#[test]
fn nonsense_is_no_answer_and_ends_the_run_like_any_other() {
    let address = peer(|_, _| Some("220 smtp.example\r\n".to_owned()));
    let mut plan = plan(address, open(100.0, 200));
    plan.timeout = Duration::from_secs(2);
    let counts = run_with(&plan, &recipe(0)).total.measured;
    assert_eq!((counts.answered(), counts.due()), (0, 20));
    assert!(counts.unanswered.foreign > 0, "{counts:?}");
}

#[test]
fn without_a_peer_nothing_is_sent_and_the_latency_says_how_long_requests_waited() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut plan = plan(address, open(100.0, 200));
    plan.timeout = Duration::from_millis(300);
    let total = run_with(&plan, &recipe(0)).total;
    assert_eq!(
        (total.measured.sent(), total.measured.unanswered.unsent),
        (0, 20)
    );
    assert!(total.measured.unconnected >= 4, "{:?}", total.measured);
    assert_eq!(total.from_due.len(), 20);
    assert!(
        total.from_due.min() >= 250_000_000,
        "{}",
        total.from_due.min()
    );
}

#[test]
fn silence_is_a_time_out_and_the_rest_is_sent_elsewhere() {
    let address = peer(|_, before| {
        if before == 3 {
            std::thread::park();
        }
        Some(answer(200, "miss"))
    });
    let mut plan = plan(address, open(400.0, 200));
    plan.timeout = Duration::from_millis(200);
    let counts = run_with(&plan, &recipe(0)).total.measured;
    assert!(counts.unanswered.timed_out >= 4, "{counts:?}");
    assert_eq!(
        counts.answered() + counts.unanswered.sum(),
        80,
        "{counts:?}"
    );
}

#[test]
fn a_body_larger_than_any_buffer_arrives_whole() {
    let bytes = Arc::new(AtomicU64::new(0));
    let counted = bytes.clone();
    let address = peer(move |body, _| {
        counted.fetch_add(body.len() as u64, Ordering::SeqCst);
        Some(answer(200, "miss"))
    });
    let counts = run_with(&plan(address, open(100.0, 200)), &recipe(1 << 20))
        .total
        .measured;
    assert_eq!((counts.answered(), counts.errors()), (20, 0), "{counts:?}");
    assert_eq!(bytes.load(Ordering::SeqCst), 20 << 20);
}

/// One connection to a peer that answers its first request after 400 ms: from when they were due many requests wait,
/// from when they were sent one does. Both follow from the numbers, however busy the machine is.
#[test]
fn a_stall_shows_from_when_requests_were_due_and_hides_from_when_they_were_sent() {
    let address = peer(|_, before| {
        let begun = std::time::Instant::now();
        // The first answer of the connection takes 400 ms.
        while before == 0 && begun.elapsed() < Duration::from_millis(400) {
            std::thread::park_timeout(Duration::from_millis(400));
        }
        Some(answer(200, "miss"))
    });
    let mut plan = plan(address, open(500.0, 1_000));
    plan.connections_count = 1;
    let total = run_with(&plan, &recipe(0)).total;
    assert_eq!(total.measured.answered(), 500);
    // Of those that were due in the first 200 ms each waited 200 ms and more.
    let slow = |latencies: &flk_bench_load::tally::Latencies| {
        latencies.count_between(190_000_000, u64::MAX)
    };
    assert!(slow(&total.from_due) >= 100, "{}", slow(&total.from_due));
    assert!(total.measured.waited_for_connection >= 100);
    // The wait for a connection is the peer's, not the generator's.
    assert!(slow(&total.lag) <= 6 * (total.from_due.max() / 1_000_000_000 + 2));
    // One connection has at most five answers a second that take 200 ms.
    let elapsed_s = total.from_due.max() / 1_000_000_000 + 2;
    assert!(
        slow(&total.from_sent) <= 6 * elapsed_s,
        "{}",
        slow(&total.from_sent)
    );
    assert!(total.from_due.value_at_quantile(0.9) >= total.from_sent.value_at_quantile(0.9));
}

#[test]
fn a_record_that_was_not_judged_is_never_repeated() {
    let (judge, asked) = (Arc::new(Judge::default()), AtomicU64::new(0));
    let answering = judge.clone();
    let address = peer(
        move |body, _| match asked.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => Some(answer(503, "")),
            _ => Some(answering.answer(body)),
        },
    );
    let mut plan = plan(address, open(2_000.0, 500));
    plan.mix.duplicates = 0.5;
    let counts = run_with(&plan, &recipe(0)).total.measured;
    assert_eq!(counts.wrong(), 0, "{counts:?}");
    assert!(judge.count(200, "hit") > 100, "{counts:?}");
    assert!(counts.errors() > 300, "{counts:?}");
    let as_expected: u64 = counts.kinds.iter().map(|it| it.as_expected).sum();
    assert!(
        (1..=as_expected).contains(&counts.expected_in_time),
        "{counts:?}"
    );
}

#[test]
fn bytes_behind_an_answer_are_no_answer_of_a_gateway() {
    let address = peer(|_, _| Some(answer(200, "miss") + "more"));
    let mut plan = plan(address, open(100.0, 100));
    plan.timeout = Duration::from_secs(1);
    let counts = run_with(&plan, &recipe(0)).total.measured;
    assert_eq!(counts.answered(), 0, "{counts:?}");
    assert!(counts.unanswered.foreign > 0, "{counts:?}");
}

#[test]
fn every_second_is_told_although_threads_end_in_different_ones() {
    let (_, address) = judging();
    let mut plan = plan(address, open(1.0, 2_000));
    plan.threads_count = 2;
    let mut told = Vec::new();
    let (recipe, stop) = (recipe(0), AtomicBool::new(false));
    let outcome = run(
        &plan,
        &recipe,
        supplies(&plan, &recipe),
        &stop,
        |second, _| {
            told.push(second.answered);
        },
    );
    let seconds = outcome.unwrap().seconds;
    assert_eq!(told.iter().sum::<u64>(), 2, "{told:?}");
    assert_eq!(seconds.len(), told.len());
}
