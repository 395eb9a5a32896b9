//! From bytes to a record: strict JSON first (`json`), then the rule of each field (`fields`).
//! Both return a typed `Malformed` that names the rule and never repeats the payload. A parser keeps its buffers, so that in
//! the steady state a record needs no allocation.

mod fields;
mod json;
mod malformed;

pub use json::{DEPTH_MAX, MEMBERS_COUNT_MAX};
pub use malformed::{Field, Malformed, MalformedCode};

use crate::record::Record;

/// After a larger body a parser frees its buffers before the next usual one. A body of 1 MiB may need some 30 MiB (measured;
/// 24 bytes per JSON value and more), and one client must not keep that much memory of a shard in use.
const BODY_BYTES_KEPT: usize = 64 * 1024;

/// Reads one body after the other.
#[derive(Default)]
pub struct Parser {
    json: json::Reader,
    room: fields::Room,
}

impl Parser {
    /// A parser with buffers for usual records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses one body. The body is copied first, because strings are unescaped in place.
    ///
    /// The signature stage checks `sig` and the form of `pcs_id` and `merkle_root`.
    pub fn parse<'p>(&'p mut self, body: &[u8]) -> Result<Record<'p>, Malformed> {
        if self.json.room_bytes() > BODY_BYTES_KEPT && body.len() <= BODY_BYTES_KEPT {
            *self = Self::default();
        }
        let Self { json, room } = self;
        json.read(body, |tape| fields::record(tape, room))
    }
}

impl std::fmt::Debug for Parser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parser")
    }
}

/// Checks only the rules of JSON: syntax, encoding, depth, number of members, duplicate keys.
pub fn check_json(body: &[u8]) -> Result<(), Malformed> {
    json::Reader::default().read(body, |_| Ok(()))
}
