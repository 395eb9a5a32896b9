//! The canonical signing payload: eight members in byte order, no spaces, ASCII only, numbers as text.
//! Existing agents produce these bytes; one different byte would refuse all of their records. It never allocates.

use crate::{
    hash,
    number::{self, Sink},
    record::Record,
    text::write_string,
};

/// The number form of the four floats of the payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NumberForm {
    /// The shortest decimal text, as CPython's `repr`.
    #[default]
    Repr,
    /// Nine decimals, as C's `%.9f` of the rounded double.
    Fixed9,
}

/// The payload's bytes, kept and used again from record to record.
#[derive(Debug)]
pub struct PayloadBuf(Vec<u8>);

/// Three texts of at most 128 bytes, each byte as a six-byte escape (2,304), four floats of at most 320 bytes (1,280),
/// the epoch and the member names: no record that passes the length rules needs more.
pub const PAYLOAD_BYTES_MAX: usize = 4096;

impl PayloadBuf {
    /// An empty buffer with room for every payload.
    pub fn new() -> Self {
        Self(Vec::with_capacity(PAYLOAD_BYTES_MAX))
    }

    /// Forgets the bytes and keeps the room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The bytes written since the last `clear`.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Default for PayloadBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for PayloadBuf {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// Writes the signing payload of `record`.
pub fn write_payload(record: &Record<'_>, form: NumberForm, out: &mut impl Sink) {
    out.put(b"{\"D_hat\":");
    write_number(out, record.d_hat, form);
    out.put(b",\"budget\":");
    write_number(out, record.budget, form);
    out.put(b",\"coh_star\":");
    write_number(out, record.coh_star, form);
    out.put(b",\"epoch\":");
    number::write_unsigned(out, record.epoch);
    out.put(b",\"merkle_root\":");
    write_string(out, record.merkle_root);
    out.put(b",\"pcs_id\":");
    write_string(out, record.pcs_id);
    out.put(b",\"r\":");
    write_number(out, record.r, form);
    out.put(b",\"shard_id\":");
    write_string(out, record.shard_id);
    out.put(b"}");
}

/// SHA-256 of the payload; `scratch` holds the payload afterwards.
pub fn digest(record: &Record<'_>, form: NumberForm, scratch: &mut PayloadBuf) -> [u8; 32] {
    scratch.clear();
    write_payload(record, form, scratch);
    debug_assert!(
        scratch.bytes().len() <= PAYLOAD_BYTES_MAX,
        "the room that is kept is enough for every record"
    );
    hash::sha256(&[scratch.bytes()])
}

fn write_number(out: &mut impl Sink, v: f64, form: NumberForm) {
    match form {
        NumberForm::Repr => number::write_repr_rounded(out, v),
        NumberForm::Fixed9 => number::write_fixed9(out, number::round9(v)),
    }
}
