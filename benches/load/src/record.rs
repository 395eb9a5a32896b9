//! Records of one run of `flk bench`: their ids are those of no other run, any key signs them, and a request is made from a
//! template by writing what differs. It knows nothing of when something is sent.

use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::claims::Regime;
use crate::mix::{Kind, Order};
use crate::stock::{EPOCH_BYTES, EPOCH_FIRST, HEX_BYTES, Named, body_text};

/// The base64 of 64 bytes, the longest signature.
const SIG_BYTES_MAX: usize = 88;
/// What a member costs that only makes a body longer.
const PADDING_BYTES_MIN: usize = r#","padding":"""#.len();
/// Most records of one run: epochs have ten digits.
pub const RECORDS_MAX: u64 = 10_000_000_000 - EPOCH_FIRST;

/// What differs between two records of a run, for a key that signs them.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// Its epoch.
    pub epoch: u64,
    /// Its Merkle root: hex digits.
    pub merkle_root: &'a str,
    /// Its id.
    pub pcs_id: &'a str,
    /// The shard of all records of the run.
    pub shard_id: &'a str,
}

/// A key.
pub trait Sign: Send + Sync {
    /// The base64 of the signature of a record; always of the same length.
    fn sign(&self, fields: Fields<'_>) -> String;
}

/// The keys of a run, of one tenant or of all: the second one signs a share of records.
pub type Keys = Vec<Arc<dyn Sign>>;

/// A record as it is to be sent.
#[derive(Clone, Debug)]
pub struct Signed {
    order: Order,
    epoch: [u8; EPOCH_BYTES],
    pcs_id: [u8; HEX_BYTES],
    merkle_root: [u8; HEX_BYTES],
    sig: [u8; SIG_BYTES_MAX],
}

impl Signed {
    /// What it was made for.
    pub fn order(&self) -> Order {
        self.order
    }

    /// The same record once more.
    pub fn again(&self) -> Signed {
        let order = Order {
            kind: Kind::Duplicate,
            ..self.order
        };
        Signed {
            order,
            ..self.clone()
        }
    }
}

/// The records of one request, at least one; all are of one tenant.
#[derive(Clone, Debug)]
pub struct Records {
    /// The first one: most requests have no other.
    pub first: Signed,
    /// Those behind it.
    pub rest: Vec<Signed>,
}

impl From<Signed> for Records {
    fn from(first: Signed) -> Records {
        let rest = Vec::new();
        Records { first, rest }
    }
}

impl Records {
    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Signed> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// How many they are.
    pub fn count(&self) -> u64 {
        1 + self.rest.len() as u64
    }
}

/// The template of a key: its signatures have a length of their own.
struct Form {
    text: Vec<u8>,
    epoch_at: usize,
    pcs_id_at: usize,
    merkle_root_at: usize,
    sig_at: usize,
    attempt_at: usize,
    sig_bytes: usize,
}

/// What a run sends, whatever is sent when.
pub struct Recipe {
    shard_id: String,
    /// Of each tenant; those of the first one where all have the same.
    keys: Vec<Keys>,
    /// Of each key.
    forms: Vec<Form>,
    /// Head of a request of each tenant, up to the length of its body.
    heads: Vec<Vec<u8>>,
    carries: Carries,
}

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// One record.
    Record,
    /// Records, one a line.
    Batch,
}

impl Carries {
    const fn content_type(self) -> &'static str {
        match self {
            Carries::Record => "application/json",
            Carries::Batch => "application/x-ndjson",
        }
    }
}

/// Where requests go and what they look like.
pub struct Shape<'a> {
    /// What the header `Host` says.
    pub authority: &'a str,
    /// The path of a submission, or of a batch.
    pub path: &'a str,
    /// Which of them it is.
    pub carries: Carries,
    /// Tenants by name; none: requests name no tenant.
    pub tenants: &'a [String],
    /// How long a body is at least; 0: no longer than it has to be.
    pub body_bytes: usize,
    /// The shard of all records, which no other run has.
    pub shard_id: &'a str,
    /// The regime of all records.
    pub regime: Regime,
}

impl Recipe {
    /// Keys are of each tenant, or those of one for all of them.
    pub fn new(shape: &Shape<'_>, keys: Vec<Keys>) -> Recipe {
        let mut recipe = Recipe {
            shard_id: shape.shard_id.to_owned(),
            keys,
            forms: Vec::new(),
            heads: Vec::new(),
            carries: shape.carries,
        };
        let lengths = recipe.signature_lengths();
        let form = |sig_bytes: &usize| Form::new(shape, *sig_bytes);
        recipe.forms = lengths.iter().map(form).collect();
        let names: Vec<Option<&str>> = match shape.tenants.is_empty() {
            true => vec![None],
            false => shape.tenants.iter().map(|it| Some(it.as_str())).collect(),
        };
        recipe.heads = names.iter().map(|name| head(shape, *name)).collect();
        recipe
    }

