//! The answer of a gateway to a body, stage by stage, with an explanation. The stages are those of the contract crate;
//! this file has no rules of its own.

use crate::keyring::{Keyring, Verifying};
use flk_contract::{
    IdentityMismatch, KeyId, Malformed, Outcome, OwnedRecord, Params, Parser, Scheme, Scratch,
    SlopeCache, Unauthentic, authenticate, authenticate_unsigned, check_identity, judge,
};
use flk_dataplane::http::Problem;

/// A judged body.
pub(crate) struct Judged {
    /// The record; none if the body is not one.
    pub(crate) record: Option<OwnedRecord>,
    /// The key that verified it; none if no key did, or if signing is off.
    pub(crate) signed_by: Option<(KeyId, Scheme)>,
    /// The answer.
    pub(crate) verdict: Verdict,
}

/// The answer to a record that is sent for the first time.
pub(crate) enum Verdict {
    /// Accepted, or escalated with a reason.
    Outcome(Outcome),
    /// Refused.
    Refused {
        /// The problem that a client would get.
        problem: Problem,
        /// A further explanation by this tool.
        why: String,
        /// A hint at the likely cause.
        hint: Option<String>,
    },
}

impl Judged {
    /// The HTTP status of the answer.
    pub(crate) const fn status(&self) -> u16 {
        match &self.verdict {
            Verdict::Outcome(outcome) => outcome.status(),
            Verdict::Refused { problem, .. } => problem.status(),
        }
    }

    /// One word for it.
    pub(crate) const fn word(&self) -> &'static str {
        match self.status() {
            200 => "accepted",
            202 => "escalated",
            _ => "refused",
        }
    }
}

/// Judges one body after the other.
pub(crate) struct Judge<'k> {
    keys: &'k Verifying,
    /// The parameters in force.
    pub(crate) params: Params,
    parser: Parser,
    scratch: Scratch,
    slopes: SlopeCache,
}

impl<'k> Judge<'k> {
    /// A judge with these keys and the default parameters.
    pub(crate) fn new(keys: &'k Verifying) -> Self {
        Self {
            keys,
            params: Params::default(),
            parser: Parser::new(),
            scratch: Scratch::new(),
            slopes: SlopeCache::new(),
        }
    }

    /// Judges a body in the order in which a gateway does.
    pub(crate) fn judge(&mut self, body: &[u8]) -> Judged {
        let record = match self.parser.parse(body) {
            Ok(record) => OwnedRecord::from(&record),
            Err(malformed) => return refused_unread(&malformed),
        };
        let view = record.view();
        let verified = match self.keys {
            Verifying::Off => authenticate_unsigned(&view, &mut self.scratch),
            Verifying::Keys(keyring) => authenticate(&view, &keyring.set, &mut self.scratch),
        };
        let signed_by = verified.as_ref().ok().and_then(|it| self.scheme_of(it.key));
        let verdict = match verified {
            Err(why) => Verdict::Refused {
                problem: Problem::SignatureInvalid,
                why: why.to_string(),
                hint: self.hint(&record, why),
            },
            Ok(_) => match check_identity(&view) {
                Err(mismatch) => refused_identity(mismatch, &record),
                Ok(_) => Verdict::Outcome(judge(&view, &self.params, &mut self.slopes)),
            },
        };
        Judged {
            record: Some(record),
            signed_by,
            verdict,
        }
    }

    fn scheme_of(&self, key: KeyId) -> Option<(KeyId, Scheme)> {
        match self.keys {
            Verifying::Off => None,
            Verifying::Keys(keyring) => keyring.set.ids().find(|(id, _)| *id == key),
        }
    }

    fn hint(&mut self, record: &OwnedRecord, why: Unauthentic) -> Option<String> {
        match (self.keys, why) {
            (Verifying::Keys(keyring), Unauthentic::NoKeyVerifies) => {
                Some(self.hint_other_scheme(keyring, record))
            }
            (_, Unauthentic::Absent) => Some("sign it with `flk pcs sign`".to_owned()),
            _ => None,
        }
    }

    /// A wrong scheme is the most frequent reason why the right key does not verify.
    fn hint_other_scheme(&mut self, keyring: &Keyring, record: &OwnedRecord) -> String {
        let view = record.view();
        for (scheme, set) in keyring.under_other_schemes() {
            if authenticate(&view, &set, &mut self.scratch).is_ok() {
                return format!(
                    "the key is right and the scheme is not: it was signed as `{scheme}` (PCS_SIGN_ALG or --alg)"
                );
            }
        }
        let tried: Vec<String> = keyring
            .set
            .ids()
            .map(|(id, scheme)| format!("{id} ({scheme})"))
            .collect();
        format!(
            "it was signed with another key, or a signed field was changed; tried key {}",
            tried.join(", ")
        )
    }
}

fn refused_identity(mismatch: IdentityMismatch, record: &OwnedRecord) -> Verdict {
    let (problem, hint) = match mismatch {
        IdentityMismatch::MerkleRoot => (Problem::InvalidField, None),
        IdentityMismatch::PcsId => {
            let id = id_by_rule(record);
            (
                Problem::PcsIdMismatch,
                Some(format!("by its fields it is {id}")),
            )
        }
    };
    Verdict::Refused {
        problem,
        why: mismatch.to_string(),
        hint,
    }
}

fn id_by_rule(record: &OwnedRecord) -> String {
    let id = flk_contract::identity::pcs_id(&record.merkle_root, record.epoch, &record.shard_id);
    String::from_utf8_lossy(&flk_contract::hash::hex32(&id)).into_owned()
}

fn refused_unread(malformed: &Malformed) -> Judged {
    Judged {
        record: None,
        signed_by: None,
        verdict: Verdict::Refused {
            problem: Problem::from(malformed),
            why: malformed.to_string(),
            hint: None,
        },
    }
}
