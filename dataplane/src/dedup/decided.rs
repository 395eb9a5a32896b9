//! How an outcome is stored, and the ways there and back: from what verification decided, from and to the log record of a
//! decision, and to the outcome that a duplicate is answered with. Table and slices hold it as the words of
//! [`entry`](super::entry). No other file knows which field of one form is which of another.

use super::Key;
use crate::wal::Epoch;
use crate::wal::name::Place;
use crate::wal::record::Decision;
use flk_contract::outcome::{ENCODING, unknown_part};
use flk_contract::{Outcome, ParamsVersion, Reason, Regime};

/// One decision as memory and slices hold it: all that is needed to answer a duplicate. 72 bytes, no padding.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Decided {
    /// The key.
    pub key: Key,
    /// First 8 bytes of the signing digest, little-endian: tells a duplicate from a conflict.
    pub digest_tag: u64,
    /// Claimed D̂, recomputed D̂, claimed budget, recomputed budget.
    pub numbers: [f64; 4],
    /// Second of the expiry clock at which the owner granted the claim.
    pub decided_at: u32,
    /// Second of the expiry clock from which on this entry answers nothing.
    pub expiry: u32,
    /// Index into the process's dictionary of parameter-set versions.
    pub params: u16,
    /// 0 accepted, else the escalation reason's number.
    pub reason: u8,
    /// The regime's number.
    pub regime: u8,
    /// Encoding of the outcome text.
    pub encoding: u8,
    /// Number of the node of its group that decided it; 0 is a node that stands alone.
    pub origin: u8,
    /// Seal epoch of the segment that logged the decision; the owner fills it in when the decision is durable. Not part
    /// of the decision: two entries that differ only here are the same decision.
    pub epoch: Epoch,
}

const _: () = assert!(size_of::<Decided>() == 72, "a decision takes 72 bytes");

/// What a log record of a decision says of the record that it decides, besides the outcome.
#[derive(Clone, Copy, Debug)]
pub struct DecidedRecord<'a> {
    /// The name of its tenant.
    pub tenant: &'a str,
    /// Its body in the log.
    pub body: Place,
    /// Its id.
    pub pcs_id: [u8; 32],
    /// Its signing digest in the default number form.
    pub digest: [u8; 32],
    /// The key that verified it.
    pub key_id: [u8; 8],
}

/// What tells a duplicate from a conflict, of a record's signing digest. The only place that derives it: with two, a drift
/// would turn duplicates into conflicts after a restart.
fn digest_tag(signing_digest: &[u8; 32]) -> u64 {
    let (tag, _) = signing_digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
    u64::from_le_bytes(*tag)
}

impl Decided {
    /// What verification decided, before an owner has stamped it. `params` is the index of its parameter set.
    pub fn candidate(
        key: Key,
        outcome: &Outcome,
        params: u16,
        signing_digest: &[u8; 32],
    ) -> Decided {
        Decided {
            key,
            digest_tag: digest_tag(signing_digest),
            numbers: [
                outcome.d_hat,
                outcome.recomputed_d_hat,
                outcome.budget,
                outcome.recomputed_budget,
            ],
            params,
            reason: outcome.escalated.map_or(0, |reason| reason.code()),
            regime: outcome.regime.code(),
            encoding: ENCODING,
            ..Decided::default()
        }
    }

    /// What a log record says was decided. `params` is the index of the parameter set that it names.
    pub fn of_record(key: Key, decision: &Decision<'_>, params: u16) -> Decided {
        Decided {
            key,
            digest_tag: digest_tag(&decision.digest),
            numbers: decision.numbers,
            decided_at: decision.decided_at,
            expiry: decision.expiry,
            params,
            reason: decision.reason,
            regime: decision.regime,
            encoding: decision.encoding,
            origin: decision.origin,
            ..Decided::default()
        }
    }

