//! The directories that are damaged: made by a gateway, with slices, packed segments, a closed segment that is in no slice, and
//! one in use; and what was accepted into them. Copies of files from earlier in their lives lie beside.

use super::parts::Whole;
use flk_dataplane::dedup::Key;
use flk_dataplane::dedup::key::KeyHash;
use flk_dataplane::dedup::slice::Block;
use flk_dataplane::dedup::slice::frame::Header;
use flk_dataplane::wal::files::NumberedFile;
use flk_dataplane::wal::manifest::{LogEntry, Manifest, SegmentEntry, SegmentState};
use flk_dataplane::wal::secret::Secret;
use flk_e2e::log::Kept;
use flk_e2e::setting::Setting;
use flk_testkit::gateway::{Gateway, ask_keeper};
use flk_testkit::plan::Plan;
use flk_testkit::records::record;
use std::cell::Cell;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The host of all drills: what is on disk is the same under every driver.
pub(crate) const HOST: Setting = Setting::Portable;

/// Records of a slice: more than a block of entries holds.
const SEALED: u64 = 64;
/// Bytes of each of them in a segment that is not packed.
const WIDE_BYTES: usize = 12_000;
/// Records that fill a segment.
const LARGE: u64 = 5;
/// Bytes of each of them.
const LARGE_BYTES: usize = 1_000_000;
/// Records of the segment in use, before and after it is copied.
const SMALL: u64 = 6;

/// How the gateway ended that made a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Killed,
    Stopped,
}

/// A record that was accepted.
pub(crate) struct Accepted {
    pub(crate) body: Vec<u8>,
    pub(crate) pcs_id: String,
    pub(crate) outcome: Vec<u8>,
    /// It came after the segment in use was copied.
    pub(crate) is_newest: bool,
}

/// A directory, whole.
pub(crate) struct Stock {
    root: TempDir,
    pub(crate) accepted: Vec<Accepted>,
    slices: [String; 2],
    sealed: [String; 2],
    packed: [String; 2],
    closed: String,
    open: String,
    kept: Kept,
}

/// The gateway while it makes a directory.
struct Making {
    gateway: Gateway,
    root: TempDir,
    next_record: Cell<u64>,
    accepted: Vec<Accepted>,
}

impl Stock {
    /// Makes one.
    pub(crate) fn make(end: End) -> Stock {
        let root = HOST.directory();
        let other = plan(&root.path().join("other")).start();
        other.kill();
        let gateway = plan(&root.path().join("wal")).start();
        let mut making = Making {
            gateway,
            root,
            next_record: Cell::new(0),
            accepted: Vec::new(),
        };
        making.seal_some(WIDE_BYTES);
        making.keep("manifest");
        making.seal_some(WIDE_BYTES);
        making.seal_some(0);
        making.seal_some(0);
        making.wait_until_packed();
        making.fill_a_segment();
        let named = making.use_a_segment();
        let log = own_log(&named).clone();
        for newest in making.accepted.iter_mut().rev().take(SMALL as usize) {
            newest.is_newest = true;
        }
        let wal = making.wal();
        match end {
            End::Killed => drop(making.gateway.kill()),
            End::Stopped => assert_eq!(making.gateway.stop().code(), 0),
        }
        if end == End::Killed && manifest(&wal).generation != named.generation {
            // It was replaced in the last moment, and states more than what was copied holds.
            return Stock::make(end);
        }
        let of_slice = |at: usize| NumberedFile::Slice(named.slices[at].file).to_string();
        assert_eq!(named.slices.len(), 4, "four seals, four slices");
        let of_closed = |at: usize| name_of(&log.segments[at]);
        Stock {
            accepted: making.accepted,
            slices: [of_slice(0), of_slice(1)],
            sealed: [of_closed(0), of_closed(1)],
            packed: [of_closed(2), of_closed(3)],
            closed: of_closed(4),
            open: name_of(segment(&log, SegmentState::Open)),
            kept: Kept::read(&wal),
            root: making.root,
        }
    }

    /// The file of this kind that is damaged.
    pub(crate) fn file(&self, whole: Whole) -> &str {
        match whole {
            Whole::SealedSegment => &self.sealed[0],
            Whole::PackedSegment => &self.packed[0],
            Whole::ClosedSegment => &self.closed,
            Whole::OpenSegment | Whole::LastSegment => &self.open,
            Whole::Slice => &self.slices[0],
            Whole::Manifest => "manifest",
            Whole::Secret => "secret",
        }
    }

    /// Another file of its kind in the same directory.
    pub(crate) fn twin(&self, whole: Whole) -> Option<&str> {
        match whole {
            Whole::SealedSegment | Whole::ClosedSegment => Some(&self.sealed[1]),
            Whole::PackedSegment => Some(&self.packed[1]),
            Whole::OpenSegment | Whole::LastSegment => Some(&self.closed),
            Whole::Slice => Some(&self.slices[1]),
            Whole::Manifest | Whole::Secret => None,
        }
    }

    /// That of another directory.
    pub(crate) fn foreign(&self, whole: Whole) -> PathBuf {
        self.root.path().join("other").join(self.file(whole))
    }

    /// An older copy.
    pub(crate) fn older(&self, whole: Whole) -> PathBuf {
        self.root.path().join("older").join(self.file(whole))
    }

