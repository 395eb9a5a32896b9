//! What clients send: signed records with the outcome that each must get, made once per process. The oracle knows
//! outcomes from the record contract alone, never from the gateway.

use flk_contract::build::{BuildOptions, build, read_csv};
use flk_contract::outcome::{ENCODING, write_outcome};
use flk_contract::record::write_json;
use flk_contract::{
    Algorithm, NumberForm, OwnedRecord, Params, ParamsVersion, PayloadBuf, Scheme, SigningKey,
    SlopeCache, canonical, judge, sign,
};
use std::sync::OnceLock;

/// Distinct ids that exist.
pub const KEYS_COUNT: u32 = 4_096;
/// The tenants. A key is an id of a tenant: each has [`KEYS_COUNT`] of them, which are the same ids.
pub const TENANTS: [&str; 2] = ["default", "beta"];
/// Validly signed records of one id that differ in what is signed.
pub const VARIANTS_COUNT: u8 = 2;
/// Keys that a gateway may be configured with.
pub const SIGNERS_COUNT: u8 = 2;
/// Parameter sets that a gateway may be configured with.
pub const PARAMS_COUNT: u8 = 2;

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
    /// A body of no bytes at all.
    Empty,
}

/// How a request differs from others of its kind in what is not signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The key that signs it.
    pub signer: u8,
    /// Its body is filled up to this length with spaces.
    pub bytes: u32,
}

/// One validly signed record of an id.
pub struct Variant {
    /// The bodies by signer: before the digits of `attempt`, and behind them.
    parts: Vec<[String; 2]>,
    /// Status and bytes of its outcome, by parameter set.
    pub outcomes: Vec<(u16, String)>,
    /// First 8 bytes of its signing digest.
    pub digest_tag: u64,
    /// The D̂ that it claims.
    pub d_hat: f64,
}

/// All records of one id.
pub struct Id {
    /// The id.
    pub pcs_id: String,
    /// Its valid records.
    pub variants: Vec<Variant>,
    bad_signature: [String; 2],
    wrong_id: Vec<[String; 2]>,
}

/// All records that there are, and the keys that verify them.
pub struct Pool {
    ids: Vec<OnceLock<Id>>,
    signers: Vec<SigningKey>,
    foreign: SigningKey,
}

const ATTEMPT_MARK: u64 = 7_777_777_777;

/// The records of this process.
pub fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(make)
}

/// Texts of the keys that a gateway may be configured with.
pub const SIGNERS: [&str; SIGNERS_COUNT as usize] = [
    "a key of the simulated world, 32+",
    "the key that comes after that one",
];

/// Whose id it is.
pub fn tenant_of(key: u32) -> usize {
    (key / KEYS_COUNT) as usize
}

/// The scheme of all keys.
pub fn scheme() -> Scheme {
    Scheme::new(Algorithm::HmacSha256, NumberForm::Repr)
}

#[allow(clippy::expect_used)] // fixed input, no request or recovery path
fn make() -> Pool {
    let key = |text| SigningKey::from_text(scheme(), text).expect("a key");
    Pool {
        ids: (0..KEYS_COUNT).map(|_| OnceLock::new()).collect(),
        signers: SIGNERS.map(key).into(),
        foreign: key("a key that the gateway does not know"),
    }
}

/// A parameter set of the simulated world.
#[allow(clippy::expect_used)]
pub fn params(number: u8) -> Params {
    match number {
        0 => Params::default(),
        _ => Params {
            version: ParamsVersion::new("2").expect("a version"),
            tol_d: 3.0,
            tol_budget: 1.0,
            base: 0.25,
            ..Params::default()
        },
    }
}

impl Pool {
    /// The records of an id.
    pub fn id(&self, number: u32) -> &Id {
        let number = number % KEYS_COUNT;
        self.ids[number as usize].get_or_init(|| self.make_id(number))
    }

