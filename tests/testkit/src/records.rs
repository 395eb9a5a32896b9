//! Signed records. Numbered ones are made by the signer of the load generator, which knows nothing of the product's code;
//! those that vary a given record are signed by the contract crate.

use flk_bench_load::stock::Request;
use flk_contract::record::write_json;
use flk_contract::{OwnedRecord, Parser, Scheme, SigningKey, hash, identity, sign};

/// The HMAC key of all tests; published, worthless.
pub const KEY: &str = "testsecret";

/// A record that is accepted, and what its answer begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The body.
    pub body: Vec<u8>,
    /// Its id.
    pub pcs_id: String,
}

/// The record with this number: the same in every run, and no two numbers share an id.
pub fn record(number: u64) -> Record {
    let request = Request::with_record("gateway", KEY.as_bytes(), number);
    Record {
        body: request.body().to_vec(),
        pcs_id: String::from_utf8(request.pcs_id().to_vec()).expect("hexadecimal digits"),
    }
}

impl Record {
    /// The same record with a signature that cannot be right.
    pub fn forged(&self) -> Vec<u8> {
        let text = String::from_utf8(self.body.clone()).expect("ASCII");
        let (head, rest) = text.split_once(r#""sig":""#).expect("a signature");
        format!(r#"{head}"sig":"{}{}"#, "A".repeat(43), &rest[43..]).into_bytes()
    }

    /// Whether this is the outcome that the record must get.
    pub fn is_outcome(&self, body: &[u8]) -> bool {
        let starts = format!(
            r#"{{"pcs_id":"{}","accepted":true,"escalated":false,"#,
            self.pcs_id
        );
        body.starts_with(starts.as_bytes())
    }
}

/// A given record with another epoch, the id that belongs to it, and the signature of this HMAC key.
pub fn with_epoch(text: &str, epoch: u64, key: &str) -> Vec<u8> {
    let mut parser = Parser::new();
    let mut owned = OwnedRecord::from(&parser.parse(text.as_bytes()).expect("a record"));
    owned.epoch = epoch;
    let id = identity::pcs_id(&owned.merkle_root, epoch, &owned.shard_id);
    owned.pcs_id = String::from_utf8(hash::hex32(&id).to_vec()).expect("hexadecimal digits");
    let key = SigningKey::from_text(Scheme::default(), key).expect("a key");
    owned.sig = sign(&key, &owned.view());
    let mut json = Vec::new();
    write_json(&owned.view(), &mut json);
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_contract::{KeySet, Params, Scratch, SlopeCache, authenticate, check_identity, judge};

    /// Whether the contract crate takes a body for authentic; what it says of it must be that it is accepted.
    fn is_authentic(body: &[u8]) -> bool {
        let keys = KeySet::builder()
            .add(Scheme::default(), KEY)
            .unwrap()
            .build()
            .unwrap();
        let mut parser = Parser::new();
        let record = OwnedRecord::from(&parser.parse(body).unwrap());
        let record = record.view();
        assert!(check_identity(&record).is_ok());
        let outcome = judge(&record, &Params::default(), &mut SlopeCache::new());
        assert_eq!(outcome.escalated, None);
        authenticate(&record, &keys, &mut Scratch::new()).is_ok()
    }

    #[test]
    fn numbered_records_are_accepted_and_differ() {
        assert_ne!(record(1), record(2));
        assert_eq!(record(1), record(1));
        let record = record(7);
        assert!(is_authentic(&record.body));
        assert!(!is_authentic(&record.forged()));
    }

    #[test]
    fn a_record_with_another_epoch_is_accepted_and_differs() {
        let text = String::from_utf8(record(7).body).unwrap();
        let moved = with_epoch(&text, 8, KEY);
        assert!(is_authentic(&moved));
        assert_ne!(moved, with_epoch(&text, 9, KEY));
    }
}
