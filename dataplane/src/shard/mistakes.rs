//! The mistakes that can be planted in a shard and need more than one wrong condition. Compiled with the feature
//! `planted-bugs` only: a release holds neither this code nor anything that it needs.

#![cfg(feature = "planted-bugs")]

use super::flights::{Claim, FlightStep, Granted};
use super::owed::{Owed, OwedAnswers, Reply};
use super::{Core, Ingress};
use crate::dedup::Key;
use crate::dedup::context::TenantId;
use crate::dedup::protocol::{Ticket, ToReceiver};
use crate::http::Problem;
use crate::planted::{Bug, planted};
use crate::snapshot::ActiveKeys;
use crate::wal::Epoch;
use crate::wal::name::Sequence;
use flk_contract::signature::KeyId;

impl Ingress {
    /// Answers 401 to the request of a claim that [`Bug::DedupBeforeSignature`] let through, whatever its owner says. Whether it did.
    pub(super) fn refuses_condemned(&mut self, core: &mut Core, message: &ToReceiver) -> bool {
        let (ToReceiver::Won { ticket, .. } | ToReceiver::Existing { ticket, .. }) = *message
        else {
            return false;
        };
        let flight = self.flights.expect(ticket);
        let tenant = flight.request.context.tenant;
        let key = match flight.step {
            FlightStep::Claimed(claim) if self.is_condemned(tenant, &claim) => {
                self.refuse_body(core, ticket, Problem::SignatureInvalid, "");
                claim.candidate.key
            }
            FlightStep::Withdrawing(claim) if self.is_condemned(tenant, &claim) => {
                self.flights.end(ticket);
                claim.candidate.key
            }
            _ => return false,
        };
        if let ToReceiver::Won { .. } = message {
            core.forget_granted(ticket, key);
        }
        true
    }

    fn is_condemned(&self, tenant: TenantId, claim: &Claim) -> bool {
        planted(Bug::DedupBeforeSignature)
            && !matches!(self.in_force.of(tenant).keys, ActiveKeys::Unsigned)
            && claim.key_id == KeyId::NONE.0
    }

    /// The mistake of [`Bug::LateWonNotLogged`]: a grant that comes after the client's 503 counts as durable at once.
    pub(super) fn log_nothing(&mut self, core: &Core, ticket: Ticket, granted: Granted) {
        self.flights.decided(ticket, granted);
        self.won.push_front((core.log.durable(), ticket));
    }
}

impl Core {
    /// Lets go of a claim that was granted to a record without a valid signature.
    fn forget_granted(&mut self, ticket: Ticket, key: Key) {
        let (me, epoch) = (self.me, Epoch::earlier_runs());
        self.owner
            .durable(me, ticket, key, epoch, &mut self.effects);
    }
}

impl OwedAnswers {
    /// The mistake of [`Bug::ReplyOrderSwapped`]: the second answer overtakes the first where it alone may leave.
    pub(super) fn swap_if_planted(&mut self, durable: Sequence) {
        let ready =
            |owed: &Owed| matches!(owed.reply, Reply::Ready { needs, .. } if needs <= durable);
        let queue = self.queue_mut();
        if planted(Bug::ReplyOrderSwapped)
            && queue.len() >= 2
            && !ready(&queue[0])
            && ready(&queue[1])
        {
            queue.swap(0, 1);
        }
    }
}
