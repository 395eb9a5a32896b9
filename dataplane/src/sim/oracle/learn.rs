//! What an outcome that was read binds: from then on it is the one of its id. It judges nothing.

use super::terms::{Dedup, ReadOutcome, Reading};
use super::{Known, LATE_US, Oracle, Sent};

/// An outcome that an answer had.
pub(super) struct Learned {
    pub key: u32,
    pub outcome: ReadOutcome,
    pub dedup: Dedup,
    /// When records of it were sent.
    pub sent: Sent,
    /// When what it answers was sent.
    pub asked: Reading,
    /// The request that it answers, if that was one of a record.
    pub decider: Option<u64>,
}

impl Oracle {
    /// From now on this outcome is the one of the id.
    pub(super) fn learn(&mut self, learned: &Learned) {
        let Learned {
            key,
            outcome,
            dedup,
            sent,
            asked,
            decider,
        } = *learned;
        let known = self.ids[key as usize].known;
        let alive = known.is_some_and(|known| self.surely_alive(&known));
        let same = known.filter(|known| dedup != Dedup::Miss && known.outcome == outcome);
        let now = self.now();
        let decided_us = self.slow_behind_release_us();
        let state = &mut self.ids[key as usize];
        let decider = decider.and_then(|serial| state.deciders.get_mut(&serial));
        let ttl_us = match (decider, dedup) {
            (Some(decider), Dedup::Miss) => {
                decider.until_us = decided_us + decider.ttl_us + LATE_US;
                decider.ttl_us
            }
            _ => same.map_or(self.ttl_us_min, |known| known.ttl_us),
        };
        if same.is_none() {
            state.before = known;
        }
        state.known = Some(Known {
            outcome,
            ttl_us,
            decided_from: match (dedup, same) {
                (Dedup::Miss, _) => asked,
                (_, Some(known)) => known.decided_from,
                _ => sent.first,
            },
            decided_to: same.filter(|_| alive).map_or(now, |known| known.decided_to),
            first_left: dedup == Dedup::Miss || same.is_some_and(|known| known.first_left),
        });
    }
}
