//! The load of one life of a gateway, and what its clients remember: what was acknowledged with which bytes, what was
//! sent and never answered, what was refused.

use flk_testkit::Dice;
use flk_testkit::client::{Connection, Response, submit};
use flk_testkit::records::{Record, record};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Pairs of clients, each client with a connection of its own.
const PAIRS: u64 = 3;
/// Requests that a client has under way at a time.
const PIPELINE: usize = 8;

/// What a client asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Number of the record.
    pub(crate) number: u64,
    /// With a signature that is wrong.
    pub(crate) forged: bool,
}

/// What clients remember of one life.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Outcome bytes of every acknowledged record.
    pub(crate) acknowledged: BTreeMap<u64, Vec<u8>>,
    /// Numbers of all records sent with their right signature.
    pub(crate) sent: Vec<u64>,
    /// Bodies that were answered 401.
    pub(crate) refused: Vec<u64>,
    /// Answers that no gateway may give.
    pub(crate) wrong: Vec<String>,
}

impl Memory {
    fn take(&mut self, asked: &Asked, record: &Record, answer: &Response) {
        let number = asked.number;
        match answer.status {
            401 if asked.forged => self.refused.push(number),
            200 if !asked.forged && record.is_outcome(&answer.body) => {
                let first = self
                    .acknowledged
                    .entry(number)
                    .or_insert_with(|| answer.body.clone());
                if *first != answer.body {
                    self.wrong
                        .push(format!("record {number} has two outcomes in one life"));
                }
            }
            // The outcome is unknown; a later life must give it.
            503 => {}
            _ => self.wrong.push(format!(
                "record {number}, forged: {}, got {answer:?}",
                asked.forged
            )),
        }
    }

    /// Adds what another client remembers.
    pub(crate) fn add(&mut self, other: Memory) {
        for (number, outcome) in other.acknowledged {
            if self
                .acknowledged
                .get(&number)
                .is_some_and(|first| *first != outcome)
            {
                self.wrong.push(format!("record {number} has two outcomes"));
            }
            self.acknowledged.insert(number, outcome);
        }
        self.sent.extend(other.sent);
        self.refused.extend(other.refused);
        self.wrong.extend(other.wrong);
    }
}

/// Loads a gateway until it is gone; `fresh` is the first number that no record had yet, and `answered` is told of each
/// answer.
pub(crate) fn load(
    address: SocketAddr,
    seed: u64,
    fresh: u64,
    answered: &(dyn Fn() + Sync),
) -> Memory {
    let mut memory = Memory::default();
    let latest: Vec<AtomicU64> = (0..PAIRS)
        .map(|pair| AtomicU64::new(fresh + pair))
        .collect();
    std::thread::scope(|scope| {
        let client = |client: u64| {
            let pair = client % PAIRS;
            let client = Client {
                dice: Dice::new(seed ^ (client << 32)),
                follows: client >= PAIRS,
                latest: &latest[pair as usize],
                next: fresh + pair,
            };
            scope.spawn(move || client.run(address, answered))
        };
        let clients: Vec<_> = (0..2 * PAIRS).map(client).collect();
        for client in clients {
            memory.add(client.join().expect("a client"));
        }
    });
    memory
}

/// A client and what it sends next.
struct Client<'a> {
    dice: Dice,
    /// It repeats what the other one of its pair has just sent, so that duplicates meet while the first is under way.
    follows: bool,
    latest: &'a AtomicU64,
    next: u64,
}

impl Client<'_> {
    fn ask(&mut self) -> Asked {
        if self.follows {
            let number = self.latest.load(Ordering::Relaxed);
            return Asked {
                number,
                forged: false,
            };
        }
        let asked = Asked {
            number: self.next,
            forged: self.dice.below(16) == 0,
        };
        // Now and then the same record once more, right behind itself.
        if self.dice.below(8) != 0 {
            self.next += PAIRS;
        }
        asked
    }

    fn run(mut self, address: SocketAddr, answered: &(dyn Fn() + Sync)) -> Memory {
        let mut memory = Memory::default();
        let Ok(mut connection) = Connection::open(address) else {
            return memory;
        };
        let mut under_way: VecDeque<(Asked, Record)> = VecDeque::new();
        loop {
            let mut burst = Vec::new();
            while under_way.len() < PIPELINE {
                let asked = self.ask();
                let record = record(asked.number);
                if asked.forged {
                    burst.extend(submit(&record.forged()));
                } else {
                    burst.extend(submit(&record.body));
                    memory.sent.push(asked.number);
                    if !self.follows {
                        self.latest.store(asked.number, Ordering::Relaxed);
                    }
                }
                under_way.push_back((asked, record));
            }
            if connection.send(&burst).is_err() {
                return memory;
            }
            let half = under_way.len().div_ceil(2);
            for (asked, record) in under_way.drain(..half) {
                match connection.response() {
                    Ok(answer) => memory.take(&asked, &record, &answer),
                    Err(error) => {
                        if error.kind() == std::io::ErrorKind::InvalidData {
                            memory.wrong.push(error.to_string());
                        }
                        return memory;
                    }
                }
                answered();
            }
        }
    }
}
