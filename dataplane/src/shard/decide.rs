//! Deciding stage: answers to claims become decisions and other fates in the log, and durable decisions are told to their
//! owners. It never decides anything itself: the owner of a key does.

use super::Shard;
use super::admit::DEFAULT_TENANT;
use super::answer::Answer;
use super::flights::{Flight, Step};
use super::judge::owner_of;
use crate::dedup::{Decided, Epoch};
use crate::event::{Now, Op, Outbox};
use crate::http::{Dedup, Problem};
use crate::mesh::{Message, Ticket};
use crate::planted::{Bug, planted};
use crate::wal::record::{Decision, Entry};

impl Shard {
    /// The durable prefix may have moved: owners learn which of their grants are on disk, answers become due.
    pub(super) fn announce_durable(&mut self, now: Now, outbox: &mut Outbox) {
        let Some(core) = self.core.as_mut() else {
            return;
        };
        let durable = core.log.durable();
        while let Some((_, conn)) = self.waiting.pop_front_if(|(needs, _)| *needs <= durable) {
            self.due.push(conn);
        }
        while let Some((_, ticket)) = self.won.pop_front_if(|(needs, _)| *needs <= durable) {
            let Some(flight) = self.flights.get(ticket).copied() else {
                continue;
            };
            self.flights.end(ticket);
            let owner = owner_of(core, &flight.candidate);
            let (key, epoch) = (flight.candidate.key, flight.epoch);
            if owner == self.config.id {
                core.owner
                    .durable(owner, ticket, key, epoch, &mut self.answers);
            } else {
                outbox
                    .ops
                    .push(Op::Message(owner, Message::Durable { ticket, key, epoch }));
            }
        }
        self.decide(now, outbox);
    }

    /// Carries out the owner's answers: ours here, the others' by message.
    pub(super) fn decide(&mut self, now: Now, outbox: &mut Outbox) {
        let me = self.id();
        let mut answers = std::mem::take(&mut self.answers);
        for answer in answers.drain(..) {
            if answer.to == me {
                self.answered(answer.message, now);
            } else {
                outbox.ops.push(Op::Message(answer.to, answer.message));
            }
        }
        self.answers = answers;
        for read in self.reads.drain(..) {
            outbox.ops.push(Op::Read {
                id: read.id,
                file: read.file,
                offset: read.offset,
            });
        }
    }

    /// The owner answered a claim of ours.
    fn answered(&mut self, message: Message, now: Now) {
        match message {
            Message::Won {
                ticket,
                decided_at,
                expiry,
            } => self.won(ticket, decided_at, expiry, now),
            Message::Existing {
                ticket,
                outcome,
                conflict,
            } => self.existing(ticket, outcome, conflict),
            Message::Unavailable { ticket } => self.unavailable(ticket),
            Message::Withdrawn { ticket } => {
                if self
                    .flights
                    .get(ticket)
                    .is_some_and(|flight| flight.step == Step::Withdrawing)
                {
                    self.flights.end(ticket);
                }
            }
            Message::Claim { .. }
            | Message::Withdraw { .. }
            | Message::Durable { .. }
            | Message::Pressure(_)
            | Message::Stalled(_) => {
                unreachable!("these go to an owner")
            }
        }
    }

    fn won(&mut self, ticket: Ticket, decided_at: u32, expiry: u32, now: Now) {
        let Some(core) = self.core.as_mut() else {
            return;
        };
        let Some(flight) = self.flights.get(ticket) else {
            return;
        };
        let late = flight.step == Step::Withdrawing;
        if flight.condemned {
            return self.condemn(ticket);
        }
        let Some(flight) = self.flights.advance(ticket, Step::Decided) else {
            return;
        };
        if late && planted(Bug::LateWonNotLogged) {
            let sequence = core.log.durable();
            self.won.push_front((sequence, ticket));
            return;
        }
        // (Planted: the candidate carries the receiver's own stamp already.)
        if !planted(Bug::DecidedAtByReceiver) {
            flight.candidate.decided_at = decided_at;
        }
        flight.candidate.expiry = expiry;
        flight.epoch = core.log.epoch();
        let flight = *flight;
        let params = core
            .begin
            .params
            .get(usize::from(flight.candidate.params))
            .copied()
            .unwrap_or_default();
        let decision = Entry::Decision(decision_of(&flight, params.as_str()));
        let needs = match late {
            true => core.log.push_late(&decision),
            false => core.log.push_fate(flight.body, &decision),
        };
        self.batch_since_us.get_or_insert(now.mono_us);
        self.won.push_back((needs, ticket));
        self.count_first_outcome(&flight);
        if !late {
            let answer = Answer::Outcome {
                decided: flight.candidate,
                pcs_id: flight.pcs_id,
                dedup: Dedup::Miss,
            };
            self.resolve(flight.conn, flight.reply, answer, needs);
        }
    }

