//! A log as its writer would leave it, for tests: random batches, rolls and write failovers, a manifest that lags behind, and
//! a last write that reached the disk in part. It remembers what was durable, so that it can judge a reader.

use crate::wal::batch::{Assembled, BatchFields, BatchLimits, OpenBatch, rewrite};
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use crate::wal::manifest::{Extent, LogEntry, Manifest, SegmentEntry, SegmentState};
use crate::wal::name::{LogId, Place, Sequence};
use crate::wal::record::{BodyMeta, Entry, Refused};
use crate::wal::segment::{Predecessor, SegmentHeader, SegmentLabels};
use proptest::prelude::*;

pub(in crate::wal) const LOG: LogId = LogId {
    start: 3,
    number: 1,
};
const GENERATION: u64 = 9;

/// What the writer does next.
#[derive(Clone, Debug)]
pub(in crate::wal) enum Step {
    /// Write a batch of bodies of these lengths (none: a mark) and make it durable.
    Commit(Vec<u16>),
    /// Like `Commit`, into the next segment.
    Roll(Vec<u16>),
    /// The write of the batch fails after these blocks arrived (bit mask); it is repeated in the next segment.
    TakeOver(Vec<u16>, u64),
}

/// How the run ends.
#[derive(Clone, Debug)]
pub(in crate::wal) enum Crash {
    /// Nothing was in flight.
    Quiet,
    /// A batch was in flight, and these of its blocks arrived; into the next segment if `roll`.
    InFlight {
        bodies: Vec<u16>,
        arrived: u64,
        roll: bool,
    },
}

/// What happens to the disk afterwards.
#[derive(Clone, Debug)]
pub(in crate::wal) enum Harm {
    /// One bit changes.
    Flip { block: usize, bit: usize },
    /// A block was lost: zeros.
    Lose { block: usize },
    /// A block was lost: it holds what it held in an earlier life of the file.
    Recycle { block: usize },
    /// The file ends before a block.
    Cut { block: usize },
}

/// A batch that was made durable.
#[derive(Clone, Debug)]
pub(in crate::wal) struct Durable {
    pub(in crate::wal) sequence: Sequence,
    pub(in crate::wal) segment: usize,
    pub(in crate::wal) offset: usize,
    pub(in crate::wal) bytes: usize,
    /// Bytes without padding.
    pub(in crate::wal) used: usize,
}

/// The disk, the manifest, and the truth.
#[derive(Clone, Debug)]
pub(in crate::wal) struct World {
    pub(in crate::wal) manifest: Manifest,
    pub(in crate::wal) files: Vec<Vec<u8>>,
    pub(in crate::wal) durable: Vec<Durable>,
    /// The sequence in flight at the crash.
    pub(in crate::wal) in_flight: Option<Sequence>,
}

/// An earlier life of a file: whole batches under another salt, with tempting sequences.
fn earlier_life(segment_blocks: usize) -> Vec<u8> {
    let mut open = OpenBatch::new(BatchLimits::default());
    let meta = BodyMeta {
        tenant: "default",
        ..BodyMeta::default()
    };
    open.push_body(&[b'o'; 300], &meta);
    let mut file = Vec::new();
    let mut blocks = Blocks::default();
    for counter in 1..=segment_blocks as u64 {
        let sequence = Sequence(Sequence::before_first(LOG.start).0 + counter);
        let fields = BatchFields {
            salt: 0x01d_5a17,
            sequence,
            durable_upto: Sequence(sequence.0 - 1),
            ..BatchFields::default()
        };
        open.assemble(&fields, None, &mut blocks);
        file.extend_from_slice(blocks.bytes());
    }
    file
}

struct Writer {
    world: World,
    recycled: Vec<u8>,
    open: OpenBatch,
    blocks: Blocks,
    segment: Option<usize>,
    offset: usize,
    last: Sequence,
    last_checksum: u32,
    first: Sequence,
    closed: Vec<Extent>,
    /// Segments whose first write failed: no manifest calls one open.
    failed: Vec<usize>,
}

impl World {
    /// Runs a writer. `lag` is how many segment changes the manifest misses at most: 1 or 0.
    pub(in crate::wal) fn run(
        steps: &[Step],
        crash: &Crash,
        segment_blocks: usize,
        lag: bool,
    ) -> World {
        let recycled = earlier_life(segment_blocks);
        let mut writer = Writer {
            world: World {
                manifest: Manifest {
                    installation: [7; 16],
                    incarnation: [8; 16],
                    generation: GENERATION,
                    start: LOG.start,
                    ..Manifest::default()
                },
                files: Vec::new(),
                durable: Vec::new(),
                in_flight: None,
            },
            recycled,
            open: OpenBatch::new(BatchLimits::default()),
            blocks: Blocks::default(),
            segment: None,
            offset: 0,
            last: Sequence::before_first(LOG.start),
            last_checksum: 0,
            first: Sequence::default(),
            closed: Vec::new(),
            failed: Vec::new(),
        };
        writer.name_next();
        for step in steps {
            writer.step(step);
        }
        writer.crash(crash);
        writer.finish(lag)
    }
}