    fn signature_lengths(&self) -> Vec<usize> {
        let fields = Fields {
            epoch: EPOCH_FIRST,
            merkle_root: "0",
            pcs_id: "0",
            shard_id: &self.shard_id,
        };
        let first = self.keys.first().into_iter().flatten();
        first.map(|key| key.sign(fields).len()).collect()
    }

    /// Bytes of the longest body.
    pub fn body_bytes(&self) -> usize {
        self.forms.iter().map(|it| it.text.len()).max().unwrap_or(0)
    }

    /// The record of a number, for an order. Only a new one is signed; what no gateway accepts needs no key.
    pub fn make(&self, order: Order, number: u64) -> Signed {
        let epoch = EPOCH_FIRST + number;
        let Named {
            epoch: digits,
            pcs_id,
            merkle_root,
            ..
        } = Named::of(epoch, &self.shard_id);
        let text = |hex: &[u8; HEX_BYTES]| String::from_utf8_lossy(hex).into_owned();
        let sig = match order.kind {
            Kind::New | Kind::Duplicate => self.key(order).sign(Fields {
                epoch,
                merkle_root: &text(&merkle_root),
                pcs_id: &text(&pcs_id),
                shard_id: &self.shard_id,
            }),
            Kind::BadSignature | Kind::Malformed => self.no_signature(order, &pcs_id),
        };
        let mut signed = Signed {
            order,
            epoch: digits,
            pcs_id,
            merkle_root,
            sig: [b'='; SIG_BYTES_MAX],
        };
        let length = sig.len().min(SIG_BYTES_MAX);
        signed.sig[..length].copy_from_slice(&sig.as_bytes()[..length]);
        signed
    }

    fn key(&self, order: Order) -> &dyn Sign {
        let of_tenant = self.keys.get(usize::from(order.tenant));
        let keys = of_tenant.unwrap_or(&self.keys[0]);
        keys[usize::from(order.key).min(keys.len() - 1)].as_ref()
    }

    fn form(&self, order: Order) -> usize {
        usize::from(order.key).min(self.forms.len() - 1)
    }

    /// Canonical base64 of as many bytes as a signature has, which no key has made.
    fn no_signature(&self, order: Order, pcs_id: &[u8]) -> String {
        let bytes_count = match self.forms[self.form(order)].sig_bytes {
            44 => 32,
            _ => 64,
        };
        let first = Sha256::digest(pcs_id);
        let both = [first, Sha256::digest(first)].concat();
        STANDARD.encode(&both[..bytes_count])
    }

    /// Writes the request of these records behind what is there.
    pub fn write(&self, records: &Records, out: &mut Vec<u8>) {
        let tenant = usize::from(records.first.order.tenant);
        out.extend_from_slice(&self.heads[tenant.min(self.heads.len() - 1)]);
        let bytes_of = |it: &Signed| self.forms[self.form(it.order)].text.len();
        let line_end = usize::from(self.carries == Carries::Batch);
        let body_bytes: usize = records.iter().map(|it| bytes_of(it) + line_end).sum();
        out.extend_from_slice(format!("{body_bytes}\r\n\r\n").as_bytes());
        for signed in records.iter() {
            self.write_body(signed, out);
            if self.carries == Carries::Batch {
                out.push(b'\n');
            }
        }
    }

    /// Writes the body of a record behind what is there.
    pub fn write_body(&self, signed: &Signed, out: &mut Vec<u8>) {
        let order = signed.order;
        let form = &self.forms[self.form(order)];
        let begin = out.len();
        out.extend_from_slice(&form.text);
        let body = &mut out[begin..];
        for (at, text) in [
            (form.epoch_at, signed.epoch.as_slice()),
            (form.pcs_id_at, &signed.pcs_id),
            (form.merkle_root_at, &signed.merkle_root),
            (form.sig_at, &signed.sig[..form.sig_bytes]),
        ] {
            body[at..at + text.len()].copy_from_slice(text);
        }
        if order.kind == Kind::Malformed {
            form.spoil(body, signed.epoch);
        }
    }

