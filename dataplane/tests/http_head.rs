//! The rules of framing as cases, one table per rule class, and the properties that hold over all of them.
//! Every case is also cut at every byte: the verdict must not depend on how a stream arrives.

#![allow(clippy::expect_used)] // helpers of tests count as tests here

use flk_dataplane::http::{
    ContentType, Head, HeadStatus, Limits, Method, Problem, Route, Target, TenantHeader,
    connection_survives, read_head, route,
};
use proptest::prelude::*;

/// Reads the stream whole and at every cut, and insists that the cuts agree with the whole.
fn read(stream: &[u8]) -> HeadStatus {
    read_with(stream, &Limits::default())
}

fn read_with(stream: &[u8], limits: &Limits) -> HeadStatus {
    let whole = read_head(stream, limits);
    for cut in 0..stream.len() {
        let part = read_head(&stream[..cut], limits);
        assert!(
            part == HeadStatus::Partial || part == whole,
            "cut at {cut} of {:?}: {part:?}, but whole: {whole:?}",
            String::from_utf8_lossy(stream)
        );
    }
    whole
}

fn refused(stream: impl AsRef<[u8]>, expect: Problem) {
    let stream = stream.as_ref();
    assert_eq!(
        read(stream),
        HeadStatus::Refused(expect),
        "{:?}",
        String::from_utf8_lossy(stream)
    );
    assert!(expect.closes());
}

fn complete(stream: impl AsRef<[u8]>) -> Head {
    let stream = stream.as_ref();
    match read(stream) {
        HeadStatus::Complete(head) => head,
        other => panic!("{other:?} for {:?}", String::from_utf8_lossy(stream)),
    }
}

/// A submit request with these extra header lines (each ended by CRLF), Host and length being in order.
fn submit(lines: &str) -> String {
    format!("POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n{lines}\r\nhello")
}

/// A request with exactly these header lines.
fn post(lines: &str) -> String {
    format!("POST /v1/pcs/submit HTTP/1.1\r\n{lines}\r\n")
}

