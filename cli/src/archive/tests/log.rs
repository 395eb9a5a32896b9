//! A log directory of one log, written from a plain list of what is in it; and what must be in an archive of it, from the same list.

use flk_dataplane::wal::batch::{BATCH_HEADER_BYTES, BatchFields, BatchLimits, OpenBatch};
use flk_dataplane::wal::buffer::{BLOCK_BYTES, Blocks};
use flk_dataplane::wal::files::{MANIFEST, NumberedFile};
use flk_dataplane::wal::manifest::{
    Cover, Extent, Gap, LogEndMark, LogEntry, Manifest, SegmentEntry, SegmentState, SliceEntry,
};
use flk_dataplane::wal::name::{LogId, Place, Sequence};
use flk_dataplane::wal::record::{BodyMeta, Decision, Entry, ErasedBody, ErasureList, Refused};
use flk_dataplane::wal::segment::{Predecessor, SegmentHeader, SegmentLabels};
use std::collections::BTreeSet;
use std::path::Path;

/// Length of the file of a segment that is in use.
const MADE_BYTES: usize = 64 << 10;

/// 2026-11-29T23:00:00Z.
pub(super) const EVENING_US: u64 = 1_795_993_200_000_000;

/// A record of a batch. Bodies are named by their batch and their index in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// A body of this tenant with this id.
    Body(&'static str, u64),
    /// A body that is no record.
    Junk(&'static str),
    Accepted(u64, u32),
    Refused(u64, u32),
    Duplicate(u64, u32),
    Unanswered(u64, u32),
    Erasure(u64, u32),
}

/// A batch; without items it is a mark.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn {
    pub(super) wall_us: u64,
    pub(super) items: Vec<Item>,
}

/// A directory of one log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) incarnation: u8,
    pub(super) start: u32,
    /// The batches of each segment; the last segment is in use, unless the log has ended.
    pub(super) segments: Vec<Vec<Turn>>,
    pub(super) has_ended: bool,
    /// So many segments at the beginning are deleted.
    pub(super) deleted: usize,
    /// Batches that an operator gave up. They must be one after the other, within a segment.
    pub(super) given_up: Vec<(u64, u64)>,
    /// Bodies whose bytes are zeros.
    pub(super) erased: BTreeSet<(u64, u32)>,
    /// All segments are gone, and a slice covers the log up to here.
    pub(super) gone_upto: Option<u64>,
    pub(super) generation: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            incarnation: 3,
            start: 1,
            segments: Vec::new(),
            has_ended: false,
            deleted: 0,
            given_up: Vec::new(),
            erased: BTreeSet::new(),
            gone_upto: None,
            generation: 1,
        }
    }
}

/// The id of a number.
pub(super) fn id(number: u64) -> String {
    format!("{number:064x}")
}

/// The body of an id.
pub(super) fn body(number: u64) -> Vec<u8> {
    let golden = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../golden/records/pcs_tiny_case_1.json"
    );
    let text = std::fs::read_to_string(golden).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    record["pcs_id"] = id(number).into();
    record.to_string().into_bytes()
}

impl Log {
    fn log_id(&self) -> LogId {
        LogId {
            start: self.start,
            number: 0,
        }
    }

    fn at(&self, counter: u64) -> Sequence {
        Sequence(Sequence::before_first(self.start).0 | counter)
    }

    fn place(&self, counter: u64, index: u32) -> Place {
        let sequence = self.at(counter);
        Place { sequence, index }
    }

    fn is_given_up(&self, counter: u64) -> bool {
        let mut ranges = self.given_up.iter();
        ranges.any(|(from, to)| (from..=to).contains(&&counter))
    }

