//! Sending records, against a gateway that answers as the test wants: what is shown, what is tried again, how it ends.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/server.rs"]
mod server;

mod batch;
mod interrupted;

use common::{Ran, flk, run};
use flk_testkit::child::{Signal, signal};
use flk_testkit::{DEADLINE, wait_until};
use server::{OUTCOME, Server, accepted, answer, escalated, problem};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Child;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One record.
const ONE: &[u8] = br#"{"pcs_id":"ab"}"#;

fn submit(url: &str, args: &[&str], input: &[u8]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let mut command = flk(dir.path());
    command.args(["pcs", "submit", "--url", url]).args(args);
    run(&mut command, input)
}

/// As many records as asked for, each with its number.
fn records(count: usize) -> String {
    let record = |at| format!("{{\"pcs_id\":\"ab\",\"n\":{at}}}\n");
    (0..count).map(record).collect()
}

/// The number in a record.
fn number(body: &[u8]) -> usize {
    let record: serde_json::Value = serde_json::from_slice(body).unwrap();
    record["n"].as_u64().unwrap() as usize
}

/// A file with as many records as asked for.
fn file_of(count: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(records(count).as_bytes()).unwrap();
    file
}

/// Starts it, with all its ends in the test's hands.
fn start(url: &str, args: &[&str]) -> Child {
    let dir = tempfile::tempdir().unwrap();
    let mut command = flk(dir.path());
    flk_testkit::child::start(command.args(["pcs", "submit", "--url", url]).args(args))
}

/// Its exit code and what it said, once it has ended.
fn end(mut child: Child) -> (i32, String) {
    let mut said = String::new();
    let stderr = child.stderr.take().unwrap();
    BufReader::new(stderr).read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code().unwrap(), said)
}

/// A server that accepts records up to a number and gives no answer to those behind it until `Sender` is dropped.
fn accepting_below(limit: usize) -> (Server, Sender<()>) {
    let (release, held) = channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let server = Server::answering(move |request, _| {
        if number(&request.body) >= limit {
            // an error is the sign that the other end is gone
            held.lock().unwrap().recv().ok();
        }
        accepted("miss")
    });
    (server, release)
}

