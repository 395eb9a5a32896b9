//! Framing: reads one request head from the front of the received bytes, strictly, in one pass from left to right.
//! It never reads a body, never looks behind the head, and keeps nothing between calls.
//!
//! The verdict is that of the first offending byte, so it does not depend on how the bytes were cut into packets: every
//! prefix of a stream gives either `Partial` or the verdict of the whole. Where peers are known to disagree — what ends a
//! line, where a name ends, how long a body is — the request is refused instead of interpreted.
//!
//! Decisions where the RFCs leave a choice:
//! - One CRLF before the request line is ignored (RFC 9112 §2.2), a second one is refused.
//! - HTTP/1.0 is served: it needs no Host, knows no chunked body and no interim answer, and its connection closes unless
//!   it asked to be kept. 1.2 and above and other majors are 505, 0.x never had a version in its request line and is 400.
//! - Host may be empty (the target names no authority), but not be there twice.
//! - Targets are a path, `*` for OPTIONS, or `http(s)://` with an authority equal to Host. Bytes above 0x7f pass (they
//!   match no route), fragments do not. A target that is too long is 431 like the rest of the head.
//! - GET, HEAD and OPTIONS may say `Content-Length: 0`, but any other announced body is 400.
//! - The first bytes of TLS, of HTTP/2 and of the PROXY protocol are refused by their names.
//! - Bytes above 0x7f are allowed in values that nothing here reads.

use super::ascii::{self, TARGET, TOKEN};
use super::fields::{Coding, Expect, Fields, Traceparent};
use super::problem::Problem;

/// Longest method, in bytes.
const METHOD_BYTES_MAX: usize = 32;
/// The first two bytes of a TLS connection: a handshake record of some version 3.x.
const TLS_HANDSHAKE: u8 = 0x16;
const TLS_MAJOR: u8 = 3;

/// What one head may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest head, request line and final empty line included, in bytes.
    pub head_bytes_max: usize,
    /// Most header fields.
    pub fields_max: usize,
    /// Longest announced body, in bytes.
    pub body_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_bytes_max: 16 * 1024,
            fields_max: 64,
            body_bytes_max: 1024 * 1024,
        }
    }
}

/// What the bytes received so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadStatus {
    /// More bytes are needed.
    Partial,
    /// A whole head; its body follows at [`Head::head_len`].
    Complete(Head),
    /// Framing is broken or the request cannot be read: answer this and close.
    Refused(Problem),
}

/// A range of bytes of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One behind the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes it names; empty where `bytes` is not the head it was made from.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// Heads are bounded far below 4 GiB.
    const fn new(start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }
}

/// Request method. Case matters: `get` is another method than `GET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `OPTIONS`
    Options,
    /// Any other token.
    Other,
}

/// Which resource the path names, compared byte for byte; the query is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/v1/pcs/submit`
    Submit,
    /// `/health`
    Health,
    /// `/livez`
    Livez,
    /// `/readyz`
    Readyz,
    /// `/version`
    Version,
    /// `/metrics`
    Metrics,
    /// `*`: the server as a whole, of OPTIONS only.
    Server,
    /// Everything else.
    Other,
}

/// What the body claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`, whatever its parameters.
    Json,
    /// No such header: taken for JSON.
    Absent,
    /// Something else.
    Other,
}

/// The `X-Tenant-Id` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantHeader {
    /// No such header: the default tenant.
    Absent,
    /// One well-formed name; whether it is configured is for others to say.
    Named(Span),
    /// Malformed, or sent twice.
    Invalid,
}

/// A complete, unambiguous head. Spans index into the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes up to the body.
    pub head_len: usize,
    /// Method.
    pub method: Method,
    /// Resource.
    pub target: Target,
    /// Bytes of the body, within the limit; 0 where it is chunked.
    pub body_len: u64,
    /// The body is chunked: only its end says how long it is.
    pub chunked: bool,
    /// Whether another request may follow on this connection.
    pub keep_alive: bool,
    /// HTTP/1.0 asked for that: the answer repeats `Connection: keep-alive`.
    pub repeats_keep_alive: bool,
    /// Whether the sender waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// What the body claims to be.
    pub content_type: ContentType,
    /// Whether a `Content-Encoding` other than `identity` was sent.
    pub content_encoded: bool,
    /// Tenant.
    pub tenant: TenantHeader,
    /// Value of the one `Authorization` header.
    pub authorization: Option<Span>,
    /// Value of the one `traceparent` header, unchecked; absent if sent twice.
    pub traceparent: Option<Span>,
}

