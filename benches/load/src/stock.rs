//! A stock of signed, distinct records, made before the clock starts and kept as only what differs between them.
//! All have the same length and the same numbers, so a request is a template into which four texts are written.
//! It never signs while a measurement runs, and never hands out a record twice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::claims::{Regime, STICKY};

/// The shard of all records: as long as real ones are.
const SHARD_ID: &str = "bench-shard-0001";
/// All epochs have ten digits, so that all bodies are equally long.
pub(crate) const EPOCH_FIRST: u64 = 1_000_000_000;

pub(crate) const EPOCH_BYTES: usize = 10;
pub(crate) const HEX_BYTES: usize = 64;
const SIG_BYTES: usize = 44;

/// What a gateway stores of a record beside its outcome.
pub struct Identity {
    /// The id as text: lowercase hex digits.
    pub pcs_id: [u8; HEX_BYTES],
    /// SHA-256 of what is signed.
    pub digest: [u8; 32],
}

/// What differs between two records, as texts.
struct Signed {
    epoch: [u8; EPOCH_BYTES],
    pcs_id: [u8; HEX_BYTES],
    merkle_root: [u8; HEX_BYTES],
    sig: [u8; SIG_BYTES],
}

/// The same as bytes, half as long: ten minutes at the full rate of a shard are six gigabytes.
#[derive(Clone, Default)]
struct Packed {
    pcs_id: [u8; 32],
    merkle_root: [u8; 32],
    mac: [u8; 32],
}

/// Signed records that wait to be sent, and how to write one into a request.
pub struct Stock {
    /// The epoch of the first one; the others follow.
    epoch_first: u64,
    records: Vec<Packed>,
    taken: usize,
    /// Bodies are no JSON.
    spoilt: bool,
}

/// A request whose record is exchanged in place.
pub struct Request {
    bytes: Vec<u8>,
    body_at: usize,
    epoch_at: usize,
    pcs_id_at: usize,
    merkle_root_at: usize,
    sig_at: usize,
}

impl Stock {
    /// Signs `count` records with epochs from `first` on, by HMAC-SHA256 over the digest of the payload.
    /// Two stocks of one target must not overlap: a record that was sent before is a duplicate.
    pub fn sign(key: &[u8], first: u64, count: usize) -> Self {
        Self::sign_in_turn(&[key], first, count)
    }

    /// The same, each record by the next one of these keys.
    pub fn sign_in_turn(keys: &[&[u8]], first: u64, count: usize) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = count.div_ceil(threads).max(1);
        let mut records = vec![Packed::default(); count];
        let epoch_first = EPOCH_FIRST + first;
        std::thread::scope(|scope| {
            let mut next = epoch_first;
            for chunk in records.chunks_mut(share) {
                let start = next;
                next += chunk.len() as u64;
                scope.spawn(move || {
                    for (epoch, record) in (start..).zip(chunk) {
                        *record = Packed::new(keys[epoch as usize % keys.len()], epoch);
                    }
                });
            }
        });
        Self {
            epoch_first,
            records,
            taken: 0,
            spoilt: false,
        }
    }

    /// What was taken of it, to be sent once more.
    pub fn again(mut self) -> Self {
        self.records.truncate(self.taken);
        self.taken = 0;
        self
    }

    /// The same records with a letter in a number: bodies that are no JSON, as long as others.
    pub fn spoilt(self) -> Self {
        Self {
            spoilt: true,
            ..self
        }
    }

    /// Writes the next record into a request; `false` when all have been used.
    pub fn fill(&mut self, request: &mut Request) -> bool {
        let Some(record) = self.records.get(self.taken) else {
            return false;
        };
        let epoch = self.epoch_first + self.taken as u64;
        self.taken += 1;
        let mut texts = record.texts(epoch);
        if self.spoilt {
            texts.epoch[EPOCH_BYTES / 2] = b'x';
        }
        request.write(&texts);
        true
    }

    /// How many records have not been used yet.
    pub fn left_count(&self) -> usize {
        self.records.len() - self.taken
    }
}

