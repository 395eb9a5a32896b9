//! How often an id is written: a gateway with a table so small that it seals all the time takes new ids at its full rate, and
//! every slice file that it finishes is counted. The log is counted by its metric. What it does in 14 days is computed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flk_bench_load::cpu::{self, Affinity};
use flk_bench_load::{Load, Measured, Stock};
use flk_dataplane::dedup::entry::ENTRY_BYTES;
use flk_dataplane::dedup::slice::SliceReader;
use flk_dataplane::wal::files::NumberedFile;

use super::RECORDS_PER_SECOND_MAX;
use super::directory::manifest_of;
use super::shape::{self, AT_ONCE};
use crate::options::Options;
use crate::scrape::sample;
use crate::server::{KEY, Server, WalDir};
use crate::{LOAD_CPU, progress, start};

const CONNECTIONS_COUNT: usize = 64;
/// It goes on as long as so many rounds of other figures: merges begin behind twenty seals, of which there is one a second.
pub(super) const ROUNDS: u64 = 12;
/// Sealed from a quarter on: 87,000 ids, about what comes in a second. Without optimisation less comes.
const TABLE: &str = if cfg!(debug_assertions) {
    "[dedup]\nmemory_max = \"4MiB\"\n"
} else {
    "[dedup]\nmemory_max = \"32MiB\"\n"
};
/// A merge takes longer than this, and so lives what it merges: no finished file is missed.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Where no slice was finished for so long, all merges are over.
const REST: Duration = Duration::from_secs(3);
const REST_MAX: Duration = Duration::from_secs(60);
const BLOCK_BYTES: u64 = 4096;

/// A slice file that was finished.
#[derive(Clone, Copy)]
struct Finished {
    entries_count: u64,
    bytes: u64,
}

/// What was written for how many ids.
pub(super) struct Amplification {
    pub(super) measured: Measured,
    /// Ids that are in slices at the end.
    pub(super) sealed_count: u64,
    /// Entries of all slice files that were ever finished.
    pub(super) entries_written: u64,
    pub(super) slices_bytes_written: u64,
    pub(super) seals_count: usize,
    pub(super) merges_count: usize,
    pub(super) log_bytes_written: f64,
}

/// Sends new ids for so many rounds' time.
pub(super) fn measure(
    options: &Options,
    allowed: &Affinity,
    records_used: &mut u64,
) -> io::Result<Amplification> {
    let seconds = ROUNDS * options.gateway_s;
    progress(&format!("what seals and merges write, {seconds} s"));
    let binary = options.binary("flk-dataplane")?;
    allowed.apply()?;
    let count = RECORDS_PER_SECOND_MAX * seconds as usize;
    let mut stock = Stock::sign(KEY.as_bytes(), *records_used, count);
    *records_used += count as u64;
    let wal_dir = WalDir::make(&options.work_dir, "amplification")?;
    let server = start(|| Server::on(&wal_dir, &binary, &options.work_dir, TABLE))?;
    cpu::pin_to(LOAD_CPU)?;
    let mut load = Load::connect(server.running.address(), CONNECTIONS_COUNT)?;
    let is_over = AtomicBool::new(false);
    let (measured, finished) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch(wal_dir.path(), &is_over));
        let measured = load.run(&mut stock, Duration::from_secs(seconds));
        is_over.store(true, Ordering::Release);
        let finished = watch
            .join()
            .map_err(|_| io::Error::other("the watch died"))?;
        Ok::<_, io::Error>((measured?, finished?))
    })?;
    let page = server.running.try_get("/metrics");
    let page = page.map(|it| it.text().to_owned()).unwrap_or_default();
    server.stop();
    let manifest = manifest_of(wal_dir.path())?;
    let sealed_count = manifest.slices.iter().map(|it| it.entries).sum();
    // Each merge takes one slice away.
    let merges_count = finished.len().saturating_sub(manifest.slices.len()) / 2;
    Ok(Amplification {
        measured,
        sealed_count,
        entries_written: finished.values().map(|it| it.entries_count).sum(),
        slices_bytes_written: finished.values().map(|it| it.bytes).sum(),
        seals_count: finished.len() - merges_count,
        merges_count,
        log_bytes_written: sample(&page, "flk_wal_bytes_written").unwrap_or(f64::NAN),
    })
}