    fn existing(&mut self, ticket: Ticket, outcome: Decided, conflict: bool) {
        let Some(core) = self.core.as_mut() else {
            return;
        };
        let Some(flight) = self.flights.get(ticket).copied() else {
            return;
        };
        if flight.condemned {
            return self.refuse_body(ticket, Problem::SignatureInvalid, "");
        }
        if flight.step == Step::Claimed {
            let (entry, dedup) = match conflict {
                true => (Entry::Conflict(flight.body), Dedup::Conflict),
                false => (Entry::Duplicate(flight.body), Dedup::Hit),
            };
            core.log.push_fate(flight.body, &entry);
            let stats = self.stats();
            stats.dedup_hits.add(1);
            stats.dedup_conflicts.add(u64::from(conflict));
            let answer = Answer::Outcome {
                decided: outcome,
                pcs_id: flight.pcs_id,
                dedup,
            };
            self.resolve_behind_body(&flight, answer);
        }
        self.flights.end(ticket);
    }

    fn unavailable(&mut self, ticket: Ticket) {
        let Some(core) = self.core.as_mut() else {
            return;
        };
        let Some(flight) = self.flights.get(ticket).copied() else {
            return;
        };
        if flight.step == Step::Claimed {
            core.log
                .push_fate(flight.body, &Entry::Unanswered(flight.body));
            self.resolve_behind_body(&flight, Answer::refusal(Problem::StoreUnavailable));
        }
        self.flights.end(ticket);
    }

    /// The answer needs no more than the body in the log. Bodies are asked for in log order, so the queue of waiting
    /// answers stays ordered only if an older body's answer waits like the newest.
    fn resolve_behind_body(&mut self, flight: &Flight, answer: Answer) {
        let newest = self
            .waiting
            .back()
            .map_or(flight.body.sequence, |&(needs, _)| needs);
        let durable = self
            .core
            .as_ref()
            .map(|core| core.log.durable())
            .unwrap_or_default();
        let needs = if flight.body.sequence <= durable {
            flight.body.sequence
        } else {
            flight.body.sequence.max(newest)
        };
        self.resolve(flight.conn, flight.reply, answer, needs);
    }

    /// Exists for a planted bug only: the claim was made before the signature was found invalid.
    fn condemn(&mut self, ticket: Ticket) {
        let Some(flight) = self.flights.get(ticket).copied() else {
            return;
        };
        self.refuse_body(ticket, Problem::SignatureInvalid, "");
        if let Some(core) = self.core.as_mut() {
            core.owner.durable(
                self.config.id,
                ticket,
                flight.candidate.key,
                Epoch::earlier_runs(),
                &mut self.answers,
            );
        }
    }

    fn count_first_outcome(&self, flight: &Flight) {
        let stats = self.stats();
        let decided = &flight.candidate;
        match decided.reason {
            0 => stats.accepted.add(1),
            reason => {
                stats.escalated.add(1);
                if let Some(cell) = stats.reasons.get(usize::from(reason) - 1) {
                    cell.add(1);
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
        stats.coh_star.observe(f64::from(flight.coh_star));
        stats.r.observe(f64::from(flight.r));
    }
}

fn decision_of<'a>(flight: &Flight, params: &'a str) -> Decision<'a> {
    let decided = &flight.candidate;
    Decision {
        body: flight.body,
        tenant: DEFAULT_TENANT,
        pcs_id: flight.pcs_id,
        digest: flight.digest,
        key_id: flight.key_id,
        params,
        decided_at: decided.decided_at,
        expiry: decided.expiry,
        encoding: decided.encoding,
        reason: decided.reason,
        regime: decided.regime,
        numbers: decided.numbers,
    }
}
