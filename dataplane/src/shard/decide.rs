//! Deciding stage: answers to claims become decisions and other dispositions in the log, and the owners of keys are notified
//! of durable decisions. It never decides anything itself: the owner of a key does.

use super::answer::Answer;
use super::flights::{Claim, FlightStep, Granted, Request};
use super::judge::CLAIMS_TOGETHER;
use super::{Core, Ingress};
use crate::dedup::context::TenantId;
use crate::dedup::protocol::{Ticket, ToOwner, ToReceiver};
use crate::dedup::{Decided, DecidedRecord};
use crate::event::{Op, Outbox};
use crate::http::{Dedup, Problem};
use crate::io::Now;
use crate::mesh::Message;
use crate::planted::{Bug, planted};
use crate::stats::trace::Found;
use crate::wal::record::Entry;

impl Ingress {
    /// The durable prefix may have moved: owners are notified of grants that are on disk, answers become due.
    pub(super) fn announce_durable(&mut self, core: &mut Core, now: Now, outbox: &mut Outbox) {
        let durable = core.log.durable();
        while let Some((_, conn)) = self.waiting.pop_front_if(|(needs, _)| *needs <= durable) {
            self.due.push(conn);
        }
        loop {
            let next = self.won.iter().take(CLAIMS_TOGETHER);
            let count = next.take_while(|(needs, _)| *needs <= durable).count();
            if count == 0 {
                break;
            }
            let together = self.won.iter().take(count);
            let keys = together.map(|&(_, ticket)| self.granted(ticket).key);
            core.owner.expect_durable(keys);
            for _ in 0..count {
                let Some((_, ticket)) = self.won.pop_front() else {
                    unreachable!("they were counted");
                };
                let Granted { key, epoch } = self.granted(ticket);
                self.flights.end(ticket);
                let message = ToOwner::Durable { ticket, key, epoch };
                core.notify_owner(key, &message, now, outbox);
            }
        }
        self.decide(core, outbox);
    }

    /// What a flight that waits for its decision has won.
    fn granted(&self, ticket: Ticket) -> Granted {
        match self.flights.expect(ticket).step {
            FlightStep::Decided(granted) => granted,
            ref step => unreachable!("only what has won waits for its decision: {step:?}"),
        }
    }

    /// Carries out the owner's answers: ours here, the others' by message.
    pub(super) fn decide(&mut self, core: &mut Core, outbox: &mut Outbox) {
        let mut answers = std::mem::take(&mut core.effects.answers);
        for answer in answers.drain(..) {
            if answer.to == core.me {
                self.measure_hop(&answer.message);
                self.on_owner_answer(core, answer.message);
            } else {
                let message = Message::ToReceiver(answer.message);
                outbox.ops.push(Op::Message(answer.to, message));
            }
        }
        #[cfg(feature = "planted-bugs")]
        answers.append(&mut core.effects.answers);
        assert!(
            core.effects.answers.is_empty(),
            "the shard's answers to its own claims cause no further answers"
        );
        core.effects.answers = answers;
        self.answer_look_ups(core, outbox);
        for read in core.effects.reads.drain(..) {
            outbox.ops.push(Op::Read {
                id: read.id,
                file: read.file,
                offset: read.offset,
            });
        }
    }

    /// The owner answered a claim of ours.
    fn on_owner_answer(&mut self, core: &mut Core, message: ToReceiver) {
        #[cfg(feature = "planted-bugs")]
        if self.refuses_condemned(core, &message) {
            return;
        }
        match message {
            ToReceiver::Won {
                ticket,
                decided_at,
                expiry,
            } => self.won(core, ticket, decided_at, expiry),
            ToReceiver::Existing {
                ticket,
                outcome,
                conflict,
            } => self.existing(core, ticket, outcome, conflict),
            ToReceiver::Unavailable { ticket } => self.unavailable(core, ticket),
            ToReceiver::Withdrawn { ticket } => {
                let step = &self.flights.expect(ticket).step;
                assert!(
                    matches!(step, FlightStep::Withdrawing(_)),
                    "a claim is withdrawn because its receiver asked: {step:?}"
                );
                self.flights.end(ticket);
            }
        }
    }

