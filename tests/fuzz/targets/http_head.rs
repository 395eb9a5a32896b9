//! Any bytes as a stream of requests: the verdict must not depend on how the stream was cut into packets, nor on what
//! follows a head; every span lies within its head, and every limit holds.
#![no_main]

use flk_dataplane::http::{
    Head, HeadStatus, HttpLimits as Limits, LookUps, Span, TenantHeader, read_head,
    read_traceparent, route,
};
use libfuzzer_sys::fuzz_target;

const SMALL: Limits = Limits {
    head_bytes_max: 96,
    fields_max: 3,
    body_bytes_max: 9,
    batch_bytes_max: 9,
};

fuzz_target!(|bytes: &[u8]| {
    for limits in [Limits::default(), SMALL] {
        check(bytes, &limits);
    }
});

fn check(stream: &[u8], limits: &Limits) {
    let whole = read_head(stream, limits);
    for cut in cuts(stream.len()) {
        let part = read_head(&stream[..cut], limits);
        assert!(
            part == HeadStatus::Partial || part == whole,
            "cut at {cut}: {part:?}, whole: {whole:?}"
        );
    }
    if let HeadStatus::Complete(head) = whole {
        check_head(&stream[..head.head_len], &head, limits);
    }
    let step = 1 + stream.first().map_or(0, |&byte| usize::from(byte) % 17);
    assert_eq!(
        in_packets(stream, step, limits),
        in_packets(stream, stream.len(), limits)
    );
}

/// Every position of a short stream, some of a long one.
fn cuts(bytes: usize) -> impl Iterator<Item = usize> {
    (0..bytes).step_by(1 + bytes / 128)
}

fn check_head(bytes: &[u8], head: &Head, limits: &Limits) {
    assert!(bytes.len() <= limits.head_bytes_max && head.body_len <= limits.body_bytes_max);
    assert!(bytes.ends_with(b"\r\n\r\n"));
    assert!(head.body_len == 0 || !head.chunked, "one way of framing");
    assert!(head.keep_alive || !head.repeats_keep_alive);
    assert_eq!(
        read_head(bytes, limits),
        HeadStatus::Complete(*head),
        "what follows a head changes nothing"
    );
    let within = |span: Span| assert!(span.start <= span.end && span.end as usize <= bytes.len());
    head.authorization
        .into_iter()
        .chain(head.traceparent)
        .for_each(within);
    if let TenantHeader::Named(span) = head.tenant {
        within(span);
        let name = span.of(bytes);
        let sound = |&byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        assert!((1..=64).contains(&name.len()) && name.iter().all(sound));
    }
    if let Some(value) = head.traceparent.map(|span| span.of(bytes))
        && let Some(read) = read_traceparent(value)
    {
        let again = format!(
            "{:032x}-{:016x}",
            u128::from_be_bytes(read.trace_id),
            u64::from_be_bytes(read.parent_id)
        );
        assert_eq!(value.get(3..52), Some(again.as_bytes()));
    }
    for look_ups in [LookUps::Off, LookUps::On] {
        let _ = route(head, look_ups);
    }
}

/// What a connection would make of the stream: heads and bodies one after the other, until one is refused.
fn in_packets(stream: &[u8], packet_bytes: usize, limits: &Limits) -> Vec<HeadStatus> {
    let (mut seen, mut received, mut skip) = (Vec::new(), Vec::new(), 0_u64);
    for packet in stream.chunks(packet_bytes.max(1)) {
        received.extend_from_slice(packet);
        loop {
            let dropped = skip.min(received.len() as u64);
            received.drain(..dropped as usize);
            skip -= dropped;
            if skip > 0 || received.is_empty() {
                break;
            }
            match read_head(&received, limits) {
                HeadStatus::Partial => break,
                HeadStatus::Complete(head) => {
                    seen.push(HeadStatus::Complete(head));
                    if head.chunked {
                        return seen; // where its body ends is another target's question
                    }
                    received.drain(..head.head_len);
                    skip = head.body_len;
                }
                refused => {
                    seen.push(refused);
                    return seen;
                }
            }
        }
    }
    seen
}
