//! Writes the bytes of every response to the end of the caller's output. It decides nothing: status, body, time and
//! whether the connection stays open come from the caller.

use super::date::Date;
use super::problem::Problem;
use super::request::Method;
use super::route::Allowed;

/// The interim response to `Expect: 100-continue`, sent once a request is admitted.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What happens to the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It stays open. HTTP/1.1 clients assume that, so no header is sent.
    GoesOn,
    /// It stays open because an HTTP/1.0 client asked for it: `Connection: keep-alive`.
    KeepAlive,
    /// It is closed: `Connection: close`.
    Closes,
}

/// What of a response is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponsePart {
    /// Head and body.
    Whole,
    /// The head only, as the request was HEAD.
    Head,
}

impl ResponsePart {
    /// What a request of this method gets.
    pub fn of(method: Method) -> ResponsePart {
        match method {
            Method::Head => ResponsePart::Head,
            _ => ResponsePart::Whole,
        }
    }
}

/// What all responses have in common.
#[derive(Clone, Copy, Debug)]
pub struct Common<'a> {
    /// The time of the response.
    pub date: &'a Date,
    /// What happens to the connection.
    pub afterwards: Afterwards,
    /// What of it is sent.
    pub part: ResponsePart,
}

/// The result of de-duplication, for the `Flk-Dedup` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dedup {
    /// The first record with this id.
    Miss,
    /// A duplicate; the answer is the stored outcome.
    Hit,
    /// The same id with different signed content; the answer is the stored outcome.
    Conflict,
}

/// Status line and fixed headers of an outcome, up to the digits of `Content-Length`.
macro_rules! outcome_open {
    ($status:literal, $dedup:literal) => {
        concat!(
            "HTTP/1.1 ",
            $status,
            "\r\nContent-Type: application/json\r\nFlk-Dedup: ",
            $dedup,
            "\r\nContent-Length: "
        )
    };
}

/// Appends the outcome of a record: 200 if it was accepted, 202 if it was escalated. An outcome has no other status.
pub fn outcome(out: &mut Vec<u8>, status: u16, body: &[u8], dedup: Dedup, common: Common<'_>) {
    assert!(
        matches!(status, 200 | 202),
        "an outcome is 200 or 202, not {status}"
    );
    let open = match (status, dedup) {
        (200, Dedup::Miss) => outcome_open!("200 OK", "miss"),
        (200, Dedup::Hit) => outcome_open!("200 OK", "hit"),
        (200, Dedup::Conflict) => outcome_open!("200 OK", "conflict"),
        (_, Dedup::Miss) => outcome_open!("202 Accepted", "miss"),
        (_, Dedup::Hit) => outcome_open!("202 Accepted", "hit"),
        (_, Dedup::Conflict) => outcome_open!("202 Accepted", "conflict"),
    };
    out.extend_from_slice(open.as_bytes());
    decimal(out, body.len() as u64);
    end_of_head(out, common);
    out.extend_from_slice(body);
}

/// Appends a problem. `retry_after_s` replaces the default of the problem.
///
/// A framing problem always closes the connection, whatever the caller asks for.
pub fn problem(
    out: &mut Vec<u8>,
    problem: Problem,
    retry_after_s: Option<u32>,
    common: Common<'_>,
) {
    append_problem(out, problem, "", retry_after_s, common);
}

/// Appends a problem about one field of the record, named in the member `field`.
///
/// The name is a constant of this program, never text from the request, and needs no JSON escaping.
pub fn problem_at_field(
    out: &mut Vec<u8>,
    problem: Problem,
    field: &'static str,
    common: Common<'_>,
) {
    append_problem(out, problem, field, None, common);
}

/// What stands before the name of a field in a problem.
const FIELD_OPEN: &str = ",\"field\":\"";

fn append_problem(
    out: &mut Vec<u8>,
    problem: Problem,
    field: &'static str,
    retry_after_s: Option<u32>,
    common: Common<'_>,
) {
    status_line(out, problem.status());
    out.extend_from_slice(b"Content-Type: application/problem+json\r\nCache-Control: no-store\r\n");
    out.extend_from_slice(problem.extra_header().as_bytes());
    if let Some(default_s) = problem.retry_after_s() {
        out.extend_from_slice(b"Retry-After: ");
        decimal(out, u64::from(retry_after_s.unwrap_or(default_s)));
        out.extend_from_slice(b"\r\n");
    }
    let field_bytes = if field.is_empty() {
        0
    } else {
        FIELD_OPEN.len() + field.len() + 1
    };
    out.extend_from_slice(b"Content-Length: ");
    decimal(out, (problem.body_open().len() + field_bytes + 1) as u64);
    let afterwards = match problem.closes() {
        true => Afterwards::Closes,
        false => common.afterwards,
    };
    end_of_head(
        out,
        Common {
            afterwards,
            ..common
        },
    );
    if common.part == ResponsePart::Head {
        return;
    }
    problem_json(out, problem, field);
}

fn problem_json(out: &mut Vec<u8>, problem: Problem, field: &'static str) {
    out.extend_from_slice(problem.body_open().as_bytes());
    if !field.is_empty() {
        out.extend_from_slice(FIELD_OPEN.as_bytes());
        out.extend_from_slice(field.as_bytes());
        out.push(b'"');
    }
    out.push(b'}');
}

/// Of how many lines of a batch what became.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchCounts {
    /// Lines with a record.
    pub records: u32,
    /// Those with an outcome, first or stored.
    pub outcomes: u32,
    /// Those that may be sent again: 429 and 503.
    pub retryable: u32,
}