/// Why reading stopped before the end of the head.
pub(super) enum Stop {
    Partial,
    Refused(Problem),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Stop {
        Stop::Refused(problem)
    }
}

/// Reads the head at the front of `bytes`, which may hold a part of it or much more.
///
/// Every call starts from the front: a sender that dribbles its head costs at most `head_bytes_max` bytes of scanning per
/// packet, and the caller's head timeout bounds the number of packets.
#[must_use]
pub fn read_head(bytes: &[u8], limits: &Limits) -> HeadStatus {
    let window = bytes.get(..limits.head_bytes_max).unwrap_or(bytes);
    match read(window, limits) {
        Ok(head) => HeadStatus::Complete(head),
        Err(Stop::Refused(problem)) => HeadStatus::Refused(problem),
        Err(Stop::Partial) if bytes.len() >= limits.head_bytes_max => {
            HeadStatus::Refused(Problem::HeadTooLarge)
        }
        Err(Stop::Partial) => HeadStatus::Partial,
    }
}

/// Whether these bytes, whatever else is wrong with them, begin like a POST.
#[must_use]
pub fn begins_with_post(bytes: &[u8]) -> bool {
    let line = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    line.starts_with(b"POST ")
}

fn read(bytes: &[u8], limits: &Limits) -> Result<Head, Stop> {
    let line = request_line(bytes)?;
    let mut fields = Fields::EMPTY;
    let head_len = read_fields(bytes, line.end, limits.fields_max, |name, value, span| {
        fields.take(name, value, span)
    })?;
    let body_len = judge(bytes, &line, &fields, limits)?;
    let chunked = fields.coding == Coding::Chunked;
    let is_1_1 = line.version_minor == 1;
    let keep_alive = !fields.close && (is_1_1 || fields.keep_alive);
    Ok(Head {
        head_len,
        method: line.method,
        target: line.target,
        body_len,
        chunked,
        keep_alive,
        repeats_keep_alive: keep_alive && !is_1_1,
        // HTTP/1.0 has no interim answers, and without a body there is nothing to wait for.
        expect_continue: fields.expect == Expect::Continue && is_1_1 && (body_len > 0 || chunked),
        content_type: fields.content_type.unwrap_or(ContentType::Absent),
        content_encoded: fields.content_encoded,
        tenant: fields.tenant,
        authorization: fields.authorization,
        traceparent: match fields.traceparent {
            Traceparent::Once(span) => Some(span),
            Traceparent::Absent | Traceparent::Ambiguous => None,
        },
    })
}

/// A request line that is in order by itself.
struct RequestLine {
    method: Method,
    target: Target,
    /// The authority of an absolute target, still to be compared with Host.
    authority: Option<Span>,
    version_minor: u8,
    /// Position behind its CRLF.
    end: usize,
}

