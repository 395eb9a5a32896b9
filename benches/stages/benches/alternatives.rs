//! Times of what decisions were made between: implementations of SHA-256 and HMAC, readers of JSON, queues between shards.
//! What the gateway uses is named first. `make bench-stages` runs them.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a measuring program: it works or says why it does not

mod queues;

use criterion::Criterion;
use flk_bench_stages::records::{Cycle, KEY, SAMPLES, bodies};
use flk_contract::Parser;
use flk_contract::hash::{HmacKey, sha256};
use std::collections::BTreeMap;
use std::hint::black_box;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    hashes(&mut criterion);
    macs(&mut criterion);
    readers(&mut criterion);
    queues::bench(&mut criterion);
    criterion.final_summary();
}

/// A short text, a signing payload, a body, and a page.
const LENGTHS: [usize; 4] = [64, 276, 700, 4096];

fn hashes(criterion: &mut Criterion) {
    for bytes in LENGTHS {
        let message = vec![7; bytes];
        let name = |of: &str| format!("sha256/{of}/bytes={bytes}");
        criterion.bench_function(&name("sha2"), |bencher| {
            bencher.iter(|| sha256(&[black_box(&message)]));
        });
        criterion.bench_function(&name("aws-lc-rs"), |bencher| {
            let sha256 = &aws_lc_rs::digest::SHA256;
            bencher.iter(|| aws_lc_rs::digest::digest(sha256, black_box(&message)));
        });
    }
}

/// Keys are prepared; the message is a digest.
fn macs(criterion: &mut Criterion) {
    let message = [7; 32];
    criterion.bench_function("hmac/sha2", |bencher| {
        let key = HmacKey::new(KEY.as_bytes());
        let tag = key.tag(&message);
        bencher.iter(|| assert!(key.verify(black_box(&message), &tag)));
    });
    criterion.bench_function("hmac/aws-lc-rs", |bencher| {
        use aws_lc_rs::hmac;
        let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
        let tag = hmac::sign(&key, &message);
        bencher.iter(|| hmac::verify(&key, black_box(&message), tag.as_ref()).unwrap());
    });
}

/// A record as a reader that builds values takes it. None of them applies the rules of the contract, which the gateway's does.
#[derive(serde::Deserialize)]
#[allow(dead_code, non_snake_case)] // it is read to be read
struct Plain<'a> {
    pcs_id: &'a str,
    schema: &'a str,
    version: &'a str,
    shard_id: &'a str,
    epoch: u64,
    attempt: u64,
    sent_at: &'a str,
    seed: u64,
    scales: Vec<u32>,
    N_j: BTreeMap<&'a str, u64>,
    coh_star: f64,
    v_star: Vec<f64>,
    D_hat: f64,
    r: f64,
    regime: &'a str,
    budget: f64,
    merkle_root: &'a str,
    sig: &'a str,
}

fn readers(criterion: &mut Criterion) {
    let bodies = || Cycle::of(bodies(0..SAMPLES));
    criterion.bench_function("json/flk", |bencher| {
        let (mut bodies, mut parser) = (bodies(), Parser::new());
        bencher.iter(|| black_box(parser.parse(bodies.take())).is_ok());
    });
    // It writes into its input, so each body is copied, as the gateway's reader does.
    criterion.bench_function("json/simd-json-tape", |bencher| {
        let (mut bodies, mut copy, mut nodes) = (bodies(), Vec::new(), Vec::new());
        let mut buffers = simd_json::Buffers::default();
        bencher.iter(|| {
            copy.clear();
            copy.extend_from_slice(bodies.take());
            let mut tape = simd_json::Tape(std::mem::take(&mut nodes)).reset();
            simd_json::fill_tape(&mut copy, &mut buffers, &mut tape).unwrap();
            let count = black_box(&tape.0).len();
            nodes = tape.reset().0;
            count
        });
    });
    criterion.bench_function("json/sonic-rs", |bencher| {
        let mut bodies = bodies();
        bencher.iter(|| {
            let record: Plain<'_> = sonic_rs::from_slice(bodies.take()).unwrap();
            black_box(record.epoch)
        });
    });
    criterion.bench_function("json/serde_json", |bencher| {
        let mut bodies = bodies();
        bencher.iter(|| {
            let record: Plain<'_> = serde_json::from_slice(bodies.take()).unwrap();
            black_box(record.epoch)
        });
    });
}