impl Identity {
    /// That of the record of this number, whatever key signs it.
    pub fn of(number: u64) -> Self {
        let record = Signed::unsigned(&Named::of(EPOCH_FIRST + number, SHARD_ID));
        Self {
            pcs_id: record.pcs_id,
            digest: Sha256::digest(record.payload()).into(),
        }
    }
}

impl Packed {
    fn new(key: &[u8], epoch: u64) -> Self {
        let named = Named::of(epoch, SHARD_ID);
        let digest = Sha256::digest(Signed::unsigned(&named).payload());
        let mut mac = [0; 32];
        // HMAC takes a key of any length: the error exists for other kinds of code only.
        if let Ok(mut signing) = Hmac::<Sha256>::new_from_slice(key) {
            signing.update(&digest);
            mac = signing.finalize().into_bytes().into();
        }
        Self {
            pcs_id: named.pcs_id_bytes,
            merkle_root: named.merkle_root_bytes,
            mac,
        }
    }

    fn texts(&self, epoch: u64) -> Signed {
        let mut sig = [b'A'; SIG_BYTES];
        // The text of 32 bytes has 44 characters: it always fits.
        let written = STANDARD.encode_slice(self.mac, &mut sig);
        debug_assert_eq!(written.ok(), Some(SIG_BYTES));
        Signed {
            epoch: decimal(epoch),
            pcs_id: hex(&self.pcs_id),
            merkle_root: hex(&self.merkle_root),
            sig,
        }
    }
}

impl Signed {
    fn unsigned(named: &Named) -> Self {
        Self {
            epoch: named.epoch,
            pcs_id: named.pcs_id,
            merkle_root: named.merkle_root,
            sig: [b'A'; SIG_BYTES],
        }
    }

    fn new(key: &[u8], epoch: u64) -> Self {
        Packed::new(key, epoch).texts(epoch)
    }

