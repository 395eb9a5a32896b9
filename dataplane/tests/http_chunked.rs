//! Chunked bodies: the rules as cases, each also cut at every byte, and the decoder beside a plain one that reads whole
//! bodies only and shares no code with it.

use flk_dataplane::http::{Decoded, Decoder, HttpLimits as Limits, Problem, Skipped};
use flk_testkit::change_one;
use proptest::prelude::*;

const SMALL: Limits = Limits {
    head_bytes_max: 16 * 1024,
    fields_max: 3,
    body_bytes_max: 20,
    batch_bytes_max: 20,
};

/// What a body came to: its content and the bytes that it took, or why it was refused; nothing while it is not whole.
type Verdict = Option<Result<(Vec<u8>, usize), Problem>>;

/// Gives the decoder the stream in packets, as a connection would: what it does not keep is gone.
fn in_packets(packets: &[&[u8]], limits: &Limits) -> Verdict {
    let (mut decoder, mut held, mut given) = (Decoder::default(), Vec::new(), 0);
    for packet in packets {
        held.extend_from_slice(packet);
        given += packet.len();
        match decoder.decode(&mut held, limits) {
            Decoded::Partial { kept_bytes } => {
                assert!(decoder.decoded_bytes() as usize <= kept_bytes && kept_bytes <= held.len());
                held.truncate(kept_bytes);
            }
            Decoded::Whole { body_bytes, end } => {
                let taken = given - (held.len() - end);
                return Some(Ok((held[..body_bytes].to_vec(), taken)));
            }
            Decoded::Refused(problem) => return Some(Err(problem)),
        }
    }
    None
}

/// The same for a body that is skipped: only where it ends is known.
fn skipped_in_packets(packets: &[&[u8]], limits: &Limits) -> Option<Result<usize, Problem>> {
    let (mut decoder, mut held, mut given) = (Decoder::default(), Vec::new(), 0);
    for packet in packets {
        held.extend_from_slice(packet);
        given += packet.len();
        match decoder.skip(&held, limits) {
            Skipped::Partial { gone_bytes } => drop(held.drain(..gone_bytes)),
            Skipped::Whole { end } => return Some(Ok(given - (held.len() - end))),
            Skipped::Refused(problem) => return Some(Err(problem)),
        }
        assert!(held.len() < 8 * 1024, "only framing is kept");
    }
    None
}