#[test]
fn shows_status_dedup_and_the_outcome_byte_for_byte() {
    let server = Server::scripted(vec![accepted("miss"), accepted("hit")]);
    for dedup in ["miss", "hit"] {
        let ran = submit(&server.url(), &["-"], b"{\n \"pcs_id\": \"ab\"\n}\n");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(
            ran.stdout,
            format!("     1  200 accepted   {dedup:<8}  {OUTCOME}\n")
        );
        assert!(ran.stderr.contains("1 accepted"), "{}", ran.stderr);
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, b"{\n \"pcs_id\": \"ab\"\n}");
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
    let server = Server::answering(|request, _| match number(&request.body) {
        0 => accepted("miss"),
        1 => escalated("conflict"),
        2 => problem(401, "signature_invalid", ""),
        3 => problem(400, "malformed_json", ""),
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
    assert!(ran.stdout.contains(r#""D_hat":1.50,"#), "{}", ran.stdout);
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
    let ran = submit(&server.url(), &[], ONE);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("(2 attempts)"), "{}", ran.stdout);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(1));
}

#[test]
fn broken_connections_are_tried_again() {
    let busy = || problem(503, "starting", "");
    let server = Server::scripted(vec![busy(), Vec::new(), busy(), accepted("hit")]);
    let ran = submit(&server.url(), &["--concurrency", "1"], ONE);
    assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
    let requests = server.requests();
    assert!(
        (4..=5).contains(&requests.len()),
        "a connection that was kept and is closed is no attempt"
    );
    let bodies: BTreeSet<_> = requests.iter().map(|it| it.body.clone()).collect();
    assert_eq!(bodies.len(), 1, "the same record every time");
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(75));
}

#[test]
fn a_rate_limit_is_waited_for_and_is_no_attempt_and_no_missing_answer() {
    let limited = || problem(429, "rate_limited", "Retry-After: 1\r\n");
    let server = Server::scripted(vec![limited(), limited(), accepted("miss")]);
    let args = ["--attempts", "1", "--concurrency", "1"];
    let ran = submit(&server.url(), &args, records(2).as_bytes());
    assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    for pair in requests[..3].windows(2) {
        assert!(pair[1].at - pair[0].at >= Duration::from_secs(1));
    }
    for text in ["0 retries", "put off by 429 2 times"] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
    assert!(ran.stdout.contains("(put off 2 times)"), "{}", ran.stdout);
    assert!(ran.stderr.contains("0 without an answer"), "{}", ran.stderr);
}

#[test]
fn a_rate_limit_beyond_the_users_patience_is_said_as_such() {
    for (args, retry_after) in [(&["--wait", "0s"][..], "1"), (&[], "7200")] {
        let headers = format!("Retry-After: {retry_after}\r\n");
        let server = Server::answering(move |_, _| problem(429, "rate_limited", &headers));
        let args = [args, &["--concurrency", "1"]].concat();
        let ran = submit(&server.url(), &args, records(3).as_bytes());
        assert_eq!(ran.code, 69, "{}", ran.stderr);
        assert_eq!(server.requests().len(), 1);
        for text in ["429 over rate", "--wait"] {
            assert!(ran.stdout.contains(text), "{text}: {}", ran.stdout);
        }
        for text in [
            "0 without an answer, 1 over the rate",
            "1 sent, 0 answered, 2 not sent; send again from input line 1 on",
        ] {
            assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
        }
    }
}

/// All that are under way may be put off at once, and none is lost by it.
#[test]
fn many_records_get_through_a_rate_limit_once_each() {
    let seen = Mutex::new(BTreeSet::new());
    let server = Server::answering(move |request, _| {
        match seen.lock().unwrap().insert(number(&request.body)) {
            true => problem(429, "rate_limited", "Retry-After: 0\r\n"),
            false => accepted("miss"),
        }
    });
    let ran = submit(
        &server.url(),
        &["--concurrency", "32"],
        records(300).as_bytes(),
    );
    assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("300 accepted"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("put off by 429 300 times"),
        "{}",
        ran.stderr
    );
    assert_eq!(server.requests().len(), 600);
}

/// What stands at the address may be anything that speaks HTTP, or nothing that does.
#[test]
fn only_a_gateway_is_believed() {
    let json = "Content-Type: application/json\r\n";
    let other = OUTCOME.replace("\"ab\"", "\"ac\"");
    for (bytes, part) in [
        (
            answer(200, "Content-Type: text/html\r\n", "<p>ok"),
            "text/html",
        ),
        (answer(200, "", OUTCOME), "no content type"),
        (answer(200, json, "{\"status\":\"ok\"}"), "no outcome"),
        (answer(200, json, &other), "another record"),
        (answer(202, json, OUTCOME), "do not fit the status 202"),
        (answer(202, json, ""), "not a JSON object"),
        (answer(204, "", ""), "204"),
        (answer(302, "Location: /login\r\n", ""), "302"),
        (
            answer(404, "Content-Type: text/html\r\n", "<p>"),
            "text/html",
        ),
        (answer(403, json, "{\"code\":\"x\"}"), "application/json"),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "not HTTP/1.1"),
    ] {
        let server = Server::scripted(vec![bytes]);
        let args = ["--concurrency", "1"];
        let ran = submit(&server.url(), &args, records(3).as_bytes());
        assert_eq!(ran.code, 69, "{part}: {}", ran.stderr);
        assert!(ran.stdout.contains("no answer"), "{}", ran.stdout);
        let said = ran.stderr.split("not a gateway: ").nth(1);
        assert!(said.unwrap().contains(part), "{part}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("1 sent, 0 answered, 2 not sent"),
            "{}",
            ran.stderr
        );
        assert_eq!(server.requests().len(), 1, "{part}: tried once");
    }
}

