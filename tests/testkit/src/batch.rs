//! Batch requests: their bytes, and the lines of their answers, which are cut strictly. It never sends one.

use crate::client::Response;

/// What a batch was answered for one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub line: u64,
    /// The status of its record.
    pub status: u16,
    /// `miss`, `hit` or `conflict`, with an outcome.
    pub dedup: Option<String>,
    /// The outcome or the problem, byte for byte.
    pub body: String,
}

/// The bytes of a batch with these bodies, one a line.
pub fn request<T: AsRef<[u8]>>(bodies: &[T]) -> Vec<u8> {
    let mut text = Vec::new();
    for body in bodies {
        text.extend_from_slice(body.as_ref());
        text.push(b'\n');
    }
    let mut bytes = format!(
        "POST /v1/pcs/batch HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
        text.len()
    )
    .into_bytes();
    bytes.extend_from_slice(&text);
    bytes
}

/// The lines of an answer to a batch; panics where it is none.
pub fn lines(answer: &Response) -> Vec<Line> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let media_type = answer.header("Content-Type");
    assert_eq!(media_type, Some("application/x-ndjson"), "{answer:?}");
    let lines: Vec<Line> = answer.text().split_terminator('\n').map(line).collect();
    let count = lines.len().to_string();
    assert_eq!(answer.header("Flk-Batch-Records"), Some(count.as_str()));
    lines
}

fn line(text: &str) -> Line {
    let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let body = ["\"outcome\":", "\"problem\":"]
        .into_iter()
        .find_map(|open| Some(text.split_once(open)?.1.strip_suffix('}')?.to_owned()));
    Line {
        line: value["line"].as_u64().expect("a line"),
        status: value["status"].as_u64().expect("a status") as u16,
        dedup: value["dedup"].as_str().map(str::to_owned),
        body: body.expect("an outcome or a problem"),
    }
}
