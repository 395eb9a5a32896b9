//! The limit of open files: a gateway starts with what it allows and says so, or refuses by name; and however many
//! sockets clients open, probes are answered and files are made.

use flk_e2e::setting::Setting;
use flk_testkit::client::{Connection, submit};
use flk_testkit::gateway::Gateway;
use flk_testkit::metrics::Metrics;
use flk_testkit::records::record;
use flk_testkit::{DEADLINE, wait_until};

on_every_host!(
    it_starts_with_the_connections_that_the_limit_allows_and_says_how_many,
    too_low_a_limit_is_refused_by_name_with_the_value_needed,
    probes_and_metrics_are_answered_while_idle_sockets_take_every_place,
    sockets_never_take_the_descriptors_that_files_need,
);

fn connections_max(gateway: &Gateway) -> u64 {
    let page = gateway.get("/metrics");
    Metrics::read(page.text()).count("flk_connections_max")
}

fn it_starts_with_the_connections_that_the_limit_allows_and_says_how_many(setting: Setting) {
    let mut before = 0;
    for files in [64, 128, 256, 1024, 4096, 16_384] {
        let directory = setting.directory();
        let gateway = setting
            .plan(directory.path())
            .with_open_files_max(files)
            .start();
        let all = connections_max(&gateway);
        assert!(all > before, "{files} files: {all} connections");
        before = all;
        gateway.wait_until_said(&format!("for {all} connections"));
        let is_less = gateway.said().contains(&format!("open files is {files}: "));
        assert_eq!(is_less, files < 16_384, "{}", gateway.said());
        assert_eq!(gateway.post(&record(1).body).status, 200);
        let ended = gateway.stop();
        assert_eq!(ended.code(), 0, "{ended}");
    }
}

fn too_low_a_limit_is_refused_by_name_with_the_value_needed(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path());
    let ended = plan.clone().with_open_files_max(20).run_to_end();
    assert_eq!(ended.code(), 78, "{ended}");
    assert!(ended.said.contains("LimitNOFILE"), "{ended}");
    let (_, rest) = ended.said.split_once("need at least ").unwrap();
    let needed: u32 = rest.split_once(':').unwrap().0.parse().unwrap();
    let gateway = plan.with_open_files_max(needed).start();
    assert_eq!(gateway.post(&record(1).body).status, 200);
}

/// Opens sockets that say nothing. The kernel completes them whether or not the gateway takes them.
fn flood(gateway: &Gateway, sockets: usize) -> Vec<Connection> {
    (0..sockets).map(|_| gateway.connect()).collect()
}

fn probes_and_metrics_are_answered_while_idle_sockets_take_every_place(setting: Setting) {
    const SOCKETS: usize = 500;
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with_open_files_max(128)
        .start();
    let mut idle = flood(&gateway, SOCKETS);
    for (at, connection) in idle.iter_mut().enumerate().step_by(2) {
        // Some say half a request; they may have been closed by now.
        let half = &submit(&record(at as u64).body)[..40 + at];
        let _closed = connection.send(half);
    }
    for round in 0..20 {
        assert_eq!(gateway.get("/readyz").status, 200, "round {round}");
        let page = gateway.get("/metrics");
        assert_eq!(page.status, 200);
        assert_eq!(gateway.post(&record(1_000 + round).body).status, 200);
        idle.extend(flood(&gateway, 10));
    }
    wait_until("connections were closed", DEADLINE, || {
        let page = gateway.get("/metrics");
        let metrics = Metrics::read(page.text());
        metrics.count("flk_connections_evicted_total") > 300
    });
    gateway.wait_until_said("closed to make room");
    let lines = gateway.said().matches("closed to make room").count();
    assert_eq!(lines, 1, "{}", gateway.said());
    let ended = gateway.stop();
    assert_eq!(ended.code(), 0, "{ended}");
}

/// New segments, manifests and slices are made while clients hold as many sockets as they get.
fn sockets_never_take_the_descriptors_that_files_need(setting: Setting) {
    const RECORDS: u64 = 240;
    let directory = setting.directory();
    let mut gateway = setting
        .plan(directory.path())
        .with_open_files_max(96)
        .start();
    let mut idle = Vec::new();
    let mut busy = gateway.connect();
    for number in 0..RECORDS {
        if number % 16 == 0 {
            idle.extend(flood(&gateway, 20));
        }
        let mut body = record(number).body;
        body.resize(100_000, b' ');
        if busy.send(&submit(&body)).is_err() {
            busy = gateway.connect();
            busy.send(&submit(&body)).unwrap();
        }
        let answer = busy.response().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert!(gateway.is_running());
    let ended = gateway.stop();
    assert_eq!(ended.code(), 0, "{ended}");
    assert!(!ended.said.contains("Too many open files"), "{ended}");
}