#[test]
fn a_typical_submit_is_read_with_all_that_matters() {
    let text = "POST /v1/pcs/submit?trace=1 HTTP/1.1\r\nHost: gateway:8080\r\nUser-Agent: agent/3\r\nAccept: */*\r\n\
                content-type: application/json; charset=utf-8\r\nCONTENT-LENGTH: \t 645 \r\nX-Tenant-Id: plant.7\r\n\
                traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
                Authorization: Basic YTpi\r\nExpect: 100-Continue\r\n\r\n{...";
    let head = complete(text);
    assert_eq!(head.head_len, text.len() - 4);
    assert_eq!((head.method, head.target), (Method::Post, Target::Submit));
    assert_eq!(head.body_len, 645);
    assert!(head.keep_alive && head.expect_continue && !head.content_encoded);
    assert_eq!(head.content_type, ContentType::Json);
    let TenantHeader::Named(tenant) = head.tenant else {
        panic!("{:?}", head.tenant)
    };
    assert_eq!(tenant.of(text.as_bytes()), b"plant.7");
    let authorization = head.authorization.expect("sent");
    assert_eq!(authorization.of(text.as_bytes()), b"Basic YTpi");
    let traceparent = head.traceparent.expect("sent");
    assert!(traceparent.of(text.as_bytes()).starts_with(b"00-0af7"));
}

#[test]
fn the_smallest_request_is_complete_and_says_nothing_more() {
    let head = complete("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.method, head.target), (Method::Get, Target::Livez));
    assert_eq!((head.body_len, head.keep_alive), (0, true));
    assert_eq!(head.content_type, ContentType::Absent);
    assert_eq!(head.tenant, TenantHeader::Absent);
    assert_eq!((head.authorization, head.traceparent), (None, None));
}

#[test]
fn pipelined_requests_are_read_one_after_the_other() {
    let stream = format!(
        "{}{}",
        submit(""),
        "GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET"
    );
    let first = complete(&stream);
    let rest = &stream[first.head_len + first.body_len as usize..];
    let second = complete(rest);
    assert_eq!(second.target, Target::Health);
    assert_eq!(
        read(&rest.as_bytes()[second.head_len..]),
        HeadStatus::Partial
    );
}

#[test]
fn one_empty_line_before_the_request_is_passed_and_a_second_is_not() {
    let text = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(complete(format!("\r\n{text}")).head_len, text.len() + 2);
    refused(format!("\r\n\r\n{text}"), Problem::InvalidRequestLine);
    refused(format!("\n{text}"), Problem::BareLf);
    refused(format!("\r{text}"), Problem::BareCr);
    refused(format!(" {text}"), Problem::InvalidMethod);
}

#[test]
fn request_lines_that_peers_read_differently_are_refused() {
    for (line, expect) in [
        ("GET\r\n", Problem::InvalidRequestLine),
        ("GET /\r\n", Problem::InvalidRequestLine),
        ("GET / \r\n", Problem::InvalidVersion),
        ("GET  / HTTP/1.1\r\n", Problem::InvalidTarget),
        ("GET /  HTTP/1.1\r\n", Problem::InvalidVersion),
        ("GET / HTTP/1.1 \r\n", Problem::InvalidVersion),
        ("GET\t/ HTTP/1.1\r\n", Problem::InvalidMethod),
        ("GET /\tHTTP/1.1\r\n", Problem::InvalidTarget),
        ("GET /\u{b}HTTP/1.1\r\n", Problem::InvalidTarget),
        ("GET /a b HTTP/1.1\r\n", Problem::InvalidVersion),
        ("GET / HTTP/1.1 HTTP/1.1\r\n", Problem::InvalidVersion),
        ("GET / http/1.1\r\n", Problem::InvalidVersion),
        ("GET / HTTP/1\r\n", Problem::InvalidVersion),
        ("GET / HTTP/1.\r\n", Problem::InvalidVersion),
        ("GET / HTTP/11.1\r\n", Problem::InvalidVersion),
        ("GET / HTTP/1.10\r\n", Problem::InvalidVersion),
        ("GET / HTTP/+1.1\r\n", Problem::InvalidVersion),
        ("GET / HTTP/0.9\r\n", Problem::InvalidVersion),
        ("GET / HTTP/1.2\r\n", Problem::VersionUnsupported),
        ("GET / HTTP/2.0\r\n", Problem::VersionUnsupported),
        ("PRI * HTTP/2.0\r\n", Problem::InvalidTarget),
        ("G\u{1}T / HTTP/1.1\r\n", Problem::InvalidMethod),
        ("G(T / HTTP/1.1\r\n", Problem::InvalidMethod),
        ("GÄT / HTTP/1.1\r\n", Problem::InvalidMethod),
        (": / HTTP/1.1\r\n", Problem::InvalidMethod),
        ("\u{16}\u{3}\u{1}", Problem::InvalidMethod),
        ("G\0T / HTTP/1.1\r\n", Problem::NulByte),
        ("GET /\0 HTTP/1.1\r\n", Problem::NulByte),
        ("GET / HTTP/1.1\n", Problem::BareLf),
        ("GET /\n", Problem::BareLf),
        ("GET / HTTP/1.1\rX", Problem::BareCr),
        ("GET /\rHTTP/1.1\r\n", Problem::InvalidRequestLine),
    ] {
        refused(format!("{line}Host: a\r\n\r\n"), expect);
    }
    refused(
        format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(33)),
        Problem::InvalidMethod,
    );
    complete(format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(32)));
}

#[test]
fn targets_are_a_path_a_star_for_options_or_absolute_with_the_same_host() {
    let check = |request: &str, host: &str, expect: Result<Target, Problem>| {
        let text = format!("{request} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        match expect {
            Ok(target) => assert_eq!(complete(text).target, target, "{request}"),
            Err(problem) => refused(text, problem),
        }
    };
    check("GET /health", "a", Ok(Target::Health));
    check("GET /health?verbose=1&x=/metrics", "a", Ok(Target::Health));
    check("GET /health/", "a", Ok(Target::Other));
    check("GET //health", "a", Ok(Target::Other));
    check("GET /x/../health", "a", Ok(Target::Other));
    check("GET /%68ealth", "a", Ok(Target::Other));
    check("GET /Health", "a", Ok(Target::Other));
    check("GET /gr\u{fc}n", "a", Ok(Target::Other));
    check("GET /#health", "a", Err(Problem::InvalidTarget));
    check("GET /health#", "a", Err(Problem::InvalidTarget));
    check("GET health", "a", Err(Problem::InvalidTarget));
    check("GET a:80", "a:80", Err(Problem::InvalidTarget));
    check("CONNECT a:80", "a:80", Err(Problem::InvalidTarget));
    check("GET *", "a", Err(Problem::InvalidTarget));
    check("OPTIONS *", "a", Ok(Target::Other));
    check("OPTIONS **", "a", Err(Problem::InvalidTarget));
    check("GET http://a/health", "a", Ok(Target::Health));
    check("GET HTTPS://A:80/health?x", "a:80", Ok(Target::Health));
    check("GET http://a", "a", Ok(Target::Other));
    check("GET http://a?x", "a", Ok(Target::Other));
    check("GET http://b/health", "a", Err(Problem::HostMismatch));
    check("GET http://a:80/health", "a", Err(Problem::HostMismatch));
    check("GET http://u@a/health", "a", Err(Problem::HostMismatch));
    check("GET http:///health", "a", Err(Problem::InvalidTarget));
    check("GET ftp://a/health", "a", Err(Problem::InvalidTarget));
    check("GET http:/health", "a", Err(Problem::InvalidTarget));
}

