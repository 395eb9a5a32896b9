//! A shard that stands still: it is said, counted and seen in readiness while the other shard serves on, and when it moves
//! again everything is as before. A planted hang stops the thread in the middle of a turn.

use flk_dataplane::driver::affinity::{allowed_cpus, quota_cpus};
use flk_e2e::setting::Setting;
use flk_testkit::client::{Connection, Response, submit};
use flk_testkit::gateway::{Gateway, planted_binary};
use flk_testkit::metrics::Metrics;
use flk_testkit::records::record;
use flk_testkit::{DEADLINE, wait_until};

on_every_host!(a_shard_that_stands_still_is_reported_and_the_other_serves_on);

/// The hang, in milliseconds: longer than the deadline of a request and the time until the hang is reported.
const HANG: &str = "BatchHandedOver:1:9000";
/// Connections at a time. The kernel spreads them over the shards; that one of two gets none is a chance of 2^-31.
const CONNECTIONS: usize = 32;

fn a_shard_that_stands_still_is_reported_and_the_other_serves_on(setting: Setting) {
    if allowed_cpus().unwrap().len() < 2 || quota_cpus().is_some_and(|quota| quota < 2.0) {
        flk_testkit::skipped("a shard that stands still: this process may use one CPU only");
        return;
    }
    let directory = setting.directory();
    let mut plan = setting.plan(directory.path());
    plan.program = planted_binary();
    let gateway = plan
        .with("FLK_CORES", "2")
        .with("FLK_HANG_AT", HANG)
        .start();
    let mut first = gateway.connect();
    first.send(&submit(&record(0).body)).unwrap();
    gateway.wait_until_said("has made no turn for ");

    let mut served = those_that_are_served(&gateway);
    let mut get = |path: &str| served[0].get(path).unwrap();
    assert_eq!(get("/livez").status, 200);
    let ready = get("/readyz");
    assert_eq!(
        (ready.status, ready.problem_code().as_str()),
        (503, "shard_stuck")
    );
    let stuck = Metrics::read(get("/metrics").text());
    let of = |page: &Metrics, name: &str| -> u64 {
        (0..2)
            .map(|shard| page.count(&format!("{name}{{shard=\"{shard}\"}}")))
            .sum()
    };
    assert_eq!(of(&stuck, "flk_shard_stuck"), 1);
    records_of_the_other_shard_are_answered(&mut served);

    gateway.wait_until_said("makes turns again, after ");
    wait_until("ready again", DEADLINE, || {
        gateway.get("/readyz").status == 200
    });
    let moves = Metrics::read(gateway.get("/metrics").text());
    assert_eq!(of(&moves, "flk_shard_stuck"), 0);
    assert!(of(&moves, "flk_shard_stuck_times_total") >= 1);
    is_answered_in_time_or_refused(&first.response().unwrap());
    assert_eq!(gateway.post(&record(0).body).status, 200);
    assert_eq!(gateway.stop().code(), 0);
}

/// Connections at shards that make turns.
fn those_that_are_served(gateway: &Gateway) -> Vec<Connection> {
    let mut all: Vec<Connection> = (0..CONNECTIONS).map(|_| gateway.connect()).collect();
    for connection in &mut all {
        connection
            .send(b"GET /livez HTTP/1.1\r\nHost: gateway\r\n\r\n")
            .unwrap();
    }
    let mut served = Vec::new();
    wait_until("a shard that answers", DEADLINE, || {
        let (silent, answered) = std::mem::take(&mut all)
            .into_iter()
            .partition(|connection| connection.is_silent().unwrap());
        all = silent;
        served.extend(answered);
        served.len() >= CONNECTIONS / 8
    });
    for connection in &mut served {
        assert_eq!(connection.response().unwrap().status, 200);
    }
    served
}

/// Those whose ids the shard that moves owns at once, the others when their time is over.
fn records_of_the_other_shard_are_answered(served: &mut [Connection]) {
    for (connection, number) in served.iter_mut().zip(1..) {
        for number in [number, number + 1000, number + 2000, number + 3000] {
            connection.send(&submit(&record(number).body)).unwrap();
        }
    }
    let mut statuses = Vec::new();
    for connection in served {
        for _ in 0..4 {
            let answer = connection.response().unwrap();
            is_answered_in_time_or_refused(&answer);
            statuses.push(answer.status);
        }
    }
    assert!(
        statuses.contains(&200) && statuses.contains(&503),
        "{statuses:?}"
    );
}

fn is_answered_in_time_or_refused(answer: &Response) {
    match answer.status {
        200 => {}
        _ => assert_eq!(answer.problem_code(), "deadline_exceeded", "{answer:?}"),
    }
}
