//! Signed records as bodies, as whole requests, and parsed: the same bytes in every run.

use flk_contract::signature::sign;
use flk_contract::{OwnedRecord, Parser, Record, Scheme, SigningKey};
use flk_testkit::records::with_epoch;

/// Longer than the short keys of tests: its length is part of what a signature costs.
pub const KEY: &str = "a key of thirty-two bytes or more";

/// Records that a stage takes in turn: the mean over them is what is told of it.
pub const SAMPLES: u64 = 64;

const TEXT: &str = include_str!("../../../golden/records/pcs_tiny_case_1.json");

/// A validly signed record for each epoch.
pub fn bodies(epochs: impl Iterator<Item = u64>) -> Vec<Vec<u8>> {
    epochs.map(|epoch| with_epoch(TEXT, epoch, KEY)).collect()
}

/// The same as the bytes of requests.
pub fn requests(epochs: impl Iterator<Item = u64>) -> Vec<Vec<u8>> {
    bodies(epochs).iter().map(|body| request(body)).collect()
}

/// The same with signatures that cannot be right.
pub fn forged_requests(epochs: impl Iterator<Item = u64>) -> Vec<Vec<u8>> {
    let forged = |body: &Vec<u8>| {
        let text = std::str::from_utf8(body).expect("a record is text");
        let (before, rest) = text.split_once(r#""sig":""#).expect("it is signed");
        format!(r#"{before}"sig":"{}{}"#, "A".repeat(43), &rest[43..]).into_bytes()
    };
    let bodies = bodies(epochs);
    bodies.iter().map(|body| request(&forged(body))).collect()
}

fn request(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The sample records, parsed. They live as long as the process.
pub fn records() -> Vec<Record<'static>> {
    let mut parser = Parser::new();
    let owned = bodies(0..SAMPLES)
        .iter()
        .map(|body| OwnedRecord::from(&parser.parse(body).expect("a record")))
        .collect();
    views(owned)
}

/// The same, signed by an Ed25519 key. Also the text of that key.
pub fn ed25519_records() -> (Vec<Record<'static>>, Scheme, String) {
    let scheme: Scheme = "ed25519".parse().expect("a scheme");
    let key = SigningKey::from_seed(scheme.form, &[7; 32]);
    let mut owned: Vec<OwnedRecord> = records().iter().map(OwnedRecord::from).collect();
    for record in &mut owned {
        record.sig = sign(&key, &record.view());
    }
    let public = key
        .public_key_base64()
        .expect("an Ed25519 key has a public one");
    (views(owned), scheme, public)
}

fn views(owned: Vec<OwnedRecord>) -> Vec<Record<'static>> {
    owned.leak().iter().map(OwnedRecord::view).collect()
}

/// Samples that are taken in turn, for ever.
pub struct Cycle<T> {
    items: Vec<T>,
    at: usize,
}

impl<T> Cycle<T> {
    /// Begins with the first.
    pub fn of(items: Vec<T>) -> Cycle<T> {
        assert!(!items.is_empty(), "there is something to take");
        Cycle { items, at: 0 }
    }

    /// The next one.
    pub fn take(&mut self) -> &T {
        let at = self.at;
        self.at = if at + 1 < self.items.len() { at + 1 } else { 0 };
        &self.items[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn samples_differ_and_a_cycle_begins_again_behind_the_last() {
        let bodies = bodies(0..SAMPLES);
        let different: BTreeSet<&Vec<u8>> = bodies.iter().collect();
        assert_eq!(different.len() as u64, SAMPLES);
        let mut cycle = Cycle::of(vec![1, 2]);
        assert_eq!([0; 3].map(|_| *cycle.take()), [1, 2, 1]);
    }
}
