//! Judging stage: parse, signature, identity, verification — all pure — and then the claim. It looks only at bodies that
//! are in the open batch already, and touches no dedup state for a record whose signature is not valid.

use super::admit::Logged;
use super::answer::Answer;
use super::flights::{Claim, Request};
#[cfg(feature = "planted-bugs")]
use super::mistakes;
use super::tenants::ActiveKeys;
use super::{Core, Ingress};
use crate::dedup::Decided;
use crate::dedup::context::Context;
use crate::dedup::protocol::{Ticket, ToOwner};
use crate::event::{Driver, Outbox, Stage};
use crate::http::Problem;
use crate::io::Now;
use crate::wal::record::{Entry, Refused};
use flk_contract::signature::Unauthentic;
use flk_contract::{
    IdentityMismatch, Malformed, authenticate, authenticate_unsigned, check_identity, judge,
};

/// The result of judging one body.
#[allow(clippy::large_enum_variant)] // lives on the stack for one record; a box would be an allocation per request
enum Judged {
    /// The body is not a record that may claim its key.
    Refused(Problem, &'static str),
    /// The record is validly signed and claims its key.
    Claims(Claim),
}

impl Ingress {
    pub(super) fn judge_logged(
        &mut self,
        core: &mut Core,
        now: Now,
        driver: &mut impl Driver,
        outbox: &mut Outbox,
    ) {
        let mut logged = std::mem::take(&mut self.logged);
        for body in logged.drain(..) {
            let Logged {
                ticket, context, ..
            } = body;
            if let Some(trace) = body.trace {
                driver.judges_traced(trace.slot);
            }
            let judged = self.judge_body(core, &body, now, driver);
            driver.probe(Stage::Claim);
            match judged {
                Judged::Refused(problem, field) => {
                    if problem == Problem::SignatureInvalid {
                        let bytes = (body.end - body.start) as u64;
                        let from = (context.tenant, body.client);
                        self.charge_unauthenticated(core, from, bytes, now, driver);
                    }
                    self.refuse_body(core, ticket, problem, field);
                }
                Judged::Claims(mut claim) => {
                    self.claim(core, ticket, context, &mut claim, now, outbox);
                }
            }
        }
        self.logged = logged;
    }

    fn judge_body(
        &mut self,
        core: &Core,
        logged: &Logged,
        now: Now,
        driver: &mut impl Driver,
    ) -> Judged {
        driver.probe(Stage::Parse);
        let body = &core.log.open_bodies()[logged.start..logged.end];
        let record = match self.scratchpad.parser.parse(body) {
            Ok(record) => record,
            Err(malformed) => return refusal_of(&malformed),
        };
        driver.probe(Stage::Signature);
        let tenant = self.in_force.of(logged.context.tenant);
        let verified = match &tenant.keys {
            ActiveKeys::Set(keys) => authenticate(&record, keys, &mut self.scratchpad.scratch),
            ActiveKeys::Unsigned => authenticate_unsigned(&record, &mut self.scratchpad.scratch),
            ActiveKeys::None | ActiveKeys::Unavailable => Err(Unauthentic::NoKeyVerifies),
        };
        #[cfg(feature = "planted-bugs")]
        let verified = mistakes::or_unsigned(verified, &record, &mut self.scratchpad.scratch);
        let Ok(verified) = verified else {
            return Judged::Refused(Problem::SignatureInvalid, "");
        };
        driver.probe(Stage::Verify);
        if let Some(row) = tenant.key_row(verified.key) {
            let key = self.config.stats.shards[usize::from(self.config.id.0)]
                .tenants
                .key(row);
            key.verified.add(1);
            key.last_seen_us.set(now.wall_us / 1_000_000 * 1_000_000);
        }
        let pcs_id = match check_identity(&record) {
            Ok(pcs_id) => pcs_id,
            Err(IdentityMismatch::MerkleRoot) => {
                return Judged::Refused(Problem::InvalidField, "merkle_root");
            }
            Err(IdentityMismatch::PcsId) => {
                return Judged::Refused(Problem::PcsIdMismatch, "");
            }
        };
        let key = core.hash.key_of(logged.context.tenant, record.pcs_id);
        let set = tenant.params_of(key);
        let outcome = judge(&record, &set.params, &mut self.scratchpad.slopes);
        let digest = verified.signing_digest;
        Judged::Claims(Claim {
            candidate: Decided::candidate(key, &outcome, set.number, &digest),
            pcs_id,
            digest,
            key_id: verified.key.0,
            coh_star: record.coh_star as f32,
            r: record.r as f32,
        })
    }

    /// The body's disposition is a refusal; the answer waits for both.
    pub(super) fn refuse_body(
        &mut self,
        core: &mut Core,
        ticket: Ticket,
        problem: Problem,
        field: &'static str,
    ) {
        let Request {
            conn,
            reply,
            body,
            context,
            trace,
        } = self.flights.expect(ticket).request;
        let refused = Refused {
            body,
            status: problem.status(),
            code: problem.number(),
        };
        let needs = core.log.push_disposition(body, &Entry::Refused(refused));
        if problem == Problem::SignatureInvalid {
            self.stats().signature_errors.add(1);
            self.counted(context.tenant).signature_errors.add(1);
        }
        self.trace_answer(trace, needs, core.log.durable());
        let answer = Answer::Problem(problem, field);
        self.answer(core, conn, reply, answer, needs);
        self.flights.end(ticket);
    }

    /// Asks the owner of the key.
    fn claim(
        &mut self,
        core: &mut Core,
        ticket: Ticket,
        context: Context,
        claim: &mut Claim,
        now: Now,
        outbox: &mut Outbox,
    ) {
        claim.candidate.decided_at = core.clock_s(now);
        let candidate = claim.candidate;
        if let Some(trace) = self.flights.expect(ticket).request.trace {
            self.trace_claim(trace, claim.pcs_id, core.owner_of(candidate.key).0);
        }
        self.flights.claimed(ticket, claim, now.mono_us);
        let message = ToOwner::Claim {
            ticket,
            context,
            candidate,
        };
        core.notify_owner(candidate.key, &message, now, outbox);
    }
}

fn refusal_of(malformed: &Malformed) -> Judged {
    let problem = Problem::from(malformed);
    Judged::Refused(problem, malformed.field.map_or("", |field| field.as_str()))
}
