//! Settings of traces: which records are traced, and where `flk-control` sends their spans. The data plane checks the latter,
//! so that one file serves both, and sends nothing itself.

use super::error::ConfigError;
use super::raw::RawConfig;
use super::variables::Variable;
use crate::shard::config::TraceLimits;
use std::fmt;
use zeroize::Zeroizing;

/// Where spans are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// The collector.
    pub endpoint: Endpoint,
    /// What is sent with each request.
    pub headers: OtlpHeaders,
    /// What spans call this service.
    pub service_name: String,
}

/// An address by `http://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Host and port as in the header `Host`.
    pub authority: String,
    /// Path of the traces.
    pub path: String,
}

/// Names and values of headers, which may be credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OtlpHeaders(pub Vec<(String, Zeroizing<String>)>);

impl fmt::Debug for OtlpHeaders {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Which records are traced.
pub(super) fn limits(raw: &RawConfig) -> Result<TraceLimits, ConfigError> {
    let sample: f64 = raw.parsed(Variable::TraceSample, "0", "not a number")?;
    if !(0.0..=1.0).contains(&sample) {
        return Err(raw.error(Variable::TraceSample, "out of bounds"));
    }
    let per_s_max: u32 = raw.parsed(Variable::TracesPerSecondMax, "100", "not a whole number")?;
    match per_s_max {
        0..=10_000 => Ok(TraceLimits { sample, per_s_max }),
        _ => Err(raw.error(Variable::TracesPerSecondMax, "out of bounds")),
    }
}

/// Where spans are sent; none: nowhere.
pub(super) fn otlp(raw: &RawConfig) -> Result<Option<OtlpSettings>, ConfigError> {
    let headers = headers(raw.text(Variable::OtlpHeaders).unwrap_or_default())
        .map_err(|problem| raw.error(Variable::OtlpHeaders, problem))?;
    let service_name = raw.text(Variable::ServiceName).unwrap_or("flk").to_owned();
    if service_name.len() > 255 || service_name.contains(char::is_control) {
        return Err(raw.error(
            Variable::ServiceName,
            "too long, or with control characters",
        ));
    }
    // Both are checked, although the one of traces outweighs the other.
    let of = |variable: Variable, parse: fn(&str) -> Result<Endpoint, &'static str>| {
        let parsed = raw.text(variable).map(parse).transpose();
        parsed.map_err(|problem| raw.error(variable, problem))
    };
    let general = of(Variable::OtlpEndpoint, general_endpoint)?;
    let of_traces = of(Variable::OtlpTracesEndpoint, endpoint)?;
    Ok(of_traces.or(general).map(|endpoint| OtlpSettings {
        endpoint,
        headers,
        service_name,
    }))
}

/// What the path of traces is, below that of a collector
/// (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp>).
const OF_TRACES: &str = "/v1/traces";

/// The address of a collector: each signal has its own path below it.
fn general_endpoint(text: &str) -> Result<Endpoint, &'static str> {
    let mut endpoint = endpoint(text)?;
    let path = endpoint.path.trim_end_matches('/');
    if path.ends_with(OF_TRACES) {
        return Err(
            "it ends with /v1/traces, which is added to it: leave that out, or name the whole address in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        );
    }
    endpoint.path = format!("{path}{OF_TRACES}");
    Ok(endpoint)
}

/// An address as it is typed.
fn endpoint(text: &str) -> Result<Endpoint, &'static str> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("it does not begin with http://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" => {
            return Err(
                "flk has no TLS client: name a collector of this machine or network by http://, such as the OpenTelemetry Collector, which sends on by https://",
            );
        }
        _ => return Err("it does not begin with http://"),
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#@\\\"<>".contains(&byte);
    if !rest.bytes().all(is_plain) {
        return Err("it has a user, a query, a fragment or characters that no address has");
    }
    let (host, port) = match authority
        .strip_prefix('[')
        .and_then(|it| it.split_once(']'))
    {
        Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port),
        Some(_) => return Err("no IPv6 address is between the brackets"),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => 80,
        Some(digits) if digits.bytes().all(|it| it.is_ascii_digit()) => {
            digits.parse().map_err(|_| "it has no such port")?
        }
        _ => return Err("it has no such port"),
    };
    if host.is_empty() || port == 0 {
        return Err("it names no host or no port");
    }
    Ok(Endpoint {
        host: host.to_owned(),
        port,
        authority: authority.to_owned(),
        path: match path {
            "" => "/".to_owned(),
            path => path.to_owned(),
        },
    })
}

