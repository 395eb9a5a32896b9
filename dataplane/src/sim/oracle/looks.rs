//! Look-ups judged: an acknowledged outcome is found until its expiry, and what is found binds every later answer, as it does
//! where a submit was answered with it.

use super::learn::Learned;
use super::policies::{TurnedAway, turned_away};
use super::terms::{Broken, Dedup, Meaning, Property, ReadOutcome, Reading, SeenAnswer, broken};
use super::{Known, Oracle};
use crate::sim::records::{pool, tenant_of};

/// A look-up that was sent.
#[derive(Clone, Copy, Debug)]
pub struct LookUp {
    /// Which id.
    pub key: u32,
    /// When it was sent.
    sent: Reading,
    /// What was acknowledged before.
    known: Option<Known>,
    /// The oldest snapshot that may have been in force anywhere then.
    since_snapshot: usize,
}

impl LookUp {
    fn broken(&self, property: Property, what: &str, answer: &SeenAnswer) -> Broken {
        let known = self.known.map(|known| known.outcome);
        let how = format!(
            "look-up of id {}: {what}; answer {} {}; acknowledged before: {known:?}",
            self.key, answer.status, answer.body
        );
        broken(property, how)
    }
}

impl Oracle {
    /// A look-up is about to be sent.
    pub fn looks_up(&self, key: u32) -> LookUp {
        LookUp {
            key,
            sent: self.now(),
            known: self.ids[key as usize].known,
            since_snapshot: self.settled,
        }
    }

    /// The answer to it has left the gateway.
    pub fn looked_up(&mut self, look_up: &LookUp, answer: &SeenAnswer) -> Result<Meaning, Broken> {
        let in_force = &self.policies[look_up.since_snapshot..];
        let of_tenant = in_force.iter().map(|it| it[tenant_of(look_up.key)]);
        match turned_away(of_tenant, answer) {
            TurnedAway::As(meaning) => return Ok(meaning),
            TurnedAway::Wrongly => {
                let what = "no snapshot turns it away";
                return Err(look_up.broken(Property::ReplyOrder, what, answer));
            }
            TurnedAway::No => {}
        }
        match answer.status {
            503 => Ok(Meaning::Retry),
            404 if answer.body.contains("\"outcome_not_found\"") => self.absent(look_up, answer),
            200 | 202 if answer.dedup.is_none() => self.found(look_up, answer),
            _ => Err(look_up.broken(Property::ReplyOrder, "no answer to a look-up", answer)),
        }
    }

    fn absent(&self, look_up: &LookUp, answer: &SeenAnswer) -> Result<Meaning, Broken> {
        // What was lost where nobody could know it is known no more.
        let known = self.ids[look_up.key as usize].known;
        let told_before = look_up.known.filter(|_| known.is_some());
        match told_before.is_some_and(|known| self.surely_alive(&known)) {
            true => {
                let what = "not found, although it was acknowledged and is alive";
                Err(look_up.broken(Property::AcknowledgedLost, what, answer))
            }
            false => Ok(Meaning::Absent),
        }
    }

