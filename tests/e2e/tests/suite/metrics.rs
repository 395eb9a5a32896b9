//! `/metrics`: the promised names exactly, what each request raises and nothing else, and who may read it.

use flk_dataplane::driver::statistics::Reader;
use flk_dataplane::stats::exposition::Format;
use flk_dataplane::stats::table::metrics as declared;
use flk_e2e::setting::Setting;
use flk_testkit::gateway::{Gateway, status_of};
use flk_testkit::golden::bytes;
use flk_testkit::metrics::Metrics;
use flk_testkit::records::record;
use flk_testkit::{DEADLINE, wait_until};
use std::collections::BTreeSet;

on_every_host!(
    the_promised_names_are_there_unlabelled_and_integer,
    each_answer_raises_its_counters_and_no_others,
    the_page_holds_the_metrics_of_the_table_and_no_others_in_both_formats,
    the_horizon_is_the_age_of_the_oldest_record_over_starts_too,
    another_process_maps_the_statistics_and_reads_the_same,
    credentials_are_asked_for_where_they_are_set,
);

const PROMISED: [&str; 7] = [
    "flk_ingest_total",
    "flk_dedup_hits",
    "flk_accepted",
    "flk_escalated",
    "flk_signature_errors",
    "flk_signature_err",
    "flk_wal_errors",
];

/// Samples about answers and the log itself, which every request and the passing of time change, and gauges of the table,
/// which follow the first outcome a turn of its owner later.
const ALWAYS: [&str; 23] = [
    "http_",
    "process_",
    "flk_shard_",
    "flk_stage_",
    "flk_wal_flush",
    "flk_wal_batch",
    "flk_log_waiting",
    "flk_request_bytes",
    "flk_unsent_bytes",
    "flk_mailbox",
    "flk_wal_bytes",
    "flk_wal_syncs",
    "flk_wal_records",
    "flk_turns",
    "flk_uring_enters_total",
    "flk_connections",
    "flk_dedup_keys",
    "flk_dedup_bytes",
    "flk_wal_segments",
    "flk_wal_horizon",
    "flk_manifest_bytes",
    "flk_slices",
    "flk_slice_memory_bytes",
];

fn metrics(gateway: &Gateway) -> Metrics {
    let page = gateway.get("/metrics");
    assert_eq!(page.status, 200);
    Metrics::read(page.text())
}

fn the_promised_names_are_there_unlabelled_and_integer(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let page = gateway.get("/metrics");
    let content_type = page.header("Content-Type").unwrap();
    assert!(
        content_type.starts_with("text/plain; version=0.0.4"),
        "{content_type}"
    );
    let metrics = Metrics::read(page.text());
    for name in PROMISED {
        assert_eq!(metrics.count(name), 0, "{name}");
        let labelled = format!("{name}{{");
        assert!(
            metrics.names().all(|found| !found.starts_with(&labelled)),
            "{name} has labels"
        );
        assert!(
            page.text().contains(&format!("# TYPE {name} counter\n")),
            "{name} has no type"
        );
    }
    metrics.count("http_requests_errors_total");
    for edge in ["0.1", "0.15", "0.2", "0.5", "+Inf"] {
        metrics.count(&format!(
            r#"http_request_duration_seconds_bucket{{le="{edge}"}}"#
        ));
    }
    metrics.count("http_request_duration_seconds_count");
    metrics.text("http_request_duration_seconds_sum");
}

fn the_page_holds_the_metrics_of_the_table_and_no_others_in_both_formats(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let page = |accept: &str| {
        let mut connection = gateway.connect();
        let head = format!("GET /metrics HTTP/1.1\r\nHost: gateway\r\n{accept}\r\n");
        connection.send(head.as_bytes()).unwrap();
        connection.response().unwrap()
    };
    let families = |text: &str| -> BTreeSet<String> {
        let kinds = text.lines().filter_map(|it| it.strip_prefix("# TYPE "));
        kinds
            .filter_map(|it| it.split(' ').next())
            .map(str::to_owned)
            .collect()
    };
    let expected: BTreeSet<String> = declared().map(|it| it.name.to_owned()).collect();
    let plain = page("Accept: text/plain\r\n");
    assert_eq!(families(plain.text()), expected);
    let open = page("Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n");
    let content_type = open.header("Content-Type").unwrap();
    assert!(
        content_type.starts_with("application/openmetrics-text; version=1.0.0"),
        "{content_type}"
    );
    assert!(open.text().ends_with("\n# EOF\n"));
    assert_eq!(families(open.text()).len(), expected.len());
    let names = |text| -> BTreeSet<String> {
        let metrics = Metrics::read(text);
        let names = metrics.names().filter(|name| !name.contains("le="));
        names.map(str::to_owned).collect()
    };
    assert_eq!(names(open.text()), names(plain.text()));
}

