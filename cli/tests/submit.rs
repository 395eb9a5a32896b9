//! Sending records, against a gateway that answers as the test wants: what is shown, what is tried again, how it ends.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/server.rs"]
mod server;

use common::{Ran, flk, run};
use server::{Server, accepted, answer, problem};
use std::collections::BTreeSet;
use std::time::Duration;

fn submit(url: &str, args: &[&str], input: &[u8]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let mut command = flk(dir.path());
    command.args(["pcs", "submit", "--url", url]).args(args);
    run(&mut command, input)
}

/// As many records as asked for, each with its number.
fn records(count: usize) -> String {
    (0..count).map(|at| format!("{{\"n\":{at}}}\n")).collect()
}

#[test]
fn shows_status_dedup_and_the_outcome_byte_for_byte() {
    let server = Server::scripted(vec![accepted("miss"), accepted("hit")]);
    for dedup in ["miss", "hit"] {
        let ran = submit(&server.url(), &["-"], b"{\n \"a\": 1\n}\n");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let outcome = r#"{"pcs_id":"ab","accepted":true,"escalated":false,"D_hat":1.50}"#;
        assert_eq!(
            ran.stdout,
            format!("     1  200 accepted   {dedup:<8}  {outcome}\n")
        );
        assert!(ran.stderr.contains("1 accepted"), "{}", ran.stderr);
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, b"{\n \"a\": 1\n}");
    let head = requests[0].head.to_lowercase();
    assert!(
        head.starts_with("post /v1/pcs/submit http/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("content-type: application/json\r\n"),
        "{head}"
    );
    assert!(!head.contains("x-tenant-id"), "{head}");
}

#[test]
fn mixed_outcomes_are_shown_in_the_order_of_the_input() {
    let server = Server::answering(|request, _| match &request.body[..] {
        br#"{"n":0}"# => accepted("miss"),
        br#"{"n":1}"# => answer(202, "Flk-Dedup: conflict\r\n", r#"{"reason":"degraded"}"#),
        br#"{"n":2}"# => problem(401, "signature_invalid", ""),
        br#"{"n":3}"# => problem(400, "malformed_json", ""),
        _ => accepted("hit"),
    });
    let ran = submit(
        &server.url(),
        &["--concurrency", "3"],
        records(6).as_bytes(),
    );
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let shown: Vec<Vec<&str>> = ran
        .stdout
        .lines()
        .map(|it| it.split_ascii_whitespace().take(4).collect())
        .collect();
    assert_eq!(
        shown,
        [
            ["1", "200", "accepted", "miss"],
            ["2", "202", "escalated", "conflict"],
            ["3", "401", "refused", "-"],
            ["4", "400", "refused", "-"],
            ["5", "200", "accepted", "hit"],
            ["6", "200", "accepted", "hit"],
        ]
    );
    assert!(
        ran.stdout.contains("signature_invalid: What to do."),
        "{}",
        ran.stdout
    );
    for text in [
        "6 records",
        "3 accepted, 1 escalated, 2 refused",
        "2 seen before, 1 conflict, 0 retries",
    ] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
    assert_eq!(server.requests().len(), 6, "a refusal is final");
}

#[test]
fn json_passes_the_answer_on_and_quiet_shows_only_the_summary() {
    let server = Server::answering(|_, _| accepted("miss"));
    let ran = submit(&server.url(), &["--json"], records(2).as_bytes());
    assert!(ran.stdout.contains(r#""D_hat":1.50}"#), "{}", ran.stdout);
    let lines = ran.json();
    assert_eq!(
        (&lines[1]["line"], &lines[1]["status"]),
        (&2.into(), &200.into())
    );
    assert_eq!(
        (&lines[1]["result"], &lines[1]["dedup"]),
        (&"accepted".into(), &"miss".into())
    );
    assert_eq!(lines[1]["body"]["pcs_id"], "ab");
    let quiet = submit(&server.url(), &["--quiet"], records(2).as_bytes());
    assert_eq!(quiet.stdout, "");
    assert!(quiet.stderr.contains("2 accepted"), "{}", quiet.stderr);
}

#[test]
fn waits_as_long_as_retry_after_says_and_then_succeeds() {
    let busy = || problem(503, "starting", "Retry-After: 1\r\n");
    let server = Server::scripted(vec![busy(), accepted("miss")]);
    let ran = submit(&server.url(), &[], b"{}");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("(2 attempts)"), "{}", ran.stdout);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(1));
}

#[test]
fn too_many_requests_and_broken_connections_are_tried_again() {
    let limited = || problem(429, "rate_limited", "");
    let server = Server::scripted(vec![limited(), Vec::new(), limited(), accepted("hit")]);
    let ran = submit(&server.url(), &["--concurrency", "1"], b"{}");
    assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
    let requests = server.requests();
    assert!(
        (4..=5).contains(&requests.len()),
        "the client library may repeat on a kept connection"
    );
    let bodies: BTreeSet<_> = requests.iter().map(|it| it.body.clone()).collect();
    assert_eq!(bodies.len(), 1, "the same record every time");
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(75));
}

#[test]
fn gives_up_after_the_last_attempt_and_does_not_send_the_rest() {
    let server = Server::answering(|request, _| match &request.body[..] {
        br#"{"n":1}"# => problem(503, "disk_full", ""),
        _ => accepted("miss"),
    });
    let args = ["--attempts", "2", "--concurrency", "1"];
    let ran = submit(&server.url(), &args, records(3).as_bytes());
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("503 no answer"), "{}", ran.stdout);
    assert!(
        ran.stderr
            .contains("from input line 2 on; the rest was not sent"),
        "{}",
        ran.stderr
    );

    let ran = submit(
        &server.url(),
        &[&args[..], &["--keep-going"]].concat(),
        records(3).as_bytes(),
    );
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 3, "{}", ran.stdout);
}

#[test]
fn nobody_listening_is_said_as_such() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let ran = submit(&url, &["--attempts", "2"], b"{}");
    assert_eq!(ran.code, 69);
    assert!(
        ran.stdout.to_lowercase().contains("refused"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("(2 attempts)"), "{}", ran.stdout);
}

#[test]
fn many_records_arrive_once_each_over_kept_connections() {
    let server = Server::answering(|_, _| accepted("miss"));
    let ran = submit(
        &server.url(),
        &["--concurrency", "16"],
        records(10_000).as_bytes(),
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines: Vec<usize> = ran
        .stdout
        .lines()
        .map(|it| it.split_ascii_whitespace().next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(lines, (1..=10_000).collect::<Vec<_>>());
    let bodies: BTreeSet<_> = server.requests().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies.len(), 10_000);
}

#[test]
fn large_bodies_and_tenants_reach_the_gateway() {
    let server = Server::answering(|_, _| accepted("miss"));
    let body = format!("{{\"x\":\"{}\"}}", "a".repeat(900_000));
    let ran = submit(&server.url(), &["--tenant", "acme-1"], body.as_bytes());
    assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
    let requests = server.requests();
    assert_eq!(requests[0].body, body.as_bytes());
    assert!(
        requests[0]
            .head
            .to_lowercase()
            .contains("x-tenant-id: acme-1\r\n")
    );
    let bad = submit(&server.url(), &["--tenant", "a b"], b"{}");
    assert_eq!(bad.code, 2);
}

#[test]
fn answers_cannot_steer_a_terminal() {
    let server = Server::answering(|_, _| answer(500, "", "\u{1b}[2Jgone"));
    let ran = submit(&server.url(), &[], b"{}");
    assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
    assert!(ran.stdout.contains("gone"), "{}", ran.stdout);
}
