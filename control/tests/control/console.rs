//! The console as a page of this machine sees it: its files, its series, its rows and its streams, beside a data plane whose page
//! of statistics a test writes.

use crate::events::Events;
use crate::fake::SHARDS;
use crate::world::{Control, World, text};
use flk_dataplane::stats::refusals::Noted;
use flk_testkit::process::Process;
use flk_testkit::{DEADLINE, wait_until};
use serde_json::{Value, json};

/// Numbers of a series in the rows that are kept.
fn column(control: &Control, name: &str) -> Vec<Value> {
    let rows = control.get(&format!("/v1/console/history?names={name}$"));
    rows["columns"][0].as_array().cloned().unwrap_or_default()
}

fn code(control: &Control, path: &str) -> (u16, String) {
    let answer = control.ask("GET", path, "");
    (answer.status, answer.problem_code())
}

#[test]
fn the_page_is_found_from_the_root_and_may_load_nothing_from_elsewhere() {
    let world = World::with_rate(1000);
    let control = world.start();
    control.said("console on http://");
    for path in ["/", "/console"] {
        let answer = control.ask("GET", path, "");
        assert_eq!(
            (answer.status, answer.header("Location")),
            (307, Some("/console/"))
        );
    }
    let page = control.ask("GET", "/console/", "");
    assert_eq!(page.status, 200);
    assert!(page.text().to_lowercase().starts_with("<!doctype html>"));
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    let tag = page.header("ETag").unwrap();
    let again = control.ask("GET", "/console/", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!((again.status, again.body.len()), (304, 0));
    let missing = code(&control, "/console/assets/..%2f..%2fkey");
    assert_eq!(missing, (404, "not_found".to_owned()));
}

#[test]
fn all_series_of_the_gateway_and_of_control_have_rows_each_second() {
    let world = World::with_rate(1000);
    let control = world.start();
    let who = control.get("/v1/console/whoami");
    assert_eq!(
        (&who["access"], &who["role"]),
        (&json!("local"), &json!("observer"))
    );
    world.dataplane.page.stats.shards[0].ingest.add(3);
    world.dataplane.page.stats.shards[1].ingest.add(4);
    let newest = || column(&control, "flk_ingest_total").last().cloned();
    wait_until("both shards are counted", DEADLINE, || {
        newest() == Some(json!(7))
    });
    let catalog = control.get("/v1/console/catalog");
    let series = catalog["series"].as_array().unwrap();
    let has = |name: &str, kind: &str, labels: Value| {
        series
            .iter()
            .any(|it| it["name"] == name && it["kind"] == kind && it["labels"] == labels)
    };
    assert!(has("flk_ingest_total", "counter", json!({})));
    assert!(has("flk_ingest_total", "counter", json!({"shard": "1"})));
    assert!(has(
        "flk_wal_flush_seconds_bucket",
        "bucket",
        json!({"shard": "0", "le": "+Inf"})
    ));
    assert!(has("flk_control_dataplane_up", "gauge", json!({})));
    assert!(has(
        "flk_shard_stuck",
        "gauge",
        json!({"shard": (SHARDS - 1).to_string()})
    ));
    assert!(has(
        "flk_stage_seconds_bucket",
        "bucket",
        json!({"stage": "parse", "le": "+Inf"})
    ));
    assert_eq!(
        (&catalog["left_out"], &catalog["epoch"]),
        (&json!(0), &who["epoch"])
    );
    // A gateway that was started again counts from 0.
    world.dataplane.page.stats.shards[0].ingest.set(0);
    world.dataplane.page.stats.shards[1].ingest.set(1);
    wait_until("the fall is a row", DEADLINE, || newest() == Some(json!(1)));
    assert!(control.metric("flk_control_console_history_bytes") > 0);
}

#[test]
fn a_history_says_when_its_rows_are_and_has_all_series_that_are_asked_for() {
    let world = World::with_rate(1000);
    let control = world.start();
    let path = "/v1/console/history?names=flk_ingest_total";
    wait_until("there are rows", DEADLINE, || {
        column(&control, "flk_ingest_total").len() > 2
    });
    let rows = control.get(path);
    assert_eq!(rows["t0_ms"].as_u64().unwrap() % 1000, 0);
    let first = rows["first"].as_u64().unwrap();
    let two = control.get(&format!("{path}&from={first}&to={}", first + 2));
    assert_eq!(two["columns"][0].as_array().unwrap().len(), 2);
    let steps = control.get("/v1/console/catalog")["steps"].clone();
    assert_eq!(
        (&steps[0]["first_seq"], &steps[0]["t0_ms"]),
        (&rows["first"], &rows["t0_ms"])
    );
    assert!(
        steps[0]["next_seq"].as_u64().unwrap() > first + 2,
        "{steps}"
    );
    let clipped = control.get(&format!("{path}&from=0&to={}", u64::MAX));
    assert_eq!(clipped["first"], rows["first"]);
    assert_eq!(control.get(&format!("{path}&step_s=10"))["step_s"], 10);
    assert_eq!(
        control.get("/v1/console/history?names=no_such_name")["series"],
        json!([])
    );
    let tenants = &world.dataplane.page.stats.shards[0].tenants;
    for at in 0..20 {
        tenants.tenant_row(at, &format!("tenant-{at}"));
    }
    wait_until("there are many series", DEADLINE, || {
        let catalog = control.get("/v1/console/catalog");
        catalog["series"].as_array().unwrap().len() > 600
    });
    let all = control.get("/v1/console/history?names=flk_,http_,process_");
    assert!(all["columns"].as_array().unwrap().len() > 600);
    for query in [
        "",
        "?names=",
        "?names=flk_ingest&step_s=7",
        "?names=flk_ingest&from=-1",
    ] {
        let found = code(&control, &format!("/v1/console/history{query}"));
        assert_eq!(found, (400, "wrong_query".to_owned()), "{query}");
    }
}

#[test]
fn a_stream_that_breaks_goes_on_without_a_jump_and_sends_no_row_twice() {
    let world = World::with_rate(1000);
    let control = world.start();
    let query = "names=flk_ingest_total$";
    wait_until("the series is there", DEADLINE, || {
        !column(&control, "flk_ingest_total").is_empty()
    });
    let mut stream = Events::open(&control, query, "").unwrap();
    let first = stream.until("sample");
    let second = stream.until("sample");
    let seq = |it: &Value| it["seq"].as_u64().unwrap();
    assert_eq!(seq(&second.data), seq(&first.data) + 1);
    assert_eq!(
        second.data["t_ms"].as_u64().unwrap(),
        first.data["t_ms"].as_u64().unwrap() + 1000
    );
    drop(stream);
    let rows = || column(&control, "flk_ingest_total").len();
    let before = rows();
    wait_until("rows were missed", DEADLINE, || rows() >= before + 2);
    let fields = format!("Last-Event-ID: {}\r\n", second.id);
    let mut stream = Events::open(&control, query, &fields).unwrap();
    let replay = stream.until("replay");
    let missed = replay.data["columns"][0].as_array().unwrap().len() as u64;
    assert_eq!(
        replay.data["first"].as_u64().unwrap(),
        seq(&second.data) + 1
    );
    let last = seq(&second.data) + missed;
    assert!(replay.id.ends_with(&format!(":{last}")), "{}", replay.id);
    assert_eq!(seq(&stream.until("sample").data), last + 1);
    // As the address has it, for those that set no field.
    let query = format!("{query}&last={}", second.id.replace(':', "%3A"));
    let mut stream = Events::open(&control, &query, "").unwrap();
    assert_eq!(
        stream.until("replay").data["first"].as_u64().unwrap(),
        seq(&second.data) + 1
    );
    assert_eq!(Events::open(&control, "names=", "").err(), Some(400));
}

#[test]
fn streams_have_an_end_and_leave_the_other_half_of_all_connections_to_operators() {
    let world = World::with_rate(1000);
    let control = world.start();
    let open = || Events::open(&control, "names=flk_control_", "");
    let mut streams: Vec<Events> = (0..32).map(|_| open().unwrap()).collect();
    assert_eq!(open().err(), Some(503));
    assert_eq!(control.metric("flk_control_console_streams"), 32);
    assert_eq!(control.get("/v1/status")["dataplane"]["state"], "answers");
    streams.pop();
    wait_until("its place is free", DEADLINE, || open().is_ok());
    for stream in &mut streams {
        stream.until("sample");
    }
}

#[test]
fn a_data_plane_that_goes_and_comes_is_told_and_its_numbers_are_missing_meanwhile() {
    let world = World::with_rate(1000);
    let control = world.start();
    wait_until("the series is there", DEADLINE, || {
        !column(&control, "flk_wal_errors").is_empty()
    });
    let mut stream = Events::open(&control, "names=flk_wal_errors%24", "").unwrap();
    stream.until("sample");
    world.dataplane.go();
    let away = stream.until("away");
    assert!(away.data["why"].is_string(), "{away:?}");
    assert_eq!(stream.until("sample").data["values"], json!([null]));
    // An empty list would say that nothing was refused.
    let refusals = control.ask("GET", "/v1/console/refusals", "");
    assert_eq!(
        (refusals.status, refusals.problem_code().as_str()),
        (503, "dataplane_away")
    );
    world.dataplane.come_back();
    stream.until("back");
    assert_eq!(stream.until("sample").data["values"], json!([0]));
    let events = || control.get("/v1/console/events");
    let kinds = || {
        let events = events();
        let kinds = events
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["kind"].clone());
        kinds.collect::<Vec<_>>()
    };
    wait_until("both are events", DEADLINE, || {
        [json!("away"), json!("back")]
            .iter()
            .all(|it| kinds().contains(it))
    });
    assert!(kinds().contains(&json!("start")));
}

