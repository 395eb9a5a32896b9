//! Makes a WAL_DIR with so many sealed ids: a gateway begins it and ends, then slices are added by the product's own writers
//! and the manifest names them. Nothing is sent over HTTP; of a sample of the ids there are records that can be sent as
//! duplicates.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flk_bench_load::Identity;
use flk_contract::params::ParamsVersion;
use flk_dataplane::dedup::key::KeyHash;
use flk_dataplane::dedup::slice::{SliceMeta, SliceWriter};
use flk_dataplane::dedup::{Decided, Key};
use flk_dataplane::wal::files::{MANIFEST, NumberedFile, SECRET};
use flk_dataplane::wal::manifest::{Manifest, SegmentState, SliceEntry};
use flk_dataplane::wal::secret::Secret;

use super::shape::{HOURLY, Shape, Span};
use crate::progress;

/// The default of DEDUP_TTL.
const TTL_S: u32 = HOURLY.ttl * 3_600;
/// The oldest ids live for so long yet: none expires while it is measured.
const SPARE_S: u32 = 6 * 3_600;
const PIECE_BYTES: usize = 4 << 20;
const PARAMS: &str = "1";
/// The numbers of a stored outcome; nothing is computed from them.
const NUMBERS: [f64; 4] = [1.409_123_457, 1.409_123_457, 0.422_543_205, 0.422_543_205];
/// `sticky`.
const REGIME: u8 = 1;

/// What to make.
pub(super) struct Plan<'a> {
    /// Of a gateway that has begun it and stopped.
    pub(super) at: &'a Path,
    pub(super) keys_count: u64,
    /// So many of them are those of the records 0, 1, 2 ... of a stock, spread over all slices in any stretch.
    pub(super) samples_count: u64,
    /// How the ids are spread over slices.
    pub(super) shape: &'a Shape,
}

/// Adds the slices, and names them in the manifest last. Returns their bytes.
pub(super) fn add_slices(plan: &Plan<'_>) -> io::Result<u64> {
    let mut manifest = manifest_of(plan.at)?;
    let secret = std::fs::read(plan.at.join(SECRET))?;
    let secret = Secret::decode(&secret).map_err(io::Error::other)?;
    let ids = Ids::new(plan, manifest.clock.expiry_s, KeyHash::new(secret.key));
    let mut bytes = 0;
    for (at, span) in plan.shape.slices.iter().enumerate() {
        let numbers = plan.numbers(*span);
        progress(&format!(
            "slice {} of {}, {} ids",
            at + 1,
            plan.shape.slices.len(),
            numbers.end - numbers.start
        ));
        let entry = write_slice(plan.at, &mut manifest, &ids, numbers)?;
        bytes += entry.bytes;
        manifest.slices.push(entry);
    }
    std::fs::write(plan.at.join(MANIFEST), manifest.encode())?;
    File::open(plan.at)?.sync_all()?;
    Ok(bytes)
}

impl Plan<'_> {
    /// The numbers of the ids in a slice; they ascend by time.
    fn numbers(&self, span: Span) -> Range<u64> {
        let slices = &self.shape.slices;
        let from = slices.first().map_or(0, |first| first.from);
        let to = slices.last().map_or(1, |last| last.to);
        let cut = |seal: u32| {
            let share = u128::from(seal - from) * u128::from(self.keys_count);
            (share / u128::from(to - from)) as u64
        };
        cut(span.from)..cut(span.to)
    }
}

/// What the ids are, by their numbers.
struct Ids {
    hash: KeyHash,
    keys_count: u64,
    now_s: u32,
    /// Each id whose number is a multiple of this ...
    sample_every: u64,
    /// ... is that of the record with this number.
    records: Vec<u32>,
}

impl Ids {
    fn new(plan: &Plan<'_>, now_s: u32, hash: KeyHash) -> Self {
        let count = plan.samples_count.clamp(1, plan.keys_count);
        let mut records = vec![0; count as usize];
        let stride = stride(count);
        for record in 0..count {
            records[(record * stride % count) as usize] = record as u32;
        }
        Self {
            hash,
            keys_count: plan.keys_count,
            now_s,
            sample_every: plan.keys_count / count,
            records,
        }
    }

    fn sample(&self, number: u64) -> Option<Identity> {
        let is_sample = number.is_multiple_of(self.sample_every);
        let at = is_sample.then_some((number / self.sample_every) as usize)?;
        let record = self.records.get(at)?;
        Some(Identity::of(u64::from(*record)))
    }

    /// Keys are hashes under a secret: any others that are evenly spread cost the same.
    fn key(&self, number: u64) -> Key {
        let Some(identity) = self.sample(number) else {
            return scattered(2 * number);
        };
        let text = String::from_utf8_lossy(&identity.pcs_id);
        self.hash.key("default", &text)
    }

    fn decided(&self, number: u64, key: Key) -> Decided {
        let live_s = u64::from(TTL_S - SPARE_S);
        let age_s = live_s - (number as f64 / self.keys_count as f64 * live_s as f64) as u64;
        let decided_at = self.now_s - age_s as u32;
        let digest = self.sample(number).map(|it| it.digest);
        let tag = digest.as_ref().and_then(|digest| digest.first_chunk());
        Decided {
            key,
            digest_tag: tag.map_or(number, |tag| u64::from_le_bytes(*tag)),
            numbers: NUMBERS,
            decided_at,
            expiry: decided_at + TTL_S,
            regime: REGIME,
            encoding: 1,
            ..Decided::default()
        }
    }
}

