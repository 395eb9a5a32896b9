//! The head reader beside a plain one, over heads put together from right and slightly wrong pieces.
//! The plain reader shares no code with the real one.

use flk_dataplane::http::{HeadStatus, HttpLimits as Limits, read_head};
use flk_testkit::change_one;
use proptest::prelude::*;

use super::read;

fn is_token(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(is_allowed)
}

/// Method and version of a request line, or nothing where it is refused.
fn request_line(line: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = line.split(' ').collect();
    let &[method, target, version] = parts.as_slice() else {
        return None;
    };
    let target_is_sound =
        target.starts_with('/') && target.chars().all(|c| !c.is_ascii_control() && c != '#');
    let is_sound = is_token(method)
        && method.len() <= 32
        && target_is_sound
        && ["HTTP/1.0", "HTTP/1.1"].contains(&version);
    is_sound.then_some((method, version))
}

/// Name, in small letters, and value of a field, or nothing where it is refused.
fn field(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.split_once(':')?;
    if !is_token(name) || value.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let lookalike = ["contentlength", "transferencoding"].contains(&letters.as_str());
    if lookalike && !["content-length", "transfer-encoding"].contains(&name.as_str()) {
        return None;
    }
    Some((name, value.trim_matches([' ', '\t'])))
}

/// The length of the body from its digits, or nothing where they are refused.
fn length(digits: &str) -> Option<u64> {
    let is_sound =
        digits.chars().all(|c| c.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    is_sound.then(|| digits.parse().ok())?
}

/// The reader as one would write it without a care for speed, for complete heads within the limits.
/// Says where the head ends and how long the body is (nothing: it is chunked), or nothing where it is refused.
fn read_naively(stream: &[u8]) -> Option<(usize, Option<u64>)> {
    let text: String = stream.iter().map(|&byte| char::from(byte)).collect();
    let text = text.as_str();
    let (skipped, text) = match text.strip_prefix("\r\n") {
        Some(rest) => (2, rest),
        None => (0, text),
    };
    let head = text.split_once("\r\n\r\n")?.0;
    let head_len = head.chars().count() + 4; // one character per byte, whatever they take in memory
    let mut lines = head.split("\r\n");
    let (method, version) = request_line(lines.next()?)?;
    let fields: Vec<(String, &str)> = lines.map(field).collect::<Option<_>>()?;
    let all = |name: &str| {
        let named = fields.iter().filter(|field| field.0 == name);
        named.map(|field| field.1).collect::<Vec<_>>()
    };
    let (hosts, lengths, codings) = (all("host"), all("content-length"), all("transfer-encoding"));
    let hosts_are_sound = hosts == ["a"] || (hosts.is_empty() && version == "HTTP/1.0");
    if !hosts_are_sound || lengths.len() > 1 || fields.len() > 64 {
        return None;
    }
    let has_no_body = ["GET", "HEAD", "OPTIONS"].contains(&method);
    if !codings.is_empty() {
        let is_sound =
            codings == ["chunked"] && lengths.is_empty() && version == "HTTP/1.1" && !has_no_body;
        return is_sound.then_some((skipped + head_len, None));
    }
    let length = match lengths.first() {
        None if method == "POST" => return None,
        None => 0,
        Some(digits) => length(digits)?,
    };
    if length > 1024 * 1024 || (has_no_body && length > 0) {
        return None;
    }
    Some((skipped + head_len, Some(length)))
}

/// Pieces from which right and slightly wrong heads are put together.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => Just(b"X: y\r\n".to_vec()),
        2 => Just(b"Content-Length: 5\r\n".to_vec()),
        1 => Just(b"Host: a\r\n".to_vec()),
        2 => Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        1 => Just(b"Content-Length: 05\r\n".to_vec()),
        1 => Just(b"X: \t y \x80 \r\n".to_vec()),
        1 => proptest::sample::select(&b"\0\t\n\r :\x7f\x80ab"[..]).prop_map(|byte| vec![byte]),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let line = proptest::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /v1/pcs/submit HTTP/1.1\r\n",
        "\r\nPOST / HTTP/1.0\r\n",
        "PUT /x HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET  / HTTP/1.1\r\n",
    ]);
    (
        line,
        proptest::collection::vec(piece(), 0..6),
        0..4_usize,
        any::<proptest::sample::Index>(),
        any::<u8>(),
    )
        .prop_map(|(line, pieces, change, place, byte)| {
            let mut stream = line.as_bytes().to_vec();
            stream.extend_from_slice(b"Host: a\r\n");
            stream.extend(pieces.concat());
            stream.extend_from_slice(b"\r\nbody\r\n\r\n");
            let at = place.index(stream.len());
            change_one(&mut stream, change, at, byte);
            stream
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_verdict_does_not_depend_on_the_cuts_and_equals_the_plain_reader(stream in stream()) {
        let fast = match read(&stream) {
            HeadStatus::Complete(head) => {
                Some((head.head_len, (!head.chunked).then_some(head.body_len)))
            }
            _ => None,
        };
        let plain = read_naively(&stream);
        // The plain reader knows one Host and no header that only the real one reads.
        if fast != plain {
            let read_by_one_only = fast.is_some()
                && String::from_utf8_lossy(&stream).lines().any(|line| line.to_ascii_lowercase().starts_with("host:") && !line.ends_with(": a"));
            prop_assert!(read_by_one_only, "{:?}: {fast:?}, plainly {plain:?}", String::from_utf8_lossy(&stream));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn what_follows_a_head_changes_nothing(stream in stream(), rest in proptest::collection::vec(any::<u8>(), 0..50)) {
        if let HeadStatus::Complete(head) = read(&stream) {
            let mut longer = stream[..head.head_len].to_vec();
            longer.extend_from_slice(&rest);
            prop_assert_eq!(read_head(&longer, &Limits::default()), HeadStatus::Complete(head));
        }
    }
}
