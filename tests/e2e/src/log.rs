//! The log of a gateway that does not run, as it lies on disk: which bodies are kept, with which disposition, and where.
//! It reads with the gateway's own codec, but folds nothing: what is in the log is listed, twice where it is there twice.

use flk_dataplane::http::problem::Problem;
use flk_dataplane::wal::batch::Batch;
use flk_dataplane::wal::files::{MANIFEST, NumberedFile};
use flk_dataplane::wal::manifest::{LogEntry, Manifest};
use flk_dataplane::wal::name::{LogId, Place, Sequence};
use flk_dataplane::wal::packed::SegmentFile;
use flk_dataplane::wal::record::{Content, Entry};
use flk_dataplane::wal::scan::{BatchAt, InMemory, LogSource, LogVerdict, read_log, run_ready};
use flk_testkit::hex::hex;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What became of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It has the first outcome of this id: whether it was accepted.
    Decided {
        /// The id.
        pcs_id: String,
        /// Accepted, not escalated.
        accepted: bool,
    },
    /// It was refused.
    Refused {
        /// The status of the answer.
        status: u16,
        /// The problem's code.
        code: &'static str,
    },
    /// It repeats a record that was decided before.
    Duplicate,
    /// It claims a decided id with other content.
    Conflict,
    /// It was given up without an outcome.
    Unanswered,
}

/// A body of the log.
#[derive(Clone, Debug)]
pub struct Body {
    /// What was posted.
    pub bytes: Vec<u8>,
    /// What became of it, as often as the log says so.
    pub dispositions: Vec<Disposition>,
}

/// A batch of the log: where to damage it.
#[derive(Clone, Debug)]
pub struct KeptBatch {
    /// The file.
    pub file: PathBuf,
    /// Where in it the batch begins, in bytes.
    pub offset: u64,
    /// How long it is, padding included.
    pub bytes: usize,
    /// Its sequence.
    pub sequence: Sequence,
    /// How many records it holds.
    pub records_count: u32,
}

/// Everything in the logs of a directory.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// All bodies by log and place.
    pub bodies: BTreeMap<(LogId, Place), Body>,
    /// All whole batches, in the order of their logs.
    pub batches: Vec<KeptBatch>,
    /// In which state each log was found.
    pub verdicts: Vec<(LogId, LogVerdict)>,
}

impl Kept {
    /// Reads the logs of a directory whose gateway does not run.
    pub fn read(directory: &Path) -> Kept {
        let manifest = fs::read(directory.join(MANIFEST)).expect("a manifest");
        let manifest = Manifest::decode(&manifest).expect("a whole manifest");
        let mut kept = Kept::default();
        for log in &manifest.logs {
            kept.read_log(directory, &manifest, log);
        }
        kept
    }

    fn read_log(&mut self, directory: &Path, manifest: &Manifest, log: &LogEntry) {
        let paths: Vec<PathBuf> = log
            .segments
            .iter()
            .map(|segment| directory.join(NumberedFile::Segment(segment.file).to_string()))
            .collect();
        let contents: Vec<Vec<u8>> = paths
            .iter()
            .map(|path| {
                fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            })
            .collect();
        let named = log.segments.iter().zip(&contents);
        let files: Vec<SegmentFile<InMemory<'_>>> = named
            .map(|(segment, bytes)| SegmentFile::new(InMemory(bytes), segment))
            .collect();
        let source = LogSource {
            manifest,
            log,
            from: 0,
            files: &files,
            erased: &|_, _| false,
        };
        let first = log.segments.first().map_or(0, |segment| segment.ordinal);
        let path_of = |ordinal: u32| paths[(ordinal - first) as usize].clone();
        let visit = |at: &BatchAt, batch: &Batch<'_>| {
            self.take(log.id, path_of(at.ordinal), at, batch);
        };
        let end = run_ready(read_log(&source, visit)).expect("memory is always ready");
        self.verdicts.push((log.id, end.verdict));
    }

    fn take(&mut self, log: LogId, file: PathBuf, at: &BatchAt, batch: &Batch<'_>) {
        let sequence = batch.header.fields.sequence;
        self.batches.push(KeptBatch {
            file,
            offset: at.offset,
            bytes: at.bytes,
            sequence,
            records_count: batch.header.records,
        });
        for record in batch.records() {
            let record = record.expect("a whole batch reads");
            match record.content {
                Content::Body(body) => {
                    let place = Place {
                        sequence,
                        index: record.index,
                    };
                    let bytes = batch.body(&body).expect("nothing is erased here").to_vec();
                    let body = Body {
                        bytes,
                        dispositions: Vec::new(),
                    };
                    let earlier = self.bodies.insert((log, place), body);
                    assert!(earlier.is_none(), "{log} has {place:?} twice");
                }
                Content::Entry(entry) => {
                    if let (Some(place), Some(disposition)) =
                        (entry.disposition_of(), disposition(&entry))
                    {
                        let body = self.bodies.get_mut(&(log, place));
                        body.expect("a disposition lies behind its body")
                            .dispositions
                            .push(disposition);
                    }
                }
                Content::Skipped => {}
            }
        }
    }

    /// The dispositions of all bodies that equal these bytes.
    pub fn dispositions_of(&self, body: &[u8]) -> Vec<Disposition> {
        self.bodies
            .values()
            .filter(|kept| kept.bytes == body)
            .flat_map(|kept| kept.dispositions.clone())
            .collect()
    }

    /// How often each id was decided.
    pub fn decisions_by_id(&self) -> BTreeMap<&str, u32> {
        let mut counts = BTreeMap::new();
        for disposition in self.bodies.values().flat_map(|body| &body.dispositions) {
            if let Disposition::Decided { pcs_id, .. } = disposition {
                *counts.entry(pcs_id.as_str()).or_default() += 1;
            }
        }
        counts
    }
}

fn disposition(entry: &Entry<'_>) -> Option<Disposition> {
    Some(match entry {
        Entry::Decision(decision) => Disposition::Decided {
            pcs_id: hex(&decision.pcs_id),
            accepted: decision.reason == 0,
        },
        Entry::Refused(refused) => Disposition::Refused {
            status: refused.status,
            code: Problem::from_number(refused.code).map_or("unknown", Problem::code),
        },
        Entry::Duplicate(_) => Disposition::Duplicate,
        Entry::Conflict(_) => Disposition::Conflict,
        Entry::Unanswered(_) => Disposition::Unanswered,
        Entry::Erasure(_) => return None,
    })
}
