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

    /// What a request carries.
    pub fn carries(&self) -> Carries {
        self.carries
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
#[path = "record_tests.rs"]
pub(crate) mod tests;
