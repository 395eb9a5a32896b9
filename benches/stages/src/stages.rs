//! Each stage of the record path as one call that can be repeated: prepared once, with samples that are taken in turn. What a
//! stage needs of the ones before it is made beforehand and is no part of it.

mod dedup;
mod log;
mod record;

use crate::records::{Cycle, SAMPLES, requests};
use flk_dataplane::http::{HttpLimits, read_head};
use std::hint::black_box;

/// Does the work of a stage once.
pub type Once = Box<dyn FnMut()>;

/// One stage.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Its name, a path.
    pub name: &'static str,
    /// Records that one call works on.
    pub records: u64,
    /// Makes what it needs.
    pub prepare: fn() -> Once,
}

/// All of them, in the order in which a record meets them. `verdict` is all from `parse` to `verify`.
pub const STAGES: [Stage; 15] = [
    Stage::of("stage/frame", frame),
    Stage::of("stage/parse", record::parse),
    Stage::of("stage/payload", record::payload),
    Stage::of("stage/hash/payload", record::hash_payload),
    Stage::of("stage/hmac", record::hmac),
    Stage::of("stage/signature/hmac", record::signature_hmac),
    Stage::of("stage/signature/ed25519", record::signature_ed25519),
    Stage::of("stage/hash/pcs_id", record::hash_pcs_id),
    Stage::of("stage/verify", record::verify),
    Stage::of("stage/verdict", record::verdict),
    Stage::of("stage/key", dedup::key),
    Stage::of("stage/claim/new", dedup::claim_new),
    Stage::of("stage/claim/duplicate", dedup::claim_duplicate),
    Stage {
        name: "stage/log/encode",
        records: log::RECORDS,
        prepare: log::encode,
    },
    Stage::of("stage/reply", record::reply),
];

impl Stage {
    const fn of(name: &'static str, prepare: fn() -> Once) -> Stage {
        Stage {
            name,
            records: 1,
            prepare,
        }
    }

    /// Prepares it and calls it so often.
    pub fn run(self, calls: u64) {
        let mut once = (self.prepare)();
        for _ in 0..calls {
            once();
        }
    }
}

/// Reads the head of a request.
fn frame() -> Once {
    let limits = HttpLimits::default();
    let mut requests = Cycle::of(requests(0..SAMPLES));
    Box::new(move || {
        black_box(read_head(requests.take(), &limits));
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_stage_runs_and_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = STAGES.iter().map(|stage| stage.name).collect();
        assert_eq!(names.len(), STAGES.len());
        for stage in STAGES {
            stage.run(SAMPLES + 1);
        }
    }
}
