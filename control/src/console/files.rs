//! The files of the page, embedded by the build. They are the same for every user, so they need no token; they hold no data.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

/// Where the page is.
pub const PAGE: &str = "/console/";

/// What the page may load and run: what lies beside it, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The page of a build without one.
const WITHOUT: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>flk</title>\n<p>This build has no console: <code>make console</code> makes it where npm is installed, and the next build has it.</p>\n<p><a href=\"../metrics\">Metrics</a>, <a href=\"../v1/status\">status</a></p>\n</html>\n";

/// A file.
#[derive(Debug)]
struct File {
    name: &'static str,
    /// As in `ETag`: other bytes have another one.
    tag: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
}

/// All files, by their names.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// What is served where the build had no page.
static INSTEAD: File = File {
    name: "index.html",
    tag: "\"0\"",
    plain: WITHOUT.as_bytes(),
    gzip: None,
};

fn find(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

/// The way from the root to the page.
pub fn redirect() -> Response {
    Redirect::temporary(PAGE).into_response()
}

/// The page itself.
pub fn page(request: &HeaderMap) -> Response {
    answer(find(INSTEAD.name).unwrap_or(&INSTEAD), request)
}

/// A file beside it.
pub fn asset(name: &str, request: &HeaderMap) -> Option<Response> {
    let name = format!("assets/{name}");
    Some(answer(find(&name)?, request))
}

fn answer(file: &'static File, request: &HeaderMap) -> Response {
    let gzip = file.gzip.filter(|_| takes_gzip(request));
    let mut headers = HeaderMap::new();
    let mut put = |name, value| headers.insert(name, HeaderValue::from_static(value));
    put(header::CONTENT_TYPE, content_type(file.name));
    put(header::CONTENT_SECURITY_POLICY, POLICY);
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::REFERRER_POLICY, "no-referrer");
    put(header::ETAG, file.tag);
    put(header::CACHE_CONTROL, "no-cache");
    put(header::VARY, "Accept-Encoding");
    if request
        .get(header::IF_NONE_MATCH)
        .is_some_and(|it| it == file.tag)
    {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    if gzip.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let bytes = Bytes::from_static(gzip.unwrap_or(file.plain));
    (StatusCode::OK, headers, Body::from(bytes)).into_response()
}

fn takes_gzip(request: &HeaderMap) -> bool {
    let codings = request.get_all(header::ACCEPT_ENCODING).into_iter();
    let mut codings = codings.flat_map(|it| it.as_bytes().split(|&byte| byte == b','));
    codings.any(|coding| {
        let mut parts = coding.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let is_gzip = parts
            .next()
            .is_some_and(|it| it.eq_ignore_ascii_case(b"gzip"));
        is_gzip && !parts.any(|it| matches!(it, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"))
    })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("woff2") => "font/woff2",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SMALL: File = File {
        name: "assets/a.js",
        tag: "\"7\"",
        plain: b"plain",
        gzip: Some(b"gzip"),
    };

    fn request(fields: &[(header::HeaderName, &str)]) -> HeaderMap {
        let fields = fields.iter().cloned();
        fields
            .map(|(name, value)| (name, value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn compressed_bytes_are_sent_to_those_who_take_them() {
        for (accepts, expected) in [
            ("gzip, deflate, br", Some("gzip")),
            ("br;q=1.0, GZIP;q=0.8", Some("gzip")),
            ("gzip;q=0", None),
            ("identity", None),
            ("xgzip", None),
        ] {
            let answer = answer(&SMALL, &request(&[(header::ACCEPT_ENCODING, accepts)]));
            let coding = answer.headers().get(header::CONTENT_ENCODING);
            assert_eq!(coding.map(|it| it.to_str().unwrap()), expected, "{accepts}");
        }
    }

    #[test]
    fn what_a_client_has_is_not_sent_again() {
        let same = answer(&SMALL, &request(&[(header::IF_NONE_MATCH, "\"7\"")]));
        assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
        let other = answer(&SMALL, &request(&[(header::IF_NONE_MATCH, "\"8\"")]));
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[test]
    fn every_file_says_what_it_is_and_what_it_may_do() {
        let answer = answer(&SMALL, &HeaderMap::new());
        let of = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(of("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(of("x-content-type-options"), "nosniff");
        assert!(of("content-security-policy").contains("frame-ancestors 'none'"));
        for directive in of("content-security-policy").split("; ") {
            let (name, sources) = directive.split_once(' ').unwrap();
            let is_here = |it: &str| match it {
                "'none'" | "'self'" => true,
                // What the page has drawn itself.
                "data:" | "blob:" => name == "img-src",
                _ => false,
            };
            assert!(sources.split(' ').all(is_here), "{directive}");
        }
    }
}
