//! What a look-up costs that finds nothing, and what slices take in memory: the product's own views of all slices are loaded
//! into this process and asked for keys that no slice has. It reads filters and indexes, and no block of entries.

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use flk_dataplane::dedup::PARTITIONS;
use flk_dataplane::dedup::filter::Probe;
use flk_dataplane::dedup::slice::{Candidate, SliceReader, SliceView};
use flk_dataplane::io::FileId;

use super::directory::scattered;

const BLOCK_BYTES: u64 = 4096;
/// Look-ups of one measurement.
const LOOK_UPS_COUNT: u64 = 1_000_000;
/// No id of a directory has such a number.
const FRESH_FROM: u64 = 1 << 60;

/// What look-ups of fresh ids in all slices came to.
pub(super) struct LookUps {
    /// Time of one, in all slices together.
    pub(super) look_up_ns: f64,
    /// Blocks that it would read in vain.
    pub(super) false_reads: f64,
    /// Filters and indexes: what grows with the number of ids.
    pub(super) filters_bytes: u64,
}

/// Asks all slices for ids that none has, the oldest first, as a shard does.
pub(super) fn measure(slices: &[PathBuf]) -> io::Result<LookUps> {
    let mut filters_bytes = 0;
    let mut views = Vec::new();
    for path in slices {
        let (view, bytes) = load(path)?;
        filters_bytes += bytes;
        views.push(view);
    }
    let passed = |from: u64| {
        let numbers = from..from + LOOK_UPS_COUNT;
        let mut passed = 0_u64;
        for number in numbers {
            let probe = Probe::of(scattered(2 * number));
            for view in &views {
                passed += u64::from(matches!(view.candidate_of(&probe), Candidate::Block(_)));
            }
        }
        passed
    };
    black_box(passed(FRESH_FROM)); // the first one finds nothing in any cache
    let start = Instant::now();
    let passed = black_box(passed(FRESH_FROM + LOOK_UPS_COUNT));
    let elapsed = start.elapsed();
    Ok(LookUps {
        look_up_ns: elapsed.as_secs_f64() * 1e9 / LOOK_UPS_COUNT as f64,
        false_reads: passed as f64 / LOOK_UPS_COUNT as f64,
        filters_bytes,
    })
}

/// The view of all partitions of a slice, and the bytes of its filters and index.
fn load(path: &Path) -> io::Result<(SliceView, u64)> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let read = |range: std::ops::Range<u64>| {
        let mut part = vec![0; (range.end - range.start) as usize];
        file.read_exact_at(&mut part, range.start).map(|()| part)
    };
    let wrong = io::Error::other;
    let last = bytes.saturating_sub(BLOCK_BYTES);
    let reader = SliceReader::open(&read(0..BLOCK_BYTES)?, &read(last..bytes)?, bytes);
    let reader = reader.map_err(wrong)?;
    let [directory, params, _] = reader.small_sections().map_err(wrong)?;
    let directory = reader.directory(&read(directory)?).map_err(wrong)?;
    let params = reader.params(&read(params)?).map_err(wrong)?;
    let parts = reader
        .view_parts(&directory, 0..PARTITIONS)
        .map_err(wrong)?;
    let (index, filters) = (read(parts.index)?, read(parts.filters)?);
    let view = reader.view(
        FileId(0),
        &directory,
        0..PARTITIONS,
        &index,
        &filters,
        vec![0; params.len()],
    );
    let kept_bytes = (index.len() + filters.len()) as u64;
    Ok((view.map_err(wrong)?, kept_bytes))
}
