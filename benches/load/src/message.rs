//! Finds where the first HTTP message of a buffer ends, by its Content-Length and nothing else.
//! It is no parser: it accepts what a gateway has to refuse, and never looks at a value other than that length.

/// The index behind the first whole message, or `None` while bytes are missing.
pub fn end(bytes: &[u8]) -> Option<usize> {
    let head_end = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let end = head_end.checked_add(content_length(&bytes[..head_end]))?;
    (end <= bytes.len()).then_some(end)
}

/// The status of an answer, or `None` where its first bytes are not those of HTTP/1.1.
pub fn status(bytes: &[u8]) -> Option<u16> {
    let text = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    text.iter()
        .all(u8::is_ascii_digit)
        .then(|| digits(text) as u16)
}

/// The number behind `Content-Length:`, 0 where there is none.
fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    let mut from = 0;
    // Header names start behind a line feed; only those lines are compared.
    while let Some(at) = memchr::memchr(b'\n', &head[from..]) {
        from += at + 1;
        let line = &head[from..];
        if line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME) {
            return digits(&line[NAME.len()..]);
        }
    }
    0
}

fn digits(value: &[u8]) -> usize {
    value
        .iter()
        .skip_while(|byte| **byte == b' ')
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_usize, |sum, byte| {
            sum.saturating_mul(10)
                .saturating_add(usize::from(byte - b'0'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_behind_its_body() {
        let message = b"POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 5\r\n\r\nhelloPOST";
        assert_eq!(end(message), Some(message.len() - 4));
    }

    #[test]
    fn a_partial_head_or_body_has_no_end() {
        let message = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
        for cut in 0..message.len() {
            assert_eq!(end(&message[..cut]), None, "{cut} bytes");
        }
    }

    #[test]
    fn a_status_is_three_digits_behind_the_version() {
        assert_eq!(status(b"HTTP/1.1 503 Service Unavailable"), Some(503));
        assert_eq!(status(b"HTTP/1.1 5"), None);
        assert_eq!(status(b"HTTP/1.0 200 OK"), None);
    }

    #[test]
    fn a_message_without_a_length_ends_with_its_head() {
        assert_eq!(end(b"GET / HTTP/1.1\r\n\r\n"), Some(18));
    }
}
