//! Whole runs against peers in this process: one that judges as a gateway does, and others that close, talk nonsense or are away. What
//! a run counted is compared with what its peer saw; no time is asserted but where arithmetic bounds it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flk_bench_load::arrivals::{Curve, Ramp, Spacing};
use flk_bench_load::claims::Regime;
use flk_bench_load::message;
use flk_bench_load::mix::{Kind, Mix};
use flk_bench_load::record::{Carries, Fields, Recipe, Shape, Sign};
use flk_bench_load::run::{Log, Loop, Plan, RunResult, due_counts, run, supplies};
use flk_bench_load::travel::Travel;
use sha2::{Digest as _, Sha256};

/// A key whose signature is a digest of the id and of a secret.
struct Plain;

fn signature(id: &str) -> String {
    STANDARD.encode(Sha256::digest(format!("secret {id}")))
}

impl Sign for Plain {
    fn sign(&self, fields: Fields<'_>) -> String {
        signature(fields.pcs_id)
    }
}

/// Calls `answer` with each body and what was answered on this connection before; nothing: the connection ends.
fn peer(answer: impl Fn(&str, u64) -> Option<String> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || serve(stream, &*answer));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str, u64) -> Option<String>) {
    stream.set_nodelay(true).unwrap();
    let (mut received, mut input) = (Vec::new(), vec![0; 1 << 16]);
    for before in 0.. {
        let end = loop {
            if let Some(end) = message::end(&received) {
                break end;
            }
            match stream.read(&mut input) {
                Ok(0) | Err(_) => return,
                Ok(count) => received.extend_from_slice(&input[..count]),
            }
        };
        let request: Vec<u8> = received.drain(..end).collect();
        let text = String::from_utf8(request).unwrap();
        let body = text.split_once("\r\n\r\n").unwrap().1;
        let Some(answer) = answer(body, before) else {
            return;
        };
        // In two pieces, so that each answer is read in part first.
        let pieces = answer.as_bytes().split_at(answer.len() / 2);
        let written = stream.write_all(pieces.0);
        if written.and_then(|()| stream.write_all(pieces.1)).is_err() {
            return;
        }
    }
}

fn answer(status: u16, dedup: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nFlk-Dedup: {dedup}\r\nContent-Length: 2\r\n\r\n{{}}")
}

fn member<'a>(body: &'a str, name: &str) -> &'a str {
    let rest = body.split_once(&format!("\"{name}\":\"")).unwrap().1;
    rest.split_once('"').unwrap().0
}

/// Judges as a gateway does.
#[derive(Default)]
struct Judge {
    seen: Mutex<BTreeSet<String>>,
    answers: Mutex<std::collections::BTreeMap<(u16, &'static str), u64>>,
}

impl Judge {
    fn answer(&self, body: &str) -> String {
        let (status, dedup) = self.judge(body);
        answer(status, dedup)
    }

    /// The answer to a batch: a line for each record.
    fn answer_batch(&self, body: &str) -> String {
        let line = |(at, record): (usize, &str)| {
            let (status, dedup) = self.judge(record);
            let dedup = match dedup {
                "" => String::new(),
                dedup => format!(r#","dedup":"{dedup}","outcome":{{}}"#),
            };
            format!("{{\"line\":{},\"status\":{status}{dedup}}}\n", at + 1)
        };
        let lines: String = body.lines().enumerate().map(line).collect();
        let length = lines.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{lines}")
    }

    fn judge(&self, body: &str) -> (u16, &'static str) {
        let (id, sig) = (member(body, "pcs_id"), member(body, "sig"));
        let (status, dedup) = match () {
            () if !body.ends_with('}') || body.contains("\"attempt\":0,") => (400, ""),
            () if sig != signature(id) => (401, ""),
            () => match self.seen.lock().unwrap().insert(id.to_owned()) {
                true => (200, "miss"),
                false => (200, "hit"),
            },
        };
        *self
            .answers
            .lock()
            .unwrap()
            .entry((status, dedup))
            .or_insert(0) += 1;
        (status, dedup)
    }

    fn count(&self, status: u16, dedup: &str) -> u64 {
        let answers = self.answers.lock().unwrap();
        let these = answers
            .iter()
            .filter(|((one, other), _)| (*one, *other) == (status, dedup));
        these.map(|(_, count)| count).sum()
    }
}

fn judging() -> (Arc<Judge>, SocketAddr) {
    let judge = Arc::new(Judge::default());
    let answering = judge.clone();
    (judge, peer(move |body, _| Some(answering.answer(body))))
}

fn open(per_second: f64, milliseconds: u64) -> Loop {
    Loop::Open {
        curve: Curve {
            warm_up: Duration::ZERO,
            ramp: Ramp {
                from_per_second: per_second,
                to_per_second: per_second,
                duration: Duration::from_millis(milliseconds),
            },
        },
        spacing: Spacing::Constant,
    }
}

fn closed(milliseconds: u64) -> Loop {
    Loop::Closed {
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(milliseconds),
    }
}

fn plan(address: SocketAddr, pace: Loop) -> Plan {
    Plan {
        address,
        connections_count: 4,
        threads_count: 1,
        cpus: Vec::new(),
        pace,
        travel: Travel::ALONE,
        mix: Mix::NEW_ONLY,
        seed: 1,
        timeout: Duration::from_secs(30),
        log: Log::Dropped,
    }
}

fn recipe(body_bytes: usize) -> Arc<Recipe> {
    recipe_of(Carries::Record, &[], body_bytes)
}

fn recipe_of(carries: Carries, tenants: &[String], body_bytes: usize) -> Arc<Recipe> {
    let shape = Shape {
        authority: "peer",
        path: match carries {
            Carries::Record => "/v1/pcs/submit",
            Carries::Batch => "/v1/pcs/batch",
        },
        carries,
        tenants,
        body_bytes,
        shard_id: "run",
        regime: Regime::Sticky,
    };
    Arc::new(Recipe::new(&shape, vec![vec![Arc::new(Plain)]]))
}

fn run_with(plan: &Plan, recipe: &Arc<Recipe>) -> RunResult {
    let stop = AtomicBool::new(false);
    run(plan, recipe, supplies(plan, recipe), &stop, |_, _| {}).unwrap()
}

/// A batch of ten, twice the rate of requests: shares, tenants and counts are those of records.
#[test]
fn the_records_of_batches_are_counted_one_by_one() {
    let judge = Arc::new(Judge::default());
    let answering = judge.clone();
    let address = peer(move |body, _| Some(answering.answer_batch(body)));
    let mut plan = plan(address, open(20_000.0, 1_000));
    plan.travel.batch = Some(10);
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
    plan.travel.batch = Some(100);
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
        plan.travel.batch = Some(2);
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
    let pace = Loop::Closed {
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(300),
    };
    let outcome = run_with(&plan(address, pace), &recipe(0));
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