#[test]
fn every_line_ends_with_crlf_and_nothing_else() {
    for (lines, expect) in [
        ("Host: a\nContent-Length: 0\r\n", Problem::BareLf),
        ("Host: a\r\nContent-Length: 0\n", Problem::BareLf),
        ("Host: a\rContent-Length: 0\r\n", Problem::BareCr),
        ("Host: a\r\r\n", Problem::BareCr),
        ("\rHost: a\r\n", Problem::BareCr),
        ("\nHost: a\r\n", Problem::BareLf),
        ("Ho\nst: a\r\n", Problem::BareLf),
        ("Ho\rst: a\r\n", Problem::BareCr),
        ("X: y\nTransfer-Encoding: chunked\r\n", Problem::BareLf),
        ("Host\r\n", Problem::InvalidHeaderName),
        ("Host: a\r\nContent-Length: 0\r\n\rX", Problem::BareCr),
    ] {
        refused(post(lines), expect);
    }
    refused("GET / HTTP/1.1\r\nHost: a\r\n\nX", Problem::BareLf);
}

#[test]
fn names_are_tokens_directly_before_their_colon() {
    for (lines, expect) in [
        ("Content-Length : 5\r\n", Problem::SpaceBeforeColon),
        ("Content-Length\t: 5\r\n", Problem::SpaceBeforeColon),
        ("Transfer-Encoding : chunked\r\n", Problem::SpaceBeforeColon),
        ("Transfer- Encoding: chunked\r\n", Problem::SpaceBeforeColon),
        (": x\r\n", Problem::InvalidHeaderName),
        (":x: y\r\n", Problem::InvalidHeaderName),
        ("X(y): z\r\n", Problem::InvalidHeaderName),
        ("X\u{1}: z\r\n", Problem::InvalidHeaderName),
        ("X\u{7f}: z\r\n", Problem::InvalidHeaderName),
        (
            "Transfer\u{2015}Encoding: chunked\r\n",
            Problem::InvalidHeaderName,
        ),
        (
            "Tran\u{17f}fer-Encoding: chunked\r\n",
            Problem::InvalidHeaderName,
        ),
        ("X\0: z\r\n", Problem::NulByte),
        ("Content_Length: 5\r\n", Problem::SuspiciousHeaderName),
        (
            "Transfer_Encoding: chunked\r\n",
            Problem::SuspiciousHeaderName,
        ),
        (
            "Transfer--Encoding: chunked\r\n",
            Problem::SuspiciousHeaderName,
        ),
    ] {
        refused(submit(lines), expect);
    }
    complete(submit("X!#$%&'*+-.^_`|~09: odd but a token\r\n"));
}

#[test]
fn a_line_that_begins_with_white_space_is_never_a_continuation() {
    for lines in [
        " Host: a\r\n",
        "\tHost: a\r\n",
        "Host: a\r\n b\r\n",
        "Host: a\r\nX: y\r\n\tTransfer-Encoding: chunked\r\n",
        "Host: a\r\nX: y\r\n \r\n",
    ] {
        refused(post(lines), Problem::FoldedHeader);
    }
}

