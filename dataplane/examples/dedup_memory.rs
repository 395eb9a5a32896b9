//! Measures the decided table: bytes per key, computed and as the process's resident memory, and look-up times at 1, 5, 10
//! and 12 million keys. A bench: it reads clocks and /proc, and touches no file of a gateway.
//!
//! `cargo run --release -p flk-dataplane --example dedup_memory [MILLIONS...]`

#![allow(clippy::unwrap_used, clippy::expect_used)] // a bench may stop

use flk_dataplane::dedup::key::KeyHash;
use flk_dataplane::dedup::table::{BYTES_PER_KEY, Partitions};
use flk_dataplane::dedup::{Decided, Key, PARTITIONS};
use std::hint::black_box;
use std::time::Instant;

const LOOK_UPS: u64 = 1_000_000;

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

fn key(hash: &KeyHash, number: u64) -> Key {
    // Spread over the numbers, so that look-ups do not follow the order of insertion.
    hash.key("default", &format!("{number:016x}"))
}

fn nanos_per(keys: &[Key], mut each: impl FnMut(Key)) -> f64 {
    let start = Instant::now();
    keys.iter().for_each(|&key| each(key));
    start.elapsed().as_nanos() as f64 / keys.len() as f64
}

fn main() {
    let mut points: Vec<u64> = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u64>().expect("a number of millions"))
        .map(|millions| millions * 1_000_000)
        .collect();
    if points.is_empty() {
        points = [1, 5, 10, 12].map(|millions| millions * 1_000_000).to_vec();
    }
    let hash = KeyHash::new([0x5A; 16]);
    let empty_bytes = resident_bytes();
    let mut table = Partitions::new(0..PARTITIONS, u64::MAX);
    println!(
        "{:>12} {:>16} {:>16} {:>10} {:>10} {:>12} {:>8}",
        "keys", "computed B/key", "resident B/key", "hit ns", "miss ns", "insert ns", "moving"
    );
    let (mut number, mut spread) = (0, Spread::default());
    for point in points {
        let start = Instant::now();
        let from = number;
        while number < point {
            let decided = Decided {
                key: key(&hash, number),
                expiry: u32::MAX,
                ..Decided::default()
            };
            table.insert(&decided);
            number += 1;
            if number.is_multiple_of(64) {
                table.step(1); // as a turn of 64 records would
            }
            if number.is_multiple_of(50_000) && number >= 1_000_000 {
                spread.note(&table);
            }
        }
        let insert_ns = start.elapsed().as_nanos() as f64 / (number - from).max(1) as f64;
        // What was measured belongs to this point, before the bench's own memory for look-ups.
        let resident = resident_bytes() - empty_bytes;
        let stride = |nth: u64| nth.wrapping_mul(0x9E37_79B9_7F4A_7C15) % point;
        let hits: Vec<Key> = (0..LOOK_UPS).map(|nth| key(&hash, stride(nth))).collect();
        let misses: Vec<Key> = (0..LOOK_UPS)
            .map(|nth| key(&hash, nth + (1 << 40)))
            .collect();
        let hit_ns = nanos_per(&hits, |key| assert!(black_box(table.get(key, 1)).is_some()));
        let miss_ns = nanos_per(&misses, |key| {
            assert!(black_box(table.get(key, 1)).is_none())
        });
        println!(
            "{:>12} {:>16.2} {:>16.2} {:>10.0} {:>10.0} {:>12.0} {:>8}",
            table.len(),
            table.memory_bytes() as f64 / table.len() as f64,
            resident as f64 / table.len() as f64,
            hit_ns,
            miss_ns,
            insert_ns,
            table.moving_count(),
        );
    }
    println!(
        "between the points, every 50,000 keys from 1 million on: computed {:.2} B/key on average, {:.2} at worst; resident {:.2} on average, {:.2} at worst",
        spread.computed_sum / spread.samples,
        spread.computed_max,
        spread.resident_sum / spread.samples,
        spread.resident_max,
    );
    println!("declared: {BYTES_PER_KEY} B/key; insert includes making the key and background work");
}

/// Bytes per key while the table grows.
#[derive(Default)]
struct Spread {
    samples: f64,
    computed_sum: f64,
    computed_max: f64,
    resident_sum: f64,
    resident_max: f64,
}

impl Spread {
    fn note(&mut self, table: &Partitions) {
        let computed = table.memory_bytes() as f64 / table.len() as f64;
        let resident = resident_bytes() as f64 / table.len() as f64;
        self.samples += 1.0;
        self.computed_sum += computed;
        self.computed_max = self.computed_max.max(computed);
        self.resident_sum += resident;
        self.resident_max = self.resident_max.max(resident);
    }
}
