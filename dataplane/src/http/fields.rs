//! The header fields that affect framing, routing or admission; all others only have to be well-formed. It collects their
//! values while the head is read. Contradictions between fields are found at the end of the head, in `head`.

use super::ascii::{self, HOST, TENANT, TOKEN};
use super::problem::Problem;
use super::request::{ContentType, Span, TenantHeader};

/// Longest tenant name, in bytes.
const TENANT_BYTES_MAX: usize = 64;

/// The values read so far.
pub(super) struct Fields {
    pub(super) host: Option<Span>,
    pub(super) content_length: Option<u64>,
    pub(super) coding: Coding,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) expect: Expect,
    pub(super) content_type: Option<ContentType>,
    pub(super) content_encoded: bool,
    pub(super) tenant: TenantHeader,
    pub(super) authorization: Option<Span>,
    pub(super) traceparent: Traceparent,
}

/// The sum of all `Transfer-Encoding` headers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Absent,
    /// `chunked` and nothing else.
    Chunked,
    Other,
}

/// The `Expect` header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    Absent,
    Continue,
    Unknown,
}

/// The `traceparent` header. Its specification says to ignore it if it is sent twice.
#[derive(Clone, Copy)]
pub(super) enum Traceparent {
    Absent,
    Once(Span),
    Ambiguous,
}

impl Fields {
    pub(super) const EMPTY: Fields = Fields {
        host: None,
        content_length: None,
        coding: Coding::Absent,
        close: false,
        keep_alive: false,
        expect: Expect::Absent,
        content_type: None,
        content_encoded: false,
        tenant: TenantHeader::Absent,
        authorization: None,
        traceparent: Traceparent::Absent,
    };

    /// Takes one field; `span` is the place of its trimmed `value` in the head.
    pub(super) fn take(&mut self, name: &[u8], value: &[u8], span: Span) -> Result<(), Problem> {
        // Matching the length first avoids comparing the bytes of most names.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.take_host(value, span),
            6 if name.eq_ignore_ascii_case(b"expect") => self.take_expect(value),
            10 if name.eq_ignore_ascii_case(b"connection") => self.take_connection(value),
            11 if name.eq_ignore_ascii_case(b"x-tenant-id") => {
                self.take_tenant(value, span);
                Ok(())
            }
            11 if name.eq_ignore_ascii_case(b"traceparent") => {
                self.traceparent = match self.traceparent {
                    Traceparent::Absent => Traceparent::Once(span),
                    _ => Traceparent::Ambiguous,
                };
                Ok(())
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => set_once(
                &mut self.content_type,
                content_type(value),
                Problem::DuplicateHeader,
            ),
            13 if name.eq_ignore_ascii_case(b"authorization") => {
                set_once(&mut self.authorization, span, Problem::DuplicateHeader)
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = content_length(value)?;
                let problem = Problem::DuplicateContentLength;
                set_once(&mut self.content_length, length, problem)
            }
            16 if name.eq_ignore_ascii_case(b"content-encoding") => {
                self.content_encoded |= !value.eq_ignore_ascii_case(b"identity");
                Ok(())
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.take_transfer_encoding(value)
            }
            13.. if looks_like_framing(name) => Err(Problem::SuspiciousHeaderName),
            _ => Ok(()),
        }
    }

    fn take_host(&mut self, value: &[u8], span: Span) -> Result<(), Problem> {
        set_once(&mut self.host, span, Problem::DuplicateHost)?;
        if value.is_empty() || is_authority(value) {
            Ok(())
        } else {
            Err(Problem::InvalidHost)
        }
    }

    fn take_expect(&mut self, value: &[u8]) -> Result<(), Problem> {
        if self.expect != Expect::Absent {
            return Err(Problem::DuplicateHeader);
        }
        let known = value.eq_ignore_ascii_case(b"100-continue");
        self.expect = if known {
            Expect::Continue
        } else {
            Expect::Unknown
        };
        Ok(())
    }

