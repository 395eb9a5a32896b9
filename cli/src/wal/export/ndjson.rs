//! Rows as NDJSON: one object per line, all members always there, null where a row has none.

use super::Rows;
use super::out::Out;
use super::row::Row;
use crate::exit::Failure;
use crate::wal::show::{hex, time_text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::Write;

/// See the module.
pub(super) struct Ndjson(Out);

impl Ndjson {
    pub(super) fn new(out: Out) -> Self {
        Self(out)
    }
}

impl Rows for Ndjson {
    fn row(&mut self, row: Row) -> Result<(), Failure> {
        let line = writeln!(self.0, "{}", as_json(&row));
        line.map_err(|error| Failure::output(&error))
    }

    fn finish(self: Box<Self>) -> Result<(), Failure> {
        self.0.finish()
    }
}

fn as_json(row: &Row) -> Value {
    let decided = row.decision();
    let mut value = json!({
        "incarnation": row.incarnation,
        "log": row.log,
        "sequence": row.place.sequence.to_string(),
        "index": row.place.index,
        "line": row.line,
        "received": time_text(row.received_us),
        "tenant": row.tenant,
        "pcs_id": row.pcs_id,
        "disposition": row.disposed.word(),
        "status": row.disposed.status(),
        "reason": row.disposed.why(),
        "regime": row.regime(),
        "params_version": decided.map(|it| &it.params),
        "key_id": decided.map(|it| &it.key_id),
        "signing_digest": decided.map(|it| &it.signing_digest),
        "decided_at": decided.map(|it| it.decided_at),
        "expiry": decided.map(|it| it.expiry),
        "bytes": row.bytes,
        "sha256": row.sha256.map(|it| hex(&it)),
    });
    if let Some(body) = &row.body {
        match std::str::from_utf8(body) {
            Ok(text) => value["body"] = json!(text),
            Err(_) => value["body_base64"] = json!(STANDARD.encode(body)),
        }
    }
    value
}
