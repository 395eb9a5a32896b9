//! Any bytes as a chunked body: what is decoded, where it ends and why it is refused must not depend on how it was cut into
//! packets, and must be what a plain reading of the whole says.
#![no_main]

use flk_dataplane::http::{Decoded, Decoder, HttpLimits as Limits, Skipped};
use libfuzzer_sys::fuzz_target;

const SMALL: Limits = Limits {
    head_bytes_max: 96,
    fields_max: 3,
    body_bytes_max: 40,
    batch_bytes_max: 40,
};

fuzz_target!(|bytes: &[u8]| {
    for limits in [Limits::default(), SMALL] {
        let whole = in_packets(bytes, bytes.len(), &limits);
        let step = 1 + bytes.first().map_or(0, |&byte| usize::from(byte) % 17);
        assert_eq!(in_packets(bytes, step, &limits), whole, "packets of {step}");
        assert_eq!(in_packets(bytes, 1, &limits), whole, "byte by byte");
        let end = whole.as_ref().map(|whole| {
            whole
                .as_ref()
                .map(|(_, end)| *end)
                .map_err(|number| *number)
        });
        assert_eq!(
            skipped(bytes, step, &limits),
            end,
            "skipped in packets of {step}"
        );
        if let Some(Ok((content, end))) = whole {
            assert!(content.len() as u64 <= limits.body_bytes_max);
            assert_eq!(content_plainly(&bytes[..end]), content);
        }
    }
});

/// The content and the length of the body, or the number of the refusal; nothing while more is needed.
fn in_packets(
    stream: &[u8],
    packet_bytes: usize,
    limits: &Limits,
) -> Option<Result<(Vec<u8>, usize), u8>> {
    let (mut decoder, mut held, mut given) = (Decoder::default(), Vec::new(), 0);
    for packet in stream.chunks(packet_bytes.max(1)) {
        held.extend_from_slice(packet);
        given += packet.len();
        match decoder.decode(&mut held, limits) {
            Decoded::Partial { kept_bytes } => held.truncate(kept_bytes),
            Decoded::Whole { body_bytes, end } => {
                let taken = given - (held.len() - end);
                return Some(Ok((held[..body_bytes].to_vec(), taken)));
            }
            Decoded::Refused(problem) => return Some(Err(problem.number())),
        }
    }
    None
}

/// The same for a body that is thrown away.
fn skipped(stream: &[u8], packet_bytes: usize, limits: &Limits) -> Option<Result<usize, u8>> {
    let (mut decoder, mut held, mut given) = (Decoder::default(), Vec::new(), 0);
    for packet in stream.chunks(packet_bytes.max(1)) {
        held.extend_from_slice(packet);
        given += packet.len();
        match decoder.skip(&held, limits) {
            Skipped::Partial { gone_bytes } => drop(held.drain(..gone_bytes)),
            Skipped::Whole { end } => return Some(Ok(given - (held.len() - end))),
            Skipped::Refused(problem) => return Some(Err(problem.number())),
        }
    }
    None
}

/// The content of a sound body, chunk by chunk.
fn content_plainly(mut rest: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let line_end = rest
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .expect("a line");
        // An extension may hold bytes that are no UTF-8; the size before it never does.
        let digits = rest[..line_end].split(|&byte| byte == b';').next();
        let line = std::str::from_utf8(digits.unwrap_or_default()).expect("digits");
        let size = usize::from_str_radix(line, 16).expect("a size");
        if size == 0 {
            return content;
        }
        let data = &rest[line_end + 2..];
        content.extend_from_slice(&data[..size]);
        rest = &data[size + 2..];
    }
}
