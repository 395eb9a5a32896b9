//! The headers that frame a body, name a host or a tenant, or end a connection, and the limits of a head.
//! Each case is read whole and at every cut; none asks where a request is routed to.

use flk_dataplane::http::{HeadStatus, Limits, Problem, TenantHeader};

use super::{complete, post, read_with, refused, submit};

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
