//! What must be true, judged from requests, answers and virtual time alone. It knows nothing of how the gateway works:
//! neither its tables nor its files, only what a client may expect.
//!
//! An answer is judged when it leaves the gateway, in the order of leaving: what was decided by then binds every later
//! answer, although the client may read it much later, or never.
//!
//! Times: the expiry clock cannot be seen, so two bounds of it are kept. Both run with monotonic time; a restart moves
//! them apart by what it may add at most and at least. A record is *surely alive* while even the fastest clock has not
//! reached its expiry, *surely expired* once even the slowest one has.

mod learn;
mod looks;
mod policies;
mod terms;

use self::learn::Learned;
pub use self::looks::LookUp;
pub use self::policies::{Policy, WallClock};
use self::policies::{TurnedAway, may_verify, turned_away};
pub use self::terms::{
    Broken, Dedup, Meaning, Property, ReadOutcome, Reading, Request, Rules, SeenAnswer, Walls,
    broken,
};

use super::records::{Kind, Shape, TENANTS, VARIANTS_COUNT, pool, tenant_of};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug)]
struct Known {
    outcome: ReadOutcome,
    /// The shortest life that it can have been given.
    ttl_us: i64,
    decided_from: Reading,
    decided_to: Reading,
    /// The answer that was the first outcome has left. Until then it may still wait for those before it on its
    /// connection, while repetitions leave on others.
    first_left: bool,
}

#[derive(Clone, Debug, Default)]
struct IdState {
    known: Option<Known>,
    /// What was known before; answers with it may still wait for those before them on their connections.
    before: Option<Known>,
    /// First and last time that each variant was sent, and by which request last.
    sent: [Option<Sent>; VARIANTS_COUNT as usize],
    /// Requests that were decided, or may have been: until when, by the slowest clock, their outcome may answer.
    deciders: BTreeMap<u64, Decider>,
}

#[derive(Clone, Copy, Debug)]
struct Decider {
    variant: u8,
    ttl_us: i64,
    until_us: i64,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    first: Reading,
    last_serial: u64,
    before_last: bool,
}

/// An answer with an outcome, and what it answers.
struct Case<'a> {
    serial: u64,
    key: u32,
    /// The variant that was sent.
    asked: u8,
    answer: &'a SeenAnswer,
    /// What was acknowledged before.
    known: Option<Known>,
}

impl Case<'_> {
    fn broken(&self, property: Property, what: &str) -> Broken {
        let known = self.known.map(|known| known.outcome);
        let Case {
            serial,
            key,
            asked,
            answer,
            ..
        } = self;
        let how = format!(
            "request {serial} for id {key}, variant {asked}: {what}; answer {} {:?} {}; acknowledged before: {known:?}",
            answer.status, answer.dedup, answer.body
        );
        broken(property, how)
    }
}

/// The judge.
#[derive(Clone, Debug)]
pub struct Oracle {
    rules: Rules,
    /// The shortest life that outcomes were given so far.
    ttl_us_min: i64,
    /// Every request, by its serial number.
    pub requests: Vec<Request>,
    /// What each snapshot says of each tenant, by number.
    pub policies: Vec<[Policy; TENANTS.len()]>,
    /// The oldest snapshot that is in force anywhere.
    settled: usize,
    /// The clock that keys and parameter sets go by.
    pub wall: WallClock,
    ids: Vec<IdState>,
    fast_us: i64,
    slow_us: i64,
    /// Withheld time that may have been released, and need not have been.
    releasing_us: i64,
}

/// Seconds are whole on the expiry clock: a life ends up to one second early, seen from outside.
const EARLY_US: i64 = 1_000_000;
/// And up to one second and the parts of one that starts leave out late.
const LATE_US: i64 = 1_500_000;

impl Oracle {
    /// Nothing was sent.
    pub fn new(ids: u32, rules: Rules) -> Oracle {
        Oracle {
            rules,
            ttl_us_min: rules.ttl_us,
            requests: Vec::new(),
            policies: vec![[Policy::of(&rules); TENANTS.len()]],
            settled: 0,
            wall: WallClock::default(),
            ids: vec![IdState::default(); ids as usize],
            fast_us: 0,
            slow_us: 0,
            releasing_us: 0,
        }
    }

