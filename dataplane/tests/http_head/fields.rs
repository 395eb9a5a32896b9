//! The headers that frame a body, name a host or a tenant, or end a connection, and the limits of a head.
//! Each case is read whole and at every cut; none asks where a request is routed to.

use flk_dataplane::http::{HeadStatus, HttpLimits as Limits, Problem, TenantHeader};

use super::{complete, post, read_with, refused, submit};

#[test]
fn one_host_is_needed_unless_the_version_is_1_0_and_it_may_be_empty() {
    for version in ["1.0", "1.1"] {
        let text = |lines: &str| format!("GET / HTTP/{version}\r\n{lines}\r\n");
        let check = |lines: &str, expect| refused(text(lines), expect);
        check("Host: a\r\nHost: a\r\n", Problem::DuplicateHost);
        check("Host:\r\nHost:\r\n", Problem::DuplicateHost);
        check("Host: a\r\nhost: b\r\n", Problem::DuplicateHost);
        check("Host: a, b\r\n", Problem::InvalidHost);
        check("Host: a b\r\n", Problem::InvalidHost);
        check("Host: u@a\r\n", Problem::InvalidHost);
        check("Host: a/b\r\n", Problem::InvalidHost);
        complete(text("Host:\r\n"));
        complete(text("Host: \t\r\n"));
    }
    refused("GET / HTTP/1.1\r\n\r\n", Problem::MissingHost);
    refused("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", Problem::MissingHost);
    complete("GET / HTTP/1.0\r\n\r\n");
    complete("GET http://a/health HTTP/1.0\r\n\r\n");
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
fn a_body_may_be_chunked_and_nothing_else() {
    for coding in ["chunked", "CHUNKED", "\tchunked "] {
        let head = complete(post(&format!("Host: a\r\nTransfer-Encoding: {coding}\r\n")));
        assert_eq!((head.chunked, head.body_len), (true, 0));
    }
    for coding in [
        "gzip, chunked",
        "chunked, gzip",
        "identity",
        "identity, chunked",
        "xchunked",
        "chunked;x",
        "chunked x",
        "\"chunked\"",
        "cow",
    ] {
        let te = format!("Host: a\r\nTransfer-Encoding: {coding}\r\n");
        refused(post(&te), Problem::TransferCodingUnsupported);
    }
    for coding in [
        "",
        ",",
        "chunked,",
        ",chunked",
        "chunked, chunked",
        "chunked,,gzip",
    ] {
        let te = format!("Host: a\r\nTransfer-Encoding: {coding}\r\n");
        refused(post(&te), Problem::InvalidHeaderValue);
    }
    let twice = |first: &str, second: &str| {
        post(&format!(
            "Host: a\r\nTransfer-Encoding: {first}\r\ntRANSFER-eNCODING: {second}\r\n"
        ))
    };
    refused(twice("chunked", "chunked"), Problem::InvalidHeaderValue);
    refused(
        twice("chunked", "identity"),
        Problem::TransferCodingUnsupported,
    );
    refused(twice("gzip", "chunked"), Problem::TransferCodingUnsupported);
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
fn a_transfer_coding_beside_what_contradicts_it_is_400() {
    for coding in ["chunked", "gzip, chunked", "identity", "cow"] {
        let te = format!("Host: a\r\nTransfer-Encoding: {coding}\r\n");
        refused(
            post(&format!("{te}Content-Length: 5\r\n")),
            Problem::LengthAndTransferEncoding,
        );
        refused(
            post(&format!("Content-Length: 0\r\n{te}")),
            Problem::LengthAndTransferEncoding,
        );
        for method in ["GET", "HEAD", "OPTIONS"] {
            refused(
                format!("{method} / HTTP/1.1\r\n{te}\r\n"),
                Problem::UnexpectedBody,
            );
        }
        refused(
            format!("POST / HTTP/1.0\r\n{te}\r\n"),
            Problem::TransferEncodingHttp10,
        );
    }
}

#[test]
fn get_head_and_options_announce_no_body() {
    for method in ["GET", "HEAD", "OPTIONS"] {
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
        batch_bytes_max: 3,
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
fn http_1_0_closes_unless_it_asks_to_be_kept_and_has_no_interim_answers() {
    for (lines, keep_alive) in [
        ("", false),
        ("Connection: keep-alive\r\n", true),
        ("Connection: Keep-Alive, x\r\n", true),
        ("Connection: keep-alive\r\nConnection: close\r\n", false),
        ("Connection: keep-alived\r\n", false),
    ] {
        let head = complete(format!("GET /health HTTP/1.0\r\n{lines}\r\n"));
        assert_eq!(head.keep_alive, keep_alive, "{lines:?}");
        assert_eq!(head.repeats_keep_alive, keep_alive, "{lines:?}");
    }
    assert!(!complete(submit("Connection: keep-alive\r\n")).repeats_keep_alive);
    let text = "POST /v1/pcs/submit HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    assert!(!complete(text).expect_continue);
    complete("GET /health HTTP/1.0\r\nHost: a\r\nExpect: wonders\r\n\r\n");
    refused(
        "POST / HTTP/1.0\r\nHost: a\r\n\r\n",
        Problem::LengthRequired,
    );
}

#[test]
fn only_identity_is_no_content_encoding() {
    for (value, encoded) in [
        ("identity", false),
        ("IDENTITY", false),
        ("gzip", true),
        ("", true),
    ] {
        let head = complete(submit(&format!("Content-Encoding: {value}\r\n")));
        assert_eq!(head.content_encoded, encoded, "{value:?}");
    }
    let both = "Content-Encoding: gzip\r\nContent-Encoding: identity\r\n";
    assert!(complete(submit(both)).content_encoded);
}

#[test]
fn only_100_continue_may_be_expected_and_only_with_a_body() {
    assert!(complete(submit("Expect: 100-CONTINUE\r\n")).expect_continue);
    let chunked = "Host: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n";
    assert!(complete(post(chunked)).expect_continue);
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