    /// What all bodies by the first key have in common: the texts before, between and behind their [parts](Recipe::parts).
    pub fn pieces(&self) -> [&[u8]; 5] {
        let form = &self.forms[0];
        let [a, b, c, d] = form.parts();
        let text = &form.text;
        [
            &text[..a.start],
            &text[a.end..b.start],
            &text[b.end..c.start],
            &text[c.end..d.start],
            &text[d.end..],
        ]
    }

    /// What a record by the first key has of its own, in the order of the body: id, epoch, Merkle root and signature.
    pub fn parts<'a>(&self, signed: &'a Signed) -> [&'a [u8]; 4] {
        let sig = &signed.sig[..self.forms[0].sig_bytes];
        [&signed.pcs_id, &signed.epoch, &signed.merkle_root, sig]
    }
}

impl Form {
    fn new(shape: &Shape<'_>, sig_bytes: usize) -> Form {
        let marks = ["#", "$", "%", "&"];
        let lengths = [EPOCH_BYTES, HEX_BYTES, HEX_BYTES, sig_bytes];
        let texts: Vec<String> = marks
            .iter()
            .zip(lengths)
            .map(|(it, n)| it.repeat(n))
            .collect();
        let texts = [&texts[0], &texts[1], &texts[2], &texts[3]].map(String::as_str);
        let bare = body_text(shape.regime, shape.shard_id, texts, "");
        let further = match shape.body_bytes.saturating_sub(bare.len()) {
            0 => String::new(),
            missing => {
                let padding = "x".repeat(missing.saturating_sub(PADDING_BYTES_MIN));
                format!(r#","padding":"{padding}""#)
            }
        };
        let text = body_text(shape.regime, shape.shard_id, texts, &further);
        let at = |mark: &str| text.find(mark).unwrap_or_default();
        Form {
            epoch_at: at(texts[0]),
            pcs_id_at: at(texts[1]),
            merkle_root_at: at(texts[2]),
            sig_at: at(texts[3]),
            attempt_at: at(r#""attempt":1"#) + r#""attempt":"#.len(),
            sig_bytes,
            text: text.into_bytes(),
        }
    }

    /// Where the parts stand.
    fn parts(&self) -> [Range<usize>; 4] {
        [
            (self.pcs_id_at, HEX_BYTES),
            (self.epoch_at, EPOCH_BYTES),
            (self.merkle_root_at, HEX_BYTES),
            (self.sig_at, self.sig_bytes),
        ]
        .map(|(at, bytes_count)| at..at + bytes_count)
    }

    /// Makes a body malformed: by turns JSON without its end, and a field out of its range.
    fn spoil(&self, body: &mut [u8], epoch: [u8; EPOCH_BYTES]) {
        match epoch[EPOCH_BYTES - 1] % 2 {
            0 => body[body.len() - 1] = b' ',
            _ => body[self.attempt_at] = b'0',
        }
    }
}

/// The head of a request, up to the length of its body.
fn head(shape: &Shape<'_>, tenant: Option<&str>) -> Vec<u8> {
    let (authority, path) = (shape.authority, shape.path);
    let content_type = shape.carries.content_type();
    let tenant = tenant.map(|it| format!("X-Tenant-Id: {it}\r\n"));
    let tenant = tenant.unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\n{tenant}Content-Type: {content_type}\r\nContent-Length: "
    )
    .into_bytes()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::message;

    /// A key whose signatures are a digest, as long as those of HMAC or of Ed25519.
    pub(crate) struct Plain(pub(crate) usize);

    impl Sign for Plain {
        fn sign(&self, fields: Fields<'_>) -> String {
            let digest = Sha256::digest(format!("secret {}", fields.pcs_id));
            STANDARD.encode(&[digest, digest].concat()[..self.0])
        }
    }

    /// A recipe with two keys.
    pub(crate) fn recipe(tenants: &[&str], body_bytes: usize) -> Recipe {
        let tenants: Vec<String> = tenants.iter().map(|it| (*it).to_owned()).collect();
        let shape = Shape {
            authority: "127.0.0.1:8080",
            path: "/v1/pcs/submit",
            carries: Carries::Record,
            tenants: &tenants,
            body_bytes,
            shard_id: "run-1",
            regime: Regime::Sticky,
        };
        Recipe::new(&shape, vec![vec![Arc::new(Plain(32)), Arc::new(Plain(64))]])
    }

    fn order(kind: Kind, tenant: u16, key: u8) -> Order {
        Order { kind, tenant, key }
    }

    fn written(recipe: &Recipe, order: Order, number: u64) -> (String, String) {
        let mut out = Vec::new();
        recipe.write(&Records::from(recipe.make(order, number)), &mut out);
        assert_eq!(message::end(&out), Some(out.len()));
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    #[test]
    fn requests_are_whole_and_leave_no_mark_of_the_template() {
        let recipe = recipe(&["a", "b"], 0);
        for kind in Kind::ALL {
            for (tenant, key) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let (head, body) = written(&recipe, order(kind, tenant, key), 7);
                assert!(!body.contains(['#', '$', '%', '&']), "{body}");
                let name = ["a", "b"][usize::from(tenant)];
                assert_eq!(head.matches(&format!("X-Tenant-Id: {name}")).count(), 1);
            }
        }
        assert!(
            !written(&super::tests::recipe(&[], 0), order(Kind::New, 0, 0), 1)
                .0
                .contains("Tenant")
        );
    }

    #[test]
    fn a_batch_has_a_line_for_each_record_whatever_its_key_and_kind() {
        let mut recipe = recipe(&["a"], 0);
        let alone = |key, kind| written(&recipe, order(kind, 0, key), 5).1;
        let lines = [
            alone(0, Kind::New),
            alone(1, Kind::New),
            alone(1, Kind::Malformed),
        ];
        recipe.carries = Carries::Batch;
        let made = |key, kind| recipe.make(order(kind, 0, key), 5);
        let records = Records {
            first: made(0, Kind::New),
            rest: vec![made(1, Kind::New), made(1, Kind::Malformed)],
        };
        assert_eq!(records.count(), 3);
        let mut out = b"behind".to_vec();
        recipe.write(&records, &mut out);
        let request = &out[6..];
        assert_eq!(message::end(request), Some(request.len()));
        let text = String::from_utf8(request.to_vec()).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, lines.map(|it| it + "\n").concat());
    }