    /// The list of codings over all `Transfer-Encoding` headers. An empty element and a second `chunked` are malformed:
    /// HTTP implementations disagree on their meaning.
    fn take_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Problem> {
        for coding in value.split(|&byte| byte == b',') {
            let coding = ascii::trim(coding);
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            let repeats = is_chunked && self.coding == Coding::Chunked;
            if coding.is_empty() || !coding.is_ascii() || repeats {
                return Err(Problem::InvalidHeaderValue);
            }
            self.coding = match self.coding {
                Coding::Absent if is_chunked => Coding::Chunked,
                _ => Coding::Other,
            };
        }
        Ok(())
    }

    /// `close` in any `Connection` header wins; `keep-alive` matters for HTTP/1.0 only; other options are ignored.
    fn take_connection(&mut self, value: &[u8]) -> Result<(), Problem> {
        for option in value.split(|&byte| byte == b',') {
            let option = ascii::trim(option);
            if !ascii::all(option, TOKEN) {
                return Err(Problem::InvalidHeaderValue);
            }
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
        Ok(())
    }

    fn take_tenant(&mut self, value: &[u8], span: Span) {
        let well_formed =
            (1..=TENANT_BYTES_MAX).contains(&value.len()) && ascii::all(value, TENANT);
        self.tenant = match self.tenant {
            TenantHeader::Absent if well_formed => TenantHeader::Named(span),
            _ => TenantHeader::Invalid,
        };
    }
}

/// Stores the value of a header that must not be repeated.
fn set_once<T>(field: &mut Option<T>, value: T, problem: Problem) -> Result<(), Problem> {
    match field.replace(value) {
        Some(_) => Err(problem),
        None => Ok(()),
    }
}

/// Decimal digits only. A leading zero is refused too: some implementations read it as octal.
fn content_length(value: &[u8]) -> Result<u64, Problem> {
    if value.is_empty() || (value.len() > 1 && value.starts_with(b"0")) {
        return Err(Problem::InvalidContentLength);
    }
    let mut length: u64 = 0;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return Err(Problem::InvalidContentLength);
        }
        length = length
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(byte - b'0')))
            .ok_or(Problem::InvalidContentLength)?;
    }
    Ok(length)
}

/// The media type alone decides; its parameters are ignored.
fn content_type(value: &[u8]) -> ContentType {
    let media_type = value.split(|&byte| byte == b';').next().unwrap_or_default();
    let media_type = ascii::trim(media_type);
    if media_type.eq_ignore_ascii_case(b"application/json") {
        ContentType::Json
    } else if media_type.eq_ignore_ascii_case(b"application/x-ndjson") {
        ContentType::Ndjson
    } else {
        ContentType::Other
    }
}

/// Whether this is a host with an optional port: a name or IPv4 address of letters, digits and `-._~`, or an IPv6 address
/// in brackets.
///
/// Stricter than the RFC: commas, user information and percent escapes are refused.
pub(super) fn is_authority(value: &[u8]) -> bool {
    let (host_is_sound, port) = match value {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&byte| byte == b']') else {
                return false;
            };
            let address = std::str::from_utf8(&rest[..end]).unwrap_or_default();
            (
                address.parse::<std::net::Ipv6Addr>().is_ok(),
                &rest[end + 1..],
            )
        }
        _ => {
            let end = ascii::class_end(value, 0, HOST);
            (end > 0, &value[end..])
        }
    };
    host_is_sound && is_port(port)
}

/// Whether this is empty, or a colon and a port of at most five digits. The RFC allows the digits to be missing.
fn is_port(port: &[u8]) -> bool {
    match port {
        [] => true,
        [b':', digits @ ..] => {
            digits.len() <= 5
                && digits.iter().all(u8::is_ascii_digit)
                && digits
                    .iter()
                    .fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'))
                    <= 65_535
        }
        _ => false,
    }
}