#[test]
fn a_change_of_the_configuration_is_an_event_with_its_actor() {
    let world = World::with_rate(1000);
    let control = world.start();
    world.set_rate(2000);
    control.said("limits: rate 1000 → 2000");
    let published = || {
        let events = control.get("/v1/console/events");
        let mut events = events.as_array().unwrap().iter();
        events.any(|it| it["kind"] == "reload" && it["actor"] == "file")
    };
    wait_until("it is an event", DEADLINE, published);
}

#[test]
fn what_needs_attention_comes_with_its_runbook() {
    let world = World::with_rate(1000);
    let control = world.start();
    wait_until("the counter is seen", DEADLINE, || {
        !column(&control, "flk_wal_errors").is_empty()
    });
    assert_eq!(control.get("/v1/console/attention"), json!([]));
    world.dataplane.page.stats.shards[0].wal_errors.add(2);
    let mut stream = Events::open(&control, "names=flk_wal_errors", "").unwrap();
    let matter = loop {
        let attention = stream.until("attention");
        let matters = attention.data.as_array().unwrap().clone();
        if let Some(matter) = matters.into_iter().find(|it| it["name"] == "FLKWALErrors") {
            break matter;
        }
    };
    assert_eq!(
        (&matter["severity"], &matter["runbook"]),
        (&json!("page"), &json!("wal-errors"))
    );
    assert_eq!(
        matter["words"],
        "2 writes or syncs of this gateway failed in 10 minutes."
    );
    assert!(
        control
            .get("/v1/console/attention")
            .as_array()
            .unwrap()
            .contains(&matter)
    );
}