    fn found(&mut self, look_up: &LookUp, answer: &SeenAnswer) -> Result<Meaning, Broken> {
        let key = look_up.key;
        let Some(outcome) = ReadOutcome::read(key, answer) else {
            let property = match answer.body.contains(&pool().id(key).pcs_id) {
                true => Property::NothingInvented,
                false => Property::ReplyOrder,
            };
            let what = "this is the outcome of no record of the id";
            return Err(look_up.broken(property, what, answer));
        };
        let state = &self.ids[key as usize];
        let Some(sent) = state.sent[usize::from(outcome.variant)] else {
            let what = "no client sent the record of this outcome";
            return Err(look_up.broken(Property::NothingInvented, what, answer));
        };
        let alive = state.known.filter(|known| self.surely_alive(known));
        let waited = |known: &Known| look_up.sent.fast_us <= known.decided_to.fast_us;
        if let Some(known) = alive.filter(waited)
            && self.is_late(key, outcome, Dedup::Hit, look_up.sent, &known)
        {
            return Ok(Meaning::Found);
        }
        if alive.is_some_and(|known| known.outcome != outcome) {
            let what = "another outcome than the one acknowledged, which is alive";
            return Err(look_up.broken(Property::OneOutcome, what, answer));
        }
        let asked_us = look_up.sent.slow_us.min(self.slow_us);
        let mut deciders = self.ids[key as usize].deciders.values();
        if !deciders.any(|it| it.variant == outcome.variant && it.until_us >= asked_us) {
            let what = "the outcome answers although it has expired";
            return Err(look_up.broken(Property::OneOutcome, what, answer));
        }
        self.learn(&Learned {
            key,
            outcome,
            dedup: Dedup::Hit,
            sent,
            asked: look_up.sent,
            decider: None,
        });
        Ok(Meaning::Found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::oracle::Rules;
    use crate::sim::records::{Kind, Shape};

    const RULES: Rules = Rules {
        ttl_us: 100_000_000,
        params: 0,
        signers: [true, false],
        body_bytes_max: 4_096,
        flight_us_max: 60_000_000,
    };

    fn outcome(variant: usize, dedup: Option<Dedup>) -> SeenAnswer {
        let (status, body) = pool().id(1).variants[variant].outcomes[0].clone();
        SeenAnswer {
            status,
            dedup,
            body,
        }
    }

    fn absent() -> SeenAnswer {
        SeenAnswer {
            status: 404,
            dedup: None,
            body: "{\"code\":\"outcome_not_found\"}".to_owned(),
        }
    }

    fn looks(oracle: &mut Oracle, answer: &SeenAnswer) -> Result<Meaning, Property> {
        let look_up = oracle.looks_up(1);
        let judged = oracle.looked_up(&look_up, answer);
        judged.map_err(|broken| broken.property)
    }

    #[test]
    fn what_was_acknowledged_is_found_until_its_time_is_over() {
        let mut oracle = Oracle::new(4, RULES);
        assert_eq!(looks(&mut oracle, &absent()), Ok(Meaning::Absent));
        let never = looks(&mut oracle, &outcome(0, None));
        assert_eq!(never, Err(Property::NothingInvented));
        let before = oracle.looks_up(1);
        let first = oracle.sends(1, Kind::Valid(0), Shape::default());
        assert_eq!(looks(&mut oracle, &absent()), Ok(Meaning::Absent));
        let acknowledged = outcome(0, Some(Dedup::Miss));
        assert_eq!(oracle.answered(first, &acknowledged, 1), Ok(Meaning::First));
        assert_eq!(oracle.looked_up(&before, &absent()), Ok(Meaning::Absent));
        let lost = looks(&mut oracle, &absent());
        assert_eq!(lost, Err(Property::AcknowledgedLost));
        assert_eq!(looks(&mut oracle, &outcome(0, None)), Ok(Meaning::Found));
        let boast = outcome(0, Some(Dedup::Hit));
        assert_eq!(looks(&mut oracle, &boast), Err(Property::ReplyOrder));
        oracle.pass(99_500_000, 99_500_000);
        assert_eq!(looks(&mut oracle, &absent()), Ok(Meaning::Absent));
        assert_eq!(looks(&mut oracle, &outcome(0, None)), Ok(Meaning::Found));
        oracle.pass(200_000_000, 200_000_000);
        let expired = looks(&mut oracle, &outcome(0, None));
        assert_eq!(expired, Err(Property::OneOutcome));
    }

    #[test]
    fn what_was_found_is_the_outcome_from_then_on() {
        let mut oracle = Oracle::new(4, RULES);
        oracle.sends(1, Kind::Valid(0), Shape::default());
        oracle.sends(1, Kind::Valid(1), Shape::default());
        assert_eq!(looks(&mut oracle, &outcome(1, None)), Ok(Meaning::Found));
        let other = looks(&mut oracle, &outcome(0, None));
        assert_eq!(other, Err(Property::OneOutcome));
        let again = oracle.sends(1, Kind::Valid(0), Shape::default());
        let judged = oracle.answered(again, &outcome(0, Some(Dedup::Miss)), 1);
        assert_eq!(judged.unwrap_err().property, Property::AcknowledgedLost);
    }
}