    /// From now on withheld time may have been released at any moment.
    pub fn may_release(&mut self, by_us: i64) {
        self.releasing_us += by_us;
        // What is not decided yet may be decided behind it.
        let slow_us = self.slow_us;
        let deciders = self.ids.iter_mut().flat_map(|id| id.deciders.values_mut());
        for decider in deciders.filter(|it| it.until_us - it.ttl_us - LATE_US >= slow_us) {
            decider.until_us += by_us;
        }
    }

    /// What the slowest clock shows at most once all that is being released has reached it.
    fn slow_behind_release_us(&self) -> i64 {
        self.slow_us + self.releasing_us
    }

    /// What may have been released has reached everything, at least so much of it.
    pub fn released(&mut self, at_least_us: i64) {
        let at_most_us = std::mem::take(&mut self.releasing_us);
        self.pass(at_most_us, at_least_us.min(at_most_us));
    }

    /// The furthest that the expiry clock may have come.
    pub fn furthest_us(&self) -> i64 {
        self.fast_us + self.releasing_us
    }

    /// Time passes while the process runs (or is down: then by bounds of its own).
    pub fn pass(&mut self, fast_us: i64, slow_us: i64) {
        self.fast_us += fast_us;
        self.slow_us += slow_us;
    }

    /// Both clocks now.
    pub fn now(&self) -> Reading {
        Reading {
            fast_us: self.fast_us,
            slow_us: self.slow_us,
        }
    }

    /// A run begins under these rules.
    pub fn obeys(&mut self, rules: Rules) {
        self.rules = rules;
        self.publishes([Policy::of(&rules); TENANTS.len()]);
        self.settled = self.policies.len() - 1;
        self.ttl_us_min = self.ttl_us_min.min(rules.ttl_us);
    }

    /// A request is about to be sent; its serial number comes back.
    pub fn sends(&mut self, key: u32, kind: Kind, shape: Shape) -> u64 {
        let now = self.now();
        let serial = self.requests.len() as u64;
        self.requests.push(Request {
            key,
            kind,
            shape,
            sent: now,
            status: None,
            since_snapshot: self.settled,
            walls: self.wall.now(),
            before_the_log: false,
            answered_in_run: 0,
        });
        if let Kind::Valid(variant) = kind {
            let from_us = self.slow_behind_release_us();
            let state = &mut self.ids[key as usize];
            let sent = &mut state.sent[usize::from(variant)];
            *sent = Some(Sent {
                first: sent.map_or(now, |sent| sent.first),
                last_serial: serial,
                before_last: sent.is_some(),
            });
            let ttl_us = self.rules.ttl_us;
            let until_us = from_us + self.rules.flight_us_max + ttl_us + LATE_US;
            state.deciders.insert(
                serial,
                Decider {
                    variant,
                    ttl_us,
                    until_us,
                },
            );
        }
        serial
    }

    fn surely_alive(&self, known: &Known) -> bool {
        self.furthest_us() - known.decided_from.fast_us < known.ttl_us - EARLY_US
    }

    /// The outcome that every client must get, if that is certain.
    pub fn surely(&self, key: u32) -> Option<ReadOutcome> {
        let known = self.ids[key as usize].known?;
        self.surely_alive(&known).then_some(known.outcome)
    }

    /// The moment of the fastest clock at which an acknowledged outcome may begin to expire, if it has not yet.
    pub fn expires_in_us(&self, key: u32) -> Option<i64> {
        let known = self.ids[key as usize].known?;
        let left_us = known.decided_from.fast_us + known.ttl_us - EARLY_US - self.furthest_us();
        (left_us > 0).then_some(left_us)
    }

    /// What was acknowledged for an id counts no more: its batch was lost where nobody could know it.
    pub fn forgive(&mut self, key: u32) -> bool {
        let state = &mut self.ids[key as usize];
        state.before = None;
        state.known.take().is_some()
    }