    #[test]
    fn a_body_is_as_long_as_asked_for_and_never_shorter_than_it_has_to_be() {
        let least = recipe(&[], 0).body_bytes();
        for asked in [least + PADDING_BYTES_MIN, 4_096, 1 << 20] {
            let recipe = recipe(&[], asked);
            for key in [0, 1] {
                let body = written(&recipe, order(Kind::New, 0, key), 1).1;
                assert_eq!(body.len(), asked, "key {key}");
            }
        }
        for asked in [1, least] {
            assert!(recipe(&[], asked).body_bytes() >= least);
        }
    }

    #[test]
    fn what_is_to_be_refused_differs_from_what_is_not() {
        let recipe = recipe(&[], 0);
        for number in [1, 2] {
            let [new, bad, malformed] = [Kind::New, Kind::BadSignature, Kind::Malformed]
                .map(|kind| written(&recipe, order(kind, 0, 0), number).1);
            assert!(new != bad && new.len() == bad.len());
            assert!(new.contains(r#""attempt":1,"#));
            let is_cut = !malformed.ends_with('}');
            assert_ne!(is_cut, malformed.contains(r#""attempt":0,"#), "{malformed}");
        }
    }

    #[test]
    fn runs_and_numbers_share_no_id() {
        let first = recipe(&[], 0);
        let mut other = recipe(&[], 0);
        other.shard_id = "run-2".to_owned();
        let id = |recipe: &Recipe, number| recipe.make(order(Kind::New, 0, 0), number).pcs_id;
        assert_ne!(id(&first, 1), id(&first, 2));
        assert_ne!(id(&first, 1), id(&other, 1));
    }

    #[test]
    fn pieces_and_parts_are_a_body() {
        let recipe = recipe(&[], 1_000);
        for kind in [Kind::New, Kind::BadSignature] {
            let signed = recipe.make(order(kind, 0, 0), 3);
            let mut joined = recipe.pieces()[0].to_vec();
            for (part, piece) in recipe.parts(&signed).iter().zip(&recipe.pieces()[1..]) {
                joined.extend_from_slice(part);
                joined.extend_from_slice(piece);
            }
            let mut body = b"before".to_vec();
            recipe.write_body(&signed, &mut body);
            assert_eq!(body, [b"before".as_slice(), &joined].concat());
        }
    }

    #[test]
    fn a_regime_is_that_of_the_body() {
        for regime in Regime::ALL {
            let shape = Shape {
                carries: Carries::Record,
                authority: "h",
                path: "/",
                tenants: &[],
                body_bytes: 0,
                shard_id: "run-1",
                regime,
            };
            let recipe = Recipe::new(&shape, vec![vec![Arc::new(Plain(32))]]);
            let body = written(&recipe, order(Kind::New, 0, 0), 1).1;
            let name = regime.name();
            assert!(body.contains(&format!(r#""regime":"{name}""#)), "{body}");
        }
    }
}
