//! Starts of a gateway on sealed ids that are not in the page cache, as after a loss of power: time until it is ready, and
//! memory then. One more is behind a `kill -9`, with as much log behind the slices as comes before a seal.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flk_bench_load::cpu::Affinity;

use super::directory::{drop_from_cache, slices_of, unsealed_bytes};
use super::{fresh, page_of, proc_number};
use crate::options::Options;
use crate::scrape::sample;
use crate::server::{Server, WalDir};
use crate::tenants::verdict::at_rank;
use crate::{progress, start};

/// Large enough that no table fills up while it is measured.
pub(super) const TABLE: &str = "[dedup]\nmemory_max = \"1GiB\"\n";
/// A seal is due behind 1 GiB of closed segments: that much is behind slices at the most.
const LOG_BYTES_WANTED: u64 = 800 << 20;
/// For each round of other figures: seconds of new ids that may go into it.
const FILLS_PER_ROUND: usize = 3;

/// What a start took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) ready: Duration,
    pub(super) resident_bytes: f64,
    pub(super) peak_bytes: f64,
    pub(super) slices_memory_bytes: f64,
    /// Bytes that read calls returned.
    pub(super) read_bytes: f64,
    /// Log that it read, as no slice covers it.
    pub(super) log_bytes: u64,
}

/// What is started.
pub(super) struct Starter<'a> {
    pub(super) options: &'a Options,
    pub(super) binary: &'a Path,
    pub(super) wal_dir: &'a WalDir,
}

impl Starter<'_> {
    /// Starts it with all of its files out of the page cache.
    pub(super) fn start(&self) -> io::Result<(Server, Start)> {
        let directory = self.wal_dir.path();
        drop_from_cache(&files_of(directory)?)?;
        let log_bytes = match slices_of(directory) {
            Ok(_) => unsealed_bytes(directory)?,
            Err(_) => 0, // nothing has begun here
        };
        let work_dir = &self.options.work_dir;
        let server = start(|| Server::on(self.wal_dir, self.binary, work_dir, TABLE))?;
        let started = Start {
            ready: server.start,
            resident_bytes: proc_number(&server, "status", "VmRSS:") * 1024.0,
            peak_bytes: proc_number(&server, "status", "VmHWM:") * 1024.0,
            slices_memory_bytes: sample(&page_of(&server), "flk_slice_memory_bytes")
                .unwrap_or(f64::NAN),
            read_bytes: proc_number(&server, "io", "rchar:"),
            log_bytes,
        };
        Ok((server, started))
    }

    /// Starts it so many times; the last one runs on.
    pub(super) fn rounds(&self, count: usize) -> io::Result<(Server, Vec<Start>)> {
        let mut starts = Vec::new();
        loop {
            progress(&format!("start {} of {count}", starts.len() + 1));
            let (server, started) = self.start()?;
            starts.push(started);
            if starts.len() >= count {
                return Ok((server, starts));
            }
            server.stop();
        }
    }

    /// Sends new ids until there is as much log as comes before a seal, kills the gateway and starts it again.
    pub(super) fn behind_a_kill(
        &self,
        server: Server,
        allowed: &Affinity,
        records_used: &mut u64,
    ) -> io::Result<(Server, Start)> {
        progress("a start behind kill -9, with log behind the slices");
        for _ in 0..FILLS_PER_ROUND * self.options.sealing_rounds {
            if unsealed_bytes(self.wal_dir.path())? >= LOG_BYTES_WANTED {
                break;
            }
            fresh::run(&server, 1, allowed, records_used)?;
        }
        server.running.kill();
        self.start()
    }
}

/// All files of the directory.
fn files_of(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// The median of a figure of some starts.
pub(super) fn median(starts: &[Start], figure: impl Fn(&Start) -> f64) -> f64 {
    at_rank(starts.iter().map(figure), 0.5)
}