/// Appends the answer to a batch, whose lines are written already.
pub fn batch(out: &mut Vec<u8>, counts: BatchCounts, lines: &[u8], common: Common<'_>) {
    out.extend_from_slice(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nCache-Control: no-store\r\nFlk-Batch-Records: ",
    );
    decimal(out, u64::from(counts.records));
    out.extend_from_slice(b"\r\nFlk-Batch-Outcomes: ");
    decimal(out, u64::from(counts.outcomes));
    out.extend_from_slice(b"\r\nFlk-Batch-Retryable: ");
    decimal(out, u64::from(counts.retryable));
    out.extend_from_slice(b"\r\nContent-Length: ");
    decimal(out, lines.len() as u64);
    end_of_head(out, common);
    out.extend_from_slice(lines);
}

/// Appends a line of the answer to a batch: the outcome of the record on this line, as a submit has it.
pub fn line_outcome(out: &mut Vec<u8>, line: u32, status: u16, body: &[u8], dedup: Dedup) {
    line_open(out, line, status);
    out.extend_from_slice(match dedup {
        Dedup::Miss => b",\"dedup\":\"miss\",\"outcome\":",
        Dedup::Hit => b",\"dedup\":\"hit\",\"outcome\":",
        Dedup::Conflict => b",\"dedup\":\"conflict\",\"outcome\":",
    });
    out.extend_from_slice(body);
    out.extend_from_slice(b"}\n");
}

/// Appends a line of the answer to a batch: what refuses the record on this line, as a submit has it. What a submit has in
/// `Retry-After` is the member `retry_after`.
pub fn line_problem(
    out: &mut Vec<u8>,
    line: u32,
    problem: Problem,
    field: &'static str,
    retry_after_s: Option<u32>,
) {
    line_open(out, line, problem.status());
    if let Some(default_s) = problem.retry_after_s() {
        out.extend_from_slice(b",\"retry_after\":");
        decimal(out, u64::from(retry_after_s.unwrap_or(default_s)));
    }
    out.extend_from_slice(b",\"problem\":");
    problem_json(out, problem, field);
    out.extend_from_slice(b"}\n");
}

fn line_open(out: &mut Vec<u8>, line: u32, status: u16) {
    out.extend_from_slice(b"{\"line\":");
    decimal(out, u64::from(line));
    out.extend_from_slice(b",\"status\":");
    decimal(out, u64::from(status));
}

/// Appends a plain response such as health, version or metrics.
pub fn text(out: &mut Vec<u8>, status: u16, content_type: &str, body: &[u8], common: Common<'_>) {
    status_line(out, status);
    out.extend_from_slice(b"Content-Type: ");
    out.extend_from_slice(content_type.as_bytes());
    out.extend_from_slice(b"\r\nCache-Control: no-store\r\nContent-Length: ");
    decimal(out, body.len() as u64);
    end_of_head(out, common);
    if common.part == ResponsePart::Whole {
        out.extend_from_slice(body);
    }
}

/// Appends the response to OPTIONS: the methods of its target, and no body.
pub fn options(out: &mut Vec<u8>, allowed: Allowed, common: Common<'_>) {
    status_line(out, 200);
    out.extend_from_slice(b"Allow: ");
    out.extend_from_slice(allowed.methods().as_bytes());
    out.extend_from_slice(b"\r\nContent-Length: 0");
    end_of_head(out, common);
}

fn status_line(out: &mut Vec<u8>, status: u16) {
    let line: &str = match status {
        200 => "HTTP/1.1 200 OK\r\n",
        202 => "HTTP/1.1 202 Accepted\r\n",
        400 => "HTTP/1.1 400 Bad Request\r\n",
        401 => "HTTP/1.1 401 Unauthorized\r\n",
        404 => "HTTP/1.1 404 Not Found\r\n",
        405 => "HTTP/1.1 405 Method Not Allowed\r\n",
        408 => "HTTP/1.1 408 Request Timeout\r\n",
        411 => "HTTP/1.1 411 Length Required\r\n",
        413 => "HTTP/1.1 413 Content Too Large\r\n",
        415 => "HTTP/1.1 415 Unsupported Media Type\r\n",
        417 => "HTTP/1.1 417 Expectation Failed\r\n",
        429 => "HTTP/1.1 429 Too Many Requests\r\n",
        431 => "HTTP/1.1 431 Request Header Fields Too Large\r\n",
        501 => "HTTP/1.1 501 Not Implemented\r\n",
        503 => "HTTP/1.1 503 Service Unavailable\r\n",
        505 => "HTTP/1.1 505 HTTP Version Not Supported\r\n",
        other => {
            // The reason phrase may be empty; the space before it is mandatory.
            out.extend_from_slice(b"HTTP/1.1 ");
            decimal(out, u64::from(other));
            " \r\n"
        }
    };
    out.extend_from_slice(line.as_bytes());
}

/// Ends the `Content-Length` line and the head.
fn end_of_head(out: &mut Vec<u8>, common: Common<'_>) {
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(common.date.line());
    let end: &[u8] = match common.afterwards {
        Afterwards::GoesOn => b"\r\n",
        Afterwards::KeepAlive => b"Connection: keep-alive\r\n\r\n",
        Afterwards::Closes => b"Connection: close\r\n\r\n",
    };
    out.extend_from_slice(end);
}

/// Appends a number in decimal.
fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
