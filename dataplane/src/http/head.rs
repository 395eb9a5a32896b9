//! Reads one request head from the front of the received bytes, in one pass from left to right. It never reads a body,
//! never looks past the head, and keeps no state between calls.
//!
//! The first wrong byte decides which problem is answered, so the result does not depend on how the bytes were cut into
//! packets: every prefix of a stream gives either `Partial` or the result of the whole stream. Where HTTP
//! implementations disagree (what ends a line, where a name ends, how long a body is) the request is refused: a gateway
//! and a proxy that read it differently can be made to see different requests (request smuggling).
//!
//! Choices where the RFCs allow several:
//! - One CRLF before the request line is ignored (RFC 9112 §2.2); a second one is refused.
//! - HTTP/1.0 is served. It needs no Host and has neither chunked bodies nor interim responses; its connection closes
//!   unless the request says `Connection: keep-alive`. Versions from 1.2 on and other majors are 505. 0.x is 400: HTTP/0.9
//!   had no version in its request line.
//! - Host may be empty (the target has no authority) but must not be repeated.
//! - A target is a path, `*` with OPTIONS, or `http(s)://` with an authority equal to Host. Bytes above 0x7f are
//!   accepted (they match no route); fragments are refused. A target that is too long is 431, like the rest of the head.
//! - GET, HEAD and OPTIONS may carry `Content-Length: 0`; any other body is 400.
//! - The first bytes of TLS, HTTP/2 and the PROXY protocol are recognised and refused by name.
//! - Bytes above 0x7f are allowed in values that this parser does not interpret.

use super::fields::{Coding, Expect, Fields, Traceparent};
use super::framing::{FramingStop, read_fields};
use super::problem::Problem;
use super::request::{ContentType, Method, Span, Target, TenantHeader};
use super::request_line::{RequestLine, request_line};

/// Bounds of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Longest head, request line and final empty line included, in bytes.
    pub head_bytes_max: usize,
    /// Most header fields.
    pub fields_max: usize,
    /// Longest announced body of one record, in bytes.
    pub body_bytes_max: u64,
    /// Longest announced body of a batch, in bytes.
    pub batch_bytes_max: u64,
}

impl HttpLimits {
    /// The same with the bound of bodies that this resource has.
    #[must_use]
    pub const fn of(self, target: Target) -> HttpLimits {
        match target {
            Target::Batch => HttpLimits {
                body_bytes_max: self.batch_bytes_max,
                ..self
            },
            _ => self,
        }
    }
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        HttpLimits {
            head_bytes_max: 16 * 1024,
            fields_max: 64,
            body_bytes_max: 1024 * 1024,
            batch_bytes_max: 4 * 1024 * 1024,
        }
    }
}

/// What the bytes received so far hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadStatus {
    /// More bytes are needed.
    Partial,
    /// A complete head; its body begins at [`Head::head_len`].
    Complete(Head),
    /// The head is malformed: answer this and close.
    Refused(Problem),
}

/// Whether the rest of a body comes after its request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRest {
    /// The client sends it without having been asked.
    Comes,
    /// The client waits for `100 Continue`: after a refusal it may or may not send the body.
    MayNotCome,
}

/// A complete, unambiguous head. Spans index into the bytes that it was read from.
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
    /// The body is chunked: its length is known when it ends.
    pub chunked: bool,
    /// Whether another request may follow on this connection.
    pub keep_alive: bool,
    /// An HTTP/1.0 client asked for keep-alive: the response must say `Connection: keep-alive`.
    pub repeats_keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// Type of the body.
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

impl Head {
    /// Whether the rest of the body comes if the request is refused now.
    #[must_use]
    pub const fn body_rest(&self) -> BodyRest {
        match self.expect_continue {
            true => BodyRest::MayNotCome,
            false => BodyRest::Comes,
        }
    }
}

/// Reads the head at the front of `bytes`, which may hold a part of it or bytes of later requests as well.
///
/// Every call starts at the front: a client that sends its head in small pieces costs at most `head_bytes_max` bytes of
/// scanning per packet, and the caller's head timeout bounds the number of packets.
#[must_use]
pub fn read_head(bytes: &[u8], limits: &HttpLimits) -> HeadStatus {
    let window = bytes.get(..limits.head_bytes_max).unwrap_or(bytes);
    match read(window, limits) {
        Ok(head) => {
            debug_assert!(head.head_len <= window.len(), "a head is what has arrived");
            HeadStatus::Complete(head)
        }
        Err(FramingStop::Refused(problem)) => HeadStatus::Refused(problem),
        Err(FramingStop::Partial) if bytes.len() >= limits.head_bytes_max => {
            HeadStatus::Refused(Problem::HeadTooLarge)
        }
        Err(FramingStop::Partial) => HeadStatus::Partial,
    }
}

/// Whether these bytes begin like a POST, even if the rest of the head is malformed.
#[must_use]
pub fn begins_with_post(bytes: &[u8]) -> bool {
    let line = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    line.starts_with(b"POST ")
}

fn read(bytes: &[u8], limits: &HttpLimits) -> Result<Head, FramingStop> {
    let line = request_line(bytes)?;
    let mut fields = Fields::EMPTY;
    let head_len = read_fields(bytes, line.end, limits.fields_max, |name, value, span| {
        fields.take(name, value, span)
    })?;
    let body_len = check_whole_head(bytes, &line, &fields, limits)?;
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
        // HTTP/1.0 has no interim responses, and without a body there is nothing to wait for.
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

/// Checks that need the whole head; returns the length of the body.
///
/// The order decides which problem is answered where several apply: contradictions first, then well-formed requests that
/// are not served.
fn check_whole_head(
    bytes: &[u8],
    line: &RequestLine,
    fields: &Fields,
    limits: &HttpLimits,
) -> Result<u64, Problem> {
    let coded = fields.coding != Coding::Absent;
    // The classic smuggling case: one peer believes the length, the other one the chunks.
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
    if announced > limits.of(line.target).body_bytes_max {
        return Err(Problem::too_large(line.target));
    }
    if fields.expect == Expect::Unknown && line.version_minor == 1 {
        return Err(Problem::ExpectationUnsupported);
    }
    Ok(announced)
}
