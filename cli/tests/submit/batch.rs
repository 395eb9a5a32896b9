//! Records sent many at a time: each is shown, counted and tried again as if it had been sent alone.

use super::*;
use server::Request;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An answer to a batch, of what each record is answered: status, `dedup` or seconds, and body.
fn lines(answers: &[(u16, &str, String)]) -> Vec<u8> {
    let mut text = String::new();
    for ((status, word, body), line) in answers.iter().zip(1..) {
        text += &match status {
            200 | 202 => format!(
                "{{\"line\":{line},\"status\":{status},\"dedup\":\"{word}\",\"outcome\":{body}}}\n"
            ),
            429 | 503 => format!(
                "{{\"line\":{line},\"status\":{status},\"retry_after\":{word},\"problem\":{body}}}\n"
            ),
            _ => format!("{{\"line\":{line},\"status\":{status},\"problem\":{body}}}\n"),
        };
    }
    answer(200, "Content-Type: application/x-ndjson\r\n", &text)
}

fn numbers(request: &Request) -> Vec<usize> {
    request
        .body
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(number)
        .collect()
}

fn outcome() -> (u16, &'static str, String) {
    (200, "miss", OUTCOME.to_owned())
}

fn refusal(status: u16, code: &str) -> String {
    format!("{{\"status\":{status},\"code\":\"{code}\",\"detail\":\"d\"}}")
}

#[test]
fn a_file_goes_in_batches_and_every_record_is_shown_in_order() {
    let server = Server::answering(|request, _| {
        let all: Vec<_> = numbers(request).iter().map(|_| outcome()).collect();
        lines(&all)
    });
    let url = server.url() + "/v1/pcs/batch";
    let ran = submit(&url, &["--batch", "100"], records(250).as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let summary = format!("250 records to {url}: 250 accepted");
    assert!(ran.stderr.contains(&summary), "{}", ran.stderr);
    let shown: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(shown.len(), 250);
    for (line, at) in shown.iter().zip(1..) {
        let start = format!("{at:>6}  200 accepted");
        assert!(line.starts_with(&start), "{line}");
    }
    let requests = server.requests();
    assert!(requests.len() < 100, "{}", requests.len());
    let is_batch = |it: &Request| it.head.starts_with("POST /v1/pcs/batch HTTP/1.1");
    assert!(requests.iter().all(is_batch));
    assert!(requests.iter().all(|it| numbers(it).len() <= 100));
    let mut all: Vec<usize> = requests.iter().flat_map(numbers).collect();
    all.sort_unstable();
    assert_eq!(all, (0..250).collect::<Vec<usize>>());
}

#[test]
fn only_the_records_that_may_get_another_answer_are_sent_again() {
    let asked = AtomicUsize::new(0);
    let server = Server::answering(move |request, _| {
        let all: Vec<_> = numbers(request)
            .into_iter()
            .map(|number| match number {
                0 => (401, "", refusal(401, "signature_invalid")),
                2 if asked.fetch_add(1, Ordering::SeqCst) == 0 => {
                    (503, "0", refusal(503, "deadline_exceeded"))
                }
                1 | 2 => (200, "hit", OUTCOME.to_owned()),
                _ => outcome(),
            })
            .collect();
        lines(&all)
    });
    let ran = submit(
        &server.url(),
        &["--batch", "10", "--keep-going"],
        records(4).as_bytes(),
    );
    let words: Vec<&str> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().nth(2).unwrap())
        .collect();
    assert_eq!(words, ["refused", "accepted", "accepted", "accepted"]);
    assert!(ran.stdout.contains("(2 attempts)"), "{}", ran.stdout);
    let mut sent: Vec<usize> = server.requests().iter().flat_map(numbers).collect();
    sent.sort_unstable();
    assert_eq!(sent, [0, 1, 2, 2, 3]);
}

#[test]
fn a_gateway_that_takes_smaller_batches_gets_smaller_ones() {
    let server = Server::answering(|request, _| {
        let all = numbers(request);
        match all.len() > 3 {
            true => problem(413, "too_many_records", ""),
            false => lines(&all.iter().map(|_| outcome()).collect::<Vec<_>>()),
        }
    });
    let ran = submit(
        &server.url(),
        &["--batch", "50", "--quiet"],
        records(40).as_bytes(),
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("40"), "{}", ran.stderr);
}

#[test]
fn an_answer_that_no_gateway_gives_to_a_batch_stops_the_command() {
    for (bytes, part) in [
        (
            lines(&[outcome(), outcome(), outcome()]),
            "other lines than the batch",
        ),
        (problem(404, "not_found", ""), "send without --batch"),
        (accepted("miss"), "not a gateway"),
    ] {
        let server = Server::answering(move |_, _| bytes.clone());
        let ran = submit(&server.url(), &["--batch", "5"], records(2).as_bytes());
        assert_ne!(ran.code, 0);
        let said = ran.stdout + &ran.stderr;
        assert!(said.contains(part), "{part}: {said}");
    }
}