#[test]
fn values_hold_no_control_characters_but_tab() {
    for byte in (0..0x20_u8).chain([0x7f]) {
        let expect = match byte {
            b'\t' => continue,
            0 => Problem::NulByte,
            b'\n' => Problem::BareLf,
            b'\r' => Problem::BareCr,
            _ => Problem::ControlCharacter,
        };
        for value in [
            vec![byte],
            vec![b'a', byte],
            vec![byte, b'a'],
            [&b"a long value before it "[..], &[byte], b" and behind"].concat(),
        ] {
            let mut stream = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
            stream.extend_from_slice(&value);
            stream.extend_from_slice(b"\r\n\r\n");
            // A CR at the very end of the value is followed by the line's own CR.
            refused(stream, expect);
        }
    }
    complete(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\tb \x80\xff\xa0\r\n\r\n");
    complete("GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \t \r\nZ:z\r\n\r\n");
}

#[test]
fn exactly_one_sound_host_is_needed_in_every_version() {
    for version in ["1.0", "1.1"] {
        let check =
            |lines: &str, expect| refused(format!("GET / HTTP/{version}\r\n{lines}\r\n"), expect);
        check("", Problem::MissingHost);
        check("X-Host: a\r\n", Problem::MissingHost);
        check("Host: a\r\nHost: a\r\n", Problem::DuplicateHost);
        check("Host: a\r\nhost: b\r\n", Problem::DuplicateHost);
        check("Host: a, b\r\n", Problem::InvalidHost);
        check("Host:\r\n", Problem::InvalidHost);
        check("Host: a b\r\n", Problem::InvalidHost);
        check("Host: u@a\r\n", Problem::InvalidHost);
        check("Host: a/b\r\n", Problem::InvalidHost);
    }
}

#[test]
fn content_length_comes_once_and_as_digits() {
    for (lines, expect) in [
        (
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            Problem::DuplicateContentLength,
        ),
        (
            "Content-Length: 5\r\ncontent-length: 6\r\n",
            Problem::DuplicateContentLength,
        ),
        ("Content-Length: 5, 5\r\n", Problem::InvalidContentLength),
        ("Content-Length: 5,6\r\n", Problem::InvalidContentLength),
        ("Content-Length: +5\r\n", Problem::InvalidContentLength),
        ("Content-Length: -5\r\n", Problem::InvalidContentLength),
        ("Content-Length: 05\r\n", Problem::InvalidContentLength),
        ("Content-Length: 0x5\r\n", Problem::InvalidContentLength),
        ("Content-Length: 5 5\r\n", Problem::InvalidContentLength),
        ("Content-Length:\r\n", Problem::InvalidContentLength),
        ("Content-Length: \"5\"\r\n", Problem::InvalidContentLength),
        ("Content-Length: 5;x\r\n", Problem::InvalidContentLength),
        (
            "Content-Length: 18446744073709551616\r\n",
            Problem::InvalidContentLength,
        ),
        ("Content-Length: 5\u{b}\r\n", Problem::ControlCharacter),
        ("X: y\r\n", Problem::LengthRequired),
    ] {
        refused(post(&format!("Host: a\r\n{lines}")), expect);
    }
}

#[test]
fn transfer_encoding_is_411_alone_and_400_beside_anything_that_contradicts_it() {
    for coding in [
        "chunked",
        "gzip, chunked",
        "identity",
        "xchunked",
        "\tchunked",
        "chunked;x",
        "cow",
        "",
    ] {
        let te = format!("Host: a\r\nTransfer-Encoding: {coding}\r\n");
        refused(post(&te), Problem::TransferEncodingUnsupported);
        refused(
            post(&format!("{te}Content-Length: 5\r\n")),
            Problem::LengthAndTransferEncoding,
        );
        refused(
            post(&format!("Content-Length: 0\r\n{te}")),
            Problem::LengthAndTransferEncoding,
        );
        refused(
            format!("GET / HTTP/1.1\r\n{te}\r\n"),
            Problem::UnexpectedBody,
        );
        refused(
            format!("POST / HTTP/1.0\r\n{te}\r\n"),
            Problem::TransferEncodingHttp10,
        );
    }
    let twice = "Host: a\r\nTransfer-Encoding: chunked\r\ntRANSFER-eNCODING: identity\r\n";
    refused(post(twice), Problem::TransferEncodingUnsupported);
    refused(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \xa0chunked\r\n\r\n",
        Problem::InvalidHeaderValue,
    );
    refused(
        post("Host: a\r\nTransfer-Encoding: \u{b}chunked\r\n"),
        Problem::ControlCharacter,
    );
}

#[test]
fn get_and_head_announce_no_body() {
    for method in ["GET", "HEAD"] {
        let text = |length| {
            format!("{method} /health HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
        };
        refused(text(1), Problem::UnexpectedBody);
        assert_eq!(complete(text(0)).body_len, 0);
    }
    assert_eq!(
        complete("DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n").body_len,
        9
    );
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let text = |length: u64| {
        post(&format!(
            "Host: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n"
        ))
    };
    assert_eq!(complete(text(1024 * 1024)).body_len, 1024 * 1024);
    refused(text(1024 * 1024 + 1), Problem::BodyTooLarge);
    refused(text(u64::MAX), Problem::BodyTooLarge);
}

#[test]
fn the_65th_field_and_the_byte_behind_16_kib_are_431() {
    let fields = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: y\r\n".repeat(count - 1)
        )
    };
    complete(fields(64));
    refused(fields(65), Problem::TooManyFields);

    let sized = |bytes: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "v".repeat(bytes - frame)
        )
    };
    assert_eq!(complete(sized(16 * 1024)).head_len, 16 * 1024);
    refused(sized(16 * 1024 + 1), Problem::HeadTooLarge);
    refused(
        format!("GET /{}", "a".repeat(17_000)),
        Problem::HeadTooLarge,
    );
    refused(
        format!("GET / HTTP/1.1\r\n{}", "N".repeat(17_000)),
        Problem::HeadTooLarge,
    );

    let small = Limits {
        head_bytes_max: 40,
        fields_max: 2,
        body_bytes_max: 3,
    };
    let text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    assert_eq!(
        read_with(text.as_bytes(), &small),
        HeadStatus::Refused(Problem::HeadTooLarge)
    );
    let small = Limits {
        head_bytes_max: 400,
        ..small
    };
    assert_eq!(
        read_with(text.as_bytes(), &small),
        HeadStatus::Refused(Problem::BodyTooLarge)
    );
}