#[test]
fn an_empty_input_is_said_and_is_no_success() {
    let server = Server::answering(|_, _| accepted("miss"));
    for input in [&b""[..], b"\n \n"] {
        let ran = submit(&server.url(), &[], input);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains("holds no record"), "{}", ran.stderr);
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn few_records_need_few_connections() {
    let server = Server::answering(|_, _| accepted("miss"));
    let ran = submit(&server.url(), &[], records(1).as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_record_that_no_gateway_takes_is_not_sent() {
    let server = Server::answering(|_, _| accepted("miss"));
    let long = format!(
        "{{\"x\":\"{}\"}}\n{{\"pcs_id\":\"ab\"}}",
        "a".repeat(3 << 20)
    );
    let ran = submit(&server.url(), &[], long.as_bytes());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("body_too_large"), "{}", ran.stdout);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn gives_up_after_the_last_attempt_and_does_not_send_the_rest() {
    let server = Server::answering(|request, _| match number(&request.body) {
        1 => problem(503, "disk_full", ""),
        _ => accepted("miss"),
    });
    let args = ["--attempts", "2", "--concurrency", "1"];
    let ran = submit(&server.url(), &args, records(3).as_bytes());
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("503 no answer"), "{}", ran.stdout);
    assert!(
        ran.stderr
            .contains("2 sent, 1 answered, 1 not sent; send again from input line 2 on"),
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
    let ran = submit(&url, &["--attempts", "2"], ONE);
    assert_eq!(ran.code, 69);
    assert_unsent(&ran);
    assert!(
        ran.stdout.to_lowercase().contains("refused"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("(2 attempts)"), "{}", ran.stdout);
}

/// What never had a connection did not leave, and does not pass for sent.
fn assert_unsent(ran: &Ran) {
    assert!(ran.stdout.contains("--- not sent"), "{}", ran.stdout);
    assert!(ran.stdout.contains("no connection: "), "{}", ran.stdout);
    let state = "0 sent, 0 answered, 1 not sent; send again from input line 1 on";
    assert!(ran.stderr.contains(state), "{}", ran.stderr);
}

#[test]
fn a_host_that_is_not_known_was_sent_nothing() {
    let ran = submit("http://no-such-host.invalid:1", &["--attempts", "1"], ONE);
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    assert_unsent(&ran);
}

/// The first attempt reached a server, so that a gateway may know the record, whatever the later ones met.
#[test]
fn what_left_once_counts_as_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taking = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // nothing listens any more when this connection ends
        drop(listener);
        stream.read_exact(&mut [0; 10]).unwrap();
    });
    let ran = submit(&url, &["--attempts", "2"], ONE);
    taking.join().unwrap();
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    assert!(ran.stdout.contains("--- no answer"), "{}", ran.stdout);
    let state = "1 sent, 0 answered, all were sent";
    assert!(ran.stderr.contains(state), "{}", ran.stderr);
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
    let body = format!("{{\"pcs_id\":\"ab\",\"x\":\"{}\"}}", "a".repeat(900_000));
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
    let headers = "Content-Type: application/problem+json\r\nFlk-Dedup: \u{9b}\r\n";
    for body in [
        "{\"code\":\"a\",\"detail\":\"\\u001b[2Jgone\"}",
        "{\"code\":\"gone\u{9b}2J\"}",
    ] {
        let server = Server::answering(move |_, _| answer(400, headers, body));
        let ran = submit(&server.url(), &[], ONE);
        assert!(ran.stdout.contains("gone"), "{}", ran.stdout);
        let said = ran.stdout + &ran.stderr;
        assert!(!said.contains(['\u{1b}', '\u{9b}']), "{said:?}");
    }
}