    /// Writes the directory.
    pub(super) fn write(&self, dir: &Path) {
        for entry in std::fs::read_dir(dir).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let mut entries = Vec::new();
        let mut before = Predecessor {
            ends_after: self.at(0),
            checksum: 0,
        };
        for (ordinal, turns) in self.segments.iter().enumerate() {
            let is_last = ordinal + 1 == self.segments.len();
            let is_open = is_last && !self.has_ended;
            let first = before.ends_after.next().unwrap();
            let (mut bytes, end) = self.segment(ordinal, turns, before);
            let used = bytes.len() as u64;
            let extent = Extent {
                first,
                last: end.ends_after,
                bytes: used,
                last_checksum: end.checksum,
            };
            if is_open {
                bytes.resize(MADE_BYTES, 0);
            }
            before = end;
            if ordinal < self.deleted || self.gone_upto.is_some() {
                continue;
            }
            let file = ordinal as u64;
            let name = NumberedFile::Segment(file).to_string();
            std::fs::write(dir.join(name), bytes).unwrap();
            entries.push(SegmentEntry {
                ordinal: ordinal as u32,
                file,
                salt: salt(ordinal),
                generation: 1,
                state: match is_open {
                    true => SegmentState::Open,
                    false => SegmentState::Closed(extent),
                },
            });
        }
        let manifest = self.manifest(entries, before);
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()));
        std::fs::write(dir.join(MANIFEST), manifest.encode()).unwrap();
    }

    fn manifest(&self, segments: Vec<SegmentEntry>, end: Predecessor) -> Manifest {
        let log = self.log_id();
        let entry = LogEntry {
            id: log,
            incarnation: [self.incarnation; 16],
            ended_at: self.has_ended.then_some(LogEndMark {
                sequence: end.ends_after,
                checksum: end.checksum,
            }),
            resolved_upto: self.at(0),
            segments,
        };
        let slice = self.gone_upto.map(|upto| SliceEntry {
            file: 50,
            id: 1,
            decided_first: 1,
            decided_last: 2,
            expiry_max: 3,
            entries: 1,
            bytes: 8192,
            checksum: 0,
            covers: vec![Cover {
                log,
                upto: self.at(upto),
            }],
        });
        let gap = |(from, to): &(u64, u64)| Gap {
            log,
            from: self.at(*from),
            to: self.at(*to),
        };
        Manifest {
            installation: [1; 16],
            node: [2; 16],
            incarnation: [self.incarnation; 16],
            secret: [1; 16],
            generation: self.generation,
            start: self.start,
            next_file: 100,
            logs: match self.gone_upto {
                Some(_) => Vec::new(),
                None => vec![entry],
            },
            gaps: self.given_up.iter().map(gap).collect(),
            slices: slice.into_iter().collect(),
            ..Manifest::default()
        }
    }

    /// The bytes of a segment that are in use, and its end.
    fn segment(
        &self,
        ordinal: usize,
        turns: &[Turn],
        before: Predecessor,
    ) -> (Vec<u8>, Predecessor) {
        let header = SegmentHeader {
            installation: [1; 16],
            incarnation: [self.incarnation; 16],
            log: self.log_id(),
            ordinal: ordinal as u32,
            salt: salt(ordinal),
            generation: 1,
            predecessor: (ordinal > 0).then_some(before),
            made_bytes: Some(MADE_BYTES as u64),
            labels: SegmentLabels::default(),
        };
        let mut bytes = vec![0; BLOCK_BYTES];
        let first: &mut [u8; BLOCK_BYTES] = bytes.first_chunk_mut().unwrap();
        let mut checksum = header.encode(first);
        let mut at = before.ends_after;
        let mut blocks = Blocks::with_capacity(MADE_BYTES);
        for turn in turns {
            let before = at;
            at = at.next().unwrap();
            let open = self.open_batch(turn);
            let fields = BatchFields {
                salt: salt(ordinal),
                sequence: at,
                expiry_clock_s: 1,
                wall_us: turn.wall_us,
                durable_upto: before,
                resolved_upto: self.at(0),
                previous_checksum: checksum,
                term: 0,
            };
            checksum = open.assemble(&fields, None, &mut blocks).checksum;
            if self.is_given_up(at.counter()) {
                continue;
            }
            let begin = bytes.len();
            bytes.extend_from_slice(blocks.bytes());
            let bodies = open.bodies_part().len();
            self.erase(at, turn, &mut bytes[begin..], bodies);
        }
        let end = Predecessor {
            ends_after: at,
            checksum,
        };
        (bytes, end)
    }

    fn open_batch(&self, turn: &Turn) -> OpenBatch {
        let mut open = OpenBatch::new(BatchLimits::default());
        for item in &turn.items {
            let refused = |counter, index| Refused {
                body: self.place(counter, index),
                status: 401,
                code: 60,
            };
            match *item {
                Item::Body(tenant, number) => {
                    open.push_body(&body(number), &meta(tenant));
                }
                Item::Junk(text) => {
                    open.push_body(text.as_bytes(), &meta("default"));
                }
                Item::Accepted(counter, index) => {
                    let (tenant, number) = self.body_of(counter, index);
                    open.push(&Entry::Decision(decision(
                        self.place(counter, index),
                        tenant,
                        number,
                    )));
                }
                Item::Refused(counter, index) => {
                    open.push(&Entry::Refused(refused(counter, index)));
                }
                Item::Duplicate(counter, index) => {
                    open.push(&Entry::Duplicate(self.place(counter, index)));
                }
                Item::Unanswered(counter, index) => {
                    open.push(&Entry::Unanswered(self.place(counter, index)));
                }
                Item::Erasure(counter, index) => {
                    let body = self.place(counter, index);
                    let log = self.log_id();
                    let mut out = Vec::new();
                    let list = ErasureList::encode(&[ErasedBody { log, body }], &mut out);
                    open.push(&Entry::Erasure(list));
                }
            }
        }
        open
    }

    /// Makes zeros of the bodies that are erased.
    fn erase(&self, at: Sequence, turn: &Turn, batch: &mut [u8], bodies_bytes: usize) {
        let index_bytes = u32::from_le_bytes(batch[24..28].try_into().unwrap()) as usize;
        let mut offset = BATCH_HEADER_BYTES + index_bytes;
        let end = offset + bodies_bytes;
        for (index, item) in turn.items.iter().enumerate() {
            let bytes = match item {
                Item::Body(_, number) => body(*number).len(),
                Item::Junk(text) => text.len(),
                _ => continue,
            };
            if self.erased.contains(&(at.counter(), index as u32)) {
                batch[offset..offset + bytes].fill(0);
            }
            offset += bytes;
        }
        assert_eq!(offset, end);
    }

    fn turns(&self) -> impl Iterator<Item = (u64, &Turn)> {
        (1..).zip(self.segments.iter().flatten())
    }

    fn body_of(&self, counter: u64, index: u32) -> (&'static str, u64) {
        let (_, turn) = self.turns().find(|it| it.0 == counter).unwrap();
        match turn.items[index as usize] {
            Item::Body(tenant, number) => (tenant, number),
            ref other => panic!("{other:?} cannot be accepted"),
        }
    }

    /// All bodies: sequence counter, index, tenant, id, time, disposition. What the log has no disposition of is `pending`.
    pub(super) fn bodies(&self) -> Vec<Expected> {
        let mut bodies = Vec::new();
        for (counter, turn) in self.turns().filter(|it| !self.is_given_up(it.0)) {
            for (index, item) in (0..).zip(&turn.items) {
                let (tenant, number) = match item {
                    Item::Body(tenant, number) => (*tenant, Some(*number)),
                    Item::Junk(_) => ("default", None),
                    _ => continue,
                };
                bodies.push(Expected {
                    counter,
                    index,
                    tenant,
                    number,
                    wall_us: turn.wall_us,
                    disposition: self.disposition(counter, index),
                    is_erased: self.erased.contains(&(counter, index)),
                });
            }
        }
        bodies
    }

    fn disposition(&self, counter: u64, index: u32) -> &'static str {
        let turns = self.turns().filter(|it| !self.is_given_up(it.0));
        let items = turns.flat_map(|it| &it.1.items);
        let word = |item: &Item| match *item {
            Item::Accepted(a, b) if (a, b) == (counter, index) => Some("accepted"),
            Item::Refused(a, b) if (a, b) == (counter, index) => Some("refused"),
            Item::Duplicate(a, b) if (a, b) == (counter, index) => Some("duplicate"),
            Item::Unanswered(a, b) if (a, b) == (counter, index) => Some("unanswered"),
            _ => None,
        };
        // The last one stands.
        items.filter_map(word).last().unwrap_or("pending")
    }
}

/// A body that must be in an archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Expected {
    pub(super) counter: u64,
    pub(super) index: u32,
    pub(super) tenant: &'static str,
    pub(super) number: Option<u64>,
    pub(super) wall_us: u64,
    pub(super) disposition: &'static str,
    pub(super) is_erased: bool,
}

fn salt(ordinal: usize) -> u64 {
    1000 + ordinal as u64
}

fn meta(tenant: &str) -> BodyMeta<'_> {
    BodyMeta {
        snapshot: 7,
        tenant,
        ..BodyMeta::default()
    }
}

fn decision(body: Place, tenant: &str, number: u64) -> Decision<'_> {
    let mut pcs_id = [0; 32];
    pcs_id[24..].copy_from_slice(&number.to_be_bytes());
    Decision {
        body,
        tenant,
        pcs_id,
        digest: [5; 32],
        key_id: [6; 8],
        params: "1",
        decided_at: 10,
        expiry: 20,
        encoding: 1,
        reason: 0,
        regime: 1,
        numbers: [1.0; 4],
        origin: 0,
    }
}
