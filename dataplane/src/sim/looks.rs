//! What clients look up: mostly ids that they have just sent, and in the end all that were acknowledged. It draws from dice of
//! its own, so that lives without look-ups stay what they were.

use super::answers::Asked;
use super::count::Count;
use super::dice::Dice;
use super::oracle::{LookUp, Meaning, SeenAnswer};
use super::records::pool;
use super::world::World;
use crate::sim_trace;

/// Ids that are looked up at the end of a run, at most.
const PROBES_MAX: usize = 60;

/// What clients of a life look up.
#[derive(Debug)]
pub struct LookUps {
    dice: Dice,
    /// The key that a client sent last.
    sent: Option<u32>,
    /// Keys to be looked up before the run may end.
    probes: Vec<u32>,
}

impl LookUps {
    /// Those of a seed, and how many may wait at a shard; most seeds have none.
    pub fn draw(seed: u64) -> (LookUps, u32) {
        let mut dice = Dice::new(seed.rotate_left(24) ^ 0x100c);
        let looks_max = match dice.chance(1500) {
            true => dice.pick(&[1, 2, 16]),
            false => 0,
        };
        let look_ups = LookUps {
            dice,
            sent: None,
            probes: Vec::new(),
        };
        (look_ups, looks_max)
    }

    /// A record of this key is sent.
    pub fn sends(&mut self, key: u32) {
        self.sent = Some(key);
    }

    /// Nothing is left to be looked up.
    pub fn are_done(&self) -> bool {
        self.probes.is_empty()
    }
}

impl World {
    /// The key that a client looks up next, if it does not send a record instead.
    pub fn next_look_up(&mut self) -> Option<u32> {
        if self.scenario.limits.looks_max == 0 {
            return None;
        }
        if self.calm {
            return self.look_ups.probes.pop();
        }
        let LookUps { dice, sent, .. } = &mut self.look_ups;
        if !dice.chance(2000) {
            return None;
        }
        let any = dice.below(u64::from(self.scenario.ids)) as u32;
        match *sent {
            Some(key) if dice.chance(7000) => Some(key),
            _ => Some(self.publisher.key_of_any(any)),
        }
    }

    /// A client asks for the outcome of a key.
    pub fn sends_look_up(&mut self, client: usize, conn: u64, key: u32) {
        self.note_settled();
        let asked = self.oracle.looks_up(key);
        let head = format!(
            "GET /v1/pcs/{} HTTP/1.1\r\nHost: sim\r\n{}\r\n",
            pool().id(key).pcs_id,
            super::clients::tenant_header(key)
        );
        sim_trace!(
            self.now_us(),
            "client {client} looks up id {key} on connection {conn}"
        );
        self.asks(client, conn, Asked::Look(asked));
        self.client_sends(conn, head.as_bytes());
    }

    /// The answer to a look-up leaves the gateway.
    pub fn judge_look_up(&mut self, asked: &LookUp, answer: &SeenAnswer) {
        sim_trace!(
            self.now_us(),
            "the look-up of id {} is answered {} {}",
            asked.key,
            answer.status,
            answer.body
        );
        let judged = self.oracle.looked_up(asked, answer);
        let Some(meaning) = self.check(judged) else {
            return;
        };
        match meaning {
            Meaning::Found => self.counts.one(Count::LookedUp),
            Meaning::Absent => self.counts.one(Count::LookedUpAbsent),
            Meaning::Retry => self.counts.one(Count::LookUps503),
            _ => {}
        }
    }

    /// A client reads the answer to a look-up; what must be known in the end is asked again.
    pub fn reads_look_up(&mut self, asked: &LookUp, answer: &SeenAnswer) {
        if self.calm && matches!(answer.status, 429 | 503) {
            self.look_ups.probes.insert(0, asked.key);
        }
    }

    /// Acknowledged outcomes are looked up before the run ends.
    pub fn looks_all_up(&mut self) {
        if self.scenario.limits.looks_max == 0 {
            return;
        }
        let alive = self.oracle.alive();
        self.look_ups.probes = alive.into_iter().map(|(key, _)| key).collect();
        self.look_ups.probes.truncate(PROBES_MAX);
    }
}