#[test]
fn connection_options_are_lists_in_which_close_wins() {
    for (lines, keep_alive) in [
        ("", true),
        ("Connection: close\r\n", false),
        ("Connection: CLOSE\r\n", false),
        ("Connection: keep-alive\r\n", true),
        ("Connection: keep-alive, close\r\n", false),
        ("Connection: ,keep-alive ,\t Close ,\r\n", false),
        ("Connection: keep-alive\r\nConnection: close\r\n", false),
        ("Connection: close\r\nConnection: keep-alive\r\n", false),
        ("Connection: upgrade\r\nUpgrade: websocket\r\n", true),
        ("Connection: closed\r\n", true),
        ("Connection:\r\n", true),
    ] {
        assert_eq!(complete(submit(lines)).keep_alive, keep_alive, "{lines:?}");
    }
    refused(
        submit("Connection: close; now\r\n"),
        Problem::InvalidHeaderValue,
    );
    refused(
        submit("Connection: \"close\"\r\n"),
        Problem::InvalidHeaderValue,
    );
}

#[test]
fn http_1_0_is_served_once_per_connection() {
    let head = complete("GET /health HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    assert!(!head.keep_alive);
    let text = "POST /v1/pcs/submit HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    assert!(
        !complete(text).expect_continue,
        "1.0 has no interim answers"
    );
    complete("GET /health HTTP/1.0\r\nHost: a\r\nExpect: wonders\r\n\r\n");
}

#[test]
fn only_100_continue_may_be_expected_and_only_with_a_body() {
    assert!(complete(submit("Expect: 100-CONTINUE\r\n")).expect_continue);
    assert!(
        !complete(post(
            "Host: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n"
        ))
        .expect_continue
    );
    refused(
        submit("Expect: 200-ok\r\n"),
        Problem::ExpectationUnsupported,
    );
    refused(submit("Expect:\r\n"), Problem::ExpectationUnsupported);
    refused(
        submit("Expect: 100-continue\r\nExpect: 100-continue\r\n"),
        Problem::DuplicateHeader,
    );
}

#[test]
fn headers_that_must_be_unambiguous_come_once() {
    refused(
        submit("Authorization: Basic a\r\nAuthorization: Basic a\r\n"),
        Problem::DuplicateHeader,
    );
    refused(
        submit("Content-Type: a/b\r\nContent-Type: application/json\r\n"),
        Problem::DuplicateHeader,
    );
    assert_eq!(
        complete(submit("traceparent: a\r\ntraceparent: b\r\n")).traceparent,
        None
    );
    complete(submit("Accept: a/b\r\nAccept: c/d\r\n"));
}

