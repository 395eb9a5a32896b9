//! Clients that send records and remember what was acknowledged. Their list is the judge: what is in it must be answered
//! the same way for ever.

use flk_testkit::client::{Connection, Response};
use flk_testkit::records::record;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

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

impl From<Response> for Answer {
    fn from(response: Response) -> Answer {
        Answer {
            status: response.status,
            body: response.body,
        }
    }
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
) -> io::Result<()> {
    let mut connection = Connection::open(address)?;
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let answer = Answer::from(connection.post(&record(number).body)?);
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
) -> io::Result<Vec<String>> {
    const WRONG_MAX: usize = 5;
    const RETRIES_MAX: u32 = 3;
    let mut connection = Connection::open(address)?;
    let mut wrong = Vec::new();
    for acknowledged in list {
        let body = record(acknowledged.number).body;
        let mut response = connection.post(&body)?;
        for _ in 0..RETRIES_MAX {
            // Unknown: to be asked again.
            if response.status != 503 {
                break;
            }
            *retries += 1;
            response = connection.post(&body)?;
        }
        let dedup = response.dedup().unwrap_or_default().to_owned();
        let answer = Answer::from(response);
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