impl Writer {
    fn name_next(&mut self) {
        let recycled = self.world.files.len() % 2 == 1;
        let file = if recycled {
            self.recycled.clone()
        } else {
            vec![0; self.recycled.len()]
        };
        self.world.files.push(file);
    }

    fn salt(segment: usize) -> u64 {
        0xabcd_0000 + segment as u64
    }

    fn lead(&self, segment: usize) -> SegmentHeader {
        SegmentHeader {
            installation: [7; 16],
            incarnation: [8; 16],
            log: LOG,
            ordinal: segment as u32,
            salt: Writer::salt(segment),
            generation: GENERATION,
            predecessor: (segment > 0).then_some(Predecessor {
                ends_after: self.last,
                checksum: self.last_checksum,
            }),
            made_bytes: Some(self.recycled.len() as u64),
            labels: SegmentLabels::default(),
        }
    }

    fn fill(&mut self, bodies: &[u16]) {
        self.open.clear();
        let meta = BodyMeta {
            tenant: "default",
            ..BodyMeta::default()
        };
        for (at, &bytes) in bodies.iter().enumerate() {
            let body = vec![b'a' + (at % 26) as u8; usize::from(bytes)];
            let index = self.open.push_body(&body, &meta);
            let place = Place {
                sequence: self.next(),
                index,
            };
            self.open.push(&Entry::Refused(Refused {
                body: place,
                status: 401,
                code: 80,
            }));
        }
    }

    fn next(&self) -> Sequence {
        self.last.next().unwrap()
    }

    fn fields(&self) -> BatchFields {
        BatchFields {
            salt: self.segment.map_or(0, Writer::salt),
            sequence: self.next(),
            expiry_clock_s: self.next().counter() as u32,
            wall_us: 1_000 * self.next().counter(),
            durable_upto: self.last,
            resolved_upto: self.last,
            previous_checksum: self.last_checksum,
            term: 0,
        }
    }

    /// Assembles the open batch for the current segment, or for the next one where it must or shall go there.
    fn assemble(&mut self, roll: bool) -> (usize, usize, Assembled) {
        let lead = |writer: &Writer, segment: usize| {
            let header = writer.lead(segment);
            (segment, header)
        };
        if let (Some(segment), false) = (self.segment, roll) {
            let fields = self.fields();
            let assembled = self.open.assemble(&fields, None, &mut self.blocks);
            if self.offset + assembled.bytes <= self.recycled.len() {
                return (segment, self.offset, assembled);
            }
        }
        let (segment, header) = lead(self, self.segment.map_or(0, |segment| segment + 1));
        let fields = self.fields();
        let assembled = self.open.assemble(&fields, Some(&header), &mut self.blocks);
        (segment, 0, assembled)
    }

    /// Copies those blocks of the assembled write that arrived.
    fn write(&mut self, segment: usize, offset: usize, arrived: u64) {
        let file = &mut self.world.files[segment];
        for (at, block) in self.blocks.bytes().chunks(BLOCK_BYTES).enumerate() {
            if arrived >> (at % 64) & 1 == 1 {
                let start = offset + at * BLOCK_BYTES;
                file[start..start + BLOCK_BYTES].copy_from_slice(block);
            }
        }
    }

    /// The assembled write became durable.
    fn confirm(&mut self, segment: usize, offset: usize, assembled: Assembled) {
        self.write(segment, offset, u64::MAX);
        let sequence = self.next();
        let lead_bytes = if self.segment == Some(segment) {
            0
        } else {
            BLOCK_BYTES
        };
        if lead_bytes > 0 {
            self.close(segment);
            self.name_next();
            self.first = sequence;
        }
        let header =
            crate::wal::batch::BatchHeader::decode(&self.blocks.bytes()[lead_bytes..]).unwrap();
        self.world.durable.push(Durable {
            sequence,
            segment,
            offset: offset + lead_bytes,
            bytes: assembled.bytes - lead_bytes,
            used: 96 + header.index_bytes as usize + header.bodies_bytes as usize,
        });
        self.last = sequence;
        self.last_checksum = assembled.checksum;
        self.offset = offset + assembled.bytes;
    }

    /// The first write into a segment failed: the one before is closed, the next one is named.
    fn enter_empty(&mut self, segment: usize) {
        self.close(segment);
        self.name_next();
        self.failed.push(segment);
        self.first = self.next();
        self.offset = 0;
    }

