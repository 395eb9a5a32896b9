//! Request lines, line ends and names: where a head begins, and what its lines may hold.
//! Each case is read whole and at every cut; none looks at what a header means.

use flk_dataplane::http::{
    ContentType, HeadStatus, Method, Problem, Target, TenantHeader, begins_with_post,
};

use super::{complete, post, read, refused, submit};

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
        ("G\u{1}T / HTTP/1.1\r\n", Problem::InvalidMethod),
        ("G(T / HTTP/1.1\r\n", Problem::InvalidMethod),
        ("GÄT / HTTP/1.1\r\n", Problem::InvalidMethod),
        (": / HTTP/1.1\r\n", Problem::InvalidMethod),
        ("\u{16}\u{4}\u{1}", Problem::InvalidMethod),
        ("PRI / HTTP/2.0\r\n", Problem::VersionUnsupported),
        ("PROXY x HTTP/1.1\r\n", Problem::InvalidTarget),
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
fn protocols_of_others_are_refused_by_their_names() {
    for (stream, expect) in [
        (
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            Problem::TlsOnPlainPort,
        ),
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            Problem::Http2OnPlainPort,
        ),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\nGET / HTTP/1.1\r\n",
            Problem::ProxyProtocol,
        ),
        (b"PROXY TCP6 ::1 ::1 5000 80\r\n", Problem::ProxyProtocol),
        (b"PROXY UNKNOWN\r\n", Problem::ProxyProtocol),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
            Problem::ProxyProtocol,
        ),
        (b"\r\n\r\nGET / HTTP/1.1\r\n", Problem::InvalidRequestLine),
        (b"\r\n\rX", Problem::InvalidRequestLine),
    ] {
        refused(stream, expect);
    }
}

#[test]
fn a_post_is_seen_as_one_whatever_is_wrong_with_it() {
    for (bytes, expect) in [
        ("POST / HTTP/1.1\nHost: a\n", true),
        ("\r\nPOST  /", true),
        ("POST ", true),
        ("POST", false),
        ("post / HTTP/1.1", false),
        ("GET / HTTP/1.1", false),
        ("\r\n\r\nPOST / HTTP/1.1", false),
    ] {
        assert_eq!(begins_with_post(bytes.as_bytes()), expect, "{bytes:?}");
    }
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
    check("OPTIONS *", "a", Ok(Target::Server));
    check("GET /health", "", Ok(Target::Health));
    check("GET http://a/health", "", Err(Problem::HostMismatch));
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
