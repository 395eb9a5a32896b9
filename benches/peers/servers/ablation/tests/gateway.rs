//! The gateway under each driver and executor, from outside: right answers, durable before the answer, a start on what a killed one left. Where
//! the host refuses io_uring it is skipped, aloud.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use flk_bench_load::stock::Request;
use flk_dataplane::driver::probe::{Requested, choose};
use flk_testkit::client::Response;
use flk_testkit::plan::Plan;
use flk_testkit::records::KEY;

/// The gateway's own drivers too: the bench runs them by this program.
const ALL: [&str; 4] = ["uring", "portable", "glommio", "compio"];

fn each(check: impl Fn(&Plan)) {
    if let Err(refused) = choose(Requested::Uring) {
        flk_testkit::skipped(&format!("the shard under other executors: {refused}"));
        return;
    }
    for name in ALL {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        check(&plan(name, directory.path()));
    }
}

fn plan(name: &str, directory: &Path) -> Plan {
    Plan::new(env!("CARGO_BIN_EXE_flk-ablation"), directory)
        .with_arguments(&[name])
        .with("FLK_CORES", "1")
        .with("FLK_DRIVER", "portable")
        .with("FLK_SANDBOX", "off")
}

fn record(number: u64) -> Request {
    Request::with_record("host", KEY.as_bytes(), number)
}

#[track_caller]
fn assert_answer(answer: &Response, status: u16, dedup: Option<&str>) {
    assert_eq!((answer.status, answer.dedup()), (status, dedup));
}

#[test]
fn a_new_record_a_duplicate_and_a_forged_one_get_the_answers_of_the_gateway() {
    each(|plan| {
        let gateway = plan.start();
        assert!(gateway.said().contains("shards run under"));
        let first = gateway.post(record(1).body());
        assert_answer(&first, 200, Some("miss"));
        let again = gateway.post(record(1).body());
        assert_answer(&again, 200, Some("hit"));
        assert_eq!(again.body, first.body);
        let forged = Request::with_record("host", b"another key of 32 bytes or more ....", 2);
        assert_answer(&gateway.post(forged.body()), 401, None);
        assert_answer(&gateway.post(record(2).body()), 200, Some("miss"));
        let ended = gateway.stop();
        assert_eq!(ended.code(), 0, "{ended}");
    });
}

#[test]
fn what_was_answered_is_there_after_a_kill() {
    each(|plan| {
        let gateway = plan.start();
        let mut connection = gateway.connect();
        for number in 0..200 {
            let answer = connection.post(record(number).body()).unwrap();
            assert_answer(&answer, 200, Some("miss"));
        }
        gateway.kill();
        let gateway = plan.start();
        let mut connection = gateway.connect();
        for number in 0..200 {
            let answer = connection.post(record(number).body()).unwrap();
            assert_answer(&answer, 200, Some("hit"));
        }
        gateway.stop();
    });
}

#[test]
fn many_connections_share_a_log_write_and_segments_roll() {
    const CONNECTIONS_COUNT: u64 = 64;
    const ROUNDS: u64 = 15;
    const SEGMENT_BYTES: f64 = 4.0 * 1024.0 * 1024.0; // as the plan says
    each(|plan| {
        let gateway = plan.start();
        let mut connections: Vec<_> = (0..CONNECTIONS_COUNT).map(|_| gateway.connect()).collect();
        for round in 0..ROUNDS {
            for (connection, number) in connections.iter_mut().zip(0..) {
                let mut body = record(round * CONNECTIONS_COUNT + number).body().to_vec();
                body.extend_from_slice(&[b' '; 8 * 1024]); // JSON allows it
                let bytes = flk_testkit::client::submit(&body);
                connection.send(&bytes).unwrap();
            }
            for connection in &mut connections {
                assert_answer(&connection.response().unwrap(), 200, Some("miss"));
            }
        }
        let metrics = gateway.get("/metrics");
        let syncs = sample(metrics.text(), "flk_wal_syncs");
        let records_count = (ROUNDS * CONNECTIONS_COUNT) as f64;
        assert!((1.0..records_count / 2.0).contains(&syncs), "{syncs}");
        let bytes = sample(metrics.text(), "flk_wal_bytes_written");
        assert!(bytes > 1.5 * SEGMENT_BYTES, "{bytes} fit into one segment");
        gateway.stop();
    });
}

/// The sum of a counter over its labels.
fn sample(text: &str, name: &str) -> f64 {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name));
    let own = samples.filter(|rest| rest.starts_with([' ', '{']));
    own.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[test]
fn a_client_that_ends_and_one_that_sends_slowly_are_served() {
    each(|plan| {
        let gateway = plan.start();
        let bytes = flk_testkit::client::submit(record(1).body());
        let mut slow = gateway.connect();
        for part in bytes.chunks(100) {
            slow.send(part).unwrap();
            // Another request in between, so that the parts arrive as parts.
            assert_eq!(gateway.get("/readyz").status, 200);
        }
        assert_answer(&slow.response().unwrap(), 200, Some("miss"));
        let mut ending = gateway.connect();
        ending.send(&bytes).unwrap();
        ending.finish().unwrap();
        assert_answer(&ending.response().unwrap(), 200, Some("hit"));
        assert!(ending.closes());
        gateway.stop();
    });
}
