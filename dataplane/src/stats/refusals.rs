//! What a shard refused last, in its part of the page: when, with which problem, of which tenant and key. Nothing of a request is
//! in it but the names that the configuration has. Only a refusal writes here, and waits for no reader.

use super::tenants::Row;
use super::versioned::Versioned;
use flk_contract::parse::Field;
use std::sync::atomic::{AtomicU64, Ordering};

/// Refusals that the page of a shard holds.
pub const REFUSALS_KEPT: usize = 128;

const WORDS: usize = 2;

/// See the module.
#[derive(Debug)]
#[repr(C)]
pub struct Refusals {
    /// How many were ever noted.
    written: AtomicU64,
    ring: [Versioned<WORDS>; REFUSALS_KEPT],
}

impl Default for Refusals {
    fn default() -> Refusals {
        Refusals {
            written: AtomicU64::new(0),
            ring: std::array::from_fn(|_| Versioned::default()),
        }
    }
}

/// One refusal as it lies in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// When, in microseconds since 1970.
    pub wall_us: u64,
    /// Number of the problem.
    pub problem: u8,
    /// The field of the record that it is about; empty: none.
    pub field: &'static str,
    /// Row of the tenant, where the request came so far.
    pub tenant: Option<Row>,
    /// Row of the key that verified.
    pub key: Option<Row>,
}

impl Refusals {
    /// Notes one; only the shard's thread calls this.
    pub fn note(&self, noted: &Noted) {
        let number = self.written.load(Ordering::Relaxed);
        let slot = &self.ring[number as usize % REFUSALS_KEPT];
        slot.write(version_of(number), &encode(noted));
        self.written.store(number + 1, Ordering::Release);
    }

    /// Those that are whole, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = Noted> + '_ {
        let written = self.written.load(Ordering::Acquire);
        let oldest = written.saturating_sub(REFUSALS_KEPT as u64);
        (oldest..written).rev().filter_map(|number| {
            let found = self.ring[number as usize % REFUSALS_KEPT].read();
            // The writer may have come around.
            let (_, words) = found.filter(|(version, _)| *version == version_of(number))?;
            Some(decode(words))
        })
    }
}

/// The version of the slot that holds the refusal of this number.
fn version_of(number: u64) -> u64 {
    2 * (number + 1)
}

fn encode(noted: &Noted) -> [u64; WORDS] {
    let row = |row: Option<Row>| row.map_or(0, |it| u64::from(it.number()) + 1);
    let (tenant, key) = (row(noted.tenant), row(noted.key));
    let field = field_number(noted.field);
    [
        noted.wall_us,
        u64::from(noted.problem) | field << 8 | tenant << 16 | key << 32,
    ]
}

fn decode([wall_us, word]: [u64; WORDS]) -> Noted {
    let row = |at: u32| Row::numbered((word >> at & 0xffff).checked_sub(1)?);
    Noted {
        wall_us,
        problem: word as u8,
        field: field_of(word >> 8 & 0xff),
        tenant: row(16),
        key: row(32),
    }
}

/// Fields by their place in the table of the contract, from 1; 0: no field, or one without a place.
fn field_number(field: &str) -> u64 {
    if field.is_empty() {
        return 0;
    }
    let mut all = (1..).zip(Field::ALL);
    let found = all.find(|(_, it)| it.as_str() == field);
    found.map_or(0, |(number, _)| number)
}

fn field_of(number: u64) -> &'static str {
    let mut all = (1..).zip(Field::ALL);
    let found = all.find(|(it, _)| *it == number);
    found.map_or("", |(_, it)| it.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_comes_back_as_it_was_noted() {
        let refusals = Box::<Refusals>::default();
        let whole = Noted {
            wall_us: 1_800_000_000_000_007,
            problem: 82,
            field: "coh_star",
            tenant: Row::numbered(64),
            key: Row::numbered(256),
        };
        let least = Noted {
            wall_us: 7,
            problem: 255,
            ..Noted::default()
        };
        refusals.note(&whole);
        refusals.note(&least);
        assert_eq!(refusals.newest().collect::<Vec<_>>(), [least, whole]);
    }

    #[test]
    fn the_ring_keeps_the_newest() {
        let refusals = Box::<Refusals>::default();
        let count = REFUSALS_KEPT as u64 + 5;
        for wall_us in 0..count {
            refusals.note(&Noted {
                wall_us,
                ..Noted::default()
            });
        }
        let found: Vec<u64> = refusals.newest().map(|it| it.wall_us).collect();
        assert_eq!(found, (5..count).rev().collect::<Vec<_>>());
    }

    #[test]
    fn a_reader_beside_the_writer_sees_whole_refusals_only() {
        let refusals = Box::<Refusals>::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for wall_us in 0..200_000 {
                    refusals.note(&Noted {
                        wall_us,
                        problem: wall_us as u8,
                        ..Noted::default()
                    });
                }
            });
            while !writer.is_finished() {
                let mut newer = u64::MAX;
                for noted in refusals.newest() {
                    assert_eq!(noted.problem, noted.wall_us as u8);
                    assert!(noted.wall_us < newer, "in order, and each once");
                    newer = noted.wall_us;
                }
            }
        });
    }

    #[test]
    fn every_field_of_the_contract_has_a_number() {
        for field in Field::ALL {
            let name = field.as_str();
            assert_eq!(field_of(field_number(name)), name);
        }
        assert_eq!((field_number(""), field_of(0)), (0, ""));
    }
}
