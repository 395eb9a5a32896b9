//! Log lines as programs read them: every line of a gateway is an object that its table describes, from a start that is refused to
//! a stop, and no line in any format shows an e-mail address or a phone number.

use flk_dataplane::logs::check::check_log;
use flk_dataplane::logs::events::EVENTS;
use flk_dataplane::snapshot::Document;
use flk_e2e::setting::Setting;
use flk_testkit::gateway::ask_agent;
use flk_testkit::plan::Plan;
use flk_testkit::records::record;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;

on_every_host!(
    every_line_of_a_gateway_is_an_object_of_its_table,
    a_start_that_is_refused_says_so_in_the_format_that_was_asked_for,
    the_format_comes_from_arguments_the_environment_or_the_file,
    addresses_and_phone_numbers_are_in_no_line,
    text_stays_text,
);

/// The lines, each checked against the table.
fn objects(said: &str) -> Vec<Value> {
    check_log(said, &[EVENTS]).unwrap_or_else(|wrong| panic!("{wrong}\nof\n{said}"))
}

fn of_event<'a>(objects: &'a [Value], event: &str) -> Vec<&'a Value> {
    objects.iter().filter(|it| it["event"] == event).collect()
}

fn publish(directory: &Path) {
    let question = json!({"v": 1, "ask": "document", "number": 0});
    let answer = ask_agent(directory, &question);
    let mut document: Document = serde_json::from_value(answer["document"].clone()).unwrap();
    document.number = 1;
    let digest = document.digest().to_string();
    let question = json!({"v": 1, "ask": "publish", "digest": digest, "document": document});
    assert_eq!(ask_agent(directory, &question)["applied"]["number"], 1);
}

fn every_line_of_a_gateway_is_an_object_of_its_table(setting: Setting) {
    let directory = setting.directory();
    let plan = setting
        .plan(directory.path())
        .with("LOG_FORMAT", "json")
        .with("DEDUP_TLL", "1s");
    let gateway = plan.start();
    assert_eq!(gateway.post(&record(1).body).status, 200);
    publish(directory.path());
    for _ in 0..15 {
        gateway.signal(Signal::HUP);
    }
    gateway.wait_until_said("SIGHUP ignored");
    // Signals of one kind are taken together; each of these is a line.
    let ended = gateway.stop();
    assert_eq!(ended.code(), 0, "{ended}");
    let objects = objects(&ended.said);
    for event in [
        "config.variable_unknown",
        "start.listening",
        "start.shards",
        "start.key",
        "wal.installed",
        "wal.recovered",
        "snapshot.in_force",
        "signal.ignored",
        "stop.draining",
        "stop.done",
    ] {
        assert!(!of_event(&objects, event).is_empty(), "no {event}: {ended}");
    }
    assert_eq!(of_event(&objects, "snapshot.in_force")[0]["snapshot"], 1);
    let unknown = of_event(&objects, "config.variable_unknown");
    assert_eq!(unknown[0]["variable"], "DEDUP_TLL");
    assert_eq!(of_event(&objects, "wal.recovered")[0]["before"], "nothing");
    let body = String::from_utf8(record(1).body).unwrap();
    let pcs_id = serde_json::from_str::<Value>(&body).unwrap()["pcs_id"].clone();
    assert!(!ended.said.contains(pcs_id.as_str().unwrap()), "{ended}");
}

fn a_start_that_is_refused_says_so_in_the_format_that_was_asked_for(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path()).with("LOG_FORMAT", "json");
    let refused = |plan: &Plan, code: i32, event: &str| {
        let ended = plan.run_to_end();
        assert_eq!(ended.code(), code, "{ended}");
        let mut objects = objects(&ended.said);
        let last = objects.pop().unwrap();
        assert_eq!(last["event"], event, "{ended}");
        assert_eq!(last["level"], "error", "{ended}");
        (last, objects)
    };
    let (line, before) = refused(
        &plan.clone().with("DEDUP_TTL", "never"),
        78,
        "config.refused",
    );
    assert_eq!(line["variable"], "DEDUP_TTL");
    assert_eq!(before.len(), 0);
    let argument = plan.clone().with_arguments(&["--http.prot=1"]);
    refused(&argument, 64, "arguments.refused");
    let (line, _) = refused(&plan.clone().with("FLK_CORES", "9999"), 78, "start.refused");
    assert_eq!(line["exit_code"], 78);
    let first = plan.start();
    let (line, _) = refused(&plan, 69, "start.refused");
    assert_eq!(line["exit_code"], 69);
    assert_eq!(first.stop().code(), 0);
}

fn the_format_comes_from_arguments_the_environment_or_the_file(setting: Setting) {
    let directory = setting.directory();
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("flk.toml");
    std::fs::write(&file, "[log]\nformat = \"json\"\n[http]\nprot = 1\n").unwrap();
    let of_file = setting
        .plan(directory.path())
        .with("FLK_CONFIG", file.to_str().unwrap());
    let of_argument = setting
        .plan(directory.path())
        .with("LOG_FORMAT", "text")
        .with_arguments(&["--log.format=json", "--dedup.ttl=never"]);
    for plan in [&of_file, &of_argument] {
        let ended = plan.run_to_end();
        assert_eq!(ended.code(), 78, "{ended}");
        assert_eq!(objects(&ended.said).len(), 1, "{ended}");
    }
    let ended = of_file.with("LOG_FORMAT", "text").run_to_end();
    assert_eq!(ended.code(), 78, "{ended}");
    assert!(ended.said.starts_with("flk-dataplane: "), "{ended}");
}

fn addresses_and_phone_numbers_are_in_no_line(setting: Setting) {
    let directory = setting.directory();
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("jane.doe@example.com.toml");
    for format in ["text", "json"] {
        let plan = setting
            .plan(directory.path())
            .with("LOG_FORMAT", format)
            .with("MULTI_TENANT", "1")
            .with(
                "TENANTS",
                "acme-555-123-4567:hmac:0123456789abcdef0123456789abcdef",
            );
        let missing = plan.clone().with("FLK_CONFIG", file.to_str().unwrap());
        let missing = missing.run_to_end();
        assert_eq!(missing.code(), 78, "{missing}");
        assert!(missing.said.contains("/[email]: "), "{missing}");
        let gateway = plan.start();
        let address = gateway.address().to_string();
        let ended = gateway.stop();
        assert!(ended.said.contains("acme-[phone]"), "{ended}");
        assert!(
            ended.said.contains(&address),
            "an address of the network stays: {ended}"
        );
        for said in [&missing.said, &ended.said] {
            assert!(
                !said.contains("jane") && !said.contains("555-123"),
                "{said}"
            );
        }
        if format == "json" {
            let objects = objects(&ended.said);
            let keys = of_event(&objects, "start.key");
            assert!(
                keys.iter().any(|it| it["tenant"] == "acme-[phone]"),
                "{ended}"
            );
        }
    }
}

fn text_stays_text(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("LOG_FORMAT", "text")
        .start();
    let address = gateway.address();
    gateway.wait_until_recovered();
    let ended = gateway.stop();
    let mut lines = ended.said.lines();
    let first = format!(
        "flk {} listens on http://{address}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(lines.next(), Some(first.as_str()));
    for (line, row) in lines.by_ref().zip(["shards", "driver"]) {
        assert!(line.starts_with(&format!("  {row:<11}")), "{line}");
    }
    let rest: Vec<&str> = lines.collect();
    assert!(rest.contains(&"flk: new installation made"), "{ended}");
    assert!(rest.contains(&"flk: draining"), "{ended}");
}
