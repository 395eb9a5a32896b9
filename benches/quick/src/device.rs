//! How long the device takes to make one block of the log durable: the least that a lone record has to wait.
//! It overwrites a zero-filled file of its own with direct, synchronous writes, and removes it afterwards.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

const WRITE_BYTES: usize = 64 * 1024;
const FILE_BYTES: u64 = 64 * 1024 * 1024;
const ALIGNMENT_BYTES: usize = 4096;

/// Latencies of one kind of durable write.
pub(crate) struct Device {
    /// How the writes were made, and so what the figures mean.
    pub(crate) method: String,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) per_second: f64,
}

/// Measures for this long; buffered writes with a sync each where the file system refuses direct ones.
pub(crate) fn measure(directory: &Path, duration: Duration) -> io::Result<Device> {
    measure_blocks(directory, duration, WRITE_BYTES)
}

/// The same with writes of this size, a multiple of 4 KiB.
pub(crate) fn measure_blocks(
    directory: &Path,
    duration: Duration,
    write_bytes: usize,
) -> io::Result<Device> {
    let path = directory.join(format!("flush-{}", std::process::id()));
    zero_filled(&path)?;
    let result = match open(&path, OFlags::DIRECT | OFlags::DSYNC) {
        Ok(file) => overwrite(&file, duration, write_bytes, "O_DIRECT + O_DSYNC"),
        Err(_) => {
            let file = open(&path, OFlags::DSYNC)?;
            overwrite(&file, duration, write_bytes, "buffered + O_DSYNC")
        }
    };
    std::fs::remove_file(&path)?;
    result
}

fn zero_filled(path: &Path) -> io::Result<()> {
    let file = File::create(path)?;
    let zeros = vec![0; 1024 * 1024];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

fn overwrite(
    file: &File,
    duration: Duration,
    write_bytes: usize,
    flags: &str,
) -> io::Result<Device> {
    // Direct writes need aligned memory: take the aligned part of a larger buffer.
    let memory = vec![0x5a_u8; write_bytes + ALIGNMENT_BYTES];
    let from = memory.as_ptr().align_offset(ALIGNMENT_BYTES);
    let block = &memory[from..from + write_bytes];
    let mut latencies_us = Vec::new();
    let start = Instant::now();
    for at in (0..FILE_BYTES).step_by(write_bytes).cycle() {
        let before = Instant::now();
        file.write_all_at(block, at)?;
        latencies_us.push(before.elapsed().as_secs_f64() * 1e6);
        if start.elapsed() >= duration {
            break;
        }
    }
    let per_second = latencies_us.len() as f64 / start.elapsed().as_secs_f64();
    latencies_us.sort_by(f64::total_cmp);
    let rank = |share: f64| latencies_us[((latencies_us.len() - 1) as f64 * share) as usize];
    Ok(Device {
        method: format!("{} KiB overwrite, {flags}", write_bytes / 1024),
        p50_us: rank(0.5),
        p99_us: rank(0.99),
        p999_us: rank(0.999),
        per_second,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_a_flush_time_and_the_file_is_gone_afterwards() {
        let directory =
            std::env::temp_dir().join(format!("flk-bench-quick-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let device = measure(&directory, Duration::from_millis(20)).unwrap();
        assert!(device.p50_us > 0.0 && device.p50_us <= device.p99_us);
        std::fs::remove_dir(&directory).unwrap();
    }
}
