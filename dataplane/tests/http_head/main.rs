//! The rules of framing as cases, one table per rule class, and the properties that hold over all of them.
//! Every case is also cut at every byte: the verdict must not depend on how a stream arrives.

#![allow(clippy::expect_used)] // helpers of tests count as tests here

mod fields;
mod lines;
mod naive;
mod routing;

use flk_dataplane::http::{Head, HeadStatus, HttpLimits as Limits, Problem, read_head};

/// Reads the stream whole and at every cut, and insists that the cuts agree with the whole.
fn read(stream: &[u8]) -> HeadStatus {
    read_with(stream, &Limits::default())
}

fn read_with(stream: &[u8], limits: &Limits) -> HeadStatus {
    let whole = read_head(stream, limits);
    for cut in 0..stream.len() {
        let part = read_head(&stream[..cut], limits);
        assert!(
            part == HeadStatus::Partial || part == whole,
            "cut at {cut} of {:?}: {part:?}, but whole: {whole:?}",
            String::from_utf8_lossy(stream)
        );
    }
    whole
}

fn refused(stream: impl AsRef<[u8]>, expect: Problem) {
    let stream = stream.as_ref();
    assert_eq!(
        read(stream),
        HeadStatus::Refused(expect),
        "{:?}",
        String::from_utf8_lossy(stream)
    );
    assert!(expect.closes());
}

fn complete(stream: impl AsRef<[u8]>) -> Head {
    let stream = stream.as_ref();
    match read(stream) {
        HeadStatus::Complete(head) => head,
        other => panic!("{other:?} for {:?}", String::from_utf8_lossy(stream)),
    }
}

/// A submit request with these extra header lines (each ended by CRLF), Host and length being in order.
fn submit(lines: &str) -> String {
    format!("POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n{lines}\r\nhello")
}

/// A request with exactly these header lines.
fn post(lines: &str) -> String {
    format!("POST /v1/pcs/submit HTTP/1.1\r\n{lines}\r\n")
}
