//! Judging stage: parse, signature, identity, verification — all pure — and then the claim. It looks only at bodies that
//! are in the open batch already, and touches no dedup state for a record whose signature is not valid.

use super::admit::{DEFAULT_TENANT, Logged};
use super::answer::Answer;
use super::config::Signing;
use super::flights::Step;
use super::{Core, Shard};
use crate::dedup::Decided;
use crate::event::{Now, Op, Outbox, ShardId};
use crate::http::Problem;
use crate::mesh::{Message, Ticket};
use crate::planted::{Bug, planted};
use crate::wal::record::{Entry, Refused};
use flk_contract::outcome::ENCODING;
use flk_contract::{
    IdentityMismatch, Malformed, Outcome, Verified, authenticate, authenticate_unsigned,
    check_identity, judge,
};

/// What judging says of one body.
#[allow(clippy::large_enum_variant)] // lives on the stack for one record; a box would be an allocation per request
enum Judged {
    /// The body is not a record that may claim its key.
    Refused(Problem, &'static str),
    /// The record claims its key.
    Claims(Claimant),
}

/// A validly signed record, judged.
struct Claimant {
    candidate: Decided,
    pcs_id: [u8; 32],
    verified: Verified,
    coh_star: f64,
    r: f64,
    condemned: bool,
}

impl Shard {
    pub(super) fn judge_logged(&mut self, now: Now, outbox: &mut Outbox) {
        let mut logged = std::mem::take(&mut self.logged);
        for Logged { ticket, start, end } in logged.drain(..) {
            match self.judge_body(start, end) {
                Some(Judged::Refused(problem, field)) => self.refuse_body(ticket, problem, field),
                Some(Judged::Claims(claimant)) => self.claim(ticket, &claimant, now, outbox),
                None => {}
            }
        }
        self.logged = logged;
    }

    fn judge_body(&mut self, start: usize, end: usize) -> Option<Judged> {
        let core = self.core.as_ref()?;
        let body = &core.log.open_bodies()[start..end];
        let record = match self.bench.parser.parse(body) {
            Ok(record) => record,
            Err(malformed) => return Some(refusal_of(&malformed)),
        };
        let verified = match self.config.signing.as_ref() {
            Signing::Keys(keys) => authenticate(&record, keys, &mut self.bench.scratch),
            Signing::Unsigned => authenticate_unsigned(&record, &mut self.bench.scratch),
        };
        let (verified, condemned) = match verified {
            Ok(verified) => (verified, false),
            Err(_) if planted(Bug::DedupBeforeSignature) => {
                match authenticate_unsigned(&record, &mut self.bench.scratch) {
                    Ok(verified) => (verified, true),
                    Err(_) => return Some(Judged::Refused(Problem::SignatureInvalid, "")),
                }
            }
            Err(_) => return Some(Judged::Refused(Problem::SignatureInvalid, "")),
        };
        let pcs_id = match check_identity(&record) {
            Ok(pcs_id) => pcs_id,
            Err(_) if condemned => return Some(Judged::Refused(Problem::SignatureInvalid, "")),
            Err(IdentityMismatch::MerkleRoot) => {
                return Some(Judged::Refused(Problem::InvalidField, "merkle_root"));
            }
            Err(IdentityMismatch::PcsId) => {
                return Some(Judged::Refused(Problem::PcsIdMismatch, ""));
            }
        };
        let outcome = judge(&record, &self.config.params, &mut self.bench.slopes);
        let key = core.hash.key(DEFAULT_TENANT, record.pcs_id);
        let candidate = Decided {
            key,
            params: core.params,
            ..candidate_of(&outcome, &verified)
        };
        let (coh_star, r) = (record.coh_star, record.r);
        Some(Judged::Claims(Claimant {
            candidate,
            pcs_id,
            verified,
            coh_star,
            r,
            condemned,
        }))
    }

    /// The body's fate is a refusal; the answer waits for both.
    pub(super) fn refuse_body(&mut self, ticket: Ticket, problem: Problem, field: &'static str) {
        let Some(core) = self.core.as_mut() else {
            return;
        };
        let Some(flight) = self.flights.get(ticket).copied() else {
            return;
        };
        let refused = Refused {
            body: flight.body,
            status: problem.status(),
            code: problem.number(),
        };
        let needs = core.log.push_fate(flight.body, &Entry::Refused(refused));
        if problem == Problem::SignatureInvalid {
            self.stats().signature_errors.add(1);
        }
        self.resolve(
            flight.conn,
            flight.reply,
            Answer::Problem(problem, field),
            needs,
        );
        self.flights.end(ticket);
    }

    /// Asks the owner of the key.
    fn claim(&mut self, ticket: Ticket, claimant: &Claimant, now: Now, outbox: &mut Outbox) {
        let Some(core) = self.core.as_mut() else {
            return;
        };
        let Some(flight) = self.flights.advance(ticket, Step::Claimed) else {
            return;
        };
        let now_s = core.begin.clock.at(now.mono_us);
        flight.candidate = claimant.candidate;
        flight.candidate.decided_at = now_s;
        flight.pcs_id = claimant.pcs_id;
        flight.digest = claimant.verified.signing_digest;
        flight.key_id = claimant.verified.key.0;
        flight.condemned = claimant.condemned;
        flight.coh_star = claimant.coh_star as f32;
        flight.r = claimant.r as f32;
        let candidate = flight.candidate;
        let owner = owner_of(core, &candidate);
        if owner == self.config.id {
            core.owner.claim(
                owner,
                ticket,
                &candidate,
                now_s,
                &mut self.answers,
                &mut self.reads,
            );
        } else {
            self.claims_abroad += 1;
            outbox
                .ops
                .push(Op::Message(owner, Message::Claim { ticket, candidate }));
        }
    }
}

/// The shard that arbitrates this key.
pub(super) fn owner_of(core: &Core, candidate: &Decided) -> ShardId {
    core.begin.owners[usize::from(candidate.key.partition())]
}

fn candidate_of(outcome: &Outcome, verified: &Verified) -> Decided {
    let mut tag = [0; 8];
    tag.copy_from_slice(&verified.signing_digest[..8]);
    Decided {
        digest_tag: u64::from_le_bytes(tag),
        numbers: [
            outcome.d_hat,
            outcome.recomputed_d_hat,
            outcome.budget,
            outcome.recomputed_budget,
        ],
        reason: outcome.escalated.map_or(0, |reason| reason.code()),
        regime: outcome.regime.code(),
        encoding: ENCODING,
        ..Decided::default()
    }
}

fn refusal_of(malformed: &Malformed) -> Judged {
    let problem = Problem::from(malformed);
    Judged::Refused(problem, malformed.field.map_or("", |field| field.as_str()))
}