    /// What a file holds.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.root.path().join("wal").join(name)).unwrap()
    }

    /// Where a batch with records lies in a segment: the one before the last, which a later one says was durable, or the last.
    pub(crate) fn batch(&self, name: &str, last: bool) -> Range<usize> {
        let of_file = self
            .kept
            .batches
            .iter()
            .filter(|it| it.file.ends_with(name));
        let with_records: Vec<_> = of_file.filter(|it| it.records_count > 0).collect();
        let at = with_records.len() - if last { 1 } else { 2 };
        let offset = with_records[at].offset as usize;
        offset..offset + with_records[at].bytes
    }

    /// A copy of the directory to damage, and how a gateway is started on it.
    pub(crate) fn copy(&self) -> (TempDir, Plan) {
        let copy = HOST.directory();
        for entry in fs::read_dir(self.root.path().join("wal")).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
            }
        }
        let plan = plan(copy.path());
        (copy, plan)
    }

    /// Keys of the first block of entries of the first slice, and the hash that makes keys of ids.
    pub(crate) fn first_block(&self) -> (Vec<Key>, KeyHash) {
        let bytes = self.read(&self.slices[0]);
        let block = 4096;
        let header = Header::decode(&bytes[..block]).expect("a whole slice");
        let entries = Block::open(header.slice_id, 1, &bytes[block..2 * block]);
        let entries = entries.expect("a whole block").entries();
        let secret = Secret::decode(&self.read("secret")).expect("a whole secret");
        (entries.map(|it| it.key).collect(), KeyHash::new(secret.key))
    }
}

impl Making {
    /// Accepts records one after the other, so that each has a batch of its own.
    fn post(&mut self, count: u64, bytes: usize) {
        let mut connection = self.gateway.connect();
        for _ in 0..count {
            let number = self.next_record.replace(self.next_record.get() + 1);
            let mut made = record(number);
            let length = made.body.len().max(bytes);
            made.body.resize(length, b' ');
            let answer = connection.post(&made.body).unwrap();
            assert_eq!((answer.status, answer.dedup()), (200, Some("miss")));
            self.accepted.push(Accepted {
                body: made.body,
                pcs_id: made.pcs_id,
                outcome: answer.body,
                is_newest: false,
            });
        }
    }

    /// Fills a slice. The segment in use is copied in between, and kept after it is closed.
    fn seal_some(&mut self, bytes: usize) {
        self.post(SEALED / 2, bytes);
        self.keep_open();
        self.post(SEALED / 2, bytes);
        let done = ask_keeper(&self.wal(), "compact --older-than 1000000");
        assert_eq!(done["segments"], 0, "sealed, not deleted");
    }

    /// Small batches were sealed in two segments, which are packed once their bodies are known to be resolved.
    fn wait_until_packed(&self) {
        flk_testkit::wait_until("two segments are packed", flk_testkit::DEADLINE, || {
            let manifest = self.manifest();
            let segments = own_log(&manifest).segments.iter();
            let is_packed = |it: &&SegmentEntry| matches!(it.state, SegmentState::Packed(..));
            segments.filter(is_packed).count() == 2
        });
    }

    /// Closes a segment that no slice covers.
    fn fill_a_segment(&mut self) {
        self.post(LARGE / 2, LARGE_BYTES);
        self.keep_open();
        let before = own_log(&self.manifest()).segments.len();
        self.post(LARGE - LARGE / 2, LARGE_BYTES);
        flk_testkit::wait_until("the next segment is in use", flk_testkit::DEADLINE, || {
            own_log(&self.manifest()).segments.len() > before
        });
    }

    /// Copies the segment in use between records that the manifest of that moment knows nothing of.
    fn use_a_segment(&mut self) -> Manifest {
        loop {
            self.post(SMALL, 0);
            let named = self.manifest();
            self.keep_open();
            self.post(SMALL, 0);
            if self.manifest().generation == named.generation {
                return named;
            }
        }
    }

    fn keep_open(&self) {
        let manifest = self.manifest();
        self.keep(&name_of(segment(own_log(&manifest), SegmentState::Open)));
    }

    /// Copies a file as it is now.
    fn keep(&self, name: &str) {
        let older = self.root.path().join("older");
        fs::create_dir_all(&older).unwrap();
        fs::copy(self.wal().join(name), older.join(name)).unwrap();
    }

    fn manifest(&self) -> Manifest {
        manifest(&self.wal())
    }

    fn wal(&self) -> PathBuf {
        self.root.path().join("wal")
    }
}

fn manifest(directory: &Path) -> Manifest {
    let bytes = fs::read(directory.join("manifest")).unwrap();
    Manifest::decode(&bytes).expect("a whole manifest")
}

fn plan(directory: &Path) -> Plan {
    HOST.plan(directory).with("FLK_CORES", "1")
}

/// The log of the run, which is the only one.
fn own_log(manifest: &Manifest) -> &LogEntry {
    assert_eq!(manifest.logs.len(), 1);
    &manifest.logs[0]
}

fn segment(log: &LogEntry, state: SegmentState) -> &SegmentEntry {
    let mut found = log.segments.iter().filter(|it| it.state == state);
    found.next().expect("one in this state")
}

fn name_of(segment: &SegmentEntry) -> String {
    NumberedFile::Segment(segment.file).to_string()
}
