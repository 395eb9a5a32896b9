//! How long the device takes to read 4 KiB at a random place of the slices, past the page cache: the least that a duplicate
//! waits whose slice is not in memory. It changes nothing.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::directory::scattered;

const READ_BYTES: usize = 4096;

/// Latencies of reads one after the other, in µs.
#[derive(Default)]
pub(super) struct DeviceReads {
    latencies_us: Vec<f64>,
    /// The file system takes no direct reads, so these came from the page cache.
    pub(super) buffered: bool,
}

impl DeviceReads {
    /// Reads for so long, once at least where there is a block.
    pub(super) fn read(&mut self, files: &[PathBuf], duration: Duration) -> io::Result<()> {
        let (files, lengths) = self.open(files)?;
        let total: u64 = lengths.iter().sum();
        // Direct reads need aligned memory: take the aligned part of a larger buffer.
        let mut memory = vec![0_u8; 2 * READ_BYTES];
        let from = memory.as_ptr().align_offset(READ_BYTES);
        let block = &mut memory[from..from + READ_BYTES];
        let start = Instant::now();
        let mut number = self.latencies_us.len() as u64;
        if total == 0 {
            return Ok(());
        }
        loop {
            let mut place = scattered(2 * number).high % total;
            number += 1;
            let mut file = 0;
            while place >= lengths[file] {
                place -= lengths[file];
                file += 1;
            }
            let before = Instant::now();
            files[file].read_exact_at(block, place * READ_BYTES as u64)?;
            self.latencies_us.push(before.elapsed().as_secs_f64() * 1e6);
            if start.elapsed() >= duration {
                return Ok(());
            }
        }
    }

    /// The files and their lengths in blocks.
    fn open(&mut self, paths: &[PathBuf]) -> io::Result<(Vec<File>, Vec<u64>)> {
        let (mut files, mut lengths) = (Vec::new(), Vec::new());
        for path in paths {
            let direct = OpenOptions::new()
                .read(true)
                .custom_flags(OFlags::DIRECT.bits().cast_signed())
                .open(path);
            let file = match direct {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.buffered = true;
                    File::open(path)?
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue, // merged
                other => other?,
            };
            lengths.push(file.metadata()?.len() / READ_BYTES as u64);
            files.push(file);
        }
        Ok((files, lengths))
    }

    /// How long this share of the reads took at most.
    pub(super) fn at_rank_us(&self, rank: f64) -> f64 {
        crate::tenants::verdict::at_rank(self.latencies_us.iter().copied(), rank)
    }

    pub(super) fn count(&self) -> usize {
        self.latencies_us.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_read_is_of_a_whole_block_of_one_of_the_files() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [1, 3].map(|blocks| {
            let path = directory.path().join(blocks.to_string());
            std::fs::write(&path, vec![7; blocks * READ_BYTES]).unwrap();
            path
        });
        let mut reads = DeviceReads::default();
        for count in 1..=20 {
            reads.read(&paths, Duration::ZERO).unwrap();
            assert_eq!(reads.count(), count);
        }
        reads.read(&[], Duration::from_secs(600)).unwrap();
        assert_eq!(reads.count(), 20);
        assert!(reads.at_rank_us(0.5) <= reads.at_rank_us(0.99));
    }
}