#[test]
fn a_tenant_is_one_well_formed_name_or_invalid() {
    let longest = "t".repeat(64);
    for (value, named) in [
        ("default", true),
        ("A-b_c.9", true),
        (longest.as_str(), true),
        (&format!("{longest}t"), false),
        ("", false),
        ("a b", false),
        ("a,b", false),
        ("a/b", false),
        ("ä", false),
    ] {
        let text = submit(&format!("X-Tenant-Id: {value}\r\n"));
        match complete(&text).tenant {
            TenantHeader::Named(span) => {
                assert!(named, "{value}");
                assert_eq!(span.of(text.as_bytes()), value.as_bytes());
            }
            other => assert_eq!((other, named), (TenantHeader::Invalid, false), "{value}"),
        }
    }
    let twice = complete(submit("X-Tenant-Id: a\r\nX-Tenant-Id: a\r\n"));
    assert_eq!(twice.tenant, TenantHeader::Invalid);
}

#[test]
fn a_head_is_routed_by_path_method_body_claims_and_tenant_in_this_order() {
    let check = |text: String, expect| assert_eq!(route(&complete(&text)), expect, "{text:?}");
    let read_only = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    };
    for (path, expect) in [
        ("/health", Route::Health),
        ("/livez", Route::Livez),
        ("/readyz", Route::Readyz),
        ("/version", Route::Version),
        ("/metrics", Route::Metrics),
    ] {
        check(read_only("GET", path), Ok(expect));
        check(read_only("HEAD", path), Ok(expect));
        check(read_only("POST", path), Err(Problem::ReadMethodNotAllowed));
        check(read_only("get", path), Err(Problem::ReadMethodNotAllowed));
    }
    for method in ["GET", "HEAD", "PUT", "OPTIONS", "post"] {
        check(
            read_only(method, "/v1/pcs/submit"),
            Err(Problem::SubmitMethodNotAllowed),
        );
    }
    check(read_only("POST", "/"), Err(Problem::NotFound));
    check(submit(""), Ok(Route::Submit));
    check(
        submit("Content-Type: application/json\r\n"),
        Ok(Route::Submit),
    );
    check(
        submit("Content-Type: text/plain\r\nX-Tenant-Id: /\r\n"),
        Err(Problem::ContentTypeUnsupported),
    );
    check(
        submit("Content-Type:\r\n"),
        Err(Problem::ContentTypeUnsupported),
    );
    check(
        submit("Content-Encoding: gzip\r\nContent-Type: text/plain\r\n"),
        Err(Problem::ContentEncodingUnsupported),
    );
    check(
        submit("Content-Encoding: identity\r\n"),
        Err(Problem::ContentEncodingUnsupported),
    );
    check(submit("X-Tenant-Id: /\r\n"), Err(Problem::UnknownTenant));
}

#[test]
fn a_connection_survives_a_refusal_whose_rest_is_small_and_certain() {
    assert!(connection_survives(Problem::NotFound, 0, false));
    assert!(connection_survives(Problem::RateLimited, 64 * 1024, false));
    assert!(!connection_survives(
        Problem::RateLimited,
        64 * 1024 + 1,
        false
    ));
    assert!(
        !connection_survives(Problem::NotFound, 1, true),
        "its sender may never send the body"
    );
    assert!(connection_survives(Problem::NotFound, 0, true));
    assert!(!connection_survives(Problem::LengthRequired, 0, false));
}

