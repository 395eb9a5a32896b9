//! Where a head is routed to, and whether its connection survives a refusal.
//! It reads heads only to route them; framing has cases of its own.

use flk_dataplane::http::{Allowed, BodyRest, LookUps, Problem, Route, connection_survives, route};

use super::{complete, submit};

#[test]
fn a_head_is_routed_by_path_method_body_claims_and_tenant_in_this_order() {
    let check = |text: String, expect| {
        assert_eq!(route(&complete(&text), LookUps::Off), expect, "{text:?}")
    };
    let read_only = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    };
    for (path, expect) in [
        ("/health", Route::Health),
        ("/livez", Route::Livez),
        ("/readyz", Route::Readyz),
        ("/readyz?verbos", Route::Readyz),
        ("/readyz?verbose", Route::ReadyzVerbose),
        ("/version", Route::Version),
        ("/metrics", Route::Metrics),
    ] {
        check(read_only("GET", path), Ok(expect));
        check(read_only("HEAD", path), Ok(expect));
        check(
            read_only("OPTIONS", path),
            Ok(Route::Options(Allowed::Page)),
        );
        check(read_only("POST", path), Err(Problem::ReadMethodNotAllowed));
        check(read_only("get", path), Err(Problem::ReadMethodNotAllowed));
    }
    check(
        read_only("OPTIONS", "*"),
        Ok(Route::Options(Allowed::Server)),
    );
    check(
        read_only("OPTIONS", "/v1/pcs/submit"),
        Ok(Route::Options(Allowed::Submit)),
    );
    check(read_only("OPTIONS", "/"), Err(Problem::NotFound));
    for method in ["GET", "HEAD", "PUT", "options", "post"] {
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
    check(submit("Content-Encoding: identity\r\n"), Ok(Route::Submit));
    check(submit("X-Tenant-Id: /\r\n"), Err(Problem::UnknownTenant));
}

#[test]
fn a_batch_is_routed_like_a_submit_of_another_type_and_is_no_outcome() {
    let request = |method: &str, path: &str, fields: &str| {
        let text = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        complete(&text)
    };
    let on = |method: &str, path: &str| route(&request(method, path, ""), LookUps::On);
    for path in ["/v1/pcs/batch", "/v1/pcs/batch?x"] {
        let refused = Err(Problem::SubmitMethodNotAllowed);
        assert_eq!(on("GET", path), refused, "no outcome has this path");
        assert_eq!(on("OPTIONS", path), Ok(Route::Options(Allowed::Submit)));
        let post = |fields: &str| {
            let fields = format!("Content-Length: 0\r\n{fields}");
            route(&request("POST", path, &fields), LookUps::Off)
        };
        assert_eq!(post(""), Ok(Route::Batch));
        let typed = |name: &str| post(&format!("Content-Type: {name}\r\n"));
        assert_eq!(
            typed("application/x-ndjson; charset=utf-8"),
            Ok(Route::Batch)
        );
        let wrong = Err(Problem::BatchTypeUnsupported);
        assert_eq!(typed("application/json"), wrong);
    }
}

#[test]
fn the_path_of_an_outcome_is_one_only_where_look_ups_are_on() {
    let id = "0123456789abcdef".repeat(4);
    let request = |method: &str, path: &str, fields: &str| {
        complete(format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"
        ))
    };
    let path = format!("/v1/pcs/{id}");
    let on = |method: &str, path: &str| {
        route(&request(method, path, "Content-Length: 0\r\n"), LookUps::On)
    };
    for (prefix, path) in [("", path.clone()), ("http://a", format!("{path}?x=/y"))] {
        let target = format!("{prefix}{path}");
        for method in ["GET", "HEAD"] {
            let text = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            match route(&complete(&text), LookUps::On) {
                Ok(Route::Outcome(span)) => assert_eq!(span.of(text.as_bytes()), id.as_bytes()),
                other => panic!("{target}: {other:?}"),
            }
        }
    }
    for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS"] {
        let head = request(method, &path, "Content-Length: 0\r\n");
        assert_eq!(route(&head, LookUps::Off), Err(Problem::NotFound));
    }
    for method in ["POST", "PUT", "get"] {
        assert_eq!(on(method, &path), Err(Problem::ReadMethodNotAllowed));
    }
    assert_eq!(on("OPTIONS", &path), Ok(Route::Options(Allowed::Page)));
    for wrong in [
        &id[1..],
        &format!("{id}0"),
        &id.to_uppercase(),
        &id.replace('0', "g"),
        "batches",
    ] {
        assert_eq!(
            on("GET", &format!("/v1/pcs/{wrong}")),
            Err(Problem::InvalidPcsId),
            "{wrong}"
        );
    }
    for other in [
        "/v1/pcs",
        "/v1/pcs/",
        &format!("{path}/"),
        &format!("/{path}"),
        "/v1/pcs/submit/",
    ] {
        assert_eq!(on("GET", other), Err(Problem::NotFound), "{other}");
    }
    assert_eq!(
        on("GET", "/v1/pcs/submit"),
        Err(Problem::SubmitMethodNotAllowed)
    );
    let head = request("GET", &path, "X-Tenant-Id: /\r\n");
    assert_eq!(route(&head, LookUps::On), Err(Problem::UnknownTenant));
}

#[test]
fn a_connection_survives_a_refusal_whose_rest_is_small_and_certain() {
    assert!(connection_survives(Problem::NotFound, 0, BodyRest::Comes));
    assert!(connection_survives(
        Problem::RateLimited,
        64 * 1024,
        BodyRest::Comes
    ));
    assert!(!connection_survives(
        Problem::RateLimited,
        64 * 1024 + 1,
        BodyRest::Comes
    ));
    assert!(
        !connection_survives(Problem::NotFound, 1, BodyRest::MayNotCome),
        "its sender may never send the body"
    );
    assert!(connection_survives(
        Problem::NotFound,
        0,
        BodyRest::MayNotCome
    ));
    assert!(!connection_survives(
        Problem::LengthRequired,
        0,
        BodyRest::Comes
    ));
}
