//! Makes a WAL_DIR as a gateway leaves it after weeks of service and a `kill -9`: slices, the log that they cover, and a
//! log that is in no slice yet. All bytes are encoded by the product's own writers; nothing is sent over HTTP.

use flk_contract::hash::bytes_of_hex32;
use flk_contract::params::ParamsVersion;
use flk_dataplane::dedup::Decided;
use flk_dataplane::dedup::key::KeyHash;
use flk_dataplane::dedup::slice::{SliceMeta, SliceWriter};
use flk_dataplane::wal::batch::{BatchFields, BatchLimits, OpenBatch};
use flk_dataplane::wal::buffer::Blocks;
use flk_dataplane::wal::files::{MANIFEST, NumberedFile, SECRET};
use flk_dataplane::wal::manifest::{
    ClockMark, Cover, Extent, LogEndMark, LogEntry, Manifest, SegmentEntry, SegmentState,
    SliceEntry,
};
use flk_dataplane::wal::name::{LogId, Place, Sequence};
use flk_dataplane::wal::record::{BodyMeta, Decision, Entry};
use flk_dataplane::wal::secret::Secret;
use flk_dataplane::wal::segment::{Predecessor, SegmentHeader, SegmentLabels};
use flk_testkit::hex::hex;
use flk_testkit::records::Record;
use std::fs::{File, OpenOptions};
use std::io::{Error, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The key that the ids are hashed with.
pub(crate) const HASH_KEY: [u8; 16] = [2; 16];
const TENANT: &str = "default";
const PARAMS: &str = "1";
const TTL_S: u32 = 14 * 86_400;
const BODY_BYTES: usize = 645;
/// Records per batch: what 64 connections give.
const BATCH_RECORDS: u64 = 64;
const GENERATION: u64 = 1_000;

/// What the directory shall hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Live decisions in slices.
    pub(crate) sealed_count: u64,
    /// Slices that they are spread over, by time.
    pub(crate) slices_count: u64,
    /// How many of the sealed decisions still have their bodies and decisions in the log too.
    pub(crate) covered_count: u64,
    /// Live decisions that are only in the log.
    pub(crate) unsealed_count: u64,
    /// Length of a segment in bytes.
    pub(crate) segment_bytes: u64,
    /// The records that the bodies in the log are, by their numbers; none: filler, where nothing looks at bodies.
    pub(crate) record: Option<fn(u64) -> Record>,
    /// The `pcs_id` of the first sealed decision, for who wants to ask for it; any other is made up.
    pub(crate) first_id: Option<[u8; 32]>,
}

/// What it holds, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Made {
    pub(crate) slices_bytes: u64,
    /// Log that slices cover: a start has no need to read it.
    pub(crate) covered_bytes: u64,
    /// Log that a start must read.
    pub(crate) unsealed_bytes: u64,
}

/// Makes the directory; `at` exists and is empty.
pub(crate) fn make(at: &Path, plan: &Plan) -> Result<Made> {
    let mut maker = Maker::new(at, plan)?;
    let mut made = Made::default();
    let covered = LogId {
        start: 1,
        number: 0,
    };
    let mut covers = Vec::new();
    if plan.covered_count > 0 {
        let log = maker.write_log(covered, 0..plan.covered_count.min(plan.sealed_count), true)?;
        covers.extend(log.ended_at.map(|end| Cover {
            log: covered,
            upto: end.sequence,
        }));
        made.covered_bytes = std::mem::take(&mut maker.log_bytes);
        maker.manifest.logs.push(log);
    }
    let slices_count = plan.slices_count.clamp(1, plan.sealed_count.max(1));
    for nth in 0..slices_count {
        let share = |nth| plan.sealed_count * nth / slices_count;
        // What the log says is covered by the last slice: all before it are in it or in earlier ones.
        let covers = if nth + 1 == slices_count {
            covers.clone()
        } else {
            Vec::new()
        };
        let slice = maker.write_slice(share(nth)..share(nth + 1), covers)?;
        made.slices_bytes += slice.bytes;
        maker.manifest.slices.push(slice);
    }
    let middle = plan.sealed_count + plan.unsealed_count / 2;
    let end = plan.sealed_count + plan.unsealed_count;
    for (number, keys) in [(0, plan.sealed_count..middle), (1, middle..end)] {
        let log = maker.write_log(LogId { start: 2, number }, keys, false)?;
        made.unsealed_bytes += std::mem::take(&mut maker.log_bytes);
        maker.manifest.logs.push(log);
    }
    maker.finish()?;
    Ok(made)
}

struct Maker<'a> {
    at: &'a Path,
    plan: &'a Plan,
    manifest: Manifest,
    secret: Secret,
    hash: KeyHash,
    wall_us: u64,
    /// Bytes of log written since they were last taken.
    log_bytes: u64,
}

