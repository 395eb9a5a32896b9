//! Look-ups: a client asks for the stored outcome of an id. They have a table of their own, so that they take no place of a
//! record; they write nothing to the log and claim nothing. The owner of the key answers each of them once, and only then its
//! place is free again.

use super::answer::{Addressee, Answer, Refusal};
use super::connection::{FrameStep, Incoming};
use super::owed::Reply;
use super::{Core, Ingress};
use crate::dedup::Key;
use crate::dedup::context::{Context, TenantId};
use crate::dedup::protocol::{LookTicket, Looked, Stored, ToOwner};
use crate::event::{ConnId, Op, Outbox};
use crate::http::{Head, LookUps, Problem, Span};
use crate::io::Now;
use crate::mesh::Message;
use crate::planted::{Bug, planted};
use crate::wal::name::Sequence;
use flk_contract::hash::{bytes_of_hex32, hex32};
use std::collections::VecDeque;

/// A look-up cut out of a connection's bytes; no owner was asked yet.
#[derive(Debug)]
pub(super) struct Looking {
    client: Client,
    pub tenant: TenantId,
    pcs_id: [u8; 32],
    complete_us: u64,
    /// It is over a rate.
    pub refused: Option<Refusal>,
}

/// The answer that is owed for a look-up.
#[derive(Clone, Copy, Debug)]
struct Client {
    conn: ConnId,
    reply: u64,
}

/// A look-up that an owner was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// `None`: the client has got 503, or is gone.
    client: Option<Client>,
    key: Key,
    pcs_id: [u8; 32],
    /// When it is answered 503 at the latest.
    due_us: u64,
}

/// All look-ups of one shard that wait for the owner of their key.
#[derive(Debug)]
pub(super) struct Looks {
    slots: Vec<(u32, Option<Look>)>,
    free: Vec<u32>,
    /// Those whose time is not over, by their time: none twice, and none that has ended.
    deadlines: VecDeque<(u64, LookTicket)>,
    /// Those whose connections have closed; their owners do not know yet.
    abandoned: Vec<LookTicket>,
}

impl Looks {
    /// Room for so many.
    pub(super) fn new(looks_max: u32) -> Looks {
        let places = looks_max as usize;
        Looks {
            slots: vec![(0, None); places],
            free: (0..looks_max).rev().collect(),
            deadlines: VecDeque::with_capacity(places),
            abandoned: Vec::with_capacity(places),
        }
    }

    /// How many more may begin.
    fn room(&self) -> usize {
        self.free.len()
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Begins one; there must be room.
    fn begin(&mut self, look: Look) -> LookTicket {
        let due_us = look.due_us;
        let Some(slot) = self.free.pop() else {
            unreachable!("framing checks for room first")
        };
        let (generation, place) = &mut self.slots[slot as usize];
        assert!(place.is_none(), "a free slot holds no look-up");
        *generation = generation.wrapping_add(1);
        *place = Some(look);
        let generation = *generation;
        let ticket = LookTicket { slot, generation };
        let at = self.deadlines.partition_point(|(due, _)| *due <= due_us);
        self.deadlines.insert(at, (due_us, ticket));
        ticket
    }

    fn get_mut(&mut self, ticket: LookTicket) -> Option<&mut Look> {
        let (generation, look) = self.slots.get_mut(ticket.slot as usize)?;
        look.as_mut().filter(|_| *generation == ticket.generation)
    }

    /// Its owner has answered.
    fn end(&mut self, ticket: LookTicket) -> Look {
        let Some(look) = self.get_mut(ticket).copied() else {
            unreachable!("an owner answers a look-up once: {ticket:?}");
        };
        self.slots[ticket.slot as usize].1 = None;
        self.free.push(ticket.slot);
        let from = self
            .deadlines
            .partition_point(|(due, _)| *due < look.due_us);
        let mut behind = self.deadlines.range(from..);
        if let Some(at) = behind.position(|(_, it)| *it == ticket) {
            self.deadlines.remove(from + at);
        }
        look
    }

    /// The client waits no longer: it comes out with the key, if it waited until now.
    fn give_up(&mut self, ticket: LookTicket) -> Option<(Client, Key)> {
        let look = self.get_mut(ticket)?;
        let client = look.client.take()?;
        Some((client, look.key))
    }

    /// The next one whose time is over, with its client and its key.
    fn overdue(&mut self, now_us: u64) -> Option<(LookTicket, Client, Key)> {
        while let Some((_, ticket)) = self.deadlines.pop_front_if(|(due, _)| *due <= now_us) {
            if let Some((client, key)) = self.give_up(ticket) {
                return Some((ticket, client, key));
            }
        }
        None
    }

    /// When the next one is due.
    pub(super) fn due_us(&self) -> Option<u64> {
        self.deadlines.front().map(|(due_us, _)| *due_us)
    }

    /// A connection has closed: its look-ups are given up in the next turn.
    pub(super) fn abandon(&mut self, conn: ConnId) {
        if self.count() == 0 {
            return;
        }
        for (slot, (generation, look)) in (0..).zip(&self.slots) {
            let client = look.as_ref().and_then(|look| look.client);
            if client.is_some_and(|client| client.conn == conn) {
                let generation = *generation;
                self.abandoned.push(LookTicket { slot, generation });
            }
        }
    }
}

impl Ingress {
    /// Whether outcomes are looked up here.
    pub(super) fn look_ups(&self) -> LookUps {
        match self.config.limits.looks_max {
            0 => LookUps::Off,
            _ => LookUps::On,
        }
    }