/// Headers as W3C Baggage writes them. No value is shown in an error.
fn headers(text: &str) -> Result<OtlpHeaders, &'static str> {
    let mut found = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or("a header has no = behind its name")?;
        let name = name.trim();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err("the name of a header is empty, or has characters that none has");
        }
        let value = unescaped(value.trim()).ok_or("a % without two digits behind it")?;
        if !value.bytes().all(|it| (b' '..=b'~').contains(&it)) {
            return Err("the value of a header has characters that none has");
        }
        found.push((name.to_ascii_lowercase(), value));
    }
    Ok(OtlpHeaders(found))
}

/// A text without its percent encoding.
fn unescaped(text: &str) -> Option<Zeroizing<String>> {
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('%') {
        value.push_str(plain);
        let digits = escaped.get(..2)?;
        value.push(char::from(u8::from_str_radix(digits, 16).ok()?));
        rest = &escaped[2..];
    }
    value.push_str(rest);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_gets_the_path_of_traces() {
        for (text, host, port, path) in [
            ("http://127.0.0.1:4318", "127.0.0.1", 4318, "/v1/traces"),
            ("http://collector", "collector", 80, "/v1/traces"),
            ("HTTP://collector:4318/", "collector", 4318, "/v1/traces"),
            ("http://[::1]:4318/otlp/", "::1", 4318, "/otlp/v1/traces"),
        ] {
            let found = general_endpoint(text).unwrap();
            let found = (found.host.as_str(), found.port, found.path.as_str());
            assert_eq!(found, (host, port, path), "{text}");
        }
        for (text, path) in [
            ("http://collector", "/"),
            ("http://collector/v1/traces", "/v1/traces"),
            ("http://collector/otlp/traces/", "/otlp/traces/"),
        ] {
            assert_eq!(endpoint(text).unwrap().path, path, "as it is");
        }
        for text in ["http://a/v1/traces", "http://a:1/x/v1/traces/"] {
            let refused = general_endpoint(text).unwrap_err();
            assert!(refused.contains("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"));
        }
        for text in [
            "collector:4318",
            "grpc://collector",
            "http://",
            "http://:4318",
            "http://a:0",
            "http://a:65536",
            "http://a:b",
            "http://[a]:1",
            "http://user@a",
            "http://a?b",
            "http://a b",
            "http://::1",
        ] {
            assert!(endpoint(text).is_err(), "{text}");
        }
        let refused = endpoint("https://collector:4318").unwrap_err();
        assert!(refused.contains("OpenTelemetry Collector"), "{refused}");
    }

    #[test]
    fn headers_are_pairs_in_percent_encoding_and_their_values_are_never_shown() {
        let found = headers(" Authorization=Bearer%20sesame , x-scope=a=b,").unwrap();
        let pairs: Vec<(&str, &str)> = found
            .0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [("authorization", "Bearer sesame"), ("x-scope", "a=b")]
        );
        assert_eq!(format!("{found:?}"), r#"["authorization", "x-scope"]"#);
        for wrong in [
            "sesame",
            "=sesame",
            "a b=sesame",
            "a=%2",
            "a=%zz",
            "a=%0asesame",
            "a=\u{e9}",
        ] {
            let problem = headers(wrong).unwrap_err();
            assert!(!problem.contains("sesame"), "{problem}");
        }
        assert_eq!(headers(""), Ok(OtlpHeaders::default()));
    }
}