/// All slice files that are finished in this directory until the load is over and the last merge behind it.
fn watch(directory: &Path, is_over: &AtomicBool) -> io::Result<BTreeMap<u64, Finished>> {
    let mut finished = BTreeMap::new();
    let mut newest = Instant::now();
    let mut over_since = None;
    loop {
        if add_finished(directory, &mut finished)? {
            newest = Instant::now();
        }
        if is_over.load(Ordering::Acquire) {
            let since: Instant = *over_since.get_or_insert_with(Instant::now);
            if since.max(newest).elapsed() > REST || since.elapsed() > REST_MAX {
                return Ok(finished);
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Adds what was finished since the last look; whether there was anything.
fn add_finished(directory: &Path, finished: &mut BTreeMap<u64, Finished>) -> io::Result<bool> {
    let before = finished.len();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(NumberedFile::Slice(number)) = name.and_then(NumberedFile::parse) else {
            continue;
        };
        if !finished.contains_key(&number)
            && let Some(slice) = look(&path)
        {
            finished.insert(number, slice);
        }
    }
    Ok(finished.len() > before)
}

/// A slice whose last block is there and right; `None`: it is still being written, or gone.
fn look(path: &Path) -> Option<Finished> {
    let file = File::open(path).ok()?;
    let bytes = file.metadata().ok()?.len();
    let (mut first, mut last) = ([0; BLOCK_BYTES as usize], [0; BLOCK_BYTES as usize]);
    file.read_exact_at(&mut first, 0).ok()?;
    file.read_exact_at(&mut last, bytes.checked_sub(BLOCK_BYTES)?)
        .ok()?;
    let reader = SliceReader::open(&first, &last, bytes).ok()?;
    Some(Finished {
        entries_count: reader.trailer().entries_count,
        bytes,
    })
}

impl Amplification {
    /// How often a sealed id was written into a slice.
    pub(super) fn writes_per_id(&self) -> f64 {
        self.entries_written as f64 / self.sealed_count as f64
    }

    /// How often it should be, for so many seals of one size.
    pub(super) fn writes_per_id_computed(&self) -> f64 {
        let ids = self.sealed_count / (self.seals_count as u64).max(1);
        shape::after(self.seals_count as u32, AT_ONCE.with_ids(ids)).writes_per_id
    }

    /// Bytes of slices that were written for a byte of entries.
    pub(super) fn bytes_per_entry_byte(&self) -> f64 {
        self.slices_bytes_written as f64 / (self.sealed_count * ENTRY_BYTES as u64) as f64
    }

    pub(super) fn log_bytes_per_id(&self) -> f64 {
        self.log_bytes_written / self.measured.answers_count as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::directory::tests::slice_of;

    #[test]
    fn a_slice_counts_once_when_its_last_block_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let at = |number| {
            directory
                .path()
                .join(NumberedFile::Slice(number).to_string())
        };
        let [first, second] = [(3, 100), (4, 7)].map(|(number, count)| {
            let bytes = slice_of(directory.path(), number, count);
            (at(number), bytes)
        });
        let whole = std::fs::read(&second.0).unwrap();
        std::fs::write(&second.0, &whole[..whole.len() / 2]).unwrap();
        let mut finished = BTreeMap::new();
        assert!(add_finished(directory.path(), &mut finished).unwrap());
        assert!(!add_finished(directory.path(), &mut finished).unwrap());
        std::fs::remove_file(&first.0).unwrap();
        std::fs::write(&second.0, &whole).unwrap();
        assert!(add_finished(directory.path(), &mut finished).unwrap());
        let counts = finished.values().map(|it| (it.entries_count, it.bytes));
        assert!(counts.eq([(100, first.1), (7, second.1)]));
    }
}
