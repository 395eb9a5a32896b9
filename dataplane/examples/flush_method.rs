//! Measures the ways of making a log write durable: zero-filled blocks are overwritten in order, one write in flight.
//! Rounds of all methods alternate, and the table shows the median round with the slowest and the fastest, so that noise
//! is seen.
//!
//! `cargo run --release -p flk-dataplane --example flush_method -- --directory DIR [--seconds-per-round S] [--rounds N]`

use flk_dataplane::wal::buffer::Blocks;
use io_uring::{IoUring, opcode, squeue, types};
use rustix::fs::{Mode, OFlags};
use rustix::io::ReadWriteFlags;
use std::error::Error;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const FILE_BYTES: u64 = 64 << 20;

/// Whether the page cache is bypassed.
#[derive(Clone, Copy, PartialEq)]
enum Cache {
    Direct,
    Buffered,
}

/// What makes the write durable.
#[derive(Clone, Copy, PartialEq)]
enum Flush {
    /// The file is opened with O_DSYNC.
    Dsync,
    /// The same, written by io_uring.
    DsyncUring,
    /// The write itself says so.
    WriteDsync,
    /// A call behind the write.
    Fdatasync,
    /// The same, with all metadata.
    Fsync,
    /// One submission to io_uring: the write, and behind it the sync.
    LinkedUring,
}

#[derive(Clone, Copy)]
struct Method {
    cache: Cache,
    flush: Flush,
    name: &'static str,
}

const METHODS: [Method; 9] = [
    Method::of(Cache::Direct, Flush::Dsync, "O_DIRECT + O_DSYNC"),
    Method::of(
        Cache::Direct,
        Flush::DsyncUring,
        "O_DIRECT + O_DSYNC by io_uring",
    ),
    Method::of(
        Cache::Direct,
        Flush::WriteDsync,
        "O_DIRECT, pwritev2 with RWF_DSYNC",
    ),
    Method::of(Cache::Direct, Flush::Fdatasync, "O_DIRECT, fdatasync"),
    Method::of(Cache::Direct, Flush::Fsync, "O_DIRECT, fsync"),
    Method::of(
        Cache::Direct,
        Flush::LinkedUring,
        "O_DIRECT, fdatasync linked by io_uring",
    ),
    Method::of(Cache::Buffered, Flush::Dsync, "buffered, O_DSYNC"),
    Method::of(Cache::Buffered, Flush::Fdatasync, "buffered, fdatasync"),
    Method::of(
        Cache::Buffered,
        Flush::LinkedUring,
        "buffered, fdatasync linked by io_uring",
    ),
];

impl Method {
    const fn of(cache: Cache, flush: Flush, name: &'static str) -> Method {
        Method { cache, flush, name }
    }
}

struct Round {
    per_s: f64,
    p50_us: f64,
    p99_us: f64,
}

fn open(path: &PathBuf, method: Method) -> Result<OwnedFd, Box<dyn Error>> {
    let mut flags = OFlags::RDWR | OFlags::CLOEXEC;
    flags.set(OFlags::DIRECT, method.cache == Cache::Direct);
    let dsync = matches!(method.flush, Flush::Dsync | Flush::DsyncUring);
    flags.set(OFlags::DSYNC, dsync);
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Makes the file, zero-filled, synced.
fn prepare(path: &PathBuf) -> Result<(), Box<dyn Error>> {
    std::fs::write(path, vec![0; FILE_BYTES as usize])?;
    std::fs::File::open(path)?.sync_all()?;
    Ok(())
}

/// Writes, and syncs behind it where that is asked for, in one submission.
#[allow(unsafe_code)]
fn write_by_uring(
    ring: &mut IoUring,
    file: &OwnedFd,
    blocks: &Blocks,
    offset: u64,
    syncs: bool,
) -> Result<usize, Box<dyn Error>> {
    let file = types::Fd(file.as_raw_fd());
    let bytes = blocks.bytes();
    let mut write = opcode::Write::new(file, bytes.as_ptr(), bytes.len() as u32)
        .offset(offset)
        .build();
    let datasync = types::FsyncFlags::DATASYNC;
    let sync = opcode::Fsync::new(file).flags(datasync).build();
    if syncs {
        write = write.flags(squeue::Flags::IO_LINK);
        // SAFETY: the blocks outlive the operation, which is waited for right here; a sync points to no memory.
        unsafe { ring.submission().push_multiple(&[write, sync])? };
    } else {
        // SAFETY: as above.
        unsafe { ring.submission().push(&write)? };
    }
    ring.submit_and_wait(1 + usize::from(syncs))?;
    let mut written = 0;
    for done in ring.completion() {
        let bytes = usize::try_from(done.result());
        written += bytes.map_err(|_| format!("write or sync: {}", done.result()))?;
    }
    Ok(written)
}

/// One durable write; how many bytes it took.
fn write(
    flush: Flush,
    ring: &mut IoUring,
    file: &OwnedFd,
    blocks: &Blocks,
    offset: u64,
) -> Result<usize, Box<dyn Error>> {
    let bytes = blocks.bytes();
    let written = match flush {
        Flush::DsyncUring => write_by_uring(ring, file, blocks, offset, false)?,
        Flush::LinkedUring => write_by_uring(ring, file, blocks, offset, true)?,
        Flush::WriteDsync => {
            let bytes = [std::io::IoSlice::new(bytes)];
            rustix::io::pwritev2(file, &bytes, offset, ReadWriteFlags::DSYNC)?
        }
        Flush::Dsync | Flush::Fdatasync | Flush::Fsync => rustix::io::pwrite(file, bytes, offset)?,
    };
    match flush {
        Flush::Fdatasync => rustix::fs::fdatasync(file)?,
        Flush::Fsync => rustix::fs::fsync(file)?,
        Flush::Dsync | Flush::DsyncUring | Flush::WriteDsync | Flush::LinkedUring => {}
    }
    Ok(written)
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
        let written = write(method.flush, &mut ring, &file, &blocks, offset)?;
        assert_eq!(written, bytes, "short write");
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
            for (method, results) in METHODS.iter().zip(&mut results) {
                results.push(round(*method, &path, bytes, time)?);
            }
        }
        for (Method { name, .. }, mut results) in METHODS.iter().zip(results) {
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
