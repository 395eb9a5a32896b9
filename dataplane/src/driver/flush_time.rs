//! Measures how long the device takes to make one block durable, with the method of the log. A figure for the start-up
//! lines and for `flk doctor`; nothing depends on it.

use super::clock::now;
use super::probe::WriteMethod;
use crate::io::SyncMode;
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use rustix::fs::{AtFlags, Mode, OFlags};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Number of writes that a start measures.
const WRITES_COUNT: usize = 15;

/// Median time of a durable write of one block. The file used for it is removed.
///
/// # Errors
/// The file cannot be made or written.
pub fn flush_time(directory: BorrowedFd<'_>, method: &WriteMethod) -> std::io::Result<Duration> {
    let times = flush_times(directory, method, WRITES_COUNT)?;
    Ok(times[WRITES_COUNT / 2])
}

/// Times of so many durable writes of one block, ascending; one more that comes before them is not counted.
///
/// # Errors
/// As [`flush_time`].
pub fn flush_times(
    directory: BorrowedFd<'_>,
    method: &WriteMethod,
    writes_count: usize,
) -> std::io::Result<Vec<Duration>> {
    let name = format!("probe-{}.tmp", std::process::id());
    let _ = rustix::fs::unlinkat(directory, &name, AtFlags::empty());
    let mut flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    flags.set(OFlags::DIRECT, method.direct);
    flags.set(OFlags::DSYNC, method.sync == SyncMode::Dsync);
    let file = rustix::fs::openat(directory, &name, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::unlinkat(directory, &name, AtFlags::empty())?;
    let mut zeroes = Blocks::default();
    zeroes.reset((writes_count + 1) * BLOCK_BYTES);
    rustix::io::pwrite(&file, zeroes.bytes(), 0)?;
    rustix::fs::fsync(&file)?;
    let mut times = Vec::with_capacity(writes_count + 1);
    for block in 0..=writes_count {
        let begin_us = now().mono_us;
        rustix::io::pwrite(
            &file,
            &zeroes.bytes()[..BLOCK_BYTES],
            (block * BLOCK_BYTES) as u64,
        )?;
        if method.sync == SyncMode::WriteThenSync {
            rustix::fs::fdatasync(&file)?;
        }
        times.push(Duration::from_micros(now().mono_us - begin_us));
    }
    times.remove(0);
    times.sort();
    Ok(times)
}