/// Whether a name equals `Content-Length` or `Transfer-Encoding` but for characters that lenient implementations drop or
/// convert, as in `Content_Length`.
///
/// The exact names are matched before. Both end in `g` or `h`, so the last byte rules out most other names.
pub(super) fn looks_like_framing(name: &[u8]) -> bool {
    let last = name.last().copied().unwrap_or_default();
    if last.is_ascii_alphanumeric() && !matches!(last | 0x20, b'g' | b'h') {
        return false;
    }
    let is_spelled = |word: &[u8]| {
        let letters = name
            .iter()
            .filter(|byte| byte.is_ascii_alphanumeric())
            .map(u8::to_ascii_lowercase);
        letters.eq(word.iter().copied())
    };
    is_spelled(b"transferencoding") || is_spelled(b"contentlength")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_length_is_plain_digits_without_leading_zeros() {
        for (value, expect) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("1048576", Some(1_048_576)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999999999999999999", None),
            ("", None),
            ("00", None),
            ("007", None),
            ("+7", None),
            ("-7", None),
            ("7,7", None),
            ("7, 7", None),
            ("7 7", None),
            ("0x7", None),
            ("7.0", None),
            ("1e3", None),
            ("7\u{a0}", None),
            ("٧", None),
        ] {
            assert_eq!(content_length(value.as_bytes()).ok(), expect, "{value:?}");
        }
    }

    #[test]
    fn host_is_a_name_or_an_address_with_an_optional_port() {
        for (value, expect) in [
            ("a", true),
            ("localhost:8080", true),
            ("127.0.0.1", true),
            ("under_score.example", true),
            ("[::1]", true),
            ("[2001:db8::1]:443", true),
            ("a:", true),
            ("a:65535", true),
            ("a:65536", false),
            ("a:000080", false),
            ("a:80a", false),
            ("a:+80", false),
            ("", false),
            (":80", false),
            ("a b", false),
            ("a, b", false),
            ("a,b", false),
            ("user@a", false),
            ("a/b", false),
            ("a?b", false),
            ("a#b", false),
            ("[::1", false),
            ("[::g]", false),
            ("[::1]x", false),
            ("::1", false),
            ("ä", false),
        ] {
            assert_eq!(is_authority(value.as_bytes()), expect, "{value:?}");
        }
    }

    #[test]
    fn only_the_media_type_decides_what_the_body_claims_to_be() {
        for (value, expect) in [
            ("application/json", ContentType::Json),
            ("Application/JSON", ContentType::Json),
            ("application/json; charset=utf-8", ContentType::Json),
            ("application/json ;x", ContentType::Json),
            ("application/json;", ContentType::Json),
            ("application/x-ndjson", ContentType::Ndjson),
            ("Application/X-NDJSON; charset=utf-8", ContentType::Ndjson),
            ("", ContentType::Other),
            ("application/ndjson", ContentType::Other),
            ("application/x-ndjson, application/json", ContentType::Other),
            ("text/json", ContentType::Other),
            ("application/jsonl", ContentType::Other),
            ("application/json, text/plain", ContentType::Other),
            ("application/problem+json", ContentType::Other),
        ] {
            assert_eq!(content_type(value.as_bytes()), expect, "{value:?}");
        }
    }

    #[test]
    fn look_alikes_of_framing_headers_are_told_from_honest_names() {
        for (name, expect) in [
            ("Content_Length", true),
            ("Transfer_Encoding", true),
            ("Transfer---Encoding", true),
            ("transferencoding", true),
            ("contentlength", true),
            ("Content-Length-", true),
            (".Transfer-Encoding", true),
            ("Content-Length~", true),
            ("X-Content-Length", false),
            ("Content-Lengths", false),
            ("Accept-Encoding", false),
            ("X-Forwarded-For", false),
        ] {
            assert_eq!(looks_like_framing(name.as_bytes()), expect, "{name}");
        }
    }
}