fn request_line(bytes: &[u8]) -> Result<RequestLine, Stop> {
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

/// What is wrong with a CR behind an empty line: version 2 of the PROXY protocol begins with two of them and a NUL.
fn behind_empty_line(bytes: &[u8]) -> Stop {
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

/// Resource and, for an absolute target, its authority.
fn target_of(
    method: Method,
    bytes: &[u8],
    start: usize,
    end: usize,
) -> Result<(Target, Option<Span>), Problem> {
    let text = &bytes[start..end];
    if text.starts_with(b"/") {
        return Ok((resource(text), None));
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
    Ok((resource(&rest[authority_len..]), Some(authority)))
}

fn starts_with_ignore_case(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|front| front.eq_ignore_ascii_case(prefix))
}

fn resource(path_and_query: &[u8]) -> Target {
    let path_len = path_and_query
        .iter()
        .position(|&byte| byte == b'?')
        .unwrap_or(path_and_query.len());
    match &path_and_query[..path_len] {
        b"/v1/pcs/submit" => Target::Submit,
        b"/health" => Target::Health,
        b"/livez" => Target::Livez,
        b"/readyz" => Target::Readyz,
        b"/version" => Target::Version,
        b"/metrics" => Target::Metrics,
        _ => Target::Other,
    }
}

/// The minor of HTTP/1 and the position behind the line.
fn version(bytes: &[u8], start: usize) -> Result<(u8, usize), Stop> {
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

fn digit_at(bytes: &[u8], at: usize) -> Result<u8, Stop> {
    let byte = byte_at(bytes, at)?;
    if byte.is_ascii_digit() {
        Ok(byte - b'0')
    } else {
        Err(offence(byte, Problem::InvalidVersion).into())
    }
}

/// Reads all fields and hands each to `take`, by name, trimmed value and where that is; returns the position behind the
/// empty line.
pub(super) fn read_fields(
    bytes: &[u8],
    start: usize,
    fields_max: usize,
    mut take: impl FnMut(&[u8], &[u8], Span) -> Result<(), Problem>,
) -> Result<usize, Stop> {
    let mut at = start;
    let mut fields_count = 0;
    loop {
        match byte_at(bytes, at)? {
            b'\r' => return line_end(bytes, at),
            b' ' | b'\t' => return Err(Problem::FoldedHeader.into()),
            _ => {}
        }
        fields_count += 1;
        if fields_count > fields_max {
            return Err(Problem::TooManyFields.into());
        }
        let name_end = ascii::class_end(bytes, at, TOKEN);
        match byte_at(bytes, name_end)? {
            b':' if name_end > at => {}
            b' ' | b'\t' => return Err(Problem::SpaceBeforeColon.into()),
            b'\r' => {
                line_end(bytes, name_end)?; // a bare CR is the graver fault
                return Err(Problem::InvalidHeaderName.into());
            }
            other => return Err(offence(other, Problem::InvalidHeaderName).into()),
        }
        let value_end = value_end(bytes, name_end + 1)?;
        let next = line_end(bytes, value_end)?;
        let (first, end) = ascii::trimmed(bytes, name_end + 1, value_end);
        take(
            &bytes[at..name_end],
            &bytes[first..end],
            Span::new(first, end),
        )?;
        at = next;
    }
}

/// Position of the CR that ends the value.
fn value_end(bytes: &[u8], start: usize) -> Result<usize, Stop> {
    let mut at = start;
    loop {
        at = ascii::first_control(bytes, at);
        match byte_at(bytes, at)? {
            b'\r' => return Ok(at),
            b'\t' => at += 1,
            other => return Err(offence(other, Problem::ControlCharacter).into()),
        }
    }
}

/// Position behind the CRLF whose CR is at `at`.
pub(super) fn line_end(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    match byte_at(bytes, at + 1)? {
        b'\n' => Ok(at + 2),
        _ => Err(Problem::BareCr.into()),
    }
}

pub(super) fn byte_at(bytes: &[u8], at: usize) -> Result<u8, Stop> {
    bytes.get(at).copied().ok_or(Stop::Partial)
}

/// The problem that names a byte which is wrong everywhere, or else the one of the place where it stands.
pub(super) const fn offence(byte: u8, otherwise: Problem) -> Problem {
    match byte {
        0 => Problem::NulByte,
        b'\n' => Problem::BareLf,
        _ => otherwise,
    }
}

/// Judges what only the whole head can tell; returns the length of the body.
///
/// Contradictions come first, then what a well-formed request asks for and does not get.
fn judge(
    bytes: &[u8],
    line: &RequestLine,
    fields: &Fields,
    limits: &Limits,
) -> Result<u64, Problem> {
    let coded = fields.coding != Coding::Absent;
    if coded && fields.content_length.is_some() {
        return Err(Problem::LengthAndTransferEncoding);
    }
    if coded && line.version_minor == 0 {
        return Err(Problem::TransferEncodingHttp10);
    }
    if fields.host.is_none() && line.version_minor == 1 {
        return Err(Problem::MissingHost);
    }
    if let Some((authority, host)) = line.authority.zip(fields.host)
        && !authority.of(bytes).eq_ignore_ascii_case(host.of(bytes))
    {
        return Err(Problem::HostMismatch);
    }
    let announced = fields.content_length.unwrap_or(0);
    let asks_only = matches!(line.method, Method::Get | Method::Head | Method::Options);
    if asks_only && (announced > 0 || coded) {
        return Err(Problem::UnexpectedBody);
    }
    if fields.coding == Coding::Other {
        return Err(Problem::TransferCodingUnsupported);
    }
    if line.method == Method::Post && fields.content_length.is_none() && !coded {
        return Err(Problem::LengthRequired);
    }
    if announced > limits.body_bytes_max {
        return Err(Problem::BodyTooLarge);
    }
    if fields.expect == Expect::Unknown && line.version_minor == 1 {
        return Err(Problem::ExpectationUnsupported);
    }
    Ok(announced)
}
