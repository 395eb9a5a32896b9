//! Clients that send records and remember what was acknowledged. Their list is the judge: what is in it must be answered
//! the same way for ever.

use crate::records::Maker;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use std::sync::Arc;

/// An answer that did not come in this time never will.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// An acknowledged record: its number and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// The record's number.
    pub(crate) number: u64,
    /// Status and body of the answer.
    pub(crate) answer: Answer,
    /// Whether the power was gone when the answer was read. It is a promise all the same: without power nothing becomes
    /// durable, so what was acknowledged must have been durable before.
    pub(crate) after_cut: bool,
}

/// What of an answer must never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Body, byte for byte.
    pub(crate) body: Vec<u8>,
}

/// A connection that carries one request at a time.
struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Connection {
            stream: BufReader::new(stream),
        })
    }

    /// Sends a request and reads its answer, with the value of `Flk-Dedup`.
    fn ask(&mut self, request: &[u8]) -> io::Result<(Answer, String)> {
        self.stream.get_mut().write_all(request)?;
        let (mut status, mut length, mut dedup) = (0, 0, String::new());
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            if let Some(rest) = text.strip_prefix("HTTP/1.1 ") {
                status = rest
                    .get(..3)
                    .and_then(|digits| digits.parse().ok())
                    .unwrap_or(0);
            }
            if let Some((name, value)) = text.split_once(':') {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                    "flk-dedup" => value.trim().clone_into(&mut dedup),
                    _ => {}
                }
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((Answer { status, body }, dedup))
    }
}

fn submit(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: powercut\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Whether the gateway takes records.
pub(crate) fn is_ready(address: SocketAddr) -> bool {
    let request = b"GET /readyz HTTP/1.1\r\nHost: powercut\r\n\r\n";
    let answer = Connection::open(address).and_then(|mut connection| connection.ask(request));
    answer.is_ok_and(|(answer, _)| answer.status == 200)
}

/// Clients at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<Acknowledged>>>,
}

impl Load {
    /// Starts this many clients, which take the numbers of their records from `next`.
    pub(crate) fn start(
        address: SocketAddr,
        clients: usize,
        next: &Arc<AtomicU64>,
        is_cut: impl Fn() -> bool + Clone + Send + 'static,
    ) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let start = |_| {
            let (next, stop, count) = (
                Arc::clone(next),
                Arc::clone(&stop),
                Arc::clone(&acknowledged),
            );
            let is_cut = is_cut.clone();
            std::thread::spawn(move || {
                let mut list = Vec::new();
                // However a client ends, what it was told counts.
                let _ = send(address, &next, &stop, &count, is_cut, &mut list);
                list
            })
        };
        Load {
            clients: (0..clients).map(start).collect(),
            stop,
            acknowledged,
        }
    }

    /// How many records have been acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// No further requests are sent.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the clients, whose gateway has ended, and takes their lists.
    pub(crate) fn finish(self) -> Vec<Acknowledged> {
        self.stop();
        self.clients
            .into_iter()
            .flat_map(|client| client.join().unwrap_or_default())
            .collect()
    }
}

fn send(
    address: SocketAddr,
    next: &AtomicU64,
    stop: &AtomicBool,
    count: &AtomicU64,
    is_cut: impl Fn() -> bool,
    list: &mut Vec<Acknowledged>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut maker = Maker::new()?;
    let mut connection = Connection::open(address)?;
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let (answer, _) = connection.ask(&submit(&maker.body(number)))?;
        // Anything else promises nothing.
        if matches!(answer.status, 200 | 202) {
            count.fetch_add(1, Ordering::Relaxed);
            list.push(Acknowledged {
                number,
                answer,
                after_cut: is_cut(),
            });
        }
    }
    Ok(())
}

/// Sends acknowledged records again and says what is wrong with the answers, at most a few lines. A 503 is
/// asked again and counted.
pub(crate) fn check(
    address: SocketAddr,
    list: &[Acknowledged],
    retries: &mut u64,
) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    const WRONG_MAX: usize = 5;
    const RETRIES_MAX: u32 = 3;
    let mut maker = Maker::new()?;
    let mut connection = Connection::open(address)?;
    let mut wrong = Vec::new();
    for acknowledged in list {
        let request = submit(&maker.body(acknowledged.number));
        let (mut answer, mut dedup) = connection.ask(&request)?;
        for _ in 0..RETRIES_MAX {
            // Unknown: to be asked again.
            if answer.status != 503 {
                break;
            }
            *retries += 1;
            (answer, dedup) = connection.ask(&request)?;
        }
        if answer != acknowledged.answer || dedup != "hit" {
            wrong.push(format!(
                "record {} was acknowledged {} with {}, now: {} {dedup} {}",
                acknowledged.number,
                if acknowledged.after_cut {
                    "after the cut"
                } else {
                    "before the cut"
                },
                acknowledged.answer.status,
                answer.status,
                String::from_utf8_lossy(&answer.body),
            ));
        }
        if wrong.len() == WRONG_MAX {
            break;
        }
    }
    Ok(wrong)
}
