//! The request line: method, target and version, up to its CRLF. It refuses what is wrong in the line itself and never
//! looks at a header field.

use super::ascii::{self, TARGET, TOKEN};
use super::framing::{FramingStop, byte_at, line_end, offence};
use super::problem::Problem;
use super::request::{IdInPath, Method, Span, Target};

/// What stands before the id in the path of an outcome.
const OUTCOME_PATH: &[u8] = b"/v1/pcs/";
/// Hex digits of an id.
const ID_DIGITS: usize = 64;
/// Longest method, in bytes.
const METHOD_BYTES_MAX: usize = 32;
/// The first two bytes of a TLS connection: a handshake record of some version 3.x.
const TLS_HANDSHAKE: u8 = 0x16;
const TLS_MAJOR: u8 = 3;

/// A request line without a fault of its own.
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) target: Target,
    /// The authority of an absolute target; it must equal Host, which is not known yet.
    pub(super) authority: Option<Span>,
    pub(super) version_minor: u8,
    /// Position after its CRLF.
    pub(super) end: usize,
}

/// Reads the request line at the front of `bytes`.
pub(super) fn request_line(bytes: &[u8]) -> Result<RequestLine, FramingStop> {
    let start = match bytes.first() {
        Some(b'\r') => line_end(bytes, 0)?,
        Some(&TLS_HANDSHAKE) if byte_at(bytes, 1)? == TLS_MAJOR => {
            return Err(Problem::TlsOnPlainPort.into());
        }
        _ => 0,
    };
    let method_end = ascii::class_end(bytes, start, TOKEN);
    if method_end - start > METHOD_BYTES_MAX {
        return Err(Problem::InvalidMethod.into());
    }
    match byte_at(bytes, method_end)? {
        b' ' if method_end > start => {}
        b'\r' if start > 0 && method_end == start => return Err(behind_empty_line(bytes)),
        b'\r' => return Err(Problem::InvalidRequestLine.into()),
        other => return Err(offence(other, Problem::InvalidMethod).into()),
    }
    let method_name = &bytes[start..method_end];

    let target_start = method_end + 1;
    match (method_name, byte_at(bytes, target_start)?) {
        (b"PRI", b'*') => return Err(Problem::Http2OnPlainPort.into()),
        (b"PROXY", b'T' | b'U') => return Err(Problem::ProxyProtocol.into()),
        _ => {}
    }
    let target_end = ascii::class_end(bytes, target_start, TARGET);
    match byte_at(bytes, target_end)? {
        b' ' if target_end > target_start => {}
        b'\r' => return Err(Problem::InvalidRequestLine.into()),
        other => return Err(offence(other, Problem::InvalidTarget).into()),
    }
    let method = method_of(method_name);
    let (target, authority) = target_of(method, bytes, target_start, target_end)?;

    let (version_minor, end) = version(bytes, target_end + 1)?;
    Ok(RequestLine {
        method,
        target,
        authority,
        version_minor,
        end,
    })
}

/// The problem of a second empty line. Version 2 of the PROXY protocol begins with two empty lines and a NUL.
fn behind_empty_line(bytes: &[u8]) -> FramingStop {
    match (byte_at(bytes, 3), byte_at(bytes, 4)) {
        (Ok(b'\n'), Ok(0)) => Problem::ProxyProtocol.into(),
        (Ok(b'\n'), Err(partial)) | (Err(partial), _) => partial,
        _ => Problem::InvalidRequestLine.into(),
    }
}

fn method_of(name: &[u8]) -> Method {
    match name {
        b"POST" => Method::Post,
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"OPTIONS" => Method::Options,
        _ => Method::Other,
    }
}

/// The resource and, for an absolute target, its authority.
fn target_of(
    method: Method,
    bytes: &[u8],
    start: usize,
    end: usize,
) -> Result<(Target, Option<Span>), Problem> {
    let text = &bytes[start..end];
    if text.starts_with(b"/") {
        return Ok((resource(text, start), None));
    }
    if text == b"*" && method == Method::Options {
        return Ok((Target::Server, None));
    }
    let scheme_len = match text {
        _ if starts_with_ignore_case(text, b"http://") => 7,
        _ if starts_with_ignore_case(text, b"https://") => 8,
        _ => return Err(Problem::InvalidTarget),
    };
    let rest = &text[scheme_len..];
    let authority_len = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    if authority_len == 0 {
        return Err(Problem::InvalidTarget);
    }
    let authority_start = start + scheme_len;
    let authority = Span::new(authority_start, authority_start + authority_len);
    let path_start = authority_start + authority_len;
    Ok((
        resource(&rest[authority_len..], path_start),
        Some(authority),
    ))
}

fn starts_with_ignore_case(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|front| front.eq_ignore_ascii_case(prefix))
}

/// What the path names; it begins at `start` of the head.
fn resource(path_and_query: &[u8], start: usize) -> Target {
    let path_len = path_and_query
        .iter()
        .position(|&byte| byte == b'?')
        .unwrap_or(path_and_query.len());
    match &path_and_query[..path_len] {
        b"/v1/pcs/submit" => Target::Submit,
        b"/v1/pcs/batch" => Target::Batch,
        b"/health" => Target::Health,
        b"/livez" => Target::Livez,
        b"/readyz" if path_and_query.ends_with(b"?verbose") => Target::ReadyzVerbose,
        b"/readyz" => Target::Readyz,
        b"/version" => Target::Version,
        b"/metrics" => Target::Metrics,
        path => match path.strip_prefix(OUTCOME_PATH) {
            Some(id) if !id.is_empty() && !id.contains(&b'/') => {
                Target::Outcome(id_in_path(id, start + OUTCOME_PATH.len()))
            }
            _ => Target::Other,
        },
    }
}

fn id_in_path(id: &[u8], start: usize) -> IdInPath {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match id.len() == ID_DIGITS && id.iter().all(is_digit) {
        true => IdInPath::Named(Span::new(start, start + ID_DIGITS)),
        false => IdInPath::Invalid,
    }
}

/// The minor version of HTTP/1 and the position after the line.
fn version(bytes: &[u8], start: usize) -> Result<(u8, usize), FramingStop> {
    const NAME: &[u8] = b"HTTP/";
    for (offset, &wanted) in NAME.iter().enumerate() {
        let found = byte_at(bytes, start + offset)?;
        if found != wanted {
            return Err(offence(found, Problem::InvalidVersion).into());
        }
    }
    let at = start + NAME.len();
    let major = digit_at(bytes, at)?;
    let dot = byte_at(bytes, at + 1)?;
    if dot != b'.' {
        return Err(offence(dot, Problem::InvalidVersion).into());
    }
    let minor = digit_at(bytes, at + 2)?;
    let behind = byte_at(bytes, at + 3)?;
    if behind != b'\r' {
        return Err(offence(behind, Problem::InvalidVersion).into());
    }
    let end = line_end(bytes, at + 3)?;
    match (major, minor) {
        (1, 0 | 1) => Ok((minor, end)),
        (0, _) => Err(Problem::InvalidVersion.into()),
        _ => Err(Problem::VersionUnsupported.into()),
    }
}

fn digit_at(bytes: &[u8], at: usize) -> Result<u8, FramingStop> {
    let byte = byte_at(bytes, at)?;
    if byte.is_ascii_digit() {
        Ok(byte - b'0')
    } else {
        Err(offence(byte, Problem::InvalidVersion).into())
    }
}
