//! What is done with one record, from its body to its answer: pure functions of the contract crate and of `verdict`.

use super::Once;
use crate::records::{Cycle, KEY, SAMPLES, bodies, ed25519_records, records};
use flk_contract::canonical::{self, write_payload};
use flk_contract::hash::{HmacKey, hex32, sha256};
use flk_contract::outcome::{ENCODING, write_outcome};
use flk_contract::{
    KeySet, NumberForm, Params, Parser, PayloadBuf, Scheme, Scratch, SlopeCache, authenticate,
    identity, judge,
};
use flk_dataplane::http::{Afterwards, Common, Date, Dedup, ResponsePart, respond};
use flk_dataplane::snapshot::ActiveKeys;
use flk_dataplane::verdict::{Case, Judge};
use std::hint::black_box;

/// The members of a body become a record.
pub(super) fn parse() -> Once {
    let mut bodies = Cycle::of(bodies(0..SAMPLES));
    let mut parser = Parser::new();
    Box::new(move || {
        let record = parser.parse(bodies.take());
        assert!(black_box(&record).is_ok());
    })
}

/// A record becomes the bytes that are signed.
pub(super) fn payload() -> Once {
    let mut records = Cycle::of(records());
    let mut out = PayloadBuf::new();
    Box::new(move || {
        out.clear();
        write_payload(records.take(), NumberForm::Repr, &mut out);
        black_box(out.bytes());
    })
}

/// SHA-256 of those bytes.
pub(super) fn hash_payload() -> Once {
    let mut out = PayloadBuf::new();
    let payloads = records().into_iter().map(|record| {
        out.clear();
        write_payload(&record, NumberForm::Repr, &mut out);
        out.bytes().to_vec()
    });
    let mut payloads = Cycle::of(payloads.collect());
    Box::new(move || {
        black_box(sha256(&[payloads.take()]));
    })
}

/// HMAC-SHA256 of that digest under a key that is prepared, compared with the tag.
pub(super) fn hmac() -> Once {
    let key = HmacKey::new(KEY.as_bytes());
    let mut scratch = PayloadBuf::new();
    let signed = records().into_iter().map(|record| {
        let digest = canonical::digest(&record, NumberForm::Repr, &mut scratch);
        (digest, key.tag(&digest))
    });
    let mut signed = Cycle::of(signed.collect());
    Box::new(move || {
        let (digest, tag) = signed.take();
        assert!(black_box(key.verify(digest, tag)));
    })
}

/// Everything about the signature of a record: base64, payload, its digest, and the key.
fn signature(records: Vec<flk_contract::Record<'static>>, scheme: Scheme, key: &str) -> Once {
    let keys = key_set(scheme, key);
    let mut records = Cycle::of(records);
    let mut scratch = Scratch::new();
    Box::new(move || {
        let verified = authenticate(records.take(), &keys, &mut scratch);
        assert!(black_box(verified).is_ok());
    })
}

/// The same by an HMAC key.
pub(super) fn signature_hmac() -> Once {
    signature(records(), Scheme::default(), KEY)
}

/// The same by an Ed25519 key.
pub(super) fn signature_ed25519() -> Once {
    let (records, scheme, key) = ed25519_records();
    signature(records, scheme, &key)
}

fn key_set(scheme: Scheme, key: &str) -> KeySet {
    let keys = KeySet::builder().add(scheme, key).expect("a key");
    keys.build().expect("a set of one key")
}

/// The id that a record must have.
pub(super) fn hash_pcs_id() -> Once {
    let mut records = Cycle::of(records());
    Box::new(move || {
        let record = records.take();
        let id = identity::pcs_id(record.merkle_root, record.epoch, record.shard_id);
        black_box(id);
    })
}

/// The outcome of a record.
pub(super) fn verify() -> Once {
    let mut records = Cycle::of(records());
    let (params, mut slopes) = (Params::default(), SlopeCache::new());
    Box::new(move || {
        black_box(judge(records.take(), &params, &mut slopes));
    })
}

/// What the verdict is given under, at its cheapest: no look-up of tenant or parameter set.
struct OneKey {
    keys: ActiveKeys,
    params: Params,
}

impl Case for OneKey {
    fn keys(&self) -> &ActiveKeys {
        &self.keys
    }

    fn params(&mut self, _: &str) -> &Params {
        &self.params
    }
}

/// The verdict on a body: everything above in one.
pub(super) fn verdict() -> Once {
    let mut case = OneKey {
        keys: ActiveKeys::Set(key_set(Scheme::default(), KEY)),
        params: Params::default(),
    };
    let mut bodies = Cycle::of(bodies(0..SAMPLES));
    let mut verdict = Judge::default();
    Box::new(move || {
        let judged = verdict.verdict(bodies.take(), &mut case);
        assert!(black_box(judged).is_ok());
    })
}

/// The bytes of an answer with an outcome.
pub(super) fn reply() -> Once {
    let (params, mut slopes) = (Params::default(), SlopeCache::new());
    let outcomes = records().into_iter().map(|record| {
        let id = identity::pcs_id(record.merkle_root, record.epoch, record.shard_id);
        (id, judge(&record, &params, &mut slopes))
    });
    let mut outcomes = Cycle::of(outcomes.collect());
    let date = Date::at(0);
    let (mut text, mut out) = (Vec::with_capacity(1024), Vec::with_capacity(1024));
    Box::new(move || {
        text.clear();
        out.clear();
        let (id, outcome) = outcomes.take();
        let hex = hex32(id);
        let hex = std::str::from_utf8(&hex).expect("hexadecimal digits");
        write_outcome(ENCODING, outcome, hex, &mut text).expect("the newest encoding");
        let common = Common {
            date: &date,
            afterwards: Afterwards::GoesOn,
            part: ResponsePart::Whole,
        };
        respond::outcome(&mut out, 200, &text, Dedup::Miss, common);
        black_box(&out);
    })
}
