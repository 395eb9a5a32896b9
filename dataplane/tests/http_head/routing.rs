//! Where a head is routed to, and whether its connection survives a refusal.
//! It reads heads only to route them; framing has cases of its own.

use flk_dataplane::http::{Allowed, BodyRest, Problem, Route, connection_survives, route};

use super::{complete, submit};

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
