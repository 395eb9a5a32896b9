//! The verdict on one body, in the order of the contract: record, signature, identity, outcome. It is a function of the body, of
//! the keys and of the parameters, the same where a shard judges a request and where a stored body is judged again. It
//! reads no clock, and it knows nothing of duplicates.

use crate::http::Problem;
#[cfg(feature = "planted-bugs")]
use crate::planted::{Bug, planted};
use crate::snapshot::ActiveKeys;
#[cfg(feature = "planted-bugs")]
use flk_contract::Record;
use flk_contract::{
    IdentityMismatch, Malformed, Outcome, Params, Parser, Scratch, SlopeCache, Unauthentic,
    Verified, authenticate, authenticate_unsigned, check_identity, judge,
};

/// What a body is judged under, and what is said of it meanwhile.
pub trait Case {
    /// The keys that are active at receipt.
    fn keys(&self) -> &ActiveKeys;

    /// The body is a record; its signature is looked at now.
    fn parsed(&mut self) {}

    /// The record is authentic; its identity is looked at now.
    fn authentic(&mut self, _verified: &Verified) {}

    /// The parameters for the record of this id, which is the right one.
    fn params(&mut self, pcs_id: &str) -> &Params;
}

/// A body that claims its key.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// The id, as the bytes that its hex digits spell.
    pub pcs_id: [u8; 32],
    /// The key that verified it, and the signing digest.
    pub verified: Verified,
    /// The outcome that it gets if it is the first of its key.
    pub outcome: Outcome,
    /// As claimed.
    pub coh_star: f64,
    /// As claimed.
    pub r: f64,
}

/// A body that is not a record that may claim its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What a client is told.
    pub problem: Problem,
    /// The field, or nothing.
    pub field: &'static str,
}

/// Judges one body after the other. It holds nothing between them.
#[derive(Debug, Default)]
pub struct Judge {
    parser: Parser,
    scratch: Scratch,
    slopes: SlopeCache,
}

impl Judge {
    /// The verdict on a body.
    ///
    /// # Errors
    /// It is refused.
    pub fn verdict(&mut self, body: &[u8], case: &mut impl Case) -> Result<Judged, Refusal> {
        let record = self.parser.parse(body).map_err(|it| Refusal::of(&it))?;
        case.parsed();
        let verified = match case.keys() {
            ActiveKeys::Set(keys) => authenticate(&record, keys, &mut self.scratch),
            ActiveKeys::Unsigned => authenticate_unsigned(&record, &mut self.scratch),
            ActiveKeys::None | ActiveKeys::Unavailable => Err(Unauthentic::NoKeyVerifies),
        };
        #[cfg(feature = "planted-bugs")]
        let verified = or_unsigned(verified, &record, &mut self.scratch);
        let verified = verified.map_err(|_| Refusal::with(Problem::SignatureInvalid, ""))?;
        case.authentic(&verified);
        let pcs_id = check_identity(&record).map_err(|mismatch| match mismatch {
            IdentityMismatch::MerkleRoot => Refusal::with(Problem::InvalidField, "merkle_root"),
            IdentityMismatch::PcsId => Refusal::with(Problem::PcsIdMismatch, ""),
        })?;
        let params = case.params(record.pcs_id);
        Ok(Judged {
            pcs_id,
            verified,
            outcome: judge(&record, params, &mut self.slopes),
            coh_star: record.coh_star,
            r: record.r,
        })
    }
}

impl Refusal {
    fn of(malformed: &Malformed) -> Refusal {
        let field = malformed.field.map_or("", |field| field.as_str());
        Refusal::with(Problem::from(malformed), field)
    }

    const fn with(problem: Problem, field: &'static str) -> Refusal {
        Refusal { problem, field }
    }
}

/// The mistake of [`Bug::DedupBeforeSignature`]: a record whose signature is not valid claims its key like any other. Its
/// claim names no key.
#[cfg(feature = "planted-bugs")]
fn or_unsigned(
    verified: Result<Verified, Unauthentic>,
    record: &Record<'_>,
    scratch: &mut Scratch,
) -> Result<Verified, Unauthentic> {
    match verified {
        Err(error) if planted(Bug::DedupBeforeSignature) => match check_identity(record) {
            Ok(_) => authenticate_unsigned(record, scratch),
            Err(_) => Err(error),
        },
        verified => verified,
    }
}
