//! Judging stage: parse, signature, identity, verification — all pure, and all in [`crate::verdict`] — and then the claim. It looks only at bodies that
//! are in the open batch already, and touches no dedup state for a record whose signature is not valid.

use super::admit::Logged;
use super::answer::Answer;
use super::flights::{Claim, Request};
use super::tenants::TenantInForce;
use super::{Core, Ingress};
use crate::dedup::context::{Context, TenantId};
use crate::dedup::key::KeyHash;
use crate::dedup::protocol::{Ticket, ToOwner};
use crate::dedup::{Decided, Key};
use crate::event::{Driver, Outbox, Stage};
use crate::http::Problem;
use crate::io::Now;
use crate::snapshot::ActiveKeys;
use crate::stats::refusals::Noted;
use crate::stats::tenants::{Row, TenantPages};
use crate::verdict::{Case, Refusal};
use crate::wal::record::{Entry, Refused};
use flk_contract::{Params, Verified};

/// So many claims are made together, for the memory that they need to come at the same time: what they touch fits into the second
/// cache.
pub(super) const CLAIMS_TOGETHER: usize = 64;

/// Statuses of refusals that are noted: of records that will never be taken as they are, and of those over a rate.
const NOTED: [u16; 5] = [400, 401, 413, 415, 429];

/// A claim that its owner gets next. The claims of a turn are the same whether each follows its record or all follow the last one:
/// no answer to them is looked at before the deciding stage.
#[derive(Debug)]
pub(super) struct Claiming {
    ticket: Ticket,
    context: Context,
    candidate: Decided,
}

/// A body of a tenant in this turn, as it is judged.
struct InTurn<'a, D> {
    driver: &'a mut D,
    now: Now,
    tenant: &'a TenantInForce,
    id: TenantId,
    hash: &'a KeyHash,
    page: &'a TenantPages,
    /// The key of the record, and the number of the parameter set that judges it, once they are known.
    claims: Option<(Key, u16)>,
    /// Where the key is counted whose signature it has.
    signed_by: Option<Row>,
}

impl<D: Driver> Case for InTurn<'_, D> {
    fn keys(&self) -> &ActiveKeys {
        &self.tenant.keys
    }

    fn parsed(&mut self) {
        self.driver.probe(Stage::Signature);
    }

    fn authentic(&mut self, verified: &Verified) {
        self.driver.probe(Stage::Verify);
        if let Some(row) = self.tenant.key_row(verified.key) {
            self.signed_by = Some(row);
            let key = self.page.key(row);
            key.verified.add(1);
            key.last_seen_us
                .set(self.now.wall_us / 1_000_000 * 1_000_000);
        }
    }

    fn params(&mut self, pcs_id: &str) -> &Params {
        let key = self.hash.key_of(self.id, pcs_id);
        let set = self.tenant.params_of(key);
        self.claims = Some((key, set.number));
        &set.params
    }
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
                Err((Refusal { problem, field }, signed_by)) => {
                    let whose = (Some(context.tenant), signed_by);
                    self.note_refusal(problem, field, whose, now);
                    if problem == Problem::SignatureInvalid {
                        let bytes = (body.end - body.start) as u64;
                        let from = (context.tenant, body.client);
                        self.charge_unauthenticated(core, from, bytes, now, driver);
                    }
                    self.refuse_body(core, ticket, problem, field);
                }
                Ok(claim) => {
                    self.queue_claim(core, ticket, context, claim, now);
                    if self.claiming.len() == CLAIMS_TOGETHER {
                        self.send_claims(core, now, outbox);
                    }
                }
            }
        }
        self.send_claims(core, now, outbox);
        self.logged = logged;
    }

    fn judge_body(
        &mut self,
        core: &Core,
        logged: &Logged,
        now: Now,
        driver: &mut impl Driver,
    ) -> Result<Claim, (Refusal, Option<Row>)> {
        driver.probe(Stage::Parse);
        let id = logged.context.tenant;
        let mut case = InTurn {
            driver,
            now,
            tenant: self.in_force.of(id),
            id,
            hash: &core.hash,
            page: &self.config.stats.shards[usize::from(self.config.id.0)].tenants,
            claims: None,
            signed_by: None,
        };
        let body = &core.log.open_bodies()[logged.start..logged.end];
        let judged = self.judge.verdict(body, &mut case);
        let judged = judged.map_err(|refusal| (refusal, case.signed_by))?;
        let Some((key, params)) = case.claims else {
            unreachable!("no outcome is without parameters")
        };
        let digest = judged.verified.signing_digest;
        Ok(Claim {
            candidate: Decided::candidate(key, &judged.outcome, params, &digest),
            pcs_id: judged.pcs_id,
            digest,
            key_id: judged.verified.key.0,
            coh_star: judged.coh_star as f32,
            r: judged.r as f32,
        })
    }

    /// Notes a refusal for the console.
    pub(super) fn note_refusal(
        &self,
        problem: Problem,
        field: &'static str,
        (tenant, key): (Option<TenantId>, Option<Row>),
        now: Now,
    ) {
        if NOTED.contains(&problem.status()) {
            self.stats().refusals.note(&Noted {
                wall_us: now.wall_us,
                problem: problem.number(),
                field,
                tenant: tenant.map(|it| self.in_force.of(it).row),
                key,
            });
        }
    }

    /// The body's disposition is a refusal; the answer waits for both.
    pub(super) fn refuse_body(
        &mut self,
        core: &mut Core,
        ticket: Ticket,
        problem: Problem,
        field: &'static str,
    ) {
        let request = self.flights.expect(ticket).request;
        let Request {
            body,
            line,
            context,
            trace,
            ..
        } = request;
        let refused = Refused {
            body,
            status: problem.status(),
            code: problem.number(),
        };
        let needs = core
            .log
            .push_disposition(body, line.into(), &Entry::Refused(refused));
        if problem == Problem::SignatureInvalid {
            self.stats().signature_errors.add(1);
            self.counted(context.tenant).signature_errors.add(1);
        }
        self.trace_answer(trace, needs, core.log.durable());
        let answer = Answer::Problem(problem, field);
        self.answer(core, request.to(), answer, needs);
        self.flights.end(ticket);
    }

    /// The owner of the key is asked with those of the next records.
    fn queue_claim(
        &mut self,
        core: &Core,
        ticket: Ticket,
        context: Context,
        mut claim: Claim,
        now: Now,
    ) {
        claim.candidate.decided_at = core.clock_s(now);
        let candidate = claim.candidate;
        if let Some(trace) = self.flights.expect(ticket).request.trace {
            self.trace_claim(trace, claim.pcs_id, core.owner_of(candidate.key).0);
        }
        self.flights.claimed(ticket, &claim, now.mono_us);
        self.claiming.push(Claiming {
            ticket,
            context,
            candidate,
        });
    }

    /// Asks the owners of the keys.
    fn send_claims(&mut self, core: &mut Core, now: Now, outbox: &mut Outbox) {
        // Peers wait for theirs themselves.
        let keys = self.claiming.iter().map(|it| it.candidate.key);
        let own = keys.filter(|&key| core.owner_of(key) == core.me);
        core.owner.expect_claims(own);
        for Claiming {
            ticket,
            context,
            candidate,
        } in self.claiming.drain(..)
        {
            let message = ToOwner::Claim {
                ticket,
                context,
                candidate,
            };
            core.notify_owner(candidate.key, &message, now, outbox);
        }
    }
}
