//! What clients send: signed records with the outcome that each must get, made once per process. The oracle knows
//! outcomes from the record contract alone, never from the gateway.

use flk_contract::build::{BuildOptions, build, read_csv};
use flk_contract::outcome::{ENCODING, write_outcome};
use flk_contract::record::write_json;
use flk_contract::{
    Algorithm, KeySet, NumberForm, OwnedRecord, Params, Scheme, SigningKey, SlopeCache, judge, sign,
};
use std::sync::OnceLock;

/// Distinct ids that exist.
pub const KEYS_COUNT: u32 = 96;
/// Validly signed records of one id that differ in what is signed.
pub const VARIANTS_COUNT: u8 = 2;

/// What kind of request this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A validly signed record, in one of its variants.
    Valid(u8),
    /// A record whose signature is not the key's.
    BadSignature,
    /// Not a record.
    Malformed,
    /// Validly signed, with an id that is not its own.
    WrongId,
}

/// One validly signed record of an id.
pub struct Variant {
    /// The body before the digits of `attempt`, and behind them.
    parts: [String; 2],
    /// Status of its outcome.
    pub status: u16,
    /// Bytes of its outcome.
    pub outcome: String,
}

/// All records of one id.
pub struct Id {
    /// The id.
    pub pcs_id: String,
    /// Its valid records.
    pub variants: Vec<Variant>,
    bad_signature: [String; 2],
    wrong_id: [String; 2],
}

/// All records that there are, and the keys that verify them.
pub struct Pool {
    /// By number.
    pub ids: Vec<Id>,
    /// What the gateway is configured with.
    pub keys: KeySet,
}

const ATTEMPT_MARK: u64 = 7_777_777_777;

/// The records of this process.
pub fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(make)
}

#[allow(clippy::expect_used)] // fixed input, no request or recovery path
fn make() -> Pool {
    let scheme = Scheme::new(Algorithm::HmacSha256, NumberForm::Repr);
    let key = SigningKey::from_text(scheme, "a key of the simulated world, 32+").expect("a key");
    let foreign =
        SigningKey::from_text(scheme, "a key that the gateway does not know").expect("a key");
    let keys = KeySet::builder()
        .add_signing(&key)
        .and_then(|set| set.build())
        .expect("a key set");
    let ids = (0..KEYS_COUNT)
        .map(|number| make_id(number, &key, &foreign))
        .collect();
    Pool { ids, keys }
}

#[allow(clippy::expect_used)]
fn make_id(number: u32, key: &SigningKey, foreign: &SigningKey) -> Id {
    let options = BuildOptions {
        epoch: u64::from(number),
        attempt: ATTEMPT_MARK,
        shard_id: format!("sim-{number:03}"),
        directions_count: 1,
        bins_count: 1,
        ..BuildOptions::default()
    };
    let events = read_csv("0.5,1,2,3").expect("one event");
    let mut record = build(&events, &options).expect("a record");
    let mut variants = Vec::new();
    for variant in 0..VARIANTS_COUNT {
        record.d_hat = f64::from(number) / 1000.0 + f64::from(variant) / 100.0;
        record.degraded = variant == 1 && number.is_multiple_of(2);
        record.sig = sign(key, &record.view());
        let judged = judge(&record.view(), &Params::default(), &mut SlopeCache::new());
        let mut outcome = Vec::new();
        write_outcome(ENCODING, &judged, &record.pcs_id, &mut outcome)
            .expect("an encoding of ours");
        variants.push(Variant {
            parts: parts(&record),
            status: judged.status(),
            outcome: String::from_utf8(outcome).expect("an outcome is text"),
        });
    }
    let pcs_id = record.pcs_id.clone();
    record.sig = sign(foreign, &record.view());
    let bad_signature = parts(&record);
    record.pcs_id = "0".repeat(64);
    record.sig = sign(key, &record.view());
    let wrong_id = parts(&record);
    Id {
        pcs_id,
        variants,
        bad_signature,
        wrong_id,
    }
}

/// The body cut where the attempt goes, so that every request has bytes of its own: the attempt is not signed.
fn parts(record: &OwnedRecord) -> [String; 2] {
    let mut json = Vec::new();
    write_json(&record.view(), &mut json);
    let json = String::from_utf8_lossy(&json).into_owned();
    match json.split_once(&ATTEMPT_MARK.to_string()) {
        Some((before, behind)) => [before.to_string(), behind.to_string()],
        None => [json, String::new()],
    }
}

/// The body of a request; `serial` makes it unlike every other.
pub fn body(key: u32, kind: Kind, serial: u64) -> Vec<u8> {
    let id = &pool().ids[key as usize];
    let parts = match kind {
        Kind::Valid(variant) => &id.variants[usize::from(variant)].parts,
        Kind::BadSignature => &id.bad_signature,
        Kind::WrongId => &id.wrong_id,
        Kind::Malformed => {
            return format!("{{\"pcs_id\":\"{}\",\"serial\":{serial},}}", id.pcs_id).into_bytes();
        }
    };
    format!("{}{}{}", parts[0], serial + 1, parts[1]).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_contract::{Parser, Scratch, authenticate, check_identity};

    #[test]
    fn each_kind_is_what_it_says_by_the_contract() {
        let pool = pool();
        for key in [0, 1, KEYS_COUNT - 1] {
            for kind in [
                Kind::Valid(0),
                Kind::Valid(1),
                Kind::BadSignature,
                Kind::WrongId,
                Kind::Malformed,
            ] {
                let bytes = body(key, kind, 41);
                let mut parser = Parser::new();
                let parsed = parser.parse(&bytes);
                let Ok(record) = parsed else {
                    assert_eq!(kind, Kind::Malformed);
                    continue;
                };
                assert_ne!(kind, Kind::Malformed);
                assert_eq!(record.attempt, 42);
                let authentic = authenticate(&record, &pool.keys, &mut Scratch::new()).is_ok();
                assert_eq!(authentic, kind != Kind::BadSignature, "{kind:?}");
                assert_eq!(
                    check_identity(&record).is_ok(),
                    kind != Kind::WrongId,
                    "{kind:?}"
                );
            }
            let [one, two] = &pool.ids[key as usize].variants[..] else {
                panic!()
            };
            assert_ne!(one.outcome, two.outcome);
        }
    }
}