#[test]
fn the_overview_says_what_is_in_force_and_since_when() {
    let world = World::with_rate(1000);
    let control = world.start();
    let overview = || control.get("/v1/console/overview");
    let key = || overview()["tenants"][0]["keys"][0]["fingerprint"].clone();
    wait_until("the document is known", DEADLINE, || key().is_string());
    let (before, first) = (overview(), key());
    assert_eq!(before["snapshot"]["since_ms"], 7000);
    assert_eq!(before["started_ms"], 1_700_000_000_000_u64);
    assert_eq!(before["shards"].as_array().unwrap().len(), SHARDS as usize);
    std::fs::write(world.path().join("other"), "ab".repeat(16)).unwrap();
    world.set_text(&text(1000).replace("\"key\"", "\"other\""));
    wait_until("it is that of the next", DEADLINE, || {
        key().is_string() && key() != first
    });
    assert_ne!(overview()["snapshot"], before["snapshot"]);
}

#[test]
fn refusals_have_their_code_and_names_and_no_payload() {
    let world = World::with_rate(1000);
    let control = world.start();
    let page = &world.dataplane.page.stats.shards[1];
    let tenant = page.tenants.tenant_row(0, "acme");
    let key = page.tenants.key_row(tenant, "2026-11");
    page.refusals.note(&Noted {
        wall_us: 1_800_000_000_123_456,
        problem: 82,
        field: "coh_star",
        tenant: Some(tenant),
        key: Some(key),
    });
    page.refusals.note(&Noted {
        wall_us: 1_800_000_000_200_000,
        problem: 60,
        ..Noted::default()
    });
    let expected = json!([
        {"t_ms": 1_800_000_000_200_u64, "status": 401, "code": "signature_invalid", "field": null, "tenant": null, "key_id": null, "shard": 1},
        {"t_ms": 1_800_000_000_123_u64, "status": 400, "code": "invalid_field", "field": "coh_star", "tenant": "acme", "key_id": "2026-11", "shard": 1},
    ]);
    wait_until("both are shown", DEADLINE, || {
        let answer = control.ask("GET", "/v1/console/refusals", "");
        answer.status == 200 && serde_json::from_str::<Value>(answer.text()).unwrap() == expected
    });
}