    #[allow(clippy::expect_used)]
    fn make_id(&self, number: u32) -> Id {
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
            variants.push(self.make_variant(&mut record));
        }
        let pcs_id = record.pcs_id.clone();
        let bad_signature = signed(&mut record, &self.foreign);
        record.pcs_id = "0".repeat(64);
        let wrong_id = self.signed_by_all(&mut record);
        Id {
            pcs_id,
            variants,
            bad_signature,
            wrong_id,
        }
    }

    #[allow(clippy::expect_used)]
    fn make_variant(&self, record: &mut OwnedRecord) -> Variant {
        let parts = self.signed_by_all(record);
        let outcomes = (0..PARAMS_COUNT).map(|number| {
            let judged = judge(&record.view(), &params(number), &mut SlopeCache::new());
            let mut outcome = Vec::new();
            write_outcome(ENCODING, &judged, &record.pcs_id, &mut outcome)
                .expect("an encoding of ours");
            (
                judged.status(),
                String::from_utf8(outcome).expect("an outcome is text"),
            )
        });
        let digest =
            canonical::digest(&record.view(), NumberForm::Repr, &mut PayloadBuf::default());
        let tag = digest.first_chunk().expect("a digest has 32 bytes");
        Variant {
            parts,
            outcomes: outcomes.collect(),
            digest_tag: u64::from_le_bytes(*tag),
            d_hat: record.d_hat,
        }
    }

    fn signed_by_all(&self, record: &mut OwnedRecord) -> Vec<[String; 2]> {
        let signers = self.signers.iter();
        signers.map(|signer| signed(record, signer)).collect()
    }
}

/// The signed body cut where the attempt goes, so that every request has bytes of its own: the attempt is not signed.
fn signed(record: &mut OwnedRecord, key: &SigningKey) -> [String; 2] {
    record.sig = sign(key, &record.view());
    let mut json = Vec::new();
    write_json(&record.view(), &mut json);
    let json = String::from_utf8_lossy(&json).into_owned();
    match json.split_once(&ATTEMPT_MARK.to_string()) {
        Some((before, behind)) => [before.to_string(), behind.to_string()],
        None => [json, String::new()],
    }
}

/// The body of a request; `serial` makes it unlike every other.
pub fn body(key: u32, kind: Kind, shape: Shape, serial: u64) -> Vec<u8> {
    if kind == Kind::Empty {
        return Vec::new();
    }
    let id = pool().id(key);
    let signer = usize::from(shape.signer);
    let parts = match kind {
        Kind::Valid(variant) => &id.variants[usize::from(variant)].parts[signer],
        Kind::BadSignature | Kind::Empty => &id.bad_signature,
        Kind::WrongId => &id.wrong_id[signer],
        Kind::Malformed => {
            let text = format!("{{\"pcs_id\":\"{}\",\"serial\":{serial},}}", id.pcs_id);
            return filled(text, shape);
        }
    };
    filled(format!("{}{}{}", parts[0], serial + 1, parts[1]), shape)
}

fn filled(text: String, shape: Shape) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    let wanted = bytes.len().max(shape.bytes as usize);
    bytes.resize(wanted, b' ');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_contract::{KeySet, Parser, Scratch, authenticate, check_identity};

    fn keys(signer: usize) -> KeySet {
        let builder = KeySet::builder().add(scheme(), SIGNERS[signer]).unwrap();
        builder.build().unwrap()
    }

    #[test]
    fn each_kind_is_what_it_says_by_the_contract() {
        let pool = pool();
        let shape = Shape {
            signer: 1,
            bytes: 4_096,
        };
        for key in [0, 1, KEYS_COUNT - 1] {
            for kind in [
                Kind::Valid(0),
                Kind::Valid(1),
                Kind::BadSignature,
                Kind::WrongId,
                Kind::Malformed,
            ] {
                let bytes = body(key, kind, shape, 41);
                assert_eq!(bytes.len(), 4_096);
                let mut parser = Parser::new();
                let parsed = parser.parse(&bytes);
                let Ok(record) = parsed else {
                    assert_eq!(kind, Kind::Malformed);
                    continue;
                };
                assert_ne!(kind, Kind::Malformed);
                assert_eq!(record.attempt, 42);
                let authentic = authenticate(&record, &keys(1), &mut Scratch::new()).is_ok();
                assert_eq!(authentic, kind != Kind::BadSignature, "{kind:?}");
                assert!(authenticate(&record, &keys(0), &mut Scratch::new()).is_err());
                assert_eq!(
                    check_identity(&record).is_ok(),
                    kind != Kind::WrongId,
                    "{kind:?}"
                );
            }
            let [one, two] = &pool.id(key).variants[..] else {
                panic!()
            };
            let texts: std::collections::BTreeSet<&String> = [one, two]
                .iter()
                .flat_map(|variant| variant.outcomes.iter().map(|(_, text)| text))
                .collect();
            assert_eq!(texts.len(), 4, "each outcome tells variant and parameters");
        }
    }
}
