//! Which requests of browsers may be answered. A page elsewhere can make a browser of this machine send requests here, under a
//! name of its own that leads to loopback, or with the cookie of a user; it is told by what browsers add. It looks at heads only.

use super::problem::Problem;
use axum::http::{HeaderMap, header};

/// What browsers say of where a request comes from.
const FETCH_SITE: &str = "sec-fetch-site";

fn host(headers: &HeaderMap) -> &str {
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok());
    host.unwrap_or_default()
}

/// Whether it is for this machine by an address or as `localhost`: no name that somebody else can lead here.
pub(super) fn names_an_address(headers: &HeaderMap) -> bool {
    let host = host(headers);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    is_address || name == "localhost"
}

/// A program of this machine asks, where there are no tokens that it could show. Browsers send no `Origin` for a picture or a script
/// of a page elsewhere, but say that it is elsewhere.
pub(super) fn is_no_page(headers: &HeaderMap) -> Result<(), Problem> {
    let is_program = site_fits(headers) && !headers.contains_key(header::ORIGIN);
    match is_program && names_an_address(headers) {
        true => Ok(()),
        false => Err(Problem::Browser),
    }
}

/// The console itself asks, or no page: what comes from a page elsewhere is refused. Browsers leave `Origin` out where a page
/// only reads from where it came from.
pub(super) fn is_own_page(headers: &HeaderMap, is_tls: bool) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).map(|it| it.to_str().unwrap_or("?"));
    let scheme = if is_tls { "https://" } else { "http://" };
    let origin_fits = match text(header::ORIGIN.as_str()) {
        None => true,
        Some(origin) => {
            let of_origin = origin.strip_prefix(scheme);
            of_origin.is_some_and(|it| !it.is_empty() && it.eq_ignore_ascii_case(host(headers)))
        }
    };
    match site_fits(headers) && origin_fits {
        true => Ok(()),
        false => Err(Problem::Foreign),
    }
}

/// Whether no browser says that another page asks.
fn site_fits(headers: &HeaderMap) -> bool {
    let site = headers.get(FETCH_SITE).map(|it| it.to_str().unwrap_or("?"));
    matches!(site, None | Some("same-origin" | "none"))
}

/// The value of the cookie of this name.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies = headers.get_all(header::COOKIE).into_iter();
    let mut pairs = cookies
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// What sets the cookie, or with an age of 0 takes it away.
pub(super) fn set_cookie(name: &str, secret: &str, age_s: u64, is_tls: bool) -> String {
    let secure = if is_tls { "; Secure" } else { "" };
    format!("{name}={secret}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| {
                let name = header::HeaderName::from_static(name);
                (name, value.parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn hosts_that_nobody_can_lead_here_are_addresses_and_localhost() {
        for host in [
            "127.0.0.1:8081",
            "localhost",
            "localhost:1",
            "[::1]:8081",
            "10.0.0.1",
        ] {
            assert!(names_an_address(&headers(&[("host", host)])), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:8081",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert!(!names_an_address(&headers(&[("host", host)])), "{host}");
        }
    }

    #[test]
    fn a_page_elsewhere_that_says_no_origin_is_no_program() {
        let host = ("host", "127.0.0.1:8081");
        for program in [&[host][..], &[host, ("sec-fetch-site", "none")]] {
            assert!(is_no_page(&headers(program)).is_ok(), "{program:?}");
        }
        for page in [
            // As a picture or a script of a page elsewhere is asked for.
            &[host, ("sec-fetch-site", "cross-site")][..],
            &[host, ("sec-fetch-site", "same-site")],
            &[host, ("origin", "http://127.0.0.1:8081")],
            &[("host", "evil.example")],
        ] {
            assert!(is_no_page(&headers(page)).is_err(), "{page:?}");
        }
    }

    #[test]
    fn only_the_console_itself_and_programs_are_answered() {
        let host = ("host", "flk.example:8081");
        for fits in [
            &[host][..],
            &[host, ("origin", "http://flk.example:8081")],
            &[
                host,
                ("origin", "http://FLK.example:8081"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[host, ("sec-fetch-site", "none")],
        ] {
            assert!(is_own_page(&headers(fits), false).is_ok(), "{fits:?}");
        }
        for foreign in [
            &[host, ("origin", "http://evil.example")][..],
            &[host, ("origin", "http://flk.example")],
            &[host, ("origin", "https://flk.example:8081")],
            &[host, ("origin", "null")],
            &[host, ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "same-site")],
            &[
                host,
                ("origin", "http://flk.example:8081"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[("origin", "http://")],
        ] {
            assert!(
                is_own_page(&headers(foreign), false).is_err(),
                "{foreign:?}"
            );
        }
        let by_tls = headers(&[host, ("origin", "https://flk.example:8081")]);
        assert!(is_own_page(&by_tls, true).is_ok());
        let before_tls = headers(&[host, ("origin", "http://flk.example:8081")]);
        assert!(is_own_page(&before_tls, true).is_err());
    }

    #[test]
    fn the_cookie_is_found_among_others_and_is_out_of_reach_of_scripts() {
        let found =
            |cookies| cookie(&headers(&[("cookie", cookies)]), "flk_session").map(str::to_owned);
        assert_eq!(found("a=b; flk_session=7; c=d").as_deref(), Some("7"));
        assert_eq!(found("flk_session="), Some(String::new()));
        assert_eq!(found("flk_session2=7; xflk_session=8"), None);
        let two = headers(&[("cookie", "a=b"), ("cookie", "flk_session=7")]);
        assert_eq!(cookie(&two, "flk_session"), Some("7"));
        let set = set_cookie("flk_session", "7", 3600, true);
        for part in [
            "flk_session=7;",
            "Path=/;",
            "Max-Age=3600;",
            "HttpOnly;",
            "SameSite=Strict;",
            "Secure",
        ] {
            assert!(set.contains(part), "{set}");
        }
        assert!(!set_cookie("flk_session", "7", 0, false).contains("Secure"));
    }
}
