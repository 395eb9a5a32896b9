//! Reads the answer at the beginning of a buffer: its status, what it says of a duplicate, where it ends. It takes an answer in the
//! form in which a gateway sends it, with a Content-Length, and calls everything else foreign; it never looks into a body.

/// Most bytes of a head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of a body: those of a gateway have some hundred, and as many for each line of a batch, of which it takes 4,096.
const BODY_BYTES_MAX: usize = 8 << 20;
const VERSION: &[u8] = b"HTTP/1.1 ";

/// What the header `Flk-Dedup` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dedup {
    /// There is no such header, or it says something else.
    Absent,
    /// The record is new.
    Miss,
    /// It was seen before.
    Hit,
    /// Its id was seen before, with other content.
    Conflict,
}

impl Dedup {
    /// As the header has it.
    pub const fn name(self) -> &'static str {
        match self {
            Dedup::Absent => "-",
            Dedup::Miss => "miss",
            Dedup::Hit => "hit",
            Dedup::Conflict => "conflict",
        }
    }

    /// That of this name; none where no gateway says so.
    pub(crate) fn of_name(name: &[u8]) -> Option<Self> {
        match name {
            b"miss" => Some(Dedup::Miss),
            b"hit" => Some(Dedup::Hit),
            b"conflict" => Some(Dedup::Conflict),
            _ => None,
        }
    }
}

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// What it says of a duplicate.
    pub dedup: Dedup,
    /// Whether the connection ends behind it.
    pub closes: bool,
    /// Where its body begins.
    pub body: usize,
    /// The index behind its last byte.
    pub end: usize,
}

/// What is at the beginning of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// More bytes are needed.
    Partial,
    /// An answer.
    Whole(HttpAnswer),
    /// No gateway sends that.
    Foreign,
}

/// Reads what is at the beginning of `bytes`.
pub fn read(bytes: &[u8]) -> Reading {
    let known = bytes.len().min(VERSION.len());
    if bytes[..known] != VERSION[..known] {
        return Reading::Foreign;
    }
    let Some(head_bytes) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return match bytes.len() > HEAD_BYTES_MAX {
            true => Reading::Foreign,
            false => Reading::Partial,
        };
    };
    let Some(status) = status(&bytes[VERSION.len()..head_bytes]) else {
        return Reading::Foreign;
    };
    let mut answer = HttpAnswer {
        status,
        dedup: Dedup::Absent,
        closes: false,
        body: head_bytes + 4,
        end: head_bytes + 4,
    };
    let mut body_bytes = None;
    for line in bytes[..head_bytes].split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = memchr::memchr(b':', line) else {
            return Reading::Foreign;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            body_bytes = number(value);
        } else if name.eq_ignore_ascii_case(b"flk-dedup") {
            answer.dedup = Dedup::of_name(value).unwrap_or(Dedup::Absent);
        } else if name.eq_ignore_ascii_case(b"connection") {
            answer.closes = value.eq_ignore_ascii_case(b"close");
        }
    }
    match body_bytes {
        Some(count) if count <= BODY_BYTES_MAX => answer.end += count,
        _ => return Reading::Foreign,
    }
    match answer.end <= bytes.len() {
        true => Reading::Whole(answer),
        false => Reading::Partial,
    }
}

/// Three digits, and what follows them is not one.
fn status(text: &[u8]) -> Option<u16> {
    let digits = text.get(..3)?;
    let ends = text.get(3).is_none_or(|byte| !byte.is_ascii_digit());
    let status = number(digits).filter(|it| ends && (100..600).contains(it))?;
    u16::try_from(status).ok()
}

fn number(text: &[u8]) -> Option<usize> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| is_number)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nflk-dedup: hit\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";

    #[test]
    fn an_answer_is_read_at_its_last_byte_and_not_before() {
        for cut in 0..ANSWER.len() {
            assert_eq!(read(&ANSWER[..cut]), Reading::Partial, "{cut} bytes");
        }
        let whole = HttpAnswer {
            status: 200,
            dedup: Dedup::Hit,
            closes: true,
            body: ANSWER.len() - 2,
            end: ANSWER.len(),
        };
        assert_eq!(read(ANSWER), Reading::Whole(whole));
        let more = [ANSWER, b"HTTP/1.1 503 "].concat();
        assert_eq!(read(&more), Reading::Whole(whole));
    }

    #[test]
    fn what_no_gateway_sends_is_foreign_at_its_first_byte() {
        for text in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
        ] {
            assert_eq!(read(text.as_bytes()), Reading::Foreign, "{text}");
        }
        let endless = [
            b"HTTP/1.1 200 OK\r\na: ".as_slice(),
            &[b'a'; HEAD_BYTES_MAX],
        ]
        .concat();
        assert_eq!(read(&endless), Reading::Foreign);
    }
}
