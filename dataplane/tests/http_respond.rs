//! The exact bytes of answers, and what must hold for every one of them.

#![allow(clippy::expect_used)] // helpers of tests count as tests here

use flk_dataplane::http::Afterwards::{self, Closes, GoesOn};
use flk_dataplane::http::ResponsePart::{self, Head, Whole};
use flk_dataplane::http::{Allowed, CONTINUE, Common, Date, Dedup, Problem, respond};
use std::sync::LazyLock;

const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

/// What every answer says, at one second.
fn common(afterwards: Afterwards, part: ResponsePart) -> Common<'static> {
    static AT: LazyLock<Date> = LazyLock::new(|| Date::at(784_111_777));
    Common {
        date: &AT,
        afterwards,
        part,
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("answers are ASCII")
}

#[test]
fn an_outcome_is_status_type_dedup_length_and_body() {
    assert_eq!(
        written(|out| respond::outcome(out, 200, b"{}", Dedup::Miss, common(GoesOn, Whole))),
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nFlk-Dedup: miss\r\nContent-Length: 2\r\n{DATE}\r\n{{}}"
        )
    );
    assert_eq!(
        written(|out| respond::outcome(
            out,
            202,
            &[b'x'; 120],
            Dedup::Conflict,
            common(Closes, Whole)
        )),
        format!(
            "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nFlk-Dedup: conflict\r\nContent-Length: 120\r\n\
             {DATE}Connection: close\r\n\r\n{}",
            "x".repeat(120)
        )
    );
    assert!(
        written(|out| respond::outcome(out, 200, b"", Dedup::Hit, common(GoesOn, Whole)))
            .contains("Flk-Dedup: hit\r\n")
    );
}

#[test]
fn a_problem_says_what_to_do_and_when() {
    assert_eq!(
        written(|out| respond::problem(out, Problem::RateLimited, Some(7), common(GoesOn, Whole))),
        format!(
            "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n\
             Retry-After: 7\r\nContent-Length: 175\r\n{DATE}\r\n\
             {{\"type\":\"about:blank\",\"title\":\"Too many requests\",\"status\":429,\"code\":\"rate_limited\",\"retryable\":true,\
             \"detail\":\"Wait for Retry-After seconds and send the same request again.\"}}"
        )
    );
}

#[test]
fn a_problem_at_a_field_names_the_field() {
    let answer = written(|out| {
        respond::problem_at_field(
            out,
            Problem::InvalidField,
            "ft.outbox_seq",
            common(GoesOn, Whole),
        )
    });
    assert!(
        answer.ends_with(",\"field\":\"ft.outbox_seq\"}"),
        "{answer}"
    );
    assert_lengths_agree(&answer);
}

fn assert_lengths_agree(answer: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let lengths: Vec<&str> = head
        .lines()
        .filter_map(|line| line.strip_prefix("Content-Length: "))
        .collect();
    assert_eq!(lengths, [body.len().to_string()], "{answer}");
}

#[test]
fn every_problem_is_well_formed_and_has_the_headers_its_status_owes() {
    for &problem in Problem::ALL {
        let answer = written(|out| respond::problem(out, problem, None, common(GoesOn, Whole)));
        assert_lengths_agree(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = problem.status();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{problem:?} has no reason phrase"
        );
        let value: serde_norway::Value = serde_norway::from_str(body).expect("JSON is YAML");
        assert_eq!(value["code"].as_str(), Some(problem.code()));
        assert_eq!(value["status"].as_u64(), Some(u64::from(status)));
        assert_eq!(value["retryable"].as_bool(), Some(problem.retryable()));
        assert_eq!(value["detail"].as_str(), Some(problem.detail()));
        for (header, owed) in [
            ("Retry-After: ", matches!(status, 429 | 503)),
            ("Allow: ", status == 405),
            ("WWW-Authenticate: ", status == 401),
            ("Connection: close", problem.closes()),
        ] {
            assert_eq!(head.contains(header), owed, "{problem:?} {header}");
        }
        let asked_to_close =
            written(|out| respond::problem(out, problem, None, common(Closes, Head)));
        assert!(
            asked_to_close.ends_with("\r\nConnection: close\r\n\r\n"),
            "{problem:?}"
        );
    }
}

#[test]
fn an_answer_to_head_is_the_answer_to_get_without_its_body() {
    for problem in [Problem::Starting, Problem::MetricsUnauthorized] {
        let get = written(|out| respond::problem(out, problem, None, common(GoesOn, Whole)));
        let head = written(|out| respond::problem(out, problem, None, common(GoesOn, Head)));
        assert!(get.starts_with(&head) && head.ends_with("\r\n\r\n"));
    }
    let get = written(|out| respond::text(out, 200, "text/plain", b"OK", common(GoesOn, Whole)));
    let head = written(|out| respond::text(out, 200, "text/plain", b"OK", common(GoesOn, Head)));
    assert_eq!(get, format!("{head}OK"));
    assert_eq!(
        get,
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\nContent-Length: 2\r\n{DATE}\r\nOK"
        )
    );
}

#[test]
fn options_are_answered_with_the_methods_and_no_body() {
    for (allowed, methods) in [
        (Allowed::Submit, "POST, OPTIONS"),
        (Allowed::Page, "GET, HEAD, OPTIONS"),
        (Allowed::Server, "GET, HEAD, POST, OPTIONS"),
    ] {
        assert_eq!(
            written(|out| respond::options(out, allowed, common(GoesOn, Whole))),
            format!("HTTP/1.1 200 OK\r\nAllow: {methods}\r\nContent-Length: 0\r\n{DATE}\r\n")
        );
    }
}

#[test]
fn an_answer_repeats_what_a_client_of_http_1_0_asked_for_unless_it_closes() {
    let kept = Common {
        afterwards: Afterwards::KeepAlive,
        ..common(GoesOn, Whole)
    };
    let answer = written(|out| respond::outcome(out, 200, b"{}", Dedup::Miss, kept));
    assert!(
        answer.contains("\r\nConnection: keep-alive\r\n\r\n{}"),
        "{answer}"
    );
    let answer = written(|out| respond::problem(out, Problem::NotFound, None, kept));
    assert!(
        answer.contains("\r\nConnection: keep-alive\r\n"),
        "{answer}"
    );
    let answer = written(|out| respond::problem(out, Problem::BodyTooLarge, None, kept));
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
}

#[test]
fn answers_are_appended_behind_what_is_there_already() {
    let answer = written(|out| {
        out.extend_from_slice(CONTINUE);
        respond::text(out, 299, "text/plain", b"", common(Closes, Whole));
    });
    assert!(
        answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 299 \r\nContent-Type: "),
        "{answer}"
    );
}

#[test]
fn output_with_room_is_never_moved() {
    let mut out = Vec::with_capacity(4096);
    let before = out.as_ptr();
    respond::outcome(
        &mut out,
        200,
        &[b'x'; 300],
        Dedup::Hit,
        common(Closes, Whole),
    );
    respond::problem(&mut out, Problem::DiskFull, None, common(Closes, Whole));
    respond::text(&mut out, 200, "text/plain", b"OK", common(GoesOn, Whole));
    assert_eq!((out.as_ptr(), out.capacity()), (before, 4096));
}