    fn won(&mut self, core: &mut Core, ticket: Ticket, decided_at: u32, expiry: u32) {
        let flight = self.flights.expect(ticket);
        let request = flight.request;
        let (claim, late) = match &flight.step {
            FlightStep::Claimed(claim) => (claim, false),
            FlightStep::Withdrawing(claim) => (claim, true),
            step => unreachable!("a claim wins once: {step:?}"),
        };
        assert!(decided_at <= expiry, "an owner stamps in order");
        let mut candidate = claim.candidate;
        let granted = Granted {
            key: candidate.key,
            epoch: core.log.epoch(),
        };
        #[cfg(feature = "planted-bugs")]
        if late && planted(Bug::LateWonNotLogged) {
            return self.log_nothing(core, ticket, granted);
        }
        // (Planted: the candidate carries the receiver's own stamp already.)
        if !planted(Bug::DecidedAtByReceiver) {
            candidate.decided_at = decided_at;
        }
        candidate.expiry = expiry;
        let params = core.params_version(candidate.params);
        let record = DecidedRecord {
            tenant: self.in_force.name(request.context.tenant),
            body: request.body,
            pcs_id: claim.pcs_id,
            digest: claim.digest,
            key_id: claim.key_id,
        };
        let decision = candidate.to_record(&record, params.as_str());
        let needs = match late {
            true => core
                .log
                .push_late(request.line.into(), &Entry::Decision(decision)),
            false => core.log.push_disposition(
                request.body,
                request.line.into(),
                &Entry::Decision(decision),
            ),
        };
        self.waits.decision();
        self.count_first_outcome(request.context.tenant, claim);
        let answer = Answer::Outcome {
            decided: candidate,
            pcs_id: claim.pcs_id,
            dedup: Dedup::Miss,
        };
        if let Some(trace) = request.trace {
            self.trace_outcome(trace, Found::Miss, candidate.reason, Some(needs));
        }
        self.trace_answer(request.trace, needs, core.log.durable());
        self.flights.decided(ticket, granted);
        self.won.push_back((needs, ticket));
        if !late {
            self.answer(core, request.to(), answer, needs);
        }
    }

    fn existing(&mut self, core: &mut Core, ticket: Ticket, outcome: Decided, conflict: bool) {
        let flight = self.flights.expect(ticket);
        let request = flight.request;
        match &flight.step {
            FlightStep::Claimed(claim) => {
                assert_eq!(
                    outcome.key, claim.candidate.key,
                    "an answer is about the key that was claimed"
                );
                let (entry, dedup) = match conflict {
                    true => (Entry::Conflict(request.body), Dedup::Conflict),
                    false => (Entry::Duplicate(request.body), Dedup::Hit),
                };
                core.log
                    .push_disposition(request.body, request.line.into(), &entry);
                let stats = self.stats();
                stats.dedup_hits.add(1);
                stats.dedup_conflicts.add(u64::from(conflict));
                self.counted(request.context.tenant).dedup_hits.add(1);
                let answer = Answer::Outcome {
                    decided: outcome,
                    pcs_id: claim.pcs_id,
                    dedup,
                };
                if let Some(trace) = request.trace {
                    let found = match conflict {
                        true => Found::Conflict,
                        false => Found::Hit,
                    };
                    self.trace_outcome(trace, found, outcome.reason, None);
                }
                self.answer_behind_body(core, request, answer);
            }
            // Its client has its answer, and its body a disposition.
            FlightStep::Withdrawing(_) => {}
            step => unreachable!("a claim is answered once: {step:?}"),
        }
        self.flights.end(ticket);
    }

    fn unavailable(&mut self, core: &mut Core, ticket: Ticket) {
        let flight = self.flights.expect(ticket);
        let request = flight.request;
        match &flight.step {
            FlightStep::Claimed(_) => {
                let entry = Entry::Unanswered(request.body);
                core.log
                    .push_disposition(request.body, request.line.into(), &entry);
                let answer = Answer::refusal(Problem::StoreUnavailable);
                self.answer_behind_body(core, request, answer);
            }
            FlightStep::Withdrawing(_) => {}
            step => unreachable!("a claim is answered once: {step:?}"),
        }
        self.flights.end(ticket);
    }

    /// The answer needs no more than the body in the log. Bodies are asked for in log order, so the queue of waiting
    /// answers stays ordered only if an older body's answer waits like the newest.
    fn answer_behind_body(&mut self, core: &Core, request: Request, answer: Answer) {
        let Request { body, trace, .. } = request;
        let newest = self
            .waiting
            .back()
            .map_or(body.sequence, |&(needs, _)| needs);
        let needs = if body.sequence <= core.log.durable() {
            body.sequence
        } else {
            body.sequence.max(newest)
        };
        self.trace_answer(trace, needs, core.log.durable());
        self.answer(core, request.to(), answer, needs);
    }

    fn count_first_outcome(&self, tenant: TenantId, claim: &Claim) {
        let stats = self.stats();
        let decided = &claim.candidate;
        let row = self.counted(tenant);
        let params = self.in_force.of(tenant).params_row(decided.params);
        let params = params.map(|row| stats.tenants.params(row));
        match decided.reason {
            0 => {
                stats.accepted.add(1);
                row.accepted.add(1);
                if let Some(params) = params {
                    params.accepted.add(1);
                }
            }
            reason => {
                let at = usize::from(reason) - 1;
                stats.escalated.add(1);
                row.escalated.add(1);
                if let Some(cell) = stats.reasons.get(at) {
                    cell.add(1);
                }
                if let Some(params) = params {
                    params.escalated.add(1);
                    if let Some(cell) = params.reasons.get(at) {
                        cell.add(1);
                    }
                }
            }
        }
        if let Some(cell) = stats
            .regimes
            .get(usize::from(decided.regime).wrapping_sub(1))
        {
            cell.add(1);
        }
        let [d_hat, recomputed_d_hat, budget, _] = decided.numbers;
        stats.d_hat.observe(d_hat);
        stats
            .d_hat_deviation
            .observe((d_hat - recomputed_d_hat).abs());
        stats.budget.observe(budget);
        stats.coh_star.observe(f64::from(claim.coh_star));
        stats.r.observe(f64::from(claim.r));
    }
}