impl<'a> Maker<'a> {
    fn new(at: &'a Path, plan: &'a Plan) -> Result<Maker<'a>> {
        let secret = Secret {
            id: [1; 16],
            key: HASH_KEY,
        };
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall_us = wall.map_err(Error::other)?.as_micros() as u64;
        Ok(Maker {
            at,
            plan,
            manifest: Manifest {
                installation: [3; 16],
                node: [4; 16],
                incarnation: [5; 16],
                secret: secret.id,
                generation: GENERATION,
                start: 2,
                clock: ClockMark {
                    expiry_s: TTL_S - 3_600,
                    wall_us,
                },
                next_file: 1,
                ..Manifest::default()
            },
            hash: KeyHash::new(secret.key),
            secret,
            wall_us,
            log_bytes: 0,
        })
    }

    fn file(&mut self, name: impl Fn(u64) -> NumberedFile) -> Result<(u64, File)> {
        let number = self.manifest.next_file;
        self.manifest.next_file += 1;
        Ok((number, create(self.at, &name(number).to_string())?))
    }

    /// The second in which a key was decided: all of them alive, spread over one TTL less an hour.
    fn decided_at(&self, number: u64) -> u32 {
        let all = self.plan.sealed_count + self.plan.unsealed_count;
        (number * u64::from(TTL_S - 3_600) / all.max(1)) as u32
    }

    fn pcs_id(&self, number: u64) -> [u8; 32] {
        if let Some(id) = self.plan.first_id.filter(|_| number == 0) {
            return id;
        }
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        id
    }

    fn decided(&self, number: u64) -> Decided {
        let id = hex(&self.pcs_id(number));
        let decided_at = self.decided_at(number);
        Decided {
            key: self.hash.key(TENANT, &id),
            digest_tag: number,
            numbers: NUMBERS,
            decided_at,
            expiry: decided_at + TTL_S,
            regime: 1,
            encoding: 1,
            ..Decided::default()
        }
    }

    fn write_slice(
        &mut self,
        numbers: std::ops::Range<u64>,
        covers: Vec<Cover>,
    ) -> Result<SliceEntry> {
        let (file_number, mut file) = self.file(NumberedFile::Slice)?;
        let mut entries: Vec<Decided> = numbers.map(|number| self.decided(number)).collect();
        entries.sort_unstable_by_key(|entry| entry.key);
        let params = ParamsVersion::new(PARAMS).map_err(|_| Error::other("a params name"))?;
        let meta = SliceMeta {
            slice_id: file_number,
            generation: GENERATION,
            installation: self.manifest.installation,
            incarnation: self.manifest.incarnation,
            secret: self.manifest.secret,
        };
        let mut writer = SliceWriter::new(meta, &[params]);
        for entry in &entries {
            writer.push(entry).map_err(Error::other)?;
            if writer.ready_bytes() >= 1 << 20 {
                file.write_all(&writer.take_ready())?;
            }
        }
        let sealed = writer.finish(&covers).map_err(Error::other)?;
        file.write_all(&sealed.bytes)?;
        forget(&file)?;
        Ok(sealed.summary.entry(file_number, file_number, covers))
    }

    /// Writes a log: ended and closed to its end, or as a kill leaves it, with one segment open and one named next.
    fn write_log(
        &mut self,
        id: LogId,
        numbers: std::ops::Range<u64>,
        ended: bool,
    ) -> Result<LogEntry> {
        let mut log = LogEntry {
            id,
            incarnation: self.manifest.incarnation,
            ended_at: None,
            resolved_upto: Sequence::before_first(id.start),
            segments: Vec::new(),
        };
        let mut tip = Tip {
            sequence: Sequence::before_first(id.start),
            checksum: 0,
        };
        let mut next = numbers.start;
        while next < numbers.end {
            next = self.write_segment(&mut log, &mut tip, next..numbers.end)?;
        }
        log.resolved_upto = tip.sequence;
        if ended {
            log.ended_at = Some(LogEndMark {
                sequence: tip.sequence,
                checksum: tip.checksum,
            });
            return Ok(log);
        }
        if let Some(last) = log.segments.last_mut() {
            last.state = SegmentState::Open;
        }
        let (file_number, mut file) = self.file(NumberedFile::Segment)?;
        fill_up(&mut file, 0, self.plan.segment_bytes)?;
        forget(&file)?;
        let ordinal = log.segments.len() as u32;
        log.segments
            .push(self.segment(file_number, ordinal, SegmentState::Next));
        Ok(log)
    }

    fn segment(&self, file: u64, ordinal: u32, state: SegmentState) -> SegmentEntry {
        SegmentEntry {
            ordinal,
            file,
            salt: file ^ 0x5A17,
            generation: GENERATION,
            state,
        }
    }

    /// The header of a segment that follows on what the log holds so far.
    fn header(&self, log: LogId, entry: &SegmentEntry, tip: &Tip) -> SegmentHeader {
        SegmentHeader {
            installation: self.manifest.installation,
            incarnation: self.manifest.incarnation,
            log,
            ordinal: entry.ordinal,
            salt: entry.salt,
            generation: GENERATION,
            predecessor: (entry.ordinal > 0).then_some(Predecessor {
                ends_after: tip.sequence,
                checksum: tip.checksum,
            }),
            made_bytes: Some(self.plan.segment_bytes),
            labels: SegmentLabels::default(),
        }
    }

    /// Fills one segment and returns the first number that did not fit.
    fn write_segment(
        &mut self,
        log: &mut LogEntry,
        tip: &mut Tip,
        numbers: std::ops::Range<u64>,
    ) -> Result<u64> {
        let (file_number, mut file) = self.file(NumberedFile::Segment)?;
        let ordinal = log.segments.len() as u32;
        let entry = self.segment(file_number, ordinal, SegmentState::Next);
        let header = self.header(log.id, &entry, tip);
        let (first, mut offset, mut next) = (Sequence(tip.sequence.0 + 1), 0, numbers.start);
        let mut batch = OpenBatch::new(BatchLimits::default());
        let mut blocks = Blocks::default();
        while next < numbers.end {
            let upto = numbers.end.min(next + BATCH_RECORDS);
            let sequence = Sequence(tip.sequence.0 + 1);
            batch.clear();
            for number in next..upto {
                self.push(&mut batch, sequence, number);
            }
            let lead = (offset == 0).then_some(&header);
            let bytes = batch.assembled_bytes() as u64 + if offset == 0 { 4096 } else { 0 };
            if offset > 0 && offset + bytes > self.plan.segment_bytes {
                break;
            }
            let fields = BatchFields {
                salt: entry.salt,
                sequence,
                expiry_clock_s: self.decided_at(next),
                wall_us: self.wall_us,
                durable_upto: tip.sequence,
                resolved_upto: tip.sequence,
                previous_checksum: tip.checksum,
                term: 0,
            };
            let assembled = batch.assemble(&fields, lead, &mut blocks);
            file.write_all(blocks.bytes())?;
            offset += assembled.bytes as u64;
            *tip = Tip {
                sequence,
                checksum: assembled.checksum,
            };
            next = upto;
        }
        self.log_bytes += offset;
        let extent = Extent {
            first,
            last: tip.sequence,
            bytes: offset,
            last_checksum: tip.checksum,
        };
        if next >= numbers.end {
            // The last one may be left open, with the zeros that it was made of.
            fill_up(&mut file, offset, self.plan.segment_bytes)?;
        }
        forget(&file)?;
        log.segments.push(SegmentEntry {
            state: SegmentState::Closed(extent),
            ..entry
        });
        Ok(next)
    }

    fn push(&self, batch: &mut OpenBatch, sequence: Sequence, number: u64) {
        let meta = BodyMeta {
            tenant: TENANT,
            ..BodyMeta::default()
        };
        let (index, pcs_id) = match self.plan.record {
            None => {
                let index = batch.push_body(&[b'x'; BODY_BYTES], &meta);
                (index, self.pcs_id(number))
            }
            Some(record) => {
                let record = record(number);
                let index = batch.push_body(&record.body, &meta);
                (
                    index,
                    bytes_of_hex32(record.pcs_id.as_bytes()).unwrap_or_default(),
                )
            }
        };
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        let decided_at = self.decided_at(number);
        batch.push(&Entry::Decision(Decision {
            body: Place { sequence, index },
            tenant: TENANT,
            pcs_id,
            digest,
            key_id: [0; 8],
            params: PARAMS,
            decided_at,
            expiry: decided_at + TTL_S,
            encoding: 1,
            reason: 0,
            regime: 1,
            numbers: NUMBERS,
            origin: 0,
        }));
    }

    /// The secret and the manifest, last.
    fn finish(self) -> Result<()> {
        create(self.at, SECRET)?.write_all(&self.secret.encode())?;
        create(self.at, MANIFEST)?.write_all(&self.manifest.encode())
    }
}

const NUMBERS: [f64; 4] = [1.5, 1.5, 0.25, 0.25];

/// Where a log ends so far.
struct Tip {
    sequence: Sequence,
    checksum: u32,
}

fn create(at: &Path, name: &str) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(at.join(name))
}

/// Zeros from an offset up to the length of a segment, written and not left as a hole: reading them costs what it costs.
fn fill_up(file: &mut File, from: u64, to: u64) -> Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut left = to.saturating_sub(from);
    while left > 0 {
        let part = left.min(zeros.len() as u64);
        file.write_all(&zeros[..part as usize])?;
        left -= part;
    }
    Ok(())
}

/// Durable, and out of the page cache: the start after a power cut is the one that takes longest.
fn forget(file: &File) -> Result<()> {
    file.sync_all()?;
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}
