//! The log's writing end without a disk: bodies and their decisions become the blocks of one write.

use super::Once;
use crate::records::{SAMPLES, bodies, records};
use crate::setting::{begin, segment};
use flk_contract::outcome::ENCODING;
use flk_contract::{ParamsVersion, identity};
use flk_dataplane::io::{FileId, Now};
use flk_dataplane::wal::batch::{BatchLimits, OpenBatch};
use flk_dataplane::wal::buffer::Blocks;
use flk_dataplane::wal::name::Place;
use flk_dataplane::wal::record::{BodyMeta, Decision, Entry};
use flk_dataplane::wal::writer::{LogOp, LogWriter};
use std::hint::black_box;

/// Records of one batch: a batch of a busy gateway, for most of the cost of one is per record.
pub(super) const RECORDS: u64 = 32;

struct Bench {
    log: LogWriter,
    ops: Vec<LogOp>,
    bodies: Vec<Vec<u8>>,
    ids: Vec<[u8; 32]>,
    now: Now,
    segments_count: u32,
}

impl Bench {
    fn new() -> Bench {
        let first = segment(0, FileId(0));
        let open = OpenBatch::new(BatchLimits::default());
        let start = begin(0, 0, first, 0).log_start();
        let id = |record: flk_contract::Record<'_>| {
            identity::pcs_id(record.merkle_root, record.epoch, record.shard_id)
        };
        Bench {
            log: LogWriter::new(&start, open, Box::new(Blocks::with_capacity(1 << 20))),
            ops: Vec::with_capacity(16),
            bodies: bodies(0..SAMPLES),
            ids: records().into_iter().map(id).collect(),
            now: Now {
                mono_us: 1,
                wall_us: 1,
            },
            segments_count: 1,
        }
    }

    /// One batch of records, each with its decision, durable.
    fn batch(&mut self) {
        let meta = BodyMeta {
            tenant: "default",
            ..BodyMeta::default()
        };
        for at in 0..RECORDS as usize {
            let place = self.log.push_body(&self.bodies[at], &meta);
            let decision = decision(place, self.ids[at]);
            let entry = Entry::Decision(decision);
            self.log.push_disposition(place, 0, &entry);
        }
        self.now.mono_us += 100;
        self.log.commit(self.now, 1, &mut self.ops);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(op) = self.ops.pop() {
            match op {
                LogOp::Write { blocks, .. } => {
                    let bytes = black_box(blocks.bytes()).len() as u32;
                    self.log.written(blocks, Ok(bytes), &mut self.ops);
                }
                LogOp::Entered(_) => {
                    let ordinal = self.segments_count;
                    self.segments_count += 1;
                    self.log.offer(segment(ordinal, FileId(ordinal as i32)));
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }
}

fn decision(body: Place, pcs_id: [u8; 32]) -> Decision<'static> {
    const PARAMS: ParamsVersion = ParamsVersion::ONE;
    Decision {
        body,
        tenant: "default",
        pcs_id,
        digest: pcs_id,
        key_id: [5; 8],
        params: PARAMS.as_str(),
        decided_at: 1,
        expiry: 1001,
        encoding: ENCODING,
        reason: 0,
        regime: 0,
        numbers: [1.5, 1.5, 0.5, 0.5],
        origin: 0,
    }
}

/// [`RECORDS`] bodies with their decisions, encoded, handed over and confirmed.
pub(super) fn encode() -> Once {
    let mut bench = Bench::new();
    Box::new(move || bench.batch())
}