/// Reads the stream whole, cut once at every byte, and byte by byte, and insists that all agree, and that skipping it
/// comes to the same end.
fn read(stream: &[u8], limits: &Limits) -> Verdict {
    let whole = in_packets(&[stream], limits);
    let end = whole.as_ref().map(|whole| match whole {
        Ok((_, taken)) => Ok(*taken),
        Err(problem) => Err(*problem),
    });
    for cut in 0..=stream.len() {
        let (first, second) = stream.split_at(cut);
        assert_eq!(in_packets(&[first, second], limits), whole, "cut at {cut}");
        let skipped = skipped_in_packets(&[first, second], limits);
        assert_eq!(skipped, end, "skipped, cut at {cut}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(in_packets(&bytes, limits), whole, "byte by byte");
    let skipped = skipped_in_packets(&bytes, limits);
    assert_eq!(skipped, end, "skipped, byte by byte");
    whole
}

#[track_caller]
fn whole(stream: &str, content: &str, behind: usize) {
    let expect = Some(Ok((content.as_bytes().to_vec(), stream.len() - behind)));
    assert_eq!(
        read(stream.as_bytes(), &Limits::default()),
        expect,
        "{stream:?}"
    );
}

#[track_caller]
fn refused(stream: impl AsRef<[u8]>, problem: Problem) {
    let stream = stream.as_ref();
    let text = String::from_utf8_lossy(stream);
    assert_eq!(
        read(stream, &Limits::default()),
        Some(Err(problem)),
        "{text:?}"
    );
    assert!(problem.closes());
}

#[test]
fn chunks_are_put_together_and_what_follows_is_left() {
    whole("0\r\n\r\n", "", 0);
    whole("5\r\nhello\r\n0\r\n\r\n", "hello", 0);
    whole("1\r\nh\r\n4\r\nello\r\n0\r\n\r\nPOST", "hello", 4);
    whole("00000005\r\nhello\r\n00000000\r\n\r\n", "hello", 0);
    whole(
        "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
        "01234567890123456789",
        0,
    );
    whole("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 0);
}

#[test]
fn extensions_and_trailers_are_checked_and_dropped() {
    whole("1;a=b;c=\"d\"\r\nx\r\n0;last\r\n\r\n", "x", 0);
    whole("1;\r\nx\r\n0\r\nX-Checksum: 1\r\nExpires:\r\n\r\n", "x", 0);
    whole("1; \t \u{e4}\r\nx\r\n0\r\n\r\n", "x", 0);
    let extension = |bytes: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(bytes - 1));
    whole(&extension(1024), "x", 0);
    refused(extension(1025), Problem::InvalidChunk);
    let trailers = |bytes: usize| {
        let frame = "X: \r\n\r\n".len();
        format!("1\r\nx\r\n0\r\nX: {}\r\n\r\n", "v".repeat(bytes - frame))
    };
    whole(&trailers(8 * 1024), "x", 0);
    refused(trailers(8 * 1024 + 1), Problem::TrailersTooLarge);
    let fields = |count: usize| format!("0\r\n{}\r\n", "X: y\r\n".repeat(count));
    whole(&fields(64), "", 0);
    refused(fields(65), Problem::TooManyFields);
}

#[test]
fn what_peers_read_differently_is_refused() {
    for (stream, problem) in [
        ("\r\nhello\r\n0\r\n\r\n", Problem::InvalidChunk),
        (";a\r\n", Problem::InvalidChunk),
        ("000000005\r\nhello\r\n0\r\n\r\n", Problem::InvalidChunk),
        ("5 \r\nhello\r\n0\r\n\r\n", Problem::InvalidChunk),
        (" 5\r\nhello\r\n0\r\n\r\n", Problem::InvalidChunk),
        ("5\t;a\r\nhello\r\n", Problem::InvalidChunk),
        ("+5\r\nhello\r\n0\r\n\r\n", Problem::InvalidChunk),
        ("-1\r\n", Problem::InvalidChunk),
        ("0x5\r\nhello\r\n0\r\n\r\n", Problem::InvalidChunk),
        ("5_\r\nhello\r\n", Problem::InvalidChunk),
        ("g\r\n", Problem::InvalidChunk),
        ("5\nhello\r\n0\r\n\r\n", Problem::BareLf),
        ("5\rhello\r\n0\r\n\r\n", Problem::BareCr),
        ("5;a\nhello\r\n0\r\n\r\n", Problem::BareLf),
        ("5;a\rb\r\nhello\r\n", Problem::BareCr),
        ("5;\0\r\nhello\r\n", Problem::NulByte),
        ("5;\u{7f}\r\nhello\r\n", Problem::ControlCharacter),
        ("5\r\nhello\n0\r\n\r\n", Problem::BareLf),
        ("5\r\nhelloX\r\n0\r\n\r\n", Problem::InvalidChunk),
        ("5\r\nhello\r0\r\n\r\n", Problem::BareCr),
        ("5\r\nhello\r\n0\n\r\n", Problem::BareLf),
        ("0\r\n\n", Problem::BareLf),
        ("0\r\n\rX", Problem::BareCr),
        ("0\r\nX\r\n\r\n", Problem::InvalidHeaderName),
        ("0\r\nX : y\r\n\r\n", Problem::SpaceBeforeColon),
        ("0\r\n X: y\r\n\r\n", Problem::FoldedHeader),
        ("0\r\nX: y\nZ: z\r\n\r\n", Problem::BareLf),
        ("0\r\nX: \u{1}\r\n\r\n", Problem::ControlCharacter),
        ("0\r\nContent-Length: 5\r\n\r\n", Problem::ForbiddenTrailer),
        (
            "0\r\ntransfer-encoding: chunked\r\n\r\n",
            Problem::ForbiddenTrailer,
        ),
        ("0\r\nContent_Length: 5\r\n\r\n", Problem::ForbiddenTrailer),
        ("0\r\nHost: a\r\n\r\n", Problem::ForbiddenTrailer),
        ("100001\r\n", Problem::BodyTooLarge),
        ("ffffffff\r\n", Problem::BodyTooLarge),
    ] {
        refused(stream, problem);
    }
}

#[test]
fn the_limit_is_of_the_decoded_body() {
    let chunks = |count: usize| format!("{}0\r\n\r\n", "1;ext\r\nx\r\n".repeat(count));
    let at_most = read(chunks(20).as_bytes(), &SMALL);
    assert_eq!(at_most, Some(Ok((vec![b'x'; 20], chunks(20).len()))));
    assert_eq!(
        read(chunks(21).as_bytes(), &SMALL),
        Some(Err(Problem::BodyTooLarge))
    );
    assert_eq!(read(b"15\r\n", &SMALL), Some(Err(Problem::BodyTooLarge)));
    let limit = Limits::default();
    let mut largest = b"100000\r\n".to_vec();
    largest.resize(largest.len() + (1 << 20), b'x');
    largest.extend_from_slice(b"\r\n0\r\n\r\n");
    let read = in_packets(&[&largest], &limit);
    assert!(read.is_some_and(|read| read.is_ok_and(|(content, _)| content.len() == 1 << 20)));
}

/// Reads a whole chunked body as one would write it without a care for speed or packets; `None` for what is not one.
fn read_naively(stream: &[u8], limits: &Limits) -> Option<(Vec<u8>, usize)> {
    let text: String = stream.iter().map(|&byte| char::from(byte)).collect();
    let bytes = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
    let plain = |text: &str| text.chars().all(|c| c == '\t' || !c.is_ascii_control());
    let (mut rest, mut content) = (text.as_str(), Vec::new());
    loop {
        let (line, behind) = rest.split_once("\r\n")?;
        let (digits, extension) = match line.split_once(';') {
            Some((digits, extension)) => (digits, format!(";{extension}")),
            None => (line, String::new()),
        };
        let sound = (1..=8).contains(&digits.len())
            && digits.chars().all(|c| c.is_ascii_hexdigit())
            && plain(&extension)
            && extension.chars().count() <= 1024;
        if !sound {
            return None;
        }
        let size = usize::from_str_radix(digits, 16).ok()?;
        if content.len() + size > limits.body_bytes_max as usize {
            return None;
        }
        rest = behind;
        if size == 0 {
            break;
        }
        let end = rest
            .char_indices()
            .nth(size)
            .map_or(rest.len(), |(at, _)| at);
        let (data, behind) = rest.split_at(end);
        if data.chars().count() < size {
            return None;
        }
        content.extend(bytes(data));
        rest = behind.strip_prefix("\r\n")?;
    }
    let mut count = 0;
    loop {
        let (line, behind) = rest.split_once("\r\n")?;
        rest = behind;
        if line.is_empty() {
            break;
        }
        count += 1;
        let (name, value) = line.split_once(':')?;
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let forbidden = ["contentlength", "transferencoding"]
            .contains(&letters.to_ascii_lowercase().as_str())
            || name.eq_ignore_ascii_case("host");
        if name.is_empty() || !name.chars().all(token) || forbidden || !plain(value) {
            return None;
        }
        if count > limits.fields_max {
            return None;
        }
    }
    Some((content, stream.len() - rest.chars().count()))
}

/// Pieces from which right and slightly wrong bodies are put together.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let data = proptest::collection::vec(any::<u8>(), 1..12);
    let chunk = (data, "(;[a-z=\"\t ]{0,9})?", any::<bool>()).prop_map(|(data, ext, wide)| {
        let size = match wide {
            true => format!("{:08x}", data.len()),
            false => format!("{:X}", data.len()),
        };
        [size.as_bytes(), ext.as_bytes(), b"\r\n", &data, b"\r\n"].concat()
    });
    prop_oneof![
        9 => chunk,
        1 => proptest::sample::select(&b"\0\t\n\r ;:\x7f\x800f"[..]).prop_map(|byte| vec![byte]),
        1 => Just(b"0\r\n".to_vec()),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let trailer = prop_oneof![
        Just("X: y\r\n"),
        Just("Y:\r\n"),
        Just("Content-Length: 1\r\n"),
        Just("Z : y\r\n"),
    ];
    let trailers =
        prop_oneof![4 => Just(Vec::new()), 1 => proptest::collection::vec(trailer, 1..5)];
    (
        proptest::collection::vec(piece(), 0..5),
        trailers,
        0..6_usize,
        any::<proptest::sample::Index>(),
        any::<u8>(),
    )
        .prop_map(|(pieces, trailers, change, place, byte)| {
            let mut stream = pieces.concat();
            stream.extend_from_slice(b"0\r\n");
            stream.extend_from_slice(trailers.concat().as_bytes());
            stream.extend_from_slice(b"\r\nGET /");
            let at = place.index(stream.len());
            change_one(&mut stream, change, at, byte);
            stream
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_verdict_does_not_depend_on_the_cuts_and_equals_the_plain_reader(stream in stream()) {
        for limits in [Limits::default(), SMALL] {
            let fast = read(&stream, &limits).and_then(Result::ok);
            prop_assert_eq!(fast, read_naively(&stream, &limits), "{:?}", String::from_utf8_lossy(&stream));
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1_usize..20) {
        let packets: Vec<&[u8]> = bytes.chunks(step).collect();
        let _ = in_packets(&packets, &SMALL);
    }
}
