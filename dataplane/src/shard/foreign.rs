//! Connections that speak another protocol than HTTP/1, which get an answer that names it, and connections that ended because
//! of what their proxy said: the keeper is notified how many there were, so that the operator learns of it. Not a byte of what
//! they sent is kept.

use super::Ingress;
use crate::event::{Op, Outbox};
use crate::http::{Problem, ProxyFault};
use crate::io::Now;
use crate::mesh::keeper::ToKeeper;
use crate::throttle::Throttle;

/// The keeper is notified of clients at most this often.
pub(super) const NOTIFY_EVERY_US: u64 = 1_000_000;

/// Connections that the keeper was not notified of yet.
#[derive(Debug)]
pub(super) struct Foreign {
    /// By [`Problem::FOREIGN`].
    unreported_counts: [u32; Problem::FOREIGN.len()],
    /// By [`ProxyFault::ALL`].
    faults_counts: [u32; ProxyFault::ALL.len()],
    throttle: Throttle,
}

impl Default for Foreign {
    fn default() -> Foreign {
        Foreign {
            unreported_counts: Default::default(),
            faults_counts: Default::default(),
            throttle: Throttle::every_us(NOTIFY_EVERY_US),
        }
    }
}

impl Foreign {
    /// Counts a connection that ended because of this.
    pub(super) fn note_fault(&mut self, fault: ProxyFault) {
        self.faults_counts[fault as usize] += 1;
    }

    fn is_empty(&self) -> bool {
        let mut counts = self.unreported_counts.iter().chain(&self.faults_counts);
        counts.all(|&count| count == 0)
    }
}

impl Ingress {
    /// Counts a refusal, if it names another protocol.
    pub(super) fn note_foreign(&mut self, problem: Problem) {
        if problem == Problem::ProxyProtocol {
            self.stats().proxy_headers.refused.add(1);
        }
        let mut foreign = Problem::FOREIGN.into_iter();
        if let Some(at) = foreign.position(|other| other == problem) {
            self.foreign.unreported_counts[at] += 1;
        }
    }

    /// When the keeper is to be notified, if there is anything new.
    pub(super) fn foreign_due_us(&self) -> Option<u64> {
        let next_us = self.foreign.throttle.next_us();
        next_us.filter(|_| !self.foreign.is_empty())
    }

    /// Notifies the keeper of what was counted, when it is time.
    pub(super) fn notify_foreign(&mut self, now: Now, outbox: &mut Outbox) {
        if self.foreign.is_empty() || !self.foreign.throttle.pass(now.mono_us) {
            return;
        }
        let Foreign {
            unreported_counts,
            faults_counts,
            ..
        } = &mut self.foreign;
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
        for (fault, count) in ProxyFault::ALL.into_iter().zip(faults_counts) {
            let connections_count = std::mem::take(count);
            if connections_count > 0 {
                let ended = ToKeeper::ProxyFault {
                    fault,
                    connections_count,
                };
                outbox.ops.push(Op::Keeper(ended));
            }
        }
    }
}