    /// The log record of this decision.
    pub fn to_record<'a>(&self, of: &DecidedRecord<'a>, params: &'a str) -> Decision<'a> {
        debug_assert_eq!(self.digest_tag, digest_tag(&of.digest));
        Decision {
            body: of.body,
            tenant: of.tenant,
            pcs_id: of.pcs_id,
            digest: of.digest,
            key_id: of.key_id,
            params,
            decided_at: self.decided_at,
            expiry: self.expiry,
            encoding: self.encoding,
            reason: self.reason,
            regime: self.regime,
            numbers: self.numbers,
            origin: self.origin,
        }
    }

    /// What was decided, to be answered. `params_version` is the parameter set of `params`.
    pub fn outcome(&self, params_version: ParamsVersion) -> Outcome {
        let [d_hat, recomputed_d_hat, budget, recomputed_budget] = self.numbers;
        Outcome {
            escalated: Reason::from_code(self.reason),
            d_hat,
            recomputed_d_hat,
            budget,
            recomputed_budget,
            regime: Regime::from_code(self.regime).unwrap_or(Regime::Mixed),
            params_version,
        }
    }

    /// The same decision on a clock that began so much earlier. Times end at the end of the clock.
    pub fn on_clock(self, base_s: u32) -> Decided {
        Decided {
            decided_at: self.decided_at.saturating_add(base_s),
            expiry: self.expiry.saturating_add(base_s),
            ..self
        }
    }

    /// Whether this entry still answers at that reading of the expiry clock.
    pub fn live_at(&self, now_s: u32) -> bool {
        now_s < self.expiry
    }

    /// The part of it that this build cannot answer with, and that part's number: a newer flk wrote it.
    pub fn unknown_part(&self) -> Option<(&'static str, u8)> {
        unknown_part(self.encoding, self.reason, self.regime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::name::Sequence;
    use proptest::prelude::*;

    #[test]
    fn on_another_clock_a_decision_lives_as_long_and_never_beyond_the_end_of_time() {
        let lives = |decided_at, expiry| {
            let decided = Decided {
                decided_at,
                expiry,
                ..Decided::default()
            };
            let Decided {
                decided_at, expiry, ..
            } = decided.on_clock(1_000);
            (decided_at, expiry)
        };
        assert_eq!(lives(5, 15), (1_005, 1_015));
        assert_eq!(lives(5, u32::MAX - 1), (1_005, u32::MAX));
    }

    proptest! {
        /// What is answered before a restart, and what is known of a record after one, are the same.
        #[test]
        fn an_outcome_is_the_same_from_memory_and_from_the_log(
            numbers: [f64; 4],
            digest: [u8; 32],
            stamps in (0u32..100, 100u32..200),
            params in 0u16..3,
            reason in 0u8..3,
            regime in 1u8..=3,
            origin: u8,
        ) {
            let version = ParamsVersion::new("1").unwrap();
            let outcome = Outcome {
                escalated: Reason::from_code(reason),
                d_hat: numbers[0],
                recomputed_d_hat: numbers[1],
                budget: numbers[2],
                recomputed_budget: numbers[3],
                regime: Regime::from_code(regime).unwrap(),
                params_version: version,
            };
            let key = Key { high: 1, low: 2 };
            let decided = Decided {
                decided_at: stamps.0,
                expiry: stamps.1,
                origin,
                ..Decided::candidate(key, &outcome, params, &digest)
            };
            prop_assert_eq!(format!("{:?}", decided.outcome(version)), format!("{outcome:?}"));
            let of = DecidedRecord {
                tenant: "default",
                body: Place { sequence: Sequence(3), index: 4 },
                pcs_id: [5; 32],
                digest,
                key_id: [6; 8],
            };
            let again = Decided::of_record(key, &decided.to_record(&of, version.as_str()), params);
            prop_assert_eq!(format!("{again:?}"), format!("{decided:?}"));
            let tag = again.digest_tag.to_le_bytes();
            prop_assert_eq!(tag.as_slice(), &digest[..8]);
        }
    }
}
