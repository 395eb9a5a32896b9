//! Clients that send records while a disk is in trouble, remember what was acknowledged, and ask for it again; and the keeper's
//! socket, opened before the trouble comes. A 503 is sent again later; every other refusal fails the test.

use flk_testkit::client::Connection;
use flk_testkit::gateway::Gateway;
use flk_testkit::records::record;
use flk_testkit::{DEADLINE, comes_true};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const CLIENTS: usize = 3;

/// A segment is full after some hundred of these.
const BODY_BYTES: usize = 8_000;

/// Before a refused record is sent again.
const PAUSE: Duration = Duration::from_millis(20);

/// The codes of 503 that a disk in trouble may cause.
const DOCUMENTED: [&str; 4] = [
    "disk_full",
    "wal_unavailable",
    "deadline_exceeded",
    "dedup_memory_full",
];

/// See the module.
#[derive(Default)]
pub(super) struct Load {
    ends: AtomicBool,
    next: AtomicU64,
    /// Number and outcome of each record that was acknowledged.
    taken: Mutex<Vec<(u64, Vec<u8>)>>,
    /// How often each code was answered.
    refused: Mutex<BTreeMap<String, u64>>,
    asked_again: AtomicU64,
    cut_off: AtomicU64,
}

/// Ends the clients, also where the test fails.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Load {
    /// Does something while clients send.
    pub(super) fn run(&self, gateway: &Gateway, test: impl FnOnce()) {
        self.ends.store(false, Ordering::SeqCst);
        std::thread::scope(|scope| {
            let _ending = Ending(&self.ends);
            for _ in 0..CLIENTS {
                let connection = gateway.connect();
                scope.spawn(|| self.client(connection));
            }
            test();
        });
    }

    fn client(&self, mut connection: Connection) {
        while !self.ends.load(Ordering::SeqCst) {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if self.send(&mut connection, number).is_none()
                || number.is_multiple_of(4) && self.ask_again(&mut connection, number).is_none()
            {
                self.cut_off.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
    }

    /// Sends a record until it is taken, or the test ends; nothing where the connection is cut off.
    fn send(&self, connection: &mut Connection, number: u64) -> Option<()> {
        let record = record(number);
        let mut body = record.body.clone();
        body.resize(BODY_BYTES, b' ');
        let mut is_new = true;
        loop {
            let answer = connection.post(&body).ok()?;
            if answer.status == 200 {
                assert!(record.is_outcome(&answer.body), "{answer:?}");
                assert!(!is_new || answer.dedup() == Some("miss"), "{answer:?}");
                locked(&self.taken).push((number, answer.body));
                return Some(());
            }
            self.note_refusal(&answer);
            self.ask_again(connection, number)?;
            is_new = false;
            if comes_true(PAUSE, || self.ends.load(Ordering::SeqCst)) {
                return Some(());
            }
        }
    }

    /// Asks for a record that was taken: its outcome, or a documented 503.
    fn ask_again(&self, connection: &mut Connection, chance: u64) -> Option<()> {
        let known = {
            let taken = locked(&self.taken);
            // Large strides: old ones and new ones.
            let at = chance.wrapping_mul(0x9e37_79b9_7f4a_7c15) % taken.len().max(1) as u64;
            taken.get(at as usize).cloned()
        };
        let Some((number, outcome)) = known else {
            return Some(());
        };
        let answer = connection.post(&record(number).body).ok()?;
        match answer.status {
            200 => {
                assert_eq!(answer.dedup(), Some("hit"), "{answer:?}");
                assert_eq!(answer.body, outcome);
            }
            _ => self.note_refusal(&answer),
        }
        self.asked_again.fetch_add(1, Ordering::SeqCst);
        Some(())
    }

    fn note_refusal(&self, answer: &flk_testkit::client::Response) {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("Retry-After").is_some(), "{answer:?}");
        let code = answer.problem_code();
        assert!(DOCUMENTED.contains(&code.as_str()), "{answer:?}");
        *locked(&self.refused).entry(code).or_default() += 1;
    }

    /// How many records were taken.
    pub(super) fn taken_count(&self) -> usize {
        locked(&self.taken).len()
    }

    /// How often a code was answered.
    pub(super) fn refused_count(&self, code: &str) -> u64 {
        locked(&self.refused).get(code).copied().unwrap_or(0)
    }

    /// Each code that was answered, and how often.
    pub(super) fn refusals(&self) -> Vec<(String, u64)> {
        locked(&self.refused).clone().into_iter().collect()
    }

    /// How often a known record was asked for.
    pub(super) fn asked_again_count(&self) -> u64 {
        self.asked_again.load(Ordering::SeqCst)
    }

    /// How many clients lost their connection.
    pub(super) fn cut_off_count(&self) -> u64 {
        self.cut_off.load(Ordering::SeqCst)
    }

    /// Each acknowledged record is a duplicate with the same answer.
    pub(super) fn finds_everything(&self, gateway: &Gateway) {
        let mut connection = gateway.connect();
        for (number, outcome) in locked(&self.taken).iter() {
            let mut answer = None;
            // A table that has just been full may be so once more.
            comes_true(DEADLINE, || {
                let new = connection.post(&record(*number).body).unwrap();
                let is_over = new.status != 503;
                answer = Some(new);
                is_over
            });
            let answer = answer.unwrap();
            assert_eq!(answer.dedup(), Some("hit"), "{number}: {answer:?}");
            assert_eq!((answer.status, &answer.body), (200, outcome), "{number}");
        }
    }
}

/// The keeper's socket.
pub(super) struct Keeper(BufReader<UnixStream>);

impl Keeper {
    /// Connects, and makes sure that the other end has taken it.
    pub(super) fn of(wal: &Path) -> Keeper {
        let socket = UnixStream::connect(wal.join("keeper.sock")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut keeper = Keeper(BufReader::new(socket));
        keeper.status();
        keeper
    }

    fn tell(&mut self, line: &str) {
        let line = format!("flk1 {line}\n");
        self.0.get_mut().write_all(line.as_bytes()).unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// What `flk wal status` shows.
    pub(super) fn status(&mut self) -> serde_json::Value {
        self.tell("status");
        let line = self.hear();
        let text = line.strip_prefix("ok ").unwrap_or_else(|| panic!("{line}"));
        serde_json::from_str(text).unwrap()
    }

    /// Asks for a seal, which deletes nothing.
    pub(super) fn ask_to_seal(&mut self) {
        self.tell("compact --older-than 1000000");
    }

    /// The seal that was asked for is over.
    pub(super) fn is_sealed(&mut self) {
        let line = self.hear();
        assert!(line.starts_with("ok "), "{line}");
    }

    /// Asks for a seal and waits for its end, however it ends.
    pub(super) fn seal(&mut self) {
        self.ask_to_seal();
        self.is_sealed();
    }
}