    /// The answer to this request has left the gateway.
    pub fn answered(
        &mut self,
        serial: u64,
        answer: &SeenAnswer,
        run: u32,
    ) -> Result<Meaning, Broken> {
        let Some(request) = self.requests.get_mut(serial as usize) else {
            return Err(broken(
                Property::ReplyOrder,
                format!("an answer to request {serial}, which was never sent"),
            ));
        };
        let (key, kind) = (request.key, request.kind);
        request.status = Some(answer.status);
        request.answered_in_run = run;
        let unexpected = || {
            let (status, body) = (answer.status, &answer.body);
            let how = format!("request {serial} ({kind:?}, id {key}) was answered {status} {body}");
            Err(broken(Property::ReplyOrder, how))
        };
        let shape = request.shape;
        let too_large = kind != Kind::Empty && u64::from(shape.bytes) > self.rules.body_bytes_max;
        let in_force = &self.policies[request.since_snapshot..];
        let of_tenant = || in_force.iter().map(|it| it[tenant_of(key)]);
        let signer = usize::from(shape.signer);
        let (verifies, refuses) = may_verify(of_tenant(), signer, self.wall.since(request.walls));
        match (kind, answer.status) {
            (_, 503) => return Ok(Meaning::Retry),
            (_, 413) if too_large => {
                self.ids[key as usize].deciders.remove(&serial);
                return Ok(Meaning::TooLarge);
            }
            _ => {}
        }
        match turned_away(of_tenant(), answer) {
            TurnedAway::No => {}
            TurnedAway::Wrongly => return unexpected(),
            TurnedAway::As(meaning) => {
                request.before_the_log = true;
                self.ids[key as usize].deciders.remove(&serial);
                return Ok(meaning);
            }
        }
        match (kind, answer.status) {
            _ if too_large => unexpected(), // but a batch as a whole, above
            (Kind::Malformed | Kind::Empty, 400) => Ok(Meaning::Refused),
            (Kind::BadSignature, 401) => Ok(Meaning::Refused),
            (Kind::Valid(_) | Kind::WrongId, 401) if refuses => {
                self.ids[key as usize].deciders.remove(&serial);
                Ok(Meaning::Refused)
            }
            (Kind::WrongId, 400) if verifies => Ok(Meaning::Refused),
            (Kind::Valid(asked), 200 | 202) if verifies => {
                let known = self.ids[key as usize].known;
                self.outcome(&Case {
                    serial,
                    key,
                    asked,
                    answer,
                    known,
                })
            }
            (_, 200 | 202) if answer.body.contains(&pool().id(key).pcs_id) => {
                let what = format!("request {serial} ({kind:?}, id {key}, {shape:?})");
                Err(invented(&what, answer))
            }
            _ => unexpected(),
        }
    }

    /// An outcome has left: it is one that the id may have now, and binds later ones.
    fn outcome(&mut self, case: &Case<'_>) -> Result<Meaning, Broken> {
        let (outcome, dedup) = self.read_outcome(case)?;
        let (serial, known) = (case.serial, case.known);
        let state = &mut self.ids[case.key as usize];
        let Some(sent) = state.sent[usize::from(outcome.variant)] else {
            let what = "no client sent the record of this outcome";
            return Err(case.broken(Property::NothingInvented, what));
        };
        if dedup != Dedup::Miss {
            state.deciders.remove(&serial);
        }
        let alive = known.is_some_and(|known| self.surely_alive(&known));
        let request_sent = self.requests[serial as usize].sent;
        let waited = |known: &Known| alive && request_sent.fast_us <= known.decided_to.fast_us;
        if let Some(known) = known.filter(waited)
            && self.is_late(case.key, outcome, dedup, request_sent, &known)
        {
            return Ok(Meaning::Again);
        }
        match (known, dedup) {
            (Some(known), Dedup::Hit | Dedup::Conflict) if alive && known.outcome != outcome => {
                let what = "another outcome than the one acknowledged, which is alive";
                return Err(case.broken(Property::OneOutcome, what));
            }
            (Some(_), Dedup::Miss) if alive => {
                let what = "a first outcome although one was acknowledged and is alive";
                return Err(case.broken(Property::AcknowledgedLost, what));
            }
            (_, Dedup::Hit | Dedup::Conflict) => self.judge_repetition(case, outcome, &sent)?,
            _ => {}
        }
        self.learn(&Learned {
            key: case.key,
            outcome,
            dedup,
            sent,
            asked: request_sent,
            decider: Some(serial),
        });
        Ok(match dedup {
            Dedup::Miss if known.is_some() => Meaning::FirstAgain,
            Dedup::Miss => Meaning::First,
            Dedup::Hit => Meaning::Again,
            Dedup::Conflict => Meaning::Conflict,
        })
    }

