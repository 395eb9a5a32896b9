//! The bytes of an outcome. The log stores the fields and the number of their encoding, and the bytes are made again for
//! every duplicate. So an encoding in use never changes; a new form gets a new number.

use crate::{
    number::{Sink, write_repr},
    record::Regime,
    text::write_string,
    verify::{Outcome, Reason},
};

/// The encoding of new outcomes.
pub const ENCODING: u8 = 1;

/// This build does not know the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownEncoding(pub u8);

impl std::fmt::Display for UnknownEncoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "outcome encoding {} is unknown to this build (it knows 1 to {ENCODING}); run the version that wrote it or a newer one",
            self.0
        )
    }
}

impl std::error::Error for UnknownEncoding {}

/// The part of a stored decision that this build does not know, and its number: a newer version wrote it. The reason is 0 if
/// the record was accepted.
#[must_use]
pub const fn unknown_part(encoding: u8, reason: u8, regime: u8) -> Option<(&'static str, u8)> {
    if encoding == 0 || encoding > ENCODING {
        return Some(("encoding", encoding));
    }
    if reason != 0 && Reason::from_code(reason).is_none() {
        return Some(("reason", reason));
    }
    if Regime::from_code(regime).is_none() {
        return Some(("regime", regime));
    }
    None
}

/// Writes the body of the response to a submission.
pub fn write_outcome(
    encoding: u8,
    outcome: &Outcome,
    pcs_id: &str,
    out: &mut impl Sink,
) -> Result<(), UnknownEncoding> {
    match encoding {
        1 => {
            write_1(outcome, pcs_id, out);
            Ok(())
        }
        other => Err(UnknownEncoding(other)),
    }
}

fn write_1(outcome: &Outcome, pcs_id: &str, out: &mut impl Sink) {
    out.put(b"{\"pcs_id\":");
    write_string(out, pcs_id);
    match outcome.escalated {
        None => out.put(b",\"accepted\":true,\"escalated\":false"),
        Some(reason) => {
            out.put(b",\"accepted\":false,\"escalated\":true,\"reason\":\"");
            out.put(reason.as_str().as_bytes());
            out.put(b"\"");
        }
    }
    out.put(b",\"D_hat\":");
    write_repr(out, outcome.d_hat);
    out.put(b",\"recomputed_D_hat\":");
    write_repr(out, outcome.recomputed_d_hat);
    out.put(b",\"budget\":");
    write_repr(out, outcome.budget);
    out.put(b",\"recomputed_budget\":");
    write_repr(out, outcome.recomputed_budget);
    out.put(b",\"regime\":\"");
    out.put(outcome.regime.as_str().as_bytes());
    out.put(b"\",\"params_version\":");
    write_string(out, outcome.params_version.as_str());
    out.put(b"}");
}
