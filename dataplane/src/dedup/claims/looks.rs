//! Look-ups of stored outcomes. A look-up waits behind what is pending for its key and is answered with what came of that; it
//! never wins, and leaves nothing behind that a claim could see but a read that the claim would ask for itself.

use super::queue::{Looker, Name, Waiter};
use super::sets::Seek;
use super::{Effects, LookAnswer, Owner};
use crate::dedup::Key;
use crate::dedup::protocol::{Looked, Stored};
use crate::planted::{Bug, planted};

impl Owner {
    /// A client asks for the outcome of a key. It is answered at once, or when what is pending for the key has ended.
    pub fn look(&mut self, by: Looker, key: Key, now_s: u32, effects: &mut Effects) {
        if !self.table.holds(key) {
            self.counters.misrouted += 1;
            return answer(by, Stored::Unavailable, effects);
        }
        #[cfg(feature = "planted-bugs")]
        if let Some(outcome) = self.undurable_if_planted(key) {
            return answer(by, Stored::Outcome(outcome), effects);
        }
        if let Some(pending) = self.claims.find(key) {
            if !self.claims.enqueue(pending, Waiter::Look(by)) {
                self.counters.overflows += 1;
                answer(by, Stored::Unavailable, effects);
            }
            return;
        }
        if let Some(outcome) = self.table.get(key, now_s) {
            return answer(by, Stored::Outcome(outcome), effects);
        }
        let from = self.sets.oldest();
        match self.sets.seek(key, from, None) {
            Seek::Block { slice, block } if !planted(Bug::LookUpWithoutSlices) => {
                let Some(pending) = self.claims.open(key, Waiter::Look(by)) else {
                    self.counters.overflows += 1;
                    return answer(by, Stored::Unavailable, effects);
                };
                self.want(pending, from.set, slice, block, effects);
            }
            Seek::Block { .. } | Seek::Absent => answer(by, Stored::Absent, effects),
            Seek::NotCovered => {
                self.counters.misrouted += 1;
                answer(by, Stored::Unavailable, effects);
            }
        }
    }

    /// A look-up gave up: it leaves the queue and is answered `Withdrawn`. One whose answer is on the way, or comes with the
    /// read that it alone waits for, is answered nothing more.
    pub fn look_no_more(&mut self, by: Looker, key: Key, effects: &mut Effects) {
        let pending = self.claims.find(key);
        let left = pending.is_some_and(|pending| self.claims.unlink(pending, Name::Look(by)));
        match left {
            true => answer(by, Stored::Withdrawn, effects),
            false => self.counters.strays += 1,
        }
    }
}

pub(super) fn answer(by: Looker, stored: Stored, effects: &mut Effects) {
    let Looker { from, ticket } = by;
    effects.looked.push(LookAnswer {
        to: from,
        message: Looked { ticket, stored },
    });
}