/// The reader as one would write it without a care for speed, for complete heads within the limits.
/// Says where the head ends and how long the body is, or nothing where it is refused.
fn read_naively(stream: &[u8]) -> Option<(usize, u64)> {
    let text: String = stream.iter().map(|&byte| char::from(byte)).collect();
    let text = text.as_str();
    let (skipped, text) = match text.strip_prefix("\r\n") {
        Some(rest) => (2, rest),
        None => (0, text),
    };
    let head = text.split_once("\r\n\r\n")?.0;
    let head_len = head.chars().count() + 4; // one character per byte, whatever they take in memory
    let mut lines = head.split("\r\n");
    let token = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
    };
    let parts: Vec<&str> = lines.next()?.split(' ').collect();
    let &[method, target, version] = parts.as_slice() else {
        return None;
    };
    let target_is_sound =
        target.starts_with('/') && target.chars().all(|c| !c.is_ascii_control() && c != '#');
    if !token(method)
        || method.len() > 32
        || !target_is_sound
        || !["HTTP/1.0", "HTTP/1.1"].contains(&version)
    {
        return None;
    }
    let mut fields: Vec<(String, &str)> = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if !token(name) || value.chars().any(|c| c.is_ascii_control() && c != '\t') {
            return None;
        }
        let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let lookalike =
            ["contentlength", "transferencoding"].contains(&letters.to_ascii_lowercase().as_str());
        if lookalike
            && !["content-length", "transfer-encoding"]
                .contains(&name.to_ascii_lowercase().as_str())
        {
            return None;
        }
        fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])));
    }
    let all = |name: &str| {
        fields
            .iter()
            .filter(|field| field.0 == name)
            .map(|field| field.1)
            .collect::<Vec<_>>()
    };
    let hosts = all("host");
    let lengths = all("content-length");
    if !all("transfer-encoding").is_empty()
        || hosts != ["a"]
        || lengths.len() > 1
        || fields.len() > 64
    {
        return None;
    }
    let length = match lengths.first() {
        None if method == "POST" => return None,
        None => 0,
        Some(digits)
            if digits.chars().all(|c| c.is_ascii_digit())
                && (*digits == "0" || !digits.starts_with('0')) =>
        {
            digits.parse::<u64>().ok()?
        }
        Some(_) => return None,
    };
    if length > 1024 * 1024 || (["GET", "HEAD"].contains(&method) && length > 0) {
        return None;
    }
    Some((skipped + head_len, length))
}

/// Pieces from which right and slightly wrong heads are put together.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => Just(b"X: y\r\n".to_vec()),
        2 => Just(b"Content-Length: 5\r\n".to_vec()),
        1 => Just(b"Host: a\r\n".to_vec()),
        1 => Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        1 => Just(b"Content-Length: 05\r\n".to_vec()),
        1 => Just(b"X: \t y \x80 \r\n".to_vec()),
        1 => proptest::sample::select(&b"\0\t\n\r :\x7f\x80ab"[..]).prop_map(|byte| vec![byte]),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let line = proptest::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /v1/pcs/submit HTTP/1.1\r\n",
        "\r\nPOST / HTTP/1.0\r\n",
        "PUT /x HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET  / HTTP/1.1\r\n",
    ]);
    (
        line,
        proptest::collection::vec(piece(), 0..6),
        0..4_usize,
        any::<proptest::sample::Index>(),
        any::<u8>(),
    )
        .prop_map(|(line, pieces, change, place, byte)| {
            let mut stream = line.as_bytes().to_vec();
            stream.extend_from_slice(b"Host: a\r\n");
            stream.extend(pieces.concat());
            stream.extend_from_slice(b"\r\nbody\r\n\r\n");
            let at = place.index(stream.len());
            match change {
                0 => stream[at] = byte,
                1 => drop(stream.remove(at)),
                2 => stream.insert(at, byte),
                _ => {}
            }
            stream
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_verdict_does_not_depend_on_the_cuts_and_equals_the_plain_reader(stream in stream()) {
        let fast = match read(&stream) {
            HeadStatus::Complete(head) => Some((head.head_len, head.body_len)),
            _ => None,
        };
        let plain = read_naively(&stream);
        // The plain reader knows one Host and no header that only the real one reads.
        if fast != plain {
            let read_by_one_only = fast.is_some()
                && String::from_utf8_lossy(&stream).lines().any(|line| line.to_ascii_lowercase().starts_with("host:") && !line.ends_with(": a"));
            prop_assert!(read_by_one_only, "{:?}: {fast:?}, plainly {plain:?}", String::from_utf8_lossy(&stream));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn what_follows_a_head_changes_nothing(stream in stream(), rest in proptest::collection::vec(any::<u8>(), 0..50)) {
        if let HeadStatus::Complete(head) = read(&stream) {
            let mut longer = stream[..head.head_len].to_vec();
            longer.extend_from_slice(&rest);
            prop_assert_eq!(read_head(&longer, &Limits::default()), HeadStatus::Complete(head));
        }
    }
}