#[test]
fn a_page_elsewhere_reads_nothing_of_the_console() {
    let world = World::with_rate(1000);
    let control = world.start();
    let host = control.address();
    let own = format!("Origin: http://{host}\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(control.ask("GET", "/v1/console/catalog", &own).status, 200);
    let paths = [
        "whoami",
        "catalog",
        "attention",
        "events",
        "refusals",
        "overview",
        "stream?names=flk_ingest",
    ];
    for path in paths.map(|it| format!("/v1/console/{it}")) {
        for fields in [
            "Origin: http://evil.example\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Origin: null\r\n",
        ] {
            let answer = control.ask("GET", &path, fields);
            let found = (answer.status, answer.problem_code());
            assert_eq!(found, (403, "foreign_page".to_owned()), "{path} {fields}");
        }
        let mut connection = flk_testkit::client::Connection::open(host).unwrap();
        let rebound = format!("GET {path} HTTP/1.1\r\nHost: evil.example:8081\r\n\r\n");
        connection.send(rebound.as_bytes()).unwrap();
        let answer = connection.response().unwrap();
        assert_eq!(
            (answer.status, answer.problem_code().as_str()),
            (403, "local_only"),
            "{path}"
        );
    }
    // The console looks. Its own page changes nothing either.
    let fields = format!("{own}Content-Length: 0\r\n");
    assert_eq!(control.ask("POST", "/v1/reload", &fields).status, 403);
    assert_eq!(control.ask("POST", "/console/session", &fields).status, 409);
}

#[test]
fn a_console_that_is_off_is_not_there() {
    let world = World::with_rate(1000);
    let mut command = world.command();
    command.env("ADMIN_CONSOLE", "off");
    let control = Control::start(command);
    for path in [
        "/",
        "/console/",
        "/v1/console/whoami",
        "/v1/console/catalog",
    ] {
        assert_eq!(
            code(&control, path),
            (404, "no_console".to_owned()),
            "{path}"
        );
    }
    assert!(!control.process.said().contains("console on"));
    let mut command = world.command();
    command.env("ADMIN_CONSOLE", "on");
    let ended = Process::start(command).unwrap().ended(DEADLINE);
    assert_eq!(ended.code(), 78, "{}", ended.said);
    assert!(ended.said.contains("ADMIN_CONSOLE"), "{}", ended.said);
}

#[test]
fn a_head_of_a_stream_is_none_and_a_page_elsewhere_asks_for_nothing_of_the_gateway() {
    let world = World::with_rate(1000);
    let control = world.start();
    let address = control.address();
    for _ in 0..40 {
        let mut connection = flk_testkit::client::Connection::open(address).unwrap();
        let request = format!(
            "HEAD /v1/console/stream?names=flk_ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        );
        connection.send(request.as_bytes()).unwrap();
    }
    wait_until("no stream is left", DEADLINE, || {
        control.metric("flk_control_console_streams") == 0
    });
    assert!(Events::open(&control, "names=flk_ingest", "").is_ok());
    let cross = control.ask("GET", "/metrics", "Sec-Fetch-Site: cross-site\r\n");
    assert_eq!(
        (cross.status, cross.problem_code()),
        (403, "local_only".to_owned())
    );
}
