//! From a body to a verdict: `serde_json` reads it, as most services would; signature, identity and verdict are the gateway's own
//! code, so that all systems do the same work for the same answer. It keeps nothing.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use flk_contract::{
    Ft, KeyError, KeySet, Params, Record, Regime, Scheme, Scratch, SlopeCache, check_identity,
    judge, outcome,
};
use serde::Deserialize;

/// A record as it stands in a body.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    pcs_id: Cow<'a, str>,
    #[serde(borrow)]
    schema: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    shard_id: Cow<'a, str>,
    epoch: u64,
    attempt: u64,
    #[serde(borrow)]
    sent_at: Cow<'a, str>,
    seed: i64,
    scales: Vec<u32>,
    #[serde(rename = "N_j")]
    n_j: BTreeMap<u32, u64>,
    coh_star: f64,
    v_star: Vec<f64>,
    #[serde(rename = "D_hat")]
    d_hat: f64,
    r: f64,
    regime: &'a str,
    budget: f64,
    #[serde(borrow)]
    merkle_root: Cow<'a, str>,
    #[serde(borrow)]
    sig: Cow<'a, str>,
    ft: BodyFt,
}

/// The agent's statement about itself.
#[derive(Deserialize)]
struct BodyFt {
    outbox_seq: i64,
    degraded: bool,
    clock_skew_ms: i64,
}

/// What is to be answered, and whether anything is to be stored before.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The body is no record, or its id does not follow from its fields.
    Malformed,
    /// No key signed it.
    Forged,
    /// The answer once the record is stored.
    Authentic {
        id: [u8; 32],
        status: u16,
        answer: Vec<u8>,
    },
}

/// The key, and the parameters of verdicts.
pub(crate) struct Judge {
    keys: KeySet,
    params: Params,
}

thread_local! {
    static ROOM: RefCell<(Scratch, SlopeCache)> = RefCell::new((Scratch::new(), SlopeCache::new()));
}

impl Judge {
    /// Records are signed by this key, with HMAC-SHA256.
    pub(crate) fn new(key: &str) -> Result<Self, KeyError> {
        let keys = KeySet::builder().add(Scheme::default(), key)?.build()?;
        let params = Params::default();
        Ok(Self { keys, params })
    }

    /// The verdict on a body.
    pub(crate) fn verdict(&self, bytes: &[u8]) -> Verdict {
        let Ok(body) = serde_json::from_slice::<Body<'_>>(bytes) else {
            return Verdict::Malformed;
        };
        let counts: Option<Vec<u64>> = body
            .scales
            .iter()
            .map(|it| body.n_j.get(it).copied())
            .collect();
        let regime = body.regime.parse::<Regime>().ok();
        match (counts, regime) {
            (Some(counts), Some(regime)) => self.judge(&body.record(&counts, regime)),
            _ => Verdict::Malformed,
        }
    }

    fn judge(&self, record: &Record<'_>) -> Verdict {
        ROOM.with_borrow_mut(|(scratch, slopes)| {
            if self.keys.verify(record, scratch).is_err() {
                return Verdict::Forged;
            }
            let Ok(id) = check_identity(record) else {
                return Verdict::Malformed;
            };
            let judged = judge(record, &self.params, slopes);
            let mut answer = Vec::with_capacity(300);
            match outcome::write_outcome(outcome::ENCODING, &judged, record.pcs_id, &mut answer) {
                Ok(()) => Verdict::Authentic {
                    id,
                    status: judged.status(),
                    answer,
                },
                Err(_) => Verdict::Malformed,
            }
        })
    }
}

impl Body<'_> {
    fn record<'r>(&'r self, counts: &'r [u64], regime: Regime) -> Record<'r> {
        Record {
            pcs_id: &self.pcs_id,
            schema: &self.schema,
            version: &self.version,
            shard_id: &self.shard_id,
            epoch: self.epoch,
            attempt: self.attempt,
            sent_at: &self.sent_at,
            seed: self.seed,
            scales: &self.scales,
            n_j: counts,
            coh_star: self.coh_star,
            v_star: &self.v_star,
            d_hat: self.d_hat,
            r: self.r,
            budget: self.budget,
            regime,
            merkle_root: &self.merkle_root,
            sig: &self.sig,
            ft: Ft {
                outbox_seq: self.ft.outbox_seq,
                degraded: self.ft.degraded,
                fallbacks: Default::default(),
                clock_skew_ms: self.ft.clock_skew_ms,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_bench_load::stock::Request;
    use flk_contract::hash::hex32;

    const KEY: &str = "a key of these tests, of no use elsewhere";

    fn verdict(body: &[u8]) -> Verdict {
        Judge::new(KEY).unwrap().verdict(body)
    }

    #[test]
    fn a_record_gets_the_answer_of_the_contract_and_its_id() {
        for number in 0..100 {
            let request = Request::with_record("host", KEY.as_bytes(), number);
            let Verdict::Authentic { id, status, answer } = verdict(request.body()) else {
                panic!("record {number} is refused");
            };
            let text = String::from_utf8(answer).unwrap();
            let hex = String::from_utf8(hex32(&id).to_vec()).unwrap();
            assert_eq!(hex.as_bytes(), request.pcs_id());
            assert_eq!(status, 200);
            assert!(
                text.starts_with(&format!(r#"{{"pcs_id":"{hex}","accepted":true,"#)),
                "{text}"
            );
        }
    }

    #[test]
    fn another_key_or_another_number_is_forged_and_half_a_body_is_malformed() {
        let other = Request::with_record("host", b"another key", 1);
        assert!(matches!(verdict(other.body()), Verdict::Forged));
        let request = Request::with_record("host", KEY.as_bytes(), 1);
        let text = String::from_utf8(request.body().to_vec()).unwrap();
        let changed = text.replace(r#""r":0.4"#, r#""r":0.5"#);
        assert_ne!(changed, text);
        assert!(matches!(verdict(changed.as_bytes()), Verdict::Forged));
        let changed = text.replace("sticky", "other");
        assert!(matches!(verdict(changed.as_bytes()), Verdict::Malformed));
        assert!(matches!(
            verdict(&request.body()[..300]),
            Verdict::Malformed
        ));
    }
}