fn the_horizon_is_the_age_of_the_oldest_record_over_starts_too(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path()).with("WAL_MAX_AGE", "2h");
    let gateway = plan.start();
    let horizon_s = |gateway: &Gateway| metrics(gateway).count("flk_wal_horizon_seconds");
    let reaches = |gateway: &Gateway, age_s| {
        wait_until("the log reaches back so far", DEADLINE, || {
            horizon_s(gateway) >= age_s
        });
    };
    assert_eq!(gateway.post(&record(0).body).status, 200);
    reaches(&gateway, 2);
    assert_eq!(
        metrics(&gateway).count("flk_wal_horizon_seconds_max"),
        7_200
    );
    let status = status_of(directory.path());
    assert!(status["horizon_s"].as_u64() >= Some(2), "{status}");
    assert_eq!(status["horizon_s_max"], 7_200);
    gateway.kill();
    // It is two seconds old at once, or the start would have made it younger.
    let gateway = plan.start();
    let first = wait_for_some(|| Some(horizon_s(&gateway)).filter(|age_s| *age_s > 0));
    assert!(first >= 2, "{first} s after a start");
}

/// Waits until there is a value.
fn wait_for_some<T>(mut value: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    wait_until("a value", DEADLINE, || {
        found = value();
        found.is_some()
    });
    found.expect("it was waited for")
}

fn another_process_maps_the_statistics_and_reads_the_same(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    assert_eq!(gateway.post(&record(1).body).status, 200);
    assert_eq!(gateway.post(&record(1).body).status, 200);
    let own = metrics(&gateway);
    let reader = Reader::ask(&directory.path().join("keeper.sock")).unwrap();
    assert_eq!(reader.pid(), u64::from(gateway.id()));
    let mut text = String::new();
    reader.render(Format::Prometheus, &mut text);
    let read = Metrics::read(&text);
    for name in PROMISED {
        assert_eq!(read.count(name), own.count(name), "{name}");
    }
    assert_eq!(read.count("flk_dedup_hits"), 1);
}

fn each_answer_raises_its_counters_and_no_others(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let accepted = bytes("records/pcs_tiny_case_1.json");
    let escalated = bytes("records/escalated_degraded.json");
    let forged = record(1).forged();
    let cases: [(&str, &[u8], u16, &[&str]); 6] = [
        (
            "accepted",
            &accepted,
            200,
            &["flk_accepted", "flk_ingest_total"],
        ),
        (
            "accepted again",
            &accepted,
            200,
            &["flk_dedup_hits", "flk_ingest_total"],
        ),
        (
            "escalated",
            &escalated,
            202,
            &["flk_escalated", "flk_ingest_total"],
        ),
        (
            "escalated again",
            &escalated,
            202,
            &["flk_dedup_hits", "flk_ingest_total"],
        ),
        (
            "forged",
            &forged,
            401,
            &[
                "flk_ingest_total",
                "flk_signature_err",
                "flk_signature_errors",
            ],
        ),
        ("malformed", b"{", 400, &["flk_ingest_total"]),
    ];
    for (what, body, status, raised) in cases {
        let before = metrics(&gateway);
        assert_eq!(gateway.post(body).status, status, "{what}");
        let after = metrics(&gateway);
        let code = format!(r#"http_requests_total{{code="{status}"}}"#);
        let answers = if status == 200 { 2 } else { 1 }; // the page itself is one of 200
        assert_eq!(after.count(&code), before.count(&code) + answers, "{what}");
        assert_raised(&before, &after, raised, what);
    }
}

/// Between two pages these promised counters were raised by one, and no others.
fn assert_raised(before: &Metrics, after: &Metrics, raised: &[&str], what: &str) {
    let is_raised = |name: &&str| after.count(name) != before.count(name);
    let promised: Vec<&str> = PROMISED.into_iter().filter(is_raised).collect();
    let mut expected = raised.to_vec();
    expected.sort_by_key(|name| PROMISED.iter().position(|promised| promised == name));
    assert_eq!(promised, expected, "{what}");
    for name in raised {
        assert_eq!(after.count(name), before.count(name) + 1, "{what}: {name}");
    }
    if raised.contains(&"flk_dedup_hits") {
        let changed = after.changed_since(before, &ALWAYS);
        // Those by tenant and key have names of their own.
        let is_whole = |name: &&str| !name.contains("tenant=");
        let changed: Vec<&str> = changed.into_iter().filter(is_whole).collect();
        assert_eq!(
            changed,
            ["flk_dedup_hits", "flk_ingest_total"],
            "a re-delivery raises nothing else"
        );
    }
}

fn credentials_are_asked_for_where_they_are_set(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("METRICS_USER", "Aladdin")
        .with("METRICS_PASS", "open sesame")
        .start();
    let get = |authorization: &str| {
        let mut connection = gateway.connect();
        let head = format!("GET /metrics HTTP/1.1\r\nHost: gateway\r\n{authorization}\r\n");
        connection.send(head.as_bytes()).unwrap();
        connection.response().unwrap()
    };
    for wrong in [
        "",
        "Authorization: Basic QWxhZGRpbjpvcGVu\r\n",
        "Authorization: Bearer x\r\n",
    ] {
        let answer = get(wrong);
        assert_eq!(answer.status, 401, "{wrong:?}");
        assert!(
            answer
                .header("WWW-Authenticate")
                .is_some_and(|value| value.starts_with("Basic")),
            "{answer:?}"
        );
        assert!(!answer.text().contains("flk_ingest_total"));
    }
    for right in ["Basic", "basic"] {
        let header = format!("Authorization: {right} QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
        assert_eq!(get(&header).status, 200, "{header:?}");
    }
    for open in ["/health", "/livez", "/readyz", "/version"] {
        assert_eq!(gateway.get(open).status, 200, "{open} stays open");
    }
}
