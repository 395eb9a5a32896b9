//! Gateways that do one thing wrong, and servers that are no gateway: the check that is for it fails, and says what was found.

use crate::server::{Request, Server, answer, problem};
use crate::{failures, smoke};
use flk_testkit::side_by_side;
use serde_json::Value;
use std::time::Duration;

const KEY: (&str, &str) = ("PCS_HMAC_KEY", "a key of no use elsewhere, 32 bytes");

/// What a gateway does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Text,
    Unready,
    Escalates,
    Forgets,
    OtherAnswer,
    TakesTampered,
    Slow,
    Limits,
    BareMetrics,
    Spans,
}

/// Every sample that is asked for.
const METRICS: &str = "flk_ingest_total 1\nflk_dedup_hits 1\nflk_accepted 1\nflk_escalated 0\nflk_signature_errors 1\nflk_signature_err 1\n\
flk_wal_errors 0\nhttp_requests_errors_total 1\nhttp_request_duration_seconds_count 3\nflk_traces_total 2\nflk_traces_limited_total 0\n";
const SPANS: &str = "flk_control_spans_exported_total 0\nflk_control_spans_refused_total 0\nflk_control_spans_dropped_total 20\n\
flk_control_span_export_failures_total 5\n";

fn gateway(fault: Fault) -> Server {
    // By how many records were taken before, for one connection sends them.
    let taken = std::sync::Mutex::new(Vec::<Vec<u8>>::new());
    Server::answering(
        move |request, _| match request.head.split(' ').nth(1).unwrap() {
            "/health" if fault == Fault::Text => answer(200, "", "<html>"),
            "/readyz" if fault == Fault::Unready => problem(503, "recovering", ""),
            "/health" | "/readyz" => answer(200, "", "OK"),
            "/version" => answer(200, "", r#"{"version":"9.9.9"}"#),
            "/metrics" if fault == Fault::BareMetrics => answer(200, "", "flk_ingest_total 1\n"),
            "/metrics" if fault == Fault::Spans => answer(200, "", &[METRICS, SPANS].concat()),
            "/metrics" => answer(200, "", METRICS),
            _ => submitted(fault, request, &mut taken.lock().unwrap()),
        },
    )
}

fn submitted(fault: Fault, request: &Request, taken: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let body = &request.body;
    let record: Value = serde_json::from_slice(body).unwrap();
    let known = |other: &Vec<u8>| {
        let other: Value = serde_json::from_slice(other).unwrap();
        other["pcs_id"] == record["pcs_id"]
    };
    let is_tampered = taken.iter().any(|it| known(it) && it != body);
    if is_tampered && fault != Fault::TakesTampered {
        return problem(401, "signature_invalid", "");
    }
    let is_known = taken.iter().any(known) && fault != Fault::Forgets;
    let number = taken.len();
    taken.push(body.clone());
    match fault {
        // It is answered later than --latency-max allows, and no answer comes sooner for a fast machine.
        Fault::Slow => std::thread::sleep(Duration::from_millis(20)),
        Fault::Limits if number == 3 => return problem(429, "rate_limited", "Retry-After: 1\r\n"),
        _ => {}
    }
    let (status, accepted, escalated) = match fault {
        Fault::Escalates => (202, false, true),
        _ => (200, true, false),
    };
    let d_hat = match fault {
        Fault::OtherAnswer => number,
        _ => 1,
    };
    let dedup = if is_known { "hit" } else { "miss" };
    let outcome = serde_json::json!({
        "pcs_id": record["pcs_id"], "accepted": accepted, "escalated": escalated, "D_hat": d_hat, "recomputed_D_hat": 1,
        "budget": 1, "recomputed_budget": 1, "regime": "mixed", "params_version": "1",
    });
    let headers = format!("Content-Type: application/json\r\nFlk-Dedup: {dedup}\r\n");
    answer(status, &headers, &outcome.to_string())
}

#[test]
fn each_fault_fails_the_check_that_is_for_it_and_no_other() {
    let cases = [
        (Fault::None, "", ""),
        (Fault::Text, "health", "not a gateway"),
        (Fault::Unready, "ready", "503 recovering: What to do."),
        (Fault::Escalates, "submit", "escalated (202)"),
        (Fault::Forgets, "duplicate", "Flk-Dedup is miss and not hit"),
        (
            Fault::OtherAnswer,
            "duplicate",
            "another answer than the first",
        ),
        (Fault::TakesTampered, "tampered", "answered 200 and not 401"),
        (Fault::Slow, "latency", "at most 5.00 ms"),
        (Fault::Limits, "latency", "record 2 of 20: 429 rate_limited"),
        (Fault::BareMetrics, "metrics", "no sample of flk_dedup_hits"),
        (Fault::Spans, "telemetry", "none has reached a collector"),
    ];
    side_by_side(cases, |(fault, check, said)| {
        let dir = tempfile::tempdir().unwrap();
        let server = gateway(fault);
        let latency_max = match fault {
            Fault::Slow => "5ms",
            _ => "1h",
        };
        let (control, url) = (server.url(), server.url());
        let mut further = vec!["--json", "--latency-max", latency_max];
        if fault == Fault::Spans {
            further.extend(["--control", &control]);
        }
        let ran = smoke(dir.path(), &url, &further, &[KEY]);
        let failed = failures(&ran);
        // Without samples there is nothing to say of traces.
        let names: Vec<&str> = failed.iter().map(|it| it.0.as_str()).collect();
        let expected: Vec<&str> = match fault {
            Fault::None => vec![],
            Fault::BareMetrics => vec![check, "telemetry"],
            _ => vec![check],
        };
        assert_eq!(names, expected, "{fault:?}: {failed:?}");
        assert_eq!(ran.code, i32::from(fault != Fault::None), "{fault:?}");
        if let Some((_, found)) = failed.first() {
            assert!(found.contains(said), "{fault:?}: {found}");
        }
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(KEY.1), "{fault:?}: {text}");
        }
    });
}

#[test]
fn where_nothing_answers_one_check_fails_and_the_others_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    // Its connections break before an answer.
    let mute = Server::scripted(vec![Vec::new()]);
    let ran = smoke(dir.path(), &mute.url(), &["--json"], &[KEY]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(failures(&ran).len(), 1, "{}", ran.stdout);
    assert_eq!(
        ran.stdout.matches("\"skipped\"").count(),
        9,
        "{}",
        ran.stdout
    );
    let none = smoke(
        dir.path(),
        "http://127.0.0.1:1",
        &["--timeout", "5s"],
        &[KEY],
    );
    assert_eq!(none.code, 1);
    assert!(
        none.stdout.contains("nothing listens there"),
        "{}",
        none.stdout
    );
    assert!(
        none.stdout.contains("is not healthy: 1 of 1 check failed"),
        "{}",
        none.stdout
    );
}

#[test]
fn a_wrong_command_line_is_refused_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let server = gateway(Fault::None);
    let url = server.url();
    for (url, further) in [
        ("https://127.0.0.1", &[][..]),
        (&url, &["--latency-max", "fast"]),
        (&url, &["--requests", "0"]),
        (&url, &["--tenant", "a b"]),
        (&url, &["--key-file", "none.key"]),
        (&url, &["--alg", "none"]),
        (&url, &["--control", "127.0.0.1:8081"]),
    ] {
        let ran = smoke(dir.path(), url, further, &[KEY]);
        assert_eq!(ran.code, 2, "{further:?}: {}", ran.stdout);
        assert_eq!(ran.stdout, "");
    }
    assert_eq!(server.requests().len(), 0);
}
