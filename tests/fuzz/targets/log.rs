//! Any bytes as everything that the log knows: segments, batches, records, manifests, secrets, whole logs. No decoder
//! panics, takes memory that the bytes do not justify, or loops.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| flk_dataplane::wal::read_anything(bytes));