    /// The signed text: eight members in the order of their names, no spaces.
    fn payload(&self) -> Vec<u8> {
        let claims = STICKY;
        let (d_hat, budget, coh_star) = (claims.d_hat, claims.budget, claims.coh_star);
        [
            format!(r#"{{"D_hat":{d_hat},"budget":{budget},"coh_star":{coh_star},"epoch":"#)
                .as_bytes(),
            &self.epoch,
            br#","merkle_root":""#,
            &self.merkle_root,
            br#"","pcs_id":""#,
            &self.pcs_id,
            format!(r#"","r":{},"shard_id":"{SHARD_ID}"}}"#, claims.r).as_bytes(),
        ]
        .concat()
    }
}

/// The texts that name a record.
pub(crate) struct Named {
    pub(crate) epoch: [u8; EPOCH_BYTES],
    pub(crate) pcs_id: [u8; HEX_BYTES],
    pub(crate) merkle_root: [u8; HEX_BYTES],
    pcs_id_bytes: [u8; 32],
    merkle_root_bytes: [u8; 32],
}

impl Named {
    /// Of this epoch of a shard: the root is a digest of the epoch, the id that of root, epoch and shard.
    pub(crate) fn of(epoch: u64, shard_id: &str) -> Self {
        let epoch = decimal(epoch);
        let merkle_root_bytes: [u8; 32] = Sha256::digest(epoch).into();
        let merkle_root = hex(&merkle_root_bytes);
        let identity = [
            &merkle_root,
            b"|".as_slice(),
            &epoch,
            b"|",
            shard_id.as_bytes(),
        ];
        let pcs_id_bytes: [u8; 32] = Sha256::digest(identity.concat()).into();
        Self {
            epoch,
            pcs_id: hex(&pcs_id_bytes),
            merkle_root,
            pcs_id_bytes,
            merkle_root_bytes,
        }
    }
}

impl Request {
    /// A request for this authority (`host:port`) that still lacks its record.
    pub fn new(authority: &str) -> Self {
        Self::of_tenant(authority, None)
    }

    /// The same for a tenant.
    pub fn of_tenant(authority: &str, tenant: Option<&str>) -> Self {
        let epoch = "#".repeat(EPOCH_BYTES);
        let (pcs_id, merkle_root) = ("$".repeat(HEX_BYTES), "%".repeat(HEX_BYTES));
        let sig = "&".repeat(SIG_BYTES);
        let texts = [epoch.as_str(), &pcs_id, &merkle_root, &sig];
        let body = body_text(Regime::Sticky, SHARD_ID, texts, "");
        let tenant = tenant.map(|tenant| format!("X-Tenant-Id: {tenant}\r\n"));
        let tenant = tenant.unwrap_or_default();
        let text = format!(
            "POST /v1/pcs/submit HTTP/1.1\r\nHost: {authority}\r\n{tenant}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let at = |mark: &str| text.find(mark).unwrap_or_default();
        Self {
            body_at: text.len() - body.len(),
            epoch_at: at(&epoch),
            pcs_id_at: at(&pcs_id),
            merkle_root_at: at(&merkle_root),
            sig_at: at(&sig),
            bytes: text.into_bytes(),
        }
    }

    /// A request with the record of this number, signed at once. The same number is the same record in every run.
    pub fn with_record(authority: &str, key: &[u8], number: u64) -> Self {
        let mut request = Self::new(authority);
        request.write(&Signed::new(key, EPOCH_FIRST + number));
        request
    }

    /// The request as it is to be sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its record.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body_at..]
    }

    /// The id of its record.
    pub fn pcs_id(&self) -> &[u8] {
        &self.bytes[self.pcs_id_at..self.pcs_id_at + HEX_BYTES]
    }

    fn write(&mut self, record: &Signed) {
        for (at, text) in [
            (self.epoch_at, record.epoch.as_slice()),
            (self.pcs_id_at, &record.pcs_id),
            (self.merkle_root_at, &record.merkle_root),
            (self.sig_at, &record.sig),
        ] {
            self.bytes[at..at + text.len()].copy_from_slice(text);
        }
    }
}

/// The JSON of a record of a regime with these texts in place of epoch, id, root and signature, and with these members behind its own.
pub(crate) fn body_text(regime: Regime, shard: &str, texts: [&str; 4], further: &str) -> String {
    let [epoch, pcs_id, merkle_root, sig] = texts;
    let claims = regime.texts();
    format!(
        concat!(
            r#"{{"pcs_id":"{pcs_id}","schema":"fractal-lba-kakeya","version":"0.1","#,
            r#""shard_id":"{shard}","epoch":{epoch},"attempt":1,"sent_at":"2026-01-01T00:00:00Z","#,
            r#""seed":42,"scales":[2,4,8,16,32],"N_j":{n_j},"#,
            r#""coh_star":{coh_star},"v_star":[0.267261242,0.534522484,0.801783726],"D_hat":{d_hat},"#,
            r#""r":{r},"regime":"{regime}","budget":{budget},"merkle_root":"{merkle_root}","#,
            r#""sig":"{sig}","ft":{{"outbox_seq":1,"degraded":false,"fallbacks":[],"clock_skew_ms":0}}{further}}}"#
        ),
        pcs_id = pcs_id,
        shard = shard,
        epoch = epoch,
        n_j = claims.n_j,
        coh_star = claims.coh_star,
        d_hat = claims.d_hat,
        r = claims.r,
        regime = regime.name(),
        budget = claims.budget,
        merkle_root = merkle_root,
        sig = sig,
        further = further,
    )
}

fn decimal(mut number: u64) -> [u8; EPOCH_BYTES] {
    let mut text = [b'0'; EPOCH_BYTES];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    text
}

fn hex(bytes: &[u8]) -> [u8; HEX_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'0'; HEX_BYTES];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message;

    fn body_of(request: &Request) -> String {
        let text = String::from_utf8(request.bytes().to_vec()).unwrap();
        let body = text.split_once("\r\n\r\n").unwrap().1.to_owned();
        assert_eq!(body.as_bytes(), request.body());
        body
    }

    #[test]
    fn a_request_states_its_own_length() {
        let request = Request::new("127.0.0.1:8080");
        assert_eq!(message::end(request.bytes()), Some(request.bytes().len()));
    }

    #[test]
    fn records_are_distinct_and_leave_no_mark_of_the_template() {
        let mut stock = Stock::sign(b"testsecret", 0, 5);
        let mut request = Request::new("127.0.0.1:8080");
        let mut bodies = std::collections::BTreeSet::new();
        while stock.fill(&mut request) {
            let body = body_of(&request);
            assert!(!body.contains(['#', '$', '%', '&']), "{body}");
            bodies.insert(body);
        }
        assert_eq!((bodies.len(), stock.left_count()), (5, 0));
    }

    #[test]
    fn what_was_sent_can_be_sent_again_and_spoilt() {
        let (mut stock, mut request) = (Stock::sign(b"k", 0, 3), Request::new("a"));
        let mut bodies = |stock: &mut Stock, most: usize| -> Vec<String> {
            let mut bodies = Vec::new();
            while bodies.len() < most && stock.fill(&mut request) {
                bodies.push(body_of(&request));
            }
            bodies
        };
        let sent = bodies(&mut stock, 2);
        let mut stock = stock.again();
        assert_eq!(bodies(&mut stock, 9), sent);
        let spoilt = bodies(&mut stock.again().spoilt(), 9);
        assert_eq!(spoilt.len(), 2);
        for (spoilt, sent) in spoilt.iter().zip(&sent) {
            assert_eq!(spoilt.len(), sent.len());
            assert!(
                flk_contract::parse::check_json(spoilt.as_bytes()).is_err(),
                "{spoilt}"
            );
            assert!(
                flk_contract::parse::check_json(sent.as_bytes()).is_ok(),
                "{sent}"
            );
        }
    }

    #[test]
    fn a_number_names_a_record_of_a_stock() {
        let (mut stock, mut request) = (Stock::sign(b"k", 7, 1), Request::new("a"));
        assert!(stock.fill(&mut request));
        assert_eq!(Request::with_record("a", b"k", 7).bytes(), request.bytes());
    }

    #[test]
    fn keys_sign_in_turn_and_a_tenant_is_named_once() {
        let mut stock = Stock::sign_in_turn(&[b"a", b"b"], 0, 4);
        let mut request = Request::of_tenant("host", Some("acme"));
        for (number, key) in (0..).zip([b"a", b"b", b"a", b"b"]) {
            assert!(stock.fill(&mut request));
            let text = String::from_utf8(request.bytes().to_vec()).unwrap();
            assert_eq!(text.matches("X-Tenant-Id: acme\r\n").count(), 1);
            let alone = Request::with_record("host", key, number);
            assert_eq!(alone.body(), request.body());
        }
    }

    #[test]
    fn stocks_with_different_starts_share_no_record() {
        let ids = |first| {
            Stock::sign(b"k", first, 3)
                .records
                .into_iter()
                .map(|record| record.pcs_id)
                .collect::<Vec<_>>()
        };
        assert!(ids(0).iter().all(|id| !ids(3).contains(id)));
    }

    #[test]
    fn an_identity_is_the_digest_of_root_epoch_and_shard() {
        let record = Signed::new(b"testsecret", EPOCH_FIRST);
        let root = String::from_utf8(record.merkle_root.to_vec()).unwrap();
        let expected = hex(&Sha256::digest(format!(
            "{root}|1000000000|bench-shard-0001"
        )));
        assert_eq!(record.pcs_id, expected);
    }
}