    /// A look-up is whole: it is charged and asked for in this turn.
    pub(super) fn frame_look_up(
        &mut self,
        slot: u32,
        head: &Head,
        id: Span,
        inbox: &[u8],
        now: Now,
    ) -> FrameStep {
        let tenant = match self.admission_of_look_up(slot, head, inbox) {
            Ok(context) => context.tenant,
            Err(problem) => {
                let is_unavailable = problem.status() == 503;
                let stats = self.stats();
                stats.look_ups.unavailable.add(u64::from(is_unavailable));
                return self.refuse(slot, problem, Some(&Incoming::new(*head)), now.mono_us, now);
            }
        };
        let connection = self.connections.at(slot);
        let received = &connection.received;
        let complete_us = received.complete_us(head.head_len).unwrap_or(now.mono_us);
        let Some(pcs_id) = bytes_of_hex32(id.of(received.pending(inbox))) else {
            unreachable!("routing has checked the id");
        };
        let conn = connection.id;
        let (reply, step) = self.owe_for(slot, head, Reply::Pending, complete_us);
        self.looking.push(Looking {
            client: Client { conn, reply },
            tenant,
            pcs_id,
            complete_us,
            refused: None,
        });
        step
    }

    /// What a look-up enters under, or what refuses it. Whether the log takes records does not matter to it.
    fn admission_of_look_up(
        &mut self,
        slot: u32,
        head: &Head,
        inbox: &[u8],
    ) -> Result<Context, Problem> {
        let context = self.context_of(slot, head, inbox)?;
        if self.drain.is_over(self.config.limits.drain_patience_us) {
            return Err(Problem::Draining);
        }
        if let Some(problem) = self.not_loaded() {
            return Err(problem);
        }
        match self.looks.room() > self.looking.len() {
            true => Ok(context),
            false => Err(Problem::LookUpsBusy),
        }
    }

    /// Asks the owners for all look-ups that were framed in this turn, and refuses those over a rate.
    pub(super) fn look_up(&mut self, core: &mut Core, now: Now, outbox: &mut Outbox) {
        let mut looking = std::mem::take(&mut self.looking);
        for one in looking.drain(..) {
            let Client { conn, reply } = one.client;
            if let Some(refusal) = one.refused {
                self.stats().look_ups.limited.add(1);
                let to = Addressee::of_one(conn, reply);
                self.answer(core, to, refusal.answer(), Sequence::default());
                continue;
            }
            let hex = hex32(&one.pcs_id);
            let hex = std::str::from_utf8(&hex).unwrap_or_default();
            let tenant = match planted(Bug::LookUpOfDefaultTenant) {
                true => TenantId::DEFAULT,
                false => one.tenant,
            };
            let key = core.hash.key_of(tenant, hex);
            let look = Look {
                client: Some(one.client),
                key,
                pcs_id: one.pcs_id,
                due_us: one.complete_us + self.config.limits.deadline_us,
            };
            let ticket = self.looks.begin(look);
            let message = ToOwner::Look { ticket, key };
            core.notify_owner(key, &message, now, outbox);
        }
        self.looking = looking;
    }

