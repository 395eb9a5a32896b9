//! Connections that speak another protocol than HTTP/1: each gets an answer that names it, and the keeper is notified how
//! many there were, so that the operator learns of it too. Not a byte of what they sent is kept.

use super::Ingress;
use crate::event::{Op, Outbox};
use crate::http::Problem;
use crate::io::Now;
use crate::mesh::keeper::ToKeeper;
use crate::throttle::Throttle;

/// The keeper is notified of clients at most this often.
pub(super) const NOTIFY_EVERY_US: u64 = 1_000_000;

/// Connections that the keeper was not notified of yet, by [`Problem::FOREIGN`].
#[derive(Debug)]
pub(super) struct Foreign {
    unreported_counts: [u32; Problem::FOREIGN.len()],
    throttle: Throttle,
}

impl Default for Foreign {
    fn default() -> Foreign {
        Foreign {
            unreported_counts: Default::default(),
            throttle: Throttle::every_us(NOTIFY_EVERY_US),
        }
    }
}

impl Ingress {
    /// Counts a refusal, if it names another protocol.
    pub(super) fn note_foreign(&mut self, problem: Problem) {
        let mut foreign = Problem::FOREIGN.into_iter();
        if let Some(at) = foreign.position(|other| other == problem) {
            self.foreign.unreported_counts[at] += 1;
        }
    }

    /// When the keeper is to be notified, if there is anything new.
    pub(super) fn foreign_due_us(&self) -> Option<u64> {
        let unreported = self
            .foreign
            .unreported_counts
            .iter()
            .any(|&count| count > 0);
        self.foreign.throttle.next_us().filter(|_| unreported)
    }

    /// Notifies the keeper of what was counted, when it is time.
    pub(super) fn notify_foreign(&mut self, now: Now, outbox: &mut Outbox) {
        let Foreign {
            unreported_counts,
            throttle,
        } = &mut self.foreign;
        if unreported_counts.iter().all(|&count| count == 0) || !throttle.pass(now.mono_us) {
            return;
        }
        for (problem, count) in Problem::FOREIGN.into_iter().zip(unreported_counts) {
            let connections_count = std::mem::take(count);
            if connections_count > 0 {
                let foreign = ToKeeper::Foreign {
                    problem,
                    connections_count,
                };
                outbox.ops.push(Op::Keeper(foreign));
            }
        }
    }
}
