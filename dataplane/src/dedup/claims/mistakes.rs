//! The mistakes that can be planted in an owner's arbitration and need more than one wrong condition. Compiled with the
//! feature `planted-bugs` only: a release holds neither this code nor anything that it needs.

#![cfg(feature = "planted-bugs")]

use super::queue::{Claims, Name, PendingId};
use super::{Effects, Owner};
use crate::dedup::{Decided, Key};
use crate::planted::{Bug, planted};

impl Claims {
    /// The mistake of [`Bug::TwoSuspendedLookUps`]: a claim does not see that its key is being looked up.
    pub(super) fn is_overlooked(&self, pending: PendingId) -> bool {
        planted(Bug::TwoSuspendedLookUps) && self.is_reading(pending)
    }
}

impl Owner {
    /// The mistake of [`Bug::LookUpSeesUndurable`]: a look-up is answered with what was granted and is not durable.
    pub(super) fn undurable_if_planted(&self, key: Key) -> Option<Decided> {
        if !planted(Bug::LookUpSeesUndurable) {
            return None;
        }
        let pending = self.claims.find(key)?;
        self.claims.granted(pending).map(|(outcome, _)| outcome)
    }

    /// The mistake of [`Bug::DuplicateAnsweredTooEarly`]: the claims behind a granted one are answered before its decision
    /// is durable.
    pub(super) fn answer_waiters_if_planted(&mut self, pending: PendingId, effects: &mut Effects) {
        if !planted(Bug::DuplicateAnsweredTooEarly) {
            return;
        }
        while let Some((outcome, Some(waiter))) = self.claims.granted(pending) {
            let (by, candidate) = waiter;
            self.claims.unlink(pending, Name::Claim(by));
            self.existing(by, &candidate, &outcome, effects);
        }
    }
}
