//! Measures the ways of making a log write durable: zero-filled blocks are overwritten in order, one write in flight.
//! Rounds of all methods alternate, and the table shows the median round with the slowest and the fastest, so that noise
//! is seen.
//!
//! `cargo run --release -p flk-dataplane --example flush_method -- --directory DIR [--seconds-per-round S] [--rounds N]`

use flk_dataplane::wal::buffer::Blocks;
use io_uring::{IoUring, opcode, types};
use rustix::fs::{Mode, OFlags};
use std::error::Error;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const FILE_BYTES: u64 = 64 << 20;

#[derive(Clone, Copy, PartialEq)]
enum Method {
    DirectDsync,
    DirectDsyncUring,
    DirectThenSync,
    BufferedThenSync,
}

const METHODS: [(Method, &str); 4] = [
    (Method::DirectDsync, "O_DIRECT + O_DSYNC"),
    (Method::DirectDsyncUring, "O_DIRECT + O_DSYNC by io_uring"),
    (Method::DirectThenSync, "O_DIRECT, fdatasync"),
    (Method::BufferedThenSync, "buffered, fdatasync"),
];

struct Round {
    per_s: f64,
    p50_us: f64,
    p99_us: f64,
}

fn open(path: &PathBuf, method: Method) -> Result<OwnedFd, Box<dyn Error>> {
    let mut flags = OFlags::RDWR | OFlags::CLOEXEC;
    flags.set(OFlags::DIRECT, method != Method::BufferedThenSync);
    flags.set(
        OFlags::DSYNC,
        matches!(method, Method::DirectDsync | Method::DirectDsyncUring),
    );
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Makes the file, zero-filled, synced.
fn prepare(path: &PathBuf) -> Result<(), Box<dyn Error>> {
    std::fs::write(path, vec![0; FILE_BYTES as usize])?;
    std::fs::File::open(path)?.sync_all()?;
    Ok(())
}

#[allow(unsafe_code)]
fn write_by_uring(
    ring: &mut IoUring,
    file: &OwnedFd,
    blocks: &Blocks,
    offset: u64,
) -> Result<usize, Box<dyn Error>> {
    let bytes = blocks.bytes();
    let entry = opcode::Write::new(
        types::Fd(file.as_raw_fd()),
        bytes.as_ptr(),
        bytes.len() as u32,
    )
    .offset(offset)
    .build();
    // SAFETY: the blocks outlive the operation, which is waited for right here.
    unsafe { ring.submission().push(&entry)? };
    ring.submit_and_wait(1)?;
    let done = ring.completion().next().ok_or("no completion")?;
    Ok(usize::try_from(done.result()).map_err(|_| format!("write: {}", done.result()))?)
}

fn round(
    method: Method,
    path: &PathBuf,
    bytes: usize,
    time: Duration,
) -> Result<Round, Box<dyn Error>> {
    let file = open(path, method)?;
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(8)?;
    let mut blocks = Blocks::default();
    blocks.reset(bytes);
    blocks.bytes_mut().fill(7);
    let mut latencies_us = Vec::new();
    let mut offset = 0;
    let started = Instant::now();
    while started.elapsed() < time {
        let before = Instant::now();
        let written = match method {
            Method::DirectDsyncUring => write_by_uring(&mut ring, &file, &blocks, offset)?,
            _ => rustix::io::pwrite(&file, blocks.bytes(), offset)?,
        };
        assert_eq!(written, bytes, "short write");
        if matches!(method, Method::DirectThenSync | Method::BufferedThenSync) {
            rustix::fs::fdatasync(&file)?;
        }
        latencies_us.push(before.elapsed().as_nanos() as f64 / 1e3);
        offset = (offset + bytes as u64) % FILE_BYTES;
    }
    let per_s = latencies_us.len() as f64 / started.elapsed().as_secs_f64();
    latencies_us.sort_by(f64::total_cmp);
    let at = |share: f64| latencies_us[((latencies_us.len() - 1) as f64 * share) as usize];
    Ok(Round {
        per_s,
        p50_us: at(0.5),
        p99_us: at(0.99),
    })
}

fn option(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(option("--directory").ok_or("--directory DIR is needed")?);
    let time = option("--seconds-per-round").map_or(Ok(1.0), |text| text.parse())?;
    let time = Duration::from_secs_f64(time);
    let rounds: usize = option("--rounds").map_or(Ok(5), |text| text.parse())?;
    let path = directory.join("flush-method.tmp");
    prepare(&path)?;
    println!(
        "| KiB | method | durable writes/s (slowest–fastest round) | p50 µs | p99 µs | MB/s |"
    );
    println!("|---|---|---|---|---|---|");
    for kib in [4, 64, 256] {
        let bytes = kib << 10;
        let mut results: Vec<Vec<Round>> = METHODS.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds.max(1) {
            for ((method, _), results) in METHODS.iter().zip(&mut results) {
                results.push(round(*method, &path, bytes, time)?);
            }
        }
        for ((_, name), mut results) in METHODS.iter().zip(results) {
            results.sort_by(|a, b| a.per_s.total_cmp(&b.per_s));
            let (low, high) = (results[0].per_s, results[results.len() - 1].per_s);
            let median = &results[results.len() / 2];
            println!(
                "| {kib} | {name} | {:.0} ({low:.0}–{high:.0}) | {:.0} | {:.0} | {:.0} |",
                median.per_s,
                median.p50_us,
                median.p99_us,
                median.per_s * bytes as f64 / 1e6
            );
        }
    }
    std::fs::remove_file(&path)?;
    Ok(())
}
