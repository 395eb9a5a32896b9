//! A gateway for tests: it gives the answers that a test wrote down, in that order, and keeps what it was sent.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What it was sent.
#[derive(Clone)]
pub struct Request {
    pub at: Instant,
    pub head: String,
    pub body: Vec<u8>,
}

/// Serves until the test ends.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Answers each request by what `answer` says of it and of how many came before.
    pub fn answering(answer: impl Fn(&Request, usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let (kept, answer) = (requests.clone(), Arc::new(answer));
        // it ends with the test's process
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let (kept, answer) = (kept.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Self {
            address,
            requests,
            connections,
        }
    }

    /// Gives these answers one after the other, the last one for ever.
    pub fn scripted(answers: Vec<Vec<u8>>) -> Self {
        Self::answering(move |_, before| answers[before.min(answers.len() - 1)].clone())
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many were made to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// The bytes of an answer.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

/// The outcome of an accepted record whose id is `ab`.
pub const OUTCOME: &str = r#"{"pcs_id":"ab","accepted":true,"escalated":false,"D_hat":1.50,"recomputed_D_hat":1.5,"budget":0.3,"recomputed_budget":0.3,"regime":"mixed","params_version":"1"}"#;

/// An accepted record.
pub fn accepted(dedup: &str) -> Vec<u8> {
    let headers = format!("Content-Type: application/json\r\nFlk-Dedup: {dedup}\r\n");
    answer(200, &headers, OUTCOME)
}

/// An escalated record.
pub fn escalated(dedup: &str) -> Vec<u8> {
    let headers = format!("Content-Type: application/json\r\nFlk-Dedup: {dedup}\r\n");
    let body = OUTCOME.replace(
        r#""accepted":true,"escalated":false"#,
        r#""accepted":false,"escalated":true,"reason":"degraded""#,
    );
    answer(202, &headers, &body)
}

/// A problem document.
pub fn problem(status: u16, code: &str, headers: &str) -> Vec<u8> {
    let body =
        format!(r#"{{"title":"T","status":{status},"code":"{code}","detail":"What to do."}}"#);
    let headers = format!("Content-Type: application/problem+json\r\n{headers}");
    answer(status, &headers, &body)
}

fn serve(
    stream: TcpStream,
    kept: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&Request, usize) -> Vec<u8>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(request) = read(&mut reader, &mut writer) {
        let before = {
            let mut kept = kept.lock().unwrap();
            kept.push(request.clone());
            kept.len() - 1
        };
        let bytes = answer(&request, before);
        // no bytes at all: the connection breaks before the answer
        if bytes.is_empty() || writer.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> Option<Request> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head[before..] == *"\r\n" {
            break;
        }
    }
    let lower = head.to_lowercase();
    let length = lower.split("content-length: ").nth(1);
    let length = length.map_or("0", |rest| rest.split("\r\n").next().unwrap_or_default());
    if lower.contains("expect: 100-continue") {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        at: Instant::now(),
        head,
        body,
    })
}
