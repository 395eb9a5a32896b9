//! What the owner of a key does: the key itself, a claim that wins and becomes durable, and one that finds its outcome.

use super::Once;
use crate::records::{Cycle, records};
use flk_dataplane::dedup::claims::{ClaimRequest, Claimant, Effects, Owner, OwnerConfig};
use flk_dataplane::dedup::context::TenantId;
use flk_dataplane::dedup::key::KeyHash;
use flk_dataplane::dedup::protocol::Ticket;
use flk_dataplane::dedup::{Decided, Key, PARTITIONS};
use flk_dataplane::io::ShardId;
use flk_dataplane::wal::Epoch;
use std::hint::black_box;
use std::sync::Arc;

/// Keys that are decided before anything is measured: sixteen to a partition.
const KNOWN: u64 = 16 * PARTITIONS as u64;

/// The key of a record of a tenant.
pub(super) fn key() -> Once {
    let mut hash = KeyHash::new([3; 16]);
    hash.know(["default"].into_iter());
    let mut records = Cycle::of(records());
    Box::new(move || {
        black_box(hash.key_of(TenantId::DEFAULT, records.take().pcs_id));
    })
}

/// An owner of all keys, as it serves one shard.
struct Bench {
    owner: Owner,
    effects: Effects,
}

impl Bench {
    /// With [`KNOWN`] keys.
    fn new() -> Bench {
        let config = OwnerConfig {
            partitions: 0..PARTITIONS,
            table_bytes_max: 1 << 30,
            claims_max: 1024,
            ttl_s: 1000,
        };
        let mut bench = Bench {
            owner: Owner::new(config, Arc::default()),
            effects: Effects::default(),
        };
        for number in 0..KNOWN {
            bench.win(number);
        }
        bench
    }

    fn claim(&mut self, number: u64) {
        let candidate = Decided {
            key: spread(number),
            encoding: 1,
            ..Decided::default()
        };
        let claim = ClaimRequest {
            by: CLAIMANT,
            candidate: &candidate,
        };
        self.owner.claim(claim, 1, &mut self.effects);
        self.answered();
    }

    /// A claim that wins, its decision, and what a turn owes the table for it.
    fn win(&mut self, number: u64) {
        self.claim(number);
        let Claimant { from, ticket } = CLAIMANT;
        let epoch = Epoch::first();
        let key = spread(number);
        self.owner
            .durable(from, ticket, key, epoch, &mut self.effects);
        self.owner.step(1);
    }

    /// Takes the one answer.
    fn answered(&mut self) {
        assert_eq!(self.effects.answers.len(), 1, "each claim is answered once");
        black_box(self.effects.answers.pop());
    }
}

const CLAIMANT: Claimant = Claimant {
    from: ShardId(0),
    ticket: Ticket {
        slot: 0,
        generation: 1,
    },
};

/// Keys as a hash gives them.
fn spread(number: u64) -> Key {
    let high = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Key {
        high,
        low: high ^ number,
    }
}

/// A key that was never seen is claimed, and decided.
pub(super) fn claim_new() -> Once {
    let mut bench = Bench::new();
    let mut number = KNOWN;
    Box::new(move || {
        bench.win(number);
        number += 1;
    })
}

/// A key that is decided is claimed.
pub(super) fn claim_duplicate() -> Once {
    let mut bench = Bench::new();
    let mut number = 0;
    Box::new(move || {
        bench.claim(number);
        number = (number + 1) % KNOWN;
    })
}