    /// Carries out the owner's answers to look-ups: ours here, the others' by message.
    pub(super) fn answer_look_ups(&mut self, core: &mut Core, outbox: &mut Outbox) {
        let mut looked = std::mem::take(&mut core.effects.looked);
        for answer in looked.drain(..) {
            if answer.to == core.me {
                self.looked(core, answer.message);
            } else {
                let message = Message::Looked(answer.message);
                outbox.ops.push(Op::Message(answer.to, message));
            }
        }
        core.effects.looked = looked;
    }

    fn looked(&mut self, core: &Core, looked: Looked) {
        let Look {
            client,
            key,
            pcs_id,
            due_us: _,
        } = self.looks.end(looked.ticket);
        let Some(Client { conn, reply }) = client else {
            return; // its client has got 503, or is gone
        };
        let stats = &self.stats().look_ups;
        let answer = match looked.stored {
            Stored::Outcome(decided) => {
                assert_eq!(
                    decided.key, key,
                    "an answer is about the key that was looked up"
                );
                stats.found.add(1);
                Answer::Stored { decided, pcs_id }
            }
            Stored::Absent => {
                stats.not_found.add(1);
                Answer::refusal(Problem::OutcomeNotFound)
            }
            Stored::Unavailable => {
                stats.unavailable.add(1);
                Answer::refusal(Problem::StoreUnavailable)
            }
            Stored::Withdrawn => unreachable!("a look-up is withdrawn because its client left"),
        };
        self.answer(
            core,
            Addressee::of_one(conn, reply),
            answer,
            Sequence::default(),
        );
    }

    /// Look-ups that waited too long: 503 now. Their owners, and those of look-ups whose connections have closed, learn that
    /// nothing waits any more.
    pub(super) fn expire_look_ups(&mut self, core: &mut Core, now: Now, outbox: &mut Outbox) {
        while let Some((ticket, client, key)) = self.looks.overdue(now.mono_us) {
            self.stats().look_ups.unavailable.add(1);
            let answer = Answer::refusal(Problem::DeadlineExceeded);
            let Client { conn, reply } = client;
            self.answer(
                core,
                Addressee::of_one(conn, reply),
                answer,
                Sequence::default(),
            );
            core.notify_owner(key, &ToOwner::LookNoMore { ticket, key }, now, outbox);
        }
        while let Some(ticket) = self.looks.abandoned.pop() {
            if let Some((_, key)) = self.looks.give_up(ticket) {
                core.notify_owner(key, &ToOwner::LookNoMore { ticket, key }, now, outbox);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(slot: u32, due_us: u64) -> Look {
        let conn = ConnId {
            slot,
            generation: 1,
        };
        Look {
            client: Some(Client { conn, reply: 0 }),
            key: Key::default(),
            pcs_id: [0; 32],
            due_us,
        }
    }

    #[test]
    fn a_place_is_free_when_the_owner_has_answered_and_not_before() {
        let mut looks = Looks::new(1);
        let first = looks.begin(look(0, 10));
        assert!(looks.overdue(9).is_none());
        assert!(
            looks
                .overdue(10)
                .is_some_and(|(ticket, ..)| ticket == first)
        );
        assert_eq!(
            (looks.count(), looks.room()),
            (1, 0),
            "its answer is on the way"
        );
        assert!(
            looks.give_up(first).is_none(),
            "its client is answered once"
        );
        assert!(looks.end(first).client.is_none());
        assert_eq!((looks.count(), looks.room(), looks.due_us()), (0, 1, None));
        let second = looks.begin(look(0, 20));
        assert_eq!(second.slot, first.slot);
        assert!(
            looks.give_up(first).is_none(),
            "a late ticket finds nothing"
        );
        assert_eq!(looks.due_us(), Some(20));
    }

    #[test]
    fn one_that_waits_long_does_not_keep_what_is_known_of_those_that_have_ended() {
        let mut looks = Looks::new(4);
        let slow = looks.begin(look(0, 5));
        let mut before = looks.begin(look(1, 6));
        for due_us in 7..1_000 {
            let next = looks.begin(look(1, due_us));
            looks.end(before);
            before = next;
        }
        assert_eq!(looks.deadlines, [(5, slow), (999, before)]);
    }

    #[test]
    fn a_connection_that_closes_abandons_its_own_look_ups_only() {
        let mut looks = Looks::new(3);
        let tickets = [0, 1, 0].map(|slot| looks.begin(look(slot, 5)));
        let closed = look(0, 5).client.map(|client| client.conn);
        closed.into_iter().for_each(|conn| looks.abandon(conn));
        assert_eq!(looks.abandoned, [tickets[0], tickets[2]]);
    }
}