    fn close(&mut self, entered: usize) {
        if self.segment.is_some() {
            self.closed.push(Extent {
                first: self.first,
                last: self.last,
                bytes: self.offset as u64,
                last_checksum: self.last_checksum,
            });
        }
        self.segment = Some(entered);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit(bodies) | Step::Roll(bodies) => {
                self.fill(bodies);
                let (segment, offset, assembled) = self.assemble(matches!(step, Step::Roll(_)));
                self.confirm(segment, offset, assembled);
            }
            Step::TakeOver(bodies, arrived) => {
                self.fill(bodies);
                let (segment, offset, _) = self.assemble(false);
                if self.segment != Some(segment) {
                    // The first write of a segment fails: it is closed without anything in it.
                    self.write(segment, offset, *arrived);
                    self.enter_empty(segment);
                    let header = self.lead(segment + 1);
                    let assembled = rewrite(&mut self.blocks, &header).unwrap();
                    return self.confirm(segment + 1, 0, assembled);
                }
                self.write(segment, offset, *arrived);
                let header = self.lead(segment + 1);
                let assembled = rewrite(&mut self.blocks, &header).unwrap();
                self.confirm(segment + 1, 0, assembled);
            }
        }
    }

    fn crash(&mut self, crash: &Crash) {
        if let Crash::InFlight {
            bodies,
            arrived,
            roll,
        } = crash
        {
            self.fill(bodies);
            let (segment, offset, _) = self.assemble(*roll);
            self.write(segment, offset, *arrived);
            self.world.in_flight = Some(self.next());
        }
    }

    fn finish(mut self, lag: bool) -> World {
        let current = self.segment.unwrap_or(0);
        let known = if lag {
            current.saturating_sub(1)
        } else {
            current
        };
        let state = |segment: usize| {
            if segment < known {
                SegmentState::Closed(self.closed[segment])
            } else if segment == known
                && self.segment.is_some()
                && !(lag && current == 0)
                && !self.failed.contains(&segment)
            {
                SegmentState::Open
            } else {
                SegmentState::Next
            }
        };
        let segments: Vec<SegmentEntry> = (0..self.world.files.len())
            .filter(|&segment| segment <= known + 1)
            .map(|segment| SegmentEntry {
                ordinal: segment as u32,
                file: segment as u64,
                salt: Writer::salt(segment),
                generation: GENERATION,
                state: state(segment),
            })
            .collect();
        self.world.files.truncate(segments.len());
        self.world.manifest.next_file = segments.len() as u64;
        self.world.manifest.logs.push(LogEntry {
            id: LOG,
            incarnation: [8; 16],
            ended_at: None,
            resolved_upto: Sequence::before_first(LOG.start),
            segments,
        });
        self.world
    }
}

impl World {
    /// Changes the disk and says which sequence lost bytes that count, if any did.
    pub(in crate::wal) fn harm(&mut self, harm: &Harm) {
        let blocks: usize = self.files.iter().map(|file| file.len() / BLOCK_BYTES).sum();
        let (Harm::Flip { block, .. }
        | Harm::Lose { block }
        | Harm::Recycle { block }
        | Harm::Cut { block }) = harm;
        let mut at = block % blocks.max(1);
        for file in &mut self.files {
            let count = file.len() / BLOCK_BYTES;
            if at >= count {
                at -= count;
                continue;
            }
            let recycled = earlier_life(count);
            let range = at * BLOCK_BYTES..(at + 1) * BLOCK_BYTES;
            match harm {
                Harm::Flip { bit, .. } => {
                    let bit = bit % (BLOCK_BYTES * 8);
                    file[range.start + bit / 8] ^= 1 << (bit % 8);
                }
                Harm::Lose { .. } => file[range].fill(0),
                Harm::Recycle { .. } => {
                    let old = recycled[range.clone()].to_vec();
                    file[range].copy_from_slice(&old);
                }
                Harm::Cut { .. } => file.truncate(range.start),
            }
            return;
        }
    }
}

fn bodies() -> impl Strategy<Value = Vec<u16>> {
    prop_oneof![
        1 => Just(Vec::new()),
        4 => prop::collection::vec(1u16..3_000, 1..6),
        1 => prop::collection::vec(5_000u16..9_000, 1..2),
    ]
}

/// Which blocks of a write arrive.
fn arrived() -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0), 2 => Just(u64::MAX), 2 => any::<u64>(), 2 => 0u64..16]
}

pub(in crate::wal) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => bodies().prop_map(Step::Commit),
        1 => bodies().prop_map(Step::Roll),
        1 => (bodies(), arrived()).prop_map(|(bodies, arrived)| Step::TakeOver(bodies, arrived)),
    ];
    prop::collection::vec(step, 0..14)
}

pub(in crate::wal) fn crash() -> impl Strategy<Value = Crash> {
    let in_flight =
        (bodies(), arrived(), prop::bool::weighted(0.3)).prop_map(|(bodies, arrived, roll)| {
            Crash::InFlight {
                bodies,
                arrived,
                roll,
            }
        });
    prop_oneof![1 => Just(Crash::Quiet), 4 => in_flight]
}

pub(in crate::wal) fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        (any::<usize>(), any::<usize>()).prop_map(|(block, bit)| Harm::Flip { block, bit }),
        any::<usize>().prop_map(|block| Harm::Lose { block }),
        any::<usize>().prop_map(|block| Harm::Recycle { block }),
        any::<usize>().prop_map(|block| Harm::Cut { block }),
    ]
}