/// A key that only this number has, as far as chance goes.
pub(super) fn scattered(number: u64) -> Key {
    Key {
        high: mixed(number),
        low: mixed(number + 1),
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): each number gives another one, whose bits are evenly spread.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A step that visits all of so many places once, and spreads the first few of them over all.
fn stride(count: u64) -> u64 {
    let divisor = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let golden = (count as f64 * 0.618) as u64;
    (golden.max(1)..)
        .find(|step| divisor(*step, count) == 1)
        .unwrap_or(1)
}

fn write_slice(
    at: &Path,
    manifest: &mut Manifest,
    ids: &Ids,
    numbers: Range<u64>,
) -> io::Result<SliceEntry> {
    let number = manifest.next_file;
    manifest.next_file += 1;
    let mut sorted: Vec<(Key, u64)> = numbers.map(|id| (ids.key(id), id)).collect();
    sorted.sort_unstable();
    let meta = SliceMeta {
        slice_id: mixed(number),
        generation: manifest.generation,
        installation: manifest.installation,
        incarnation: manifest.incarnation,
        secret: manifest.secret,
    };
    let params = ParamsVersion::new(PARAMS).map_err(|_| io::Error::other("a params name"))?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(at.join(NumberedFile::Slice(number).to_string()))?;
    let mut writer = SliceWriter::new(meta, &[params]);
    for (key, id) in sorted {
        let pushed = writer.push(&ids.decided(id, key));
        pushed.map_err(io::Error::other)?;
        if writer.ready_bytes() >= PIECE_BYTES {
            file.write_all(&writer.take_ready())?;
        }
    }
    let sealed = writer.finish(&[]).map_err(io::Error::other)?;
    file.write_all(&sealed.bytes)?;
    file.sync_all()?;
    Ok(sealed.summary.entry(number, meta.slice_id, Vec::new()))
}

/// The slices that are in force, oldest first.
pub(super) fn slices_of(at: &Path) -> io::Result<Vec<PathBuf>> {
    let slices = manifest_of(at)?.slices.into_iter();
    let path = |entry: SliceEntry| at.join(NumberedFile::Slice(entry.file).to_string());
    Ok(slices.map(path).collect())
}

/// The manifest of a directory, also of one that a gateway serves from.
pub(super) fn manifest_of(at: &Path) -> io::Result<Manifest> {
    let bytes = std::fs::read(at.join(MANIFEST))?;
    Manifest::decode(&bytes).map_err(io::Error::other)
}

/// Bytes of log that no slice covers: what a start reads. A segment in use counts as a whole.
pub(super) fn unsealed_bytes(at: &Path) -> io::Result<u64> {
    let manifest = manifest_of(at)?;
    let mut bytes = 0;
    for log in &manifest.logs {
        let from = manifest.first_uncovered(log);
        for segment in log.segments.iter().skip(from) {
            bytes += match (segment.state.extent(), segment.state) {
                (Some(extent), _) => extent.bytes,
                (None, SegmentState::Open) => {
                    let name = NumberedFile::Segment(segment.file).to_string();
                    std::fs::metadata(at.join(name))?.len()
                }
                (None, _) => 0,
            };
        }
    }
    Ok(bytes)
}

/// Takes files out of the page cache: what is read next comes from the device. One that a merge has removed is left out.
pub(super) fn drop_from_cache(files: &[PathBuf]) -> io::Result<()> {
    for path in files {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Writes a slice of so many ids; its bytes.
    pub(in crate::store) fn slice_of(at: &Path, number: u64, keys_count: u64) -> u64 {
        let plan = Plan {
            at,
            keys_count,
            samples_count: 1,
            shape: &super::super::shape::after(1, HOURLY),
        };
        let ids = Ids::new(&plan, u32::MAX / 2, KeyHash::new([7; 16]));
        let mut manifest = Manifest {
            next_file: number,
            ..Manifest::default()
        };
        let entry = write_slice(at, &mut manifest, &ids, 0..keys_count).unwrap();
        assert_eq!((entry.file, entry.entries), (number, keys_count));
        entry.bytes
    }

    #[test]
    fn a_stride_visits_every_place_once() {
        for count in [1, 2, 3, 10, 1_000, 30_192] {
            let places = (0..count).map(|nth| nth * stride(count) % count);
            let places: std::collections::BTreeSet<u64> = places.collect();
            assert_eq!(places.len() as u64, count);
        }
    }

    #[test]
    fn every_record_is_one_id_and_a_few_that_follow_each_other_are_all_over_the_slices() {
        let shape = super::super::shape::after(3 * HOURLY.ttl, HOURLY);
        let plan = Plan {
            at: Path::new(""),
            keys_count: 10_007,
            samples_count: 500,
            shape: &shape,
        };
        let ids = Ids::new(&plan, u32::MAX / 2, KeyHash::new([7; 16]));
        let all: Vec<u64> = shape
            .slices
            .iter()
            .flat_map(|it| plan.numbers(*it))
            .collect();
        assert!(all.iter().copied().eq(0..plan.keys_count));
        let place = |record: u64| {
            let wanted = Identity::of(record).digest;
            let is_it = |number: &u64| ids.sample(*number).is_some_and(|it| it.digest == wanted);
            all.iter().copied().filter(is_it).collect::<Vec<u64>>()
        };
        let mut quarters = [0; 4];
        for record in (0..500).step_by(50) {
            assert_eq!(place(record).len(), 1, "{record}");
        }
        for record in 100..112 {
            quarters[(4 * place(record)[0] / plan.keys_count) as usize] += 1;
        }
        assert!(quarters.iter().all(|count| *count > 0), "{quarters:?}");
    }
}