    /// Which outcome it is and what its header says, which fit each other and the request.
    fn read_outcome(&self, case: &Case<'_>) -> Result<(ReadOutcome, Dedup), Broken> {
        let id = pool().id(case.key);
        let Some(outcome) = ReadOutcome::read(case.key, case.answer) else {
            let property = match case.answer.body.contains(&id.pcs_id) {
                true => Property::NothingInvented,
                false => Property::ReplyOrder,
            };
            return Err(case.broken(property, "this is the outcome of no record of the id"));
        };
        let Some(dedup) = case.answer.dedup else {
            let what = "an outcome without a dedup header";
            return Err(case.broken(Property::ReplyOrder, what));
        };
        let consistent = match dedup {
            Dedup::Miss => outcome.variant == case.asked && self.may_judge(case, outcome.params),
            Dedup::Hit => outcome.variant == case.asked,
            Dedup::Conflict => outcome.variant != case.asked,
        };
        if !consistent {
            let what = "the dedup header does not fit the outcome";
            return Err(case.broken(Property::OneOutcome, what));
        }
        Ok((outcome, dedup))
    }

    /// A repetition repeats what another request may have decided, and has not expired.
    fn judge_repetition(
        &self,
        case: &Case<'_>,
        outcome: ReadOutcome,
        sent: &Sent,
    ) -> Result<(), Broken> {
        // Some other request that may have been decided first.
        let other = sent.last_serial != case.serial || sent.before_last;
        if !other {
            let what = "a repetition although no valid record was sent before";
            return Err(case.broken(Property::SignatureFirst, what));
        }
        // It was looked up at some moment since the request was sent, and may have waited on its connection.
        let asked_us = self.requests[case.serial as usize].sent.slow_us;
        let asked_us = asked_us.min(self.slow_us);
        let may_answer = |(decider, it): (&u64, &Decider)| {
            *decider != case.serial && it.variant == outcome.variant && it.until_us >= asked_us
        };
        let deciders = &self.ids[case.key as usize].deciders;
        match deciders.iter().any(may_answer) {
            true => Ok(()),
            false => {
                let what = "the outcome answers although it has expired";
                Err(case.broken(Property::OneOutcome, what))
            }
        }
    }

    /// Whether an answer to a request that was sent before the id's outcome was known is only late: it waited for those
    /// before it on its connection. It repeats an outcome that was known, or tells one that can have expired by the time
    /// of the one that is known.
    fn is_late(
        &mut self,
        key: u32,
        outcome: ReadOutcome,
        dedup: Dedup,
        request_sent: Reading,
        known: &Known,
    ) -> bool {
        let ttl_us = self.ttl_us_min - EARLY_US;
        let expired_by_then = |since: Reading| known.decided_to.fast_us - since.fast_us >= ttl_us;
        let state = &mut self.ids[key as usize];
        let first_of = |slot: &mut Option<Known>| match slot {
            Some(known) if known.outcome == outcome && !known.first_left => {
                known.first_left = true;
                true
            }
            _ => false,
        };
        match dedup {
            Dedup::Miss => {
                first_of(&mut state.known)
                    || first_of(&mut state.before)
                    || expired_by_then(request_sent)
            }
            Dedup::Hit | Dedup::Conflict => {
                let first_sent = state.sent[usize::from(outcome.variant)].map(|sent| sent.first);
                known.outcome != outcome
                    && (state.before.is_some_and(|before| before.outcome == outcome)
                        || first_sent.is_some_and(expired_by_then))
            }
        }
    }

    /// Ids with an acknowledged outcome that is surely alive.
    pub fn alive(&self) -> Vec<(u32, ReadOutcome)> {
        (0..self.ids.len() as u32)
            .filter_map(|key| Some((key, self.surely(key)?)))
            .collect()
    }
}

/// An outcome for what cannot have one.
fn invented(request: &str, answer: &SeenAnswer) -> Broken {
    let how = format!("{request} got the outcome {}", answer.body);
    broken(Property::NothingInvented, how)
}

#[cfg(test)]
mod tests;
